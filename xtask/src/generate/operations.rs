//! Renders the table of every operation of both models.

use super::naming::capitalised;
use super::selection::Selection;

pub(crate) fn render(services: &[&Selection<'_>]) -> String {
    let mut rows = String::new();
    let mut count = 0;
    for service in services {
        let variant = capitalised(service.service);
        for (name, operation) in &service.model.operations {
            let listed = |list: &[(&str, _)]| list.iter().any(|(listed, _)| listed == name);
            let id = if listed(&service.buffered) {
                format!(
                    "Some(OperationId::{variant}({}::Buffered::{name}))",
                    service.service
                )
            } else if listed(&service.streaming) {
                format!(
                    "Some(OperationId::{variant}Streaming({}::Streaming::{name}))",
                    service.service
                )
            } else {
                "None".to_owned()
            };
            rows += &format!(
                "Operation {{ service: Service::{variant}, name: {name:?}, method: {:?}, uri: {:?}, status: {}, id: {id} }},\n",
                operation.method, operation.uri, operation.status,
            );
            count += 1;
        }
    }
    format!(
        "// Written by `cargo xtask generate`.\n\
         use super::{{control, data}};\n\
         use crate::operation::{{Operation, OperationId, Service}};\n\n\
         /// Every operation of both service models.\n\
         pub static OPERATIONS: &[Operation; {count}] = &[\n{rows}];\n"
    )
}
