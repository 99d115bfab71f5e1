//! What goes into the table of transactions and what comes out of it.

use bytes::Bytes;

use super::{Failure, Reliability};
use crate::refusal::{Fault, Refuse};
use crate::sip::{Request, Response};

/// A transaction of one table; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(u64);

/// The connection, or the socket and address, that a message came on or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The caller's name for it; not used again while a transaction on it lives.
    pub id: u64,
    /// What its transport does about loss.
    pub reliability: Reliability,
}

/// What is to be done, or has happened; in order.
#[derive(Debug)]
pub enum Event {
    /// Send these octets.
    Transmit {
        /// Where to.
        flow: u64,
        /// Whose they are; `None` for an answer that is given without a transaction.
        transaction: Option<TransactionId>,
        /// The message.
        octets: Bytes,
    },
    /// A new request: answer it with [`super::Transactions::respond`].
    Request {
        /// The server transaction made for it.
        transaction: TransactionId,
        /// Where it came from.
        flow: u64,
        /// The request.
        request: Box<Request>,
        /// For CANCEL: the INVITE that it is about, if it is alive.
        cancels: Option<TransactionId>,
    },
    /// An ACK to a 2xx; there is no answer to it.
    Acknowledged {
        /// The INVITE transaction, where the ACK could be matched to one.
        transaction: Option<TransactionId>,
        /// Where it came from.
        flow: u64,
        /// The ACK.
        request: Box<Request>,
    },
    /// A response to a request of ours.
    Response {
        /// The client transaction.
        transaction: TransactionId,
        /// The response.
        response: Box<Response>,
    },
    /// A transaction did not end well.
    Failed {
        /// Which one.
        transaction: TransactionId,
        /// Why.
        failure: Failure,
    },
    /// A transaction is over; its id means nothing from now on.
    Terminated {
        /// Which one.
        transaction: TransactionId,
    },
}

/// What became of a received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Received {
    /// It made a transaction, or goes to the user without one (ACK to a 2xx).
    New,
    /// It belongs to a transaction.
    Matched,
    /// A response to nothing of ours on this flow: dropped.
    Stray,
    /// Too many transactions are alive: answered 503.
    Refused,
}

/// Why no client transaction was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    /// The limit is reached.
    #[error("{0} SIP transactions are alive, the limit of sip.transactions; the request is not sent")]
    Full(usize),
    /// The top Via has no branch of RFC 3261.
    #[error("the top Via of a request of ours has no branch that begins with z9hG4bK")]
    NoBranch,
    /// A transaction with the same branch and method is alive on the flow.
    #[error("a request with the same branch and method is under way on the flow")]
    Duplicate,
    /// An ACK makes no transaction; it goes to the flow as it is.
    #[error("an ACK has no transaction")]
    Ack,
}

impl TransactionId {
    pub(super) const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl Refuse for NotStarted {
    fn class(&self) -> &'static str {
        match self {
            Self::Full(_) => "transactions_full",
            Self::NoBranch => "transaction_no_branch",
            Self::Duplicate => "transaction_duplicate",
            Self::Ack => "transaction_ack",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Full(_) => Fault::Overload,
            Self::NoBranch | Self::Duplicate | Self::Ack => Fault::Local,
        }
    }

    fn sip_status(&self) -> u16 {
        match self {
            Self::Full(_) => 503,
            Self::NoBranch | Self::Duplicate | Self::Ack => 500,
        }
    }

    fn stanza_condition(&self) -> &'static str {
        match self {
            Self::Full(_) => "resource-constraint",
            Self::NoBranch | Self::Duplicate | Self::Ack => "internal-server-error",
        }
    }

    fn peer_text(&self) -> &'static str {
        match self {
            Self::Full(_) => "too busy, try again later",
            Self::NoBranch | Self::Duplicate | Self::Ack => "internal error",
        }
    }
}
