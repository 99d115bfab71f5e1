//! Connecting to the first address that answers (RFC 8305): lookups of both families run side by side, attempts are
//! staggered, families take turns, and the first success wins.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{listen, world};

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

/// Connects to one of the addresses that two lookups give, which may come at any time; each gives its own in the order in
/// which they are to be tried. `within` bounds the time from the first attempt.
///
/// # Errors
/// [`ConnectError`].
pub async fn first(
    v6: impl Future<Output = Vec<SocketAddr>>,
    v4: impl Future<Output = Vec<SocketAddr>>,
    within: Duration,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let (mut v6, mut v4) = (pin!(v6), pin!(v4));
    let mut race = Race::default();
    let mut known = [false, false];
    loop {
        let may_start = match known {
            [true, _] => true,
            // IPv6 has a moment more.
            [false, true] => race.delayed_until.is_some_and(|until| until <= world::now()),
            [false, false] => false,
        };
        if may_start {
            race.start(world::now(), within);
        }
        if race.is_over() && known == [true, true] {
            return Err(race.last);
        }
        let next = if may_start {
            race.next_at.filter(|_| race.has_waiting())
        } else {
            race.delayed_until
        };
        tokio::select! {
            addresses = &mut v6, if !known[0] => {
                known[0] = true;
                race.waiting[0].extend(addresses);
            }
            addresses = &mut v4, if !known[1] => {
                known[1] = true;
                race.waiting[1].extend(addresses);
                race.delayed_until = world::now().checked_add(RESOLUTION_DELAY);
            }
            Some(done) = race.attempts.join_next() => match done {
                Ok((address, Ok(stream))) => return Ok((stream, address)),
                Ok((address, Err(error))) => {
                    race.last = ConnectError::Failed { address, error };
                    race.next_at = None;
                }
                Err(_cancelled) => {}
            },
            () = world::sleep_until(next) => {}
            () = world::sleep_until(race.deadline) => return Err(ConnectError::Timeout(within)),
        }
    }
}

struct Race {
    /// Addresses that are not tried yet, of IPv6 and of IPv4.
    waiting: [VecDeque<SocketAddr>; 2],
    /// The family whose turn it is.
    turn: usize,
    attempts: JoinSet<(SocketAddr, io::Result<TcpStream>)>,
    /// No attempt is started before; none where the last one has failed.
    next_at: Option<Instant>,
    /// IPv4 alone waits until then for IPv6.
    delayed_until: Option<Instant>,
    deadline: Option<Instant>,
    last: ConnectError,
}

impl Default for Race {
    fn default() -> Self {
        Self {
            waiting: Default::default(),
            turn: 0,
            attempts: JoinSet::new(),
            next_at: None,
            delayed_until: None,
            deadline: None,
            last: ConnectError::NoAddress,
        }
    }
}

impl Race {
    fn has_waiting(&self) -> bool {
        self.waiting.iter().any(|family| !family.is_empty())
    }

    fn is_over(&self) -> bool {
        self.attempts.is_empty() && !self.has_waiting()
    }

    /// Starts the next attempt where it is time.
    fn start(&mut self, now: Instant, within: Duration) {
        if self.next_at.is_some_and(|at| at > now) {
            return;
        }
        let [v6, v4] = &mut self.waiting;
        let address = match self.turn {
            0 => v6.pop_front().or_else(|| v4.pop_front()),
            _ => v4.pop_front().or_else(|| v6.pop_front()),
        };
        let Some(address) = address else { return };
        self.turn = usize::from(address.is_ipv6());
        self.deadline = self.deadline.or_else(|| now.checked_add(within));
        self.next_at = now.checked_add(STAGGER);
        self.attempts
            .spawn(async move { (address, attempt(address).await) });
    }
}

async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    listen::prepare(&stream)?;
    Ok(stream)
}

/// RFC 8305 §5, "Connection Attempt Delay".
const STAGGER: Duration = Duration::from_millis(250);
/// RFC 8305 §3, "Resolution Delay".
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    const WITHIN: Duration = Duration::from_secs(5);

    fn listener(address: &str) -> (tokio::net::TcpListener, SocketAddr) {
        let listener = listen::bind(address.parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// An address that refuses connections.
    fn refused() -> SocketAddr {
        listener("127.0.0.1:0").1
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_hold_up_the_next() {
        let (_good, address) = listener("127.0.0.1:0");
        let (none, refused) = (ready(Vec::new()), refused());
        let connected = first(none.clone(), ready(vec![refused, address]), WITHIN).await;
        assert_eq!(connected.unwrap().1, address);
        let error = first(none.clone(), ready(vec![refused]), WITHIN)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ConnectError::Failed { address, .. } if address == refused),
            "{error}"
        );
        assert!(matches!(
            first(none.clone(), none, WITHIN).await,
            Err(ConnectError::NoAddress)
        ));
    }

    #[tokio::test]
    async fn a_family_whose_lookup_does_not_end_holds_up_no_other() {
        let (_four, v4) = listener("127.0.0.1:0");
        let (_six, v6) = listener("[::1]:0");
        assert_eq!(first(pending(), ready(vec![v4]), WITHIN).await.unwrap().1, v4);
        assert_eq!(first(ready(vec![v6]), pending(), WITHIN).await.unwrap().1, v6);
        assert_eq!(
            first(ready(vec![v6]), ready(vec![v4]), WITHIN).await.unwrap().1,
            v6,
            "IPv6 first"
        );
        assert_eq!(
            first(ready(Vec::new()), ready(vec![v4]), WITHIN).await.unwrap().1,
            v4
        );
    }

    #[tokio::test]
    async fn an_address_that_comes_late_is_tried_when_all_others_have_failed() {
        let (_six, v6) = listener("[::1]:0");
        let late = async move {
            tokio::time::sleep(Duration::from_millis(120)).await;
            vec![v6]
        };
        assert_eq!(first(late, ready(vec![refused()]), WITHIN).await.unwrap().1, v6);
    }

    #[tokio::test]
    async fn families_take_turns() {
        let mut race = Race::default();
        let of = |text: &str| -> SocketAddr { text.parse().unwrap() };
        // Nothing listens on the discard port of these.
        race.waiting[0].extend([of("[::1]:9"), of("[::1]:10"), of("[::1]:11")]);
        race.waiting[1].extend([of("127.0.0.1:9")]);
        let mut order = Vec::new();
        let before = |race: &Race| race.waiting.clone();
        while race.has_waiting() {
            let left = before(&race);
            race.next_at = None;
            race.start(world::now(), WITHIN);
            order.push(if race.waiting[0].len() < left[0].len() {
                6
            } else {
                4
            });
        }
        assert_eq!(order, [6, 4, 6, 6]);
    }

    #[tokio::test]
    async fn a_host_that_never_answers_is_given_up_in_time() {
        // A full backlog: the third connection waits for ever.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket
            .bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())
            .unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let within = Duration::from_millis(100);
        let mut held = Vec::new();
        let error = loop {
            match first(ready(Vec::new()), ready(vec![address]), within).await {
                Ok(connected) => held.push(connected),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ConnectError::Timeout(_)), "{error}");
        assert!(held.len() < 10);
    }
}
