//! TLS on a connection: both roles, the facts of the handshake, and one stream type with and without TLS.
//!
//! A handshake proves that the peer holds the key of the chain it showed, and no more. [`TlsFacts`] carry the chain to
//! `identity`, which decides whom it names and whether it is trusted.

use std::io;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::domain::Domain;
use crate::gateway::Trouble;
use crate::identity::NotAmong;
use crate::pki::{Alpn, Context};
use crate::refusal::Refuse;

/// A connection, with or without TLS.
#[derive(Debug)]
pub enum Wire {
    /// TCP as it is.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// What a handshake tells of the peer.
#[derive(Debug, Clone, Default)]
pub struct TlsFacts {
    /// The peer's chain, leaf first; empty where it showed none. Possession of the key is proven, trust is not.
    pub chain: Vec<CertificateDer<'static>>,
    /// The version and suite, for logs.
    pub suite: String,
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It was not finished in time.
    #[error("the TLS handshake was not finished within {0:?}")]
    Timeout(Duration),
    /// The peer's certificate names nobody who may connect.
    #[error("{0}")]
    Subject(NotAmong),
    /// Either side refused.
    #[error("the TLS handshake failed: {0}")]
    Handshake(io::Error),
}

impl TlsError {
    /// A constant word for metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        let error = match self {
            Self::Timeout(_) => return "timeout",
            Self::Subject(error) => return error.class(),
            Self::Handshake(error) => error,
        };
        let Some(tls) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        else {
            return "closed";
        };
        if matches!(tls, rustls::Error::NoCertificatesPresented) {
            return "no_certificate";
        }
        if matches!(tls, rustls::Error::AlertReceived(_)) {
            return "alert";
        }
        if matches!(tls, rustls::Error::PeerIncompatible(_)) {
            return "incompatible";
        }
        "invalid"
    }

    /// What it means for what was to go over the connection: a peer that our terms for TLS rule out, or one that was not
    /// reached, because it broke off, refused us, or does not speak TLS.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        let error = match self {
            Self::Timeout(_) => return Trouble::Unreachable,
            Self::Subject(_) => return Trouble::Untrusted,
            Self::Handshake(error) => error,
        };
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
        match tls {
            Some(rustls::Error::AlertReceived(_) | rustls::Error::InvalidMessage(_)) | None => {
                Trouble::Unreachable
            }
            Some(_) => Trouble::Untrusted,
        }
    }
}

/// Whether an error of a connection is one of TLS, such as an alert: a TLS 1.3 server tells only after the handshake that
/// it does not like our certificate.
#[must_use]
pub fn is_of_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Answers a handshake; `meant` is the domain of ours that is wanted, where that is known without SNI.
///
/// # Errors
/// [`TlsError`].
pub async fn accept(
    socket: TcpStream,
    context: &Context,
    alpn: Alpn,
    meant: Option<&Domain>,
    within: Duration,
) -> Result<(Wire, TlsFacts), TlsError> {
    let acceptor = TlsAcceptor::from(context.server(alpn, meant));
    let stream = bounded(within, acceptor.accept(socket)).await?;
    let (_, connection) = stream.get_ref();
    let facts = facts(connection);
    Ok((Wire::Tls(Box::new(TlsStream::Server(stream))), facts))
}

/// Begins a handshake; `name` is what SNI says, `own` the domain of ours that we speak for.
///
/// # Errors
/// [`TlsError`].
pub async fn connect(
    socket: TcpStream,
    context: &Context,
    name: ServerName<'static>,
    alpn: Alpn,
    own: Option<&Domain>,
    within: Duration,
) -> Result<(Wire, TlsFacts), TlsError> {
    let connector = TlsConnector::from(context.client(alpn, own));
    let stream = bounded(within, connector.connect(name, socket)).await?;
    let (_, connection) = stream.get_ref();
    let facts = facts(connection);
    Ok((Wire::Tls(Box::new(TlsStream::Client(stream))), facts))
}

async fn bounded<T>(within: Duration, handshake: impl Future<Output = io::Result<T>>) -> Result<T, TlsError> {
    tokio::time::timeout(within, handshake)
        .await
        .map_err(|_| TlsError::Timeout(within))?
        .map_err(|error| subject(&error).map_or(TlsError::Handshake(error), TlsError::Subject))
}

/// What our verifier said of the peer's names, from under what the libraries have wrapped around it.
fn subject(error: &io::Error) -> Option<NotAmong> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) = error else {
        return None;
    };
    other.0.downcast_ref::<NotAmong>().cloned()
}

fn facts(connection: &rustls::CommonState) -> TlsFacts {
    let version = connection
        .protocol_version()
        .map(|version| format!("{version:?} "));
    let suite = connection
        .negotiated_cipher_suite()
        .map(|suite| format!("{:?}", suite.suite()));
    TlsFacts {
        chain: connection
            .peer_certificates()
            .map(<[_]>::to_vec)
            .unwrap_or_default(),
        suite: version.unwrap_or_default() + &suite.unwrap_or_default(),
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
