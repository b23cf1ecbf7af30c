//! Making templates: once for the same content, however many want it, and few at a time, because each takes a
//! machine's memory and processors.
//!
//! ```text
//!  boot ─▶ healthy, warmed up ─▶ host leaves ─▶ saved ─┬▶ synced, checksums ┐
//!                                                      └▶ restored once     ┴▶ published
//! ```
//!
//! What fails on the way leaves a draft, which is removed.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coracle_artifact::scratch::ScratchTemplate;
use coracle_guest_proto::SNAPSHOT_READY;
use coracle_types::SandboxId;
use coracle_vmm::Accelerator;
use tokio::sync::{OwnedMutexGuard, Semaphore, SemaphorePermit};

use super::power::{PoweredOn, Source};
use super::readiness::{self, NotReady};
use super::template::{Draft, Ingredients, Template};
use super::{Cause, Microvms, SCRATCH_FILE, blocking, program};
use crate::driver::{AgentSpec, PrepareError, TemplateSpec};

/// How long a guest may take to notice that its host has left. It takes milliseconds unless the host is overloaded.
const FAREWELL: Duration = Duration::from_secs(30);
/// Most templates made at once on any machine.
const MAX_AT_ONCE: usize = 8;

/// Locked by who makes the template of this key.
type Wanted = HashMap<String, Arc<tokio::sync::Mutex<()>>>;

/// Who makes a template, and when.
#[derive(Debug)]
pub(super) struct Making {
    permits: Semaphore,
    wanted: Mutex<Wanted>,
    /// Keys of templates that could not be made for sessions under way; not tried again by this server.
    hopeless: Mutex<HashSet<String>>,
}

impl Default for Making {
    fn default() -> Self {
        // A machine that starts an agent keeps two processors busy.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            permits: Semaphore::new((processors / 2).clamp(1, MAX_AT_ONCE)),
            wanted: Mutex::default(),
            hopeless: Mutex::default(),
        }
    }
}

/// The right to make one template.
type Turn<'a> = (OwnedMutexGuard<()>, SemaphorePermit<'a>);

impl Making {
    /// Waits until nobody else makes this template and there is room to make one.
    async fn turn(&self, key: &str) -> Result<Turn<'_>, Cause> {
        let lock = Arc::clone(self.wanted().entry(key.to_owned()).or_default());
        let lock = lock.lock_owned().await;
        Ok((lock, self.permits.acquire().await?))
    }

    fn is_under_way(&self, key: &str) -> bool {
        self.wanted().contains_key(key)
    }

    /// Templates that somebody makes or waits for.
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.retain(|_, lock| Arc::strong_count(lock) > 1);
        wanted
    }

    fn is_hopeless(&self, key: &str) -> bool {
        let hopeless = self.hopeless.lock().unwrap_or_else(PoisonError::into_inner);
        hopeless.contains(key)
    }

    fn give_up(&self, key: String) {
        let mut hopeless = self.hopeless.lock().unwrap_or_else(PoisonError::into_inner);
        hopeless.insert(key);
    }
}

impl Microvms {
    /// The name of the template for this agent on this machine.
    pub(super) async fn template_key(
        &self,
        agent: &AgentSpec,
        template: &TemplateSpec,
    ) -> Result<String, Cause> {
        let loaded = self.load(agent).await?;
        let platform = self.platform(loaded.architecture).await?;
        let start = loaded.start(SandboxId::new());
        let ingredients = Ingredients {
            code: &loaded.digest,
            base: &loaded.base,
            architecture: platform.architecture,
            kernel: &platform.kernel,
            initramfs: self.initramfs(platform, agent).await?,
            qemu_version: &platform.qemu_version,
            processor: &platform.processor,
            accelerator: match platform.accelerator {
                Accelerator::Kvm => "kvm",
                Accelerator::Tcg => "tcg",
            },
            vcpus: self.config.vcpus,
            memory_mib: self.config.memory_mib,
            scratch_mib: self.config.scratch_mib,
            command: &start.command,
            environment: &start.environment,
            protocol: format!("{:?}", agent.protocol),
            port: agent.port,
            warm_up: template
                .warm_up
                .as_ref()
                .map(|warm_up| (warm_up.port, warm_up.path.as_str())),
            hook: program::RESUME_HOOK,
            has_storage: agent.storage.is_some(),
            folders: agent
                .folders
                .iter()
                .map(|mount| (&*mount.name, &*mount.mount_path, mount.is_read_only()))
                .collect(),
        };
        Ok(ingredients.key()?)
    }

    pub(super) async fn find_template(&self, key: &str) -> io::Result<Option<Template>> {
        let (templates, key) = (Arc::clone(&self.templates), key.to_owned());
        blocking(move || templates.find(&key)).await
    }

    /// Makes the template of this agent unless there is one.
    pub(super) async fn ensure_template(
        &self,
        agent: &AgentSpec,
        template: &TemplateSpec,
    ) -> Result<(), PrepareError> {
        let key = self
            .template_key(agent, template)
            .await
            .map_err(PrepareError::Failed)?;
        let made = async {
            let _turn = self.making.turn(&key).await?;
            if self.find_template(&key).await?.is_some() {
                return Ok(());
            }
            let begun = Instant::now();
            self.make_template(&key, agent, template).await?;
            tracing::info!(template = key, took = ?begun.elapsed(), "template made");
            Ok::<_, Cause>(())
        };
        made.await.map_err(|error| match error.downcast::<NotReady>() {
            Ok(not_ready) => match *not_ready {
                NotReady::Agent(text) => PrepareError::Refused(text),
                other => PrepareError::Failed(other.into()),
            },
            Err(error) => PrepareError::Failed(error),
        })
    }

