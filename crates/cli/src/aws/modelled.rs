//! Makes requests of AgentCore operations from their typed input, by the same table that a server reads them by:
//! each member goes to the path, the query, the headers or the JSON body.

use coracle_wire::{Location, Modelled, OPERATIONS, Payload, Service as Plane};
use http::{HeaderName, HeaderValue, Method, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Call, Client, ClientError, Service, escape};
use crate::settings::Endpoints;

impl Client {
    /// Calls an operation whose answer is small and entirely in its body.
    pub(super) async fn call<O>(&self, input: &O::Input) -> Result<O::Output, ClientError>
    where
        O: Modelled<Input: Serialize, Output: DeserializeOwned>,
    {
        self.json(request::<O>(&self.settings.endpoints.value, input)?)
            .await
    }
}

/// The request that says this input.
pub(super) fn request<O>(endpoints: &Endpoints, input: &O::Input) -> Result<Call, ClientError>
where
    O: Modelled<Input: Serialize>,
{
    let unsayable = || ClientError::BadRequest("its input cannot be said in HTTP");
    let operation = OPERATIONS
        .iter()
        .find(|operation| operation.name == O::NAME)
        .ok_or_else(unsayable)?;
    let structure = O::input_shape().structure().ok_or_else(unsayable)?;
    let Ok(Value::Object(mut members)) = serde_json::to_value(input) else {
        return Err(unsayable());
    };
    let method = Method::from_bytes(operation.method.as_bytes()).map_err(|_| unsayable())?;
    let base = match operation.service {
        Plane::Control => &endpoints.control,
        Plane::Data => &endpoints.data,
    };
    let mut call = Call::new(Service::AgentCore, method, base.clone());
    let mut path = operation.uri.to_owned();
    let mut query = Vec::new();
    for member in structure.members {
        if member.location == Location::Body {
            continue;
        }
        let Some(value) = members.remove(member.name) else {
            continue;
        };
        let text = plain(&value);
        match member.location {
            Location::Label(label) => path = path.replace(&format!("{{{label}}}"), &escape(&text)),
            Location::Query(name) => query.push(format!("{}={}", escape(name), escape(&text))),
            Location::Header(name) => {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsayable())?;
                call.headers
                    .insert(name, HeaderValue::from_str(&text).map_err(|_| unsayable())?);
            }
            Location::Body | Location::StatusCode => {}
        }
    }
    call.url
        .set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    call.url
        .set_query((!query.is_empty()).then(|| query.join("&")).as_deref());
    match structure.payload {
        Payload::Member(name) => put_body(&mut call, &members.remove(name).unwrap_or_default()),
        _ if members.is_empty() => {}
        _ => put_body(&mut call, &Value::Object(members)),
    }
    Ok(call)
}

fn put_body(call: &mut Call, body: &Value) {
    call.headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    call.body = body.to_string().into();
}

/// A value as the text of a label, a query parameter or a header.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use coracle_wire::{control, data};

    use super::*;

    fn endpoints() -> Endpoints {
        let url: reqwest::Url = "http://127.0.0.1:4580/".parse().unwrap();
        Endpoints {
            control: url.clone(),
            data: url.clone(),
            s3: url.clone(),
            sts: url,
            is_aws: false,
        }
    }

    #[test]
    fn members_go_where_the_model_says() {
        let input = control::ListAgentRuntimesRequest {
            max_results: Some(5),
            next_token: Some("a/b".to_owned()),
        };
        let call = request::<control::operations::ListAgentRuntimes>(&endpoints(), &input).unwrap();
        assert_eq!((call.method.as_str(), call.url.path()), ("POST", "/runtimes/"));
        assert_eq!(call.url.query(), Some("maxResults=5&nextToken=a%2Fb"));
        assert!(call.body.is_empty() && call.headers.is_empty());

        let arn = "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/a-0123456789";
        let input = data::StopRuntimeSessionRequest {
            runtime_session_id: "s".repeat(33).parse().unwrap(),
            agent_runtime_arn: arn.to_owned(),
            qualifier: Some("DEFAULT".to_owned()),
            client_token: Some("t".to_owned()),
        };
        let call = request::<data::operations::StopRuntimeSession>(&endpoints(), &input).unwrap();
        assert_eq!(
            call.url.as_str(),
            "http://127.0.0.1:4580/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A000000000000%3Aruntime\
             %2Fa-0123456789/stopruntimesession?qualifier=DEFAULT"
        );
        assert_eq!(
            call.headers["x-amzn-bedrock-agentcore-runtime-session-id"],
            "s".repeat(33)
        );
        assert_eq!(call.body.as_ref(), br#"{"clientToken":"t"}"#);
    }
}
