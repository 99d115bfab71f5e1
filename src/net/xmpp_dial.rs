//! Opening a connection to an XMPP server: TCP, TLS where it is direct, and the machine that speaks on it.

use std::sync::Arc;

use rustls::pki_types::ServerName;

use super::accept::FlowId;
use super::proof::Proof;
use super::tls::{self, Wire};
use super::world::{self, World};
use super::xmpp_driver::{Driver, Machine, Secure};
use super::{connect, discover, xmpp_terms};
use crate::gateway::Trouble;
use crate::identity::chain::Usage;
use crate::pki::Alpn;
use crate::route::{Side, Target, Transport};
use crate::xmpp::stream::{Initiating, PeerCertificate, Purpose, Start, TlsFacts};

/// The machine of a stream that we open.
pub(super) fn initiating(world: &World, start: Start, purpose: Purpose, secure: &Secure) -> Machine {
    let border = world.border();
    let (Purpose::Stanzas { remote, .. } | Purpose::Verify { remote, .. }) = &purpose;
    let terms = match border.table().local(remote) {
        Some(local) => xmpp_terms::towards_node(local, secure),
        None => xmpp_terms::towards_peer(&border, remote, secure),
    };
    let machine = Initiating::new(
        world::now(),
        start,
        purpose,
        terms,
        world.dialback.clone(),
        &world.limits(),
    );
    Machine::Initiating(Box::new(machine))
}

/// Connects to a target, with TLS where it is direct, and starts a machine on the connection.
pub(super) async fn dial(
    world: &Arc<World>,
    target: &Target,
    machine: impl FnOnce(Start, &Secure) -> Machine,
) -> Result<Driver, Trouble> {
    let limits = world.limits();
    let addresses = discover::addresses(world, target).await?;
    let (socket, address) = connect::first(&addresses, limits.net.connect)
        .await
        .map_err(|error| {
            tracing::info!(peer = %target.domain, %target, %error, "an XMPP server cannot be connected to");
            Trouble::Unreachable
        })?;
    // Inside, TLS is spoken only where the domain names a context: a node on the same host often has none.
    let context = match target.side {
        Side::Inside => world.context_of(target.tls.as_ref()),
        Side::Outside => world.context(target.tls.as_ref(), target.side),
    };
    let name = server_name(target, address.ip());
    let (wire, proof, secure, start) = match (target.transport, context) {
        (Transport::Tls, Some(context)) => {
            let within = limits.net.handshake;
            let secured = tls::connect(socket, &context, name.clone(), Alpn::XmppServer, within).await;
            let (wire, facts) = secured.map_err(|error| {
                world.metrics.tls_failed(target.side, error.reason());
                tracing::warn!(peer = %target.domain, %target, %error, "TLS with an XMPP server failed");
                Trouble::Untrusted
            })?;
            let certificate = if facts.chain.is_empty() {
                PeerCertificate::Absent
            } else {
                PeerCertificate::Shown
            };
            let proof = Proof::tls(world, Arc::clone(&context), facts, Usage::Server, address);
            (
                wire,
                proof,
                Secure::Client(context, name),
                Start::Tls(TlsFacts { certificate }),
            )
        }
        (Transport::Tls, None) => {
            tracing::warn!(%target, "there is no TLS context for this side: name one with tls = \"...\"");
            return Err(Trouble::Untrusted);
        }
        (Transport::Tcp | Transport::Udp, context) => {
            let secure = context.map_or(Secure::Never, |context| Secure::Client(context, name));
            (Wire::Plain(socket), Proof::none(address), secure, Start::Plain)
        }
    };
    let machine = machine(start, &secure);
    let place = (target.side, FlowId::fresh(), address);
    Ok(Driver::new(world, machine, wire, secure, proof, place))
}

/// What SNI says: the domain that is meant (RFC 6120 §13.7.2.1), which is also what the certificate has to prove.
fn server_name(target: &Target, address: std::net::IpAddr) -> ServerName<'static> {
    ServerName::try_from(target.domain.as_str().to_owned())
        .unwrap_or_else(|_| ServerName::IpAddress(address.into()))
}
