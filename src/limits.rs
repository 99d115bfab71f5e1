//! Every bound on what a peer can make us read, hold or do, in one place, each with its default and its reason.
//!
//! Protocol code takes the part it needs by reference; the configuration may change the numbers, never remove them.
//! The constants bound what pure functions take out of one message or one handshake, which is bounded as a whole
//! already; no configuration changes them.

use std::num::NonZeroU32;
use std::time::Duration;

/// All bounds of the process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// SIP messages and transactions.
    pub sip: SipLimits,
    /// XML tokens and trees, for streams and documents.
    pub xml: XmlLimits,
    /// XMPP streams.
    pub xmpp: XmppLimits,
    /// The gateway core.
    pub gateway: GatewayLimits,
    /// Sockets and queues.
    pub net: NetLimits,
}

/// Certificates that a TLS peer may show (16: a leaf, what lies between, a root, and some that do not belong). TLS itself
/// allows any number.
pub const CHAIN_CERTIFICATES: usize = 16;

/// Octets of all of them together (131,072: sixteen with many names, or one with thousands).
pub const CHAIN_BYTES: usize = 131_072;

/// Subscriptions that one answer of the control socket lists (10,000: some megabytes); all are counted.
pub const CONTROL_ENTRIES: usize = 10_000;

/// Connections to the control socket at once (8); further ones wait until they are accepted.
pub const CONTROL_CONNECTIONS: usize = 8;

/// How long one of them may last (30 s), with everything that is asked and answered on it.
pub const CONTROL_TIME: Duration = Duration::from_secs(30);

/// Time between two looks of the SNMP agent at the proxy (3 s): what managers see is as old at most, and a notification as late.
pub const SNMP_INTERVAL: Duration = Duration::from_secs(3);

/// Time that the proxy has for its answer to the agent (5 s): a status is made at once by a proxy that is well.
pub const SNMP_QUESTION: Duration = Duration::from_secs(5);

/// Octets of that answer (4,194,304: tens of thousands of nodes).
pub const SNMP_ANSWER_BYTES: u64 = 4_194_304;

/// Sources that the SNMP agent answers at once (64: a manager uses one for a walk); a further one takes the place of that which asked
/// least lately.
pub const SNMP_SOURCES: usize = 64;

/// How long a source that asks nothing keeps its place (30 s).
pub const SNMP_SOURCE_IDLE: Duration = Duration::from_secs(30);

/// SNMP requests that are answered at once (16); further ones wait, and a manager asks again.
pub const SNMP_REQUESTS: usize = 16;

/// Time for sending one notification (5 s): nobody acknowledges it.
pub const SNMP_NOTIFICATION: Duration = Duration::from_secs(5);

/// Translations of one text that a message may carry (16); more are dropped.
pub const LANGUAGES_OF_A_TEXT: usize = 16;

/// Octets of a foreign identifier, such as a branch or a thread, that is taken over to the other side (128); a longer
/// one is taken for abuse and replaced.
pub const FOREIGN_ID_BYTES: usize = 128;

/// Stanzas from outside that are known again when they come back, twice (16,384): more than come in the milliseconds that a circle
/// takes.
pub const REMEMBERED_STANZAS: usize = 16_384;

/// Pings that wait at once, in each shard, until texts before them have their outcome (256), and those of one domain (32); one more
/// is answered at once.
pub const WAITING_PINGS: usize = 256;
/// The same of one domain.
pub const WAITING_PINGS_OF_DOMAIN: usize = 32;

/// How long a text keeps the answer to a ping behind it waiting (2 s): a phone takes or refuses it in that time, while a user who is
/// asked for a session may let it ring for minutes, and whoever pings has little patience.
pub const OUTCOME_WAIT: Duration = Duration::from_secs(2);

/// How often one stanza may come in ten seconds, by its id, addresses and text (32): whoever means it sends it once, and a server
/// that is not sure sends it again a few times.
pub const SAME_STANZAS: u32 = 32;

