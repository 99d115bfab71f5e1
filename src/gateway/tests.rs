//! The gateway core on a virtual clock: outcomes, the border, and both in a simulated world.

#![allow(clippy::arithmetic_side_effects, reason = "tests")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]

mod border;
mod conversation;
mod exchange;
mod outcome;
mod polite;
mod presence;
mod presence_simulation;
mod relay;
mod service;
mod simulation;

use super::*;
use crate::domain::{Domain, DomainPattern};
use crate::identity::Authenticated;
use crate::interwork::passage::{self, Mark};
use crate::limits::{Limits, SipLimits};
use crate::policy::{
    self, Action, Block, Blocked, Direction, Directions, Exception, FederatedDomain, Party, RuleSet, Rules,
    Source, Style,
};
use crate::route::{self, Federated, Local, Node, Nodes, Protocol, Role, Side, Speaks, Table};
use crate::sip::proxy::Terms;
use crate::sip::{self, Date, Message, Request, Response, StatusCode};
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::{Jid, ns, ping};

const UNDELIVERABLE: &str = "Your IM could not be delivered";

/// As whom the gateway of a test speaks.
fn speaker(ids: u64, undeliverable: &str) -> Speaker {
    Speaker::new(
        AnswerIds::new(ids),
        domain("edge.corp.example"),
        undeliverable,
        [7; 32],
    )
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

fn xmpp_link(local: &str, remote: &str) -> Link {
    Link::Xmpp {
        local: domain(local),
        remote: domain(remote),
    }
}

fn local(name: &str, protocol: Protocol, role: Role) -> Local {
    Local {
        domain: domain(name),
        protocol,
        role,
        nodes: Nodes::List(vec![Node {
            host: route::Host::parse("imp1.corp.example").unwrap(),
            port: None,
            transport: route::Transport::Tcp,
            priority: 1,
            weight: 1,
        }]),
        tls: None,
        link: route::Link::S2s,
        profile: route::Profile::Simple,
    }
}

fn federated(name: &str, protocol: Protocol, profile: route::Profile) -> Federated {
    Federated {
        protocol: Speaks::Only(protocol),
        profile,
        ..Federated::unlisted(DomainPattern::parse(name).unwrap())
    }
}

/// What the border of a test knows beside the domains below.
struct Setting {
    default: Action,
    exceptions: Vec<Exception>,
    blocks: Vec<Block>,
    conduct: Conduct,
    unlisted: Option<Federated>,
    /// What of SIP passes to and from `partner.example`.
    terms: Terms,
    /// The same of `ms.example`.
    microsoft: Terms,
    /// What the nodes of `phones.corp.example` want to be told.
    nodes: route::Profile,
}

fn conduct(translation: Translation) -> Conduct {
    Conduct::new(translation, UNDELIVERABLE, own_mark())
}

/// What stands for us on what we translate.
fn own_mark() -> Mark {
    Mark::new(b"secret", &domain("edge.corp.example"))
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            default: Action::Deny,
            exceptions: Vec::new(),
            blocks: Vec::new(),
            conduct: conduct(Translation::On),
            unlisted: None,
            terms: Terms::default(),
            microsoft: Terms::default(),
            nodes: route::Profile::Simple,
        }
    }
}

impl Setting {
    /// Everything is allowed, and domains that nobody listed are reached by XMPP.
    fn open() -> Self {
        Self {
            default: Action::Allow,
            unlisted: Some(Federated {
                protocol: Speaks::Only(Protocol::Xmpp),
                ..Federated::unlisted(DomainPattern::parse("*.example").unwrap())
            }),
            ..Self::default()
        }
    }

