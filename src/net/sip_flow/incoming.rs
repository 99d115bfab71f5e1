//! A request that came on a flow: what the transaction layer answers by itself, then the checks of the border, then
//! its shard.

use std::sync::Arc;
use std::time::Instant;

use super::{Command, SipOrigin, Task};
use crate::gateway::{Admitted, Border, Input, Rejected, Relay, Trace};
use crate::net::pool::{Content, Letter};
use crate::net::queue;
use crate::net::rates::Of;
use crate::net::sip_relay::{Recall, Reply, Sender, Waiting};
use crate::net::world;
use crate::policy::rate::Exceeded;
use crate::refusal::Fault;
use crate::route::{Protocol, Side};
use crate::sip::transaction::{Key, TransactionId};
use crate::sip::{Host, Method, Request, Response, StatusCode, inspect};

impl Task {
    /// Answers a new request, or hands it to its shard. `cancels` is what a CANCEL is about.
    pub(super) async fn request(
        &mut self,
        transaction: TransactionId,
        request: Box<Request>,
        cancels: Option<TransactionId>,
    ) {
        let started = world::now();
        let trace = Trace::new(u64::from_le_bytes(world::random()));
        tracing::debug!(
            %trace, flow = %self.flow.id, side = %self.flow.side, method = %request.method(), uri = %request.uri(),
            call_id = request.headers().call_id().as_str(), "SIP request received"
        );
        if *request.method() == Method::Cancel {
            return self.cancel(transaction, &request, cancels).await;
        }
        let border = self.flow.world.border();
        let edge = Host::parse(border.edge().as_str());
        // Not even a spiral passes (RFC 3261 §16.3 item 4 would let it): From belongs to one side, so that what went out
        // may not come in again, nor the reverse, whatever became of its Request-URI.
        if edge.is_ok_and(|edge| inspect::went_through(&request, &edge)) {
            self.count_repeated("looped", trace);
            return self.respond(transaction, &repeated(&request));
        }
        let under_way = self.flow.world.transactions.enter(&request);
        let merged = under_way.is_err().then(|| repeated(&request));
        // The answer's place is kept before anything is done, so that no answer is ever lost for want of room.
        let place = self.sender.reserve();
        let within_rate = self.within_rate(&border, &request);
        let admitted = if let Err(exceeded) = within_rate {
            Err(border.refuse_for_rate(&request, &exceeded))
        } else if self.flow.world.refuse_new.is_cancelled() && request.headers().to().tag().is_none() {
            // What belongs to a dialog is not new: it may be what ends it.
            Err(border.refuse_while_stopping(&request))
        } else if place.is_err() {
            Err(border.refuse_for_overload(&request))
        } else {
            border.admit_sip(self.flow.side, *request, &mut self.flow.proof, world::today())
        };
        let metrics = &self.flow.world.metrics;
        metrics
            .translation
            .observe(world::now().saturating_duration_since(started).as_secs_f64());
        // Merging is for whoever answers (RFC 3261 §8.2.2.2): a fork that goes on is its user agent's to tell apart.
        if let (Some(response), Ok(Admitted::Answer(_) | Admitted::Deliver(_) | Admitted::Blocked { .. })) =
            (&merged, &admitted)
        {
            self.count_repeated("merged", trace);
            return self.respond(transaction, response);
        }
        match admitted {
            Ok(Admitted::Answer(response)) => self.respond(transaction, &response),
            Ok(Admitted::Deliver(delivery)) => {
                metrics.decided(delivery.permit().direction(), "allow");
                let Ok(place) = place else { return };
                let origin = SipOrigin {
                    place,
                    transaction,
                    _under_way: under_way.unwrap_or_default(),
                };
                let pair = delivery.pair();
                let Some(shard) = self.flow.world.shard_of(pair).cloned() else {
                    return;
                };
                if let Some(call) = delivery.call() {
                    self.calls.insert(transaction, Box::new((pair, call)));
                }
                let input = Input::Deliver {
                    delivery: delivery.traced(trace),
                    origin: Some(origin),
                };
                // The peer is held back while the shard is busy: its octets wait in its own socket.
                let _gone = shard.send(input).await;
            }
            Ok(Admitted::Blocked { request, ends }) => {
                metrics.decided(self.flow.side.way(), "deny");
                let Ok(place) = place else { return };
                let origin = SipOrigin {
                    place,
                    transaction,
                    _under_way: under_way.unwrap_or_default(),
                };
                let Some(shard) = self.flow.world.shard_of(ends.pair()).cloned() else {
                    return;
                };
                let input = Input::Blocked {
                    request,
                    ends,
                    origin: Some(origin),
                };
                let _gone = shard.send(input).await;
            }
            Ok(Admitted::Relay(relay)) => {
                let Ok(place) = place else { return };
                self.relay(relay.traced(trace), (transaction, place));
            }
            Err(rejected) => {
                self.count_rejected(&rejected, trace);
                self.respond(transaction, rejected.response());
            }
        }
    }

    /// Hands a request to the link that it goes on by.
    fn relay(&mut self, relay: Relay, (transaction, place): (TransactionId, queue::Place<Command>)) {
        let world = Arc::clone(&self.flow.world);
        let way = self.flow.side.way();
        world.metrics.decided(way, "allow");
        let recall = Arc::new(Recall::default());
        if *relay.request().method() == Method::Invite {
            self.relayed.insert(transaction, Arc::clone(&recall));
        }
        if let Some(removed) = relay.removed() {
            tracing::info!(trace = %relay.trace(), flow = %self.flow.id, why = %removed, "a body was taken out of a SIP request");
        }
        let (trace, until) = (relay.trace(), self.deadline());
        let (link, request, route, back) = relay.into_parts();
        tracing::debug!(%trace, ?link, call_id = request.headers().call_id().as_str(), "SIP request goes on");
        let commands = (self.sender.clone(), place);
        let sender = Sender::new(
            back,
            transaction,
            commands,
            recall,
            (way, Waiting::begin(&self.flow.world)),
        );
        let letter = Letter {
            content: Content::Relay(request, Box::new(route), Reply::Sender(Box::new(sender))),
            token: None,
            until,
        };
        if let Err((letter, trouble)) = world.pool.send(&world, &link, letter)
            && let Content::Relay(request, _, Reply::Sender(mut sender)) = letter.content
        {
            sender.fail(&world, &request, trouble);
        }
    }

