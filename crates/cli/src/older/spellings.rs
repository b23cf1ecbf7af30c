//! What the Python toolkit and the tool from npm call things, and what that is here.

use super::Fate::{self, Alone, Each, Is, Nothing, NothingWithValue, Refused};

/// Spellings of flags, and what becomes of each.
pub(super) type Flags = &'static [(&'static [&'static str], Fate)];

/// What several of their commands have.
pub(super) const EVERYWHERE: Flags = &[(&["--agent", "-a"], Is("--runtime"))];

const OTHER_SERVICE: &str = "it belongs to another service of AgentCore; this is about the runtime";
const HARNESS: &str = "harnesses belong to another service of AgentCore; here the model, the tools and the loop are the agent's own code";
const BEDROCK_AGENTS: &str = "agents of Bedrock Agents cannot be imported; `agentcore configure --entrypoint FILE` makes a project of a script";

const CREATE: Flags = &[
    (&["-mp"], Is("--model-provider")),
    (&["-key"], Is("--api-key")),
    (
        &["--iac", "--template", "-t"],
        NothingWithValue("there is one kind of project for all"),
    ),
    (
        &["--venv", "--no-venv", "--skip-install", "--skip-python-setup"],
        Nothing("packages are installed when the agent is deployed"),
    ),
    (&["--skip-git"], Nothing("no Git repository is begun")),
    (
        &["--no-agent"],
        Refused("a project has an agent; `--framework none` makes the plainest"),
    ),
    (
        &["--network-mode", "--subnets", "--security-groups", "--vpc-id"],
        Refused("set `networkMode` and `networkConfig` in agentcore/agentcore.json afterwards"),
    ),
    (
        &["--idle-timeout", "--max-lifetime"],
        Refused("set `lifecycleConfiguration` in agentcore/agentcore.json afterwards"),
    ),
    (
        &["--session-storage-mount-path"],
        Refused("set `filesystemConfigurations` in agentcore/agentcore.json afterwards"),
    ),
    (
        &[
            "--efs-access-point-arn",
            "--efs-mount-path",
            "--s3-access-point-arn",
            "--s3-mount-path",
        ],
        Refused(
            "name it under `filesystemConfigurations` in agentcore/agentcore.json afterwards; the server's operator says \
             which folder it is",
        ),
    ),
    (
        &[
            "--capacity-provider",
            "--cp-volume-name",
            "--cp-volume-mount-path",
        ],
        Refused("there are no capacity providers: sessions run on the server's machines"),
    ),
    (&["--type"], NothingWithValue("what is made is an agent")),
    (&["--agent-id", "--agent-alias-id"], Refused(BEDROCK_AGENTS)),
    (&["--with-config-bundle"], Refused(OTHER_SERVICE)),
    (
        &["--api-base"],
        Refused("`--model-provider URL` is anything that speaks OpenAI's chat completions"),
    ),
    (
        &["--api-key-arn"],
        Refused("`--api-key KEY` puts the key itself into agentcore/.env.local"),
    ),
    (
        &["--container"],
        Refused("`--build Container` writes a Dockerfile, where another image can be named"),
    ),
    (
        &[
            "--additional-params",
            "--no-harness-memory",
            "--max-iterations",
            "--max-tokens",
            "--timeout",
            "--truncation-strategy",
        ],
        Refused(HARNESS),
    ),
];

const CONFIGURE: Flags = &[
    (&["--runtime", "-rt"], Is("--runtime-version")),
    (&["-er"], Is("--execution-role")),
    (&["-rf"], Is("--requirements-file")),
    (&["-r"], Is("--region")),
    (
        &["--create", "-c"],
        Refused("`agentcore create` makes a new project"),
    ),
    (&["--deployment-type", "-dt"], Is("--build")),
    (&["-rha"], Is("--request-header-allowlist")),
    (&["--non-interactive", "-ni"], Nothing("configure does not ask")),
    (
        &["--disable-otel", "-do"],
        Nothing("it is off until the project file turns `instrumentation` on"),
    ),
    (&["--disable-memory", "-dm"], Nothing("no memory is made")),
    (&["--verbose", "-v"], Is("--debug")),
    (
        &["--language", "-lang"],
        NothingWithValue("the entry file's ending says it"),
    ),
    (
        &["--ecr", "-ecr", "--container-runtime", "-ctr"],
        NothingWithValue("`agentcore deploy --push` names a registry"),
    ),
    (
        &["--s3", "-s3"],
        NothingWithValue("code goes into a bucket of its own"),
    ),
    (
        &["--code-build-execution-role", "-cber"],
        NothingWithValue("images are built on this machine"),
    ),
    (
        &["--vpc", "--subnets", "--security-groups"],
        Refused("set `networkMode` and `networkConfig` in agentcore/agentcore.json"),
    ),
    (
        &["--authorizer-config", "-ac"],
        Refused("set it with boto3's update_agent_runtime; `agentcore deploy` keeps what it finds"),
    ),
];

const DEPLOY: Flags = &[
    (
        &["--auto-update-on-conflict", "-auc"],
        Nothing("a runtime of the same name is always updated"),
    ),
    (
        &["--local-build", "-lb", "--code-build"],
        Nothing("images are always built on this machine"),
    ),
    (&["--force-rebuild-deps", "-frd"], Is("--refresh")),
    (&["-env"], Is("--env")),
    (
        &["--image-tag", "-t"],
        NothingWithValue("an image's tag comes from its content"),
    ),
    (&["--yes", "-y"], Nothing("deploy does not ask")),
    (&["--verbose", "-v"], Is("--debug")),
    (
        &["--diff", "--dry-run"],
        Refused(
            "`agentcore package` makes the zip without sending it; unchanged code is never deployed again",
        ),
    ),
    (
        &["--local", "-l"],
        Refused("`agentcore dev` runs the agent on this machine"),
    ),
];

const DEV: Flags = &[
    (&["-env"], Is("--env")),
    (&["-r"], Is("--runtime")),
    (&["--tool"], Alone("the tool's name")),
    (
        &["--stream", "-s"],
        Nothing("answers are always printed as they arrive"),
    ),
    (&["--logs", "-l"], Nothing("the agent's output is always printed")),
    (&["--no-traces"], Nothing("traces stay on this machine")),
    (&["--skip-deploy"], Nothing("dev deploys nothing")),
    (
        &["--header", "-H"],
        Refused("`agentcore invoke --dev --header \"Name: value\" PROMPT` sends one"),
    ),
    (
        &["--exec"],
        Refused("the agent runs on this machine: run the command in another terminal"),
    ),
];

const INVOKE: Flags = &[
    (&["-bt"], Is("--bearer-token")),
    (&["--headers"], Each("--header")),
    (&["--local", "-l"], Is("--dev")),
    (&["--prompt"], Alone("the prompt")),
    (&["--tool"], Alone("the tool's name")),
    (
        &["--auto-session"],
        Nothing("without --session-id there is a new session"),
    ),
    (&["--verbose"], Is("--debug")),
    (
        &["--exec", "--timeout"],
        Refused("`agentcore exec --timeout SECONDS -- COMMAND` runs a command beside the agent"),
    ),
    (
        &["--gateway", "--gateway-target-name"],
        Refused("gateways belong to another service of AgentCore; `agentcore tools` calls an MCP server"),
    ),
    (
        &[
            "--payment-user-id",
            "--payment-instrument-id",
            "--payment-session-id",
        ],
        Refused(OTHER_SERVICE),
    ),
    (
        &[
            "--actor-id",
            "--additional-params",
            "--allowed-tools",
            "--api-base",
            "--api-key-arn",
            "--harness",
            "--harness-arn",
            "--harness-timeout",
            "--max-iterations",
            "--max-tokens",
            "--model-id",
            "--model-provider",
            "--skills",
            "--system-prompt",
            "--tools",
        ],
        Refused(HARNESS),
    ),
];

const DESTROY: Flags = &[(&["--delete-ecr-repo"], Nothing("there is no ECR repository"))];

const LOGS: Flags = &[
    (&["-r"], Is("--runtime")),
    (&["--query"], Refused("`agentcore logs | grep TEXT` finds lines")),
    (
        &["--until"],
        Refused("`--since` says where to begin; there is no end to be set"),
    ),
];

const STATUS: Flags = &[
    (&["--runtime-id", "--name"], Is("--runtime")),
    (&["--verbose", "-v"], Is("--json")),
    (
        &["--type", "--state"],
        NothingWithValue("a project has runtimes, and all of it is shown"),
    ),
];

const PACKAGE: Flags = &[(&["--directory", "-d"], Is("--path")), (&["-r"], Is("--runtime"))];

/// The flags of others to one of our commands.
pub(super) fn flags(command: &str) -> Option<Flags> {
    Some(match command {
        "create" => CREATE,
        "configure" => CONFIGURE,
        "deploy" | "launch" | "dp" => DEPLOY,
        "dev" | "d" => DEV,
        "invoke" | "i" => INVOKE,
        "logs" | "l" => LOGS,
        "package" | "pkg" | "validate" => PACKAGE,
        "status" | "s" => STATUS,
        "destroy" => DESTROY,
        "stop-session" => &[],
        _ => return None,
    })
}

/// What to do instead of what only others have below one of our commands.
pub(super) fn subcommand_of_others(command: &str, word: &str) -> Option<&'static str> {
    Some(match (command, word) {
        ("configure", "list") => {
            "agentcore/agentcore.json lists the agents, `agentcore status` shows what is deployed"
        }
        ("configure", "set-default") => "`--runtime NAME` says which agent of the project is meant",
        ("create", "import") => BEDROCK_AGENTS,
        ("logs" | "l", "evals") => OTHER_SERVICE,
        _ => return None,
    })
}