/// Octets of a small XML document in the body of a SIP request, such as one that says that somebody is typing (8,192).
pub const DOCUMENT_BYTES: usize = 8_192;

/// Nesting of such a document (16).
pub const DOCUMENT_DEPTH: usize = 16;

/// The longest time for which a peer's word that its user is typing is believed (an hour).
pub const LONGEST_REFRESH: Duration = Duration::from_secs(3_600);

/// Octets of a first message inside an INVITE, decoded (12,288: what fits into the longest header field).
pub const EMBEDDED_BYTES: usize = 12_288;

/// Streams in a session description that are looked at (16); an offer of more is refused.
pub const SESSION_STREAMS: usize = 16;

/// Parts of a multipart body (16); one with more is refused.
pub const BODY_PARTS: usize = 16;

/// Groups within groups of an RTF body (64).
pub const RTF_DEPTH: usize = 64;

/// Elements of a body with markup that keep it (512); what comes after them is plain text.
pub const RICH_ELEMENTS: usize = 512;

/// Elements within elements of such a body (16).
pub const RICH_DEPTH: usize = 16;

/// Octets of the address of a link in such a body (2,048); a longer one is no link.
pub const LINK_BYTES: usize = 2_048;

/// Changes of direction within changes of direction on one line of a text (125: UAX #9, BD2); further ones are left out.
pub const DIRECTION_DEPTH: usize = 125;

/// Devices of one user whose presence is kept (32); further ones are not shown.
pub const PRESENCE_DEVICES: usize = 32;

/// Changes that are kept in memory while the store cannot be written, each of another pair of users (200,000: twice as many as have
/// subscriptions where it is large); what goes beyond is not stored.
pub const STORED_CHANGES: usize = 200_000;

/// Characters of a note about presence (1,024); what comes after them is cut off.
pub const NOTE_CHARACTERS: usize = 1_024;

/// Octets of a presence document (65,536: as a whole request may have).
pub const PRESENCE_BYTES: usize = 65_536;

/// Messages that one too long for a peer is split into (32); a longer one is refused.
pub const MESSAGE_PARTS: usize = 32;

/// Octets of the header of one part of a body (4,096).
pub const PART_HEADER_BYTES: usize = 4_096;

/// Characters of a reason phrase or error text that are carried over to the other side (128).
pub const REASON_CHARACTERS: usize = 128;

/// Targets that are known to have failed a short while ago (10,000); further ones are not remembered.
pub const TARGETS_SET_ASIDE: usize = 10_000;

/// Records of one name and kind that are looked at (1,000); more are dropped.
pub const RECORDS_OF_A_NAME: usize = 1_000;

/// Targets that SRV records lead to (32): those that come first. Nobody waits until more have been tried.
pub const TARGETS_OF_A_SERVICE: usize = 32;

/// Services that the NAPTR records of a domain lead to (8).
pub const SERVICES_OF_A_DOMAIN: usize = 8;

/// Answers of DNS that are kept (4,096).
pub const DNS_ANSWERS_KEPT: usize = 4_096;

/// Records in all of them together (65,536).
pub const DNS_RECORDS_KEPT: usize = 65_536;

/// Addresses of one host that are tried (16).
pub const ADDRESSES_OF_A_HOST: usize = 16;
/// Ways to one SIP domain that its link keeps open at once (32): users with static routes of their own each have one, and
/// so has each server that requests name as their next hop; with one more the one that was used longest ago is let go.
pub const WAYS_OF_A_LINK: usize = 32;

/// Servers of one foreign SIP domain that are remembered to have asked to be left alone (64).
pub const SERVERS_LEFT_ALONE: usize = 64;

/// SIP requests a second to a domain that no entry names by itself and `_sipfederationtls._tcp` leads to (20: what such servers take
/// from a peer that they have only discovered; specification: microsoft §1).
pub const DISCOVERED_PEER_RATE: u32 = 20;

