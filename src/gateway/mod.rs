//! The gateway core: holds a message until its outcome is known, and tells its sender.
//!
//! A SIP request is answered by what happened on the XMPP side: an error stanza gives its status, an answered ping
//! behind it (or silence on a live stream) gives 200, a link that fails gives a failure. An XMPP user hears an error
//! stanza when SIP refuses or does not answer. Nothing is dropped: whatever is taken in comes out again as exactly one
//! answer, or as a delivery that needs none.
//!
//! Not a socket, not a clock, not a policy: [`Border`] decides what gets in here, the network floor carries what comes
//! out. RFC 7247 §7, RFC 7572 §5, XEP-0199.
//!
//! Call [`Gateway::poll`] until it gives `None` after each batch of [`Gateway::handle`], and handle [`Input::Tick`]
//! when [`Gateway::timeout`] has come.

mod answer;
mod asked;
mod behind;
mod border;
mod confirm;
mod conversation;
mod delivery;
mod errors;
mod event;
mod hold;
mod kind;
pub mod link;
mod notice;
mod pending;
pub mod presence;
mod receipts;
mod rejection;
mod report;
mod service;
mod silence;
mod speaker;
mod spelling;
mod telling;
#[cfg(test)]
mod tests;
mod translate;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

pub use answer::{AnswerIds, Trouble};
pub use border::{
    Admitted, AdmittedStanza, BlockedEnds, Border, Conduct, GivenUp, Peer, Relay, Removed, Return, Returned,
    Translation, Unasked,
};
pub use conversation::Call;
pub use delivery::{Carried, Delivery, Link, Outcome, Trace, pair_of, weight_of};
pub use event::{Input, Observation, Output};
pub use hold::Hold;
pub use pending::Token;
pub use rejection::{Rejected, RejectedStanza, Unproven};
pub use service::Version;
pub use speaker::Speaker;

use answer::Answers;
use asked::Asked;
use behind::Behind;
use confirm::{Confirmation, Manners};
use conversation::{Conversations, Names, Pair, Way};
use delivery::Payload;
use errors::{Errors, News};
use notice::Notices;
use pending::Pending;
use presence::Presences;
use receipts::Receipts;
use spelling::Spellings;
use waiting::{About, State, Waiting, WaitingKind};

use crate::limits::GatewayLimits;
use crate::xmpp::Stanza;
use crate::xmpp::stanza::{IqType, Kind, MessageType};

/// One shard of the gateway. `O` is whatever the caller needs to find the SIP transaction again that an answer belongs
/// to; it is given back as it came.
#[derive(Debug)]
pub struct Gateway<O> {
    shard: u8,
    limits: GatewayLimits,
    answers: Answers,
    names: Names,
    numbers: u64,
    waiting: Pending<Waiting<O>>,
    errors: Errors,
    /// The XMPP links on which something waits, and no others.
    links: BTreeMap<Link, Confirmation>,
    /// When the first of them is to be asked about what was gathered.
    ping_at: Option<Instant>,
    /// What is known of their far ends.
    manners: Manners,
    /// What was not heard yet by those whom it concerns.
    notices: Notices,
    /// The queries that wait for their answers.
    asked: Asked,
    /// The pings that wait for texts.
    behind: Behind,
    /// What users of SIP and of XMPP have between them.
    conversations: Conversations,
    /// What they asked to be told of their messages.
    receipts: Receipts,
    /// How users of SIP write their addresses.
    spellings: Spellings,
    /// Who sees whom.
    presence: Presences<O>,
    /// Where an orderly stop has begun, when all of it has to be over.
    stopping: Option<Instant>,
    ready: VecDeque<Output<O>>,
}

impl<O> Gateway<O> {
    /// A shard without messages, which answers as `speaker`.
    #[must_use]
    pub fn new(shard: u8, limits: GatewayLimits, speaker: &Speaker) -> Self {
        Self {
            shard,
            errors: Errors::new(limits.pending_messages),
            waiting: Pending::new(limits.pending_messages, limits.pending_bytes),
            asked: Asked::new(limits.queries, limits.query),
            behind: Behind::default(),
            manners: Manners::new(limits.pending_messages),
            notices: Notices::new(&limits),
            conversations: Conversations::new(&limits),
            receipts: Receipts::new(&limits),
            spellings: Spellings::new(&limits),
            presence: Presences::new(&limits),
            names: Names::new(&speaker.secret, shard),
            limits,
            answers: Answers::new(speaker),
            numbers: 0,
            links: BTreeMap::new(),
            ping_at: None,
            stopping: None,
            ready: VecDeque::new(),
        }
    }

    /// How many messages wait for their outcome.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many errors are kept because nobody knows yet that they have arrived.
    #[must_use]
    pub fn telling(&self) -> usize {
        self.notices.len()
    }

