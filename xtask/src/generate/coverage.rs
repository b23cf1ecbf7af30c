//! Renders `docs/coverage.md`: every operation of the two services, and whether this server has it.

use super::selection::Selection;

pub(crate) fn render(selections: &[&Selection<'_>]) -> String {
    let mut page = String::from(
        "<!-- Written by `cargo xtask generate`. -->\n\n# Coverage\n\n\
         Every operation of the service models, and whether this server has it (✓). The others answer\n\
         `UnknownOperationException` (404) with the operation's name. What the members of the operations do is in\n\
         [compatibility.md](compatibility.md).\n",
    );
    for selection in selections {
        let operations = &selection.model.operations;
        let listed = selection.all();
        page += &format!(
            "\n## {}: {} of {}\n\n| Operation | Request | Here |\n|---|---|---|\n",
            selection.model.service,
            listed.len(),
            operations.len(),
        );
        for (name, operation) in operations {
            let here = listed.iter().any(|(implemented, _)| implemented == name);
            let state = if here { "✓" } else { "–" };
            page += &format!(
                "| `{name}` | `{} {}` | {state} |\n",
                operation.method, operation.uri
            );
        }
    }
    page
}
