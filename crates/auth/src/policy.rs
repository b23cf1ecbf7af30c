//! Resource policies: JSON text attached to one runtime or endpoint, which says who may do what with it.
//!
//! What this evaluator does not understand it refuses when the policy is put, so that no part of a policy is
//! ever silently without effect: `Condition`, `NotPrincipal`, `NotAction`, `NotResource`, principals that are not
//! AWS accounts or identities, and actions that the service does not have.

use coracle_types::{AccountId, RoleArn};
use serde::Deserialize;
use serde_json::Value;

use crate::pattern::matches_ignoring_case as matches;

/// Most statements of a policy.
const MAX_STATEMENTS: usize = 100;

/// What a policy can be about, without the service's prefix.
pub const ACTIONS: [&str; 9] = [
    "GetAgentCard",
    "InvokeAgentRuntime",
    "InvokeAgentRuntimeCommand",
    "InvokeAgentRuntimeCommandShell",
    "InvokeAgentRuntimeForUser",
    "InvokeAgentRuntimeProxy",
    "InvokeAgentRuntimeWithWebSocketStream",
    "InvokeAgentRuntimeWithWebSocketStreamForUser",
    "StopRuntimeSession",
];
/// What the service's actions begin with.
pub const SERVICE_PREFIX: &str = "bedrock-agentcore:";

/// Why a text is not a policy for a resource. Says so to whoever put it.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is no JSON, or has members that a policy has not.
    #[error("The policy cannot be read: {0}")]
    Unreadable(serde_json::Error),
    /// The number of statements.
    #[error("A policy has 1 to {MAX_STATEMENTS} statements, this one has {0}")]
    StatementCount(usize),
    /// One of its statements.
    #[error("Statement {number} of the policy: {problem}")]
    Statement {
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong with it.
        problem: String,
    },
}

/// What a policy says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A statement denies it, whatever any other says.
    Denied,
    /// A statement allows it.
    Allowed,
    /// No statement is about it.
    Silent,
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// The ARN of the user or of the role's session.
    pub arn: String,
    /// The role, if it acts under one; what names the role is about all its sessions.
    pub role: Option<RoleArn>,
}

/// A policy of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy(Vec<Statement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    denies: bool,
    principals: Principals,
    actions: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Principals {
    Everybody,
    /// Account ids, and ARNs of identities.
    These(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    #[serde(rename = "Version")]
    _version: Option<Version>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<Value>,
}

#[derive(Deserialize)]
enum Version {
    #[serde(rename = "2008-10-17")]
    Old,
    #[serde(rename = "2012-10-17")]
    Current,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawStatement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    principal: RawPrincipal,
    action: OneOrMany<String>,
    resource: OneOrMany<String>,
}

#[derive(Deserialize, PartialEq)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawPrincipal {
    Star(String),
    Named(NamedPrincipals),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedPrincipals {
    #[serde(rename = "AWS")]
    aws: OneOrMany<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::Many(items) => items,
            Self::One(item) => vec![item],
        }
    }
}

