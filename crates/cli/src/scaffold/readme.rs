//! The README of a new project.

use super::choices::{Choices, Framework, Language, Memory, ModelProvider, Protocol};
use crate::project::Build;

const STUB: &str = "\
## The stub model

`{{stub}}` stands in for a model. It runs inside the agent's own process and listens on loopback only, so it needs
neither a key nor a network, here and deployed. It understands nothing: it repeats what you say, calls a tool that adds, if
there is one, when you ask it to \"add 2 and 3\", and lists what you said before when you ask \"What did I say?\". The tests
use it, and `MODEL_URL=stub` in `agentcore/.env.local` makes any model into it.
";

pub(super) fn text(choices: &Choices) -> String {
    let mut sections = vec![introduction(choices), first_steps(choices), parts(choices)];
    if choices.protocol != Protocol::MCP {
        sections.push(model(choices));
        sections.push(STUB.replace("{{stub}}", &format!("stub_model.{}", extension(choices))));
    }
    sections.push(tests(choices));
    sections.join("\n")
}

fn introduction(choices: &Choices) -> String {
    let what = match (choices.protocol, choices.framework) {
        (Protocol::MCP, _) => "An MCP server".to_owned(),
        (protocol, Framework::None) => {
            format!("An agent without a framework, speaking {}", protocol.as_str())
        }
        (protocol, framework) => format!(
            "An agent made with {}, speaking {}",
            framework.title(),
            protocol.as_str()
        ),
    };
    format!(
        "# {}\n\n{what}, for Amazon Bedrock AgentCore Runtime and Coracle.\n",
        choices.name
    )
}

fn first_steps(choices: &Choices) -> String {
    let talk = match choices.protocol {
        Protocol::MCP => {
            "agentcore tools list           # its tools; `agentcore tools call --help` has more\n"
        }
        Protocol::HTTP | Protocol::AGUI | Protocol::A2A => {
            "agentcore invoke \"Hello\"       # talks to it; `agentcore invoke --help` has more\n"
        }
    };
    format!(
        "```\nagentcore dev                  # runs it here, with a page to look inside; Ctrl-C ends it\n\
         agentcore deploy               # packages it, makes it a version that answers\n{talk}\
         agentcore logs --follow\nagentcore destroy\n```\n"
    )
}

fn extension(choices: &Choices) -> &'static str {
    match choices.language {
        Language::Python => "py",
        Language::TypeScript => "ts",
    }
}

fn parts(choices: &Choices) -> String {
    let mut rows = vec![("main", "what clients ask")];
    if choices.protocol != Protocol::MCP {
        rows.push(("agent", "the agent"));
        if choices.framework != Framework::None {
            rows.push(("model", "how it asks the model"));
        }
        rows.push(("settings", "which model, and the system prompt"));
    }
    if choices.has_tools() {
        rows.push(("tools", "what it can do; add your functions here"));
    }
    if matches!(choices.protocol, Protocol::HTTP | Protocol::A2A) {
        let what = match choices.memory {
            Memory::None => "nothing: `REMEMBERS` is off",
            Memory::ShortTerm | Memory::LongAndShortTerm => "what was said before in the session",
        };
        rows.push(("memory", what));
    }
    let folder = choices.code_folder();
    let mut text = format!("In `{folder}`:\n\n| File | Holds |\n|---|---|\n");
    for (file, what) in rows {
        text += &format!("| `{file}.{}` | {what} |\n", extension(choices));
    }
    text += match choices.language {
        Language::Python => {
            "| `requirements.txt` | packages; `agentcore deploy` writes what it chose to `agentcore/locks/` |\n"
        }
        Language::TypeScript => {
            "| `package.json` | packages; `npm run build` makes `dist/`, which is deployed with them |\n"
        }
    };
    if choices.build == Build::Container {
        text += "| `Dockerfile` | the image; `agentcore deploy` builds it with buildah, podman or docker |\n";
    }
    text
}

fn model(choices: &Choices) -> String {
    let id = choices.model();
    let mut text = "## The model\n\n".to_owned();
    match &choices.provider {
        ModelProvider::Stub => {
            text += "There is none yet. For a real one put into `agentcore/.env.local`, for example,\n\n```\n\
                     MODEL_URL=https://api.openai.com/v1\nMODEL_ID=gpt-5-mini\nMODEL_API_KEY=…\n```\n\n\
                     Anything that speaks OpenAI's chat completions will do, such as a server of your own.\n";
        }
        ModelProvider::Bedrock => {
            text += &format!(
                "`{id}` on Amazon Bedrock, asked with the credentials that boto3 finds; `BEDROCK_REGION` names another \
                 region and `MODEL_ID` another model.\n"
            );
        }
        provider => {
            let service = provider.chat_service();
            let variable = service.map_or("MODEL_API_KEY", |service| service.key_variable);
            text += &format!(
                "`{id}` of {}, asked in OpenAI's format. The key goes into `agentcore/.env.local` as `{variable}`; \
                 `MODEL_ID` names another model.\n",
                provider.name()
            );
        }
    }
    text + "\n`agentcore deploy` gives the variables of `agentcore/.env.local` to the agent. Whoever may read the runtime may \
            read them.\n"
}

fn tests(choices: &Choices) -> String {
    let folder = choices.code_folder();
    match choices.language {
        Language::Python => format!(
            "## Tests\n\n```\npython3 -m venv .venv && . .venv/bin/activate\n\
             pip install -r {folder}requirements.txt pytest\npytest\n```\n"
        ),
        Language::TypeScript => format!("## Tests\n\n```\ncd {folder} && npm install && npm test\n```\n"),
    }
}
