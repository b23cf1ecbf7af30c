//! `cargo xtask layers`: the table of crates in ARCHITECTURE.md, held against the manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

const PREFIX: &str = "coracle-";

pub(crate) fn run() -> Result<()> {
    let allowed = documented(&std::fs::read_to_string("ARCHITECTURE.md")?)?;
    let used = used()?;
    let mut problems = Vec::new();
    for (name, dependencies) in &used {
        let Some(allowed) = allowed.get(name) else {
            problems.push(format!("{name} is not in the table of ARCHITECTURE.md"));
            continue;
        };
        for dependency in dependencies.difference(allowed) {
            problems.push(format!(
                "{name} uses {dependency}, which ARCHITECTURE.md does not allow"
            ));
        }
    }
    for name in allowed.keys().filter(|name| !used.contains_key(*name)) {
        problems.push(format!("ARCHITECTURE.md has {name}, which is no crate"));
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

/// Which crates each crate may use: the rows `| name | what | those |` of the table.
fn documented(page: &str) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let rows = page
        .lines()
        .skip_while(|line| !line.starts_with("| Crate |"))
        .skip(2);
    let mut allowed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, _, uses] = cells[..] else {
            anyhow::bail!("a row of the table has other columns: {row}")
        };
        let uses = match uses {
            "–" => BTreeSet::new(),
            "all above" => allowed.keys().cloned().collect(),
            list => list
                .split([',', ';', ' '])
                .filter(|word| allowed.contains_key(*word))
                .map(str::to_owned)
                .collect(),
        };
        allowed.insert(name.trim_matches('`').to_owned(), uses);
    }
    ensure!(!allowed.is_empty(), "ARCHITECTURE.md has no table of crates");
    Ok(allowed)
}

/// Which crates of the workspace each of them uses outside its tests.
fn used() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo lists no packages")?;
    let own = |value: &Value| {
        value["name"]
            .as_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .map(str::to_owned)
    };
    Ok(packages
        .iter()
        .filter_map(|package| {
            let dependencies = package["dependencies"]
                .as_array()?
                .iter()
                .filter(|it| it["kind"] != "dev");
            Some((own(package)?, dependencies.filter_map(own).collect()))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let page = "text\n| Crate | Holds | May use |\n|---|---|---|\n| `a` | x | – |\n| `b` | y | a; others not |\n\
                    | `c` | z | all above |\n\nmore";
        let table = documented(page).unwrap();
        let of = |name: &str| table[name].iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(of("b"), ["a"]);
        assert_eq!(of("c"), ["a", "b"]);
    }
}
