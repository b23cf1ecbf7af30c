//! `agentcore create`, without a terminal. No server is asked.

use super::World;

#[tokio::test]
async fn a_project_is_made_by_flags_alone() {
    let world = World::new().await;
    let run = world.run(&["create", "--name", "Boat", "--defaults"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(
        run.stdout,
        "Next: cd Boat && agentcore dev   # runs it here; agentcore deploy takes it to the server\n"
    );
    let folder = world.folder.path().join("Boat");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    insta::assert_snapshot!("create_project_file", read("agentcore/agentcore.json"));
    insta::assert_snapshot!("create_readme", read("README.md"));
    assert!(world.server.take_calls().is_empty());

    let run = world.run(&["create", "--name", "Boat", "--defaults"]).await;
    assert_eq!(run.code, Some(2));
    insta::assert_snapshot!("create_taken", run.stderr);
}

#[tokio::test]
async fn a_dry_run_names_the_files_and_writes_none() {
    let world = World::new().await;
    let arguments = [
        "create",
        "--name",
        "Boat",
        "--defaults",
        "--dry-run",
        "--build",
        "container",
    ];
    let run = world.run(&arguments).await;
    insta::assert_snapshot!("create_dry_run", run.stdout);
    assert!(!world.folder.path().join("Boat").exists());
}

#[tokio::test]
async fn typescript_projects_have_files_of_their_own() {
    let world = World::new().await;
    let run = world
        .run(&[
            "create",
            "--name",
            "Boat",
            "--defaults",
            "--language",
            "ts",
            "--dry-run",
        ])
        .await;
    insta::assert_snapshot!("create_typescript", run.stdout);
}

#[tokio::test]
async fn spellings_of_other_tools_are_understood() {
    let world = World::new().await;
    let run = world
        .run(&[
            "create",
            "--project-name",
            "Crew",
            "--agent-framework",
            "langgraph",
            "--model-provider",
            "openai",
            "--provider-api-key",
            "sk-hush",
            "--memory",
            "STM_ONLY",
            "--protocol",
            "http",
            "--non-interactive",
            "--output",
            "made",
            "--json",
        ])
        .await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["folder"], "made/Crew");
    let folder = world.folder.path().join("made/Crew");
    let variables = std::fs::read_to_string(folder.join("agentcore/.env.local")).unwrap();
    assert!(variables.contains("\nOPENAI_API_KEY='sk-hush'\n"), "{variables}");
    let ignored = std::fs::read_to_string(folder.join("agentcore/.gitignore")).unwrap();
    assert!(ignored.lines().any(|line| line == ".env.local"), "{ignored}");
    assert!(!run.stdout.contains("hush") && !run.stderr.contains("hush"));
}

#[tokio::test]
async fn a_model_that_wants_a_key_can_be_done_without() {
    let world = World::new().await;
    let run = world
        .run(&[
            "create",
            "--name",
            "Punt",
            "--model-provider",
            "OpenAI",
            "--defaults",
        ])
        .await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stderr
            .contains("Punt/agentcore/.env.local, where MODEL_URL=stub"),
        "{}",
        run.stderr
    );
}

#[tokio::test]
async fn a_bad_value_lists_the_good_ones() {
    let world = World::new().await;
    for (flag, value, good) in [
        (
            "--framework",
            "autogen",
            "Strands, LangChain_LangGraph, OpenAIAgents, GoogleADK, CrewAI, none",
        ),
        ("--protocol", "soap", "HTTP, MCP, A2A, AGUI"),
        ("--language", "cobol", "Python, TypeScript"),
        ("--build", "tarball", "CodeZip, Container"),
        ("--memory", "elephant", "none, shortTerm"),
        (
            "--model-provider",
            "mind",
            "stub, Bedrock, Anthropic, OpenAI, Gemini, or an http or https URL",
        ),
    ] {
        let run = world.run(&["create", "--name", "Boat", flag, value]).await;
        assert_eq!(run.code, Some(2));
        assert!(run.stderr.contains(good), "{}", run.stderr);
    }
    let run = world.run(&["create", "--name", "Boat", "--memory", "long"]).await;
    insta::assert_snapshot!("create_long_memory", run.stderr);
    let run = world.run(&["create"]).await;
    insta::assert_snapshot!("create_nameless", run.stderr);
}

