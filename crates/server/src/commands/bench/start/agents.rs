//! The agents whose starts are measured.

/// Pinned, so that figures of two runs compare.
pub(in super::super) const REQUIREMENTS: [&str; 3] = [
    "bedrock-agentcore==1.25.0",
    "boto3==1.44.5",
    "strands-agents==1.62.0",
];

/// An agent to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in super::super) enum Agent {
    /// The hello agent of the examples, on the SDK.
    Hello,
    /// One on Strands and the SDK, which asks no model.
    Strands,
}

impl Agent {
    pub(super) const ALL: [Self; 2] = [Self::Hello, Self::Strands];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Strands => "strands",
        }
    }

    /// The path at which it rehearses an answer, to be told of its restore there.
    pub(super) fn rehearsal(self) -> Option<&'static str> {
        match self {
            Self::Hello => None,
            Self::Strands => Some("/rehearse"),
        }
    }

    pub(in super::super) fn source(self) -> &'static str {
        match self {
            Self::Hello => include_str!("../../../../../../examples/hello-agent/app/hello/main.py"),
            Self::Strands => include_str!("strands_agent.py"),
        }
    }
}
