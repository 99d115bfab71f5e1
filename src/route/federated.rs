//! Whom we talk to: the entries for foreign domains.

use super::{Protocol, StaticRoute, TlsName};
use crate::domain::{Domain, DomainPattern};
use crate::policy::rate::Rate;
use crate::policy::security::Security;
use crate::sip::proxy::Terms;

/// An entry for a foreign domain, or for all that a pattern covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federated {
    /// The domains.
    pub pattern: DomainPattern,
    /// For people: console, doctor, logs.
    pub description: String,
    /// Which protocols it may be reached by.
    pub protocol: Speaks,
    /// How its SIP or XMPP differs from the standards.
    pub profile: Profile,
    /// Static routes, which go before DNS.
    pub routes: Vec<StaticRoute>,
    /// The clearing house that it stands behind.
    pub via: Option<Domain>,
    /// The TLS context; `None` is the default of the outside.
    pub tls: Option<TlsName>,
    /// How it is authenticated on XMPP.
    pub xmpp: XmppSecurity,
    /// How much it may ask of us; `None` is without limit.
    pub rate: Option<Rate>,
    /// How many dialogs it may begin on SIP.
    pub dialogs: Option<Rate>,
    /// How fast our requests go to it on SIP; `None` is as fast as they come.
    pub outbound: Option<Rate>,
    /// Whether its A and AAAA records are used where it has no SRV records, on SIP.
    pub address_fallback: AddressFallback,
    /// What of SIP passes to and from it.
    pub terms: Terms,
}

/// Which protocols a foreign domain may be reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speaks {
    /// This one.
    Only(Protocol),
    /// What DNS offers; the preferred protocol is asked for first, or where there is no preference that of the sender
    /// (specification: interworking §1).
    Auto(Option<Protocol>),
}

/// A kind of peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// SIP with SIMPLE, as in the RFCs.
    Simple,
    /// OCS, Lync, Skype for Business, Office 365.
    Microsoft,
    /// AOL's clearing house.
    Aol,
    /// XMPP, as in the RFCs.
    Xmpp,
}

/// How a domain is authenticated on XMPP, by who opened the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct XmppSecurity {
    /// Streams that it opens.
    pub inbound: Security,
    /// Streams that we open.
    pub outbound: Security,
}

/// Whether a SIP domain without SRV and NAPTR records is reached by its address records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressFallback {
    /// Yes.
    Allowed,
    /// No: it is then not found.
    Forbidden,
}

impl Federated {
    /// An entry with nothing but its domains: what a domain that policy allows, but nobody listed, is treated as.
    #[must_use]
    pub fn unlisted(pattern: DomainPattern) -> Self {
        Self {
            pattern,
            description: String::new(),
            protocol: Speaks::Auto(None),
            profile: Profile::Xmpp,
            routes: Vec::new(),
            via: None,
            tls: None,
            xmpp: XmppSecurity::STANDARD,
            rate: None,
            dialogs: None,
            outbound: None,
            address_fallback: AddressFallback::Forbidden,
            terms: Terms::default(),
        }
    }
}

impl XmppSecurity {
    /// TLS required, SASL before dialback, both ways.
    pub const STANDARD: Self = Self {
        inbound: Security::STANDARD,
        outbound: Security::STANDARD,
    };
}

impl Speaks {
    /// Whether the protocol may be used.
    #[must_use]
    pub fn includes(self, protocol: Protocol) -> bool {
        match self {
            Self::Only(only) => only == protocol,
            Self::Auto(_) => true,
        }
    }

    /// The protocol of the entry's static routes: the preferred one, and SIP where none is preferred.
    #[must_use]
    pub fn of_static_routes(self) -> Protocol {
        match self {
            Self::Only(protocol) => protocol,
            Self::Auto(preferred) => preferred.unwrap_or(Protocol::Sip),
        }
    }

    /// The protocols in the order in which they are tried for a sender that speaks `origin`.
    #[must_use]
    pub fn order(self, origin: Protocol) -> Vec<Protocol> {
        let first = match self {
            Self::Only(only) => return vec![only],
            Self::Auto(preferred) => preferred.unwrap_or(origin),
        };
        match first {
            Protocol::Sip => vec![Protocol::Sip, Protocol::Xmpp],
            Protocol::Xmpp => vec![Protocol::Xmpp, Protocol::Sip],
        }
    }
}

impl Profile {
    /// The word of the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Microsoft => "microsoft",
            Self::Aol => "aol",
            Self::Xmpp => "xmpp",
        }
    }
}
