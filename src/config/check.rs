//! What the shapes mean together, and the settings that come of it.
//!
//! Every check runs, whatever the others found, so that one run shows everything that is wrong.

mod federate;
mod findings;
mod firewall;
mod later;
mod limits;
mod listeners;
mod local;
mod policy;
mod port_map;
mod reach;
mod security;
mod snmp;
mod terms;
mod tls;
mod zones;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use self::findings::{Findings, key};
use super::Loaded;
use super::problem::Report;
use super::schema::{self, Document, LogFormat};
use super::secret;
use super::settings::{Admin, Bodies, Dns, Edge, Interworking, Log, Settings, Translation, Xmpp};
use super::source::Source;
use crate::gateway::{Unasked, Version};
use crate::interwork::presence::table::BusyAs;
use crate::net::settings::{IdentityRule, Secret, Side, TlsContext, TlsName, TrustSource};
use crate::observe::log::{self, Format};
use crate::route::Table;

/// Makes settings of the shapes.
///
/// # Errors
/// All errors and all warnings.
pub(crate) fn settings(
    document: &Document,
    source: &Source<'_>,
    environment: &BTreeMap<String, String>,
) -> Result<Loaded, Report> {
    let mut findings = Findings::new(source);
    let (tls, files) = tls::contexts(document, &mut findings);
    let listeners = listeners::listeners(document, &tls, &mut findings);
    let mapped = port_map::port_maps(document, &listeners, &mut findings);
    let limits = limits::limits(document, &mut findings);
    let rules = policy::rules(document, &mut findings);
    let locals = local::locals(document, &tls, environment, &mut findings);
    let context = federate::Context {
        document,
        contexts: &tls,
        default_tls: listeners
            .iter()
            .filter(|listener| listener.side == Side::Outside)
            .find_map(|listener| listener.tls.clone())
            // A pin says whose key it is only where the owner's entry names it.
            .filter(|name| {
                tls.get(name)
                    .is_none_or(|context| context.identity != IdentityRule::Pinned)
            }),
        locals: &locals,
    };
    let federated = federate::federated(&context, &mut findings);
    let unlisted = federate::unlisted(&context, &mut findings);
    security::warn_of_listeners(&listeners, &tls, &federated, &mut findings);
    reach::warn(document, &listeners, &rules, &mut findings);
    let boundary = zones::boundary(document, &mut findings);
    // The checks of the domains found every conflict before; should one be left, it is refused here.
    let table = match Table::new(locals.clone(), federated.clone(), unlisted) {
        Ok(table) => Some(table.bounded_by(boundary)),
        Err(conflict) => {
            findings.error(key!["local"], &conflict.to_string());
            None
        }
    };
    tls::find_unused(document, &mut findings);
    tls::find_unnamed((&listeners, &locals), &files, &mut findings);
    tls::warn_of_shared_pins(document, &mut findings);
    later::warn(document, &mut findings);
    let xmpp = Xmpp {
        dialback_secret: dialback_secret(document, environment, &mut findings),
        version: if document.xmpp.show_version {
            Version::Shown
        } else {
            Version::Hidden
        },
        unasked: if document.xmpp.drop_unasked_answers {
            Unasked::Dropped
        } else {
            Unasked::Judged
        },
    };
    let interworking = interworking(document, &mut findings);
    let admin = admin(document, &mut findings);
    let snmp = snmp::snmp(document, environment, &mut findings);
    let firewall = firewall::firewall(document, (&listeners, snmp.as_ref()), &mapped, &mut findings);
    let log = log(document, &mut findings);
    let report = findings.report();
    match table {
        Some(table) if report.errors.is_empty() => Ok(Loaded {
            files: files_of(document, &tls),
            settings: Settings {
                edge: Edge {
                    name: document.edge.name.0.clone(),
                    state_dir: non_empty(&document.edge.state_dir).map(PathBuf::from),
                    run_as: non_empty(&document.edge.run_as),
                },
                dns: Dns {
                    servers: document.dns.servers.iter().map(|server| server.0.0).collect(),
                },
                listeners,
                port_maps: mapped.proxied,
                firewall,
                tls,
                rules,
                table,
                locals,
                federated,
                limits,
                xmpp,
                interworking,
                admin,
                snmp,
                log,
            },
            warnings: report.warnings,
        }),
        Some(_) | None => Err(report),
    }
}