    /// An ACK to a 2xx goes the way of its dialog; nobody answers it, so one that may not pass is dropped.
    pub(super) async fn acknowledged(&mut self, request: Request) {
        let world = Arc::clone(&self.flow.world);
        let trace = Trace::new(u64::from_le_bytes(world::random()));
        let admitted =
            world
                .border()
                .admit_sip(self.flow.side, request, &mut self.flow.proof, world::today());
        match admitted {
            Ok(Admitted::Relay(relay)) => {
                let (link, request, route, _) = relay.into_parts();
                let letter = Letter {
                    content: Content::Relay(request, Box::new(route), Reply::Nobody),
                    token: None,
                    until: self.deadline(),
                };
                if let Err((_, trouble)) = world.pool.send(&world, &link, letter) {
                    tracing::info!(%trace, class = trouble.class(), "an ACK could not be passed on");
                }
            }
            Ok(Admitted::Deliver(delivery)) => {
                let Some(shard) = world.shard_of(delivery.pair()) else {
                    return;
                };
                let input = Input::Deliver {
                    delivery: delivery.traced(trace),
                    origin: None,
                };
                let _gone = shard.send(input).await;
            }
            Ok(Admitted::Answer(_) | Admitted::Blocked { .. }) => {}
            Err(rejected) => self.count_rejected(&rejected, trace),
        }
    }

    fn count_rejected(&self, rejected: &Rejected, trace: Trace) {
        let metrics = &self.flow.world.metrics;
        metrics.refused(self.flow.side, Protocol::Sip, rejected.class());
        if rejected.fault() == Fault::Policy {
            metrics.decided(self.flow.side.way(), "deny");
        }
        tracing::info!(
            %trace, flow = %self.flow.id, side = %self.flow.side, peer = %self.flow.remote,
            class = rejected.class(), why = %rejected, "SIP request refused"
        );
    }

    /// When a request that came now is not worth sending on any more.
    fn deadline(&self) -> Instant {
        let now = world::now();
        now.checked_add(self.flow.world.limits().gateway.deliver)
            .unwrap_or(now)
    }

    /// A CANCEL is answered for itself. What can be called back is an INVITE that went on, or whose first text waits for its
    /// outcome: another message is on its way or was answered.
    //
    //= rfc3261#9.2
    //# If the UAS did not find a matching transaction for the CANCEL according to the procedure above, it SHOULD
    //# respond to the CANCEL with a 481 (Call Leg/Transaction Does Not Exist).
    //= rfc3261#9.2
    //# A CANCEL request has no effect on the processing of transactions with any other method defined in this
    //# specification.
    async fn cancel(
        &mut self,
        transaction: TransactionId,
        request: &Request,
        cancels: Option<TransactionId>,
    ) {
        // The answers to both have one To tag.
        if let Some(recall) = cancels.and_then(|cancels| self.relayed.get(&cancels)) {
            recall.recall();
        }
        let about = cancels.unwrap_or(transaction);
        let tag = self.transactions.to_tag(about).unwrap_or_default();
        let status = match cancels {
            Some(_) => StatusCode::OK,
            None => StatusCode::CALL_DOES_NOT_EXIST,
        };
        let response = request.response(status, status.reason(), Some(&tag));
        self.respond(transaction, &response);
        let Some((pair, call)) = cancels
            .and_then(|cancels| self.calls.remove(&cancels))
            .map(|call| *call)
        else {
            return;
        };
        if let Some(shard) = self.flow.world.shard_of(pair).cloned() {
            let _gone = shard.send(Input::CalledBack(Box::new(call))).await;
        }
    }

    /// Whether a request of a foreign domain is within the rates of its entry; a further one costs nothing more than that.
    fn within_rate(&mut self, border: &Border, request: &Request) -> Result<(), Exceeded> {
        if self.flow.side == Side::Inside {
            return Ok(());
        }
        let Some((domain, entry)) = border.sender(request, &mut self.flow.proof) else {
            return Ok(());
        };
        let (rates, now) = (&self.flow.world.rates, world::now());
        let begins = matches!(request.method(), Method::Invite | Method::Subscribe)
            && request.headers().to().tag().is_none();
        if let Some(rate) = entry.rate {
            rates.take(now, &domain, Of::Requests, rate)?;
        }
        match entry.dialogs {
            Some(rate) if begins => rates.take(now, &domain, Of::Dialogs, rate),
            Some(_) | None => Ok(()),
        }
    }

    fn count_repeated(&self, class: &'static str, trace: Trace) {
        self.flow
            .world
            .metrics
            .refused(self.flow.side, Protocol::Sip, class);
        tracing::info!(
            %trace, flow = %self.flow.id, side = %self.flow.side, peer = %self.flow.remote, class,
            "SIP request refused: it came to us before"
        );
    }
}

/// The refusal of a request that went through us before, or that is under way by another path.
fn repeated(request: &Request) -> Response {
    let status = StatusCode::LOOP_DETECTED;
    let tag = Key::of_received(request).stateless_tag();
    request.response(status, status.reason(), Some(&tag))
}
