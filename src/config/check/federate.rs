//! Whom we talk to: foreign domains, static routes, and how a domain is proven on XMPP.

use std::collections::{BTreeMap, HashMap};
use std::num::{NonZeroU16, NonZeroU32};

use super::findings::{Findings, key};
use super::local::{host, records};
use super::{security, terms, tls};
use crate::config::schema::{
    Document, Federate, PeerProtocol, Preference, Profile as ProfileWord, StaticRoute as GivenRoute,
    Transport as TransportWord, ZoneName,
};
use crate::domain::{Domain, DomainPattern};
use crate::net::settings::{TlsContext, TlsName};
use crate::policy::rate::Rate;
use crate::policy::security::Tls;
use crate::route::{
    AddressFallback, Federated, Found, Host, LessSpecific, Link, Local, NextHop, Profile, Protocol,
    RoutePattern, RouteState, Speaks, StaticRoute, Transport, UserPattern, XmppSecurity,
};

/// What the entries need to know of the rest.
pub(super) struct Context<'c> {
    pub(super) document: &'c Document,
    pub(super) contexts: &'c BTreeMap<TlsName, TlsContext>,
    /// The TLS context of a foreign domain that names none.
    pub(super) default_tls: Option<TlsName>,
    pub(super) locals: &'c [Local],
}

/// All foreign domains that can be used.
pub(super) fn federated(context: &Context<'_>, findings: &mut Findings<'_, '_>) -> Vec<Federated> {
    let mut seen: HashMap<&DomainPattern, usize> = HashMap::new();
    let mut federated = Vec::new();
    for (at, given) in context.document.federate.iter().enumerate() {
        let pattern = &given.domain.0;
        if let Some(first) = seen.get(pattern) {
            findings.error(
                key!["federate", at, "domain"],
                &format!(
                    "it is federated already by [[federate]] number {}",
                    first.saturating_add(1)
                ),
            );
            continue;
        }
        seen.insert(pattern, at);
        check_domain(at, given, context, findings);
        federated.push(entry(at, given, context, findings));
    }
    federated
}

/// How a foreign domain without an entry is reached, where policy lets it pass: by XMPP, proven as `[xmpp]` says.
pub(super) fn unlisted(context: &Context<'_>, findings: &mut Findings<'_, '_>) -> Option<Federated> {
    let security = security::of_all(&context.document.xmpp, findings);
    let name = Domain::parse(UNLISTED).ok()?;
    Some(Federated {
        protocol: Speaks::Only(Protocol::Xmpp),
        tls: context.default_tls.clone(),
        xmpp: XmppSecurity {
            inbound: security,
            outbound: security,
        },
        ..Federated::unlisted(DomainPattern::Exact(name))
    })
}

fn check_domain(at: usize, given: &Federate, context: &Context<'_>, findings: &mut Findings<'_, '_>) {
    let is_local = |pattern: &DomainPattern| {
        let position = context.document.local.iter().position(|local| match pattern {
            DomainPattern::Exact(domain) => *domain == local.domain.0,
            DomainPattern::Subdomains(_) => false,
        });
        position.map(|number| number.saturating_add(1))
    };
    if let Some(number) = is_local(&given.domain.0) {
        findings.error_with_help(
            key!["federate", at, "domain"],
            &format!("[[local]] number {number} has the same domain; it is either ours or foreign"),
            "a sub-domain of a local domain may be foreign, and the reverse",
        );
    }
    if let DomainPattern::Subdomains(_) = given.domain.0 {
        let component = context
            .locals
            .iter()
            .find(|local| matches!(local.link, Link::Component(_)));
        if let Some(local) = component {
            findings.error_with_help(
                key!["federate", at, "domain"],
                &format!(
                    "the nodes of the local domain {} are linked as components, and a component has one full name",
                    local.domain
                ),
                "list each foreign domain by its full name, or use link = \"s2s\"",
            );
        }
    }
    if let Some(via) = &given.via {
        if given.domain.0 == DomainPattern::Exact(via.0.clone()) {
            findings.error(key!["federate", at, "via"], "it cannot stand behind itself");
        }
        if let Some(number) = is_local(&DomainPattern::Exact(via.0.clone())) {
            findings.error(
                key!["federate", at, "via"],
                &format!(
                    "{} is local by [[local]] number {number}, not a clearing house",
                    via.0
                ),
            );
        }
    }
}

