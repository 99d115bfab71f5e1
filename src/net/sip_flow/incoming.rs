//! A request that came on a flow: what the transaction layer answers by itself, then the checks of the border, then
//! its shard.

use super::{SipOrigin, Task};
use crate::gateway::{Admitted, Input, Trace};
use crate::net::world;
use crate::refusal::Fault;
use crate::route::Protocol;
use crate::sip::transaction::{Key, TransactionId, UnderWay};
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
            return self.cancel(transaction, &request, cancels);
        }
        let border = self.flow.world.border();
        let under_way = match self.see_loop(&request, trace) {
            Ok(under_way) => under_way,
            Err(response) => return self.respond(transaction, &response),
        };
        // The answer's place is kept before anything is done, so that no answer is ever lost for want of room.
        let place = self.sender.reserve();
        let admitted = if self.flow.world.refuse_new.is_cancelled() {
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
        match admitted {
            Ok(Admitted::Answer(response)) => self.respond(transaction, &response),
            Ok(Admitted::Deliver(delivery)) => {
                metrics.decided(delivery.permit().direction(), "allow");
                let Ok(place) = place else { return };
                let origin = SipOrigin {
                    place,
                    transaction,
                    _under_way: under_way,
                };
                let Some(shard) = self.flow.world.shard_of(delivery.pair()).cloned() else {
                    return;
                };
                let input = Input::Deliver {
                    delivery: delivery.traced(trace),
                    origin: Some(origin),
                };
                // The peer is held back while the shard is busy: its octets wait in its own socket.
                let _gone = shard.send(input).await;
            }
            Err(rejected) => {
                metrics.refused(self.flow.side, Protocol::Sip, rejected.class());
                if rejected.fault() == Fault::Policy {
                    metrics.decided(self.flow.side.way(), "deny");
                }
                tracing::info!(
                    %trace, flow = %self.flow.id, side = %self.flow.side, peer = %self.flow.remote,
                    class = rejected.class(), why = %rejected, "SIP request refused"
                );
                self.respond(transaction, rejected.response());
            }
        }
    }

    /// A CANCEL is answered for itself. Nothing here can be called back: a message is on its way or was answered.
    //
    //= rfc3261#9.2
    //# If the UAS did not find a matching transaction for the CANCEL according to the procedure above, it SHOULD
    //# respond to the CANCEL with a 481 (Call Leg/Transaction Does Not Exist).
    //= rfc3261#9.2
    //# A CANCEL request has no effect on the processing of transactions with any other method defined in this
    //# specification.
    fn cancel(&mut self, transaction: TransactionId, request: &Request, cancels: Option<TransactionId>) {
        // The answers to both have one To tag.
        let about = cancels.unwrap_or(transaction);
        let tag = self.transactions.to_tag(about).unwrap_or_default();
        let status = match cancels {
            Some(_) => StatusCode::OK,
            None => StatusCode::CALL_DOES_NOT_EXIST,
        };
        let response = request.response(status, status.reason(), Some(&tag));
        self.respond(transaction, &response);
    }

    /// A request that went through us before, or that is under way by another path, is not acted on a second time.
    fn see_loop(&self, request: &Request, trace: Trace) -> Result<Option<UnderWay>, Box<Response>> {
        let world = &self.flow.world;
        let edge = Host::parse(world.border().edge().as_str());
        let class = if edge.is_ok_and(|edge| inspect::went_through(request, &edge)) {
            "looped"
        } else {
            match world.transactions.enter(request) {
                Ok(under_way) => return Ok(under_way),
                Err(_merged) => "merged",
            }
        };
        world.metrics.refused(self.flow.side, Protocol::Sip, class);
        tracing::info!(
            %trace, flow = %self.flow.id, side = %self.flow.side, peer = %self.flow.remote, class,
            "SIP request refused: it came to us before"
        );
        let status = StatusCode::LOOP_DETECTED;
        let tag = Key::of_received(request).stateless_tag();
        Err(Box::new(request.response(status, status.reason(), Some(&tag))))
    }
}
