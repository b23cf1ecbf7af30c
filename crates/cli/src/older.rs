//! Flags of the tools that people come from, in our words. They are translated before the command line is parsed, so
//! that nothing else has to know them. Pure.

use std::ffi::OsString;

/// What becomes of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It has another name here.
    Is(&'static str),
    /// It does nothing, and why.
    Nothing(&'static str),
    /// The same, for a flag with a value.
    NothingWithValue(&'static str),
    /// It cannot be had, and what to do instead.
    Refused(&'static str),
}

use Fate::{Is, Nothing, NothingWithValue, Refused};

type Flags = &'static [(&'static [&'static str], Fate)];

const EVERYWHERE: Flags = &[(&["--agent", "-a"], Is("--runtime"))];

const CREATE: Flags = &[
    (&["-mp"], Is("--model-provider")),
    (&["-key"], Is("--api-key")),
    (
        &["--iac", "--template", "-t"],
        NothingWithValue("there is one kind of project for all"),
    ),
    (
        &["--venv", "--no-venv", "--skip-install", "--skip-python-setup"],
        Nothing("packages are installed when the agent is deployed"),
    ),
    (&["--skip-git"], Nothing("no Git repository is begun")),
];

const CONFIGURE: Flags = &[
    (&["--runtime", "-rt"], Is("--runtime-version")),
    (&["-er"], Is("--execution-role")),
    (&["-rf"], Is("--requirements-file")),
    (&["--deployment-type", "-dt"], Is("--build")),
    (&["-rha"], Is("--request-header-allowlist")),
    (&["--non-interactive", "-ni"], Nothing("configure does not ask")),
    (
        &["--disable-otel", "-do"],
        Nothing("it is off until the project file turns `instrumentation` on"),
    ),
    (&["--disable-memory", "-dm"], Nothing("no memory is made")),
    (&["--verbose", "-v"], Is("--debug")),
    (
        &["--language", "-lang"],
        NothingWithValue("the entry file's ending says it"),
    ),
    (
        &["--ecr", "-ecr", "--container-runtime", "-ctr"],
        NothingWithValue("`agentcore deploy --push` names a registry"),
    ),
    (
        &["--s3", "-s3"],
        NothingWithValue("code goes into a bucket of its own"),
    ),
    (
        &["--code-build-execution-role", "-cber"],
        NothingWithValue("images are built on this machine"),
    ),
    (
        &["--vpc", "--subnets", "--security-groups"],
        Refused("set `networkMode` and `networkConfig` in agentcore/agentcore.json"),
    ),
    (
        &["--authorizer-config", "-ac"],
        Refused("set it with boto3's update_agent_runtime; `agentcore deploy` keeps what it finds"),
    ),
];

const DEPLOY: Flags = &[
    (
        &["--auto-update-on-conflict", "-auc"],
        Nothing("a runtime of the same name is always updated"),
    ),
    (
        &["--local-build", "-lb", "--code-build"],
        Nothing("images are always built on this machine"),
    ),
    (&["--force-rebuild-deps", "-frd"], Is("--refresh")),
    (&["-env"], Is("--env")),
    (
        &["--image-tag", "-t"],
        NothingWithValue("an image's tag comes from its content"),
    ),
    (&["--yes", "-y"], Nothing("deploy does not ask")),
    (&["--verbose", "-v"], Is("--debug")),
    (
        &["--local", "-l"],
        Refused("`agentcore dev` runs the agent on this machine"),
    ),
];

const INVOKE: Flags = &[(&["-bt"], Is("--bearer-token"))];

const DESTROY: Flags = &[(&["--delete-ecr-repo"], Nothing("there is no ECR repository"))];

fn flags(command: &str) -> Option<Flags> {
    Some(match command {
        "create" => CREATE,
        "configure" => CONFIGURE,
        "deploy" | "launch" => DEPLOY,
        "invoke" => INVOKE,
        "destroy" => DESTROY,
        "status" | "stop-session" => &[],
        _ => return None,
    })
}

/// A command line in our words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Translated {
    pub(crate) arguments: Vec<OsString>,
    /// What was translated, for people.
    pub(crate) notes: Vec<String>,
    /// What cannot be had, and what to do instead.
    pub(crate) refusal: Option<(String, &'static str)>,
}

/// Translates what is between the command's name and `--`.
pub(crate) fn translate(arguments: impl IntoIterator<Item = OsString>) -> Translated {
    let mut translated = Translated::default();
    let mut known: Option<Flags> = None;
    let mut arguments = arguments.into_iter();
    // The program's own name.
    translated.arguments.extend(arguments.next());
    while let Some(argument) = arguments.next() {
        let Some(flags) = known else {
            known = argument.to_str().and_then(flags);
            translated.arguments.push(argument);
            continue;
        };
        if argument == "--" {
            translated.arguments.push(argument);
            translated.arguments.extend(arguments);
            break;
        }
        let Some((flag, value, fate)) = find(flags, &argument) else {
            translated.arguments.push(argument);
            continue;
        };
        match fate {
            Is(name) => {
                translated.arguments.push(name.into());
                translated.arguments.extend(value.map(Into::into));
                translated.notes.push(format!("`{flag}` is `{name}` here"));
            }
            Nothing(why) => translated
                .notes
                .push(format!("`{flag}` does nothing here: {why}")),
            NothingWithValue(why) => {
                if value.is_none() {
                    drop(arguments.next());
                }
                translated
                    .notes
                    .push(format!("`{flag}` does nothing here: {why}"));
            }
            Refused(instead) => {
                translated.refusal = Some((format!("there is no `{flag}` here"), instead));
                // Nothing will be done, so the rest need not make sense.
                break;
            }
        }
    }
    translated
}

/// The flag that this argument is, the value behind its equals sign, and what becomes of it.
fn find(flags: Flags, argument: &OsString) -> Option<(String, Option<String>, Fate)> {
    let text = argument.to_str()?;
    let (flag, value) = match text.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => (flag, Some(value)),
        _ => (text, None),
    };
    let (_, fate) = flags
        .iter()
        .chain(EVERYWHERE)
        .find(|(spellings, _)| spellings.contains(&flag))?;
    Some((flag.to_owned(), value.map(str::to_owned), *fate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> (String, Translated) {
        let result = translate(line.split(' ').map(Into::into));
        let words: Vec<_> = result.arguments.iter().filter_map(|word| word.to_str()).collect();
        (words.join(" "), result)
    }

    #[test]
    fn flags_of_other_tools_get_our_names_or_a_reason() {
        let (line, result) =
            translated("agentcore --json launch -a Boat -auc -frd --image-tag=v1 -t v2 --env A=1");
        assert_eq!(line, "agentcore --json launch --runtime Boat --refresh --env A=1");
        assert_eq!(result.notes.len(), 5);
        assert_eq!(
            result.notes[1],
            "`-auc` does nothing here: a runtime of the same name is always updated"
        );
        let (line, _) = translated("agentcore configure -e agent.py --runtime PYTHON_3_12 -dt container -ni");
        assert_eq!(
            line,
            "agentcore configure -e agent.py --runtime-version PYTHON_3_12 --build container"
        );
    }

    #[test]
    fn what_cannot_be_had_is_refused_with_a_way_out() {
        let (_, result) = translated("agentcore deploy --local");
        assert!(
            result
                .refusal
                .is_some_and(|(_, instead)| instead.contains("agentcore dev"))
        );
    }

    #[test]
    fn what_is_ours_stays() {
        for line in [
            "agentcore deploy --refresh",
            "agentcore invoke hi -- -a -bt",
            "agentcore logs -a",
            "agentcore",
        ] {
            let (same, result) = translated(line);
            assert_eq!((same.as_str(), result.notes.len()), (line, 0));
        }
    }
}
