//! What a flow is told to do, and the way back of an answer of the gateway.

use crate::net::queue;
use crate::net::sip_link::Errand;
use crate::sip::Response;
use crate::sip::transaction::{TransactionId, UnderWay};

/// Where the SIP transaction of a request is that the gateway will answer.
#[derive(Debug)]
pub struct SipOrigin {
    /// The answer's place in the queue of the flow: it always fits.
    pub(super) place: queue::Place<Command>,
    pub(super) transaction: TransactionId,
    /// Until it is answered, the same request by another path is refused.
    pub(super) _under_way: Option<UnderWay>,
}

/// Whose answer to a request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answerer {
    /// The gateway's: it is the user agent, and its 2xx to an INVITE is repeated until the ACK.
    Us,
    /// That of whoever the request went on to, who repeats his own.
    Another,
}

/// What a flow is told to do.
#[derive(Debug)]
pub enum Command {
    /// Send a request; its outcome goes to the shard that owns its token.
    Request(Box<Errand>),
    /// Answer a request.
    Respond {
        /// Which one.
        transaction: TransactionId,
        /// The answer.
        response: Box<Response>,
        /// Whose it is.
        by: Answerer,
    },
    /// Call back an INVITE that was sent.
    Recall(TransactionId),
}

impl SipOrigin {
    /// Hands an answer to the flow that the request came on, or where that is gone, to what it left behind for it.
    pub fn respond(self, response: Box<Response>) {
        self.place.send(Command::Respond {
            transaction: self.transaction,
            response,
            by: Answerer::Us,
        });
    }
}
