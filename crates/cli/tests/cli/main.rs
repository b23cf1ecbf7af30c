//! Runs the real binary in a world of its own against a server that remembers what was asked.

#![expect(clippy::unwrap_used, unreachable_pub, reason = "a test")]

mod create;
mod server;

use std::path::Path;
use std::process::Output;

use server::{ARN, Server};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

const SESSION: &str = "0123456789abcdef0123456789abcdef0";

struct World {
    folder: tempfile::TempDir,
    server: Server,
}

/// What a run printed, and its exit code.
struct Run {
    stdout: String,
    stderr: String,
    code: Option<i32>,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("app/hello/main.py", "print('hi')\n");
        write("app/hello/.env", "SECRET=1\n");
        write(
            "agentcore/agentcore.json",
            r#"{"name": "hello", "runtimes": [{"name": "hello", "entrypoint": "main.py",
                "codeLocation": "app/hello/", "runtimeVersion": "PYTHON_3_13"}]}"#,
        );
        Self {
            folder,
            server: Server::start().await,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agentcore"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("AWS_ACCESS_KEY_ID", "TESTKEY")
            .env("AWS_SECRET_ACCESS_KEY", "hush")
            .env("AWS_ENDPOINT_URL", &self.server.url)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Run {
        self.finish(self.command(arguments)).await
    }

    /// Runs to the end; replaces what differs from run to run.
    async fn finish(&self, mut command: Command) -> Run {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().await.unwrap();
        let clean = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            let text = text.replace(&self.server.url, "[SERVER]");
            text.replace(self.folder.path().to_str().unwrap(), "[PROJECT]")
        };
        Run {
            stdout: clean(stdout),
            stderr: clean(stderr),
            code: status.code(),
        }
    }
}

/// The digest in the key of an uploaded zip, replaced by a name.
fn without_digest(text: &str) -> String {
    let mut words = Vec::new();
    for word in text.split_inclusive(['/', '.', ' ', '\n']) {
        let (body, end) = word.split_at(word.trim_end_matches(['/', '.', ' ', '\n']).len());
        let is_digest = body.len() == 64 && body.bytes().all(|byte| byte.is_ascii_hexdigit());
        words.push(if is_digest { "[DIGEST]" } else { body });
        words.push(end);
    }
    words.concat()
}