    /// Takes note of what happened.
    pub fn handle(&mut self, now: Instant, input: Input<O>) {
        let Some(input) = self.after_records(now, input) else {
            return;
        };
        match input {
            Input::Deliver { delivery, origin } => self.deliver(now, *delivery, origin),
            Input::Notice { stanza, trace, hold } => {
                self.send_back_held(now, *stanza, trace, hold);
            }
            Input::Ping(pong) => self.pinged(now, pong),
            Input::Answer(stanza) => self.answered(now, &stanza),
            Input::Written { tokens, epoch } => self.written(now, &tokens, epoch),
            Input::Acknowledged { tokens, epoch } => self.acknowledged(now, &tokens, epoch),
            Input::Returned { token, trouble } => self.returned(now, token, trouble),
            Input::Broken { link, epoch } => self.broken(now, &link, epoch),
            Input::Response { token, response } => self.responded(now, token, response),
            Input::CalledBack(call) => self.called_back(now, &call),
            Input::Stop { by } => self.stop(now, by),
            Input::Restore { records, unix } => self.restore(now, records, unix),
            Input::Restored => self.restored(now),
            Input::Configured { border, unix } => self.configured(now, border, unix),
            Input::Blocked {
                request,
                ends,
                origin,
            } => self.blocked(now, &ends, request, origin),
            Input::GivenUp { ends, what, hold } => self.given_up(now, &ends, what, hold),
            Input::Persisted { ticket } => self.kept(now, ticket),
            Input::Tick => self.tick(now),
        }
    }

    /// What is to be done next. A ping goes out when everything before it did.
    pub fn poll(&mut self, now: Instant) -> Option<Output<O>> {
        if self.ready.is_empty() {
            self.ping_where_wanted(now);
            self.pong_where_free();
            self.tell_changes(now);
            self.keep_presence(now);
        }
        self.ready.pop_front()
    }

