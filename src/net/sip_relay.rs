//! The way back of a request that goes on as a request: from the flow that sent it to the flow that it came on.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::IntGauge;
use tokio::sync::oneshot;

use super::queue;
use super::sip_flow::{Answerer, Command};
use super::world::World;
use crate::gateway::{Input, Outcome, Return, Token, Trouble};
use crate::policy::Direction;
use crate::route::Protocol;
use crate::sip::transaction::TransactionId;
use crate::sip::{Method, Request, Response};

/// Who hears what became of a request of ours.
#[derive(Debug)]
pub enum Reply {
    /// The shard that made it, by its name; an INVITE can be called back.
    Shard(Token, Option<Arc<Recall>>),
    /// The flow that it came on.
    Sender(Box<Sender>),
    /// Whoever only wants to know whether a server answers; taken with the final response.
    Asker(Option<oneshot::Sender<Result<Box<Response>, Trouble>>>),
    /// Nobody: it is an ACK.
    Nobody,
}

/// The flow that a relayed request came on.
#[derive(Debug)]
pub struct Sender {
    back: Box<Return>,
    transaction: TransactionId,
    commands: queue::Sender<Command>,
    /// The place of the final response, until it is used.
    place: Option<queue::Place<Command>>,
    recall: Arc<Recall>,
    way: Direction,
    /// Until the final response has its way: an orderly stop waits for it.
    waiting: Option<Waiting>,
}

/// A request that waits for its final response, counted among all that do.
#[derive(Debug)]
pub struct Waiting(IntGauge);

