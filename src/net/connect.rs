//! Connecting to the first address that answers (RFC 8305): attempts are staggered, and the first success wins.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::listen;

/// Why no address could be connected to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There was no address.
    #[error("there is no address to connect to")]
    NoAddress,
    /// Each attempt failed; the last error is told.
    #[error("no address answered; the last one tried, {address}, said: {error}")]
    Failed {
        /// The address of the last attempt.
        address: SocketAddr,
        /// What came of it.
        error: io::Error,
    },
    /// No attempt came to an end in time.
    #[error("no address answered within {0:?}")]
    Timeout(Duration),
}

/// Connects to one of `addresses`, which are tried in their order, each 250 ms after the one before or as soon as
/// that has failed; `within` bounds the whole.
///
/// # Errors
/// [`ConnectError`].
pub async fn first(
    addresses: &[SocketAddr],
    within: Duration,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    if addresses.is_empty() {
        return Err(ConnectError::NoAddress);
    }
    tokio::time::timeout(within, race(addresses))
        .await
        .map_err(|_| ConnectError::Timeout(within))?
}

#[allow(
    clippy::disallowed_methods,
    reason = "the attempts live and die within this call"
)]
async fn race(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let mut waiting = addresses.iter().copied();
    let mut attempts = JoinSet::new();
    let mut last = ConnectError::NoAddress;
    loop {
        if let Some(address) = waiting.next() {
            attempts.spawn(async move { (address, attempt(address).await) });
        } else if attempts.is_empty() {
            return Err(last);
        }
        let stagger = async {
            if waiting.len() == 0 {
                std::future::pending::<()>().await;
            } else {
                tokio::time::sleep(STAGGER).await;
            }
        };
        tokio::select! {
            Some(done) = attempts.join_next() => match done {
                Ok((address, Ok(stream))) => return Ok((stream, address)),
                Ok((address, Err(error))) => last = ConnectError::Failed { address, error },
                Err(_cancelled) => {}
            },
            () = stagger => {}
        }
    }
}

async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    listen::prepare(&stream)?;
    Ok(stream)
}

/// RFC 8305 §5, "Connection Attempt Delay".
const STAGGER: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_refuses_does_not_hold_up_the_next() {
        let good = listen::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let refused = {
            let gone = listen::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            gone.local_addr().unwrap()
        };
        let address = good.local_addr().unwrap();
        let (_, connected) = first(&[refused, address], Duration::from_secs(5)).await.unwrap();
        assert_eq!(connected, address);
        let error = first(&[refused], Duration::from_secs(5)).await.unwrap_err();
        assert!(
            matches!(error, ConnectError::Failed { address, .. } if address == refused),
            "{error}"
        );
        assert!(matches!(
            first(&[], Duration::from_secs(5)).await,
            Err(ConnectError::NoAddress)
        ));
    }
}
