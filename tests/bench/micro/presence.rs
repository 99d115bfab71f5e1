//! A change of presence through the gateway: from the octets that come to what is sent for it, with all that is remembered of the two
//! users. One sees the other already, both ways.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use vestibule::domain::{Domain, DomainPattern};
use vestibule::gateway::{
    Admitted, AdmittedStanza, AnswerIds, Border, Conduct, Gateway, Input, Output, Peer, Speaker, Translation,
    Unproven,
};
use vestibule::identity::Authenticated;
use vestibule::interwork::passage::Mark;
use vestibule::limits::{GatewayLimits, Limits, SipLimits};
use vestibule::policy::{Action, RuleSet, Rules, Source};
use vestibule::route::{self, Federated, Local, Node, Nodes, Role, Side, Speaks, Table};
use vestibule::sip::{self, Date, Message, Method, Request, StatusCode};
use vestibule::xml::{StreamItem, StreamReader};
use vestibule::xmpp::{Stanza, ns};

/// The gateway between the two, and what they were told last.
pub(crate) struct Pair {
    gateway: Gateway<u32>,
    border: Arc<Border>,
    now: Instant,
    reader: StreamReader,
    limits: SipLimits,
    /// The SUBSCRIBE of the edge.
    subscribe: Option<Request>,
    number: u32,
    /// What was sent since this was looked at.
    notifies: u32,
    stanzas: u32,
}

impl Pair {
    /// Both see each other.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let name = Domain::parse("edge.corp.example")?;
        let speaker = Speaker::new(AnswerIds::new(7), name.clone(), "", [7; 32]);
        let mut limits = GatewayLimits::default();
        limits.presence.pause = std::time::Duration::ZERO;
        limits.presence.changes = std::num::NonZeroU32::MAX;
        let mut reader = StreamReader::new(&vestibule::limits::XmlLimits::default());
        reader.push(super::STREAM.as_bytes());
        reader.next()?;
        let mut this = Self {
            gateway: Gateway::new(0, limits, &speaker),
            border: Arc::new(border(name)?),
            now: now(),
            reader,
            limits: SipLimits::default(),
            subscribe: None,
            number: 0,
            notifies: 0,
            stanzas: 0,
        };
        let border = Arc::clone(&this.border);
        let unix = 1_700_000_000;
        this.handle(Input::Configured { border, unix });
        this.stanza("<presence from='bob@corp.example' to='alice@partner.example' type='subscribe'/>")?;
        this.notify()?;
        let ask = SUBSCRIBE;
        this.request(ask)?;
        this.stanza("<presence from='bob@corp.example' to='alice@partner.example' type='subscribed'/>")?;
        this.change()?;
        anyhow::ensure!(
            this.notifies == 3 && this.stanzas > 0,
            "the two do not see each other"
        );
        Ok(this)
    }

    /// The user of XMPP changes his state, and the one of SIP is notified.
    pub(crate) fn change(&mut self) -> anyhow::Result<()> {
        self.number = self.number.wrapping_add(1);
        let (before, number) = (self.notifies, self.number);
        self.stanza(&format!(
            "<presence from='bob@corp.example/desk' to='alice@partner.example'><show>away</show><status>change {number} of mine</status>\
             <priority>5</priority></presence>"
        ))?;
        anyhow::ensure!(self.notifies > before, "nobody was notified");
        Ok(())
    }

    /// The user of SIP changes his, and the one of XMPP is told.
    pub(crate) fn notify(&mut self) -> anyhow::Result<()> {
        self.number = self.number.wrapping_add(1);
        let (before, number) = (self.stanzas, self.number);
        let asked = self.subscribe.as_ref().context("nobody subscribed")?.headers();
        let body = format!(
            "<?xml version=\"1.0\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"pres:alice@partner.example\"><tuple id=\"desk\">\
             <status><basic>open</basic></status><note>change {number} of mine</note></tuple></presence>"
        );
        let text = format!(
            "NOTIFY sip:bob@edge.corp.example;transport=tls SIP/2.0\r\nVia: SIP/2.0/TLS p.partner.example;branch=z9hG4bKn{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:alice@partner.example>;tag=s1\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} NOTIFY\r\n\
             Contact: <sip:p.partner.example;transport=tls>\r\nEvent: presence\r\nSubscription-State: active;expires=3600\r\n\
             Content-Type: application/pidf+xml\r\nContent-Length: {}\r\n\r\n{body}",
            asked.from(),
            asked.call_id(),
            body.len(),
        );
        self.request(&text)?;
        anyhow::ensure!(self.stanzas > before, "nobody was told");
        Ok(())
    }

    fn stanza(&mut self, text: &str) -> anyhow::Result<()> {
        self.reader.push(text.as_bytes());
        let Some(StreamItem::Element(element)) = self.reader.next()? else {
            anyhow::bail!("no stanza");
        };
        let stanza = Stanza::from_element(element, ns::SERVER).map_err(|bad| anyhow::anyhow!("{bad:?}"))?;
        match self.border.admit_stanza(Side::Inside, stanza, date()?, &[7; 32]) {
            Ok(AdmittedStanza::Deliver(delivery)) => {
                let origin = None;
                self.handle(Input::Deliver { delivery, origin });
                Ok(())
            }
            _ => anyhow::bail!("the border keeps it out"),
        }
    }

    fn request(&mut self, text: &str) -> anyhow::Result<()> {
        let Message::Request(request) =
            sip::parse::message(text.as_bytes(), &self.limits).map_err(|bad| bad.error)?
        else {
            anyhow::bail!("a response");
        };
        match self
            .border
            .admit_sip(Side::Outside, request, &mut Everybody, date()?)
        {
            Ok(Admitted::Deliver(delivery)) => {
                let origin = Some(0);
                self.handle(Input::Deliver { delivery, origin });
                Ok(())
            }
            _ => anyhow::bail!("the border keeps it out"),
        }
    }

    /// Handles something; what comes of it is written as SIP and XMPP, taken, and answered.
    fn handle(&mut self, input: Input<u32>) {
        self.gateway.handle(self.now, input);
        while let Some(output) = self.gateway.poll(self.now) {
            let answer = match output {
                Output::Request { request, token, .. } => {
                    let response = Box::new(request.response(StatusCode::OK, "", Some("s1")));
                    if *request.method() == Method::Subscribe {
                        self.subscribe = Some(*request);
                    } else {
                        self.notifies = self.notifies.wrapping_add(1);
                    }
                    Input::Response { token, response }
                }
                Output::Send {
                    token: Some(token), ..
                } => {
                    self.stanzas = self.stanzas.wrapping_add(1);
                    let (tokens, epoch) = (vec![token], 1);
                    Input::Acknowledged { tokens, epoch }
                }
                Output::Persist { ticket, .. } => Input::Persisted { ticket },
                Output::Send { token: None, .. }
                | Output::Pong(_)
                | Output::Recall { .. }
                | Output::Respond { .. }
                | Output::Observe(_)
                | Output::Untold { .. } => continue,
            };
            self.gateway.handle(self.now, answer);
        }
    }
}

