//! What a new project can be made of, in the words of the tools that people know. Pure.

use std::str::FromStr;

use clap::ValueEnum;
use reqwest::Url;

use crate::project::Build;

/// Longest name of a project, as for the tool from npm, so that its projects and ours stay interchangeable.
const MAX_NAME: usize = 23;

/// What an agent is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
pub(crate) enum Framework {
    Strands,
    #[value(name = "LangChain_LangGraph", aliases = ["LangGraph", "LangChain"])]
    LangGraph,
    #[value(aliases = ["OpenAI", "OpenAI_Agents", "OpenAI-Agents"])]
    OpenAIAgents,
    #[value(aliases = ["ADK", "Google_ADK", "Google-ADK"])]
    GoogleADK,
    #[value(aliases = ["Crew", "Crew_AI"])]
    CrewAI,
    /// A model and nothing else
    #[value(name = "none", alias = "custom")]
    None,
}

/// What an agent is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
pub(crate) enum Language {
    #[value(alias = "py")]
    Python,
    #[value(aliases = ["ts", "JavaScript", "js"])]
    TypeScript,
}

/// What an agent speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
#[expect(clippy::upper_case_acronyms, reason = "as the API spells them")]
pub(crate) enum Protocol {
    HTTP,
    MCP,
    A2A,
    #[value(alias = "AG-UI")]
    AGUI,
}

impl Framework {
    /// Its name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Strands => "Strands",
            Self::LangGraph => "LangChain and LangGraph",
            Self::OpenAIAgents => "the OpenAI Agents SDK",
            Self::GoogleADK => "Google's Agent Development Kit",
            Self::CrewAI => "CrewAI",
            Self::None => "none",
        }
    }
}

impl Protocol {
    /// The API's spelling.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::HTTP => "HTTP",
            Self::MCP => "MCP",
            Self::A2A => "A2A",
            Self::AGUI => "AGUI",
        }
    }
}

/// Whether an agent remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
pub(crate) enum Memory {
    /// Every prompt stands alone
    #[value(name = "none", alias = "NO_MEMORY")]
    None,
    /// What was said in this session
    #[value(name = "shortTerm", aliases = ["short-term", "short", "STM_ONLY", "session"])]
    ShortTerm,
    /// Refused with a reason: it takes the AgentCore Memory service
    #[value(name = "longAndShortTerm", aliases = ["long-and-short-term", "long", "STM_AND_LTM"], hide = true)]
    LongAndShortTerm,
}

/// Whose model answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModelProvider {
    Bedrock,
    Anthropic,
    OpenAI,
    Gemini,
    /// A stand-in inside the agent.
    Stub,
    /// Anything that speaks OpenAI's chat completions.
    Compatible(Url),
}

/// The providers by name, in the order they are offered.
pub(crate) const PROVIDERS: [(&str, ModelProvider); 5] = [
    ("stub", ModelProvider::Stub),
    ("Bedrock", ModelProvider::Bedrock),
    ("Anthropic", ModelProvider::Anthropic),
    ("OpenAI", ModelProvider::OpenAI),
    ("Gemini", ModelProvider::Gemini),
];

impl FromStr for ModelProvider {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = match text.to_ascii_lowercase().as_str() {
            "google" => "gemini".to_owned(),
            "amazon" => "bedrock".to_owned(),
            other => other.to_owned(),
        };
        if let Some((_, provider)) = PROVIDERS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(&wanted))
        {
            return Ok(provider.clone());
        }
        match text.parse::<Url>() {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                Ok(Self::Compatible(url))
            }
            _ => Err("use stub, Bedrock, Anthropic, OpenAI, Gemini, or an http or https URL".to_owned()),
        }
    }
}

/// Where OpenAI's chat completions are spoken, and what the key is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChatService {
    pub(super) url: String,
    pub(super) key_variable: &'static str,
}

