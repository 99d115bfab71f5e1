//! The SNMP agent: that it listens on the management side, that somebody may ask it, and by strong secrets.

use std::collections::{BTreeMap, HashSet};

use super::findings::{Findings, key};
use super::{read_secret, refuse_outside};
use crate::config::schema::{self, Document, SnmpAuth, SnmpPrivacy, SnmpTrap, Text};
use crate::net::settings::Secret;
use crate::route::Network;
use crate::snmp::{Auth, Community, Credentials, Privacy, Sink, Snmp, User};

/// What the agent is told; `None` where it is off, or where something of it is wrong.
pub(super) fn snmp(
    document: &Document,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings<'_, '_>,
) -> Option<Snmp> {
    let given = &document.snmp;
    for (name, text) in [("contact", &given.contact), ("location", &given.location)] {
        if text.len() > LONGEST_TEXT || text.chars().any(char::is_control) {
            findings.error(
                key!["snmp", name],
                &format!("the text is one line of at most {LONGEST_TEXT} octets"),
            );
        }
    }
    let users = users(document, environment, findings);
    let communities = communities(document, environment, findings);
    let sinks = sinks(document, environment, findings);
    let Some(listen) = given.listen.0 else {
        if *given != schema::Snmp::default() {
            findings.warning(
                key!["snmp", "listen"],
                "SNMP is off, and the rest of [snmp] has no effect: give it an address, such as \"127.0.0.1:161\"",
            );
        }
        return None;
    };
    let at = key!["snmp", "listen"];
    refuse_outside(document, listen, at, findings);
    if listen.port() == 0 {
        findings.error(at, "0 is no port; agents answer at 161");
    }
    if document.edge.state_dir.is_empty() {
        findings.error_with_help(
            at,
            "SNMPv3 has to remember how often the agent has started, and [edge] state_dir is empty",
            "name a folder in [edge] state_dir, such as \"/var/lib/vestibule\"",
        );
    }
    if document.admin.control.is_empty() {
        findings.error_with_help(
            at,
            "the agent asks the proxy by its control socket, and [admin] control is empty",
            "give the control socket a path, such as \"/run/vestibule/control.sock\"",
        );
    }
    if given.users.is_empty() && given.communities.is_empty() {
        findings.error_with_help(
            at,
            "nobody could ask: there are no users",
            "add users = [{ name = \"noc\", auth_secret = \"file:/path\", priv_secret = \"file:/path\" }]",
        );
    }
    if !given.users.is_empty() && given.managers.is_empty() {
        findings.error_with_help(
            at,
            "its users could ask from nowhere: there are no managers",
            "add the networks of your monitoring: managers = [\"10.0.9.0/24\"]",
        );
    }
    warn_of_everywhere(&given.managers, key!["snmp", "managers"], findings);
    Some(Snmp {
        listen,
        managers: networks(&given.managers),
        users,
        communities,
        sinks,
        contact: given.contact.clone(),
        location: given.location.clone(),
    })
}

/// Every secret that the table names.
pub(super) fn references(given: &schema::Snmp) -> impl Iterator<Item = &str> {
    let of_users = given
        .users
        .iter()
        .flat_map(|user| [user.auth_secret.as_str(), user.privacy_secret.as_str()]);
    let of_communities = given.communities.iter().map(|given| given.community.as_str());
    let of_traps = given.traps.iter().filter_map(|trap| trap.community.as_deref());
    of_users.chain(of_communities).chain(of_traps)
}

fn users(
    document: &Document,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings<'_, '_>,
) -> Vec<User> {
    let mut names = HashSet::new();
    let mut users = Vec::new();
    for (at, given) in document.snmp.users.iter().enumerate() {
        let path = key!["snmp", "users", at, "name"];
        let is_plain = |octet: u8| octet.is_ascii_graphic();
        if given.name.is_empty() || given.name.len() > LONGEST_NAME || !given.name.bytes().all(is_plain) {
            findings.error(
                path,
                &format!(
                    "\"{}\" is no name of a user: it has 1 to {LONGEST_NAME} letters, digits and signs",
                    given.name.escape_debug()
                ),
            );
        } else if !names.insert(&given.name) {
            findings.error(path, &format!("there is a user {} already", given.name));
        }
        let mut password = |name: &str, reference: &str| {
            password(reference, environment, key!["snmp", "users", at, name], findings)
        };
        let auth_secret = password("auth_secret", &given.auth_secret);
        let privacy_secret = password("priv_secret", &given.privacy_secret);
        let (Some(auth_secret), Some(privacy_secret)) = (auth_secret, privacy_secret) else {
            continue;
        };
        users.push(User {
            name: given.name.clone(),
            auth: match given.auth {
                SnmpAuth::Sha256 => Auth::Sha256,
                SnmpAuth::Sha512 => Auth::Sha512,
            },
            auth_secret,
            privacy: match given.privacy {
                SnmpPrivacy::Aes128 => Privacy::Aes128,
                SnmpPrivacy::Aes256 => Privacy::Aes256,
            },
            privacy_secret,
        });
    }
    users
}

