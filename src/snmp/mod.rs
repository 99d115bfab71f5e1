//! The SNMP agent: how the proxy is, for the monitoring of the network. A process of its own (`vestibule-snmpd`).
//!
//! It looks at the proxy by the control socket every few seconds and answers from what it saw last, so that a walk costs the
//! proxy nothing and the proxy's process has no SNMP in it. Read only. `gate` lets in who may ask, `library` is all that knows
//! the crate which speaks SNMP, `objects` says what there is, in the order of `tree`; `changes` are what receivers are told.
//!
//! RFC 3410 to 3418 (SNMPv3), RFC 1901 (SNMPv2c, where it is switched on), RFC 2788 (NETWORK-SERVICES-MIB).

mod ask;
mod changes;
mod engine;
mod gate;
mod library;
mod objects;
mod oid;
mod peek;
mod poll;
mod settings;
mod status;
mod tree;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use engine::{EngineError, EngineFile};
pub use objects::Identity;
pub use settings::{Auth, Community, Credentials, Privacy, Sink, Snmp, User};

use gate::{Gate, Guests};
use library::{Agent, Sender};
use poll::Poll;
use tree::Current;

use crate::net::world;
use crate::supervise::Supervisor;

/// The socket of the agent: bound while we still may.
#[derive(Debug)]
pub struct Front(UdpSocket);

/// What the agent is to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// By the configuration.
    pub settings: Snmp,
    /// Who it is.
    pub identity: Identity,
    /// The control socket of the proxy.
    pub control: PathBuf,
    /// Where its identity as an engine lies.
    pub engine: EngineFile,
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum SnmpError {
    /// It has no identity.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The system refuses.
    #[error("the SNMP agent cannot use its socket: {0}")]
    Socket(#[from] io::Error),
    /// The library does.
    #[error("the SNMP agent cannot go on: {0}")]
    Library(String),
}

impl Front {
    /// Binds it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }
}

/// Answers until `stop` is cancelled.
///
/// # Errors
/// [`SnmpError`]: what keeps it from starting or from going on.
pub async fn serve(front: Front, plan: Plan, stop: CancellationToken) -> Result<(), SnmpError> {
    let supervisor = Supervisor::new();
    let (current, guests) = (Current::default(), Guests::default());
    let settings = Arc::new(plan.settings);
    let engine = library::start_engine(&plan.engine)?;
    let senders = Sender::of(&settings, &engine);
    let started = world::now();
    let tree = Arc::new(current.clone());
    let agent = Agent::start(&settings, tree, guests.clone(), engine, stop.clone())
        .await
        .map_err(|error| SnmpError::Library(error.to_string()))?;
    let (id, boots) = agent.engine();
    tracing::info!(
        address = %settings.listen, engine_id = format!("0x{}", engine::hexadecimal(id)), boots,
        version = env!("CARGO_PKG_VERSION"), "the SNMP agent answers"
    );
    let gate = Gate {
        front: Arc::new(tokio::net::UdpSocket::from_std(front.0)?),
        settings,
        guests,
        agent: agent.address(),
        supervisor: supervisor.clone(),
    };
    supervisor.spawn("snmp_gate", gate.run(stop));
    let poll = Poll {
        control: plan.control,
        identity: plan.identity,
        current,
        senders,
        started,
    };
    supervisor.spawn("snmp_poll", poll.run());
    let ended = agent.run().await;
    supervisor.abort();
    supervisor.ended().await;
    ended.map_err(|error| SnmpError::Library(error.to_string()))
}
