//! The files of a Python agent. Each protocol has a `main.py` of its own around the same `agent.py`, which each
//! framework has; `model.py` and `settings.py` are those of the model's wire format.

use super::choices::{ChatService, Choices, Framework, Memory, Protocol};
use super::{File, Files};
use crate::project::Build;

/// What the managed runtime of new projects is.
pub(super) const RUNTIME: &str = "PYTHON_3_13";
pub(super) const ENTRY_FILE: &str = "main.py";

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../templates/python/", $path))
    };
}

/// The code folder's files by their names in it, and the tests.
pub(super) fn files(choices: &Choices) -> Files {
    let service = choices.provider.chat_service();
    let mut code = vec![("main.py", main(choices))];
    if choices.has_tools() {
        code.push(("tools.py", template!("tools.py").to_owned()));
    }
    if choices.protocol != Protocol::MCP {
        code.extend(agent(choices.framework, service.is_none()));
        code.push(("settings.py", settings(choices, service.as_ref())));
        code.push(("stub_model.py", template!("stub_model.py").to_owned()));
    }
    if matches!(choices.protocol, Protocol::HTTP | Protocol::A2A) {
        let remembers = if choices.memory == Memory::None {
            "False"
        } else {
            "True"
        };
        code.push((
            "memory.py",
            template!("memory.py").replace("{{remembers}}", remembers),
        ));
    }
    code.push(("requirements.txt", requirements(choices)));
    if choices.framework == Framework::CrewAI {
        code.push((".agentcoreignore", template!("crewai.agentcoreignore").to_owned()));
    }
    if choices.build == Build::Container {
        code.push(("Dockerfile", template!("Dockerfile").to_owned()));
        code.push((".dockerignore", template!("dockerignore").to_owned()));
    }
    let folder = choices.code_folder();
    let mut files: Files = code
        .into_iter()
        .map(|(name, text)| File::new(format!("{folder}{name}"), text))
        .collect();
    let tests = match (choices.protocol, choices.framework) {
        (Protocol::MCP, _) => template!("tests/tools.py"),
        (_, Framework::None) => template!("tests/model.py"),
        _ => template!("tests/agent.py"),
    };
    files.push(File::new("tests/test_agent.py", tests));
    files.push(File::new(
        "pytest.ini",
        format!("[pytest]\npythonpath = {folder}\ntestpaths = tests\n"),
    ));
    files
}

fn main(choices: &Choices) -> String {
    let text = match choices.protocol {
        Protocol::HTTP => template!("mains/http.py"),
        Protocol::MCP => template!("mains/mcp.py"),
        Protocol::A2A => template!("mains/a2a.py"),
        Protocol::AGUI => template!("mains/agui.py"),
    };
    text.replace("{{name}}", &choices.name)
}

/// `agent.py`, and the `model.py` that it imports.
fn agent(framework: Framework, bedrock: bool) -> Vec<(&'static str, String)> {
    let (agent, compatible, converse) = match framework {
        Framework::Strands => (
            template!("agents/strands.py"),
            template!("models/strands_compatible.py"),
            template!("models/strands_bedrock.py"),
        ),
        Framework::LangGraph => (
            template!("agents/langgraph.py"),
            template!("models/langgraph_compatible.py"),
            template!("models/langgraph_bedrock.py"),
        ),
        Framework::OpenAIAgents => (
            template!("agents/openai_agents.py"),
            template!("models/openai_agents_compatible.py"),
            template!("models/openai_agents_bedrock.py"),
        ),
        Framework::GoogleADK => (
            template!("agents/google_adk.py"),
            template!("models/google_adk_compatible.py"),
            template!("models/google_adk_bedrock.py"),
        ),
        Framework::CrewAI => {
            let model = template!("models/crewai.py");
            return vec![
                ("agent.py", template!("agents/crewai.py").to_owned()),
                ("model.py", model.to_owned()),
            ];
        }
        Framework::None if bedrock => {
            return vec![("agent.py", template!("agents/none_bedrock.py").to_owned())];
        }
        Framework::None => return vec![("agent.py", template!("agents/none_compatible.py").to_owned())],
    };
    let model = if bedrock { converse } else { compatible };
    vec![("agent.py", agent.to_owned()), ("model.py", model.to_owned())]
}

fn settings(choices: &Choices, service: Option<&ChatService>) -> String {
    let model = choices.model();
    match service {
        None => template!("settings/bedrock.py").replace("{{model_id}}", &model),
        Some(service) => template!("settings/compatible.py")
            .replace("{{model_id}}", &model)
            .replace("{{model_url}}", &service.url)
            .replace("{{key_variable}}", service.key_variable),
    }
}

fn requirements(choices: &Choices) -> String {
    let bedrock = choices.provider.chat_service().is_none();
    let protocol: &[&str] = match choices.protocol {
        Protocol::HTTP => &["bedrock-agentcore>=1.25,<2"],
        Protocol::MCP => return "mcp>=2.3,<3\n".to_owned(),
        Protocol::A2A => &["bedrock-agentcore[a2a-v1]>=1.25,<2"],
        Protocol::AGUI => &["bedrock-agentcore[ag-ui]>=1.25,<2"],
    };
    let framework: &[&str] = match (choices.framework, bedrock) {
        (Framework::Strands, false) => &["strands-agents[openai]>=1.62,<2"],
        (Framework::Strands, true) => &["strands-agents>=1.62,<2"],
        (Framework::LangGraph, false) => &[
            "langchain>=1.4,<2",
            "langchain-openai>=1.7,<2",
            "langgraph>=1.2,<2",
        ],
        (Framework::LangGraph, true) => &["langchain>=1.4,<2", "langchain-aws>=1.9,<2", "langgraph>=1.2,<2"],
        (Framework::OpenAIAgents, false) => &["openai-agents>=0.24,<0.25"],
        (Framework::OpenAIAgents, true) => &["boto3", "openai-agents[litellm]>=0.24,<0.25"],
        // LiteLLM imports mcp without asking for it.
        (Framework::GoogleADK, _) => &["google-adk>=2.13,<3", "litellm>=1.106,<2", "mcp>=2.3,<3"],
        (Framework::CrewAI, _) => &["crewai>=1.15,<2"],
        (Framework::None, false) => &["openai>=2.54,<4"],
        (Framework::None, true) => &["boto3"],
    };
    let mut lines = [protocol, framework].concat();
    lines.sort_unstable();
    lines.join("\n") + "\n"
}
