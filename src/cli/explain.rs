//! `vestibule explain`: the chain of evidence for one message, by the functions that the running proxy uses.
//!
//! A made-up message of the kind that is asked about goes through the proxy's own border; what it says is what is shown.

mod trial;

use std::io::{self, Write};

use serde::Serialize;

use self::trial::Fate;
use super::map::Address;
use super::{Exit, ExplainArgs, Form, write_json};
use crate::config::Settings;
use crate::domain::Domain;
use crate::net::settings::{IdentityRule, Protocol, Side, TlsName, TlsVersion};
use crate::policy::security::{Security, Tls};
use crate::policy::{Direction, Kind, Party, Query, Verdict, explain};
use crate::route::{Destination, Federated, Link, Local, Route, Speaks, Transport};
use crate::sip::Uri;

/// Everything that was found, in the order in which a message meets it.
#[derive(Debug, Serialize)]
struct Explanation {
    kind: &'static str,
    sample: &'static str,
    arrives_by: &'static str,
    direction: Option<&'static str>,
    from: Spellings,
    to: Spellings,
    sender_proof: Vec<String>,
    policy: Vec<String>,
    route: Vec<String>,
    leaves_by: Vec<&'static str>,
    translation: Vec<String>,
    tls: Vec<String>,
    passes: bool,
    because: String,
    sender_is_told: Option<String>,
}

#[derive(Debug, Serialize)]
struct Spellings {
    sip: Spelling,
    xmpp: Spelling,
}

/// An address in one protocol, or why there is none.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Spelling {
    Is(String),
    None { why: String },
}

/// Prints the explanation; a message that is refused ends with [`Exit::Bad`].
pub(super) fn print(
    settings: &Settings,
    arguments: &ExplainArgs,
    form: Form,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let explanation = match explanation(settings, arguments) {
        Ok(explanation) => explanation,
        Err(why) => {
            writeln!(err, "{why}")?;
            return Ok(Exit::Bad);
        }
    };
    match form {
        Form::Json => write_json(&explanation, out)?,
        Form::Text => write_text(&explanation, out)?,
    }
    Ok(if explanation.passes { Exit::Good } else { Exit::Bad })
}

fn explanation(settings: &Settings, arguments: &ExplainArgs) -> Result<Explanation, String> {
    let from = Address::read(&arguments.from).map_err(|why| format!("--from {}: {why}", arguments.from))?;
    let to = Address::read(&arguments.to).map_err(|why| format!("--to {}: {why}", arguments.to))?;
    let sender = party(&from).ok_or_else(|| format!("--from {}: it has no domain", arguments.from))?;
    let addressee = party(&to).ok_or_else(|| format!("--to {}: it has no domain", arguments.to))?;
    let asked = Kind::from(arguments.kind);
    let origin = match (arguments.proto, &from, &to) {
        (Some(word), _, _) => word.into(),
        (None, Address::Sip(_), _) | (None, _, Address::Sip(_)) => Protocol::Sip,
        (None, Address::Xmpp(_), Address::Xmpp(_)) => spoken_by(settings, sender.domain()),
    };
    let is_local = |party: &Party| settings.table.local(party.domain()).is_some();
    let (direction, side) = if is_local(&sender) {
        (Direction::Outbound, Side::Inside)
    } else {
        (Direction::Inbound, Side::Outside)
    };
    let trial = trial::of(settings, (&from, &to), asked, (origin, side));
    let kind = trial.as_ref().map_or(asked, |trial| trial.kind);
    let (foreign, own) = match direction {
        Direction::Outbound => (&addressee, &sender),
        Direction::Inbound => (&sender, &addressee),
    };
    let query = Query {
        direction,
        foreign,
        own,
        kind,
    };
    let decision = settings.rules.decide(&query);
    let mut explanation = Explanation {
        kind: kind.as_str(),
        sample: trial.as_ref().map_or("none", |trial| trial.sample),
        arrives_by: origin.as_str(),
        direction: (is_local(&sender) != is_local(&addressee)).then_some(direction.as_str()),
        from: spellings(&from),
        to: spellings(&to),
        sender_proof: proof_of(settings, &sender, origin, direction),
        policy: explain::chain(&settings.rules, &query),
        route: Vec::new(),
        leaves_by: Vec::new(),
        translation: Vec::new(),
        tls: Vec::new(),
        passes: false,
        because: String::new(),
        sender_is_told: None,
    };
    if direction == Direction::Outbound && *addressee.domain() == settings.edge.name && !is_local(&addressee)
    {
        explanation.policy = vec!["not asked: nodes of ours may always ask the edge itself".to_owned()];
    } else if decision.verdict() == Verdict::Allow
        && explanation.direction.is_some()
        && let Ok(route) = settings.table.lookup(&addressee, origin)
    {
        explanation.route = route.describe();
        explanation.tls = tls_of(settings, &route, direction);
    }
    match trial.map(|trial| trial.fate) {
        Err(why) => explanation.because = why,
        Ok(Fate::Refused { why, .. }) if is_local(&sender) && is_local(&addressee) => {
            explanation.because = format!("both domains are local, and need no edge between them: {why}");
        }
        Ok(Fate::Refused { why, told }) => {
            explanation.because = why;
            explanation.sender_is_told = Some(told);
        }
        Ok(Fate::Dropped) => {
            "it is dropped, as the other protocol has no word for it and nobody waits for it"
                .clone_into(&mut explanation.because);
        }
        Ok(Fate::Answered) => {
            explanation.passes = true;
            "the edge answers it by itself".clone_into(&mut explanation.because);
        }
        Ok(Fate::Delivered { route, translation }) => {
            explanation.passes = true;
            explanation.because = decision.because();
            explanation.translation.push(translation);
            explanation.route = route.describe();
            explanation.tls = tls_of(settings, &route, direction);
            explanation.leaves_by = route
                .plans()
                .iter()
                .map(|plan| plan.protocol().as_str())
                .collect();
        }
    }
    Ok(explanation)
}

