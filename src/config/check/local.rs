//! What is ours: local domains, their nodes, and how we are linked to them.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU16;

use super::findings::{Findings, key};
use super::{read_secret, tls};
use crate::config::schema::{
    Document, Link as LinkWord, Local as Given, LocalProfile as ProfileWord, LocalProtocol,
    Node as GivenNode, Role as RoleWord, Transport as TransportWord,
};
use crate::domain::Domain;
use crate::net::settings::{TlsContext, TlsName};
use crate::route::srv::SrvName;
use crate::route::{ComponentLink, Host, Link, Local, Node, Nodes, Profile, Protocol, Role, Transport};

/// All local domains that can be used.
pub(super) fn locals(
    document: &Document,
    contexts: &BTreeMap<TlsName, TlsContext>,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings<'_, '_>,
) -> Vec<Local> {
    if document.local.is_empty() {
        findings.error_with_help(
            key!["local"],
            "there is no local domain, so nothing is ours",
            "add a [[local]] table with domain, protocol and nodes",
        );
    }
    let mut seen: HashMap<&Domain, usize> = HashMap::new();
    let mut locals = Vec::new();
    for (at, given) in document.local.iter().enumerate() {
        let domain = &given.domain.0;
        if let Some(first) = seen.get(domain) {
            findings.error(
                key!["local", at, "domain"],
                &format!(
                    "it is local already by [[local]] number {}",
                    first.saturating_add(1)
                ),
            );
            continue;
        }
        seen.insert(domain, at);
        let name = tls::name(
            key!["local", at, "tls"],
            given.tls.as_deref(),
            contexts,
            document,
            findings,
        );
        let transport = transport(at, given, findings);
        let nodes = nodes(at, given, transport, findings);
        let link = link(at, given, environment, findings);
        if let (Some(nodes), Some(link)) = (nodes, link) {
            locals.push(Local {
                domain: domain.clone(),
                protocol: protocol(given.protocol),
                role: match given.role {
                    RoleWord::User => Role::User,
                    RoleWord::Chat => Role::Chat,
                    RoleWord::FileTransfer => Role::FileTransfer,
                },
                nodes,
                tls: name,
                link,
                profile: profile(at, given, findings),
            });
        }
    }
    locals
}

fn profile(at: usize, given: &Given, findings: &mut Findings<'_, '_>) -> Profile {
    match (given.protocol, given.profile) {
        (LocalProtocol::Xmpp, ProfileWord::Simple) => Profile::Xmpp,
        (LocalProtocol::Xmpp, ProfileWord::Microsoft) => {
            findings.error(
                key!["local", at, "profile"],
                "it is for nodes that speak SIP, and protocol is \"xmpp\"",
            );
            Profile::Xmpp
        }
        (LocalProtocol::Sip, ProfileWord::Simple) => Profile::Simple,
        (LocalProtocol::Sip, ProfileWord::Microsoft) => Profile::Microsoft,
    }
}

const fn protocol(word: LocalProtocol) -> Protocol {
    match word {
        LocalProtocol::Sip => Protocol::Sip,
        LocalProtocol::Xmpp => Protocol::Xmpp,
    }
}

fn transport(at: usize, given: &Given, findings: &mut Findings<'_, '_>) -> Transport {
    match (given.protocol, given.transport) {
        (LocalProtocol::Xmpp, None) => Transport::Tcp,
        (LocalProtocol::Xmpp, Some(_)) => {
            findings.error(
                key!["local", at, "transport"],
                "`transport` is for SIP; XMPP goes over TCP, with STARTTLS where `tls` names a context",
            );
            Transport::Tcp
        }
        (LocalProtocol::Sip, None) if given.tls.is_some() => Transport::Tls,
        (LocalProtocol::Sip, None | Some(TransportWord::Tcp)) => Transport::Tcp,
        (LocalProtocol::Sip, Some(TransportWord::Udp)) => Transport::Udp,
        (LocalProtocol::Sip, Some(TransportWord::Tls)) => {
            if given.tls.is_none() {
                findings.error_with_help(
                    key!["local", at, "transport"],
                    "TLS to its nodes needs a TLS context",
                    "add tls = \"NAME\" and a table [tls.NAME]",
                );
            }
            Transport::Tls
        }
    }
}

fn nodes(at: usize, given: &Given, transport: Transport, findings: &mut Findings<'_, '_>) -> Option<Nodes> {
    match (&given.srv, given.nodes.is_empty()) {
        (None, true) => {
            findings.error_with_help(
                key!["local", at],
                "it has neither `nodes` nor `srv`, so nothing can be delivered to it",
                "add nodes = [{ host = \"server.inside.example\" }]",
            );
            None
        }
        (Some(_), false) => {
            findings.error(
                key!["local", at, "srv"],
                "`srv` stands for the list of nodes; have one of the two",
            );
            None
        }
        (Some(name), true) => {
            let path = key!["local", at, "srv"].to_vec();
            if protocol(given.protocol) == Protocol::Sip {
                findings.warning(
                    &path,
                    "the nodes are not known by name here, so that what goes outside is searched for names under this one at most; list them in `nodes` to have each hidden",
                );
            }
            srv(&path, name, protocol(given.protocol), transport, findings)
        }
        (None, false) => {
            let nodes = given.nodes.iter().enumerate().filter_map(|(number, node)| {
                let path = ["local", "nodes"].map(str::to_owned);
                let [table, list] = path;
                node_of(
                    &[table, at.to_string(), list, number.to_string()],
                    node,
                    transport,
                    findings,
                )
            });
            Some(Nodes::List(nodes.collect()))
        }
    }
}