impl Policy {
    /// Reads the policy of the resource with this ARN.
    ///
    /// # Errors
    /// When any part of it is not understood, or it names another resource.
    pub fn parse(text: &str, resource: &str) -> Result<Self, PolicyError> {
        let document: Document = serde_json::from_str(text).map_err(PolicyError::Unreadable)?;
        let statements = document.statement.into_vec();
        if statements.is_empty() || statements.len() > MAX_STATEMENTS {
            return Err(PolicyError::StatementCount(statements.len()));
        }
        let parsed = statements.into_iter().enumerate().map(|(index, value)| {
            Statement::parse(value, resource).map_err(|problem| PolicyError::Statement {
                number: index + 1,
                problem,
            })
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// What the policy says when this identity wants to do this; the action is without the service's prefix.
    pub fn decide(&self, who: &Identity, action: &str) -> Decision {
        let mut decision = Decision::Silent;
        for statement in &self.0 {
            if statement.principals.include(who) && statement.is_about(action) {
                if statement.denies {
                    return Decision::Denied;
                }
                decision = Decision::Allowed;
            }
        }
        decision
    }

    /// Whether every statement is about everybody, as it must be where callers are no AWS identities.
    pub fn is_for_everybody(&self) -> bool {
        self.0
            .iter()
            .all(|statement| statement.principals == Principals::Everybody)
    }
}

impl Statement {
    fn parse(value: Value, resource: &str) -> Result<Self, String> {
        let raw: RawStatement = serde_json::from_value(value).map_err(|error| error.to_string())?;
        let resources = raw.resource.into_vec();
        if resources.is_empty() || resources.iter().any(|named| named != resource) {
            return Err(format!("Resource must be {resource}"));
        }
        let actions: Vec<String> = raw
            .action
            .into_vec()
            .iter()
            .map(|action| known_action(action))
            .collect::<Result<_, _>>()?;
        if actions.is_empty() {
            return Err("Action must not be empty".to_owned());
        }
        Ok(Self {
            denies: raw.effect == Effect::Deny,
            principals: Principals::parse(raw.principal)?,
            actions,
        })
    }

    fn is_about(&self, action: &str) -> bool {
        self.actions.iter().any(|pattern| matches(pattern, action))
    }
}

impl Principals {
    fn parse(raw: RawPrincipal) -> Result<Self, String> {
        let named = match raw {
            RawPrincipal::Star(star) => vec![star],
            RawPrincipal::Named(named) => named.aws.into_vec(),
        };
        if named.is_empty() {
            return Err("Principal must not be empty".to_owned());
        }
        if named.iter().any(|name| name == "*") {
            return Ok(Self::Everybody);
        }
        match named.iter().find(|name| !is_principal(name)) {
            None => Ok(Self::These(named)),
            Some(name) => Err(format!(
                "'{name}' is not \"*\", an account id or the ARN of an IAM or STS identity"
            )),
        }
    }

    fn include(&self, who: &Identity) -> bool {
        let Self::These(named) = self else { return true };
        named.iter().any(|name| {
            let whole_account = name.as_str() == who.account.as_str()
                || name
                    .strip_suffix(":root")
                    .and_then(|rest| rest.rsplit_once(':'))
                    .is_some_and(|(_, account)| account == who.account.as_str());
            let of_role = who.role.as_ref().is_some_and(|role| name == role.as_str());
            whole_account || of_role || *name == who.arn
        })
    }
}

fn is_principal(name: &str) -> bool {
    if name.parse::<AccountId>().is_ok() {
        return true;
    }
    let parts: Vec<&str> = name.splitn(6, ':').collect();
    let ["arn", partition, "iam" | "sts", "", account, identity] = parts[..] else {
        return false;
    };
    partition.starts_with("aws")
        && account.parse::<AccountId>().is_ok()
        && !identity.is_empty()
        && !identity.contains(['*', '?'])
}

/// The action without its prefix, if it can match anything this service does.
fn known_action(action: &str) -> Result<String, String> {
    let pattern = if action == "*" {
        Some(action)
    } else {
        action
            .get(..SERVICE_PREFIX.len())
            .filter(|prefix| prefix.eq_ignore_ascii_case(SERVICE_PREFIX))
            .map(|prefix| &action[prefix.len()..])
    };
    pattern
        .filter(|pattern| ACTIONS.iter().any(|known| matches(pattern, known)))
        .map(str::to_owned)
        .ok_or_else(|| format!("'{action}' is no action on an agent runtime"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/hello-AbCdEf0123";

    fn identity(account: &str, name: &str) -> Identity {
        Identity {
            account: account.parse().unwrap(),
            arn: format!("arn:aws:iam::{account}:user/{name}"),
            role: None,
        }
    }

    fn policy(statements: &Value) -> Result<Policy, PolicyError> {
        Policy::parse(
            &json!({"Version": "2012-10-17", "Statement": statements}).to_string(),
            ARN,
        )
    }

    fn statement(effect: &str, principal: &Value, action: &str) -> Value {
        json!({"Effect": effect, "Principal": principal, "Action": action, "Resource": ARN})
    }

    #[test]
    fn a_denial_wins_over_whatever_allows() {
        let policy = policy(&json!([
            statement("Allow", &json!("*"), "bedrock-agentcore:*"),
            statement(
                "Deny",
                &json!({"AWS": "111111111111"}),
                "bedrock-agentcore:StopRuntimeSession"
            ),
        ]))
        .unwrap();
        let (one, other) = (identity("111111111111", "a"), identity("222222222222", "a"));
        assert_eq!(policy.decide(&one, "StopRuntimeSession"), Decision::Denied);
        assert_eq!(policy.decide(&one, "InvokeAgentRuntime"), Decision::Allowed);
        assert_eq!(policy.decide(&other, "StopRuntimeSession"), Decision::Allowed);
        assert!(!policy.is_for_everybody());
    }

    #[test]
    fn a_principal_is_an_account_its_root_or_one_identity() {
        for (principal, same, colleague) in [
            ("111111111111", true, true),
            ("arn:aws:iam::111111111111:root", true, true),
            ("arn:aws:iam::111111111111:user/a", true, false),
            ("arn:aws:iam::222222222222:root", false, false),
        ] {
            let policy = policy(&statement(
                "Allow",
                &json!({"AWS": [principal]}),
                "bedrock-agentcore:InvokeAgentRuntime",
            ))
            .unwrap();
            let allows = |name| {
                policy.decide(&identity("111111111111", name), "InvokeAgentRuntime") == Decision::Allowed
            };
            assert_eq!((allows("a"), allows("b")), (same, colleague), "{principal}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let good = statement("Allow", &json!("*"), "bedrock-agentcore:Invoke*");
        assert!(policy(&good).is_ok());
        let with = |name: &str, value: Value| {
            let mut changed = good.clone();
            changed[name] = value;
            changed
        };
        for bad in [
            with("Condition", json!({"Bool": {"aws:SecureTransport": "true"}})),
            with("NotAction", json!("x")),
            with("Resource", json!("*")),
            with("Resource", json!([ARN, "arn:other"])),
            with("Resource", json!([])),
            with("Effect", json!("Perhaps")),
            with("Principal", json!({"Service": "lambda.amazonaws.com"})),
            with("Principal", json!({"AWS": "arn:aws:iam::111111111111:user/*"})),
            with("Principal", json!({"AWS": []})),
            with("Action", json!("bedrock-agentcore:InvokeAgentRuntim")),
            with("Action", json!("s3:GetObject")),
            with("Action", json!([])),
            json!([]),
            json!(vec![good.clone(); MAX_STATEMENTS + 1]),
            json!("text"),
        ] {
            assert!(policy(&bad).is_err(), "{bad}");
        }
        for text in [
            "",
            "{}",
            "[]",
            r#"{"Version":"2013-01-01","Statement":[]}"#,
            r#"{"Statement":[],"Statement":[]}"#,
        ] {
            assert!(Policy::parse(text, ARN).is_err(), "{text}");
        }
    }

    #[test]
    fn what_names_a_role_is_about_its_sessions() {
        let role = "arn:aws:iam::111111111111:role/front";
        let policy = policy(&json!([
            statement("Allow", &json!("*"), "bedrock-agentcore:*"),
            statement(
                "Deny",
                &json!({"AWS": role}),
                "bedrock-agentcore:StopRuntimeSession"
            ),
        ]))
        .unwrap();
        let session = Identity {
            account: "111111111111".parse().unwrap(),
            arn: "arn:aws:sts::111111111111:assumed-role/front/s".to_owned(),
            role: Some(role.parse().unwrap()),
        };
        assert_eq!(policy.decide(&session, "StopRuntimeSession"), Decision::Denied);
        assert_eq!(policy.decide(&session, "InvokeAgentRuntime"), Decision::Allowed);
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in ".{0,200}") {
            drop(Policy::parse(&text, ARN));
        }
    }
}
