//! What is to be generated: the listed operations of a service and every shape they reach.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use super::model::{Member, Model, Operation, Shape, ShapeType};

/// `operations.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Configuration {
    pub(crate) control: ServiceConfiguration,
    pub(crate) data: ServiceConfiguration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceConfiguration {
    buffered: Vec<String>,
    streaming: Vec<String>,
    #[serde(default)]
    shape: BTreeMap<String, Deviation>,
}

/// How a shape differs from the model.
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Deviation {
    /// The type of `coracle-types` that stands for it.
    pub(crate) rust: Option<String>,
    /// The pattern to use instead.
    pub(crate) pattern: Option<String>,
    /// Whether the model's pattern is not enforced.
    #[serde(default)]
    pub(crate) any_pattern: bool,
    /// What to say if not exactly one member is set.
    pub(crate) union_message: Option<String>,
}

pub(crate) struct Selection<'m> {
    /// `control` or `data`.
    pub(crate) service: &'static str,
    pub(crate) model: &'m Model,
    pub(crate) buffered: Vec<(&'m str, &'m Operation)>,
    pub(crate) streaming: Vec<(&'m str, &'m Operation)>,
    /// Every shape in use, by name.
    pub(crate) shapes: BTreeMap<&'m str, &'m Shape>,
    deviations: &'m BTreeMap<String, Deviation>,
}

impl Configuration {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("{} could not be read", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a list of operations", path.display()))
    }
}

impl<'m> Selection<'m> {
    pub(crate) fn new(
        service: &'static str,
        model: &'m Model,
        configuration: &'m ServiceConfiguration,
    ) -> anyhow::Result<Self> {
        let mut selection = Self {
            service,
            model,
            buffered: operations(model, &configuration.buffered)?,
            streaming: operations(model, &configuration.streaming)?,
            shapes: BTreeMap::new(),
            deviations: &configuration.shape,
        };
        for (name, operation) in selection.all() {
            selection.reach(&operation.input)?;
            selection.reach(&operation.output)?;
            let raw =
                selection.has_raw_body(&operation.input)? || selection.has_raw_body(&operation.output)?;
            let streaming = selection
                .streaming
                .iter()
                .any(|(streaming, _)| *streaming == name);
            ensure!(
                raw == streaming,
                "{name} is listed under the wrong one of `buffered` and `streaming`"
            );
        }
        if let Some(unused) = selection
            .deviations
            .keys()
            .find(|name| !selection.shapes.contains_key(name.as_str()))
        {
            bail!("no implemented operation uses the shape {unused} of the {service} service");
        }
        Ok(selection)
    }

    /// Every implemented operation.
    pub(crate) fn all(&self) -> Vec<(&'m str, &'m Operation)> {
        let mut all: Vec<_> = self.buffered.iter().chain(&self.streaming).copied().collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }

    /// The members of a structure, without a body that belongs to the handler.
    pub(crate) fn members(&self, shape: &'m Shape) -> Vec<&'m Member> {
        let raw = |member: &Member| {
            shape.payload.as_ref() == Some(&member.name)
                && self
                    .model
                    .shapes
                    .get(&member.target)
                    .is_some_and(Shape::is_raw_body)
        };
        shape.members.iter().filter(|member| !raw(member)).collect()
    }

    pub(crate) fn rust_type(&self, shape: &str) -> Option<&'m str> {
        self.deviations.get(shape)?.rust.as_deref()
    }

