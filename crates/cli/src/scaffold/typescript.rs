//! The files of a TypeScript agent. Its own code becomes one file, which is deployed beside its packages.

use super::choices::{Choices, Memory};
use super::{File, Files};
use crate::project::Build;

/// What the managed runtime of new projects is.
pub(super) const RUNTIME: &str = "NODE_22";
pub(super) const ENTRY_FILE: &str = "main.ts";

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../templates/typescript/", $path))
    };
}

/// The code folder's files and the tests.
pub(super) fn files(choices: &Choices) -> Files {
    let remembers = if choices.memory == Memory::None {
        "false"
    } else {
        "true"
    };
    let package = choices.name.to_ascii_lowercase();
    let mut code = vec![
        (ENTRY_FILE, template!("main.ts").to_owned()),
        ("agent.ts", template!("agent.ts").to_owned()),
        (
            "memory.ts",
            template!("memory.ts").replace("{{remembers}}", remembers),
        ),
        ("stub_model.ts", template!("stub_model.ts").to_owned()),
        ("tests/agent.test.ts", template!("agent.test.ts").to_owned()),
        ("build.mjs", template!("build.mjs").to_owned()),
        (
            "package.json",
            template!("package.json").replace("{{package}}", &package),
        ),
        ("tsconfig.json", template!("tsconfig.json").to_owned()),
        (".gitignore", "node_modules/\ndist/\n".to_owned()),
    ];
    if let Some(service) = choices.provider.chat_service() {
        let settings = template!("settings.ts")
            .replace("{{model_id}}", &choices.model())
            .replace("{{model_url}}", &service.url)
            .replace("{{key_variable}}", service.key_variable);
        code.push(("settings.ts", settings));
    }
    if choices.build == Build::Container {
        code.push(("Dockerfile", template!("Dockerfile").to_owned()));
        code.push((
            ".dockerignore",
            "node_modules/\ndist/\n.env\n.env.*\nDockerfile\n".to_owned(),
        ));
    }
    let folder = choices.code_folder();
    code.into_iter()
        .map(|(name, text)| File::new(format!("{folder}{name}"), text))
        .collect()
}