impl ModelProvider {
    /// What people call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Compatible(url) => url.to_string(),
            named => PROVIDERS
                .iter()
                .find(|(_, provider)| provider == named)
                .map_or_else(String::new, |(name, _)| (*name).to_owned()),
        }
    }

    /// How it is asked; Bedrock has a format of its own.
    pub(super) fn chat_service(&self) -> Option<ChatService> {
        let (url, key_variable) = match self {
            Self::Bedrock => return None,
            Self::OpenAI => ("https://api.openai.com/v1", "OPENAI_API_KEY"),
            Self::Anthropic => ("https://api.anthropic.com/v1/", "ANTHROPIC_API_KEY"),
            Self::Gemini => (
                "https://generativelanguage.googleapis.com/v1beta/openai/",
                "GEMINI_API_KEY",
            ),
            Self::Stub => ("stub", "MODEL_API_KEY"),
            Self::Compatible(url) => (url.as_str(), "MODEL_API_KEY"),
        };
        Some(ChatService {
            url: url.to_owned(),
            key_variable,
        })
    }

    /// Whether it answers nobody without a key.
    pub(crate) fn needs_key(&self) -> bool {
        matches!(self, Self::OpenAI | Self::Anthropic | Self::Gemini)
    }

    pub(super) fn default_model(&self) -> &'static str {
        match self {
            Self::Bedrock => "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            Self::Anthropic => "claude-sonnet-4-5",
            Self::OpenAI => "gpt-5-mini",
            Self::Gemini => "gemini-2.5-flash",
            Self::Stub => "stub",
            Self::Compatible(_) => "default",
        }
    }
}

/// A new project, decided.
#[derive(Debug, Clone)]
pub(crate) struct Choices {
    pub(crate) name: String,
    pub(crate) language: Language,
    pub(crate) protocol: Protocol,
    pub(crate) framework: Framework,
    pub(crate) provider: ModelProvider,
    /// Which of the provider's models, instead of the default.
    pub(crate) model_id: Option<String>,
    pub(crate) memory: Memory,
    pub(crate) build: Build,
}

/// Choices that do not go together, and what to do about it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub(crate) struct Conflict {
    pub(crate) problem: String,
    pub(crate) hint: String,
}

impl Conflict {
    fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            hint: hint.into(),
        }
    }
}

/// Whether this can be the name of a project and of its agent.
///
/// # Errors
/// When it cannot.
pub(crate) fn check_name(name: &str) -> Result<(), Conflict> {
    let mut characters = name.chars();
    let letter_first = characters.next().is_some_and(|first| first.is_ascii_alphabetic());
    if letter_first && characters.all(|c| c.is_ascii_alphanumeric()) && name.len() <= MAX_NAME {
        return Ok(());
    }
    Err(Conflict::new(
        format!("`{name}` is not a name for a project"),
        format!("use a letter, then letters and digits, at most {MAX_NAME}"),
    ))
}

impl Choices {
    /// Whether these choices go together.
    ///
    /// # Errors
    /// When they do not.
    pub(crate) fn check(&self) -> Result<(), Conflict> {
        check_name(&self.name)?;
        if self.memory == Memory::LongAndShortTerm {
            return Err(Conflict::new(
                "long-term memory takes the AgentCore Memory service, which Coracle does not have",
                "use shortTerm, which lasts as long as the session, or none",
            ));
        }
        if self.protocol == Protocol::MCP && self.framework != Framework::None {
            return Err(Conflict::new(
                "an MCP server offers tools and has no framework",
                "leave --framework out, or choose protocol HTTP, A2A or AGUI",
            ));
        }
        if self.framework == Framework::CrewAI && self.provider == ModelProvider::Bedrock {
            return Err(Conflict::new(
                "CrewAI's packages for Bedrock and the AgentCore SDK want different versions of boto3",
                "choose another model provider, or another framework",
            ));
        }
        if self.language == Language::TypeScript {
            self.check_typescript()?;
        }
        Ok(())
    }