    /// When to handle [`Input::Tick`].
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        [
            self.waiting.next(),
            self.notices.next(),
            self.ping_at,
            self.conversations.next(),
            self.behind.next(),
            self.presence.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn deliver(&mut self, now: Instant, delivery: Delivery, origin: Option<O>) {
        let until = after(now, self.limits.deliver);
        self.deliver_until(now, delivery, origin, until, None);
    }

    /// `before` is why the plan before led to nobody, where this is not the first.
    fn deliver_until(
        &mut self,
        now: Instant,
        mut delivery: Delivery,
        origin: Option<O>,
        until: Instant,
        before: Option<Trouble>,
    ) {
        self.meet(&mut delivery);
        match &delivery.payload {
            Payload::ToSip { sender: stanza, .. }
            | Payload::Forward { stanza, .. }
            | Payload::Pass { stanza, .. } => self.hear(stanza),
            Payload::ToXmpp { .. } => {}
            Payload::InSession { .. } => return self.in_session(now, delivery, origin),
            Payload::Subscription { .. } => return self.subscription(now, delivery, origin),
            Payload::Presence { .. } => return self.presence_of_xmpp(now, delivery),
            Payload::State { stanza, .. } => {
                let is_known = self
                    .conversations
                    .is_known(&Pair::new(stanza.from(), stanza.to()));
                return match delivery.other.take() {
                    Some(other) if !is_known => {
                        self.deliver_until(now, *other.held(delivery.hold.take()), None, until, before);
                    }
                    Some(_) | None => self.state(now, delivery),
                };
            }
            Payload::Receipt { .. } => {
                // Of a message that went by the other protocol, it goes by that too.
                if let Some(Delivery {
                    other: Some(other),
                    hold,
                    ..
                }) = self.receipt_of_xmpp(now, delivery)
                {
                    self.deliver_until(now, *other.held(hold), None, until, before);
                }
                return;
            }
        }
        // Where a domain is reached by both protocols, a receipt may be about a message of the other.
        if matches!(delivery.payload, Payload::Forward { .. }) && self.receipts.len() > 0 {
            let Some(elsewhere) = self.receipt_of_xmpp(now, delivery) else {
                return;
            };
            delivery = elsewhere;
        }
        if !self.has_part(now, &mut delivery) || self.meet_error(now, &delivery) == News::No {
            return;
        }
        let token = self.fresh();
        let Delivery {
            permit,
            route,
            link,
            payload,
            trace,
            other,
            hold,
        } = delivery;
        let about = About {
            trace,
            way: permit.direction(),
            answers: permit.answers(),
        };
        let send_until = until.min(after(now, self.time_to_send()));
        let (mut until, mut in_conversation) = (until, None);
        let (kind, output) = match payload {
            Payload::ToXmpp {
                stanza,
                request,
                profile,
                asking,
            } => {
                let Some(origin) = origin else { return };
                let mut stanza = Box::new(stanza.with_id(&self.answers.id(token)));
                if let Some(asking) = asking {
                    self.asked_by_sip(now, token, (asking, about.way), &mut stanza);
                }
                self.says(now, &mut stanza, (&request, token));
                let (from, to) = (stanza.from().clone(), stanza.to().clone());
                let kind = WaitingKind::Sip {
                    origin,
                    request,
                    from,
                    to,
                    profile,
                };
                (
                    kind,
                    Some(send(&link, stanza, Some(token), send_until, Some(trace))),
                )
            }
            Payload::ToSip {
                mut request,
                sender,
                asked,
                state,
                peer,
            } => {
                let pair = Pair::new(sender.from(), sender.to());
                let way = self.writes(now, &pair, (sender.from(), state), (&link, &route, &peer));
                let asked = asked.and_then(|asked| {
                    self.asked_by_xmpp(now, token, (asked, about.way), (&sender, &mut request))
                });
                in_conversation = Some((pair, way));
                match way {
                    Way::Alone { may_change } => {
                        // What is wrapped may have to go without.
                        let text = (may_change || self.receipts.holds(token)).then(|| request.clone());
                        let output = Output::Request {
                            link: link.clone(),
                            route,
                            request,
                            token,
                            until,
                            trace,
                        };
                        (WaitingKind::Xmpp { sender, text, asked }, Some(output))
                    }
                    Way::InSession => {
                        until = until.max(after(now, self.limits.invite));
                        let text = Some(request);
                        (WaitingKind::Xmpp { sender, text, asked }, None)
                    }
                }
            }
            Payload::Forward { stanza, sender } => {
                self.errors.wait(&sender, token);
                (
                    WaitingKind::Forwarded { sender },
                    Some(send(&link, stanza, Some(token), send_until, Some(trace))),
                )
            }
            Payload::Pass {
                stanza,
                sender: Some(sender),
                ..
            } => (
                WaitingKind::Passed { sender },
                Some(send(&link, stanza, Some(token), until, Some(trace))),
            ),
            // What the far side says of a message goes the same way as what we say of one.
            Payload::Pass {
                stanza, sender: None, ..
            } if stanza.kind().is_error() => return self.send_back_held(now, *stanza, trace, hold),
            Payload::Pass {
                stanza, sender: None, ..
            } => {
                self.ready
                    .push_back(send(&link, stanza, None, until, Some(trace)));
                return;
            }
            // They went their own way above.
            Payload::InSession { .. }
            | Payload::State { .. }
            | Payload::Receipt { .. }
            | Payload::Subscription { .. }
            | Payload::Presence { .. } => return,
        };
        let waiting = Waiting {
            token,
            about,
            until,
            link,
            state: State::Queued,
            asks: 0,
            kind,
            other,
            before,
            hold,
        };
        let link = waiting.link.clone();
        let confirmed = !matches!(waiting.kind, WaitingKind::Passed { .. });
        let gathered =
            matches!(waiting.kind, WaitingKind::Forwarded { .. }).then(|| after(now, self.limits.gather));
        if let WaitingKind::Xmpp { sender, .. } = &waiting.kind {
            self.behind.enter(now, sender, token);
        }
        match self.waiting.insert(token, until, waiting) {
            Ok(()) => {
                if let (Link::Xmpp { .. }, true) = (&link, confirmed) {
                    self.links.entry(link).or_default().handed(token, gathered);
                }
                self.ready.extend(output);
                match in_conversation {
                    Some((pair, Way::InSession)) => self.queue(now, &pair, token),
                    Some((pair, Way::Alone { .. })) => self.sent_alone(&pair, token),
                    None => {}
                }
            }
            // One too many fails at once.
            Err(waiting) => {
                self.left_behind(token, &waiting);
                self.fail(now, waiting, Trouble::Overload);
            }
        }
    }

    /// An error stanza or a result for something that we sent, recognised by its id.
    fn answered(&mut self, now: Instant, stanza: &Stanza) {
        let Some(token) = stanza.id().and_then(|id| self.answers.token(id)) else {
            return;
        };
        match stanza.kind() {
            Kind::Iq(IqType::Result | IqType::Error) => self.ping_answered(now, token, stanza),
            Kind::Message(MessageType::Error) => self.refused(now, token, stanza),
            Kind::Message(
                MessageType::Normal | MessageType::Chat | MessageType::Groupchat | MessageType::Headline,
            )
            | Kind::Presence(_)
            | Kind::Iq(IqType::Get | IqType::Set) => {}
        }
    }

    fn fresh(&mut self) -> Token {
        self.numbers = self.numbers.wrapping_add(1);
        Token::new(self.shard, self.numbers)
    }
}

fn send<O>(
    link: &Link,
    stanza: Box<Stanza>,
    token: Option<Token>,
    until: Instant,
    trace: Option<Trace>,
) -> Output<O> {
    Output::Send {
        link: link.clone(),
        stanza,
        token,
        until,
        trace,
    }
}

fn after(now: Instant, time: Duration) -> Instant {
    now.checked_add(time).unwrap_or(now)
}
