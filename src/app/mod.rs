//! Joins the floors: the order of start, reload and stop.
//!
//! Start: certificates, then ports, then the user, then the gateway, then traffic. Nothing that a configuration can have
//! wrong is found out later than at the first of these that it concerns.

mod reload;
mod revocation;
pub mod snmpd;
pub(crate) mod start;
pub mod state;
mod stop;
pub mod user;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::Loaded;
use crate::observe::log;

/// Runs the proxy until it is told to stop. `file` is where a reload reads the configuration again.
///
/// # Errors
/// What keeps the proxy from starting, in words for the operator.
pub fn run(loaded: Loaded, file: &Path) -> anyhow::Result<()> {
    let Loaded {
        settings,
        warnings,
        files,
    } = loaded;
    let level = log::start(settings.log.format, &settings.log.level)?;
    for warning in &warnings {
        tracing::warn!("{}", warning.line());
    }
    let run_as = user::RunAs::find(settings.edge.run_as.as_deref())?;
    // A mapped connection has one on either side.
    let mapped = settings
        .port_maps
        .iter()
        .map(|map| map.connections.saturating_mul(2));
    user::raise_descriptors(mapped.fold(settings.limits.net.connections, usize::saturating_add));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("vestibule")
        .build()
        .context("the runtime cannot be started")?;
    let ended = runtime.block_on(async {
        let started = start::start(&settings, run_as.as_ref(), &files).await?;
        reload::serve(started, settings, file, &level).await
    });
    // A disk that hangs would keep the process for ever.
    runtime.shutdown_timeout(LAST_WAIT);
    ended
}

/// For threads that still wait for the operating system when everything has ended.
const LAST_WAIT: Duration = Duration::from_secs(1);
