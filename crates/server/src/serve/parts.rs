//! How the parts of a server are put together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coracle_auth::HostAliases;
use coracle_supervisor::Supervisor;
use coracle_supervisor::driver::Driver;

use super::background::Background;
use super::kept::Kept;
use crate::caps::RuntimeCaps;
use crate::code_source::CodeSource;
use crate::config::Config;
use crate::control::ControlPlane;
use crate::control::reconciler::{Reconciler, Waker};
use crate::data::{DataPlane, Routes, SessionQuota, TokenLocks, WebSocketLimits, WebSockets};
use crate::deploy::{Artifacts, Deployer};
use crate::gateway::cors::Cors;
use crate::gateway::rate::RateLimits;
use crate::gateway::tls::Certificate;
use crate::gateway::{Gateway, Signers};
use crate::housekeeping::Housekeeping;
use crate::issuers::Issuers;
use crate::metrics::Metrics;
use crate::operator::OperatorApi;
use crate::rollout::Retirer;
use crate::warm::Warmer;

/// What a server is put together from.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) kept: Kept,
    /// Where large bodies wait.
    pub(super) spool: PathBuf,
    pub(super) driver: Arc<dyn Driver>,
    /// Tells the reconciler of changes.
    pub(super) waker: Waker,
    pub(super) routes: Arc<Routes>,
    pub(super) supervisor: Supervisor,
}

impl Parts {
    pub(super) fn gateway(&self) -> Gateway {
        let Self {
            config,
            kept,
            waker,
            supervisor,
            ..
        } = self;
        let rates = Arc::new(RateLimits::new(config.rate_limits.clone()));
        let metrics = Arc::new(Metrics::new());
        Gateway {
            s3: kept.s3.service(kept.credentials.clone(), kept.roles.clone()),
            signers: Signers {
                keys: kept.credentials.clone(),
                roles: kept.roles.clone(),
                store: kept.store.clone(),
            },
            aliases: HostAliases::new(config.host_aliases.clone()),
            cors: Cors::new(&config.cors),
            rates: rates.clone(),
            operator_account: config.account.clone(),
            control: ControlPlane::new(kept.store.clone(), waker.clone(), kept.folders.clone()),
            data: self.data_plane(rates, metrics.clone()),
            operator: OperatorApi {
                supervisor: supervisor.clone(),
                store: kept.store.clone(),
                changed: waker.clone(),
                logs: kept.logs.clone(),
            },
            metrics,
            spool: self.spool.clone(),
        }
    }

    fn data_plane(&self, rates: Arc<RateLimits>, metrics: Arc<Metrics>) -> DataPlane {
        let Self { config, kept, .. } = self;
        let websockets = WebSocketLimits {
            max_frame: config.websocket.max_frame_bytes.into(),
            frames_per_second: config.websocket.frames_per_second,
            duration: Duration::from_secs(config.websocket.max_secs),
            client_stall: Duration::from_secs(config.websocket.client_stall_secs),
            agent_stall: config.limits.request_timeout(),
        };
        DataPlane {
            supervisor: self.supervisor.clone(),
            routes: self.routes.clone(),
            store: kept.store.clone(),
            sessions: SessionQuota::new(config.quotas.clone()),
            caps: RuntimeCaps {
                store: kept.store.clone(),
                supervisor: self.supervisor.clone(),
            },
            rates,
            stops: TokenLocks::default(),
            issuers: Issuers::new(config.authorizers.allow_plain_http),
            client_claims: config.authorizers.client_claims.clone(),
            public_url: config.public_url.clone(),
            logs: kept.logs.clone(),
            request_timeout: config.limits.request_timeout(),
            stream_timeout: config.limits.stream_timeout(),
            websockets: Arc::new(WebSockets::new(websockets)),
            metrics,
        }
    }

    /// Begins all that is done besides answering.
    pub(super) fn background(&self, caps: &RuntimeCaps, certificate: Option<Arc<Certificate>>) -> Background {
        let (store, routes, supervisor) = (&self.kept.store, &self.routes, &self.supervisor);
        let mut background = Background::default();
        let reconciler = Reconciler {
            store: store.clone(),
            deployer: self.deployer(),
            supervisor: supervisor.clone(),
            waker: self.waker.clone(),
        };
        background.begin(|stop| reconciler.run(stop));
        let warmer = Warmer {
            store: store.clone(),
            routes: routes.clone(),
            supervisor: supervisor.clone(),
            default: self.config.sandbox.warm,
        };
        background.begin(|stop| warmer.run(stop));
        let retirer = Retirer {
            store: store.clone(),
            routes: routes.clone(),
            supervisor: supervisor.clone(),
        };
        background.begin(|stop| retirer.run(stop));
        let housekeeping = Housekeeping {
            store: store.clone(),
            supervisor: supervisor.clone(),
            containers: self.kept.containers.clone(),
            keep_unused: self.config.containers.keep_unused(),
        };
        background.begin(|stop| housekeeping.run(stop));
        background.begin(|stop| caps.clone().run(stop));
        if let Some(certificate) = certificate {
            background.begin(|stop| certificate.follow(stop));
        }
        background
    }

    fn deployer(&self) -> Deployer {
        let Self { config, kept, .. } = self;
        let source = CodeSource::new(kept.store.clone(), kept.s3.clone(), config.s3.clone());
        let artifacts = Artifacts {
            code: kept.code.clone(),
            containers: kept.containers.clone(),
            pulling: config.pull_settings(),
        };
        let (driver, routes) = (self.driver.clone(), self.routes.clone());
        Deployer::new(source, artifacts, driver, routes, self.spool.clone())
    }
}