/// The address as policy and routes compare it.
fn party(address: &Address) -> Option<Party> {
    match address {
        Address::Xmpp(jid) => Some(Party::from_jid(jid.local(), jid.domain().clone())),
        Address::Sip(Uri::Sip(uri)) => Some(Party::from_sip(uri.user(), uri.host().domain()?)),
        Address::Sip(Uri::Other(_)) => {
            let jid = address.to_jid().ok()?;
            Some(Party::from_jid(jid.local(), jid.domain().clone()))
        }
    }
}

fn spellings(address: &Address) -> Spellings {
    let spelling = |read: Result<String, String>| match read {
        Ok(text) => Spelling::Is(text),
        Err(why) => Spelling::None { why },
    };
    Spellings {
        sip: spelling(address.to_uri().map(|uri| uri.to_string())),
        xmpp: spelling(address.to_jid().map(|jid| jid.to_string())),
    }
}

/// What a domain speaks by the configuration; XMPP where both are open.
fn spoken_by(settings: &Settings, domain: &Domain) -> Protocol {
    if let Some(local) = settings.table.local(domain) {
        return local.protocol;
    }
    match settings.table.foreign(domain).map(|entry| entry.protocol) {
        Some(Speaks::Only(protocol)) => protocol,
        Some(Speaks::Auto(preferred)) => preferred.unwrap_or(Protocol::Xmpp),
        None => Protocol::Xmpp,
    }
}

/// How the sender's server proves that it may speak for the sender's domain.
fn proof_of(settings: &Settings, sender: &Party, origin: Protocol, direction: Direction) -> Vec<String> {
    let domain = sender.domain();
    match direction {
        Direction::Outbound => match settings.table.local(domain) {
            Some(local) => vec![inside(settings, local)],
            None => Vec::new(),
        },
        Direction::Inbound => {
            let entry = settings.table.foreign(domain);
            let Some(entry) = entry else {
                return Vec::new();
            };
            let proven = match &entry.via {
                Some(house) => format!("{domain}, or {house} for it"),
                None => domain.to_string(),
            };
            match origin {
                Protocol::Xmpp => vec![format!(
                    "XMPP: the peer proves {proven}: {}",
                    methods(entry.xmpp.inbound)
                )],
                Protocol::Sip => vec![format!(
                    "SIP: the peer's certificate proves {proven}, {}",
                    context(settings, entry.tls.as_ref(), Protocol::Sip)
                )],
            }
        }
    }
}

/// What the leg towards the addressee needs.
fn tls_of(settings: &Settings, route: &Route, direction: Direction) -> Vec<String> {
    match route.destination() {
        Destination::Local(local) => vec![inside(settings, local)],
        Destination::Foreign(entry) => route
            .plans()
            .iter()
            .map(|plan| outside(settings, entry, plan.protocol(), direction))
            .collect(),
    }
}

