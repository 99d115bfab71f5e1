//! The server of every alice: it notifies of her, by itself or within its answers.

use super::places::presence_of;
use super::sip_side::contact;
use super::*;
use crate::interwork::presence::pidf;
use crate::interwork::profile::PeerKind;
use crate::mime::MediaType;
use crate::sip::Method;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A subscription of ours at the server of alice.
#[derive(Debug)]
pub(super) struct Notifying {
    pub(super) call: String,
    pub(super) from: String,
    /// Where the edge wants to be reached.
    pub(super) target: String,
    pub(super) tag: String,
    pub(super) heard: u32,
    pub(super) said: u32,
    pub(super) until: u64,
    pub(super) under_way: bool,
    pub(super) is_dirty: bool,
    /// Whether it was told that it is over.
    pub(super) is_ending: bool,
    /// The tag of what was told last, where this server gives one (RFC 5839).
    pub(super) tagged: Option<String>,
}

impl World {
    pub(super) fn subscribed(&mut self, pair: usize, request: &Request) -> (u16, Option<u32>) {
        let headers = request.headers();
        let (call, sequence) = (headers.call_id().to_string(), headers.cseq().number());
        let expires = headers.expires().unwrap();
        let is_new = headers.to().tag().is_none();
        let (from, target) = (headers.from().to_string(), contact(request));
        self.stir(pair);
        self.sweep(pair);
        if is_new {
            if self.pairs[pair].is_approved == Some(false) {
                return (403, None);
            }
            if self.chance.percent(3) && !self.is_calm {
                self.saw("refused for now");
                // Who is refused again and again waits longer and longer.
                self.pairs[pair].is_refused = true;
                return (self.chance.pick(&[500, 503, 480]), None);
            }
            self.pairs[pair].is_refused = false;
            if self.pairs[pair].is_approved.is_none() {
                self.saw("pending");
                self.soon(SECOND, 3_000 * SECOND, Event::Approve(pair));
            }
            self.count += 1;
            let tag = format!("s{}", self.count);
            let until = self.now + u64::from(expires) * SECOND;
            let (heard, said) = (sequence, 0);
            let new = Notifying {
                call,
                from,
                target,
                tag,
                heard,
                said,
                until,
                under_way: false,
                is_dirty: false,
                is_ending: false,
                tagged: None,
            };
            self.pairs[pair].notifying.push(new);
            // Each of those before has an hour to expire: a server that wants no answers is not told that nobody hears it.
            self.pairs[pair].doubled = None;
        }
        let at = self.pairs[pair].notifying.len();
        let call = headers.call_id().to_string();
        let Some(at) = (0..at).find(|at| self.pairs[pair].notifying[*at].call == call) else {
            return (481, None);
        };
        let is_right = is_new || self.pairs[pair].notifying[at].heard < sequence;
        self.must(is_right, "CSeq does not grow");
        let notifying = &mut self.pairs[pair].notifying[at];
        notifying.heard = sequence;
        notifying.until = self.now + u64::from(expires) * SECOND;
        notifying.is_ending |= expires == 0;
        let condition = headers.get("Suppress-If-Match");
        let is_told = !notifying.under_way && !notifying.is_dirty;
        if condition.is_some() && is_told && condition == notifying.tagged.as_deref() {
            self.saw("known to us");
            self.pairs[pair].blurred.0 = None;
            if expires == 0 {
                self.pairs[pair].notifying.remove(at);
                self.count_doubles(pair);
            }
            return (204, Some(expires));
        }
        let is_foreign = condition.is_some_and(|tag| !tag.starts_with("alice"));
        self.must(!is_foreign, "a tag that nobody gave");
        if !self.is_piggybacked(pair, request) {
            self.notify(pair, at);
        }
        self.count_doubles(pair);
        (200, Some(expires))
    }

    /// What has expired is gone.
    pub(super) fn sweep(&mut self, pair: usize) {
        let now = self.now;
        self.pairs[pair]
            .notifying
            .retain(|notifying| notifying.until > now || notifying.is_ending);
        self.count_doubles(pair);
    }

    pub(super) fn count_doubles(&mut self, pair: usize) {
        let now = self.now;
        let pair = &mut self.pairs[pair];
        match pair.notifying.len() {
            0 | 1 => pair.doubled = None,
            _ => drop(pair.doubled.get_or_insert(now)),
        }
    }