/// SIP requests to one foreign domain that wait for their turn where a rate towards it is kept (600: 20 a second for as
/// long as any of them may wait); one more is refused.
pub const PACED_REQUESTS: usize = 600;

/// Octets that they take together, about (4 MiB).
pub const PACED_BYTES: usize = 4_194_304;

/// Connections that are being opened at once for SIP answers whose own connection is gone (64).
pub const LATE_ANSWERS: usize = 64;

/// Servers that are asked in turn to take one SIP request, while each answers 503 (8).
pub const SERVERS_OF_A_REQUEST: usize = 8;

/// Datagrams that wait for one SIP flow over UDP (64); more are lost as on the way, and come again.
pub const DATAGRAMS_OF_A_FLOW: usize = 64;

/// SIP flows over UDP that the ports of one address have at once (64).
pub const FLOWS_OF_AN_ADDRESS: usize = 64;

/// Quiet time after which a SIP flow over UDP is forgotten (32 s: 64*T1, as long as anything can be repeated). It costs
/// nothing to begin it again.
pub const UDP_FLOW_IDLE: Duration = Duration::from_secs(32);

/// Octets of a request over UDP from which on it goes over TCP where that is possible (1,300: RFC 3261 §18.1.1).
pub const UDP_REQUEST_BYTES: usize = 1_300;

/// Answers a second, on one UDP socket, to those who have proven nothing (50).
pub const UNPROVEN_ANSWERS_PER_SECOND: u32 = 50;

/// How many times the octets of a datagram the answer to one who has proven nothing may have (2): nobody gains by writing
/// the address of another.
pub const UNPROVEN_ANSWER_FACTOR: usize = 2;

/// Hops of a stored dialog's route (100: as many as one header field may have).
pub const HOPS_OF_A_DIALOG: usize = 100;

/// Dialogs that one INVITE of ours may make, early ones and confirmed ones each (16); one more is ended at once.
pub const DIALOGS_OF_A_REQUEST: usize = 16;

/// The longest time that a subscription is asked for or given, and that another attempt is put off (a day), whatever a
/// peer says.
pub const LONGEST_SUBSCRIPTION: Duration = Duration::from_secs(86_400);

/// The first and the longest pause before another attempt to subscribe, or to notify (2 s and an hour).
pub const SUBSCRIPTION_PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(3_600));

/// Octets of the tag that a notifier gives a state (64), which is remembered; a longer one is taken for none.
pub const ENTITY_TAG_BYTES: usize = 64;

/// How often in a row a notifier may ask for a longer subscription (3).
pub const SUBSCRIBE_TRIES: u32 = 3;

/// What may wait for the store to give its records at the start (10,000), in each shard; as much again of what users have decided.
pub const WAITING_FOR_RECORDS: usize = 10_000;

/// Subscriptions that one watcher may have to one user at once (16): one for each of his devices.
pub const SUBSCRIPTIONS_OF_A_WATCHER: usize = 16;

/// How often in a row a notification may fail before its subscription is given up (5).
pub const NOTIFY_TRIES: u32 = 5;

/// Bounds of the SIP reader and the transaction layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipLimits {
    /// Octets of a whole message, head and body (65,536: a Microsoft message with its formatting headers fits).
    pub message_bytes: usize,
    /// Octets of start line and header fields together (32,768).
    pub head_bytes: usize,
    /// Octets of one unfolded header field (16,384: `ms-text-format` carries a whole message in one).
    pub line_bytes: usize,
    /// Header fields of a message (128).
    pub header_fields: usize,
    /// Values of one list header, counted over all its fields (100).
    pub values_of_a_kind: usize,
    /// Transactions alive at once on all flows together (10,000); a flow has no more of them than it leaves to others. Over
    /// either a request is answered 503 with Retry-After.
    pub transactions: usize,
}