    /// Ours: `corp.example` with people, `rooms.corp.example`, `phones.corp.example` on SIP. Theirs, on SIP:
    /// `partner.example`, `ms.example` of Microsoft, `tenant.example` behind the clearing house `house.example`; on
    /// XMPP `friend.example`, which policy does not allow by itself.
    fn border(self) -> Border {
        let mut locals = vec![
            local("corp.example", Protocol::Xmpp, Role::User),
            local("rooms.corp.example", Protocol::Xmpp, Role::Chat),
            local("phones.corp.example", Protocol::Sip, Role::User),
        ];
        locals[2].profile = self.nodes;
        let sip = ["partner.example", "ms.example", "tenant.example", "house.example"];
        let mut foreign: Vec<_> = sip
            .map(|name| federated(name, Protocol::Sip, route::Profile::Simple))
            .into();
        foreign[0].terms = self.terms;
        foreign[1].terms = self.microsoft;
        foreign[1].profile = route::Profile::Microsoft;
        foreign[2].via = Some(domain("house.example"));
        foreign.push(federated("friend.example", Protocol::Xmpp, route::Profile::Xmpp));
        let rules = Rules::new(RuleSet {
            default: self.default,
            default_source: Source::new("policy.default"),
            exceptions: self.exceptions,
            blocks: self.blocks,
            federated: sip
                .map(|name| FederatedDomain {
                    pattern: DomainPattern::parse(name).unwrap(),
                    source: Source::new("federation"),
                })
                .into(),
        });
        let table = Table::new(locals, foreign, self.unlisted).unwrap();
        Border::new(
            domain("edge.corp.example"),
            rules,
            table,
            Limits::default(),
            self.conduct,
        )
    }

    /// One exception for `name`.
    fn with(name: &str, action: Action, directions: Directions, kinds: &[policy::Kind]) -> Self {
        Self {
            exceptions: vec![Exception {
                pattern: DomainPattern::parse(name).unwrap(),
                directions,
                kinds: kinds.iter().copied().collect(),
                action,
                source: Source::new("policy.exception[0]"),
            }],
            ..Self::default()
        }
    }

    fn blocking(whom: &str, style: Style) -> Self {
        let (user, name) = whom.split_once('@').unwrap();
        Self {
            blocks: vec![Block {
                whom: Blocked::Address(Party::new(Some(user), domain(name))),
                style,
                source: Source::new("policy.block[0]"),
            }],
            ..Self::default()
        }
    }
}

/// A far end that has proven these domains.
struct Proven<'a>(&'a [&'a str]);

impl Peer for Proven<'_> {
    fn proves(&mut self, domain: &Domain, entry: &Federated) -> Result<Authenticated, Unproven> {
        assert!(
            entry.pattern.matches(domain),
            "a domain is proven by its own entry"
        );
        if self.0.contains(&domain.as_str()) {
            Ok(Authenticated::by_route_address(domain.clone()))
        } else {
            Err(Unproven::without_tls(domain))
        }
    }

    fn is_node_of(&mut self, local: &Local) -> Result<Authenticated, Unproven> {
        if self.0.contains(&local.domain.as_str()) {
            Ok(Authenticated::by_node_address(local.domain.clone()))
        } else {
            Err(Unproven::without_tls(&local.domain))
        }
    }

    fn is_over_tls(&self) -> bool {
        true
    }
}

/// A request, as it is read from the wire; `more` are further lines of its head.
fn request(method: &str, from: &str, to: &str, more: &str, body: &str) -> Request {
    let text = format!(
        "{method} {to} SIP/2.0\r\n\
         Via: SIP/2.0/TLS proxy.partner.example;branch=z9hG4bK776\r\n\
         From: <{from}>;tag=49583\r\n\
         To: <{to}>\r\n\
         Call-ID: asd88asd77a\r\n\
         CSeq: 1 {method}\r\n\
         {more}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    match sip::parse::message(text.as_bytes(), &SipLimits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{text}\nis no request: {other:?}"),
    }
}

fn message(from: &str, to: &str, body: &str) -> Request {
    request(
        "MESSAGE",
        from,
        to,
        "Max-Forwards: 70\r\nContent-Type: text/plain\r\n",
        body,
    )
}