/// The SRV records that stand for the list: those of a name, or those that are named in full.
fn srv(
    path: &[String],
    text: &str,
    protocol: Protocol,
    transport: Transport,
    findings: &mut Findings<'_, '_>,
) -> Option<Nodes> {
    if text.starts_with('_') {
        let (records, name) = records(path, text, protocol, transport, findings)?;
        return Some(Nodes::Srv {
            name,
            transport,
            records: Some(records),
        });
    }
    match Domain::parse(text) {
        Ok(name) => Some(Nodes::Srv {
            name,
            transport,
            records: None,
        }),
        Err(why) => {
            findings.error(path, &format!("\"{text}\" has no SRV records: {why}"));
            None
        }
    }
}

/// The name of SRV records in full, and its domain; what is known of its service has to agree with the rest.
pub(super) fn records(
    path: &[String],
    text: &str,
    protocol: Protocol,
    transport: Transport,
    findings: &mut Findings<'_, '_>,
) -> Option<(SrvName, Domain)> {
    let (name, domain) = match SrvName::parse(text, transport) {
        Ok(parsed) => parsed,
        Err(why) => {
            findings.error(path, &format!("\"{text}\": {why}"));
            return None;
        }
    };
    if let Some(service) = name.service() {
        let prefix = service.prefix();
        if service.protocol() != protocol {
            let found = service.protocol();
            findings.error(path, &format!("{prefix} is for {found}, and this is {protocol}"));
            return None;
        }
        if service.transport() != transport {
            let found = service.transport();
            findings.error(
                path,
                &format!("{prefix} is spoken over {found}, and this goes over {transport}"),
            );
            return None;
        }
    }
    Some((name, domain))
}

fn node_of(
    path: &[String],
    node: &GivenNode,
    transport: Transport,
    findings: &mut Findings<'_, '_>,
) -> Option<Node> {
    let host = host(path, "host", &node.host, findings);
    let port = match node.port.map(NonZeroU16::new) {
        Some(None) => {
            let path: Vec<String> = path.iter().cloned().chain(["port".to_owned()]).collect();
            findings.error(&path, "a node's port cannot be 0");
            return None;
        }
        Some(port) => port,
        None => None,
    };
    Some(Node {
        host: host?,
        port,
        transport,
        priority: node.priority,
        weight: node.weight,
    })
}

/// A name or an address.
pub(super) fn host(
    table: &[String],
    name: &str,
    text: &str,
    findings: &mut Findings<'_, '_>,
) -> Option<Host> {
    match Host::parse(text) {
        Ok(host) => Some(host),
        Err(why) => {
            let path: Vec<String> = table.iter().cloned().chain([name.to_owned()]).collect();
            findings.error(
                &path,
                &format!("\"{text}\" is neither a host name nor an address: {why}"),
            );
            None
        }
    }
}

fn link(
    at: usize,
    given: &Given,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings<'_, '_>,
) -> Option<Link> {
    match given.link {
        LinkWord::S2s => {
            if given.secret.is_some() {
                findings.warning(
                    key!["local", at, "secret"],
                    "`secret` has no effect unless link is \"component\"",
                );
            }
            Some(Link::S2s)
        }
        LinkWord::Component => component(at, given, environment, findings).map(Link::Component),
    }
}

fn component(
    at: usize,
    given: &Given,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings<'_, '_>,
) -> Option<ComponentLink> {
    if given.protocol == LocalProtocol::Sip {
        findings.error(
            key!["local", at, "link"],
            "a component link is XMPP (XEP-0114), and its nodes speak SIP",
        );
    }
    if given.srv.is_some() {
        findings.error_with_help(
            key!["local", at, "srv"],
            "DNS has no service name for component links",
            "write nodes = [{ host = \"...\" }]",
        );
    }
    if given.tls.is_some() {
        findings.warning(
            key!["local", at, "tls"],
            "a component link has no TLS (XEP-0114); the secret and all messages pass in the clear on this leg",
        );
    }
    for number in
        (0..given.nodes.len()).filter(|number| given.nodes.get(*number).is_some_and(|n| n.port.is_some()))
    {
        findings.warning(
            key!["local", at, "nodes", number, "port"],
            &format!(
                "with a component link the port is `component_port`, {}",
                given.component_port
            ),
        );
    }
    let port = NonZeroU16::new(given.component_port);
    if port.is_none() {
        findings.error(key!["local", at, "component_port"], "the port cannot be 0");
    }
    let Some(reference) = &given.secret else {
        findings.error_with_help(
            key!["local", at, "link"],
            "a component link needs the secret that the node knows",
            "add secret = \"file:/etc/vestibule/component.secret\"",
        );
        return None;
    };
    let secret = read_secret(reference, environment, key!["local", at, "secret"], findings);
    Some(ComponentLink {
        port: port?,
        secret: secret?,
    })
}
