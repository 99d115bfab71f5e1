//! Opening a connection to an XMPP server: TCP, TLS where it is direct, and the machine that speaks on it.

use std::sync::Arc;

use rustls::pki_types::ServerName;

use super::accept::FlowId;
use super::proof::Proof;
use super::tls::{self, Wire};
use super::world::{self, World};
use super::xmpp_driver::{Driver, Secure, Turn};
use super::xmpp_machine::Machine;
use super::{discover, xmpp_terms};
use crate::domain::Domain;
use crate::gateway::Trouble;
use crate::identity::chain::Usage;
use crate::pki::Alpn;
use crate::refusal::Refuse as _;
use crate::route::{Side, Target, Transport};
use crate::xmpp::component::Component;
use crate::xmpp::stream::{Event, Initiating, PeerCertificate, Purpose, Start, StreamRefusal, TlsFacts};

/// The machine of a stream that we open.
fn initiating(world: &World, start: Start, purpose: Purpose, secure: &Secure) -> Machine {
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

/// Opens a stream to a target and waits until it may carry stanzas, or has verified what it was opened for; gives the
/// event that says so.
///
/// Where TLS is optional and fails, a new connection without it follows: nothing can be said on the old one any more.
///
/// # Errors
/// [`Trouble`] where the target cannot be reached, does not let us in, or cannot be trusted.
pub(super) async fn establish(
    world: &Arc<World>,
    target: &Target,
    purpose: &Purpose,
) -> Result<(Driver, Event), Trouble> {
    match attempt(world, target, purpose, Encryption::AsConfigured).await {
        Err(Failed::Tls(_))
            if target.side == Side::Outside
                && target.transport == Transport::Tcp
                && xmpp_terms::may_go_without_tls(&world.border(), purpose) =>
        {
            tracing::warn!(peer = %target.domain, %target, "TLS with an XMPP server failed and is optional: it is spoken to in the clear");
            attempt(world, target, purpose, Encryption::Without).await
        }
        opened => opened,
    }
    .map_err(|failed| match failed {
        Failed::Tls(trouble) | Failed::Otherwise(trouble) => trouble,
    })
}

/// Connects to a node's component port and waits until the component is attached.
///
/// # Errors
/// [`Trouble`] where the node cannot be reached or does not let us in.
pub(super) async fn attach(
    world: &Arc<World>,
    target: &Target,
    own: &Domain,
    machine: Component,
) -> Result<Driver, Trouble> {
    let machine = Machine::Component(Box::new(machine));
    let driver = dial(world, target, own, Encryption::Without, |_, _| machine).await?;
    match opened(driver, target).await {
        Ok((driver, _)) => Ok(driver),
        Err(Failed::Tls(trouble) | Failed::Otherwise(trouble)) => Err(trouble),
    }
}

/// Whether TLS is spoken on a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encryption {
    /// As target and terms have it.
    AsConfigured,
    /// It is not.
    Without,
}

/// Why no stream came about.
enum Failed {
    /// TLS, or the certificate shown in it.
    Tls(Trouble),
    Otherwise(Trouble),
}

async fn attempt(
    world: &Arc<World>,
    target: &Target,
    purpose: &Purpose,
    encryption: Encryption,
) -> Result<(Driver, Event), Failed> {
    let dialed = dial(world, target, purpose.local(), encryption, |start, secure| {
        initiating(world, start, purpose.clone(), secure)
    });
    opened(dialed.await.map_err(Failed::Otherwise)?, target).await
}

/// Waits until a stream is of use.
async fn opened(mut driver: Driver, target: &Target) -> Result<(Driver, Event), Failed> {
    let mut failed = Failed::Otherwise(Trouble::Refused);
    // To its end, so that the peer is told why.
    while let Some(turn) = driver.next().await {
        let Turn::Event(event) = turn else { continue };
        driver.log(&event);
        match event {
            Event::Authenticated { .. } | Event::Verified(_) => return Ok((driver, event)),
            Event::Refused(refusal) => {
                tracing::warn!(peer = %target.domain, %target, class = refusal.class(), why = %refusal, "no stream with an XMPP server");
                let is_of_tls = matches!(
                    refusal,
                    StreamRefusal::TlsUnavailable | StreamRefusal::CertificateUnproven
                );
                let is_late = matches!(
                    refusal,
                    StreamRefusal::HeaderTimeout
                        | StreamRefusal::EstablishTimeout
                        | StreamRefusal::DialbackUnchecked(_)
                );
                failed = match (is_of_tls, is_late) {
                    (true, _) => Failed::Tls(Trouble::Untrusted),
                    (false, true) => Failed::Otherwise(Trouble::Timeout),
                    (false, false) => Failed::Otherwise(Trouble::Untrusted),
                };
            }
            Event::Stanza(_)
            | Event::Acknowledged(_)
            | Event::Answer(_)
            | Event::Unanswered
            | Event::PairRefused { .. }
            | Event::Ending
            | Event::Closed(_) => {}
        }
    }
    Err(driver.tls_failure().map_or(failed, Failed::Tls))
}

/// Connects to a target, with TLS where it is direct, and starts a machine on the connection. `own` is the domain of ours
/// that it speaks for.
async fn dial(
    world: &Arc<World>,
    target: &Target,
    own: &Domain,
    encryption: Encryption,
    machine: impl FnOnce(Start, &Secure) -> Machine,
) -> Result<Driver, Trouble> {
    let limits = world.limits();
    let (socket, address) = discover::connect(world, target, discover::Purpose::Traffic).await?;
    // Inside, TLS is spoken only where the domain names a context: a node on the same host often has none.
    let context = match target.side {
        Side::Inside | Side::Outside if encryption == Encryption::Without => None,
        Side::Inside => world.context_of(target.tls.as_ref()),
        Side::Outside => world.context(target.tls.as_ref(), target.side),
    };
    let name = server_name(target, address.ip());
    let client = |context, name| Secure::Client {
        context,
        name,
        own: own.clone(),
    };
    let (wire, proof, secure, start) = match (target.transport, context) {
        (Transport::Tls, Some(context)) => {
            let within = limits.net.handshake;
            let secured = tls::connect(
                socket,
                &context,
                name.clone(),
                Alpn::XmppServer,
                Some(own),
                within,
            )
            .await;
            let (wire, facts) = secured.map_err(|error| {
                world.metrics.tls_failed(target.side, error.reason());
                tracing::warn!(peer = %target.domain, %target, %error, "TLS with an XMPP server failed");
                error.trouble()
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
                client(context, name),
                Start::Tls(TlsFacts { certificate }),
            )
        }
        (Transport::Tls, None) => {
            tracing::warn!(%target, "there is no TLS context for this side: name one with tls = \"...\"");
            return Err(Trouble::Untrusted);
        }
        (Transport::Tcp | Transport::Udp, context) => {
            let secure = context.map_or(Secure::Never, |context| client(context, name));
            (
                Wire::Plain(socket),
                Proof::none(world, address),
                secure,
                Start::Plain,
            )
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
