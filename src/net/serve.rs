//! What happens to an accepted connection: TLS where its listener has it, then the flow of its protocol.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::accept::{self, Accepted};
use super::listen::Bound;
use super::proof::Proof;
use super::pump::Pump;
use super::settings::Listener;
use super::sip_flow::{self, Carrier, Opened, SipFlow};
use super::tls::{self, Wire};
use super::world::World;
use super::{queue, sip_udp, xmpp_stream};
use crate::identity::chain::Usage;
use crate::pki::Alpn;
use crate::route::{Protocol, Transport};
use crate::sip;

/// Serves a bound socket: new connections, and new senders of datagrams, are taken until `accepting` is cancelled.
///
/// # Errors
/// Those of the operating system.
pub fn listen(
    world: &Arc<World>,
    socket: Bound,
    listener: Listener,
    accepting: &CancellationToken,
) -> io::Result<()> {
    match socket {
        Bound::Stream(socket) => connections(world, socket, listener, accepting),
        Bound::Datagrams(socket) => sip_udp::listen(world, socket, listener.side, accepting)?,
    }
    Ok(())
}

fn connections(world: &Arc<World>, socket: TcpListener, listener: Listener, accepting: &CancellationToken) {
    let (world, accepting) = (Arc::clone(world), accepting.clone());
    let (socket, listener) = (Arc::new(socket), Arc::new(listener));
    let supervisor = world.supervisor.clone();
    supervisor.keep("listener", move || {
        let (world, accepting) = (Arc::clone(&world), accepting.clone());
        let (socket, listener) = (Arc::clone(&socket), Arc::clone(&listener));
        async move {
            let (side, protocol) = (listener.side, listener.protocol);
            let places = world.places.of(side);
            let serving = Arc::clone(&world);
            let refused = move |remote: SocketAddr| {
                world.metrics.refused(side, protocol, "connection_limit");
                tracing::warn!(%remote, %side, "a connection is refused: the limit of connections is reached");
            };
            let accept = accept::run(socket, listener, places, move |stream, accepted| {
                let world = Arc::clone(&serving);
                serving.supervisor.spawn(name(protocol), connection(world, stream, accepted));
            }, refused);
            tokio::select! {
                () = accept => Err("accepting ended"),
                () = accepting.cancelled() => Ok(()),
            }
        }
    });
}

/// Each step is boxed: the task of a connection is as large as what it does now, and not as the largest of all.
async fn connection(world: Arc<World>, stream: TcpStream, accepted: Accepted) {
    let listener = Arc::clone(&accepted.listener);
    let (side, flow, remote) = (listener.side, accepted.flow, accepted.remote);
    let limits = world.limits();
    let alpn = match listener.protocol {
        Protocol::Sip => Alpn::None,
        Protocol::Xmpp => Alpn::XmppServer,
    };
    let place = match listener.protocol {
        Protocol::Sip => None,
        Protocol::Xmpp => match world.xmpp_places.accept(side, remote.ip(), &limits.xmpp) {
            Ok(place) => Some(place),
            Err(none) => {
                world.metrics.refused(side, Protocol::Xmpp, none.class());
                tracing::info!(%flow, %side, peer = %remote, class = none.class(), "an XMPP connection is refused: there is no place for it");
                if listener.transport != Transport::Tls {
                    xmpp_stream::refuse(&world, Wire::Plain(stream), &accepted).await;
                }
                return;
            }
        },
    };
    let secured = match listener.transport {
        Transport::Tls => {
            let Some(context) = world.context(listener.tls.as_ref(), side) else {
                tracing::error!(%side, listener = %listener.address, "the TLS context of this listener is gone");
                return;
            };
            let handshake = Box::pin(tls::accept(stream, &context, alpn, None, limits.net.handshake));
            match handshake.await {
                Ok((wire, facts)) => (wire, Proof::tls(&world, context, facts, Usage::Client, remote)),
                Err(error) => {
                    world.metrics.tls_failed(side, error.reason());
                    tracing::info!(%flow, %side, peer = %remote, class = error.reason(), %error, "TLS refused");
                    return;
                }
            }
        }
        Transport::Tcp | Transport::Udp => (Wire::Plain(stream), Proof::none(&world, remote)),
    };
    let (wire, proof) = secured;
    let alive = world.metrics.connection(side, listener.protocol, "accepted");
    match listener.protocol {
        Protocol::Sip => {
            let transport = match listener.transport {
                Transport::Tls => sip::Transport::Tls,
                Transport::Tcp | Transport::Udp => sip::Transport::Tcp,
            };
            let pump = Pump::new(wire, limits.net.write_buffer);
            let (sender, commands) = queue::bounded("sip_flow", limits.sip.transactions, &world.metrics);
            let sip = SipFlow {
                world: Arc::clone(&world),
                carrier: Carrier::stream(pump, &limits.sip),
                id: flow,
                side,
                remote,
                transport,
                opened: Opened::ByPeer,
                proof,
                alive,
            };
            tracing::debug!(%flow, %side, peer = %remote, "SIP flow accepted");
            if let Err(error) = Box::pin(sip_flow::run(sip, sender, commands)).await {
                tracing::info!(%flow, %side, peer = %remote, %error, "SIP flow broken");
            }
        }
        Protocol::Xmpp => {
            if let Some(place) = place {
                Box::pin(xmpp_stream::accepted(
                    &world,
                    wire,
                    &accepted,
                    proof,
                    (alive, place),
                ))
                .await;
            }
        }
    }
}

const fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Sip => "sip_flow",
        Protocol::Xmpp => "xmpp_stream",
    }
}