    fn check_typescript(&self) -> Result<(), Conflict> {
        let refused = |what: &str, choice: &str| {
            let hint = format!("choose {choice}, or language Python");
            Err(Conflict::new(
                format!("there is no TypeScript project for this {what}"),
                hint,
            ))
        };
        if self.protocol != Protocol::HTTP {
            return refused("protocol", "protocol HTTP");
        }
        if self.framework != Framework::None {
            return refused("framework", "framework none");
        }
        if self.provider == ModelProvider::Bedrock {
            return refused("model provider", "one that speaks OpenAI's chat completions");
        }
        Ok(())
    }

    /// Which of the provider's models is asked unless a variable names another.
    pub(super) fn model(&self) -> String {
        let named = self.model_id.as_deref();
        named.unwrap_or_else(|| self.provider.default_model()).to_owned()
    }

    /// Whether the agent offers tools: to a model, or to clients.
    pub(super) fn has_tools(&self) -> bool {
        self.framework != Framework::None || self.protocol == Protocol::MCP
    }

    /// The folder of the code in the project's.
    pub(super) fn code_folder(&self) -> String {
        format!("app/{}/", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices() -> Choices {
        Choices {
            name: "Boat".to_owned(),
            language: Language::Python,
            protocol: Protocol::HTTP,
            framework: Framework::Strands,
            provider: ModelProvider::Stub,
            model_id: None,
            memory: Memory::ShortTerm,
            build: Build::CodeZip,
        }
    }

    #[test]
    fn older_and_lower_case_spellings_are_understood() {
        let framework = |text| Framework::from_str(text, true).ok();
        for (text, meant) in [
            ("strands", Framework::Strands),
            ("langgraph", Framework::LangGraph),
            ("LangChain_LangGraph", Framework::LangGraph),
            ("openai_agents", Framework::OpenAIAgents),
            ("googleadk", Framework::GoogleADK),
            ("CREWAI", Framework::CrewAI),
            ("None", Framework::None),
        ] {
            assert_eq!(framework(text), Some(meant), "{text}");
        }
        assert_eq!(framework("autogen"), None);
        assert_eq!(Memory::from_str("stm_only", true), Ok(Memory::ShortTerm));
        assert_eq!("openai".parse(), Ok(ModelProvider::OpenAI));
        let local = ModelProvider::from_str("http://localhost:11434/v1").unwrap();
        assert_eq!(local.name(), "http://localhost:11434/v1");
        assert!(
            ModelProvider::from_str("ftp://models")
                .unwrap_err()
                .contains("Bedrock")
        );
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_a_way_out() {
        assert_eq!(choices().check(), Ok(()));
        for name in ["", "9lives", "with-hyphen", "aNameThatIsLongerThanTwentyThree"] {
            assert!(
                Choices {
                    name: name.to_owned(),
                    ..choices()
                }
                .check()
                .is_err(),
                "{name}"
            );
        }
        let long = Choices {
            memory: Memory::LongAndShortTerm,
            ..choices()
        };
        assert!(long.check().unwrap_err().hint.contains("shortTerm"));
        let mcp = Choices {
            protocol: Protocol::MCP,
            ..choices()
        };
        assert!(mcp.check().is_err());
        let crew = Choices {
            framework: Framework::CrewAI,
            provider: ModelProvider::Bedrock,
            ..choices()
        };
        assert!(crew.check().is_err());
        assert_eq!(
            Choices {
                framework: Framework::None,
                ..mcp
            }
            .check(),
            Ok(())
        );
    }
    #[test]
    fn typescript_has_fewer_choices() {
        let none = Choices {
            language: Language::TypeScript,
            framework: Framework::None,
            ..choices()
        };
        assert_eq!(none.check(), Ok(()));
        for refused in [
            Choices {
                framework: Framework::CrewAI,
                ..none.clone()
            },
            Choices {
                protocol: Protocol::A2A,
                ..none.clone()
            },
            Choices {
                provider: ModelProvider::Bedrock,
                ..none
            },
        ] {
            assert!(
                refused.check().unwrap_err().hint.contains("language Python"),
                "{refused:?}"
            );
        }
    }
}
