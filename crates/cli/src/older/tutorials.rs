//! Whatever the Python toolkit and the tool from npm take is taken here, too, or answered with what to do instead.

use clap::Parser as _;
use clap::error::ErrorKind;

use super::translate;
use crate::args::Cli;

/// Commands of theirs for which there is one here, and each flag that they have there.
const COMMANDS: &[(&str, &str)] = &[
    (
        "dev",
        "--port 1; -p 1; --env A=1; -env A=1; -r x; --runtime x; -s; --stream; -l; --logs; --exec; --skip-deploy; \
         -H X:y; --header X:y; -b; --no-browser; --no-traces",
    ),
    (
        "deploy",
        "--agent a; -a a; --local; -l; --local-build; -lb; --image-tag x; -t x; --auto-update-on-conflict; -auc; \
         --force-rebuild-deps; -frd; --env A=1; -env A=1; --code-build; --target t; -y; --yes; -v; --verbose; --json; \
         --dry-run; --diff",
    ),
    (
        "invoke",
        "--agent a; -a a; --session-id s; -s s; --bearer-token t; -bt t; --local; -l; --dev; -d; --local --port 8080; \
         --user-id u; -u u; --headers A:1; --prompt x; --prompt-file f; --runtime r; --gateway g; \
         --gateway-target-name g; --target t; --api-base u; --additional-params {}; --payment-user-id x; \
         --payment-instrument-id x; --payment-session-id x; --auto-session; --json; --stream; \
         call-tool --tool t --input {}; list-tools; --exec; --exec --timeout 3; -H X:y; --header X:y; --harness h; \
         --harness-arn a; --region r; --verbose; --model-id x; --model-provider x; --api-key-arn x; --tools x; \
         --allowed-tools x; --skills x; --system-prompt x; --actor-id x; --max-iterations 1; --max-tokens 1; \
         --harness-timeout 1",
    ),
    (
        "status",
        "--agent a; -a a; --verbose; -v; --runtime-id x; --target t; --type t; --state s; --runtime r; --name n; --json",
    ),
    (
        "destroy",
        "--agent a; -a a; --dry-run; --force; --delete-ecr-repo",
    ),
    ("stop-session", "--session-id s; -s s; -s s --agent a; -s s -a a"),
    (
        "create",
        "--project-name p; -p p; --template t; -t t; --agent-framework Strands; --model-provider Bedrock; -mp Bedrock; \
         --provider-api-key k; -key k; --iac cdk; --memory none; -m none; --non-interactive; --venv; --no-venv; \
         --name n; --no-agent; --defaults; --build CodeZip; --language Python; --framework Strands; --api-key k; \
         --protocol HTTP; --type create; --type import; --agent-id x; --agent-alias-id x; --region r; \
         --network-mode PUBLIC; --subnets x; --security-groups x; --vpc-id x; --idle-timeout 60; --max-lifetime 60; \
         --session-storage-mount-path /mnt/x; --efs-access-point-arn a; --efs-mount-path p; --s3-access-point-arn a; \
         --s3-mount-path p; --capacity-provider c; --cp-volume-name n; --cp-volume-mount-path p; --with-config-bundle; \
         --output-dir d; --skip-git; --skip-python-setup; --skip-install; --dry-run; --json; --model-id x; \
         --api-key-arn x; --api-base u; --additional-params {}; --no-harness-memory; --max-iterations 1; \
         --max-tokens 1; --timeout 1; --truncation-strategy x; --container x; import --region r",
    ),
    (
        "configure -e f",
        "--create; -c; --name n; -n n; --execution-role r; -er r; --code-build-execution-role r; -cber r; --ecr e; \
         -ecr e; --s3 s; -s3 s; --container-runtime d; -ctr d; --requirements-file f; -rf f; --disable-otel; -do; \
         --disable-memory; -dm; --authorizer-config {}; -ac {}; --request-header-allowlist h; -rha h; --vpc; \
         --subnets s; --security-groups s; --idle-timeout 60; --max-lifetime 60; --verbose; -v; --region r; -r r; \
         --protocol HTTP; -p HTTP; --non-interactive; -ni; --deployment-type container; -dt container; \
         --runtime PYTHON_3_13; -rt PYTHON_3_13; --language python; -lang python",
    ),
    ("configure", "list; set-default x"),
    (
        "exec",
        "--it; ls --runtime r; ls --session-id s; --it --shell-id s; ls --region r; ls --bearer-token t; \
         ls --target t; ls --timeout 3; ls --json",
    ),
    (
        "logs",
        "--runtime r; -r r; --since 1h; --until 1h; --level error; -n 5; --limit 5; --query x; --json; -f; --follow; \
         evals --since 1h",
    ),
    ("package", "-d x; --directory x; -r r; --runtime r"),
    ("validate", "-d x; --directory x; --json"),
];

/// Commands of theirs for which there is none.
const ABSENT: &[&str] = &[
    "add agent",
    "archive insights",
    "batch-evaluations history",
    "capacity-provider delete-session",
    "cb versions",
    "config",
    "config-bundle diff",
    "create_mcp_gateway",
    "create_mcp_gateway_target",
    "dataset download",
    "eval run",
    "evals history",
    "export harness",
    "feedback",
    "fetch access",
    "gateway list-mcp-gateways",
    "identity list-aws-jwt",
    "import runtime",
    "import-agent",
    "memory list",
    "obs list",
    "pause online-eval",
    "policy list-policies",
    "promote ab-test",
    "remove all",
    "resume online-eval",
    "run eval",
    "stop ab-test",
    "t list",
    "telemetry status",
    "traces get",
    "update cli",
    "view insights",
];

fn is_answered(line: &str) -> bool {
    let translated = translate(format!("agentcore {line}").split_whitespace().map(Into::into));
    if translated.refusal.is_some() {
        return true;
    }
    let parsed = Cli::try_parse_from(translated.arguments);
    !parsed.is_err_and(|error| {
        matches!(
            error.kind(),
            ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand | ErrorKind::InvalidValue
        )
    })
}

#[test]
fn what_tutorials_show_is_taken_or_answered() {
    let lines = COMMANDS.iter().flat_map(|(command, flags)| {
        let flags = flags.split(';').map(str::trim);
        flags.map(move |flag| format!("{command} {flag}"))
    });
    let lines = lines.chain(ABSENT.iter().map(|line| (*line).to_owned()));
    let unanswered: Vec<_> = lines.filter(|line| !is_answered(line)).collect();
    assert!(unanswered.is_empty(), "{unanswered:#?}");
    assert!(!is_answered("deploy --no-such-flag"));
}