impl Waiting {
    /// One more that waits.
    #[must_use]
    pub fn begin(world: &World) -> Self {
        let pending = world.metrics.pending.clone();
        pending.inc();
        Self(pending)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Calls a relayed INVITE back, wherever it is by then (RFC 3261 §16.10).
#[derive(Debug, Default)]
pub struct Recall(Mutex<Whereabouts>);

/// Where an INVITE is: on its way to a flow, or on one, and after a failure on its way to another.
#[derive(Debug, Default)]
struct Whereabouts {
    /// Room in the queue of the flow, until it is used: a CANCEL is never lost for want of it.
    sent: Option<(queue::Place<Command>, TransactionId)>,
    recalled: bool,
}

impl Recall {
    /// Calls it back.
    pub fn recall(&self) {
        let mut whereabouts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        whereabouts.recalled = true;
        if let Some((place, transaction)) = whereabouts.sent.take() {
            // A flow that is gone has failed the INVITE by itself.
            place.send(Command::Recall(transaction));
        }
    }

    /// Takes note of where it was sent; whether it has been called back by then.
    fn sent(&self, place: queue::Place<Command>, transaction: TransactionId) -> bool {
        let mut whereabouts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !whereabouts.recalled {
            whereabouts.sent = Some((place, transaction));
        }
        whereabouts.recalled
    }

    /// Whether it was called back.
    fn is_recalled(&self) -> bool {
        let whereabouts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        whereabouts.recalled
    }

    /// It is answered: there is nothing to call back.
    fn answered(&self) {
        let mut whereabouts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        whereabouts.sent = None;
    }
}

impl Sender {
    /// `place` is that of the final response in the queue behind `commands`.
    #[must_use]
    pub fn new(
        back: Box<Return>,
        transaction: TransactionId,
        (commands, place): (queue::Sender<Command>, queue::Place<Command>),
        recall: Arc<Recall>,
        (way, waiting): (Direction, Waiting),
    ) -> Self {
        Self {
            back,
            transaction,
            commands,
            place: Some(place),
            recall,
            way,
            waiting: Some(waiting),
        }
    }

    /// Hands a response to the flow. A final one always fits; another may be lost where the flow is busy, as it may be
    /// on the wire.
    fn respond(&mut self, response: Box<Response>) {
        let is_final = response.status().is_final();
        if is_final {
            self.recall.answered();
        }
        let command = Command::Respond {
            transaction: self.transaction,
            response,
            by: Answerer::Another,
        };
        if is_final && let Some(place) = self.place.take() {
            place.send(command);
            self.waiting = None;
        } else {
            let _busy = self.commands.offer(command);
        }
    }

    fn count(&self, world: &World, request: &Request, outcome: Outcome) {
        if *request.method() == Method::Message {
            world
                .metrics
                .message(self.way, Protocol::Sip, Protocol::Sip, outcome);
        }
    }
}

impl Reply {
    /// Room in a flow's queue for calling `request` back, where that may be.
    ///
    /// # Errors
    /// Where there is none: what could not be called back is not sent.
    pub fn room(
        &self,
        flow: &queue::Sender<Command>,
        request: &Request,
    ) -> Result<Option<queue::Place<Command>>, Trouble> {
        match self {
            Self::Sender(_) | Self::Shard(_, Some(_)) if *request.method() == Method::Invite => {
                flow.reserve().map(Some).map_err(|_full| Trouble::Overload)
            }
            Self::Sender(_) | Self::Shard(..) | Self::Asker(_) | Self::Nobody => Ok(None),
        }
    }

    /// Takes note of where a request was sent; whether it has been called back by then.
    #[must_use]
    pub fn sent(&self, room: Option<queue::Place<Command>>, transaction: TransactionId) -> bool {
        match (self, room) {
            (Self::Sender(sender), Some(place)) => sender.recall.sent(place, transaction),
            (Self::Shard(_, Some(recall)), Some(place)) => recall.sent(place, transaction),
            (Self::Sender(_) | Self::Shard(..) | Self::Asker(_) | Self::Nobody, _) => false,
        }
    }

    /// Whether the INVITE has been called back, wherever it is.
    #[must_use]
    pub fn is_recalled(&self) -> bool {
        match self {
            Self::Sender(sender) => sender.recall.is_recalled(),
            Self::Shard(_, Some(recall)) => recall.is_recalled(),
            Self::Shard(_, None) | Self::Asker(_) | Self::Nobody => false,
        }
    }

    /// Tells of a response to `request`, as it was sent. Provisional ones are for whoever waits himself.
    pub async fn response(&mut self, world: &World, request: &Request, response: Box<Response>) {
        match self {
            Self::Shard(token, _) if response.status().is_final() => {
                let token = *token;
                world.tell(token, Input::Response { token, response }).await;
            }
            Self::Sender(sender) if response.status().code() > TRYING => {
                if response.status().is_final() && sender.place.is_some() {
                    let outcome = if response.status().is_success() {
                        Outcome::Delivered
                    } else {
                        Outcome::Failed
                    };
                    sender.count(world, request, outcome);
                }
                let returned = sender.back.response(request, response);
                if let Some(removed) = &returned.removed {
                    tracing::info!(way = ?sender.way, method = %request.method(), why = %removed, "a body was taken out of a SIP response");
                }
                if let Some(response) = returned.response {
                    sender.respond(response);
                }
            }
            Self::Asker(asker) if response.status().is_final() => {
                if let Some(asker) = asker.take() {
                    let _gone = asker.send(Ok(response));
                }
            }
            Self::Shard(..) | Self::Sender(_) | Self::Asker(_) | Self::Nobody => {}
        }
    }

    /// Tells that there is no response to `request`.
    pub async fn trouble(&mut self, world: &World, request: &Request, trouble: Trouble) {
        match self {
            Self::Shard(token, _) => {
                let token = *token;
                world.tell(token, Input::Returned { token, trouble }).await;
            }
            Self::Sender(sender) => sender.fail(world, request, trouble),
            Self::Asker(asker) => {
                if let Some(asker) = asker.take() {
                    let _gone = asker.send(Err(trouble));
                }
            }
            Self::Nobody => {}
        }
    }
}

impl Sender {
    /// Tells that there is no response to `request`; an INVITE that is answered already needs none.
    pub fn fail(&mut self, world: &World, request: &Request, trouble: Trouble) {
        if self.place.is_none() {
            return;
        }
        tracing::info!(
            way = ?self.way, method = %request.method(), class = trouble.class(),
            "a SIP request could not be passed on; its sender is told"
        );
        self.count(world, request, Outcome::Failed);
        self.respond(self.back.trouble(request, trouble));
    }
}

/// 100 says only that the next hop has the request.
const TRYING: u16 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SipLimits;
    use crate::net::world;
    use crate::observe::Metrics;
    use crate::sip::transaction::{Flow, Register, Reliability, Timers, Transactions};
    use crate::sip::{Message, parse};

    /// Some transactions.
    fn transactions<const N: usize>() -> [TransactionId; N] {
        let limits = SipLimits::default();
        let mut table = Transactions::new(&limits, Timers::default(), Register::new());
        let flow = Flow {
            id: 1,
            reliability: Reliability::Reliable,
        };
        std::array::from_fn(|number| {
            let text = format!(
                "INVITE sip:b@b.example SIP/2.0\r\nVia: SIP/2.0/TCP a.example;branch=z9hG4bK{number}\r\n\
                 Max-Forwards: 70\r\nTo: <sip:b@b.example>\r\nFrom: <sip:a@a.example>;tag=a\r\nCall-ID: {number}\r\n\
                 CSeq: 1 INVITE\r\nContact: <sip:a@a.example>\r\nContent-Length: 0\r\n\r\n"
            );
            match parse::message(text.as_bytes(), &limits).unwrap() {
                Message::Request(request) => table.request(world::now(), flow, &request).unwrap(),
                Message::Response(response) => panic!("{response:?}"),
            }
        })
    }

    #[tokio::test]
    async fn an_invite_is_called_back_however_full_its_flow_is() {
        let metrics = Metrics::new().unwrap();
        let (flow, mut commands) = queue::bounded("sip_flow", 2, &metrics);
        let [other, transaction, again] = transactions();
        let recall = Recall::default();
        let room = flow.reserve().unwrap();
        assert!(!recall.sent(room, transaction));
        while flow.offer(Command::Recall(other)).is_ok() {}
        recall.recall();
        recall.recall();
        let mut seen = Vec::new();
        while let Some(Command::Recall(of)) = commands.next_waiting() {
            seen.push(of);
        }
        assert_eq!(seen, [other, transaction]);
        // On its way to another server it is called back as soon as it is there.
        assert!(recall.sent(flow.reserve().unwrap(), again));
        assert!(commands.next_waiting().is_none());
    }
}