/// How many times the bound of an element an element may be that is skipped rather than ending its stream (16): its
/// sender is told, and the others on the stream are not harmed. It costs no memory.
pub const SKIPPED_ELEMENTS: usize = 16;

/// Bounds of the XML reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlLimits {
    /// Octets of one first-level element of a stream, or of a document (262,144; RFC 6120 §13.12 forbids under 10,000).
    pub element_bytes: usize,
    /// Octets from the start of a stream to the end of its opening tag (4,096).
    pub header_bytes: usize,
    /// Nesting below the stream's root, or of a document (64).
    pub depth: usize,
    /// Attributes of one element, namespace declarations included (32).
    pub attributes: usize,
    /// Octets of one element or attribute name with its prefix (256).
    pub name_bytes: usize,
    /// Octets of one tag with all its attributes (16,384: honest ones stay under one kilobyte, and no single attribute
    /// fills the whole allowance of an element).
    pub tag_bytes: usize,
}

/// Bounds of XMPP streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmppLimits {
    /// Octets that a peer may send before it is authenticated (16,384).
    pub unauthenticated_bytes: usize,
    /// Time from connection to authentication (60 s).
    pub establish: Duration,
    /// Quiet time after which a stream is closed (600 s).
    pub idle: Duration,
    /// Quiet time after which a keepalive is sent (300 s).
    pub keepalive: Duration,
    /// Time for a peer to close its side once we closed ours (5 s; RFC 6120 §4.4 leaves "reasonable" to us).
    pub closing: Duration,
    /// SASL attempts that may fail on one stream (3).
    pub sasl_failures: u32,
    /// Domain pairs of one stream, proven or waiting for dialback, and questions to authoritative servers that may be
    /// under way for one address at once (100).
    pub pending_dialback: usize,
    /// Questions to authoritative servers that may be under way for everybody at once (1,000): one address cannot take
    /// them all.
    pub pending_verifications: usize,
    /// Domain pairs that may be refused on one stream before it is closed (100): nobody honest is refused so often.
    pub refused_pairs: usize,
    /// Stanzas that wait while a stream is set up (1,000).
    pub queued_stanzas: usize,
    /// Octets of the stanzas that wait for one link, about (8 MiB).
    pub queued_bytes: usize,
    /// Streams alive at once that others opened, and as many that we opened, on each side (1,000).
    pub connections: usize,
    /// Of the streams that others opened, those on which nothing is proven yet (500, and never over half of them unless
    /// the configuration says so).
    pub strangers: usize,
    /// Of them, those from one address, or one /64 of IPv6 (400, and likewise never over four fifths).
    pub strangers_of_network: usize,
    /// How long a peer over its rate is held back before what it sends is refused (2 s).
    pub held_back: Duration,
    /// Streams alive at once with one foreign domain (20).
    pub connections_per_domain: usize,
    /// The first pause of a link after a failure (200 ms); letters that come within it are given back at once.
    pub first_pause: Duration,
    /// The longest pause between tries to reach a peer (300 s).
    pub longest_pause: Duration,
    /// The longest pause between tries to reach a node of ours (10 s: one that is back is found again within it).
    pub longest_pause_of_node: Duration,
    /// Time for a peer to answer a request for acknowledgement before it is taken for dead (60 s; XEP-0198).
    pub acknowledge: Duration,
    /// The least time between keepalives, however impatient a peer says it is (5 s; XEP-0478).
    pub least_keepalive: Duration,
    /// Stanzas of one stream that may wait to be acknowledged (1,000; XEP-0198); over it nothing more is written.
    pub unacknowledged: usize,
}

