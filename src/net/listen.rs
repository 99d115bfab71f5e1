//! Listening sockets: bound before anything else happens, so that a wrong address is a start-up error.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::settings::{Listener, Transport};

/// A bound socket.
#[derive(Debug)]
pub enum Bound {
    /// It listens for connections.
    Stream(TcpListener),
    /// It takes datagrams.
    Datagrams(UdpSocket),
}

/// Binds the socket of a listener.
///
/// # Errors
/// Those of the operating system, such as an address in use.
pub fn of(listener: &Listener) -> io::Result<Bound> {
    match listener.transport {
        Transport::Tls | Transport::Tcp => bind(listener.address).map(Bound::Stream),
        Transport::Udp => bind_datagrams(listener.address).map(Bound::Datagrams),
    }
}

/// Binds and listens.
///
/// # Errors
/// Those of the operating system, such as an address in use.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Binds for datagrams. The address is not shared: another process could take what is ours.
///
/// # Errors
/// Those of the operating system, such as an address in use.
pub fn bind_datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // Each family has a listener of its own, so that an address means what it says.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Sets what every connection has: no waiting to fill packets, and keepalive so that a dead peer is noticed.
///
/// # Errors
/// Those of the operating system.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
const KEEPALIVE_AFTER: std::time::Duration = std::time::Duration::from_secs(120);
const KEEPALIVE_EVERY: std::time::Duration = std::time::Duration::from_secs(30);
/// A connection whose octets stay unacknowledged this long is dead.
const UNACKNOWLEDGED: std::time::Duration = std::time::Duration::from_secs(60);