/// What to do instead of a command that only others have.
pub(super) fn command_of_others(word: &str) -> Option<&'static str> {
    Some(match word {
        "traces" | "t" | "obs" => {
            "the page of `agentcore dev` shows the trace of each request, `agentcore logs` what the agent printed"
        }
        "add" => {
            "`agentcore create` makes a project with an agent; more go into `runtimes` of agentcore/agentcore.json"
        }
        "remove" => "take it out of agentcore/agentcore.json; `agentcore destroy` deletes what is deployed",
        "import" => "`agentcore configure --entrypoint FILE` makes a project of a script that is there",
        "import-agent" => BEDROCK_AGENTS,
        "stop" => "`agentcore stop-session ID` ends a session",
        "config" => {
            "flags, agentcore/aws-targets.json and AWS's variables and profiles; `--debug` says which won"
        }
        "telemetry" => "nothing is told to anybody",
        "feedback" => "it belongs to the tool from npm",
        "harness" | "export" => HARNESS,
        "update" => "`agentcore --version` says which one this is; it comes with Coracle",
        "memory"
        | "gateway"
        | "create_mcp_gateway"
        | "create_mcp_gateway_target"
        | "identity"
        | "policy"
        | "eval"
        | "evals"
        | "dataset"
        | "config-bundle"
        | "cb"
        | "archive"
        | "batch-evaluations"
        | "capacity-provider"
        | "fetch"
        | "pause"
        | "promote"
        | "resume"
        | "run"
        | "view" => OTHER_SERVICE,
        _ => return None,
    })
}
