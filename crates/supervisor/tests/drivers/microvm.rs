//! The microvm driver with real machines. Skipped, saying why, where QEMU or the images are missing.

use std::fs::Permissions;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::sandbox::{Connection, agent, guest_program, patiently, server_program};
use coracle_artifact::images::ImageStore;
use coracle_artifact::oci::OciStore;
use coracle_guest_proto::message::Request;
use coracle_supervisor::driver::microvm::{AcceleratorChoice, MicrovmConfig, MicrovmDriver, Programs};
use coracle_supervisor::driver::{
    AgentHook, AgentSpec, Driver, Machine, Origin, PrepareError, Program, TemplateSpec,
};
use coracle_types::{Architecture, RuntimeKind, SandboxId};
use coracle_vmm::{DiskRate, JailMode, JailSettings};
use serde_json::Value;

const RUNTIME: RuntimeKind = RuntimeKind::Python311;

struct Bench {
    folder: tempfile::TempDir,
    driver: MicrovmDriver,
    config: MicrovmConfig,
    agent: AgentSpec,
}

impl Bench {
    fn new() -> Option<Self> {
        Self::try_new(AcceleratorChoice::Tcg)
            .inspect_err(|reason| println!("skipped: {reason}"))
            .ok()
    }

    fn try_new(accelerator: AcceleratorChoice) -> Result<Self, String> {
        // What a driver works around it only tells its log. Whoever was first has set this.
        tracing_subscriber::fmt().with_test_writer().try_init().ok();
        let images = std::env::var_os("CORACLE_IMAGES_DIR")
            .map_or_else(|| PathBuf::from("/var/cache/coracle/images"), PathBuf::from);
        let architecture = Architecture::host().ok_or("there are no microVMs for this processor")?;
        let qemu = PathBuf::from(format!("/usr/bin/qemu-system-{}", architecture.machine()));
        if !qemu.is_file() {
            return Err(format!("{} is not installed", qemu.display()));
        }
        let own = Programs {
            architecture,
            qemu,
            guest: guest_program()?,
        };
        if !images.is_dir() {
            return Err(format!("there are no images in {}", images.display()));
        }
        let images = ImageStore::open(images, None).map_err(|error| error.to_string())?;
        images.kernel(architecture).map_err(|error| error.to_string())?;
        images.base(RUNTIME).map_err(|error| error.to_string())?;
        let folder = tempfile::tempdir().unwrap();
        let (code, agent) = agent(folder.path(), RUNTIME);
        let config = MicrovmConfig {
            data_dir: folder.path().to_owned(),
            images,
            code,
            containers: OciStore::open(folder.path().join("containers")).unwrap(),
            own,
            other: None,
            memory_mib: 512,
            vcpus: 1,
            scratch_mib: 256,
            disk_rate: DiskRate::default(),
            accelerator,
            jail: JailSettings {
                mode: JailMode::Auto,
                users: 0x7100_0000..0x7100_1000,
                programs: Vec::new(),
                launcher: server_program()?,
            },
            door: None,
            name_servers: Default::default(),
            boot_timeout: crate::sandbox::PATIENCE,
        };
        Ok(Self {
            folder,
            driver: MicrovmDriver::new(config.clone()),
            config,
            agent,
        })
    }

    /// A machine whose agent has been started.
    async fn started(&self) -> (Box<dyn Machine>, Connection) {
        let begun = Instant::now();
        self.driver.prepare(&self.agent).await.unwrap();
        let prepared = begun.elapsed();
        let booted = self.driver.boot(SandboxId::new(), &self.agent).await.unwrap();
        let channel_at = begun.elapsed();
        let mut connection = Connection::new(booted.channel).await;
        connection.start(booted.start).await;
        let started_at = begun.elapsed();
        connection.get("/visits").await.unwrap();
        let clock_source = &connection.identity().await["clock_source"];
        println!(
            "clock source {clock_source}, clock off by {:?}",
            connection.clock_difference().await
        );
        println!(
            "prepared {prepared:?}, {:?}, channel at {channel_at:?}, agent started at {started_at:?}, answered at {:?}",
            booted.timing,
            begun.elapsed()
        );
        (booted.machine, connection)
    }

