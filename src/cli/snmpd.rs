//! The command line of `vestibule-snmpd`, the SNMP agent.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{CommandFactory, Parser};
use clap_mangen::Man;

use super::{Exit, Form, report};
use crate::app;
use crate::config;

/// The SNMP agent of vestibule: answers how the proxy is, and sends notifications, by [snmp] of the proxy's own configuration.
///
/// It runs in the foreground until SIGTERM or SIGINT, beside the proxy and as the same user, and asks it by its control socket. What
/// [snmp] says is read at its start.
#[derive(Debug, Parser)]
#[command(name = "vestibule-snmpd", version)]
struct Snmpd {
    /// The configuration file: that of the proxy.
    #[arg(
        long,
        short,
        value_name = "PATH",
        default_value = "/etc/vestibule/vestibule.toml"
    )]
    config: PathBuf,
    /// Read the configuration, say everything that is wrong with it, and whether SNMP is on.
    #[arg(long)]
    check: bool,
    /// Print the manual page (roff).
    #[arg(long)]
    man: bool,
}

/// Reads the arguments and does what they say. Results go to `out`, complaints to `err`.
///
/// # Errors
/// Those of writing.
pub fn execute(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let asked = match Snmpd::try_parse_from(arguments) {
        Ok(asked) => asked,
        // Help and version come this way too, and are no mistakes.
        Err(error) if !error.use_stderr() => {
            write!(out, "{}", error.render())?;
            return Ok(Exit::Good);
        }
        Err(error) => {
            write!(err, "{}", error.render())?;
            return Ok(Exit::Usage);
        }
    };
    if asked.man {
        Man::new(Snmpd::command()).section("8").render(out)?;
        return Ok(Exit::Good);
    }
    let mut read = config::load(&asked.config);
    if asked.check {
        if let Ok(loaded) = &mut read {
            report::add_doubts(loaded);
        }
        let snmp = read.as_ref().ok().map(|loaded| loaded.settings.snmp.clone());
        let exit = report::print(&asked.config, read, Form::Text, out)?;
        match snmp {
            Some(Some(snmp)) => writeln!(
                out,
                "SNMP answers at {}, with users: {}, communities: {}, receivers of notifications: {}",
                snmp.listen,
                snmp.users.len(),
                snmp.communities.len(),
                snmp.sinks.len()
            )?,
            Some(None) => writeln!(out, "{OFF}")?,
            None => {}
        }
        return Ok(exit);
    }
    let loaded = match read {
        Ok(loaded) => loaded,
        Err(report) => {
            write!(err, "{report}")?;
            return Ok(Exit::Bad);
        }
    };
    let Some(snmp) = loaded.settings.snmp.clone() else {
        // No fault, so that a unit which is enabled beforehand does not fail.
        writeln!(err, "vestibule-snmpd: {OFF}")?;
        return Ok(Exit::Good);
    };
    match app::snmpd::run(loaded, &snmp) {
        Ok(()) => Ok(Exit::Good),
        Err(error) => {
            writeln!(err, "vestibule-snmpd: {error:#}")?;
            Ok(Exit::Bad)
        }
    }
}

const OFF: &str = "SNMP is off: listen in [snmp] is empty. Give it an address such as \"127.0.0.1:161\", and start the agent again";
