//! XMPP streams that others open to us, and what happens to a stanza, whichever stream it came on.

use std::collections::HashMap;
use std::sync::Arc;

use super::accept::Accepted;
use super::pool::{Content, Letter};
use super::proof::Proof;
use super::rates::Of;
use super::tls::Wire;
use super::world::{self, StreamPlace, World};
use super::xmpp_driver::{Driver, FAREWELL, Secure, Turn};
use super::xmpp_machine::Machine;
use super::xmpp_places::XmppPlace;
use super::xmpp_settling::Settling;
use crate::domain::Domain;
use crate::gateway::{AdmittedStanza, Hold, Input, Link, RejectedStanza, Trace, pair_of};
use crate::observe::metrics::Alive;
use crate::policy::rate::Exceeded;
use crate::refusal::{Fault, Refuse};
use crate::route::{Protocol, Side, Transport};
use crate::xmpp::Stanza;
use crate::xmpp::error::{StreamCondition, StreamError};
use crate::xmpp::stanza::{IqType, Kind, MessageType};
use crate::xmpp::stream::{Event, PeerCertificate, Receiving, Start, TlsFacts};

/// Serves a stream that a peer or a node opened, until it ends.
pub async fn accepted(
    world: &Arc<World>,
    wire: Wire,
    accepted: &Accepted,
    proof: Proof,
    (alive, mut place): (Alive, XmppPlace),
) {
    let side = accepted.side();
    let mut driver = receiving(world, wire, accepted, proof);
    let mut streams = HashMap::new();
    let settling = Settling::default();
    loop {
        let owed = driver.owes();
        tokio::select! {
            settled = settling.reach(owed.unwrap_or_default()), if owed.is_some() => driver.settled(settled),
            turn = driver.next() => match turn {
                None => break,
                Some(Turn::Written) => {}
                Some(Turn::Event(event)) => {
                    if let Event::Authenticated { remote, .. } = &event {
                        place.is_known();
                        if side == Side::Outside && !streams.contains_key(remote) {
                            match enter(world, remote).await {
                                Ok(place) => {
                                    streams.insert(remote.clone(), place);
                                }
                                Err(class) => {
                                    world.metrics.refused(side, Protocol::Xmpp, class);
                                    tracing::warn!(peer = %remote, class, "an XMPP stream is closed: too many of its domain");
                                    driver.close(Some(StreamError::new(StreamCondition::ResourceConstraint)));
                                }
                            }
                        }
                    }
                    observe(world, side, (&driver, &settling), event).await;
                }
            },
            () = world.close_streams.cancelled(), if !driver.is_closing() => {
                driver.close(Some(StreamError::new(StreamCondition::SystemShutdown)));
            }
        }
    }
    drop(alive);
}

/// Tells whoever connected that there is no place for it.
pub async fn refuse(world: &Arc<World>, wire: Wire, accepted: &Accepted) {
    let mut driver = receiving(world, wire, accepted, Proof::none(world, accepted.remote));
    driver.close(Some(StreamError::new(StreamCondition::ResourceConstraint)));
    let over = async { while let Some(_turn) = driver.next().await {} };
    let _late = tokio::time::timeout(FAREWELL, over).await;
}

fn receiving(world: &Arc<World>, wire: Wire, accepted: &Accepted, proof: Proof) -> Driver {
    let context = world.context_of(accepted.listener.tls.as_ref());
    let start = match (accepted.listener.transport, proof.shows_certificate()) {
        (Transport::Tls, true) => Start::Tls(TlsFacts {
            certificate: PeerCertificate::Shown,
        }),
        (Transport::Tls, false) => Start::Tls(TlsFacts {
            certificate: PeerCertificate::Absent,
        }),
        (Transport::Tcp | Transport::Udp, _) => Start::Plain,
    };
    let ids = [0; 3].map(|_: u8| u128::from_le_bytes(world::random()));
    let machine =
        Receiving::new(world::now(), start, ids, world.dialback.clone(), &world.limits()).settle_later();
    let secure = context.map_or(Secure::Never, Secure::Server);
    let place = (accepted.side(), accepted.flow, accepted.remote);
    let machine = Machine::Receiving(Box::new(machine));
    Driver::new(world, machine, wire, secure, proof, place)
}

