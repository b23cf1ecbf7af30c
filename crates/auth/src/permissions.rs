//! What a role may do: statements in IAM's words, each of which allows all its actions on all its resources. What no
//! statement allows is refused; there are no denials.

use serde::Deserialize;

use crate::pattern::{matches, matches_ignoring_case};

/// Everything a role may do; nothing, by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions(Vec<Statement>);

/// Actions on resources, both with `*` and `?`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Such as `bedrock-agentcore:Invoke*`; case does not matter.
    pub actions: Vec<String>,
    /// ARNs; case matters.
    pub resources: Vec<String>,
}

impl Permissions {
    /// What these statements allow.
    pub fn new(statements: Vec<Statement>) -> Self {
        Self(statements)
    }

    /// Whether this action, with its service's prefix, is allowed on a resource that has any of these names.
    pub fn allow(&self, action: &str, names: &[&str]) -> bool {
        self.about(action).any(|statement| {
            let about_resource =
                |name: &&str| statement.resources.iter().any(|pattern| matches(pattern, name));
            names.iter().any(about_resource)
        })
    }

    /// Whether there may be a resource on which this action is allowed.
    pub fn mention(&self, action: &str) -> bool {
        self.about(action).next().is_some()
    }

    fn about(&self, action: &str) -> impl Iterator<Item = &Statement> {
        self.0.iter().filter(move |statement| {
            let mut patterns = statement.actions.iter();
            patterns.any(|pattern| matches_ignoring_case(pattern, action))
        })
    }
}

/// Whether a pattern of a statement takes in this action, perhaps among others.
pub fn takes_in(pattern: &str, action: &str) -> bool {
    matches_ignoring_case(pattern, action)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HELPER: &str = "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/helper-AbCdEf0123";
    const OTHER: &str = "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/other-AbCdEf0123";

    fn statement(actions: &[&str], resources: &[&str]) -> Statement {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Statement {
            actions: owned(actions),
            resources: owned(resources),
        }
    }

    #[test]
    fn nothing_is_allowed_unless_one_statement_allows_it_all() {
        let permissions = Permissions::new(vec![
            statement(
                &["bedrock-agentcore:InvokeAgentRuntime"],
                &["arn:aws:bedrock-agentcore:*:*:runtime/helper-*"],
            ),
            statement(&["bedrock-agentcore:Get*"], &[OTHER]),
        ]);
        for (action, resource, allowed) in [
            ("bedrock-agentcore:InvokeAgentRuntime", HELPER, true),
            ("bedrock-agentcore:InvokeAgentRuntime", OTHER, false),
            ("bedrock-agentcore:InvokeAgentRuntimeForUser", HELPER, false),
            ("bedrock-agentcore:GetAgentRuntime", OTHER, true),
            ("bedrock-agentcore:GetAgentRuntime", HELPER, false),
            ("s3:GetObject", HELPER, false),
        ] {
            assert_eq!(
                permissions.allow(action, &[resource]),
                allowed,
                "{action} {resource}"
            );
        }
        assert!(permissions.allow("bedrock-agentcore:GetAgentRuntime", &[HELPER, OTHER]));
        assert!(!permissions.allow("bedrock-agentcore:GetAgentRuntime", &[]));
        assert!(permissions.mention("bedrock-agentcore:GetAgentRuntime"));
        assert!(!permissions.mention("bedrock-agentcore:StopRuntimeSession"));
    }

    proptest! {
        #[test]
        fn a_role_without_statements_may_nothing(action in ".{0,40}", resource in ".{0,80}") {
            prop_assert!(!Permissions::default().allow(&action, &[&resource]));
        }

        #[test]
        fn a_resource_without_wildcards_is_that_resource_alone(named in "[a-z:/]{1,12}", asked in "[a-z:/]{1,12}") {
            let permissions = Permissions::new(vec![statement(&["*"], &[&named])]);
            prop_assert_eq!(permissions.allow("any:Thing", &[&asked]), named == asked);
        }
    }
}
