//! The way back of a request that goes on as a request: from the flow that sent it to the flow that it came on.

use std::sync::{Arc, Mutex, PoisonError};

use super::queue;
use super::sip_flow::Command;
use super::world::World;
use crate::gateway::{Input, Outcome, Return, Token, Trouble};
use crate::policy::Direction;
use crate::route::Protocol;
use crate::sip::transaction::TransactionId;
use crate::sip::{Method, Request, Response};

/// Who hears what became of a request of ours.
#[derive(Debug)]
pub enum Reply {
    /// The shard that made it, by its name.
    Shard(Token),
    /// The flow that it came on.
    Sender(Box<Sender>),
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
}

/// Calls a relayed INVITE back, wherever it is by then (RFC 3261 §16.10).
#[derive(Debug, Default)]
pub struct Recall(Mutex<Whereabouts>);

/// Where an INVITE is: on its way to a flow, or on one, and after a failure on its way to another.
#[derive(Debug, Default)]
struct Whereabouts {
    sent: Option<(queue::Sender<Command>, TransactionId)>,
    recalled: bool,
}

impl Recall {
    /// Calls it back.
    pub fn recall(&self) {
        let mut whereabouts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        whereabouts.recalled = true;
        if let Some((flow, transaction)) = &whereabouts.sent {
            // A flow that is gone has failed the INVITE by itself.
            let _gone = flow.offer(Command::Recall(*transaction));
        }
    }

    /// Takes note of where it was sent; whether it has been called back by then.
    #[must_use]
    fn sent(&self, flow: &queue::Sender<Command>, transaction: TransactionId) -> bool {
        let mut whereabouts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        whereabouts.sent = Some((flow.clone(), transaction));
        whereabouts.recalled
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
        way: Direction,
    ) -> Self {
        Self {
            back,
            transaction,
            commands,
            place: Some(place),
            recall,
            way,
        }
    }

    /// Hands a response to the flow. A final one always fits; another may be lost where the flow is busy, as it may be
    /// on the wire.
    fn respond(&mut self, response: Box<Response>) {
        let is_final = response.status().is_final();
        let command = Command::Respond {
            transaction: self.transaction,
            response,
        };
        if is_final && let Some(place) = self.place.take() {
            place.send(command);
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
    /// Takes note of where a request was sent; whether it has been called back by then.
    #[must_use]
    pub fn sent(&self, flow: &queue::Sender<Command>, transaction: TransactionId) -> bool {
        match self {
            Self::Sender(sender) => sender.recall.sent(flow, transaction),
            Self::Shard(_) | Self::Nobody => false,
        }
    }

    /// Tells of a response to `request`, as it was sent. Provisional ones are for whoever waits himself.
    pub async fn response(&mut self, world: &World, request: &Request, response: Box<Response>) {
        match self {
            Self::Shard(token) if response.status().is_final() => {
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
                sender.respond(sender.back.response(request, response));
            }
            Self::Shard(_) | Self::Sender(_) | Self::Nobody => {}
        }
    }

    /// Tells that there is no response to `request`.
    pub async fn trouble(&mut self, world: &World, request: &Request, trouble: Trouble) {
        match self {
            Self::Shard(token) => {
                let token = *token;
                world.tell(token, Input::Returned { token, trouble }).await;
            }
            Self::Sender(sender) => sender.fail(world, request, trouble),
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
