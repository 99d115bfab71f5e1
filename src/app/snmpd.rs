//! The SNMP agent's process: the port, then the user, then the answers, until SIGTERM or SIGINT.

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::start::cannot_listen;
use super::state;
use super::user::RunAs;
use crate::config::{Loaded, Settings};
use crate::observe::log;
use crate::snmp::{self, EngineFile, Front, Identity, Plan, Snmp};

/// Runs the agent until it is told to stop.
///
/// # Errors
/// What keeps it from starting or from going on, in words for the operator.
pub fn run(loaded: Loaded, settings: &Snmp) -> anyhow::Result<()> {
    let whole = loaded.settings;
    let _level = log::start(whole.log.format, &level(&whole.log.level))?;
    let run_as = RunAs::find(whole.edge.run_as.as_deref())?;
    let front = Front::bind(settings.listen)
        .map_err(|error| cannot_listen("[snmp] listen", settings.listen, &error))?;
    let folder = state::folder(&whole, run_as.as_ref())?.ok_or_else(|| {
        anyhow!("[edge] state_dir is empty, and the agent has to remember how often it has started")
    })?;
    if let Some(user) = &run_as {
        user.enter()?;
    }
    let plan = Plan {
        settings: settings.clone(),
        identity: identity(&whole, settings),
        control: whole
            .admin
            .control
            .ok_or_else(|| anyhow!("[admin] control is empty, and the agent asks the proxy there"))?,
        engine: EngineFile::in_folder(folder.path()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let handler = |kind| signal(kind).context("signals cannot be received");
        let (mut terminate, mut interrupt) = (
            handler(SignalKind::terminate())?,
            handler(SignalKind::interrupt())?,
        );
        let told = stop.clone();
        let told_to_stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            told.cancel();
            // Serving ends by itself now.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = told_to_stop => Ok(()),
            served = snmp::serve(front, plan, stop) => Ok(served?),
        }
    })
}

/// The level of the configuration. The library would tell of each datagram that it cannot read, from an address of ours: only who asks
/// for that gets it.
fn level(given: &str) -> String {
    if given.contains("async_snmp") {
        given.to_owned()
    } else {
        format!("{given},async_snmp=error")
    }
}

fn identity(whole: &Settings, settings: &Snmp) -> Identity {
    let version = env!("CARGO_PKG_VERSION");
    Identity {
        description: format!(
            "vestibule {version}, edge proxy for SIP and XMPP, on {} ({})",
            std::env::consts::OS,
            std::env::consts::ARCH
        ),
        name: whole.edge.name.to_string(),
        contact: settings.contact.clone(),
        location: settings.location.clone(),
    }
}