fn stanza(kind: Kind, from: &str, to: &str) -> Stanza {
    Stanza::new(kind, jid(from), jid(to))
}

fn chat(from: &str, to: &str, id: &str, body: &str) -> Stanza {
    stanza(Kind::Message(MessageType::Chat), from, to)
        .with_id(id)
        .with_child(Element::new("body", ns::STANZA).with_text(body))
}

/// A response as it stands on the wire.
fn octets(response: &Response) -> String {
    let mut out = Vec::new();
    sip::write::response(response, &mut out);
    String::from_utf8(out).unwrap()
}

fn today() -> Date {
    Date::from_unix_seconds(1_800_000_000).unwrap()
}

/// What a gateway wanted done, sorted by kind.
#[derive(Debug, Default)]
struct Seen {
    sent: Vec<Letter>,
    pings: Vec<Letter>,
    requests: Vec<(Token, Box<Request>, Instant)>,
    responses: Vec<(u32, Box<Response>)>,
    outcomes: Vec<Outcome>,
    /// The INVITEs that are called back.
    recalled: Vec<Token>,
    /// What could not be told.
    untold: usize,
    /// The pings that may be answered.
    pongs: usize,
    /// What the store is to keep.
    persisted: Vec<(u64, Vec<super::presence::Change>)>,
}

#[derive(Debug, Clone)]
struct Letter {
    link: Link,
    stanza: Stanza,
    token: Option<Token>,
    until: Instant,
}

impl Seen {
    /// The numbers of the requests that were answered, and with what.
    fn statuses(&self) -> Vec<(u32, u16)> {
        self.responses
            .iter()
            .map(|(number, response)| (*number, response.status().code()))
            .collect()
    }

    /// The error stanzas: to whom, about which id, which condition.
    fn errors(&self) -> Vec<(String, String, Condition)> {
        self.sent
            .iter()
            .filter_map(|letter| {
                let error = letter.stanza.error()?;
                let id = letter.stanza.id().unwrap_or_default().to_owned();
                Some((letter.stanza.to().to_string(), id, error.condition()))
            })
            .collect()
    }

    fn is_empty(&self) -> bool {
        self.sent.is_empty()
            && self.pings.is_empty()
            && self.requests.is_empty()
            && self.responses.is_empty()
            && self.outcomes.is_empty()
            && self.recalled.is_empty()
            && self.untold == 0
            && self.pongs == 0
            && self.persisted.is_empty()
    }
}

impl Letter {
    fn token(&self) -> Token {
        self.token.unwrap()
    }
}

/// Takes out everything that the gateway wants done now.
fn drain(gateway: &mut Gateway<u32>, now: Instant) -> Seen {
    let mut seen = Seen::default();
    for count in 0.. {
        assert!(count < 10_000, "the gateway never comes to rest");
        match gateway.poll(now) {
            None => break,
            Some(Output::Send {
                link,
                stanza,
                token,
                until,
                ..
            }) => {
                let letter = Letter {
                    link,
                    stanza: *stanza,
                    token,
                    until,
                };
                if letter.stanza.child("ping", ns::PING).is_some() {
                    seen.pings.push(letter);
                } else {
                    seen.sent.push(letter);
                }
            }
            Some(Output::Request {
                request,
                token,
                until,
                ..
            }) => seen.requests.push((token, request, until)),
            Some(Output::Respond { origin, response }) => seen.responses.push((origin, response)),
            Some(Output::Pong(_)) => seen.pongs += 1,
            Some(Output::Persist { ticket, changes }) => seen.persisted.push((ticket, changes)),
            Some(Output::Recall { token }) => seen.recalled.push(token),
            Some(Output::Untold { .. }) => seen.untold += 1,
            Some(Output::Observe(seen_outcome)) => seen.outcomes.push(seen_outcome.outcome),
        }
    }
    seen
}