fn entry(at: usize, given: &Federate, context: &Context<'_>, findings: &mut Findings<'_, '_>) -> Federated {
    let name = tls::name(
        key!["federate", at, "tls"],
        given.tls.as_deref(),
        context.contexts,
        context.document,
        findings,
    );
    let protocol = speaks(at, given, findings);
    let routes: Vec<StaticRoute> = given
        .routes
        .iter()
        .enumerate()
        .filter_map(|(number, route)| {
            let base = key!["federate", at, "routes", number].to_vec();
            static_route(&base, route, (given, protocol.of_static_routes()), findings)
        })
        .collect();
    let entry = Federated {
        pattern: given.domain.0.clone(),
        description: given.description.clone(),
        protocol,
        profile: profile(at, given, findings),
        routes,
        via: given.via.as_ref().map(|via| via.0.clone()),
        tls: name.or_else(|| context.default_tls.clone()),
        xmpp: security::of_entry(at, given, &context.document.xmpp, findings),
        rate: rate(
            at,
            ("requests_per_second", given.rate.requests_per_second),
            findings,
        ),
        dialogs: rate(
            at,
            ("new_dialogs_per_second", given.rate.new_dialogs_per_second),
            findings,
        ),
        outbound: rate(
            at,
            (
                "outbound_requests_per_second",
                given.rate.outbound_requests_per_second,
            ),
            findings,
        ),
        address_fallback: if given.address_fallback {
            AddressFallback::Allowed
        } else {
            AddressFallback::Forbidden
        },
        terms: terms::terms(at, given, findings),
    };
    check_tls(at, (given, &entry), context, findings);
    entry
}

fn speaks(at: usize, given: &Federate, findings: &mut Findings<'_, '_>) -> Speaks {
    let preferred = given.prefer.map(|word| match word {
        Preference::Sip => Protocol::Sip,
        Preference::Xmpp => Protocol::Xmpp,
    });
    let only = match given.protocol {
        PeerProtocol::Auto => return Speaks::Auto(preferred),
        PeerProtocol::Sip => Protocol::Sip,
        PeerProtocol::Xmpp => Protocol::Xmpp,
    };
    if preferred.is_some() {
        findings.error(
            key!["federate", at, "prefer"],
            &format!("there is nothing to prefer, as protocol is \"{only}\""),
        );
    }
    Speaks::Only(only)
}

fn profile(at: usize, given: &Federate, findings: &mut Findings<'_, '_>) -> Profile {
    let wrong = match (given.protocol, given.profile) {
        (PeerProtocol::Sip, Some(ProfileWord::Xmpp)) => Some("\"xmpp\" is no dialect of SIP"),
        (PeerProtocol::Xmpp, Some(ProfileWord::Simple | ProfileWord::Microsoft | ProfileWord::Aol)) => {
            Some("it is a dialect of SIP, and protocol is \"xmpp\"")
        }
        (PeerProtocol::Sip | PeerProtocol::Xmpp | PeerProtocol::Auto, _) => None,
    };
    if let Some(why) = wrong {
        findings.error(key!["federate", at, "profile"], why);
    }
    match (given.profile, given.protocol) {
        (Some(ProfileWord::Simple), _) | (None, PeerProtocol::Sip | PeerProtocol::Auto) => Profile::Simple,
        (Some(ProfileWord::Microsoft), _) => Profile::Microsoft,
        (Some(ProfileWord::Aol), _) => Profile::Aol,
        (Some(ProfileWord::Xmpp), _) | (None, PeerProtocol::Xmpp) => Profile::Xmpp,
    }
}

