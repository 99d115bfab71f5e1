//! What keeps a message's sender answerable for it as long as it could be lost with us.

/// Given with a stanza by whoever took it, and dropped once nothing of it depends on us any more: its outcome is known, and if
/// that is an error, the sender's side has taken that.
///
/// The gateway never looks into it; what happens when it is dropped is the giver's business. Without it a stanza that was
/// acknowledged (XEP-0198) a moment before the process is killed would be lost, and nobody told.
pub type Hold = Box<dyn std::fmt::Debug + Send + Sync>;
