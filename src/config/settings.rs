//! The checked configuration: what the proxy runs by.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::Domain;
use crate::firewall::Firewall;
pub use crate::gateway::Translation;
use crate::gateway::{Conduct, Unasked, Version};
use crate::interwork::passage::Mark;
use crate::interwork::presence::table::BusyAs;
use crate::limits::Limits;
use crate::net::settings::{Listener, Secret, TlsContext, TlsName};
use crate::observe::log::Format;
use crate::policy::Rules;
use crate::portmap::PortMap;
use crate::route::{Federated, Local, Nodes, Protocol, Side, Table, Transport};
use crate::sip::proxy::{Face, Inner, Proxy, Veil};
use crate::sip::{self, Host};
use crate::snmp::Snmp;

/// Everything that the proxy is told, in the types of the floors that use it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who we are and where our state lies.
    pub edge: Edge,
    /// Whom we ask for names.
    pub dns: Dns,
    /// Where we accept; never empty.
    pub listeners: Vec<Listener>,
    /// The ports that the process maps to nodes, in the order of the file.
    pub port_maps: Vec<PortMap>,
    /// The packet filter of this machine, which the proxy itself does not load.
    pub firewall: Firewall,
    /// Every TLS context by name; each name that another setting holds is in it.
    pub tls: BTreeMap<TlsName, TlsContext>,
    /// Who may exchange what with whom.
    pub rules: Rules,
    /// Where everything goes.
    pub table: Table,
    /// The local domains of `table`, in the order of the file.
    pub locals: Vec<Local>,
    /// The foreign domains of `table` that are listed, in the order of the file.
    pub federated: Vec<Federated>,
    /// Every bound.
    pub limits: Limits,
    /// XMPP for all domains.
    pub xmpp: Xmpp,
    /// Translation between SIP and XMPP.
    pub interworking: Interworking,
    /// The management side.
    pub admin: Admin,
    /// What the SNMP agent does, which is a process of its own; `None` is off.
    pub snmp: Option<Snmp>,
    /// What is logged, and how.
    pub log: Log,
}

impl Settings {
    /// What the border does beyond policy and routes; what the outside is not to see is hidden by `secret`.
    #[must_use]
    pub fn conduct(&self, secret: &[u8]) -> Conduct {
        Conduct {
            proxy: self.proxy(Veil::new(secret)).map(Arc::new),
            mark: Mark::new(secret, &self.edge.name),
            translation: self.interworking.translation,
            version: self.xmpp.version,
            unasked: self.xmpp.unasked,
            undeliverable: self.interworking.undeliverable.as_str().into(),
            faces: self.faces().into(),
            busy_as: self.interworking.busy_as,
        }
    }

    /// How requests go on between SIP nodes and peers; `None` where no listener inside serves SIP.
    fn proxy(&self, veil: Veil) -> Option<Proxy> {
        let faces = self.faces();
        let of = |side: Side| {
            faces
                .iter()
                .filter(move |(of, _)| *of == side)
                .map(|(_, face)| face.clone())
        };
        let inside: Vec<Face> = of(Side::Inside).collect();
        let outside = of(Side::Outside).next()?;
        (!inside.is_empty()).then(|| Proxy::new(veil, outside, inside, Inner::new(self.node_names())))
    }

    /// Where each side reaches us over SIP; over TLS first.
    fn faces(&self) -> Vec<(Side, Face)> {
        let Ok(name) = Host::parse(self.edge.name.as_str()) else {
            return Vec::new();
        };
        let of_sip = self
            .listeners
            .iter()
            .filter(|listener| listener.protocol == Protocol::Sip);
        let mut faces: Vec<_> = of_sip
            .map(|listener| {
                let transport = match listener.transport {
                    Transport::Tls => sip::Transport::Tls,
                    Transport::Tcp => sip::Transport::Tcp,
                    Transport::Udp => sip::Transport::Udp,
                };
                let host = match (listener.side, listener.address.ip()) {
                    (Side::Inside, IpAddr::V4(address)) if !address.is_unspecified() => Host::V4(address),
                    (Side::Inside, IpAddr::V6(address)) if !address.is_unspecified() => Host::V6(address),
                    (Side::Inside | Side::Outside, _) => name.clone(),
                };
                let port = Some(listener.address.port()).filter(|port| *port != transport.default_port());
                (listener.side, Face::new(transport, host, port))
            })
            .collect();
        faces.sort_by_key(|(side, face)| *side == Side::Outside && *face.transport() != sip::Transport::Tls);
        faces
    }

    /// The names and addresses of all nodes; of those that are found by SRV records, the name that the records are of,
    /// which names under it are found by, too. A name that the outside knows hides nobody.
    fn node_names(&self) -> Vec<String> {
        let is_known = |name: &Domain| {
            let own = self.locals.iter().map(|local| &local.domain);
            own.chain([&self.edge.name])
                .any(|known| known == name || known.is_below(name))
        };
        let hosts = self.locals.iter().flat_map(|local| match &local.nodes {
            Nodes::List(nodes) => nodes.iter().map(|node| node.host.to_string()).collect(),
            Nodes::Srv { name, .. } if is_known(name) => Vec::new(),
            Nodes::Srv { name, .. } => vec![name.to_string()],
        });
        hosts.collect()
    }
}

/// Who we are and where our state lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Our public host name: in Via, Record-Route and certificates.
    pub name: Domain,
    /// The folder of durable state; `None` where nothing is to outlive the process.
    pub state_dir: Option<PathBuf>,
    /// The user to become once the ports are bound, when started as root; `None` keeps the user.
    pub run_as: Option<String>,
}

/// Whom we ask for names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// The servers; empty for those of the operating system.
    pub servers: Vec<SocketAddr>,
}

/// XMPP for all domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xmpp {
    /// What dialback keys are made with (XEP-0185); `None` asks for a random one at each start.
    pub dialback_secret: Option<Secret>,
    /// Whether the software version is told.
    pub version: Version,
    /// What becomes of answers that nobody asked for.
    pub unasked: Unasked,
}

/// Translation between SIP and XMPP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interworking {
    /// Whether there is any.
    pub translation: Translation,
    /// What a user reads whose message could not be delivered.
    pub undeliverable: String,
    /// How somebody busy is shown to users of XMPP; `None` as the kind of peer is used to.
    pub busy_as: Option<BusyAs>,
}

/// The management side; it is never on an outside address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The control socket; `None` is off.
    pub control: Option<PathBuf>,
    /// Metrics and health over HTTP; `None` is off.
    pub metrics: Option<SocketAddr>,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How lines look.
    pub format: Format,
    /// A level, or a filter as `tracing` reads it; known to be valid.
    pub level: String,
    /// Whether bodies of messages may be logged.
    pub bodies: Bodies,
}

/// Whether bodies of messages may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// Never.
    Hidden,
    /// At level `trace`.
    Shown,
}