/// A place among the streams of a foreign domain, where it does not open them too fast.
async fn enter(world: &World, domain: &Domain) -> Result<StreamPlace, &'static str> {
    let limits = world.limits();
    let place = world
        .streams
        .enter(domain, limits.xmpp.connections_per_domain)
        .ok_or("streams_of_domain")?;
    within_rate(world, domain, Of::Streams)
        .await
        .map(|()| place)
        .map_err(|exceeded| exceeded.class())
}

/// Waits until a foreign domain is within its rate.
async fn within_rate(world: &World, domain: &Domain, of: Of) -> Result<(), Exceeded> {
    let border = world.border();
    let Some(rate) = border.table().foreign(domain).and_then(|entry| entry.rate) else {
        return Ok(());
    };
    let patience = world.limits().xmpp.held_back;
    world.rates.wait(domain, of, rate, patience).await
}

/// Takes what happened on a stream that we only receive on.
async fn observe(world: &Arc<World>, side: Side, (driver, settling): (&Driver, &Settling), event: Event) {
    let hold = || Some(settling.hold());
    match event {
        Event::Stanza(stanza) if side == Side::Outside => {
            // Nothing more is read from it meanwhile.
            match within_rate(world, stanza.from().domain(), Of::Stanzas).await {
                Ok(()) => take(world, side, stanza, hold()).await,
                Err(exceeded) => {
                    world.metrics.refused(side, Protocol::Xmpp, exceeded.class());
                    let rejected = world.border().refuse_stanza_for_overload(&stanza);
                    let hold = hold();
                    if let Some(reply) = rejected.into_reply() {
                        answer(world, *reply, trace(), hold).await;
                    }
                }
            }
        }
        Event::Stanza(stanza) => take(world, side, stanza, hold()).await,
        Event::Answer(stanza) => answer(world, stanza, trace(), hold()).await,
        Event::Unanswered => drop(hold()),
        Event::Authenticated { .. } | Event::PairRefused { .. } | Event::Refused(_) | Event::Closed(_) => {
            driver.log(&event);
        }
        Event::Verified(_) | Event::Acknowledged(_) | Event::Ending => {}
    }
}

/// Takes a stanza of a proven pair through the checks, and answers it or hands it to its shard.
pub async fn take(world: &Arc<World>, side: Side, stanza: Stanza, hold: Option<Hold>) {
    if let Some(token) = stanza.id().and_then(|id| world.ids.token(id))
        && is_answer(stanza.kind())
    {
        return world.tell(token, Input::Answer(Box::new(stanza))).await;
    }
    let started = world::now();
    let trace = trace();
    let border = world.border();
    let (from, to) = (stanza.from().domain().clone(), stanza.to().domain().clone());
    tracing::debug!(%trace, %side, %from, %to, id = stanza.id(), kind = stanza.kind().name(), "stanza received");
    let admitted = if world.refuse_new.is_cancelled() {
        Err(border.refuse_stanza_while_stopping(&stanza))
    } else if side == Side::Outside && world.circles.has_circled(started, &stanza) {
        Err(border.refuse_circling_stanza(&stanza))
    } else {
        border.admit_stanza(side, stanza, world::today(), &world::random())
    };
    world
        .metrics
        .translation
        .observe(world::now().saturating_duration_since(started).as_secs_f64());
    match admitted {
        Ok(AdmittedStanza::Deliver(delivery)) => {
            world.metrics.decided(delivery.permit().direction(), "allow");
            let Some(shard) = world.shard_of(delivery.pair()) else {
                return;
            };
            // The stream is held back while the shard is busy: its octets wait in the peer's socket.
            let deliver = Input::Deliver {
                delivery: delivery.traced(trace).held(hold),
                origin: None,
            };
            // Boxed: a stream that waits for its next stanza needs no room for one.
            let _gone = Box::pin(shard.send(deliver)).await;
        }
        Ok(AdmittedStanza::Pong(pong)) => {
            let pong = Arc::new(*pong);
            for shard in &world.shards {
                let _gone = Box::pin(shard.send(Input::Ping(Arc::clone(&pong)))).await;
            }
            if let Some(pong) = Arc::into_inner(pong) {
                hand_over(world, pong);
            }
        }
        Ok(AdmittedStanza::Answer(stanza)) => answer(world, *stanza, trace, hold).await,
        Ok(AdmittedStanza::GivenUp { ends, what, refused }) => {
            let (held, hold) = if refused.is_some() {
                (None, hold)
            } else {
                (hold, None)
            };
            if let Some(shard) = world.shard_of(ends.pair()) {
                let given_up = Input::GivenUp {
                    ends,
                    what,
                    hold: held,
                };
                let _gone = Box::pin(shard.send(given_up)).await;
            }
            match refused {
                Some(rejected) => turn_away(world, side, *rejected, (trace, from, to), hold).await,
                None => tracing::debug!(%trace, "presence is taken back that does not pass"),
            }
        }
        Ok(AdmittedStanza::Ignore) => {
            tracing::debug!(%trace, "stanza without counterpart, for which nobody waits");
        }
        Err(rejected) => turn_away(world, side, rejected, (trace, from, to), hold).await,
    }
}

