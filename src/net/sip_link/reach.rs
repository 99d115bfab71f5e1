//! Connecting to one SIP server: TCP, TLS, and the check that it is the one that was meant.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::domain::Domain;
use crate::gateway::Trouble;
use crate::identity::chain::Usage;
use crate::net::accept::FlowId;
use crate::net::discover::{self, Purpose};
use crate::net::proof::{self, Proof};
use crate::net::pump::Pump;
use crate::net::sip_flow::Carrier;
use crate::net::sip_udp;
use crate::net::tls::{self, Wire};
use crate::net::world::World;
use crate::pki::Alpn;
use crate::route::{Host, Protocol, Target, Transport};
use crate::sip;

/// What a new connection leads to.
#[derive(Debug)]
pub(in crate::net) struct Reached {
    pub(in crate::net) proof: Proof,
    pub(in crate::net) transport: sip::Transport,
    pub(in crate::net) address: SocketAddr,
}

/// Connects to a target, and makes sure that over TLS it is the one that was meant (RFC 5922 §7.3).
pub(in crate::net) async fn reach(
    world: &World,
    target: &Target,
    purpose: Purpose,
) -> Result<(Wire, Reached), Trouble> {
    let (wire, mut reached) = connect(world, target, purpose).await?;
    if target.transport == Transport::Tls {
        let next_hop = [proof::reference(&target.host)];
        let proven = reached.proof.sip(&target.domain, target.tls.as_ref(), &next_hop);
        if let Err(unproven) = proven {
            world
                .metrics
                .refused(target.side, Protocol::Sip, unproven.class());
            const WHY: &str =
                "the certificate of a SIP server does not prove that it is the one that was meant";
            let class = unproven.class();
            match purpose {
                Purpose::Traffic => {
                    tracing::warn!(peer = %target.domain, %target, class, why = %unproven, "{WHY}");
                }
                Purpose::Look => {
                    tracing::debug!(peer = %target.domain, %target, class, why = %unproven, "{WHY}");
                }
            }
            return Err(Trouble::Untrusted);
        }
    }
    Ok((wire, reached))
}

/// Reaches a target for `remote` by what carries SIP to it.
pub(super) async fn carrier(
    world: &World,
    (remote, target): (&Domain, &Target),
    id: FlowId,
    purpose: Purpose,
) -> Result<(Carrier, Reached), Trouble> {
    match target.transport {
        Transport::Tls | Transport::Tcp => {
            let (wire, reached) = reach(world, target, purpose).await?;
            let limits = world.limits();
            let pump = Pump::new(wire, limits.net.write_buffer);
            Ok((Carrier::stream(pump, &limits.sip), reached))
        }
        Transport::Udp => {
            let address = discover::datagrams(world, target, purpose).await?;
            let opened = sip_udp::open(world, target.side, address, id).await;
            let datagrams = opened.map_err(|error| {
                tracing::warn!(peer = %remote, %target, %error, "nothing can be sent to a SIP server over UDP");
                Trouble::Unreachable
            })?;
            let reached = Reached {
                proof: Proof::none(world, address),
                transport: sip::Transport::Udp,
                address,
            };
            Ok((Carrier::Datagrams(datagrams), reached))
        }
    }
}

/// Connects to a target over TCP. What it proves is not looked at yet.
pub(in crate::net) async fn connect(
    world: &World,
    target: &Target,
    purpose: Purpose,
) -> Result<(Wire, Reached), Trouble> {
    let limits = world.limits();
    let (socket, address) = discover::connect(world, target, purpose).await?;
    let (wire, proof, transport) = match target.transport {
        Transport::Tls => {
            let (wire, proof) =
                secure(world, (target, purpose), socket, address, limits.net.handshake).await?;
            (wire, proof, sip::Transport::Tls)
        }
        Transport::Tcp | Transport::Udp => (
            Wire::Plain(socket),
            Proof::none(world, address),
            sip::Transport::Tcp,
        ),
    };
    let reached = Reached {
        proof,
        transport,
        address,
    };
    Ok((wire, reached))
}

/// TLS towards a server.
async fn secure(
    world: &World,
    (target, purpose): (&Target, Purpose),
    socket: TcpStream,
    address: SocketAddr,
    within: Duration,
) -> Result<(Wire, Proof), Trouble> {
    let Some(context) = world.context(target.tls.as_ref(), target.side) else {
        tracing::warn!(%target, "there is no TLS context for this side: name one with tls = \"...\"");
        return Err(Trouble::Untrusted);
    };
    let shown = match &target.host {
        Host::Name(name) => ServerName::try_from(name.as_str().to_owned()),
        Host::Address(_) => ServerName::try_from(target.domain.as_str().to_owned()),
    };
    let name = shown.unwrap_or_else(|_| ServerName::IpAddress(address.ip().into()));
    match tls::connect(socket, &context, name, Alpn::None, None, within).await {
        Ok((wire, facts)) => Ok((wire, Proof::tls(world, context, facts, Usage::Server, address))),
        Err(error) => {
            world.metrics.tls_failed(target.side, error.reason());
            let class = error.reason();
            match purpose {
                Purpose::Traffic => {
                    tracing::warn!(peer = %target.domain, %target, class, %error, "TLS with a SIP server failed");
                }
                Purpose::Look => {
                    tracing::debug!(peer = %target.domain, %target, class, %error, "TLS with a SIP server failed");
                }
            }
            Err(error.trouble())
        }
    }
}