    pub(super) fn notify(&mut self, pair: usize, at: usize) {
        let between = &self.pairs[pair];
        let (alice, is_approved) = (between.alice, between.is_approved);
        let presence = presence_of(&self.alices[alice]);
        let (user, now) = (self.alice(alice), self.now);
        // A Microsoft server wants no answers.
        let method = match self.kind_of(alice) {
            PeerKind::Microsoft => "BENOTIFY",
            PeerKind::Simple | PeerKind::Aol => "NOTIFY",
        };
        let notifying = &mut self.pairs[pair].notifying[at];
        if std::mem::replace(&mut notifying.under_way, true) {
            notifying.is_dirty = true;
            return;
        }
        notifying.is_dirty = false;
        notifying.said += 1;
        let left = notifying.until.saturating_sub(now) / SECOND;
        let (state, body) = match (notifying.is_ending, is_approved) {
            (_, Some(false)) => ("terminated;reason=rejected".to_owned(), Vec::new()),
            (true, _) => ("terminated;reason=timeout".to_owned(), Vec::new()),
            (false, None) => (format!("pending;expires={left}"), Vec::new()),
            (false, Some(true)) => (
                format!("active;expires={left}"),
                pidf::write(&presence, &jid(&user), PeerKind::Simple).unwrap(),
            ),
        };
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/pidf+xml\r\n"
        };
        // Every second server gives tags: the same for the same devices.
        let tag =
            (alice % 2 == 0 && method == "NOTIFY").then(|| format!("alice{alice}-{:016x}", hash_of(&body)));
        let tagged = tag
            .as_deref()
            .map_or_else(String::new, |tag| format!("SIP-ETag: {tag}\r\n"));
        notifying.tagged = tag;
        let (call, said) = (notifying.call.clone(), notifying.said);
        let text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/TLS p.partner.example;branch=z9hG4bK{}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}>;tag={}\r\nTo: {}\r\nCall-ID: {call}\r\nCSeq: {said} {method}\r\n\
             Contact: <sip:p.partner.example;transport=tls>\r\nEvent: presence\r\nSubscription-State: {state}\r\n{tagged}{kind}\
             Content-Length: {}\r\n\r\n{}",
            notifying.target,
            self.count,
            notifying.tag,
            notifying.from,
            body.len(),
            String::from_utf8(body).unwrap(),
        );
        self.send(pair, call, text);
    }

    /// alice changes her state.
    pub(super) fn alice_acts(&mut self, alice: usize) {
        if self.is_calm {
            return;
        }
        let device = self.chance.pick(&["desk", "phone"]).to_owned();
        if self.chance.percent(35) {
            self.alices[alice].remove(&device);
        } else {
            let state = self
                .chance
                .pick(&[State::Available, State::Away, State::DoNotDisturb, State::Chat]);
            self.alices[alice].insert(device, state);
        }
        for pair in self.of_alice[alice].clone() {
            self.stir(pair);
            self.note(pair, || format!("alice is {:?}", self.alices[alice]));
            self.sweep(pair);
            if self.pairs[pair].is_approved == Some(true) {
                for at in 0..self.pairs[pair].notifying.len() {
                    self.notify(pair, at);
                }
            }
        }
        self.soon(SECOND, 2_400 * SECOND, Event::Alice(alice));
    }

    /// alice says whether bob may see her.
    pub(super) fn alice_decides(&mut self, pair: usize) {
        if self.pairs[pair].is_approved.is_some() {
            return;
        }
        self.stir(pair);
        let is_approved = self.chance.percent(85) || self.is_calm;
        self.pairs[pair].is_approved = Some(is_approved);
        self.pairs[pair].ever.0 |= is_approved;
        for at in 0..self.pairs[pair].notifying.len() {
            self.notify(pair, at);
        }
    }

    /// Whether the answer to a SUBSCRIBE brings the state, and no notification does.
    pub(super) fn is_piggybacked(&self, pair: usize, request: &Request) -> bool {
        let between = &self.pairs[pair];
        *request.method() == Method::Subscribe
            && request.headers().expires() != Some(0)
            && self.kind_of(between.alice) == PeerKind::Microsoft
            && between.is_approved == Some(true)
    }

    pub(super) fn piggyback(&mut self, pair: usize, mut response: Response) -> Response {
        let alice = self.pairs[pair].alice;
        let (user, presence) = (jid(&self.alice(alice)), presence_of(&self.alices[alice]));
        let call = response.headers().call_id().to_string();
        let between = &mut self.pairs[pair];
        let Some(notifying) = between.notifying.iter_mut().find(|at| at.call == call) else {
            return response;
        };
        if notifying.under_way {
            // What is on its way now may be older: it is said again behind it.
            notifying.is_dirty = true;
        } else {
            notifying.said += 1;
        }
        between.blurred.0 = None;
        let said = notifying.said.to_string();
        response.headers_mut().push("ms-piggyback-cseq", &said).unwrap();
        let kind = MediaType::parse("application/pidf+xml").unwrap();
        response.with_body(kind, pidf::write(&presence, &user, PeerKind::Simple).unwrap())
    }
}

fn hash_of(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}