#[tokio::test]
async fn variables_reach_the_agent_and_not_the_screen() {
    let world = World::new().await;
    std::fs::write(
        world.folder.path().join("agentcore/.env.local"),
        "KEY=hidden\nMODE=a\n",
    )
    .unwrap();
    let run = world.run(&["deploy", "--env", "MODE=b=c"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stderr.contains("with KEY, MODE from agentcore/.env.local"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("hidden"), "{}", run.stderr);
    let seen = world.server.take_seen();
    let created = seen.iter().find(|seen| seen.target == "/runtimes/").unwrap();
    let body: serde_json::Value = serde_json::from_slice(&created.body).unwrap();
    assert_eq!(
        body["environmentVariables"],
        serde_json::json!({ "KEY": "hidden", "MODE": "b=c" })
    );
}

#[tokio::test]
async fn a_script_becomes_a_project() {
    let world = World::new().await;
    std::fs::create_dir_all(world.folder.path().join("script")).unwrap();
    let write = |name: &str| std::fs::write(world.folder.path().join("script").join(name), "").unwrap();
    write("my-agent.py");
    write("requirements.txt");
    let arguments = [
        "configure",
        "--path",
        "script",
        "-e",
        "my-agent.py",
        "-rf",
        "requirements.txt",
        "--runtime",
        "PYTHON_3_12",
        "-dt",
        "direct_code_deploy",
        "--idle-timeout",
        "60",
        "-do",
    ];
    let run = world.run(&arguments).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    insta::assert_snapshot!("configure_stderr", run.stderr);
    let file = world.folder.path().join("script/agentcore/agentcore.json");
    insta::assert_snapshot!("configure_project_file", std::fs::read_to_string(file).unwrap());
    assert_eq!(world.run(&["--path", "script", "deploy"]).await.code, Some(0));

    let run = world.run(&arguments).await;
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("is there already"), "{}", run.stderr);
}

#[tokio::test]
async fn only_what_can_be_deployed_is_configured() {
    let world = World::new().await;
    let folder = world.folder.path().join("script");
    std::fs::create_dir_all(folder.join("inner")).unwrap();
    std::fs::write(folder.join("inner/app.py"), "").unwrap();
    std::fs::write(folder.join("other.txt"), "").unwrap();
    let configure = |more: &[&str]| {
        let arguments = [&["configure", "--path", "script"], more].concat();
        world.command(&arguments)
    };
    for (arguments, said) in [
        (&["-e", "nowhere.py"][..], "there is no agent at `nowhere.py`"),
        (&["-e", "../app/hello/main.py"], "inside the project's folder"),
        (
            &["-e", "inner", "-rf", "other.txt"],
            "move it to `script/inner/requirements.txt`",
        ),
        (&["-e", "inner", "--vpc"], "there is no `--vpc` here"),
        (&["-e", "inner", "--idle-timeout", "5"], "60..=28800"),
    ] {
        let run = world.finish(configure(arguments)).await;
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
    assert!(!folder.join("agentcore").exists());
    let run = world.finish(configure(&["-e", "inner"])).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let project = std::fs::read_to_string(folder.join("agentcore/agentcore.json")).unwrap();
    assert!(project.contains(r#""codeLocation": "inner/""#), "{project}");
}

#[tokio::test]
async fn flags_of_other_tools_are_answered() {
    let world = World::new().await;
    let run = world.run(&["launch", "-auc", "-frd", "-lb"]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let answers: Vec<_> = run.stderr.lines().take(3).collect();
    insta::assert_snapshot!("older_flags", answers.join("\n"));
    let run = world.run(&["deploy", "--local", "--json"]).await;
    assert_eq!(run.code, Some(2));
    insta::assert_snapshot!("older_flag_refused", run.stderr);
}