/// Whoever it is has proven what he claims.
struct Everybody;

impl Peer for Everybody {
    fn proves(&mut self, domain: &Domain, _: &Federated) -> Result<Authenticated, Unproven> {
        Ok(Authenticated::by_route_address(domain.clone()))
    }

    fn is_node_of(&mut self, local: &Local) -> Result<Authenticated, Unproven> {
        Ok(Authenticated::by_node_address(local.domain.clone()))
    }

    fn is_over_tls(&self) -> bool {
        true
    }
}

fn border(name: Domain) -> anyhow::Result<Border> {
    let local = Local {
        domain: Domain::parse("corp.example")?,
        protocol: route::Protocol::Xmpp,
        role: Role::User,
        nodes: Nodes::List(vec![Node {
            host: route::Host::Address("10.0.0.1".parse()?),
            port: None,
            transport: route::Transport::Tcp,
            priority: 1,
            weight: 1,
        }]),
        tls: None,
        link: route::Link::S2s,
        profile: route::Profile::Xmpp,
    };
    let foreign = Federated {
        protocol: Speaks::Only(route::Protocol::Sip),
        profile: route::Profile::Simple,
        ..Federated::unlisted(DomainPattern::parse("partner.example")?)
    };
    let rules = Rules::new(RuleSet {
        default: Action::Allow,
        default_source: Source::new("policy.default"),
        exceptions: Vec::new(),
        blocks: Vec::new(),
        federated: Vec::new(),
    });
    let table = Table::new(vec![local], vec![foreign], None)?;
    let mark = Mark::new(b"secret", &name);
    let conduct = Conduct::new(Translation::On, "", mark);
    Ok(Border::new(name, rules, table, Limits::default(), conduct))
}

fn date() -> anyhow::Result<Date> {
    Date::from_unix_seconds(1_700_000_000).context("the date")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark needs some instant to count from"
)]
fn now() -> Instant {
    Instant::now()
}

const SUBSCRIBE: &str = "SUBSCRIBE sip:bob@corp.example SIP/2.0\r\nVia: SIP/2.0/TLS p.partner.example;branch=z9hG4bKa1\r\n\
    Max-Forwards: 70\r\nFrom: <sip:alice@partner.example>;tag=w1\r\nTo: <sip:bob@corp.example>\r\nCall-ID: ask1\r\nCSeq: 1 SUBSCRIBE\r\n\
    Contact: <sip:alice@10.0.0.9;transport=tls>\r\nEvent: presence\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n";
