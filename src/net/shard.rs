//! The task of one gateway shard: feeds it what happens, and carries out what it wants.
//!
//! A shard never waits for a flow or a link: what cannot be handed on at once is given back to the gateway, which tells
//! the sender. So flows and links may wait for a shard without any of them waiting in a circle.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::pool::{Content, Letter};
use super::queue;
use super::sip_flow::SipOrigin;
use super::sip_relay::Recall;
use super::world::{self, World};
use super::xmpp_stream;
use crate::gateway::presence::{Ends, Page, Tally};
use crate::gateway::{Border, Gateway, Input, Link, Observation, Outcome, Output, Token, Trace, Trouble};
use crate::sip::Method;
use crate::store::Desk;

/// The ways to a shard.
#[derive(Debug)]
pub struct Inlet {
    /// What happens.
    pub inputs: queue::Receiver<Input<SipOrigin>>,
    /// What is asked.
    pub questions: queue::Receiver<Question>,
}

/// Serves until every sender of `inputs` is gone.
pub async fn run(
    world: Arc<World>,
    mut gateway: Gateway<SipOrigin>,
    Inlet {
        mut inputs,
        mut questions,
    }: Inlet,
    mut desk: Desk,
) {
    let (mut counted, mut counted_errors) = (0_i64, 0_i64);
    let mut tally = Tally::default();
    let mut recalls = Recalls::default();
    let mut stopping = false;
    let mut border = world.border.clone();
    gateway.handle(world::now(), configured(&mut border));
    loop {
        tokio::select! {
            input = inputs.recv() => {
                let Some(input) = input else { return };
                let now = world::now();
                gateway.handle(now, input);
                // A batch shares one ping and one round of outputs.
                for _ in 0..BATCH {
                    let Some(input) = inputs.next_waiting() else { break };
                    gateway.handle(now, input);
                }
            }
            Some(Question { after, most, answer }) = questions.recv() => {
                // Who has gone away meanwhile asks again.
                let _sent = answer.send(gateway.subscriptions(world::now(), after.as_ref(), most));
                continue;
            }
            () = world.refuse_new.cancelled(), if !stopping => {
                stopping = true;
                let now = world::now();
                let by = now.checked_add(time_to_end(world.limits().net.drain)).unwrap_or(now);
                gateway.handle(now, Input::Stop { by });
                // Whoever stops the proxy counted this shard as one that has not heard of it.
                counted = counted.saturating_add(1);
            }
            unkept = desk.relieve() => tell(&mut gateway, unkept),
            // When its sender is gone everything is about to end.
            Ok(()) = border.changed() => gateway.handle(world::now(), configured(&mut border)),
            () = world::sleep_until(gateway.timeout()) => gateway.handle(world::now(), Input::Tick),
        }
        let now = world::now();
        while let Some(output) = gateway.poll(now) {
            act(&world, &mut gateway, &mut recalls, &mut desk, output);
        }
        let waiting = gateway.waiting().saturating_add(gateway.ending());
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        world.metrics.pending.add(waiting.saturating_sub(counted));
        counted = waiting;
        let telling = i64::try_from(gateway.telling()).unwrap_or(i64::MAX);
        world.metrics.telling.add(telling.saturating_sub(counted_errors));
        counted_errors = telling;
        if *gateway.tally() != tally {
            world.metrics.presence(&tally, gateway.tally());
            tally = gateway.tally().clone();
        }
    }
}

/// A question about the subscriptions of a shard. It is answered in one of its turns, between those of the traffic.
#[derive(Debug)]
pub struct Question {
    after: Option<Ends>,
    most: usize,
    answer: oneshot::Sender<Page>,
}

/// The subscriptions of at most `most` pairs of users of a shard, from the first after `after` on; `None` where it is gone.
pub async fn ask(shard: &queue::Sender<Question>, after: Option<Ends>, most: usize) -> Option<Page> {
    let (answer, page) = oneshot::channel();
    shard.send(Question { after, most, answer }).await.ok()?;
    page.await.ok()
}

/// The configuration, as the gateway is told of it.
fn configured(border: &mut watch::Receiver<Arc<Border>>) -> Input<SipOrigin> {
    Input::Configured {
        border: Arc::clone(&border.borrow_and_update()),
        unix: u64::try_from(world::today().unix_seconds()).unwrap_or_default(),
    }
}

