//! xmpp.