fn inside(settings: &Settings, local: &Local) -> String {
    match (&local.link, &local.tls) {
        (Link::Component(link), _) => format!(
            "inside, component link to port {}: the shared secret proves each side, no TLS",
            link.port
        ),
        (Link::S2s, Some(name)) => format!(
            "inside, {}: TLS required; {}",
            local.protocol,
            context(settings, Some(name), local.protocol)
        ),
        (Link::S2s, None) => format!("inside, {}: no TLS, as no context is configured", local.protocol),
    }
}

fn outside(settings: &Settings, entry: &Federated, protocol: Protocol, direction: Direction) -> String {
    let context = context(settings, entry.tls.as_ref(), protocol);
    match protocol {
        Protocol::Sip => format!("{}, sip: {}; {context}", Side::Outside, sip_requirement(entry)),
        Protocol::Xmpp => {
            let security = match direction {
                Direction::Outbound => entry.xmpp.outbound,
                Direction::Inbound => entry.xmpp.inbound,
            };
            format!("{}, xmpp: {}; {context}", Side::Outside, methods(security))
        }
    }
}

/// Whether TLS is required, and what then proves a domain.
fn methods(security: Security) -> String {
    let tls = match security.tls {
        Tls::Required => "TLS required",
        Tls::Optional => "TLS optional",
        Tls::Off => "TLS never",
    };
    match security.check() {
        Ok(methods) => format!("{tls}; {methods}"),
        Err(why) => format!("{tls}; {why}"),
    }
}

/// Whether a domain is reached by SIP over TLS alone.
fn sip_requirement(entry: &Federated) -> &'static str {
    let is_plain = |transport: &Transport| match transport {
        Transport::Tls => false,
        Transport::Tcp | Transport::Udp => true,
    };
    if entry.routes.iter().any(|route| is_plain(&route.transport)) {
        "TLS where the route says so"
    } else {
        "TLS required"
    }
}

fn context(settings: &Settings, name: Option<&TlsName>, protocol: Protocol) -> String {
    let Some(name) = name else {
        return "no TLS context".to_owned();
    };
    let Some(context) = settings.tls.get(name) else {
        return format!("[tls.{name}]");
    };
    let minimum = match context.minimum {
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    };
    let identity = match context.identity {
        IdentityRule::Rfc5922 => "rfc5922",
        IdentityRule::RouteTarget => "route_target",
        IdentityRule::Pinned => "pinned",
    };
    match protocol {
        Protocol::Sip => format!("[tls.{name}], TLS {minimum} or later, identity {identity}"),
        // On XMPP a certificate names the domain, whatever the context says (RFC 9525).
        Protocol::Xmpp => format!("[tls.{name}], TLS {minimum} or later"),
    }
}

fn write_text(explanation: &Explanation, out: &mut dyn Write) -> io::Result<()> {
    let spelling = |spellings: &Spellings| {
        let one = |spelling: &Spelling| match spelling {
            Spelling::Is(text) => text.clone(),
            Spelling::None { why } => format!("none ({why})"),
        };
        format!("SIP {}, XMPP {}", one(&spellings.sip), one(&spellings.xmpp))
    };
    writeln!(out, "from         {}", spelling(&explanation.from))?;
    writeln!(out, "to           {}", spelling(&explanation.to))?;
    let direction = explanation.direction.unwrap_or("through the edge: no");
    writeln!(
        out,
        "message      {}, {direction}, by {}: {}",
        explanation.kind, explanation.arrives_by, explanation.sample
    )?;
    for (title, lines) in [
        ("sender proof", &explanation.sender_proof),
        ("policy", &explanation.policy),
        ("route", &explanation.route),
        ("translation", &explanation.translation),
        ("TLS", &explanation.tls),
    ] {
        for (position, line) in lines.iter().enumerate() {
            let title = if position == 0 { title } else { "" };
            writeln!(out, "{title:<12} {line}")?;
        }
    }
    let outcome = if explanation.passes { "passes" } else { "refused" };
    writeln!(out, "{:<12} {outcome}: {}", "outcome", explanation.because)?;
    match &explanation.sender_is_told {
        Some(told) => writeln!(out, "{:<12} {told}", "sender hears"),
        None => Ok(()),
    }
}