/// Bounds of the gateway core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayLimits {
    /// Messages that wait for their outcome at once (10,000), in each shard.
    pub pending_messages: usize,
    /// Octets that they take together, about (64 MiB), in each shard.
    pub pending_bytes: usize,
    /// How long the gateway waits for the XMPP side to confirm or refuse a stanza before it takes silence for
    /// success on a live stream (3 s; specification: interworking §4).
    pub confirm: Duration,
    /// How long a message that goes on as it came may wait for others before the far end is asked whether it has it
    /// (20 ms): nobody waits for the answer, and each question is one more stanza to write and to read.
    pub gather: Duration,
    /// How long a message may wait in all before its sender is told that it failed (30 s: below SIP timer F, so that
    /// the SIP side hears from us and not from its own timer).
    pub deliver: Duration,
    /// Octets of a whole SIP MESSAGE request outside a session, head and body, for a peer that is not known to take more
    /// (1,300: RFC 3428 §8).
    pub pager_message_bytes: usize,
    /// Conversations between users of SIP and XMPP that are remembered at once (10,000), in each shard.
    pub conversations: usize,
    /// Octets that they and their sessions take together, about (64 MiB), in each shard: a route set alone may have
    /// kilobytes. Over it no session begins.
    pub conversation_bytes: usize,
    /// Quiet time after which a conversation is forgotten and its sessions end (600 s).
    pub conversation: Duration,
    /// How long an invitation to a session may wait for its answer, and the texts behind it with it (90 s: a client may ask
    /// its user first).
    pub invite: Duration,
    /// How often a session says that it is still there, where its other end wants that (1,800 s; RFC 4028 §4).
    pub session_interval: Duration,
    /// The shortest interval that a peer may ask for (90 s: RFC 4028 §4).
    pub session_least: Duration,
    /// Messages of which their senders asked to be told, and were not told yet (10,000), in each shard; for more the oldest
    /// are forgotten.
    pub receipts: usize,
    /// How long a receipt may be waited for (a day: a user who was away reads in the morning).
    pub receipt: Duration,
    /// Queries between XMPP domains that wait for their answers at once (100,000); one more is refused.
    pub queries: usize,
    /// How long a query may wait for its answer (600 s: some are answered by people).
    pub query: Duration,
    /// How long the server of a forwarded message may be silent after it was written, before that is a failure (60 s, as
    /// for an acknowledgement: the first answer may have to wait for streams to be opened).
    pub silence: Duration,
    /// Error stanzas that are kept until they have arrived (10,000), in each shard; one more is sent once.
    pub notices: usize,
    /// Of them, those for one link (1,000): who cannot be reached takes no room from others.
    pub notices_of_link: usize,
    /// Octets that they take together, about (16 MiB), in each shard.
    pub notice_bytes: usize,
    /// How long an error about a message is kept and sent again (600 s: twice the longest pause of a link).
    pub notice: Duration,
    /// Bounds of presence.
    pub presence: PresenceLimits,
}

/// Bounds of presence across the protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceLimits {
    /// Pairs of users who see each other that are remembered at once (100,000), in each shard.
    pub relations: usize,
    /// Of them, those in which somebody sees who was let in by nobody (1,000), in each shard.
    pub adhoc: usize,
    /// For how long he sees (3,600 s), each time that he asks.
    pub adhoc_time: Duration,
    /// The least time between two changes that one watcher is told (5 s: RFC 3856 §6.10).
    pub pause: Duration,
    /// Changes that all watchers together, of SIP and of XMPP, are told in a second (1,000); the rest waits its turn, and the last
    /// state of each is told.
    pub changes: NonZeroU32,
    /// For how long we subscribe, and others where they do not say (3,600 s: RFC 3856 §6.4).
    pub expires: Duration,
    /// The shortest subscription that is taken (60 s).
    pub least: Duration,
    /// The longest subscription that is given (86,400 s).
    pub most: Duration,
}

