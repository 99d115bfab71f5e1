//! Waiting for signals: HUP reads the configuration again, TERM and INT stop in order. Revocation lists are read again
//! when they change.
//!
//! A reload takes all or nothing: a file with a fault, or a change that needs a restart, leaves everything as it was
//! and says why.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use super::revocation::{self, Lists};
use super::start::{Started, contexts};
use super::stop;
use crate::config::{self, Settings, change};
use crate::observe::log::LevelHandle;

/// Serves signals until the proxy has stopped.
pub(super) async fn serve(
    started: Started,
    mut settings: Settings,
    file: &Path,
    level: &LevelHandle,
) -> anyhow::Result<()> {
    let handler = |kind| signal(kind).context("signals cannot be received");
    let mut hangup = handler(SignalKind::hangup())?;
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;
    let mut lists = Lists::look(&settings);
    let mut look = tokio::time::interval(revocation::LOOK);
    loop {
        tokio::select! {
            _ = look.tick() => {
                let now = Lists::look(&settings);
                if now != lists {
                    lists = now;
                    revoke(&started, &settings);
                }
            }
            _ = hangup.recv() => match reload(&started, &settings, file, level) {
                Ok(taken) => {
                    started.world.metrics.reloaded("taken");
                    settings = taken;
                    lists = Lists::look(&settings);
                }
                Err(error) => {
                    started.world.metrics.reloaded("refused");
                    tracing::error!("the configuration was not taken, and the one before stays in force: {error:#}");
                }
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    stop::stop(
        &started.world,
        &started.accepting,
        &started.answering,
        settings.limits.net.drain,
    )
    .await;
    Ok(())
}

/// Takes up revocation lists that have changed, with all that belongs to the TLS contexts, or nothing.
fn revoke(started: &Started, settings: &Settings) {
    match contexts(settings) {
        Ok(contexts) => {
            started.live.replace(&started.world, settings, contexts);
            tracing::info!("revocation lists have changed, and were read again");
        }
        Err(error) => {
            tracing::error!(
                "revocation lists have changed and cannot be used; those before stay in force: {error:#}"
            );
        }
    }
}

fn reload(
    started: &Started,
    before: &Settings,
    file: &Path,
    level: &LevelHandle,
) -> anyhow::Result<Settings> {
    let loaded = config::load(file).map_err(|report| {
        let lines: Vec<_> = report.errors.iter().map(config::Problem::line).collect();
        anyhow!(lines.join("; "))
    })?;
    for warning in &loaded.warnings {
        tracing::warn!("{}", warning.line());
    }
    let after = loaded.settings;
    let parts = change::check(before, &after)?;
    let contexts = contexts(&after)?;
    level.set(&after.log.level)?;
    started.live.replace(&started.world, &after, contexts);
    let parts: Vec<_> = parts.into_iter().map(change::Part::as_str).collect();
    tracing::info!(
        changed = parts.join(", "),
        "the configuration and its files were read again and are in force"
    );
    Ok(after)
}
