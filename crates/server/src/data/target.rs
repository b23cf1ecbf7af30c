//! Which runtime and endpoint a request names, and whether its sender may use them.

use coracle_auth::policy::{Decision, Identity, Policy};
use coracle_store::Owner;
use coracle_types::{AccountId, EndpointArn, EndpointName, InvocationTarget, RuntimeArn, RuntimeId};
use coracle_wire::{Error, Labels};
use http::request::Parts;

use crate::gateway::{Caller, Why};

/// An endpoint of a runtime, perhaps of another account, and perhaps one that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) owner: Owner,
    pub(super) runtime: RuntimeId,
    pub(super) endpoint: EndpointName,
}

/// The policies that bear on an endpoint.
#[derive(Debug, Default)]
pub(super) struct Policies {
    pub(super) runtime: Option<Policy>,
    pub(super) endpoint: Option<Policy>,
}

impl Target {
    /// Reads one from a request of which there is no model: the path's runtime, and `qualifier` and `accountId` of the
    /// query.
    pub(super) fn asked(caller: &Caller, labels: &Labels, parts: &Parts) -> Result<Self, Error> {
        let named = labels.get("agentRuntimeArn").unwrap_or_default();
        let qualifier = super::parameter(parts, "qualifier");
        let account = super::parameter(parts, "accountId");
        Self::named(caller, named, qualifier.as_deref(), account.as_deref())
    }

    /// Reads one from a request: the runtime's ARN and a qualifier, an endpoint's ARN, or the runtime's id with
    /// the account beside it.
    pub(super) fn named(
        caller: &Caller,
        named: &str,
        qualifier: Option<&str>,
        account: Option<&str>,
    ) -> Result<Self, Error> {
        let qualifier: Option<EndpointName> = qualifier
            .map(str::parse)
            .transpose()
            .map_err(|_| Error::not_found("The endpoint does not exist"))?;
        if let Ok(target) = named.parse::<InvocationTarget>() {
            let target = Self::of_arn(target, qualifier);
            if target.owner.region != caller.region {
                return Err(Error::not_found(format!(
                    "{named} does not exist in region {}",
                    caller.region
                )));
            }
            return Ok(target);
        }
        let Ok(runtime) = named.parse::<RuntimeId>() else {
            return Err(Error::validation_field(
                "agentRuntimeArn",
                "Member must be the ARN of an agent runtime, or its id together with accountId",
            ));
        };
        let account: AccountId = account.and_then(|account| account.parse().ok()).ok_or_else(|| {
            Error::validation_field("accountId", "Member is required when agentRuntimeArn is an id")
        })?;
        Ok(Self {
            owner: Owner {
                account,
                region: caller.region.clone(),
            },
            runtime,
            endpoint: qualifier.unwrap_or_else(EndpointName::default_endpoint),
        })
    }

    /// What an ARN names; a qualifier wins over an endpoint in it.
    pub(super) fn of_arn(arn: InvocationTarget, qualifier: Option<EndpointName>) -> Self {
        let (runtime, endpoint) = match arn {
            InvocationTarget::Runtime(runtime) => (runtime, None),
            InvocationTarget::Endpoint(endpoint) => (endpoint.runtime, Some(endpoint.endpoint)),
        };
        Self {
            owner: Owner {
                account: runtime.account,
                region: runtime.region,
            },
            runtime: runtime.runtime,
            endpoint: qualifier
                .or(endpoint)
                .unwrap_or_else(EndpointName::default_endpoint),
        }
    }

    /// The runtime's ARN.
    pub(super) fn arn(&self) -> RuntimeArn {
        RuntimeArn {
            region: self.owner.region.clone(),
            account: self.owner.account.clone(),
            runtime: self.runtime.clone(),
        }
    }

    /// Its names to roles: who may do something with a runtime may do it at all its endpoints.
    pub(super) fn names(&self) -> [String; 2] {
        let runtime = self.arn();
        let endpoint = EndpointArn {
            runtime: runtime.clone(),
            endpoint: self.endpoint.clone(),
        };
        [runtime.to_string(), endpoint.to_string()]
    }

