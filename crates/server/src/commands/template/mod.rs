//! `coracle template`: the snapshots that sessions are restored from.

mod check;
mod repeats;

use std::path::Path;
use std::time::{Duration, SystemTime};

use coracle_supervisor::driver::microvm::{self, TemplateInfo};
use jiff::Timestamp;
use serde_json::json;

use super::connection::LocalServer;
use super::{CommandResult, output};

const MIB: u64 = 1024 * 1024;

/// Examples:
///   coracle template list                                         what there is, and for whom
///   coracle template check hello-AbCdEf0123                       do its sessions repeat each other?
///   coracle template check hello-AbCdEf0123 --payload '{"a": 1}'  the same, asked in its own way
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: LocalServer,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List templates, the last used first, whether the server runs or not.
    List,
    /// Restore two sessions of a runtime, ask both the same, and name what they should not share but do.
    Check(check::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> CommandResult {
    let (data_dir, json) = (arguments.server.data_dir(), arguments.server.json);
    match &arguments.command {
        Command::List => list(&data_dir, json),
        Command::Check(check) => check::run(check, &data_dir, json),
    }
}

fn list(data_dir: &Path, json: bool) -> CommandResult {
    let templates = microvm::templates(data_dir)?;
    if json {
        let listed = templates.iter().map(in_json).collect::<Result<Vec<_>, _>>()?;
        output::data(json!({ "templates": listed }));
    } else if templates.is_empty() {
        output::progress(format!("There are no templates in {}.", data_dir.display()));
    } else {
        output::data(format!(
            "{:<32} {:>9} {:>9} {:>9}  MADE FOR",
            "TEMPLATE", "SIZE", "AGE", "LAST USE"
        ));
        for template in &templates {
            output::data(in_a_line(template, SystemTime::now()));
        }
    }
    Ok(())
}

fn in_json(template: &TemplateInfo) -> Result<serde_json::Value, jiff::Error> {
    Ok(json!({
        "template": template.key,
        "madeFor": template.made_for,
        "bytes": template.bytes,
        "made": Timestamp::try_from(template.made)?.to_string(),
        "lastUsed": Timestamp::try_from(template.last_used)?.to_string(),
    }))
}

fn in_a_line(template: &TemplateInfo, now: SystemTime) -> String {
    let ago = |then| age(now.duration_since(then).unwrap_or_default());
    format!(
        "{:<32} {:>5} MiB {:>9} {:>9}  {}",
        template.key,
        template.bytes / MIB,
        ago(template.made),
        ago(template.last_used),
        template.made_for
    )
}

/// The largest unit in which it is at least two.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_described_in_a_line() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let template = TemplateInfo {
            key: "0123456789abcdef0123456789abcdef".to_owned(),
            made_for: "hello-AbCdEf0123, version 2, DEFAULT".to_owned(),
            bytes: 220 * MIB,
            made: now - Duration::from_secs(3 * 86_400),
            last_used: now - Duration::from_secs(150),
        };
        assert_eq!(
            in_a_line(&template, now),
            "0123456789abcdef0123456789abcdef   220 MiB    3 days     2 min  hello-AbCdEf0123, version 2, DEFAULT"
        );
    }
}
