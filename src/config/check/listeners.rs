//! Where we accept: one listener an address, and what TLS it needs.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use super::findings::{Findings, key};
use crate::config::schema::{Document, Listen, ListenProtocol, TlsMode, Transport as Word, ZoneName};
use crate::net::settings::{Listener, Protocol, Side, TlsContext, TlsName, Transport};

/// All listeners, one for each address of each `[[listen]]`.
pub(super) fn listeners(
    document: &Document,
    tls: &BTreeMap<TlsName, TlsContext>,
    findings: &mut Findings<'_, '_>,
) -> Vec<Listener> {
    if document.listen.is_empty() {
        findings.error_with_help(
            key!["listen"],
            "there is no listener, so nothing can come in",
            "add a [[listen]] table with zone, protocol, port and tls",
        );
    }
    let mut listeners = Vec::new();
    let mut taken: HashMap<(SocketAddr, Ports), usize> = HashMap::new();
    for (at, listen) in document.listen.iter().enumerate() {
        let Some((protocol, transport)) = service(at, listen, findings) else {
            continue;
        };
        let side = side(listen.zone);
        let tls = context(at, listen, tls, document, findings);
        let port = listen.port.unwrap_or_else(|| default_port(protocol, transport));
        if port == 0 {
            findings.warning(
                key!["listen", at, "port"],
                "port 0 lets the system choose a port, another at each start",
            );
        }
        let ports = match transport {
            Transport::Udp => Ports::Udp,
            Transport::Tls | Transport::Tcp => Ports::Tcp,
        };
        for ip in addresses(at, listen, document, findings) {
            let address = SocketAddr::new(ip, port);
            match taken.get(&(address, ports)) {
                Some(first) if port != 0 => findings.error(
                    key!["listen", at, "port"],
                    &format!(
                        "{address} is taken already by [[listen]] number {}",
                        first.saturating_add(1)
                    ),
                ),
                Some(_) | None => {
                    taken.insert((address, ports), at);
                    listeners.push(Listener {
                        side,
                        protocol,
                        transport,
                        address,
                        tls: tls.clone(),
                    });
                }
            }
        }
    }
    listeners
}

/// Which ports of an address a listener takes: those of TCP and those of UDP are not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Ports {
    Tcp,
    Udp,
}

const fn side(zone: ZoneName) -> Side {
    match zone {
        ZoneName::Outside => Side::Outside,
        ZoneName::Inside => Side::Inside,
    }
}

/// What is spoken and what carries it, from the two words of the file.
fn service(at: usize, listen: &Listen, findings: &mut Findings<'_, '_>) -> Option<(Protocol, Transport)> {
    match (listen.protocol, listen.transport) {
        (ListenProtocol::Xmpp, None | Some(Word::Tcp)) => Some((Protocol::Xmpp, Transport::Tcp)),
        (ListenProtocol::Xmpps, None | Some(Word::Tls)) => Some((Protocol::Xmpp, Transport::Tls)),
        (ListenProtocol::Sip, None | Some(Word::Tls)) => Some((Protocol::Sip, Transport::Tls)),
        (ListenProtocol::Sip, Some(Word::Tcp)) => Some((Protocol::Sip, Transport::Tcp)),
        (ListenProtocol::Sip, Some(Word::Udp)) => Some((Protocol::Sip, Transport::Udp)),
        (ListenProtocol::Xmpp, Some(Word::Tls)) => {
            findings.error_with_help(
                key!["listen", at, "transport"],
                "protocol \"xmpp\" begins TLS by STARTTLS over TCP",
                "for TLS from the first octet on, write protocol = \"xmpps\" and leave `transport` out",
            );
            None
        }
        (ListenProtocol::Xmpp | ListenProtocol::Xmpps, Some(Word::Udp | Word::Tcp)) => {
            findings.error_with_help(
                key!["listen", at, "transport"],
                "this transport does not carry this protocol",
                "leave `transport` out: xmpp is TCP with STARTTLS, xmpps is TLS",
            );
            None
        }
    }
}

const fn default_port(protocol: Protocol, transport: Transport) -> u16 {
    match (protocol, transport) {
        (Protocol::Xmpp, Transport::Tcp | Transport::Udp) => 5269,
        (Protocol::Xmpp, Transport::Tls) => 5270,
        (Protocol::Sip, Transport::Tls) => 5061,
        (Protocol::Sip, Transport::Tcp | Transport::Udp) => 5060,
    }
}

/// The TLS context, and whether the listener can do without.
fn context(
    at: usize,
    listen: &Listen,
    known: &BTreeMap<TlsName, TlsContext>,
    document: &Document,
    findings: &mut Findings<'_, '_>,
) -> Option<TlsName> {
    let name = super::tls::name(
        key!["listen", at, "tls"],
        listen.tls.as_deref(),
        known,
        document,
        findings,
    );
    let needs_tls = match (listen.protocol, listen.transport) {
        (ListenProtocol::Xmpps, _) | (ListenProtocol::Sip, None | Some(Word::Tls)) => {
            Some("TLS from the first octet on")
        }
        (ListenProtocol::Xmpp, _)
            if listen.zone == ZoneName::Outside && document.xmpp.tls == TlsMode::Required =>
        {
            Some("STARTTLS, as [xmpp] tls is \"required\"")
        }
        (ListenProtocol::Xmpp | ListenProtocol::Sip, _) => None,
    };
    match (needs_tls, &listen.tls) {
        (Some(why), None) => findings.error_with_help(
            key!["listen", at],
            &format!("it needs a TLS context for {why}"),
            "add tls = \"NAME\" and a table [tls.NAME]",
        ),
        (None, Some(_)) if listen.protocol == ListenProtocol::Sip => findings.error(
            key!["listen", at, "tls"],
            "a SIP listener over plain TCP or UDP has no use for a TLS context",
        ),
        (None, None) if listen.protocol == ListenProtocol::Sip && listen.zone == ZoneName::Outside => {
            findings.warning(
                key!["listen", at],
                "plain SIP from outside proves no domain: anyone can write any sender",
            );
        }
        (Some(_) | None, _) => {}
    }
    name
}

fn addresses(
    at: usize,
    listen: &Listen,
    document: &Document,
    findings: &mut Findings<'_, '_>,
) -> Vec<IpAddr> {
    let (zone, name) = match listen.zone {
        ZoneName::Outside => (&document.zone.outside, "outside"),
        ZoneName::Inside => (&document.zone.inside, "inside"),
    };
    let of_zone: Vec<IpAddr> = zone.addresses.iter().map(|address| address.0.0).collect();
    match listen.address.map(|address| address.0.0) {
        Some(address) if of_zone.contains(&address) || of_zone.is_empty() => vec![address],
        Some(address) => {
            findings.error_with_help(
                key!["listen", at, "address"],
                &format!("{address} is not an address of [zone.{name}]"),
                "add it there, or leave `address` out to listen on all addresses of the zone",
            );
            Vec::new()
        }
        None if of_zone.is_empty() => {
            findings.error_with_help(
                key!["listen", at, "zone"],
                &format!("[zone.{name}] has no addresses to listen on"),
                &format!("add addresses = [\"...\"] to [zone.{name}], or `address` here"),
            );
            Vec::new()
        }
        None => of_zone,
    }
}
