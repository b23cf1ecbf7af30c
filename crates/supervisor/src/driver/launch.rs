//! How directly deployed code is executed: the interpreter, a launcher before it, and the environment that lets
//! both find what the zip brought along.

use std::collections::BTreeMap;

use coracle_types::Language;

use super::CodeProgram;

/// Where the host's or the image's own programs are.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The command that runs the entry point, in the folder of the code. A launcher comes from the zip's `bin`. As
/// a Python script it is run by the interpreter of the runtime: its own first line names the one of the machine
/// that built the zip.
pub(super) fn command(program: &CodeProgram, interpreter: &str) -> Vec<String> {
    let mut command = Vec::new();
    let Some((file, launcher)) = program.entry_point.split_last() else {
        return command;
    };
    if let Some((launcher, arguments)) = launcher.split_first() {
        match program.runtime.language() {
            Language::Python => command.extend([interpreter.to_owned(), format!("bin/{launcher}")]),
            Language::Node => command.push(launcher.clone()),
        }
        command.extend_from_slice(arguments);
    }
    command.extend([interpreter.to_owned(), file.clone()]);
    command
}

/// The agent's environment. What the agent's developer has set stays as it is.
pub(super) fn environment(
    given: &BTreeMap<String, String>,
    code: &str,
    home: &str,
) -> BTreeMap<String, String> {
    let mut environment = given.clone();
    for (name, value) in [
        ("PATH", format!("{code}/bin:{SYSTEM_PATH}")),
        ("PYTHONPATH", code.to_owned()),
        // Output is to be seen when it is written, not when four kilobytes have come together.
        ("PYTHONUNBUFFERED", "1".to_owned()),
        ("HOME", home.to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
    ] {
        environment.entry(name.to_owned()).or_insert(value);
    }
    environment
}

#[cfg(test)]
mod tests {
    use coracle_types::RuntimeKind;

    use super::super::CodeArtifact;
    use super::*;

    fn program(runtime: RuntimeKind, entry_point: &[&str]) -> CodeProgram {
        CodeProgram {
            runtime,
            code: CodeArtifact {
                digest: "00".into(),
                zip: "code.zip".into(),
            },
            entry_point: entry_point.iter().map(|part| (*part).to_owned()).collect(),
        }
    }

    #[test]
    fn a_launcher_goes_first_and_is_run_by_the_runtimes_interpreter() {
        let plain = program(RuntimeKind::Python313, &["main.py"]);
        assert_eq!(command(&plain, "python3.13"), ["python3.13", "main.py"]);
        let launched = program(RuntimeKind::Python313, &["opentelemetry-instrument", "main.py"]);
        assert_eq!(
            command(&launched, "python3.13"),
            [
                "python3.13",
                "bin/opentelemetry-instrument",
                "python3.13",
                "main.py"
            ]
        );
        let node = program(RuntimeKind::Node22, &["launch", "main.js"]);
        assert_eq!(command(&node, "node"), ["launch", "node", "main.js"]);
    }

    #[test]
    fn what_the_developer_set_wins() {
        let environment = environment(
            &[("HOME".to_owned(), "/chosen".to_owned())].into(),
            "/var/task",
            "/home/a",
        );
        assert_eq!(environment["HOME"], "/chosen");
        assert_eq!(environment["PATH"], "/var/task/bin:/usr/local/bin:/usr/bin:/bin");
        assert_eq!(environment["PYTHONUNBUFFERED"], "1");
    }
}
