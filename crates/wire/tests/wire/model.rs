//! The tables against themselves and against the domain types.

use std::collections::BTreeSet;

use coracle_types::{
    EndpointName, ResourceStatus, RuntimeId, RuntimeKind, RuntimeName, ServerProtocol, VersionNumber,
};
use coracle_wire::{Kind, Location, Modelled, OPERATIONS, Payload, Service, Shape, control, data, respond};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[test]
fn every_operation_of_both_models_is_in_the_table_once() {
    let of = |service| {
        OPERATIONS
            .iter()
            .filter(|operation| operation.service == service)
            .count()
    };
    assert_eq!((of(Service::Control), of(Service::Data)), (175, 75));
    let names: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
    assert_eq!(names.len(), 250);
    assert_eq!(
        OPERATIONS
            .iter()
            .filter(|operation| operation.id.is_some())
            .count(),
        implemented().len() / 2,
        "`implemented` below leaves one out"
    );
}

fn shapes_of<O: Modelled>(found: &mut Vec<(&'static str, &'static Shape)>) {
    found.push((O::NAME, O::input_shape()));
    found.push((O::NAME, O::output_shape()));
}

fn implemented() -> Vec<(&'static str, &'static Shape)> {
    let mut found = Vec::new();
    shapes_of::<control::operations::CreateAgentRuntime>(&mut found);
    shapes_of::<control::operations::UpdateAgentRuntime>(&mut found);
    shapes_of::<control::operations::GetAgentRuntime>(&mut found);
    shapes_of::<control::operations::DeleteAgentRuntime>(&mut found);
    shapes_of::<control::operations::ListAgentRuntimes>(&mut found);
    shapes_of::<control::operations::ListAgentRuntimeVersions>(&mut found);
    shapes_of::<control::operations::CreateAgentRuntimeEndpoint>(&mut found);
    shapes_of::<control::operations::UpdateAgentRuntimeEndpoint>(&mut found);
    shapes_of::<control::operations::GetAgentRuntimeEndpoint>(&mut found);
    shapes_of::<control::operations::DeleteAgentRuntimeEndpoint>(&mut found);
    shapes_of::<control::operations::ListAgentRuntimeEndpoints>(&mut found);
    shapes_of::<control::operations::TagResource>(&mut found);
    shapes_of::<control::operations::UntagResource>(&mut found);
    shapes_of::<control::operations::ListTagsForResource>(&mut found);
    shapes_of::<control::operations::PutResourcePolicy>(&mut found);
    shapes_of::<control::operations::GetResourcePolicy>(&mut found);
    shapes_of::<control::operations::DeleteResourcePolicy>(&mut found);
    shapes_of::<data::operations::InvokeAgentRuntime>(&mut found);
    shapes_of::<data::operations::InvokeAgentRuntimeCommand>(&mut found);
    shapes_of::<data::operations::GetAgentCard>(&mut found);
    shapes_of::<data::operations::StopRuntimeSession>(&mut found);
    found
}

/// Every shape that implemented operations reach, by name.
fn reachable() -> Vec<&'static Shape> {
    let mut seen = BTreeSet::new();
    let mut pending: Vec<&'static Shape> = implemented().into_iter().map(|(_, shape)| shape).collect();
    let mut shapes = Vec::new();
    while let Some(shape) = pending.pop() {
        if !seen.insert(std::ptr::from_ref(shape).addr()) {
            continue;
        }
        shapes.push(shape);
        match &shape.kind {
            Kind::Structure(structure) => pending.extend(structure.members.iter().map(|member| member.shape)),
            Kind::List { item, .. } => pending.push(item),
            Kind::Map { key, value, .. } => pending.extend([key, value]),
            _ => {}
        }
    }
    shapes
}

#[test]
fn labels_of_a_path_are_the_labels_of_its_input() {
    for (name, shape) in implemented().into_iter().step_by(2) {
        let operation = OPERATIONS
            .iter()
            .find(|operation| operation.name == name)
            .unwrap();
        for member in shape.structure().unwrap().members {
            if let Location::Label(label) = member.location {
                assert!(operation.uri.contains(&format!("{{{label}}}")), "{name}: {label}");
                assert!(member.required, "{name}: {label}");
            }
        }
    }
}

#[test]
fn only_streaming_operations_leave_a_body_to_the_caller() {
    let raw = |(name, shape): (&'static str, &Shape)| {
        (shape.structure().unwrap().payload == Payload::Raw).then_some(name)
    };
    let streaming: BTreeSet<&str> = implemented().into_iter().filter_map(raw).collect();
    assert_eq!(
        streaming,
        ["InvokeAgentRuntime", "InvokeAgentRuntimeCommand"].into()
    );
}