#[tokio::test]
async fn the_first_deployment_uploads_creates_and_waits() {
    let world = World::new().await;
    let run = world.run(&["deploy"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    insta::assert_snapshot!("deploy_stdout", run.stdout);
    insta::assert_snapshot!("deploy_stderr", without_digest(&run.stderr));
    let seen = world.server.take_seen();
    let calls: Vec<_> = seen
        .iter()
        .map(|seen| without_digest(&format!("{} {}", seen.method, seen.target)))
        .collect();
    insta::assert_snapshot!("deploy_calls", calls.join("\n"));
    for call in &seen {
        let signature = call.headers["authorization"].to_str().unwrap();
        let service = match call.target.as_str() {
            "/" => "sts",
            target if target.starts_with("/coracle-artifacts-") => "s3",
            _ => "bedrock-agentcore",
        };
        assert!(
            signature.starts_with("AWS4-HMAC-SHA256 Credential=TESTKEY/"),
            "{signature}"
        );
        assert!(
            signature.contains(&format!("/us-east-1/{service}/aws4_request")),
            "{signature}"
        );
        assert_eq!(call.headers.contains_key("x-amz-content-sha256"), service == "s3");
    }
}

#[tokio::test]
async fn the_file_systems_of_the_project_are_deployed() {
    let world = World::new().await;
    let path = world.folder.path().join("agentcore/agentcore.json");
    let storage = r#""filesystemConfigurations": [{"sessionStorage": {"mountPath": "/mnt/notes"}}]"#;
    let with_storage =
        |text: String| text.replacen("\"entrypoint\"", &format!("{storage}, \"entrypoint\""), 1);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, with_storage(text)).unwrap();
    let run = world.run(&["deploy"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let seen = world.server.take_seen();
    let created = seen.iter().find(|seen| seen.target == "/runtimes/").unwrap();
    let body: serde_json::Value = serde_json::from_slice(&created.body).unwrap();
    assert_eq!(
        body["filesystemConfigurations"],
        serde_json::json!([{"sessionStorage": {"mountPath": "/mnt/notes"}}])
    );
}

#[tokio::test]
async fn unchanged_code_is_left_alone_and_changed_code_is_a_new_version() {
    let world = World::new().await;
    assert_eq!(world.run(&["deploy"]).await.code, Some(0));
    world.server.take_calls();
    let run = world.run(&["deploy", "--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&report["changed"], &report["agentRuntimeVersion"]),
        (&false.into(), &"1".into())
    );
    let calls = world.server.take_calls();
    assert!(!calls.iter().any(|call| call.starts_with("PUT")), "{calls:?}");

    std::fs::write(
        world.folder.path().join("app/hello/main.py"),
        "print('changed')\n",
    )
    .unwrap();
    let run = world.run(&["deploy"]).await;
    assert!(run.stdout.contains("Version  2"), "{}", run.stdout);
    let update = world
        .server
        .take_seen()
        .into_iter()
        .find(|seen| seen.target == "/runtimes/hello-AbCdEf0123/");
    assert!(update.is_some());
}

#[tokio::test]
async fn a_version_that_fails_tells_the_reason() {
    let world = World::new().await;
    world.server.fail_versions(Some("main.py: SyntaxError in line 1"));
    let run = world.run(&["deploy"]).await;
    assert_eq!(run.code, Some(6));
    assert_eq!(run.stdout, "");
    insta::assert_snapshot!("deploy_failed", without_digest(&run.stderr));

    world.server.fail_versions(None);
    world.server.take_calls();
    let run = world.run(&["deploy"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let calls = world.server.take_calls();
    let at = |call: &str| calls.iter().position(|made| made.starts_with(call));
    let (deleted, made) = (at("DELETE /runtimes/hello-AbCdEf0123/"), at("PUT /runtimes/"));
    assert!(
        deleted.is_some() && deleted < made,
        "a runtime that never worked is made anew: {calls:?}"
    );
}

#[tokio::test]
async fn answers_are_decoded_whatever_way_the_network_cut_them() {
    let world = World::new().await;
    let run = world
        .run(&["--runtime", ARN, "invoke", "hi", "--session-id", SESSION])
        .await;
    assert_eq!((run.stdout.as_str(), run.code), ("Hello → you\n", Some(0)));
    assert_eq!(run.stderr, format!("session {SESSION}\n"));
    let seen = world.server.take_seen();
    let [call] = seen.as_slice() else {
        panic!("{seen:?}")
    };
    assert_eq!(
        call.target,
        "/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A123456789012%3Aruntime%2Fhello-AbCdEf0123\
         /invocations?qualifier=DEFAULT"
    );
    assert_eq!(
        call.headers["x-amzn-bedrock-agentcore-runtime-session-id"],
        SESSION
    );
    assert_eq!(call.body.as_ref(), br#"{"prompt":"hi"}"#);
}

#[tokio::test]
async fn answers_have_a_form_for_machines() {
    let world = World::new().await;
    let arguments = |prompt| {
        [
            "--runtime",
            ARN,
            "--json",
            "invoke",
            prompt,
            "--session-id",
            SESSION,
        ]
    };
    let run = world.run(&arguments("hi")).await;
    assert_eq!(run.stderr, "");
    insta::assert_snapshot!("invoke_events_json", run.stdout);
    insta::assert_snapshot!("invoke_body_json", world.run(&arguments("json")).await.stdout);
}

#[tokio::test]
async fn an_agent_that_fails_is_told_from_a_server_that_fails() {
    let world = World::new().await;
    let run = world
        .run(&["--runtime", ARN, "invoke", "crash", "--session-id", SESSION])
        .await;
    assert_eq!(run.code, Some(6));
    insta::assert_snapshot!("invoke_crash", run.stderr);
    let run = world
        .run(&["--runtime", ARN, "invoke", "raise", "--session-id", SESSION])
        .await;
    assert_eq!(run.code, Some(6));
    assert_eq!(run.stdout, "so far \n");
    insta::assert_snapshot!("invoke_raise", run.stderr);
}

#[tokio::test]
async fn logs_are_lines_for_people_and_json_for_machines() {
    let world = World::new().await;
    let odd = format!("{SESSION}+");
    let run = world
        .run(&[
            "--runtime",
            ARN,
            "logs",
            "--since",
            "2026-11-21T09:00:00Z",
            "--session-id",
            &odd,
        ])
        .await;
    assert_eq!(
        run.stdout,
        "2026-11-21T09:00:00.123Z 01234567   hi\n2026-11-21T09:00:01.000Z 01234567 ! oh no\n"
    );
    assert_eq!(
        world.server.take_calls(),
        [format!(
            "GET /_coracle/logs?runtime=hello-AbCdEf0123&endpoint=DEFAULT&limit=1000&session={SESSION}%2B\
             &since=2026-11-21T09%3A00%3A00Z"
        )]
    );
    let run = world.run(&["--runtime", ARN, "--json", "logs"]).await;
    assert_eq!(run.stdout.lines().count(), 2);
}

#[tokio::test]
async fn sessions_are_listed_described_and_killed() {
    let world = World::new().await;
    let run = world.run(&["--runtime", ARN, "sessions"]).await;
    insta::assert_snapshot!("sessions", run.stdout);
    let run = world
        .run(&[
            "--runtime",
            ARN,
            "sessions",
            "list",
            "--endpoint",
            "prod",
            "--state",
            "ended",
            "-n",
            "5",
        ])
        .await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let run = world
        .run(&["--runtime", ARN, "sessions", "describe", SESSION])
        .await;
    assert!(
        run.stdout
            .contains("Start     booted, agent 5 ms\n  | the last line"),
        "{}",
        run.stdout
    );
    let run = world.run(&["--runtime", ARN, "sessions", "kill", SESSION]).await;
    assert_eq!(run.stderr, format!("✓ Session {SESSION} is ended\n"));
    let one = format!("runtime=hello-AbCdEf0123&endpoint=DEFAULT&session={SESSION}");
    assert_eq!(
        world.server.take_calls(),
        [
            "GET /_coracle/sessions?runtime=hello-AbCdEf0123".to_owned(),
            "GET /_coracle/sessions?runtime=hello-AbCdEf0123&endpoint=prod&state=ended&limit=5".to_owned(),
            format!("GET /_coracle/session?{one}"),
            format!("POST /_coracle/session/kill?{one}"),
        ]
    );
}

#[tokio::test]
async fn destroying_is_confirmed_and_leaves_nothing() {
    let world = World::new().await;
    assert_eq!(world.run(&["deploy"]).await.code, Some(0));
    world.server.take_calls();
    let run = world.run(&["destroy", "--dry-run"]).await;
    insta::assert_snapshot!("destroy_dry_run", without_digest(&run.stdout));
    let run = world.run(&["destroy", "--json"]).await;
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (Some(2), ""),
        "nothing was deleted: {}",
        run.stderr
    );
    assert!(
        !world
            .server
            .take_calls()
            .iter()
            .any(|call| call.starts_with("DELETE"))
    );
    let run = world.run(&["destroy", "--force"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let deleted: Vec<_> = world
        .server
        .take_calls()
        .into_iter()
        .filter(|call| call.starts_with("DELETE"))
        .collect();
    assert_eq!(deleted.len(), 2, "{deleted:?}");
    let run = world.run(&["status"]).await;
    assert_eq!(run.code, Some(3));
    insta::assert_snapshot!("status_after_destroy", run.stderr);
}

#[tokio::test]
async fn errors_say_what_why_and_what_to_do() {
    let world = World::new().await;
    let elsewhere = |mut command: Command, folder: &Path| {
        command.current_dir(folder);
        command
    };
    let outside = tempfile::tempdir().unwrap();
    let run = world
        .finish(elsewhere(world.command(&["deploy"]), outside.path()))
        .await;
    assert_eq!(run.code, Some(2));
    insta::assert_snapshot!(
        "error_no_project",
        run.stderr.replace(
            outside.path().canonicalize().unwrap().to_str().unwrap(),
            "[ELSEWHERE]"
        )
    );
    let run = world.run(&["invoke", "hi", "--session-id", "short"]).await;
    assert_eq!(run.code, Some(2));
    insta::assert_snapshot!("error_session_id", run.stderr);
    let mut command = world.command(&["status"]);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env("AWS_ENDPOINT_URL", "http://elsewhere.example");
    let run = world.finish(command).await;
    assert_eq!(run.code, Some(5));
    insta::assert_snapshot!("error_no_credentials", run.stderr);
    let run = world
        .run(&["--endpoint-url", "http://127.0.0.1:1", "--json", "status"])
        .await;
    assert_eq!(run.code, Some(4));
    insta::assert_snapshot!("error_unreachable_json", run.stderr);
}

#[tokio::test]
async fn a_command_line_that_is_wrong_is_told_to_machines_too() {
    let world = World::new().await;
    for (arguments, message) in [
        (
            &["deploy", "--bogus", "--json"][..],
            "unexpected argument '--bogus' found",
        ),
        (
            &["--json", "exec"],
            "the following required arguments were not provided:\n  <COMMAND>...",
        ),
        (&["--json", "tools"], "a command is missing"),
        (
            &["traces", "list", "--json"],
            "there is no `agentcore traces` here",
        ),
    ] {
        let run = world.run(arguments).await;
        let told: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
        assert_eq!((run.code, &told["error"]["message"]), (Some(2), &message.into()));
        assert!(told["error"]["hint"].is_string(), "{told}");
    }
    let run = world.run(&["exec", "--bogus", "--", "--json"]).await;
    assert!(run.stderr.starts_with("error: unexpected"), "{}", run.stderr);
}

#[tokio::test]
async fn a_zip_that_cannot_be_written_is_not_said_to_be_unreadable() {
    let world = World::new().await;
    let run = world.run(&["package", "--output", "nowhere/hello.zip"]).await;
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr
            .contains("error: `nowhere/hello.zip` cannot be written"),
        "{}",
        run.stderr
    );
}

#[tokio::test]
async fn without_a_project_that_comes_before_credentials() {
    let world = World::new().await;
    let outside = tempfile::tempdir().unwrap();
    for arguments in [
        &["status"][..],
        &["invoke", "hi"],
        &["exec", "ls"],
        &["logs"],
        &["deploy"],
    ] {
        let mut command = world.command(arguments);
        command
            .current_dir(outside.path())
            .env_remove("AWS_ACCESS_KEY_ID");
        let run = world.finish(command).await;
        assert_eq!(run.code, Some(2), "{arguments:?}: {}", run.stderr);
        assert!(
            run.stderr.contains("`agentcore create` makes a project"),
            "{}",
            run.stderr
        );
    }
}

#[tokio::test]
async fn help_begins_with_an_example() {
    let world = World::new().await;
    for command in [
        "configure",
        "create",
        "deploy",
        "invoke",
        "exec",
        "status",
        "logs",
        "sessions",
        "stop-session",
        "destroy",
        "dev",
        "tools",
        "card",
        "versions",
        "endpoints",
        "package",
        "validate",
        "doctor",
        "completion",
    ] {
        let run = world.run(&[command, "--help"]).await;
        assert!(
            run.stdout.starts_with(&format!("Example: agentcore {command}")),
            "{}",
            run.stdout
        );
        insta::assert_snapshot!(format!("help_{command}"), run.stdout);
    }
    insta::assert_snapshot!("help", world.run(&["--help"]).await.stdout);
}

#[tokio::test]
async fn no_secret_is_ever_printed() {
    let world = World::new().await;
    let run = world.run(&["--debug", "deploy"]).await;
    assert!(
        run.stderr.contains("access key TESTKEY from AWS_ACCESS_KEY_ID"),
        "{}",
        run.stderr
    );
    assert!(
        !run.stderr.contains("hush") && !run.stderr.contains("Signature"),
        "{}",
        run.stderr
    );
}

#[tokio::test]
async fn files_headers_and_stdin_go_along() {
    let world = World::new().await;
    std::fs::write(world.folder.path().join("boat.png"), [1, 2, 3]).unwrap();
    let arguments = [
        "--runtime",
        ARN,
        "invoke",
        "-f",
        "boat.png",
        "-H",
        "X-Team: blue",
        "-u",
        "jo",
        "-",
    ];
    let mut command = world.command(&arguments);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"what is this?").await.unwrap();
    drop(stdin);
    assert!(child.wait_with_output().await.unwrap().status.success());
    let seen = world.server.take_seen();
    let body: serde_json::Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({ "prompt": "what is this?", "media": {
            "type": "image", "format": "png", "name": "boat.png", "data": "AQID",
        }})
    );
    assert_eq!(seen[0].headers["x-team"], "blue");
    assert_eq!(seen[0].headers["x-amzn-bedrock-agentcore-runtime-user-id"], "jo");
}

#[tokio::test]
async fn a_bearer_token_stands_in_for_keys_and_is_not_shown() {
    let world = World::new().await;
    let mut command = world.command(&[
        "--debug",
        "--runtime",
        ARN,
        "invoke",
        "hi",
        "--bearer-token",
        "tok-en",
    ]);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY");
    let run = world.finish(command).await;
    assert_eq!(
        (run.stdout.as_str(), run.code),
        ("Hello → you\n", Some(0)),
        "{}",
        run.stderr
    );
    assert_eq!(
        world.server.take_seen()[0].headers["authorization"],
        "Bearer tok-en"
    );
    assert!(
        run.stderr.contains("debug: > authorization: (not shown)"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("debug: event \"Hello \""), "{}", run.stderr);
    assert!(!run.stderr.contains("tok-en"), "{}", run.stderr);

    let mut command = world.command(&["invoke", "hi", "--bearer-token", "tok-en"]);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY");
    let run = world.finish(command).await;
    assert_eq!(run.code, Some(5));
    insta::assert_snapshot!("error_bearer_without_arn", run.stderr);
}

#[tokio::test]
async fn an_agent_without_tools_is_not_asked_for_them() {
    let world = World::new().await;
    assert_eq!(world.run(&["deploy"]).await.code, Some(0));
    let run = world.run(&["tools", "list"]).await;
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr
            .starts_with("error: the agent does not speak MCP, and offers no tools"),
        "{}",
        run.stderr
    );
}

#[tokio::test]
async fn tools_are_listed_and_called() {
    let world = World::new().await;
    let run = world.run(&["--runtime", ARN, "tools", "list"]).await;
    assert_eq!(
        run.stdout, "add(a: number, b?: number)\n  Adds two numbers.\n",
        "{}",
        run.stderr
    );
    let calls = world.server.take_seen();
    assert_eq!(calls.len(), 3, "{calls:?}");
    assert_eq!(calls[2].headers["mcp-session-id"], "made-by-the-server");
    let run = world
        .run(&[
            "--runtime",
            ARN,
            "tools",
            "call",
            "add",
            "--input",
            r#"{"a": 40, "b": 2}"#,
        ])
        .await;
    assert_eq!(
        (run.stdout.as_str(), run.code),
        ("42\n", Some(0)),
        "{}",
        run.stderr
    );
    let run = world.run(&["--runtime", ARN, "tools", "call", "add"]).await;
    assert_eq!(run.code, Some(6));
    assert!(
        run.stderr
            .starts_with("error: the agent failed while it answered: a is missing"),
        "{}",
        run.stderr
    );
}

#[tokio::test]
async fn only_serious_lines_are_shown_when_asked_for() {
    let world = World::new().await;
    let run = world.run(&["--runtime", ARN, "logs", "--level", "error"]).await;
    assert_eq!((run.stdout.as_str(), run.code), ("", Some(0)), "{}", run.stderr);
    let run = world.run(&["--runtime", ARN, "logs", "--level", "INFO"]).await;
    assert_eq!(run.stdout.lines().count(), 2);
}

#[tokio::test]
async fn a_project_is_packaged_without_a_server() {
    let world = World::new().await;
    let run = world.run(&["package", "--output", "boat.zip", "--json"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let zip = std::fs::metadata(world.folder.path().join("boat.zip")).unwrap();
    assert_eq!(
        (&report["size"], &report["files"]),
        (&zip.len().into(), &1.into())
    );
    assert!(run.stderr.contains("left out: .env"), "{}", run.stderr);
    let run = world.run(&["package"]).await;
    assert_eq!(run.stdout, "hello.zip\n");
    assert!(world.server.take_calls().is_empty());
}

#[tokio::test]
async fn a_project_is_validated_without_a_server() {
    let world = World::new().await;
    let run = world.run(&["validate"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    std::fs::remove_file(world.folder.path().join("app/hello/main.py")).unwrap();
    let run = world.run(&["validate"]).await;
    assert_eq!(run.code, Some(2));
    insta::assert_snapshot!("validate", run.stdout + &run.stderr);
    assert!(world.server.take_calls().is_empty());
}

#[tokio::test]
async fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let world = World::new().await;
    let run = world
        .run(&["--endpoint-url", "http://127.0.0.1:1", "doctor", "--json"])
        .await;
    assert_eq!(run.code, Some(1));
    let findings: Vec<serde_json::Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |name: &str| findings.iter().find(|finding| finding["check"] == name).unwrap();
    assert_eq!(of("project")["ok"], true);
    assert_eq!(of("server")["ok"], false);
    assert!(of("server")["advice"].as_str().unwrap().contains("coracle serve"));
}

#[tokio::test]
async fn shells_complete_commands() {
    let world = World::new().await;
    for (shell, word) in [
        ("bash", "complete -F _agentcore"),
        ("zsh", "#compdef agentcore"),
        ("fish", "complete -c agentcore"),
    ] {
        let run = world.run(&["completion", shell]).await;
        assert!(run.stdout.contains(word), "{shell}: {}", run.stdout);
        assert!(run.stdout.contains("endpoints"));
    }
}
