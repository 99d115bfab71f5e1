//! Does what the machines of a relation want, and tells them what became of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::act::{Act, Lent, Word};
use super::grounds::Grounds;
use super::reaching::Way;
use super::record::Consent;
use super::returning::say_unsaid;
use super::serve::{Serve, ServeInput};
use super::table::Relation;
use super::watch::{Stage, WatchInput};
use super::{Sent, Settling, What};
use crate::gateway::border::presence::Unfounded;
use crate::gateway::conversation::Pair;
use crate::gateway::delivery::{Link, Trace};
use crate::gateway::event::Output;
use crate::gateway::{Gateway, after, send};
use crate::interwork::presence::xmpp;
use crate::sip::Request;
use crate::sip::transaction::Failure;
use crate::xmpp::Stanza;
use crate::xmpp::stanza::{Kind, PresenceType};

impl<O> Gateway<O> {
    /// Lets a relation handle something, and does what it wants.
    pub(super) fn relate(
        &mut self,
        now: Instant,
        pair: &Pair,
        work: impl FnOnce(&mut Relation, &mut Lent<'_>),
    ) {
        let presence = &mut self.presence;
        let Some(key) = presence.table.get(pair).map(|(key, _)| Arc::clone(key)) else {
            return;
        };
        let (border, manners) = (presence.border.clone(), Arc::clone(&presence.manners));
        let spelling = self.spellings.of(pair).cloned();
        let grounds = Grounds::new(border.as_deref(), &key, &manners, spelling.as_ref());
        let mut acts = Vec::new();
        let Some(relation) = presence.table.get_mut(pair) else {
            return;
        };
        let was_adhoc = relation.is_adhoc();
        let serve = relation.serve.as_deref();
        let mut lent = Lent {
            now,
            names: &mut self.names,
            acts: &mut acts,
            terms: &grounds,
            pause: presence.limits.pause,
            answers_probes: serve.and_then(Serve::consent) == Some(Consent::Given),
            would_refuse_probes: serve.and_then(Serve::consent) == Some(Consent::Asked),
        };
        // Nothing is done on the strength of a configuration that was replaced.
        if relation.reviewed != presence.generation {
            relation.reviewed = presence.generation;
            review(relation, &mut lent, grounds.footing().err());
        }
        work(relation, &mut lent);
        let settles = relation.settles;
        presence.table.count_adhoc(pair, was_adhoc);
        let settled = self.carry(now, &key, acts, &grounds, settles);
        if settled != settles
            && let Some(relation) = self.presence.table.get_mut(&key)
        {
            relation.settles = settled;
        }
        self.rest(now, &key);
    }

    /// Does what a relation wants. `settles` is the ticket for which it waited last; gives that for which it does now.
    fn carry(
        &mut self,
        now: Instant,
        pair: &Arc<Pair>,
        acts: Vec<Act>,
        grounds: &Grounds<'_>,
        settles: u64,
    ) -> u64 {
        // A word does not overtake one that waits.
        let behind = Some(settles).filter(|ticket| self.presence.settling.contains_key(ticket));
        let (mut settling, mut failed) = (None, Vec::new());
        for act in acts {
            let waits = if matches!(act, Act::Say(_)) {
                settling.or(behind)
            } else {
                settling
            };
            let output = match act {
                Act::Keep => {
                    self.presence.changed.insert(Arc::clone(pair));
                    continue;
                }
                Act::Note => {
                    self.note(now, pair);
                    continue;
                }
                Act::Settle => {
                    settling = Some(self.presence.ticket.saturating_add(1));
                    continue;
                }
                Act::Subscribe(request) => {
                    let attempt = request.headers().call_id().clone();
                    self.ask_sip(now, pair, What::Subscribe(attempt), request, grounds)
                }
                Act::Notify(number, request) => {
                    self.ask_sip(now, pair, What::Notify(number), request, grounds)
                }
                Act::Answer(number, response) => {
                    let origin = self.presence.origins.remove(&number);
                    origin
                        .map(|origin| Output::Respond { origin, response })
                        .ok_or(None)
                }
                Act::Say(word) => self.word(now, pair, word, grounds).ok_or(None),
            };
            match (output, waits) {
                (Ok(output), Some(ticket)) => {
                    let held = self.presence.settling.entry(ticket).or_default();
                    let generation = self.presence.generation;
                    held.push(Settling::Output(Box::new(output), generation));
                }
                (Ok(output), None) => self.ready.push_back(output),
                (Err(Some(what)), _) => failed.push(what),
                (Err(None), _) => {}
            }
        }
        for what in failed {
            self.undone(now, pair, what, Failure::Transport);
        }
        settling.unwrap_or(settles)
    }

    /// What is due of a relation once it has handled something.
    fn rest(&mut self, now: Instant, pair: &Arc<Pair>) {
        let least = after(now, Duration::from_millis(1));
        let presence = &mut self.presence;
        let Some(relation) = presence.table.get_mut(pair) else {
            return;
        };
        relation.watch.take_if(|watch| watch.stage() == Stage::Over);
        if relation.is_over() {
            presence.table.remove(pair);
            presence.changed.insert(Arc::clone(pair));
            return;
        }
        if relation.has_news() && !relation.is_queued {
            relation.is_queued = true;
            presence.changes.push_back(Arc::clone(pair));
        }
        let waits = relation.is_troubled() && !relation.is_waiting;
        relation.is_waiting |= waits;
        let waits_to_say = relation.is_unheard && !relation.waits_to_say;
        relation.waits_to_say |= waits_to_say;
        presence.table.schedule(pair, least);
        if waits {
            self.wait_for_way(now, pair, Way::to_sip(pair));
        }
        if waits_to_say {
            self.wait_for_way(now, pair, Way::to_xmpp(pair));
        }
    }

    fn ask_sip(
        &mut self,
        now: Instant,
        pair: &Arc<Pair>,
        what: What,
        request: Box<Request>,
        grounds: &Grounds<'_>,
    ) -> Result<Output<O>, Option<What>> {
        let presence = &self.presence;
        let route = match grounds.footing() {
            Ok(footing) => Some(footing.route.clone()),
            // What is said to who is blocked is what he would hear of one who is offline.
            Err(Unfounded::Blocked) => presence.border.as_ref().and_then(|border| border.way(&pair.sip)),
            // What is left to say is that it is over.
            Err(Unfounded::Forbidden) => presence
                .before
                .as_ref()
                .or(presence.border.as_ref())
                .and_then(|border| border.way(&pair.sip)),
        };
        let Some(route) = route else {
            return Err(Some(what));
        };
        let token = self.fresh();
        let until = after(now, self.limits.deliver);
        let sent = Sent {
            pair: Arc::clone(pair),
            what,
            written: None,
        };
        self.presence.sent.insert(token, sent);
        let relation = self.presence.table.get_mut(pair);
        if relation.is_some_and(|relation| std::mem::take(&mut relation.is_resumed)) {
            // The numbers that were left out are not to be used by another process once more.
            self.presence.changed.insert(Arc::clone(pair));
        }
        Ok(Output::Request {
            link: Link::Sip {
                remote: pair.sip.domain().clone(),
            },
            route,
            request,
            token,
            until,
            trace: Trace::new(token.get()),
        })
    }

    /// Says something to a user of XMPP in the name of one of SIP.
    fn word(
        &mut self,
        now: Instant,
        pair: &Arc<Pair>,
        word: Word,
        grounds: &Grounds<'_>,
    ) -> Option<Output<O>> {
        let relation = self.presence.table.get(pair).map(|(_, relation)| relation);
        if word == Word::Probe && relation.is_some_and(|relation| relation.may_be_probes(now)) {
            // His server answers the one that is under way, and says no once for each.
            return None;
        }
        let stanza = self.stanza(pair, &word, grounds)?;
        let token = self.fresh();
        let link = Link::Xmpp {
            local: pair.sip.domain().clone(),
            remote: pair.xmpp.domain().clone(),
        };
        let until = after(now, self.limits.deliver);
        let (is_end, is_probe) = (word == Word::Unsubscribed, word == Word::Probe);
        let sent = Sent {
            pair: Arc::clone(pair),
            what: What::Word(word),
            written: None,
        };
        self.presence.sent.insert(token, sent);
        if let Some(relation) = self.presence.table.get_mut(pair) {
            relation.saying = relation.saying.saturating_add(1);
            relation.has_ended |= is_end;
            let lets_see = relation.serve.as_deref().and_then(Serve::consent) == Some(Consent::Given);
            if is_probe && !lets_see {
                relation.probed = Some(until);
            }
        }
        let trace = Some(Trace::new(token.get()));
        Some(send(&link, Box::new(stanza), Some(token), until, trace))
    }

    fn stanza(&self, pair: &Pair, word: &Word, grounds: &Grounds<'_>) -> Option<Stanza> {
        // Nobody whom the configuration keeps out is brought before a user.
        let is_asking = matches!(word, Word::Subscribe | Word::Probe);
        if is_asking && grounds.footing().is_err() {
            return None;
        }
        let kind = match word {
            Word::Subscribe => PresenceType::Subscribe,
            Word::Subscribed => PresenceType::Subscribed,
            Word::Unsubscribed => PresenceType::Unsubscribed,
            Word::Probe => PresenceType::Probe,
            Word::Unavailable => {
                // Whom he sees is there, whether that one looks at him or not.
                let relation = self.presence.table.get(pair).map(|(_, relation)| relation);
                let is_seen = relation.is_some_and(|relation| relation.watch.is_some());
                if is_seen {
                    return None;
                }
                PresenceType::Unavailable
            }
            Word::Device(device, to) => {
                let from = match device.name() {
                    "" => pair.sip.clone(),
                    name => pair.sip.with_resource(name).unwrap_or_else(|_| pair.sip.clone()),
                };
                let to = to.as_deref().unwrap_or(&pair.xmpp).clone();
                let manner = grounds.manner();
                return Some(xmpp::to_stanza(device, manner, from, to));
            }
        };
        Some(Stanza::new(
            Kind::Presence(kind),
            pair.sip.clone(),
            pair.xmpp.clone(),
        ))
    }

    /// Looks after every relation whose time has come.
    pub(in crate::gateway) fn tick_presence(&mut self, now: Instant) {
        while let Some(&(until, token)) = self.presence.arriving.front() {
            if until > now {
                break;
            }
            self.presence.arriving.pop_front();
            self.presence.arrived(token);
        }
        self.presence.give_room_back();
        for _ in 0..TURN {
            let Some(pair) = self.presence.table.due(now) else {
                break;
            };
            self.relate(now, &pair, |relation, lent| {
                if let Some(watch) = &mut relation.watch {
                    watch.handle(lent, WatchInput::Timer);
                }
                if let Some(serve) = &mut relation.serve {
                    serve.handle(lent, ServeInput::Timer);
                }
                if relation.unsaid_at.is_some_and(|at| at <= lent.now) {
                    relation.unsaid_at = None;
                    say_unsaid(relation, lent);
                }
            });
        }
        self.keep_noted(now);
        self.look_for_ways(now);
        self.tell_changes(now);
        self.review_some(now);
    }

    /// Tells the changes whose turn it is.
    pub(in crate::gateway) fn tell_changes(&mut self, now: Instant) {
        while let Some(pair) = self.presence.changes.front().cloned() {
            let relation = self.presence.table.get_mut(&pair);
            if let Some(relation) = relation
                && !relation.has_news()
            {
                // It was told meanwhile, or is not to be told any more.
                relation.is_queued = false;
                self.presence.changes.pop_front();
                continue;
            }
            if let Err(exceeded) = self.presence.turns.take(now) {
                self.presence.turn_at = Some(after(now, exceeded.retry_after));
                return;
            }
            self.presence.changes.pop_front();
            self.relate(now, &pair, |relation, lent| {
                relation.is_queued = false;
                if let Some(watch) = &mut relation.watch {
                    watch.tell_new(lent);
                }
                if let Some(serve) = &mut relation.serve
                    && serve.is_dirty()
                {
                    serve.tell(lent);
                }
            });
        }
        self.presence.turn_at = None;
    }

    /// Looks at some relations by the configuration that is new.
    pub(super) fn review_some(&mut self, now: Instant) {
        for _ in 0..TURN {
            let Some(pair) = self.presence.review.pop_front() else {
                return;
            };
            self.relate(now, &pair, |_, _| {});
        }
    }
}

/// A relation is looked at by another configuration.
fn review(relation: &mut Relation, lent: &mut Lent<'_>, unfounded: Option<Unfounded>) {
    let (watched, served) = match unfounded {
        None => (WatchInput::Allowed, ServeInput::Visible),
        Some(Unfounded::Blocked) => (WatchInput::Forbidden, ServeInput::Hidden),
        Some(Unfounded::Forbidden) => (WatchInput::Forbidden, ServeInput::Forbidden),
    };
    if let Some(watch) = &mut relation.watch {
        watch.handle(lent, watched);
    }
    if let Some(serve) = &mut relation.serve {
        serve.handle(lent, served);
    }
}

/// Relations that are looked after in one turn of the shard.
const TURN: usize = 1_000;