/// The INVITEs of a shard that may be called back.
#[derive(Debug, Default)]
struct Recalls(HashMap<Token, Weak<Recall>>);

impl Recalls {
    fn keep(&mut self, token: Token) -> Arc<Recall> {
        // Those that are over hold nothing any more; looking for them is spread over as many as there are.
        if self.0.len() >= self.0.capacity() {
            self.0.retain(|_, recall| recall.strong_count() > 0);
        }
        let recall = Arc::new(Recall::default());
        self.0.insert(token, Arc::downgrade(&recall));
        recall
    }

    fn recall(&mut self, token: Token) {
        if let Some(recall) = self.0.remove(&token).and_then(|recall| recall.upgrade()) {
            recall.recall();
        }
    }
}

fn act(
    world: &Arc<World>,
    gateway: &mut Gateway<SipOrigin>,
    recalls: &mut Recalls,
    desk: &mut Desk,
    output: Output<SipOrigin>,
) {
    match output {
        Output::Send {
            link,
            stanza,
            token,
            until,
            trace,
        } => {
            if let Some(trace) = trace {
                tracing::debug!(%trace, ?link, id = stanza.id(), kind = stanza.kind().name(), "stanza for a link");
            }
            let letter = Letter {
                content: Content::Stanza(stanza),
                token,
                until,
            };
            send(world, gateway, &link, letter);
        }
        Output::Request {
            link,
            route,
            request,
            token,
            until,
            trace,
        } => {
            tracing::debug!(%trace, ?link, call_id = request.headers().call_id().as_str(), "SIP request for a link");
            let recall = (*request.method() == Method::Invite).then(|| recalls.keep(token));
            let letter = Letter {
                content: Content::Request(request, Box::new(route), recall),
                token: Some(token),
                until,
            };
            send(world, gateway, &link, letter);
        }
        Output::Pong(pong) => {
            if let Some(pong) = Arc::into_inner(pong) {
                xmpp_stream::hand_over(world, pong);
            }
        }
        Output::Persist { ticket, changes } => tell(gateway, desk.hand(ticket, changes)),
        Output::Recall { token } => recalls.recall(token),
        Output::Respond { origin, response } => origin.respond(response),
        Output::Untold { link, trace } => untold(world, &link, Some(trace), None),
        Output::Observe(Observation {
            way,
            from,
            to,
            outcome,
            trace,
        }) => {
            world.metrics.message(way, from, to, outcome);
            match outcome {
                Outcome::Failed => {
                    tracing::info!(%trace, ?way, %from, %to, "message not delivered; its sender is told");
                }
                Outcome::Delivered | Outcome::Refused | Outcome::Ignored => {
                    tracing::debug!(%trace, ?way, %from, %to, ?outcome, "message");
                }
            }
        }
    }
}

/// Nobody keeps these changes, and nobody waits for them.
fn tell(gateway: &mut Gateway<SipOrigin>, unkept: Vec<u64>) {
    for ticket in unkept {
        gateway.handle(world::now(), Input::Persisted { ticket });
    }
}

fn send(world: &Arc<World>, gateway: &mut Gateway<SipOrigin>, link: &Link, letter: Letter) {
    let Err((letter, trouble)) = world.pool.send(world, link, letter) else {
        return;
    };
    let token: Option<Token> = letter.token;
    match token {
        Some(token) => gateway.handle(world::now(), Input::Returned { token, trouble }),
        None => untold(world, link, None, Some(trouble)),
    }
}

/// Somebody hears nothing of what became of something of his.
fn untold(world: &World, link: &Link, trace: Option<Trace>, trouble: Option<Trouble>) {
    world.metrics.untold.inc();
    tracing::warn!(
        ?link,
        trace = trace.map(tracing::field::display),
        class = trouble.map(Trouble::class),
        "an answer could not be brought to whom it is for; look at the link's last failures"
    );
}

/// The part of the time for an orderly stop in which sessions may come to their end: in the rest of it their users are told.
fn time_to_end(drain: Duration) -> Duration {
    drain.saturating_sub(drain.checked_div(TELLING).unwrap_or_default())
}

/// See [`time_to_end`].
const TELLING: u32 = 5;
/// Inputs handled before their outputs are carried out.
const BATCH: usize = 256;