    /// With an agent that wants a template.
    fn with_template(warm_up: Option<&str>) -> Option<Self> {
        let mut bench = Self::new()?;
        bench.agent.template = Some(TemplateSpec {
            made_for: "a test".to_owned(),
            init_timeout: crate::sandbox::PATIENCE,
            restored: None,
            warm_up: warm_up.map(|path| AgentHook {
                port: bench.agent.port,
                path: path.to_owned(),
            }),
        });
        Some(bench)
    }

    /// A restored machine whose agent has been resumed, and how long until its first answer.
    async fn restored(&self) -> (Box<dyn Machine>, Connection, Value, Duration) {
        let begun = Instant::now();
        let booted = self.driver.boot(SandboxId::new(), &self.agent).await.unwrap();
        assert_eq!(booted.origin, Origin::Restored);
        let mut connection = Connection::new(booted.channel).await;
        connection.start(booted.start).await;
        let identity = connection.identity().await;
        let took = begun.elapsed();
        println!(
            "{:?}, first answer at {took:?}, clock source {}",
            booted.timing, identity["clock_source"]
        );
        (booted.machine, connection, identity, took)
    }

    /// The same files under a server that has just started.
    fn restarted(self) -> Self {
        let config = self.config.clone();
        Self {
            driver: MicrovmDriver::new(config),
            ..self
        }
    }

    fn has_template(&self) -> bool {
        let mut entries = std::fs::read_dir(self.templates()).unwrap().flatten();
        entries.any(|entry| entry.path().join("manifest.json").is_file())
    }

    fn templates(&self) -> PathBuf {
        self.folder.path().join("templates")
    }

    fn template(&self) -> PathBuf {
        let mut templates = std::fs::read_dir(self.templates()).unwrap();
        templates.next().unwrap().unwrap().path()
    }

    fn sandboxes(&self) -> PathBuf {
        self.folder.path().join("sandboxes")
    }
}

