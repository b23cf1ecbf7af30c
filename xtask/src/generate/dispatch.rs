//! Renders a service's handler trait, its dispatcher, and what ties each operation to its types.

use anyhow::bail;

use super::model::Operation;
use super::naming::{capitalised, snake};
use super::selection::Selection;
use super::shapes::static_name;

pub(crate) fn render(selection: &Selection<'_>) -> anyhow::Result<String> {
    let service = capitalised(selection.service);
    let modelled = selection
        .all()
        .into_iter()
        .map(|(name, operation)| tie(name, operation));
    let modelled = modelled.collect::<anyhow::Result<String>>()?;
    Ok(format!(
        "/// Implemented operations whose bodies are collected before they are dispatched.\n{buffered_enum}\n\
         /// Implemented operations whose bodies the caller streams.\n{streaming_enum}\n\
         /// The handlers of the {lower} service. Every buffered operation needs one.\n\
         pub trait {service}Service: Send + Sync {{\n\
         /// What a handler learns of a request beside its input, such as who sent it.\n\
         type Context: Send + Sync;\n\n{methods}}}\n\n\
         /// Reads and validates a request, calls its handler and makes the response.\n\
         ///\n\
         /// # Errors\n\
         /// What the request breaks, or what the handler says.\n\
         pub async fn dispatch<S: {service}Service>(service: &S, context: &S::Context, operation: Buffered, request: &Request<'_>) \
         -> Result<Response<Bytes>, Error> {{\n\
         match operation {{\n{arms}}}\n}}\n\n\
         /// The implemented operations as types, for [`crate::parse`] and its relatives.\n\
         pub mod operations {{\n\
         use super::{{Modelled, Shape, StatusCode, shapes}};\n\n{modelled}}}\n",
        buffered_enum = name_enum("Buffered", &selection.buffered),
        streaming_enum = name_enum("Streaming", &selection.streaming),
        lower = selection.service,
        methods = selection
            .buffered
            .iter()
            .map(|(name, operation)| method(name, operation))
            .collect::<String>(),
        arms = selection
            .buffered
            .iter()
            .map(|(name, _)| arm(name))
            .collect::<String>(),
    ))
}

fn name_enum(name: &str, operations: &[(&str, &Operation)]) -> String {
    let variants: String = operations.iter().map(|(name, _)| format!("{name},\n")).collect();
    format!("#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]\npub enum {name} {{\n{variants}}}\n")
}

fn method(name: &str, operation: &Operation) -> String {
    format!(
        "/// `{} {}`\n\
         fn {}(&self, context: &Self::Context, input: {}) -> impl Future<Output = Result<{}, Error>> + Send;\n\n",
        operation.method,
        operation.uri,
        snake(name),
        capitalised(&operation.input),
        capitalised(&operation.output),
    )
}

fn arm(name: &str) -> String {
    format!(
        "Buffered::{name} => call::<operations::{name}, _>(request, |input| service.{}(context, input)).await,\n",
        snake(name)
    )
}

fn tie(name: &str, operation: &Operation) -> anyhow::Result<String> {
    Ok(format!(
        "#[derive(Debug, Clone, Copy)]\n\
         pub enum {name} {{}}\n\n\
         impl Modelled for {name} {{\n\
         type Input = super::{};\n\
         type Output = super::{};\n\
         const NAME: &'static str = {name:?};\n\
         const STATUS: StatusCode = StatusCode::{};\n\n\
         fn input_shape() -> &'static Shape {{ &shapes::{} }}\n\n\
         fn output_shape() -> &'static Shape {{ &shapes::{} }}\n}}\n\n",
        capitalised(&operation.input),
        capitalised(&operation.output),
        status_name(operation.status)?,
        static_name(&operation.input),
        static_name(&operation.output),
    ))
}

fn status_name(status: u16) -> anyhow::Result<&'static str> {
    Ok(match status {
        200 => "OK",
        201 => "CREATED",
        202 => "ACCEPTED",
        204 => "NO_CONTENT",
        _ => bail!("no name is known for the status {status}"),
    })
}
