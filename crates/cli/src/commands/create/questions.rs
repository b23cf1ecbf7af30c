//! The questions of `agentcore create`, asked on a terminal for what no flag answered.

use inquire::validator::{ErrorMessage, Validation};
use inquire::{InquireError, Select, Text};

use super::{default_framework, has_frameworks};
use crate::args::Create;
use crate::failure::Failure;
use crate::project::Build;
use crate::scaffold::{Choices, Framework, Language, Memory, ModelProvider, PROVIDERS, Protocol, check_name};

/// One answer to choose, and what it means.
struct Answer<T> {
    value: T,
    text: &'static str,
}

/// What was given, and what the user answers for the rest.
pub(super) fn ask(given: &Create) -> Result<Choices, Failure> {
    let name = match &given.name {
        Some(name) => name.clone(),
        None => ask_name()?,
    };
    let language = or_ask(given.language, "What is it written in?", &LANGUAGES)?;
    let protocol = match (given.protocol, language) {
        (None, Language::TypeScript) => Protocol::HTTP,
        (protocol, _) => or_ask(protocol, "What does it speak?", &PROTOCOLS)?,
    };
    let framework = match given.framework {
        None if !has_frameworks(language, protocol) => default_framework(language, protocol),
        framework => or_ask(framework, "What is it made with?", &FRAMEWORKS)?,
    };
    let (provider, memory) = if protocol == Protocol::MCP {
        (ModelProvider::Stub, Memory::None)
    } else {
        let provider = match &given.model_provider {
            Some(provider) => provider.clone(),
            None => ask_provider()?,
        };
        (provider, or_ask(given.memory, "Does it remember?", &MEMORIES)?)
    };
    Ok(Choices {
        name,
        language,
        protocol,
        framework,
        provider,
        model_id: given.model_id.clone(),
        memory,
        build: or_ask(given.build, "How is it deployed?", &BUILDS)?,
    })
}

const LANGUAGES: [Answer<Language>; 2] = [
    Answer {
        value: Language::Python,
        text: "Python",
    },
    Answer {
        value: Language::TypeScript,
        text: "TypeScript",
    },
];

const PROTOCOLS: [Answer<Protocol>; 4] = [
    Answer {
        value: Protocol::HTTP,
        text: "HTTP: prompts and answers",
    },
    Answer {
        value: Protocol::MCP,
        text: "MCP: tools for other agents",
    },
    Answer {
        value: Protocol::A2A,
        text: "A2A: tasks from other agents",
    },
    Answer {
        value: Protocol::AGUI,
        text: "AG-UI: a conversation in a browser",
    },
];

const FRAMEWORKS: [Answer<Framework>; 6] = [
    Answer {
        value: Framework::Strands,
        text: "Strands",
    },
    Answer {
        value: Framework::LangGraph,
        text: "LangChain and LangGraph",
    },
    Answer {
        value: Framework::OpenAIAgents,
        text: "OpenAI Agents SDK",
    },
    Answer {
        value: Framework::GoogleADK,
        text: "Google ADK",
    },
    Answer {
        value: Framework::CrewAI,
        text: "CrewAI",
    },
    Answer {
        value: Framework::None,
        text: "none: a model and your own code",
    },
];

const MEMORIES: [Answer<Memory>; 2] = [
    Answer {
        value: Memory::ShortTerm,
        text: "yes, what was said in its session",
    },
    Answer {
        value: Memory::None,
        text: "no, every prompt stands alone",
    },
];

const BUILDS: [Answer<Build>; 2] = [
    Answer {
        value: Build::CodeZip,
        text: "CodeZip: the code and its packages",
    },
    Answer {
        value: Build::Container,
        text: "Container: an image from a Dockerfile",
    },
];

fn or_ask<T: Copy>(given: Option<T>, question: &str, answers: &[Answer<T>]) -> Result<T, Failure> {
    let Some(value) = given else {
        let texts = answers.iter().map(|answer| answer.text).collect();
        let chosen = Select::new(question, texts).raw_prompt().map_err(unanswered)?;
        return Ok(answers[chosen.index].value);
    };
    Ok(value)
}

fn ask_name() -> Result<String, Failure> {
    let valid = |name: &str| {
        Ok(match check_name(name) {
            Ok(()) => Validation::Valid,
            Err(conflict) => Validation::Invalid(ErrorMessage::Custom(conflict.hint)),
        })
    };
    Text::new("What is it called?")
        .with_default("MyAgent")
        .with_validator(valid)
        .prompt()
        .map_err(unanswered)
}

fn ask_provider() -> Result<ModelProvider, Failure> {
    const OTHER: &str = "another, by the URL of its OpenAI-compatible API";
    let mut names: Vec<_> = PROVIDERS.iter().map(|(name, _)| *name).collect();
    names[0] = "stub: a stand-in without a key, to begin with";
    names.push(OTHER);
    let chosen = Select::new("Whose model answers?", names)
        .raw_prompt()
        .map_err(unanswered)?;
    if let Some((_, provider)) = PROVIDERS.get(chosen.index) {
        return Ok(provider.clone());
    }
    let valid = |text: &str| {
        Ok(match text.parse::<ModelProvider>() {
            Ok(_) => Validation::Valid,
            Err(hint) => Validation::Invalid(ErrorMessage::Custom(hint)),
        })
    };
    let url = Text::new("Its URL?")
        .with_default("http://localhost:11434/v1")
        .with_validator(valid)
        .prompt()
        .map_err(unanswered)?;
    url.parse()
        .map_err(|hint: String| Failure::usage(format!("`{url}` is no model provider"), hint))
}

fn unanswered(error: InquireError) -> Failure {
    match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => Failure::Interrupted,
        InquireError::IO(error) => Failure::Input(error),
        other => Failure::Input(std::io::Error::other(other)),
    }
}
