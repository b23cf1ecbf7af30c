//! The service model as `crates/wire/model/extract.py` writes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "where the facts come from is for readers of the file")]
pub(crate) struct Model {
    botocore: String,
    pub(crate) service: String,
    api_version: String,
    pub(crate) operations: BTreeMap<String, Operation>,
    pub(crate) shapes: BTreeMap<String, Shape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "a handler decides which errors it answers and what a repeated request means"
)]
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) status: u16,
    pub(crate) input: String,
    pub(crate) output: String,
    errors: Vec<String>,
    #[serde(default)]
    idempotent: bool,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ShapeType {
    Structure,
    List,
    Map,
    String,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
    Timestamp,
    Blob,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "events and errors are written by hand")]
pub(crate) struct Shape {
    #[serde(rename = "type")]
    pub(crate) kind: ShapeType,
    #[serde(default)]
    pub(crate) members: Vec<Member>,
    pub(crate) item: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    #[serde(default)]
    pub(crate) required: Vec<String>,
    pub(crate) min: Option<serde_json::Number>,
    pub(crate) max: Option<serde_json::Number>,
    pub(crate) pattern: Option<String>,
    #[serde(rename = "enum", default)]
    pub(crate) values: Vec<String>,
    pub(crate) payload: Option<String>,
    pub(crate) timestamp_format: Option<String>,
    #[serde(default)]
    pub(crate) union: bool,
    #[serde(default)]
    pub(crate) sensitive: bool,
    #[serde(default)]
    streaming: bool,
    #[serde(default)]
    pub(crate) document: bool,
    #[serde(default)]
    pub(crate) eventstream: bool,
    #[serde(default)]
    event: bool,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "a client fills in idempotency tokens")]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) target: String,
    pub(crate) location: Option<Location>,
    pub(crate) location_name: Option<String>,
    #[serde(default)]
    idempotency_token: bool,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Location {
    Uri,
    #[serde(rename = "querystring")]
    Query,
    Header,
    StatusCode,
}

impl Model {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("{} could not be read", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not a service model", path.display()))
    }

    pub(crate) fn shape(&self, name: &str) -> anyhow::Result<&Shape> {
        self.shapes
            .get(name)
            .with_context(|| format!("the model has no shape {name}"))
    }
}

impl Shape {
    /// The shapes this one is made of.
    pub(crate) fn references(&self) -> impl Iterator<Item = &str> {
        let members = self.members.iter().map(|member| member.target.as_str());
        members.chain(
            [&self.item, &self.key, &self.value]
                .into_iter()
                .flatten()
                .map(String::as_str),
        )
    }

    /// Whether a message with this payload has a body that is not JSON.
    pub(crate) fn is_raw_body(&self) -> bool {
        self.kind == ShapeType::Blob || self.eventstream
    }
}

impl Member {
    /// Its name in JSON: a member in the body is renamed by `locationName`, one elsewhere keeps its own.
    pub(crate) fn json_name(&self) -> &str {
        match (&self.location, &self.location_name) {
            (None, Some(name)) => name,
            _ => &self.name,
        }
    }
}
