//! What every refusal can say of itself: its class for counting, its word in each protocol, and a text that is safe to
//! show to a peer.
//!
//! Error enums of all floors implement [`Refuse`]; `Display` of the same enum is the operator's text.

/// Whose fault a refusal is: decides logging level, alarms and whether another target is worth a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The peer sent what the protocol forbids.
    Peer,
    /// Something of ours failed.
    Local,
    /// The configuration forbids it.
    Policy,
    /// The next hop could not be found or reached, or refused.
    Route,
    /// A limit is reached; the same may go through later.
    Overload,
}

impl Fault {
    /// The word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Local => "local",
            Self::Policy => "policy",
            Self::Route => "route",
            Self::Overload => "overload",
        }
    }
}

/// A reason to refuse something a peer or a user asked for.
pub trait Refuse: std::error::Error {
    /// A short constant word for metrics and logs, in `snake_case`; the set of all of them is bounded.
    fn class(&self) -> &'static str;
    /// Whose fault it is.
    fn fault(&self) -> Fault;
    /// The SIP status code that says it (RFC 3261 §21).
    fn sip_status(&self) -> u16;
    /// The stanza error condition that says it (RFC 6120 §8.3.3).
    fn stanza_condition(&self) -> &'static str;
    /// A constant text for the peer that tells nothing about our inside.
    fn peer_text(&self) -> &'static str;
}
