//! Via: the way a request came, and the way its response goes back (RFC 3261 §18.2, §20.42, RFC 3581, RFC 5118 §4.5).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::error::Flaw;
use super::host::{Host, ipv6};
use super::lex::{self, Cursor};
use super::params::Params;
use super::uri::host_port;

/// One Via value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// Where it is not `SIP/2.0`: the grammar knows other protocols, and a response carries them back.
    protocol: Option<Box<str>>,
    transport: Transport,
    host: Host,
    port: Option<u16>,
    params: Params,
}

/// The transport of a hop.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the transports themselves")]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
    Sctp,
    Ws,
    Wss,
    /// A transport that we do not speak, as it was spelled.
    Other(Box<str>),
}

/// What a Via says of symmetric response routing (RFC 3581).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rport {
    /// Nothing.
    Absent,
    /// The sender asks for it.
    Asked,
    /// The receiver has filled in the port that the request came from.
    Port(u16),
}

/// Where a response goes (RFC 3261 §18.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseTarget {
    /// To this address.
    Address(SocketAddr),
    /// To this host, found by RFC 3263 §5: with a port by its addresses, without one by SRV.
    Name {
        /// The host name of `maddr` or sent-by.
        host: Host,
        /// The port of sent-by.
        port: Option<u16>,
    },
}

impl Via {
    /// A value of our own; `branch` begins with `z9hG4bK` and is unique in space and time (RFC 3261 §8.1.1.7).
    ///
    /// # Errors
    /// [`Flaw::Token`] where the branch is no token.
    pub fn new(transport: Transport, host: Host, port: Option<u16>, branch: &str) -> Result<Self, Flaw> {
        if !lex::is_token_text(branch) {
            return Err(Flaw::Token);
        }
        let mut params = Params::default();
        params.put("branch", Some(branch));
        Ok(Self {
            protocol: None,
            transport,
            host,
            port,
            params,
        })
    }

    /// Our hop in a request that is not on its way yet: whoever sends it puts one with a branch in its place.
    #[must_use]
    pub fn unsent(transport: Transport, host: Host) -> Self {
        Self {
            protocol: None,
            transport,
            host,
            port: None,
            params: Params::default(),
        }
    }

    /// Reads one value.
    ///
    /// # Errors
    /// The [`Flaw`] that was met first.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        let mut cursor = Cursor::new(text);
        let value = Self::read(&mut cursor)?;
        cursor.end()?;
        Ok(value)
    }

    /// The transport of this hop.
    #[must_use]
    pub const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The host of sent-by.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port of sent-by, where one is written.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The parameters as written.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The transaction's identifier; absent in RFC 2543 messages.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch")
    }

    /// The address that the request came from, where a receiver has noted it.
    #[must_use]
    pub fn received(&self) -> Option<IpAddr> {
        address(self.params.get("received")?)
    }

    /// What stands in `rport`.
    #[must_use]
    pub fn rport(&self) -> Rport {
        match self.params.get("rport").map(lex::port) {
            Some(Ok(port)) => Rport::Port(port),
            _ if self.params.contains("rport") => Rport::Asked,
            _ => Rport::Absent,
        }
    }

    /// The host in `maddr`.
    #[must_use]
    pub fn maddr(&self) -> Option<Host> {
        Host::parse(self.params.get("maddr")?).ok()
    }

    /// The same with a bare `rport`, to ask for symmetric routing (RFC 3581 §3).
    #[must_use]
    pub fn with_rport(mut self) -> Self {
        self.params.put("rport", None);
        self
    }

    /// The same with `alias`, to offer the connection for requests the other way (RFC 5923 §4).
    #[must_use]
    pub fn with_alias(mut self) -> Self {
        self.params.put("alias", None);
        self
    }

    /// Notes in a received request's top Via where it came from; whatever the sender wrote there himself is lost.
    ///
    //= rfc3261#18.2.1
    //# If the host portion of the "sent-by" parameter contains a domain
    //# name, or if it contains an IP address that differs from the packet
    //# source address, the server MUST add a "received" parameter to that
    //# Via header field value.
    //= rfc3581#4
    //# it MUST set the value of the parameter to the source port of the request.
    pub fn stamp(&mut self, source: SocketAddr) {
        let ip = source.ip().to_canonical();
        let asked = self.params.contains("rport");
        if asked {
            self.params.put("rport", Some(&source.port().to_string()));
        }
        // RFC 3581 §4: with rport, received is there even where sent-by says the same.
        if asked || self.host.ip().map(|host| host.to_canonical()) != Some(ip) {
            self.params.put("received", Some(&ip.to_string()));
        } else {
            self.params.remove("received");
        }
    }

    /// Where the response to a request with this top Via goes over an unreliable transport, or over a reliable one
    /// whose connection is gone; while that connection stands, it takes the response and this is not asked.
    #[must_use]
    pub fn response_target(&self) -> ResponseTarget {
        let port = self.port.unwrap_or_else(|| self.transport.default_port());
        if self.transport == Transport::Udp
            && let Some(maddr) = self.maddr()
        {
            return ResponseTarget::at(maddr, self.port, port);
        }
        match (self.received(), self.rport()) {
            (Some(ip), Rport::Port(rport)) if self.transport == Transport::Udp => {
                ResponseTarget::Address(SocketAddr::new(ip, rport))
            }
            (Some(ip), _) => ResponseTarget::Address(SocketAddr::new(ip, port)),
            (None, _) => ResponseTarget::at(self.host.clone(), self.port, port),
        }
    }

    /// Reads one value up to the comma or the end that follows it.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Flaw> {
        cursor.skip_blanks();
        let name = cursor.token()?;
        slash(cursor)?;
        let version = cursor.token()?;
        slash(cursor)?;
        let is_ours = name.eq_ignore_ascii_case("SIP") && version == "2.0";
        let transport = Transport::parse(cursor.token()?)?;
        if !matches!(cursor.peek(), Some(b' ' | b'\t')) {
            return Err(Flaw::Token);
        }
        cursor.skip_blanks();
        let (host, port) = sent_by(cursor)?;
        let params = Params::read(cursor)?;
        check(&params)?;
        Ok(Self {
            protocol: (!is_ours).then(|| format!("{name}/{version}").into()),
            transport,
            host,
            port,
            params,
        })
    }
}