fn communities(
    document: &Document,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings<'_, '_>,
) -> Vec<Community> {
    let mut communities = Vec::new();
    for (at, given) in document.snmp.communities.iter().enumerate() {
        let path = key!["snmp", "communities", at, "community"];
        findings.warning(
            path,
            "SNMPv2c sends the community and every value in clear, so that whoever sees the traffic can ask too: use users of SNMPv3 \
             where managers can",
        );
        let from = key!["snmp", "communities", at, "from"];
        if given.from.is_empty() {
            findings.error(
                from,
                "the community counts from nowhere: name the addresses of the managers that need it",
            );
        }
        warn_of_everywhere(&given.from, from, findings);
        if let Some(secret) = password(&given.community, environment, path, findings) {
            communities.push(Community {
                secret,
                from: networks(&given.from),
            });
        }
    }
    communities
}

fn sinks(
    document: &Document,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings<'_, '_>,
) -> Vec<Sink> {
    let mut sinks = Vec::new();
    for (at, given) in document.snmp.traps.iter().enumerate() {
        let address = given.address.0;
        let path = key!["snmp", "traps", at, "address"];
        if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
            findings.error(
                path,
                &format!("{address} is no address of a receiver; they listen at port 162"),
            );
        }
        if let Some(credentials) = credentials(at, given, document, environment, findings) {
            sinks.push(Sink { address, credentials });
        }
    }
    sinks
}

fn credentials(
    at: usize,
    given: &SnmpTrap,
    document: &Document,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings<'_, '_>,
) -> Option<Credentials> {
    match (&given.user, &given.community) {
        (Some(user), None) => {
            if !document.snmp.users.iter().any(|known| known.name == *user) {
                findings.error_with_help(
                    key!["snmp", "traps", at, "user"],
                    &format!("there is no user \"{}\"", user.escape_debug()),
                    "name one of `users` in [snmp]",
                );
            }
            Some(Credentials::User(user.clone()))
        }
        (None, Some(reference)) => {
            let path = key!["snmp", "traps", at, "community"];
            findings.warning(
                path,
                "SNMPv2c sends the community and every value in clear: name a `user` where the receiver can SNMPv3",
            );
            password(reference, environment, path, findings).map(Credentials::Community)
        }
        (Some(_), Some(_)) | (None, None) => {
            findings.error(
                key!["snmp", "traps", at, "address"],
                "a receiver is told either as a `user` of SNMPv3 or by a `community` of SNMPv2c",
            );
            None
        }
    }
}

/// A secret as long as SNMP wants passwords to be (RFC 3414 §11.2); communities are held to the same.
fn password(
    reference: &str,
    environment: &BTreeMap<String, String>,
    path: &[String],
    findings: &mut Findings<'_, '_>,
) -> Option<Secret> {
    let secret = read_secret(reference, environment, path, findings)?;
    if secret.expose().len() < SHORTEST_PASSWORD {
        findings.error(
            path,
            &format!("the secret is too short: it has {SHORTEST_PASSWORD} octets at least"),
        );
        return None;
    }
    Some(secret)
}

fn warn_of_everywhere(given: &[Text<schema::Network>], path: &[String], findings: &mut Findings<'_, '_>) {
    if given.iter().any(|network| network.0.prefix == 0) {
        findings.warning(
            path,
            "whoever reaches the address may ask: name the networks of your monitoring",
        );
    }
}

fn networks(given: &[Text<schema::Network>]) -> Vec<Network> {
    given
        .iter()
        .filter_map(|network| Network::new(network.0.address, network.0.prefix))
        .collect()
}

/// Octets of `msgUserName` (RFC 3414 §2.4).
const LONGEST_NAME: usize = 32;
/// Octets of a password (RFC 3414 §11.2).
const SHORTEST_PASSWORD: usize = 8;
/// Octets of `sysContact` and `sysLocation` (RFC 3418).
const LONGEST_TEXT: usize = 255;