/// How many processes have something of the folder in their arguments.
fn processes_in(folder: &Path) -> usize {
    let folder = folder.canonicalize().unwrap().display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| {
            std::fs::read(process.path().join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&folder))
        })
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_in_a_machine_answers_logs_outlives_its_host_and_ends() {
    let Some(bench) = Bench::new() else { return };
    let (mut machine, connection) = bench.started().await;

    let described = connection.get("/describe").await.unwrap();
    for expected in [
        "uid=1000 gid=1000 groups=[]",
        "cwd=/var/task",
        "CapEff:0000000000000000",
        "NoNewPrivs:1",
    ] {
        assert!(described.contains(expected), "no {expected} in {described}");
    }
    assert!(
        !described.contains("year=1970"),
        "the clock was not set: {described}"
    );
    connection.logs_until(&["started", "complaint"]).await;

    let body: Vec<u8> = (0..5_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let begun = Instant::now();
    let echoes = futures::future::join_all((0..20).map(|_| connection.echo(&body))).await;
    assert!(echoes.iter().all(|echo| *echo == body), "an echo differs");
    println!("20 echoes of 5 MB: {:?}", begun.elapsed());

    assert!(machine.memory().private > 0);
    drop(connection);
    // The driver's folder holds the socket that another host connects to.
    let sandbox = std::fs::read_dir(bench.sandboxes())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut connection = Connection::new(connect_again(&sandbox).await).await;
    let visits: u32 = connection.get("/visits").await.unwrap().parse().unwrap();
    assert!(visits >= 2, "the agent was started again");
    assert!(connection.usage().await.cpu_micros > 0);

    assert_eq!(connection.get("/exit").await, None);
    let exit = connection.exited().await;
    assert_eq!(
        (exit.code, exit.signal, exit.out_of_memory),
        (Some(7), None, false)
    );
    connection.logs_until(&["leaving"]).await;

    connection
        .request(Request::Shutdown { grace_millis: 1000 })
        .await
        .unwrap();
    let end = patiently("the machine's end", machine.ended()).await;
    assert!(end.contains("exit status: 0"), "{end}");
    machine.destroy().await;
    assert_eq!(processes_in(&bench.sandboxes()), 0);
    assert_eq!(std::fs::read_dir(bench.sandboxes()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_takes_everything_hurts_itself_only() {
    let Some(bench) = Bench::new() else { return };
    let (mut machine, mut connection) = bench.started().await;

    let filled = connection.get("/disk").await.unwrap();
    assert!(filled.contains("No space left on device"), "{filled}");
    assert!(std::fs::metadata(scratch(&bench)).unwrap().len() <= 256 * 1024 * 1024);

    let exit = {
        assert_eq!(connection.get("/memory").await, None);
        connection.exited().await
    };
    assert!(exit.out_of_memory, "{exit:?}");
    assert_eq!(exit.to_string(), "was killed because memory ran out");
    // The guest is alive and still answers.
    connection.usage().await;
    machine.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_ends() {
    let Some(bench) = Bench::new() else { return };
    let (mut machine, mut connection) = bench.started().await;
    match connection.get("/fork").await {
        Some(forked) => assert!(forked.contains("Resource temporarily unavailable"), "{forked}"),
        // Or its processes took all memory first.
        None => assert!(connection.exited().await.out_of_memory),
    }
    connection.usage().await;
    machine.destroy().await;
    assert_eq!(processes_in(&bench.sandboxes()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_left_is_swept_away() {
    let Some(bench) = Bench::new() else { return };
    let (machine, connection) = bench.started().await;
    // A server that is killed runs no destructors.
    #[expect(clippy::mem_forget, reason = "nothing else leaves a machine behind")]
    std::mem::forget(machine);
    drop(connection);
    assert!(processes_in(&bench.sandboxes()) > 0);
    assert_eq!(bench.driver.sweep(&[]).await.unwrap().removed, 1);
    let begun = Instant::now();
    while processes_in(&bench.sandboxes()) > 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the machine is still there"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(std::fs::read_dir(bench.sandboxes()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_cannot_boot_says_why_and_leaves_nothing() {
    let Some(mut bench) = Bench::new() else { return };
    bench.driver.prepare(&bench.agent).await.unwrap();
    let Program::Code(program) = &mut bench.agent.program else {
        panic!("the agent is code")
    };
    program.code.digest = "0".repeat(64);
    let error = bench
        .driver
        .boot(SandboxId::new(), &bench.agent)
        .await
        .err()
        .expect("no code, no machine");
    assert_eq!(error.to_string(), "the sandbox could not be booted during disks");
    assert_eq!(std::fs::read_dir(bench.sandboxes()).unwrap().count(), 0);
}

/// A QEMU whose first guests, as many as files were made for, are told that their processor counts twice as fast as it
/// does, and so misjudge their timer.
const MISLEADING_QEMU: &str = r#"#!/bin/bash
[[ "$*" =~ tsc_early_khz=([0-9]+) ]] && for file in "${0%/*}"/misled-*; do
    if rm "$file" 2>/dev/null; then
        set -- "${@/"${BASH_REMATCH[0]}"/tsc_early_khz=$((2 * BASH_REMATCH[1]))}"
        break
    fi
done
exec QEMU "$@"
"#;

#[cfg(target_arch = "x86_64")]
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_misjudges_its_timer_boots_again() {
    let Some(mut bench) = Bench::with_template(None) else {
        return;
    };
    let misleading = bench.folder.path().join("qemu");
    let script = MISLEADING_QEMU.replace("QEMU", &bench.config.own.qemu.to_string_lossy());
    std::fs::write(&misleading, script).unwrap();
    std::fs::set_permissions(&misleading, Permissions::from_mode(0o755)).unwrap();
    bench.config.own.qemu = misleading;
    bench.config.jail.mode = JailMode::Off;
    bench.driver = MicrovmDriver::new(bench.config.clone());
    let mislead = |guests: std::ops::Range<usize>| {
        let files = guests.map(|guest| bench.folder.path().join(format!("misled-{guest}")));
        files.for_each(|file| std::fs::write(file, "").unwrap());
    };

    // The first is a template's, whose memory is begun anew, too.
    mislead(0..2);
    bench.driver.prepare(&bench.agent).await.unwrap();
    let (mut machine, ..) = bench.restored().await;
    machine.destroy().await;

    bench.agent.template = None;
    mislead(0..2);
    let (mut machine, _) = bench.started().await;
    machine.destroy().await;

    mislead(0..99);
    let error = bench.driver.boot(SandboxId::new(), &bench.agent).await;
    let error = error.err().expect("none of its guests judges right");
    let cause = error.source.to_string();
    assert!(cause.contains("misjudged the rate of its timer"), "{cause}");
    assert_eq!(std::fs::read_dir(bench.sandboxes()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_hardware_virtualisation_works_is_found_out_in_time() {
    let Ok(bench) = Bench::try_new(AcceleratorChoice::Auto) else {
        return;
    };
    let begun = Instant::now();
    let accelerator = bench.driver.accelerator().await.unwrap();
    println!("{accelerator:?} after {:?}", begun.elapsed());
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "the probe has a deadline of 10 s"
    );
    assert_eq!(processes_in(&bench.sandboxes()), 0);
    assert_eq!(std::fs::read_dir(bench.sandboxes()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_sessions_share_what_was_prepared_and_nothing_else() {
    let Some(bench) = Bench::with_template(Some("/warm-up")) else {
        return;
    };
    let begun = Instant::now();
    bench.driver.prepare(&bench.agent).await.unwrap();
    println!("template made in {:?}", begun.elapsed());
    bench.driver.prepare(&bench.agent).await.unwrap();
    assert_eq!(
        std::fs::read_dir(bench.templates()).unwrap().count(),
        1,
        "made once"
    );
    assert_eq!(processes_in(&bench.sandboxes()), 0);

    let mut sessions = Vec::new();
    for _ in 0..4 {
        let session = bench.restored().await;
        // That the clock was set; how precisely is for a benchmark, because a busy host delays the message itself.
        let difference = session.1.clock_difference().await;
        assert!(
            difference < Duration::from_secs(1),
            "the clock is {difference:?} off"
        );
        sessions.push(session);
    }
    sessions.extend(futures::future::join_all((0..6).map(|_| bench.restored())).await);
    let first = &sessions[0].2;
    for (number, (_, _, identity, _)) in sessions.iter().enumerate() {
        assert_eq!(
            identity["kept"],
            serde_json::json!(["kept"]),
            "the warm-up was not snapshotted"
        );
        assert_eq!(identity["written"], "before");
        assert_eq!(identity["pid"], first["pid"]);
        assert_eq!(identity["ticks_backwards"], 0);
        assert_eq!(identity["etc_hostname"], identity["unique"]["hostname"]);
        assert!(identity["monotonic"].as_f64() > identity["imported_at_monotonic"].as_f64());
        for (name, value) in identity["unique"].as_object().unwrap() {
            for (_, _, other, _) in &sessions[..number] {
                assert_ne!(other["unique"][name], *value, "two sessions share their {name}");
            }
        }
    }
    let (_, one, ..) = &sessions[0];
    one.get("/keep").await.unwrap();
    assert_eq!(one.identity().await["kept"].as_array().unwrap().len(), 2);
    let (_, other, ..) = &sessions[1];
    assert_eq!(
        other.identity().await["kept"].as_array().unwrap().len(),
        1,
        "sessions share memory"
    );
    assert_jailed(&bench.sandboxes(), sessions.len());
    for (machine, ..) in &mut sessions {
        machine.destroy().await;
    }
    assert_eq!(processes_in(&bench.sandboxes()), 0);
}

/// What the kernel says of these machines' processes. A complete jail takes root.
fn assert_jailed(sandboxes: &Path, machines: usize) {
    let mut users = std::collections::BTreeSet::new();
    for sandbox in std::fs::read_dir(sandboxes).unwrap() {
        let record = std::fs::read(sandbox.unwrap().path().join("machine.json")).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", record["pid"])).unwrap();
        let said = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        assert_eq!(
            (said("NoNewPrivs:").as_str(), said("Seccomp:").as_str()),
            ("1", "2")
        );
        if rustix::process::geteuid().is_root() {
            assert_eq!(said("CapEff:").trim_start_matches('0'), "");
            users.insert(said("Uid:"));
        }
    }
    if rustix::process::geteuid().is_root() {
        assert_eq!(users.len(), machines, "machines share a user: {users:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_template_is_not_used_but_made_again() {
    let Some(bench) = Bench::with_template(None) else {
        return;
    };
    bench.driver.prepare(&bench.agent).await.unwrap();
    let damaged = std::fs::File::options()
        .read(true)
        .write(true)
        .open(bench.template().join("memory"))
        .unwrap();
    let mut byte = [0];
    damaged.read_exact_at(&mut byte, 64 * 1024 * 1024).unwrap();
    damaged.write_all_at(&[byte[0] ^ 1], 64 * 1024 * 1024).unwrap();
    std::fs::create_dir(bench.templates().join(".draft-half-made")).unwrap();

    // A later server.
    let bench = bench.restarted();
    assert_eq!(
        bench.driver.sweep(&[]).await.unwrap().removed,
        1,
        "the half-made template"
    );
    let booted = bench.driver.boot(SandboxId::new(), &bench.agent).await.unwrap();
    assert_eq!(booted.origin, Origin::BootedInstead);
    drop(booted);
    patiently("a new template", async {
        while !bench.templates().is_dir() || !bench.has_template() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    // Making it ends with a proof, which this waits for.
    bench.driver.prepare(&bench.agent).await.unwrap();
    let (mut machine, ..) = bench.restored().await;
    machine.destroy().await;
}

/// One that is removed after its driver said that it is gone would take the next one's files with it. On one thread, so
/// that what was left to the background has not happened yet.
#[tokio::test]
async fn a_sandbox_that_is_gone_leaves_the_next_one_of_its_name_alone() {
    let Some(bench) = Bench::with_template(None) else {
        return;
    };
    bench.driver.prepare(&bench.agent).await.unwrap();
    let sandbox = SandboxId::new();
    let booted = bench.driver.boot(sandbox, &bench.agent).await.unwrap();
    assert_eq!(booted.origin, Origin::Restored);
    let mut machine = booted.machine;
    machine.destroy().await;
    drop(machine);
    let next = bench.sandboxes().join(sandbox.to_string()).join("next");
    std::fs::create_dir_all(&next).unwrap();
    patiently("what goes on in the background", bench.driver.settled()).await;
    assert!(next.exists(), "after a sandbox was destroyed");
    std::fs::remove_dir_all(next.parent().unwrap()).unwrap();

    // Has been found sound before, so that QEMU meets it.
    std::fs::write(bench.template().join("state"), "no state").unwrap();
    let booted = bench.driver.boot(sandbox, &bench.agent).await.unwrap();
    assert_eq!(booted.origin, Origin::BootedInstead);
    patiently("what goes on in the background", bench.driver.settled()).await;
    assert!(scratch(&bench).exists(), "after a restore that failed");
    let (mut machine, mut connection) = (booted.machine, Connection::new(booted.channel).await);
    connection.start(booted.start).await;
    connection.get("/visits").await.unwrap();
    machine.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_start_fails_with_its_last_words() {
    let Some(mut bench) = Bench::with_template(None) else {
        return;
    };
    bench.agent.environment = [("FAIL".to_owned(), "no model".to_owned())].into();
    let Err(PrepareError::Refused(reason)) = bench.driver.prepare(&bench.agent).await else {
        panic!("a broken agent was accepted");
    };
    println!("{reason}");
    for part in ["Phase start", "exited with code 1", "cannot go on: no model"] {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(std::fs::read_dir(bench.templates()).unwrap().count(), 0);
    assert_eq!(processes_in(&bench.sandboxes()), 0);
}

async fn connect_again(sandbox: &Path) -> tokio::net::UnixStream {
    patiently("the channel", async {
        loop {
            if let Ok(stream) = tokio::net::UnixStream::connect(sandbox.join("run/channel")).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

fn scratch(bench: &Bench) -> PathBuf {
    let sandbox = std::fs::read_dir(bench.sandboxes())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    sandbox.path().join("scratch.ext4")
}