fn static_route(
    base: &[String],
    route: &GivenRoute,
    (given, protocol): (&Federate, Protocol),
    findings: &mut Findings<'_, '_>,
) -> Option<StaticRoute> {
    let under = |name: &str| -> Vec<String> { base.iter().cloned().chain([name.to_owned()]).collect() };
    let transport = match route.transport {
        TransportWord::Tls => Transport::Tls,
        TransportWord::Tcp => Transport::Tcp,
        TransportWord::Udp => Transport::Udp,
    };
    let next_hop = next_hop(base, route, (protocol, transport), findings);
    if route.transport == TransportWord::Udp && given.protocol == PeerProtocol::Xmpp {
        findings.error(&under("transport"), "XMPP does not go over UDP");
    }
    let user = match route.user.as_deref().map(UserPattern::parse) {
        Some(Ok(pattern)) => Some(pattern),
        Some(Err(why)) => {
            findings.error(&under("user"), &why.to_string());
            None
        }
        None => None,
    };
    if user.is_some() && protocol == Protocol::Xmpp && !route.block {
        findings.warning(
            &under("user"),
            "an XMPP stream carries all users of a domain, so that on XMPP a route of some of them has no effect; only `block` has",
        );
    }
    let mut positive = |name: &str, number: u16| {
        let value = NonZeroU16::new(number);
        if value.is_none() {
            findings.error(&under(name), &format!("`{name}` is from 1 to 65535"));
        }
        value
    };
    let (priority, weight) = (
        positive("priority", route.priority),
        positive("weight", route.weight),
    );
    Some(StaticRoute {
        pattern: RoutePattern {
            user,
            domain: given.domain.0.clone(),
        },
        next_hop: next_hop?,
        transport,
        priority: priority?,
        weight: weight?,
        state: match (route.block, route.in_service) {
            (true, _) => RouteState::Blocked,
            (false, true) => RouteState::InService,
            (false, false) => RouteState::OutOfService,
        },
        less_specific: if route.allow_less_specific {
            LessSpecific::Allowed
        } else {
            LessSpecific::Forbidden
        },
    })
}

fn next_hop(
    base: &[String],
    route: &GivenRoute,
    (protocol, transport): (Protocol, Transport),
    findings: &mut Findings<'_, '_>,
) -> Option<NextHop> {
    let path: Vec<String> = base.iter().cloned().chain(["next_hop".to_owned()]).collect();
    let port = NonZeroU16::new(route.port);
    if route.next_hop.starts_with('_') {
        let (name, domain) = records(&path, &route.next_hop, protocol, transport, findings)?;
        if port.is_some() {
            let help = "leave `port` out";
            findings.error_with_help(&path, "SRV records say the port themselves", help);
        }
        return Some(NextHop {
            host: Host::Name(domain),
            found: Found::Records(name),
        });
    }
    let host = host(base, "next_hop", &route.next_hop, findings)?;
    if let (Host::Address(address), None) = (&host, port) {
        findings.error_with_help(
            &path,
            &format!("without a port SRV records are asked for, and {address} is an address, which has none"),
            "add a port, usually 5061 for SIP by TLS or 5269 for XMPP",
        );
    }
    let found = port.map_or(Found::Service, Found::Port);
    Some(NextHop { host, found })
}

fn rate(at: usize, (name, given): (&str, Option<u32>), findings: &mut Findings<'_, '_>) -> Option<Rate> {
    let number = given?;
    let rate = NonZeroU32::new(number).map(Rate::per_second);
    if rate.is_none() {
        findings.error_with_help(
            key!["federate", at, "rate", name],
            "a rate of 0 lets nothing pass",
            "leave it out for no limit; to refuse a domain use [[policy.exception]] or [[policy.block]]",
        );
    }
    rate
}

/// Whether there is a TLS context where TLS is spoken.
fn check_tls(
    at: usize,
    (given, entry): (&Federate, &Federated),
    context: &Context<'_>,
    findings: &mut Findings<'_, '_>,
) {
    // A listener that names a context that is not there has been told of that already.
    let is_told = context
        .document
        .listen
        .iter()
        .filter(|listen| listen.zone == ZoneName::Outside)
        .filter_map(|listen| listen.tls.as_deref())
        .any(|name| !context.contexts.contains_key(&TlsName::new(name)));
    if entry.tls.is_some() || given.tls.is_some() || is_told {
        return;
    }
    let help = "add tls = \"NAME\" and a table [tls.NAME]";
    let is_plain_sip = !entry.routes.is_empty()
        && entry
            .routes
            .iter()
            .all(|route| route.transport != Transport::Tls && route.less_specific == LessSpecific::Forbidden);
    if entry.protocol.includes(Protocol::Sip) && !is_plain_sip {
        findings.error_with_help(
            key!["federate", at],
            "SIP federation is by TLS, and there is no TLS context for it",
            help,
        );
    } else if entry.protocol.includes(Protocol::Xmpp) && entry.xmpp.outbound.tls == Tls::Required {
        findings.error_with_help(
            key!["federate", at],
            "XMPP TLS is required, and there is no TLS context for it",
            help,
        );
    }
}

/// Stands for the domains that no entry names; RFC 6761 §6.4 keeps this name from being anybody's.
const UNLISTED: &str = "unlisted.invalid";