    /// Whether it belongs to another account than the caller's.
    pub(super) fn is_foreign(&self, caller: &Caller) -> bool {
        self.owner.account != caller.account
    }
}

impl Policies {
    /// Whether the caller may do this. A denial in either policy is final. Within the account nothing more is
    /// needed; for another account both must allow it.
    pub(super) fn judge(&self, who: &Identity, foreign: bool, action: &str) -> Result<(), Why> {
        let decide = |policy: &Option<Policy>| {
            policy
                .as_ref()
                .map_or(Decision::Silent, |policy| policy.decide(who, action))
        };
        match (decide(&self.runtime), decide(&self.endpoint)) {
            (Decision::Denied, _) | (_, Decision::Denied) => Err(Why::DeniedByResource),
            (Decision::Allowed, Decision::Allowed) => Ok(()),
            _ if foreign => Err(Why::NotAllowedByResource),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Proof;

    const ARN: &str = "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/hello-AbCdEf0123";

    fn caller() -> Caller {
        Caller {
            account: "000000000000".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            principal: "administrator".to_owned(),
            proof: Proof::Signature,
            request_id: "r".to_owned(),
        }
    }

    #[test]
    fn a_runtime_is_named_in_three_ways() {
        let endpoint = |named: &str, qualifier, account| {
            let target = Target::named(&caller(), named, qualifier, account).unwrap();
            target.endpoint.as_str().to_owned()
        };
        assert_eq!(endpoint(ARN, None, None), "DEFAULT");
        assert_eq!(endpoint(ARN, Some("prod"), None), "prod");
        let of_endpoint = format!("{ARN}/runtime-endpoint/test");
        assert_eq!(endpoint(&of_endpoint, None, None), "test");
        assert_eq!(
            endpoint("hello-AbCdEf0123", None, Some("000000000000")),
            "DEFAULT"
        );
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let status = |named: &str, qualifier, account| {
            let refused = Target::named(&caller(), named, qualifier, account).unwrap_err();
            refused.status().as_u16()
        };
        let elsewhere = ARN.replace("us-east-1", "eu-west-1");
        assert_eq!(status(&elsewhere, None, None), 404);
        assert_eq!(status("nonsense", None, None), 400);
        assert_eq!(status("hello-AbCdEf0123", None, None), 400);
        assert_eq!(status(ARN, Some("not a name"), None), 404);
    }

    #[test]
    fn a_foreigner_is_told_apart() {
        let foreign = ARN.replace("000000000000", "111111111111");
        let target = |named: &str, account| Target::named(&caller(), named, None, account).unwrap();
        assert!(target(&foreign, None).is_foreign(&caller()));
        assert!(target("hello-AbCdEf0123", Some("111111111111")).is_foreign(&caller()));
        assert!(!target(ARN, None).is_foreign(&caller()));
    }

    #[test]
    fn denial_wins_and_foreigners_need_both_policies() {
        let policy = |effect: &str| {
            let text = serde_json::json!({"Statement": {
                "Effect": effect, "Principal": "*", "Action": "*", "Resource": ARN,
            }});
            Some(Policy::parse(&text.to_string(), ARN).unwrap())
        };
        let who = Identity {
            account: "000000000000".parse().unwrap(),
            arn: "arn:aws:iam::000000000000:user/a".to_owned(),
            role: None,
        };
        for (runtime, endpoint, own, foreign) in [
            (None, None, true, false),
            (policy("Allow"), None, true, false),
            (None, policy("Allow"), true, false),
            (policy("Allow"), policy("Allow"), true, true),
            (policy("Allow"), policy("Deny"), false, false),
            (policy("Deny"), None, false, false),
        ] {
            let policies = Policies { runtime, endpoint };
            let allowed = |foreign| policies.judge(&who, foreign, "InvokeAgentRuntime").is_ok();
            assert_eq!((allowed(false), allowed(true)), (own, foreign), "{policies:?}");
        }
    }
}
