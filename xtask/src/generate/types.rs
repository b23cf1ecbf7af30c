//! Renders the Rust types of a service's shapes.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};

use super::model::{Shape, ShapeType};
use super::naming::{camel, capitalised, snake, variant};
use super::selection::Selection;

/// Type names that the dispatcher's source uses unqualified.
const RESERVED: [&str; 13] = [
    "Box",
    "Buffered",
    "Bytes",
    "Error",
    "Future",
    "Modelled",
    "Option",
    "Request",
    "Response",
    "Result",
    "Shape",
    "Streaming",
    "String",
];

pub(crate) fn render(selection: &Selection<'_>) -> anyhow::Result<String> {
    let mut items = String::new();
    for (name, shape) in &selection.shapes {
        if selection.rust_type(name).is_some() {
            continue;
        }
        let item = match shape.kind {
            ShapeType::Structure if shape.document => continue,
            ShapeType::Structure if shape.union => union(selection, name, shape)?,
            ShapeType::Structure => structure(selection, name, shape)?,
            ShapeType::String if !shape.values.is_empty() => string_enum(name, shape)?,
            _ => continue,
        };
        ensure!(
            !RESERVED.contains(&type_name(name).as_str()),
            "the shape {name} needs another Rust name"
        );
        items += &item;
    }
    Ok(format!("{}{items}", header(selection.service)))
}

fn header(service: &str) -> String {
    format!(
        "// Written by `cargo xtask generate`.\n\
         //! The implemented operations of the {service} service: their types, handlers and dispatcher.\n\n\
         use std::future::Future;\n\n\
         use bytes::Bytes;\n\
         use http::{{Response, StatusCode}};\n\
         use serde::{{Deserialize, Serialize}};\n\n\
         use super::{service}_shapes as shapes;\n\
         use crate::dispatch::call;\n\
         use crate::shape::Shape;\n\
         use crate::{{Error, Modelled, Request}};\n\n"
    )
}

fn structure(selection: &Selection<'_>, name: &str, shape: &Shape) -> anyhow::Result<String> {
    let mut fields = String::new();
    let mut all_optional = true;
    for member in selection.members(shape) {
        let field = snake(&member.name);
        let mut target = rust_type(selection, &member.target)?;
        if selection.contains(&member.target, name) {
            target = format!("Box<{target}>");
        }
        let mut serde = Vec::new();
        if camel(&field) != member.json_name() {
            serde.push(format!("rename = {:?}", member.json_name()));
        }
        if shape.required.contains(&member.name) {
            all_optional = false;
        } else {
            serde.push("skip_serializing_if = \"Option::is_none\"".to_owned());
            target = format!("Option<{target}>");
        }
        if !serde.is_empty() {
            fields += &format!("#[serde({})]\n", serde.join(", "));
        }
        fields += &format!("pub {field}: {target},\n");
    }
    let default = if all_optional { "Default, " } else { "" };
    Ok(format!(
        "#[derive(Debug, Clone, {default}PartialEq, Serialize, Deserialize)]\n\
         #[serde(rename_all = \"camelCase\")]\n\
         pub struct {} {{\n{fields}}}\n\n",
        type_name(name)
    ))
}

fn union(selection: &Selection<'_>, name: &str, shape: &Shape) -> anyhow::Result<String> {
    let mut variants = String::new();
    for member in &shape.members {
        let variant = capitalised(&member.name);
        let mut target = rust_type(selection, &member.target)?;
        if selection.contains(&member.target, name) {
            target = format!("Box<{target}>");
        }
        if member.json_name() != member.name || capitalised(member.json_name()) == member.json_name() {
            variants += &format!("#[serde(rename = {:?})]\n", member.json_name());
        }
        variants += &format!("{variant}({target}),\n");
    }
    Ok(format!(
        "#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]\n\
         #[serde(rename_all = \"camelCase\")]\n\
         pub enum {} {{\n{variants}}}\n\n",
        type_name(name)
    ))
}

fn string_enum(name: &str, shape: &Shape) -> anyhow::Result<String> {
    let names: Vec<String> = shape.values.iter().map(|value| variant(value)).collect();
    let distinct: BTreeSet<&String> = names.iter().collect();
    ensure!(
        distinct.len() == names.len(),
        "two values of {name} have the same Rust name"
    );
    let type_name = type_name(name);
    let pairs = || names.iter().zip(&shape.values);
    let variants: String = pairs()
        .map(|(variant, value)| format!("#[serde(rename = {value:?})]\n{variant},\n"))
        .collect();
    let texts: String = pairs()
        .map(|(variant, value)| format!("Self::{variant} => {value:?},\n"))
        .collect();
    Ok(format!(
        "#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]\n\
         pub enum {type_name} {{\n{variants}}}\n\n\
         impl {type_name} {{\n\
         /// The spelling of the service model.\n\
         pub fn as_str(self) -> &'static str {{ match self {{\n{texts}}} }}\n}}\n\n"
    ))
}

fn rust_type(selection: &Selection<'_>, name: &str) -> anyhow::Result<String> {
    let shape = selection.model.shape(name)?;
    let nested = |name: &Option<String>| {
        rust_type(
            selection,
            name.as_deref()
                .with_context(|| format!("a part of {name:?} is missing"))?,
        )
    };
    let own = match (selection.rust_type(name), shape.kind) {
        (Some(own), _) => format!("coracle_types::{own}"),
        (None, ShapeType::Structure) if shape.document => "serde_json::Value".to_owned(),
        (None, ShapeType::Structure) => type_name(name),
        (None, ShapeType::String) if !shape.values.is_empty() => type_name(name),
        (None, ShapeType::String | ShapeType::Blob) => "String".to_owned(),
        (None, ShapeType::Integer) => "i32".to_owned(),
        (None, ShapeType::Long) => "i64".to_owned(),
        (None, ShapeType::Float | ShapeType::Double) => "f64".to_owned(),
        (None, ShapeType::Boolean) => "bool".to_owned(),
        (None, ShapeType::Timestamp) if shape.timestamp_format.is_some() => "jiff::Timestamp".to_owned(),
        (None, ShapeType::Timestamp) => "crate::EpochSeconds".to_owned(),
        (None, ShapeType::List) => format!("Vec<{}>", nested(&shape.item)?),
        (None, ShapeType::Map) => format!(
            "std::collections::BTreeMap<{}, {}>",
            nested(&shape.key)?,
            nested(&shape.value)?
        ),
    };
    Ok(if shape.sensitive {
        format!("crate::Sensitive<{own}>")
    } else {
        own
    })
}

fn type_name(shape: &str) -> String {
    capitalised(shape)
}
