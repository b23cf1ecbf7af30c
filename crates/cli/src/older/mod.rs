//! Commands and flags of the tools that people come from, in our words. They are translated before the command line is
//! parsed, so that nothing else has to know them. Pure.

mod spellings;
#[cfg(test)]
mod tutorials;

use std::ffi::OsString;

use self::spellings::{Flags, command_of_others, flags, subcommand_of_others};

/// What becomes of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It has another name here.
    Is(&'static str),
    /// The same, and each part of its value between commas is one of its own.
    Each(&'static str),
    /// Its value stands alone here.
    Alone(&'static str),
    /// It does nothing, and why.
    Nothing(&'static str),
    /// The same, for a flag with a value.
    NothingWithValue(&'static str),
    /// It cannot be had, and what to do instead.
    Refused(&'static str),
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
    let mut arguments = arguments.into_iter().peekable();
    // The program's own name.
    translated.arguments.extend(arguments.next());
    if let Some(word) = arguments.peek().and_then(|word| word.to_str())
        && let Some(instead) = command_of_others(word)
    {
        translated.refusal = Some((format!("there is no `agentcore {word}` here"), instead));
        return translated;
    }
    while let Some(argument) = arguments.next() {
        let Some(flags) = known else {
            known = argument.to_str().and_then(flags);
            let next = arguments.peek().and_then(|word| word.to_str());
            if let (Some(command), Some(word)) = (argument.to_str(), next)
                && let Some(instead) = subcommand_of_others(command, word)
            {
                let message = format!("there is no `agentcore {command} {word}` here");
                translated.refusal = Some((message, instead));
                return translated;
            }
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
        translated.take(&flag, value.map(Into::into), fate, &mut arguments);
        if translated.refusal.is_some() {
            // Nothing will be done, so the rest need not make sense.
            break;
        }
    }
    tools_in_words_of_npm(&mut translated.arguments);
    translated
}

impl Translated {
    /// Adds what a flag is here.
    fn take(
        &mut self,
        flag: &str,
        value: Option<OsString>,
        fate: Fate,
        rest: &mut impl Iterator<Item = OsString>,
    ) {
        match fate {
            Fate::Is(name) => {
                self.arguments.push(name.into());
                self.arguments.extend(value);
                self.notes.push(format!("`{flag}` is `{name}` here"));
            }
            Fate::Each(name) => {
                let all = value.or_else(|| rest.next()).unwrap_or_default();
                for one in all.to_string_lossy().split(',') {
                    self.arguments.extend([name.into(), one.trim().into()]);
                }
                self.notes
                    .push(format!("`{flag}` is `{name}` here, once for each"));
            }
            Fate::Alone(name) => {
                self.arguments.extend(value.or_else(|| rest.next()));
                self.notes
                    .push(format!("`{flag}` is not needed here: {name} stands alone"));
            }
            Fate::Nothing(why) => self.notes.push(format!("`{flag}` does nothing here: {why}")),
            Fate::NothingWithValue(why) => {
                if value.is_none() {
                    drop(rest.next());
                }
                self.notes.push(format!("`{flag}` does nothing here: {why}"));
            }
            Fate::Refused(instead) => {
                self.refusal = Some((format!("there is no `{flag}` here"), instead));
            }
        }
    }
}

/// `invoke list-tools` and `dev call-tool` of the tool from npm are `tools list` and `tools call --dev`.
fn tools_in_words_of_npm(arguments: &mut Vec<OsString>) {
    let end = arguments.iter().position(|word| word == "--");
    let ours = &arguments[..end.unwrap_or(arguments.len())];
    let at = |words: &[&str]| {
        ours.iter()
            .position(|word| words.iter().any(|known| word == known))
    };
    let Some(command) = at(&["invoke", "i", "dev", "d"]) else {
        return;
    };
    let (action, place) = match (at(&["list-tools"]), at(&["call-tool"])) {
        (Some(place), _) => ("list", place),
        (None, Some(place)) => ("call", place),
        (None, None) => return,
    };
    let in_dev = matches!(arguments[command].to_str(), Some("dev" | "d"));
    arguments.remove(place);
    arguments.splice(command..=command, ["tools".into(), action.into()]);
    if in_dev {
        arguments.push("--dev".into());
    }
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
        .chain(spellings::EVERYWHERE)
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
    fn tools_are_called_in_the_words_of_npm() {
        for (theirs, ours) in [
            ("invoke list-tools", "tools list"),
            (
                "invoke call-tool --tool add --input {}",
                "tools call add --input {}",
            ),
            (
                "invoke --runtime Boat --tool=add call-tool",
                "tools call --runtime Boat add",
            ),
            ("dev list-tools --port 8000", "tools list --port 8000 --dev"),
            ("invoke --prompt hello --stream", "invoke hello --stream"),
            (
                "invoke hi --headers X-A:1,X-B:2",
                "invoke hi --header X-A:1 --header X-B:2",
            ),
        ] {
            let (line, _) = translated(&format!("agentcore {theirs}"));
            assert_eq!(line, format!("agentcore {ours}"));
        }
    }

    #[test]
    fn commands_that_are_not_here_are_answered() {
        let (_, result) = translated("agentcore traces list");
        let (message, instead) = result.refusal.unwrap();
        assert_eq!(message, "there is no `agentcore traces` here");
        assert!(instead.contains("agentcore dev"), "{instead}");
        let (_, result) = translated("agentcore --runtime memory status");
        assert_eq!(result.refusal, None, "only where a command stands");
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
            "agentcore invoke hi -- list-tools",
            "agentcore versions -a",
            "agentcore",
        ] {
            let (same, result) = translated(line);
            assert_eq!((same.as_str(), result.notes.len()), (line, 0));
        }
    }
}