/// Bounds of sockets, queues and tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetLimits {
    /// Connections alive at once over all listeners (10,000).
    pub connections: usize,
    /// Time for a TLS handshake (10 s).
    pub handshake: Duration,
    /// Time from the handshake to the first whole message, or to the header of an XMPP stream (30 s).
    pub first_message: Duration,
    /// Time to connect to one address (5 s).
    pub connect: Duration,
    /// Entries of each bounded queue between tasks (1,024).
    pub queue: usize,
    /// Octets of the messages that wait for one shard, about (32 MiB); over it flows are held back.
    pub queue_bytes: usize,
    /// Octets waiting to be written to one connection (1 MiB); over it the connection is too slow and is closed.
    pub write_buffer: usize,
    /// Quiet time after which an idle SIP connection is closed (600 s).
    pub sip_idle: Duration,
    /// Quiet time after which a SIP connection that we opened is pinged (120 s: RFC 5626 §4.4.1).
    pub sip_keepalive: Duration,
    /// Time given to an orderly stop (10 s).
    pub drain: Duration,
}

impl Default for SipLimits {
    fn default() -> Self {
        Self {
            message_bytes: 65_536,
            head_bytes: 32_768,
            line_bytes: 16_384,
            header_fields: 128,
            values_of_a_kind: 100,
            transactions: 10_000,
        }
    }
}

impl Default for XmlLimits {
    fn default() -> Self {
        Self {
            element_bytes: 262_144,
            header_bytes: 4_096,
            depth: 64,
            attributes: 32,
            name_bytes: 256,
            tag_bytes: 16_384,
        }
    }
}

impl Default for XmppLimits {
    fn default() -> Self {
        Self {
            unauthenticated_bytes: 16_384,
            establish: Duration::from_secs(60),
            idle: Duration::from_secs(600),
            keepalive: Duration::from_secs(300),
            closing: Duration::from_secs(5),
            sasl_failures: 3,
            pending_dialback: 100,
            pending_verifications: 1_000,
            refused_pairs: 100,
            queued_stanzas: 1_000,
            queued_bytes: 8 << 20,
            connections: 1_000,
            strangers: 500,
            strangers_of_network: 400,
            held_back: Duration::from_secs(2),
            connections_per_domain: 20,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(300),
            longest_pause_of_node: Duration::from_secs(10),
            acknowledge: Duration::from_secs(60),
            least_keepalive: Duration::from_secs(5),
            unacknowledged: 1_000,
        }
    }
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            pending_messages: 10_000,
            pending_bytes: 64 << 20,
            confirm: Duration::from_secs(3),
            gather: Duration::from_millis(20),
            deliver: Duration::from_secs(30),
            pager_message_bytes: 1_300,
            conversations: 10_000,
            conversation_bytes: 64 << 20,
            conversation: Duration::from_secs(600),
            invite: Duration::from_secs(90),
            session_interval: Duration::from_secs(1_800),
            session_least: Duration::from_secs(90),
            receipts: 10_000,
            receipt: Duration::from_secs(86_400),
            queries: 100_000,
            query: Duration::from_secs(600),
            silence: Duration::from_secs(60),
            notices: 10_000,
            notices_of_link: 1_000,
            notice_bytes: 16 << 20,
            notice: Duration::from_secs(600),
            presence: PresenceLimits::default(),
        }
    }
}

impl Default for PresenceLimits {
    fn default() -> Self {
        Self {
            relations: 100_000,
            adhoc: 1_000,
            adhoc_time: Duration::from_secs(3_600),
            pause: Duration::from_secs(5),
            changes: NonZeroU32::MIN.saturating_add(999),
            expires: Duration::from_secs(3_600),
            least: Duration::from_secs(60),
            most: Duration::from_secs(86_400),
        }
    }
}

impl Default for NetLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            handshake: Duration::from_secs(10),
            first_message: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            queue: 1_024,
            queue_bytes: 32 << 20,
            write_buffer: 1 << 20,
            sip_idle: Duration::from_secs(600),
            sip_keepalive: Duration::from_secs(120),
            drain: Duration::from_secs(10),
        }
    }
}
