//! `vestibule firewall`: the packet filter of this machine, shown and loaded.

mod confirm;
mod kernel;

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use self::confirm::is_confirmed;
use self::kernel::{Before, nft};
use super::signals::Signals;
use super::{Exit, Form, write_json};
use crate::firewall::{Carrier, Firewall};

#[derive(Debug, Args)]
pub(super) struct FirewallArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print the ruleset, as nft reads it. Nothing is loaded.
    Show,
    /// Load the ruleset in one step, and go back to the rules from before unless it is confirmed in time. Needs root, and
    /// [firewall] manage = true.
    Apply(ApplyArgs),
}

#[derive(Debug, Args)]
struct ApplyArgs {
    /// Keep the rules without asking: for units and scripts.
    #[arg(long)]
    yes: bool,
    /// Seconds to confirm in.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u16).range(5..=3600))]
    within: u16,
}

#[derive(Debug, Serialize)]
struct Shown {
    managed: bool,
    ruleset: String,
}

pub(super) fn execute(
    firewall: &Firewall,
    arguments: &FirewallArgs,
    form: Form,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    match &arguments.what {
        What::Show => {
            let ruleset = firewall.ruleset();
            match form {
                Form::Text => write!(out, "{ruleset}")?,
                Form::Json => {
                    let managed = firewall.is_managed;
                    write_json(&Shown { managed, ruleset }, out)?;
                }
            }
            Ok(Exit::Good)
        }
        What::Apply(_) if !firewall.is_managed => {
            writeln!(
                err,
                "vestibule: the firewall of this machine is not vestibule's to load, and nothing was changed: [firewall] manage is false\n  \
                 write manage = true there; `vestibule firewall show` prints what would be loaded"
            )?;
            Ok(Exit::Bad)
        }
        What::Apply(apply) => match load(firewall, apply, out) {
            Ok(exit) => Ok(exit),
            Err(error) => {
                writeln!(err, "vestibule: {error}")?;
                Ok(Exit::Bad)
            }
        },
    }
}

/// Loads the ruleset, and takes it back where nobody says that it is good.
fn load(firewall: &Firewall, apply: &ApplyArgs, out: &mut dyn Write) -> io::Result<Exit> {
    let ruleset = firewall.ruleset();
    // One at a time: the way back of one would undo what another has loaded meanwhile.
    let _only = kernel::only()?;
    let unchanged = |why: io::Error| {
        io::Error::other(format!(
            "the ruleset cannot be loaded, and nothing was changed: {why}"
        ))
    };
    nft(&["--check", "--file", "-"], &ruleset).map_err(unchanged)?;
    let before = Before::read().map_err(unchanged)?;
    // Before anything changes, so that from here on a signal takes the way back and not the process.
    let signals = Signals::hold()?;
    if !apply.yes
        && let Some((source, to)) = session()
        && !firewall.admits(source, to, Carrier::Tcp)
    {
        writeln!(
            out,
            "Careful: the rules do not let {source} connect to {to}, which is how you are connected.\n\
             [firewall] management_from and management_ports say who may."
        )?;
    }
    nft(&["--file", "-"], &ruleset).map_err(unchanged)?;
    // Whatever goes wrong from here on, the rules from before come back.
    let failed = match settle(firewall, apply, &before, &signals, out) {
        Ok(true) => return Ok(Exit::Good),
        Ok(false) => None,
        Err(why) => Some(why),
    };
    before.restore().map_err(|why| {
        io::Error::other(format!(
            "the new rules were not confirmed, and those from before could not be loaded again: {why}\n  look at `nft list table inet vestibule`"
        ))
    })?;
    match failed {
        Some(why) => Err(io::Error::other(format!(
            "{why}\n  the rules from before are back"
        ))),
        None => {
            writeln!(out, "Nobody said yes: the rules from before are back.")?;
            Ok(Exit::Bad)
        }
    }
}

/// What the rules need beside them, and whether somebody says that they are good.
fn settle(
    firewall: &Firewall,
    apply: &ApplyArgs,
    before: &Before,
    signals: &Signals,
    out: &mut dyn Write,
) -> io::Result<bool> {
    if firewall.forwards() {
        // The filter that drops all else is there by now.
        before.forward()?;
    }
    if apply.yes {
        writeln!(out, "The rules are loaded.")?;
        return Ok(true);
    }
    writeln!(
        out,
        "The rules are loaded. Type yes within {} s to keep them; otherwise those from before come back.",
        apply.within
    )?;
    out.flush()?;
    let is_kept = is_confirmed(signals, Duration::from_secs(apply.within.into()))?;
    if is_kept {
        writeln!(out, "They are kept.")?;
    }
    Ok(is_kept)
}

/// Whence and to where whoever types this is connected, as sshd says.
fn session() -> Option<(IpAddr, SocketAddr)> {
    let told = std::env::var("SSH_CONNECTION").ok()?;
    let mut words = told.split(' ');
    let source = words.next()?.parse().ok()?;
    let to = words.nth(1)?.parse().ok()?;
    Some((source, SocketAddr::new(to, words.next()?.parse().ok()?)))
}