    async fn make_template(
        &self,
        key: &str,
        agent: &AgentSpec,
        template: &TemplateSpec,
    ) -> Result<(), Cause> {
        let templates = Arc::clone(&self.templates);
        let draft = Arc::new(blocking(move || templates.draft()).await?);
        self.record(&draft, agent, template).await?;
        let arguments = self.platform_of(agent).await?.kernel_arguments.clone();
        let recorded = draft.template(arguments.clone());
        let (finishing, made_for) = (Arc::clone(&draft), template.made_for.clone());
        let (finished, proved) = tokio::join!(
            blocking(move || finishing.finish(made_for, arguments)),
            self.prove(&recorded, agent)
        );
        proved?;
        finished?;
        let (templates, published) = (Arc::clone(&self.templates), key.to_owned());
        if blocking(move || templates.publish(&published, &draft)).await? {
            let (templates, newest, needed) =
                (Arc::clone(&self.templates), key.to_owned(), self.needed().await);
            blocking(move || templates.make_room(&newest, &needed)).await?;
        }
        Ok(())
    }

    /// Names of the templates that endpoints serve from. Those of agents that cannot be looked at count as unneeded.
    async fn needed(&self) -> HashSet<String> {
        let mut needed = HashSet::new();
        let Some(serving) = self.serving.get() else {
            return needed;
        };
        for agent in serving.agents().await {
            if let Some(template) = &agent.template {
                needed.extend(self.template_key(&agent, template).await);
            }
        }
        needed
    }

    /// Runs the agent in a machine until it is ready, and leaves the machine's memory, disk and devices in the draft.
    async fn record(&self, draft: &Draft, agent: &AgentSpec, template: &TemplateSpec) -> Result<(), Cause> {
        let sandbox = SandboxId::new();
        let memory = draft.memory();
        let PoweredOn {
            mut vm,
            channel,
            egress: _network,
            ..
        } = self.power_on(sandbox, agent, Source::Record(&memory)).await?;
        let recorded = async {
            let loaded = self.load(agent).await?;
            let mut start = loaded.start(sandbox);
            start.snapshot = Some(loaded.hook);
            readiness::bring_up(channel, start, agent, template).await?;
            vm.console_said(SNAPSHOT_READY, FAREWELL).await?;
            let state = vm.save().await?;
            tokio::fs::write(draft.state(), state).await?;
            let scratch = self.sandboxes().join(sandbox.to_string()).join(SCRATCH_FILE);
            let kept = draft.scratch();
            blocking(move || keep_disk(&scratch, &kept)).await?;
            Ok::<_, Cause>(())
        }
        .await;
        vm.destroy().await;
        recorded
    }

    /// Restores a template once, so that one that cannot be restored is known before it is needed.
    async fn prove(&self, template: &Template, agent: &AgentSpec) -> Result<(), Cause> {
        let PoweredOn {
            mut vm,
            channel,
            egress: _network,
            ..
        } = self
            .power_on(SandboxId::new(), agent, Source::Template(template))
            .await?;
        let resumed = readiness::resumes(channel).await;
        vm.destroy().await;
        Ok(resumed?)
    }

    /// Makes a template for later sessions while this one boots.
    pub(super) fn make_in_background(
        self: &Arc<Self>,
        key: String,
        agent: &AgentSpec,
        template: &TemplateSpec,
    ) {
        if self.making.is_hopeless(&key) || self.making.is_under_way(&key) {
            return;
        }
        tracing::warn!(
            template = key,
            "there is no template for this session: it boots, and one is made meanwhile"
        );
        let (this, agent, template) = (Arc::clone(self), agent.clone(), template.clone());
        tokio::spawn(async move {
            if let Err(error) = this.ensure_template(&agent, &template).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    template = key,
                    error,
                    "a template could not be made; sessions boot"
                );
                this.making.give_up(key);
            }
        });
    }
}

/// Moves a disk that no machine writes any more. Templates may be on a file system of their own.
fn keep_disk(from: &Path, to: &Path) -> Result<(), Cause> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            Ok(ScratchTemplate::at(from.to_owned()).copy_to(to)?)
        }
        moved => Ok(moved?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_template_is_made_once_at_a_time_and_others_as_there_is_room() {
        let making = Making {
            permits: Semaphore::new(2),
            ..Making::default()
        };
        let one = making.turn("one").await.unwrap();
        assert!(making.is_under_way("one"));
        let second = tokio::time::timeout(Duration::from_secs(1), making.turn("one")).await;
        assert!(second.is_err(), "made twice at once");
        let other = making.turn("other").await.unwrap();
        let third = tokio::time::timeout(Duration::from_secs(1), making.turn("third")).await;
        assert!(third.is_err(), "too many at once");
        drop((one, other));
        assert!(!making.is_under_way("one"));
        drop(making.turn("one").await.unwrap());
        drop(making.turn("third").await.unwrap());
        assert!(making.wanted().is_empty());
    }
}