/// The values that an enum of the model allows must be those of the domain type that stands for it.
#[test]
fn domain_enums_know_every_value_of_the_model() {
    fn check<T: DeserializeOwned>(name: &str, shapes: &[&Shape]) {
        let shape = shapes.iter().find(|shape| shape.name == name).unwrap();
        let Kind::String { values, .. } = &shape.kind else {
            panic!("{name} is no string")
        };
        assert!(!values.is_empty());
        for value in *values {
            serde_json::from_value::<T>((*value).into()).unwrap_or_else(|_| panic!("{name}: {value}"));
        }
    }
    let shapes = reachable();
    check::<RuntimeKind>("AgentManagedRuntimeType", &shapes);
    check::<ResourceStatus>("AgentRuntimeStatus", &shapes);
    check::<ResourceStatus>("AgentRuntimeEndpointStatus", &shapes);
    check::<ServerProtocol>("ServerProtocol", &shapes);
}

/// A value of a shape with nothing in it that is not required.
fn smallest(shape: &Shape) -> Value {
    match (&shape.kind, shape.name) {
        (_, "AgentRuntimeId") => json!("hello-AbCdEf0123"),
        (_, "AgentRuntimeVersion") => json!("1"),
        (Kind::Structure(structure), _) => {
            let required = structure.members.iter().filter(|member| member.required);
            required
                .map(|member| (member.name.to_owned(), smallest(member.shape)))
                .collect()
        }
        (Kind::List { item, .. }, _) => json!([smallest(item)]),
        (Kind::Map { .. }, _) => json!({}),
        (Kind::String { values, .. }, _) => json!(values.first().unwrap_or(&"text")),
        (Kind::Integer(_) | Kind::Long(_) | Kind::Float(_), _) => json!(1),
        (Kind::Boolean, _) => json!(true),
        (Kind::Timestamp(_), _) => json!("2026-11-21T03:17:15Z"),
        (Kind::Blob | Kind::Document, _) => json!(""),
    }
}

/// Makes the smallest response of an operation and looks for the required members in it.
fn check_required_members<O: Modelled<Output: DeserializeOwned>>() {
    let shape = O::output_shape();
    let output = serde_json::from_value::<O::Output>(smallest(shape)).unwrap();
    let response = respond::<O>(&output).unwrap();
    assert_eq!(response.status(), O::STATUS);
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    for member in shape
        .structure()
        .unwrap()
        .members
        .iter()
        .filter(|member| member.required)
    {
        let found = match member.location {
            Location::Header(name) => response.headers().contains_key(name),
            _ => body.get(member.name).is_some(),
        };
        assert!(found, "{}: {} is missing", O::NAME, member.name);
    }
}

#[test]
fn responses_carry_every_required_member() {
    check_required_members::<control::operations::CreateAgentRuntime>();
    check_required_members::<control::operations::UpdateAgentRuntime>();
    check_required_members::<control::operations::GetAgentRuntime>();
    check_required_members::<control::operations::DeleteAgentRuntime>();
    check_required_members::<control::operations::ListAgentRuntimes>();
    check_required_members::<control::operations::ListAgentRuntimeVersions>();
    check_required_members::<control::operations::CreateAgentRuntimeEndpoint>();
    check_required_members::<control::operations::UpdateAgentRuntimeEndpoint>();
    check_required_members::<control::operations::GetAgentRuntimeEndpoint>();
    check_required_members::<control::operations::DeleteAgentRuntimeEndpoint>();
    check_required_members::<control::operations::ListAgentRuntimeEndpoints>();
    check_required_members::<data::operations::InvokeAgentRuntime>();
    check_required_members::<data::operations::StopRuntimeSession>();
}

fn matches(name: &str, text: &str) -> bool {
    let shape = reachable().into_iter().find(|shape| shape.name == name).unwrap();
    let Kind::String {
        length,
        pattern: Some(pattern),
        ..
    } = &shape.kind
    else {
        panic!("{name}")
    };
    pattern.matches(text) && length.max.is_none_or(|max| text.len() <= max)
}

proptest! {
    #[test]
    fn domain_ids_accept_what_the_model_accepts(text in "[a-z1_-]{0,12}|[a-zA-Z][a-zA-Z0-9_]{40,60}|[a-z]{1,3}-[a-zA-Z0-9]{9,11}|[0-9]{1,6}") {
        prop_assert_eq!(matches("AgentRuntimeName", &text), text.parse::<RuntimeName>().is_ok());
        prop_assert_eq!(matches("EndpointName", &text), text.parse::<EndpointName>().is_ok());
        prop_assert_eq!(matches("AgentRuntimeId", &text), text.parse::<RuntimeId>().is_ok());
        prop_assert_eq!(matches("AgentRuntimeVersion", &text), text.parse::<VersionNumber>().is_ok());
    }
}
