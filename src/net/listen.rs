//! Listening sockets: bound before anything else happens, so that a wrong address is a start-up error.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

/// Binds and listens.
///
/// # Errors
/// Those of the operating system, such as an address in use.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // Each family has a listener of its own, so that an address means what it says.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
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