impl Transport {
    /// Reads a transport's name, in any case.
    ///
    /// # Errors
    /// [`Flaw::Token`].
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        if !lex::is_token_text(text) {
            return Err(Flaw::Token);
        }
        let known = [Self::Udp, Self::Tcp, Self::Tls, Self::Sctp, Self::Ws, Self::Wss];
        Ok(known
            .into_iter()
            .find(|transport| transport.as_str().eq_ignore_ascii_case(text))
            .unwrap_or_else(|| Self::Other(text.into())))
    }

    /// The name in a Via.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Sctp => "SCTP",
            Self::Ws => "WS",
            Self::Wss => "WSS",
            Self::Other(name) => name,
        }
    }

    /// 5061 for TLS, 80 and 443 for WebSocket, else 5060 (RFC 3261 §18.2.2, RFC 7118 §5).
    #[must_use]
    pub const fn default_port(&self) -> u16 {
        match self {
            Self::Udp | Self::Tcp | Self::Sctp | Self::Other(_) => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// Whether the transport retransmits by itself, so that transactions need not (RFC 3261 §17).
    #[must_use]
    pub const fn is_reliable(&self) -> bool {
        matches!(self, Self::Tcp | Self::Tls | Self::Sctp | Self::Ws | Self::Wss)
    }
}

impl ResponseTarget {
    fn at(host: Host, port: Option<u16>, port_or_default: u16) -> Self {
        match host.ip() {
            Some(ip) => Self::Address(SocketAddr::new(ip, port_or_default)),
            None => Self::Name { host, port },
        }
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol.as_deref().unwrap_or("SIP/2.0");
        write!(f, "{protocol}/{} {}", self.transport.as_str(), self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)
    }
}

fn slash(cursor: &mut Cursor<'_>) -> Result<(), Flaw> {
    cursor.skip_blanks();
    if !cursor.take('/') {
        return Err(Flaw::Protocol);
    }
    cursor.skip_blanks();
    Ok(())
}

/// Reads `host [ SWS ":" SWS port ]`.
fn sent_by(cursor: &mut Cursor<'_>) -> Result<(Host, Option<u16>), Flaw> {
    let text = cursor.take_while(|b| !matches!(b, b';' | b',' | b' ' | b'\t'));
    let (host, port) = match text.strip_suffix(':') {
        // A blank follows the colon.
        Some(host) => (Host::parse(host)?, true),
        None => {
            let (host, port) = host_port(text)?;
            if port.is_some() {
                return Ok((host, port));
            }
            let before = *cursor;
            cursor.skip_blanks();
            let has_colon = cursor.take(':');
            if !has_colon {
                *cursor = before;
            }
            (host, has_colon)
        }
    };
    if !port {
        return Ok((host, None));
    }
    cursor.skip_blanks();
    let port = lex::port(cursor.take_while(|b| b.is_ascii_digit()))?;
    Ok((host, Some(port)))
}

/// Checks the parameters that this crate acts upon, so that the accessors have one answer each.
fn check(params: &Params) -> Result<(), Flaw> {
    for (name, value) in params.iter() {
        let is_right = if name.eq_ignore_ascii_case("branch") {
            value.is_some_and(lex::is_token_text)
        } else if name.eq_ignore_ascii_case("received") {
            value.is_some_and(|value| address(value).is_some())
        } else if name.eq_ignore_ascii_case("rport") {
            value.is_none_or(|value| lex::port(value).is_ok())
        } else if name.eq_ignore_ascii_case("maddr") {
            value.is_some_and(|value| Host::parse(value).is_ok())
        } else if name.eq_ignore_ascii_case("ttl") {
            value.is_some_and(|value| lex::number(value, 255).is_ok())
        } else {
            true
        };
        if !is_right {
            return Err(Flaw::Parameter);
        }
    }
    Ok(())
}

/// Reads an address with or without brackets; RFC 5118 §4.5 wants both understood.
fn address(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(tail) => ipv6(tail.strip_suffix(']')?).map(IpAddr::V6),
        None => text.parse().ok(),
    }
}