    pub(crate) fn pattern(&self, name: &str, shape: &'m Shape) -> Option<&'m str> {
        match self.deviations.get(name) {
            Some(Deviation {
                any_pattern: true, ..
            }) => None,
            Some(Deviation {
                pattern: Some(pattern),
                ..
            }) => Some(pattern),
            _ => shape.pattern.as_deref(),
        }
    }

    /// What to tell callers who did not set exactly one member of a union.
    pub(crate) fn union_message(&self, name: &str, shape: &Shape) -> String {
        let own = self
            .deviations
            .get(name)
            .and_then(|deviation| deviation.union_message.clone());
        own.unwrap_or_else(|| {
            let names: Vec<&str> = shape.members.iter().map(Member::json_name).collect();
            format!(
                "Member must have exactly one of these set: [{}]",
                names.join(", ")
            )
        })
    }

    /// Whether a structure contains itself through required or optional members, not through lists or maps.
    pub(crate) fn contains(&self, shape: &str, sought: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut pending = vec![shape];
        while let Some(name) = pending.pop() {
            if name == sought {
                return true;
            }
            let Some(shape) = self.model.shapes.get(name).filter(|_| seen.insert(name)) else {
                continue;
            };
            if shape.kind == ShapeType::Structure {
                pending.extend(shape.members.iter().map(|member| member.target.as_str()));
            }
        }
        false
    }

    fn has_raw_body(&self, shape: &str) -> anyhow::Result<bool> {
        let shape = self.model.shape(shape)?;
        let payload = shape
            .members
            .iter()
            .find(|member| shape.payload.as_ref() == Some(&member.name));
        payload.map_or(Ok(false), |member| {
            Ok(self.model.shape(&member.target)?.is_raw_body())
        })
    }

    fn reach(&mut self, name: &'m str) -> anyhow::Result<()> {
        let shape = self.model.shape(name)?;
        if self.shapes.insert(name, shape).is_some() {
            return Ok(());
        }
        if shape.kind == ShapeType::Structure {
            for member in self.members(shape) {
                self.reach(&member.target)?;
            }
            return Ok(());
        }
        shape.references().try_for_each(|name| self.reach(name))
    }
}

fn operations<'m>(model: &'m Model, names: &[String]) -> anyhow::Result<Vec<(&'m str, &'m Operation)>> {
    let find = |name: &String| {
        let found = model.operations.get_key_value(name);
        let (name, operation) = found.with_context(|| format!("the model has no operation {name}"))?;
        Ok((name.as_str(), operation))
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{dispatch, shapes, types};
    use super::*;

    fn model(name: &str) -> Model {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/wire/model");
        Model::read(&folder.join(format!("{name}.json"))).unwrap()
    }

    fn render(model: &Model, configuration: &ServiceConfiguration) -> anyhow::Result<String> {
        let selection = Selection::new("control", model, configuration)?;
        Ok(types::render(&selection)? + &shapes::render(&selection)? + &dispatch::render(&selection)?)
    }

    /// Lists one operation where it belongs, without deviations.
    fn only(model: &Model, name: &str) -> ServiceConfiguration {
        let listed = vec![name.to_owned()];
        let buffered = ServiceConfiguration {
            buffered: listed.clone(),
            streaming: Vec::new(),
            shape: BTreeMap::new(),
        };
        match Selection::new("control", model, &buffered) {
            Ok(_) => buffered,
            Err(_) => ServiceConfiguration {
                buffered: Vec::new(),
                streaming: listed,
                shape: BTreeMap::new(),
            },
        }
    }

    #[test]
    fn any_operation_can_be_listed_unless_it_needs_look_around() {
        let mut refused = Vec::new();
        for model in [model("bedrock-agentcore-control"), model("bedrock-agentcore")] {
            for name in model.operations.keys() {
                if let Err(error) = render(&model, &only(&model, name)) {
                    assert!(format!("{error:#}").contains("(?!"), "{name}: {error:#}");
                    refused.push(name.clone());
                }
            }
        }
        assert!(refused.len() < 20, "{refused:?}");
    }

    #[test]
    fn an_operation_in_the_wrong_list_or_of_no_model_is_refused() {
        let model = model("bedrock-agentcore");
        for name in ["InvokeAgentRuntime", "CreateAgentRuntime"] {
            let wrong = ServiceConfiguration {
                buffered: vec![name.to_owned()],
                streaming: Vec::new(),
                shape: BTreeMap::new(),
            };
            assert!(Selection::new("data", &model, &wrong).is_err(), "{name}");
        }
    }
}
