//! The XML namespaces of XMPP that the edge reads or writes.
//!
//! Not a list of every extension: a stanza's unknown payload passes with its namespace unchanged.

/// The root of a stream and its own children (RFC 6120 §4.8.1).
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// Content of server-to-server streams (RFC 6120 §4.8.2), and of every [`super::Stanza`] inside.
pub const SERVER: &str = "jabber:server";
/// What stanzas are qualified by inside, whatever stream they came by.
pub const STANZA: &str = SERVER;
/// Content of client-to-server streams: never accepted here, named so that it can be refused.
pub const CLIENT: &str = "jabber:client";
/// Content of a component's stream (XEP-0114).
pub const COMPONENT: &str = "jabber:component:accept";
/// Server dialback (XEP-0220).
pub const DIALBACK: &str = "jabber:server:dialback";
/// The stream feature of dialback with errors (XEP-0220 §2.4.2).
pub const DIALBACK_FEATURE: &str = "urn:xmpp:features:dialback";
/// STARTTLS (RFC 6120 §5).
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// SASL (RFC 6120 §6).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Conditions of stanza errors (RFC 6120 §8.3.2).
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// Conditions of stream errors (RFC 6120 §4.9.2).
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// Stream management (XEP-0198).
pub const MANAGEMENT: &str = "urn:xmpp:sm:3";
/// Stream limits advertisement (XEP-0478).
pub const STREAM_LIMITS: &str = "urn:xmpp:stream-limits:0";
/// Ping (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// The namespace of `xml:lang` and its like.
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
