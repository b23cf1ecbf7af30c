//! Renders the static table of shapes.

use anyhow::{Context as _, bail, ensure};

use super::model::{Location, Member, Shape, ShapeType};
use super::naming::snake;
use super::pattern::anchored;
use super::selection::Selection;

pub(crate) fn render(selection: &Selection<'_>) -> anyhow::Result<String> {
    let mut statics = String::new();
    for (name, shape) in &selection.shapes {
        let kind = kind(selection, name, shape).with_context(|| format!("the shape {name}"))?;
        statics += &format!(
            "pub(super) static {}: Shape = Shape {{ name: {name:?}, kind: {kind}, sensitive: {} }};\n",
            static_name(name),
            shape.sensitive,
        );
    }
    let imports: Vec<&str> = [
        "Kind",
        "Length",
        "Location",
        "Member",
        "Payload",
        "Range",
        "Shape",
        "Structure",
        "TimestampFormat",
    ]
    .into_iter()
    .filter(|name| statics.contains(&format!("{name} {{")) || statics.contains(&format!("{name}::")))
    .collect();
    let pattern = if statics.contains("Pattern::new") {
        "use crate::pattern::Pattern;\n"
    } else {
        ""
    };
    Ok(format!(
        "// Written by `cargo xtask generate`.\n\
         //! What requests to the {} service are validated against.\n\n\
         {pattern}use crate::shape::{{{}}};\n\n{statics}",
        selection.service,
        imports.join(", "),
    ))
}

/// The name of a shape's static.
pub(crate) fn static_name(shape: &str) -> String {
    snake(shape).trim_start_matches("r#").to_uppercase()
}

fn kind(selection: &Selection<'_>, name: &str, shape: &Shape) -> anyhow::Result<String> {
    let reference = |name: &Option<String>| {
        name.as_deref()
            .map(|name| format!("&{}", static_name(name)))
            .context("it lacks a part")
    };
    Ok(match shape.kind {
        ShapeType::Structure if shape.document => "Kind::Document".to_owned(),
        ShapeType::Structure => structure(selection, name, shape)?,
        ShapeType::List => {
            format!(
                "Kind::List {{ item: {}, length: {} }}",
                reference(&shape.item)?,
                length(shape)?
            )
        }
        ShapeType::Map => {
            let (key, value) = (reference(&shape.key)?, reference(&shape.value)?);
            format!(
                "Kind::Map {{ key: {key}, value: {value}, length: {} }}",
                length(shape)?
            )
        }
        ShapeType::String => {
            let pattern = match selection.pattern(name, shape) {
                Some(pattern) => format!(
                    "Some(Pattern::new({}, {}))",
                    raw(pattern),
                    raw(&anchored(pattern)?)
                ),
                None => "None".to_owned(),
            };
            let length = length(shape)?;
            format!(
                "Kind::String {{ length: {length}, pattern: {pattern}, values: &{:?} }}",
                shape.values
            )
        }
        ShapeType::Integer => format!("Kind::Integer({})", range(shape)?),
        ShapeType::Long => format!("Kind::Long({})", range(shape)?),
        ShapeType::Float | ShapeType::Double => format!("Kind::Float({})", range(shape)?),
        ShapeType::Boolean => "Kind::Boolean".to_owned(),
        ShapeType::Blob => "Kind::Blob".to_owned(),
        ShapeType::Timestamp => match shape.timestamp_format.as_deref() {
            Some("iso8601") => "Kind::Timestamp(TimestampFormat::Iso8601)".to_owned(),
            None => "Kind::Timestamp(TimestampFormat::EpochSeconds)".to_owned(),
            Some(other) => bail!("the timestamp format {other} is not supported"),
        },
    })
}

fn structure(selection: &Selection<'_>, name: &str, shape: &Shape) -> anyhow::Result<String> {
    let members = selection.members(shape);
    let payload = match &shape.payload {
        None => "Payload::Members".to_owned(),
        Some(payload) if members.iter().any(|member| member.name == *payload) => {
            format!("Payload::Member({payload:?})")
        }
        Some(_) => "Payload::Raw".to_owned(),
    };
    let union = if shape.union {
        format!("Some({:?})", selection.union_message(name, shape))
    } else {
        "None".to_owned()
    };
    let mut rows = String::new();
    for member in members {
        rows += &format!(
            "Member {{ name: {:?}, shape: &{}, required: {}, location: {} }},\n",
            member.json_name(),
            static_name(&member.target),
            shape.required.contains(&member.name),
            location(selection, member)?,
        );
    }
    Ok(format!(
        "Kind::Structure(Structure {{ members: &[\n{rows}], payload: {payload}, union: {union} }})"
    ))
}

fn location(selection: &Selection<'_>, member: &Member) -> anyhow::Result<String> {
    let Some(location) = member.location else {
        return Ok("Location::Body".to_owned());
    };
    let kind = selection.model.shape(&member.target)?.kind;
    ensure!(
        !matches!(
            kind,
            ShapeType::Structure | ShapeType::Map | ShapeType::Timestamp | ShapeType::Blob
        ),
        "{} is outside the body and has a type that is not supported there",
        member.name
    );
    let name = member.location_name.as_deref().unwrap_or(&member.name);
    Ok(match location {
        Location::Uri => format!("Location::Label({name:?})"),
        Location::Query => format!("Location::Query({name:?})"),
        Location::Header => format!("Location::Header({name:?})"),
        Location::StatusCode => "Location::StatusCode".to_owned(),
    })
}

fn length(shape: &Shape) -> anyhow::Result<String> {
    let bound = |number: &Option<serde_json::Number>| match number {
        None => Ok("None".to_owned()),
        Some(number) => number
            .as_u64()
            .map(|number| format!("Some({number})"))
            .context("a length is not a whole number"),
    };
    Ok(format!(
        "Length {{ min: {}, max: {} }}",
        bound(&shape.min)?,
        bound(&shape.max)?
    ))
}

fn range(shape: &Shape) -> anyhow::Result<String> {
    let bound = |number: &Option<serde_json::Number>| match number {
        None => Ok("None".to_owned()),
        Some(number) => number
            .as_f64()
            .map(|number| format!("Some({number:?})"))
            .context("a bound is not a number"),
    };
    Ok(format!(
        "Range {{ min: {}, max: {} }}",
        bound(&shape.min)?,
        bound(&shape.max)?
    ))
}

/// A raw string literal.
fn raw(text: &str) -> String {
    let mut hashes = String::new();
    while text.contains(&format!("\"{hashes}")) {
        hashes.push('#');
    }
    format!("r{hashes}\"{text}\"{hashes}")
}