/// Counts a stanza as refused, and tells its sender where he is told.
async fn turn_away(
    world: &Arc<World>,
    side: Side,
    rejected: RejectedStanza,
    (trace, from, to): (Trace, Domain, Domain),
    hold: Option<Hold>,
) {
    world.metrics.refused(side, Protocol::Xmpp, rejected.class());
    if rejected.fault() == Fault::Policy {
        world.metrics.decided(side.way(), "deny");
    }
    tracing::info!(%trace, %side, %from, %to, class = rejected.class(), why = %rejected, "stanza refused");
    if let Some(reply) = rejected.into_reply() {
        answer(world, *reply, trace, hold).await;
    }
}

/// Sends an answer of the edge itself over the link to its addressee. An error is kept by a gateway until it has arrived.
pub(super) async fn answer(world: &Arc<World>, stanza: Stanza, trace: Trace, hold: Option<Hold>) {
    if stanza.kind().is_error()
        && let Some(shard) = world.shard_of(pair_of(&stanza))
    {
        let stanza = Box::new(stanza);
        let _gone = Box::pin(shard.send(Input::Notice { stanza, trace, hold })).await;
        return;
    }
    hand_over(world, stanza);
}

/// Gives what nobody waits for to the link to its addressee.
pub(super) fn hand_over(world: &Arc<World>, stanza: Stanza) {
    let link = Link::Xmpp {
        local: stanza.from().domain().clone(),
        remote: stanza.to().domain().clone(),
    };
    let until = world::now()
        .checked_add(world.limits().gateway.deliver)
        .unwrap_or_else(world::now);
    let letter = Letter {
        content: Content::Stanza(Box::new(stanza)),
        token: None,
        until,
    };
    if let Err((_, trouble)) = world.pool.send(world, &link, letter) {
        tracing::warn!(
            ?link,
            class = trouble.class(),
            "an answer could not be handed to its link"
        );
    }
}

/// A correlation id of its own.
pub(super) fn trace() -> Trace {
    Trace::new(u64::from_le_bytes(world::random()))
}

/// Whether a stanza can be the answer to something of ours.
const fn is_answer(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Message(MessageType::Error) | Kind::Iq(IqType::Result | IqType::Error)
    )
}

impl Driver {
    /// Logs and counts what happened to the stream as a whole.
    pub(super) fn log(&self, event: &Event) {
        let (flow, side, remote) = (self.id, self.side(), self.remote());
        match event {
            Event::Authenticated {
                local,
                remote: peer,
                method,
            } => {
                tracing::info!(
                    %flow, %side, %peer, %local, ?method, acknowledged = self.is_acknowledged(),
                    "XMPP stream authenticated"
                );
            }
            Event::PairRefused {
                local,
                remote: peer,
                refusal,
            } => {
                self.metrics().refused(side, Protocol::Xmpp, refusal.class());
                tracing::info!(%flow, %side, %peer, %local, class = refusal.class(), why = %refusal, "XMPP pair refused");
            }
            Event::Refused(refusal) => {
                self.metrics().refused(side, Protocol::Xmpp, refusal.class());
                tracing::info!(%flow, %side, %remote, class = refusal.class(), why = %refusal, "XMPP stream refused");
            }
            Event::Closed(closed) => tracing::info!(%flow, %side, %remote, ?closed, "XMPP stream closed"),
            Event::Stanza(_)
            | Event::Acknowledged(_)
            | Event::Answer(_)
            | Event::Unanswered
            | Event::Verified(_)
            | Event::Ending => {}
        }
    }
}