/// The files that the configuration names and that are read at every reload.
fn files_of(document: &Document, tls: &BTreeMap<TlsName, TlsContext>) -> Vec<PathBuf> {
    let secrets = document
        .local
        .iter()
        .filter_map(|local| local.secret.as_deref())
        .chain([document.xmpp.dialback_secret.as_str()])
        .chain(snmp::references(&document.snmp))
        .filter_map(secret::file);
    let of_tls = tls.values().flat_map(|context| {
        let pairs = context.certificates.iter();
        let trust = context.trust.iter().filter_map(|source| match source {
            TrustSource::Path(path) => Some(path.clone()),
            TrustSource::System => None,
        });
        pairs
            .flat_map(|files| [files.chain.clone(), files.key.clone()])
            .chain(trust)
            .chain(context.crl.iter().cloned())
    });
    secrets.chain(of_tls).collect()
}

fn dialback_secret(
    document: &Document,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings<'_, '_>,
) -> Option<Secret> {
    let reference = non_empty(&document.xmpp.dialback_secret)?;
    read_secret(&reference, environment, key!["xmpp", "dialback_secret"], findings)
}

/// Reads a secret; what is wrong with it goes to the findings.
fn read_secret(
    reference: &str,
    environment: &BTreeMap<String, String>,
    path: &[String],
    findings: &mut Findings<'_, '_>,
) -> Option<Secret> {
    if secret::is_written_out(reference) {
        findings.warning(
            path,
            "the secret stands in the file itself; \"file:/path\" or \"env:NAME\" keeps it out of copies of the file",
        );
    }
    match secret::read(reference, environment) {
        Ok(secret) => Some(secret),
        Err(why) => {
            findings.error(path, &why.to_string());
            None
        }
    }
}

fn interworking(document: &Document, findings: &mut Findings<'_, '_>) -> Interworking {
    let given = &document.interworking;
    if given.undeliverable_text.chars().any(char::is_control) {
        findings.error(
            key!["interworking", "undeliverable_text"],
            "the text holds a control character; it is one line",
        );
    }
    Interworking {
        translation: if document.edge.interworking {
            Translation::On
        } else {
            Translation::Off
        },
        undeliverable: given.undeliverable_text.clone(),
        busy_as: given.busy_as.map(|busy_as| match busy_as {
            schema::BusyAs::Away => BusyAs::Away,
            schema::BusyAs::Dnd => BusyAs::DoNotDisturb,
            schema::BusyAs::None => BusyAs::Available,
        }),
    }
}

fn admin(document: &Document, findings: &mut Findings<'_, '_>) -> Admin {
    let metrics = document.admin.metrics.0;
    if let Some(address) = metrics {
        refuse_outside(document, address, key!["admin", "metrics"], findings);
    }
    let control = &document.admin.control;
    if !control.is_empty() && !control.starts_with('/') {
        findings.error_with_help(
            key!["admin", "control"],
            "the control socket needs a whole path, which begins with /",
            "use \"/run/vestibule/control.sock\", or \"\" for none",
        );
    } else if control.len() > MOST_SOCKET_PATH {
        findings.error(
            key!["admin", "control"],
            &format!(
                "a path of a socket has at most {MOST_SOCKET_PATH} octets, and this has {}",
                control.len()
            ),
        );
    }
    Admin {
        control: non_empty(&document.admin.control).map(PathBuf::from),
        metrics,
    }
}

/// Refuses an address of the management side that the outside can reach.
fn refuse_outside(
    document: &Document,
    address: SocketAddr,
    path: &[String],
    findings: &mut Findings<'_, '_>,
) {
    let outside = &document.zone.outside.addresses;
    let inside = &document.zone.inside.addresses;
    let is_outside = outside
        .iter()
        .any(|known| known.0.0 == address.ip() && !inside.contains(known) && !known.0.0.is_loopback());
    if is_outside || address.ip().is_unspecified() {
        findings.error_with_help(
            path,
            &format!("{address} can be reached from outside; management never listens there"),
            &format!(
                "use 127.0.0.1:{}, or an inside or management address",
                address.port()
            ),
        );
    }
}

fn log(document: &Document, findings: &mut Findings<'_, '_>) -> Log {
    let given = &document.log;
    if let Err(why) = log::check(&given.level) {
        findings.error_with_help(
            key!["log", "level"],
            &format!("\"{}\" is neither a level nor a filter: {why}", given.level),
            "write error, warn, info, debug or trace, or a filter such as \"info,vestibule::sip=debug\"",
        );
    }
    Log {
        format: match given.format {
            // journald reads the same lines from our standard error and adds the time itself.
            LogFormat::Text | LogFormat::Journald => Format::Text,
            LogFormat::Json => Format::Json,
        },
        level: given.level.clone(),
        bodies: if given.bodies {
            Bodies::Shown
        } else {
            Bodies::Hidden
        },
    }
}

/// What the system has room for, less the end of the text (`sun_path`, unix(7)).
const MOST_SOCKET_PATH: usize = 107;

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
