//! The door of the agent: what was not sent by somebody who may ask is not answered, and none of it but its head is read.
//!
//! The library that answers binds its own socket and knows no allowed sources. So it stands behind this one, on an address of
//! the loopback interface that nobody is told of, and each source has a socket of ours through which it is asked and answers.
//! What reaches it in another way is from this machine, and gets no value ([`Guests::has`]).

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::peek::{self, Head};
use super::settings::Snmp;
use crate::limits;
use crate::net::world;
use crate::supervise::Supervisor;

/// Passes on what may come in, and the answers to it.
pub(super) struct Gate {
    pub(super) front: Arc<UdpSocket>,
    pub(super) settings: Arc<Snmp>,
    pub(super) guests: Guests,
    /// Where the library listens.
    pub(super) agent: SocketAddr,
    pub(super) supervisor: Supervisor,
}

/// Who is being answered. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Guests(Arc<Mutex<HashMap<SocketAddr, Guest>>>);

#[derive(Debug, Clone)]
struct Guest {
    back: Arc<UdpSocket>,
    /// The address of `back`.
    local: SocketAddr,
    asked: Instant,
    gone: CancellationToken,
}

impl Guests {
    /// Whether this is the address of one of our sockets, so that what it sends came through the gate.
    pub(super) fn has(&self, local: SocketAddr) -> bool {
        self.lock().values().any(|guest| guest.local == local)
    }

    /// The socket of a source that has one, which asks now.
    fn seen(&self, source: SocketAddr, now: Instant) -> Option<Arc<UdpSocket>> {
        let mut guests = self.lock();
        let guest = guests.get_mut(&source)?;
        guest.asked = now;
        Some(Arc::clone(&guest.back))
    }

    /// Takes a source in; where there is no place, the one that asked least lately goes.
    fn enter(&self, source: SocketAddr, guest: Guest) {
        let mut guests = self.lock();
        if guests.len() >= limits::SNMP_SOURCES {
            let least = guests.iter().min_by_key(|(_, guest)| guest.asked);
            if let Some(gone) = least
                .map(|(source, _)| *source)
                .and_then(|least| guests.remove(&least))
            {
                gone.gone.cancel();
            }
        }
        guests.insert(source, guest);
    }

    /// Lets a source go that has asked nothing for a while; tells whether it is gone.
    fn leave_if_idle(&self, source: SocketAddr, local: SocketAddr, now: Instant) -> bool {
        let mut guests = self.lock();
        let is_idle = match guests.get(&source) {
            Some(guest) if guest.local == local => {
                now.saturating_duration_since(guest.asked) >= limits::SNMP_SOURCE_IDLE
            }
            Some(_) | None => return true,
        };
        if is_idle {
            guests.remove(&source);
        }
        is_idle
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Guest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    /// Serves until it is told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut datagram = vec![0; MOST_DATAGRAM];
        loop {
            let received = tokio::select! {
                () = stop.cancelled() => return,
                received = self.front.recv_from(&mut datagram) => received,
            };
            let passed = match received {
                Ok((length, source)) => match datagram.get(..length) {
                    Some(datagram) => self.pass(datagram, source, &stop).await,
                    None => Ok(()),
                },
                Err(error) => Err(error),
            };
            if let Err(error) = passed {
                tracing::warn!(%error, "the SNMP agent cannot receive or pass on a request");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Passes a datagram on, if it may come in.
    async fn pass(&self, datagram: &[u8], source: SocketAddr, stop: &CancellationToken) -> io::Result<()> {
        if !may_ask(&self.settings, datagram, source) {
            tracing::debug!(%source, "an SNMP request was not answered");
            return Ok(());
        }
        let now = world::now();
        let back = match self.guests.seen(source, now) {
            Some(back) => back,
            None => self.take_in(source, now, stop).await?,
        };
        back.send(datagram).await.map(|_| ())
    }

    /// Makes a socket for a source, and brings the answers back for as long as it asks.
    async fn take_in(
        &self,
        source: SocketAddr,
        now: Instant,
        stop: &CancellationToken,
    ) -> io::Result<Arc<UdpSocket>> {
        let back = Arc::new(UdpSocket::bind(HIDDEN).await?);
        back.connect(self.agent).await?;
        let guest = Guest {
            local: back.local_addr()?,
            back: Arc::clone(&back),
            asked: now,
            gone: stop.child_token(),
        };
        self.guests.enter(source, guest.clone());
        let (front, guests) = (Arc::clone(&self.front), self.guests.clone());
        self.supervisor.spawn("snmp_source", async move {
            let mut answer = vec![0; MOST_DATAGRAM];
            loop {
                let received = tokio::select! {
                    () = guest.gone.cancelled() => return,
                    received = guest.back.recv(&mut answer) => received,
                    () = tokio::time::sleep(limits::SNMP_SOURCE_IDLE) => {
                        if guests.leave_if_idle(source, guest.local, world::now()) {
                            return;
                        }
                        continue;
                    }
                };
                let sent = match received.map(|length| answer.get(..length).unwrap_or_default()) {
                    Ok(answer) => front.send_to(answer, source).await.map(|_| ()),
                    Err(error) => Err(error),
                };
                if let Err(error) = sent {
                    tracing::warn!(%error, %source, "an SNMP answer could not be sent");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        Ok(back)
    }
}

/// Whether a datagram may be answered: one of SNMPv3 from a manager, or one of SNMPv2c with a community that counts from there.
fn may_ask(settings: &Snmp, datagram: &[u8], source: SocketAddr) -> bool {
    let source = source.ip();
    if !settings.allows_anything(source) {
        return false;
    }
    match peek::head(datagram) {
        None => false,
        Some(Head::Three) => !settings.users.is_empty() && settings.allows_manager(source),
        Some(Head::Community(told)) => {
            let is = |secret: &str| constant_time::verify_slices_are_equal(secret.as_bytes(), told).is_ok();
            let mut communities = settings.communities.iter();
            communities.any(|known| known.counts_from(source) && is(known.secret.expose()))
        }
    }
}

/// Where sockets of ours are that nobody outside this machine can reach.
pub(super) const HIDDEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Octets of a datagram: what fits into one of UDP, which every engine says that it takes.
const MOST_DATAGRAM: usize = 65_507;
/// After something that the system refused.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Network, Secret};
    use crate::snmp::settings::{Auth, Community, Privacy, User};

    const THREE: &[u8] = b"\x30\x03\x02\x01\x03";
    const TWO: &[u8] = b"\x30\x0d\x02\x01\x01\x04\x08visitors";
    const TWO_WRONG: &[u8] = b"\x30\x0d\x02\x01\x01\x04\x08visitort";
    const ONE: &[u8] = b"\x30\x0d\x02\x01\x00\x04\x08visitors";

    fn network(address: &str, prefix: u8) -> Network {
        Network::new(address.parse().unwrap(), prefix).unwrap()
    }

    fn settings() -> Snmp {
        Snmp {
            listen: "127.0.0.1:161".parse().unwrap(),
            managers: vec![network("10.0.0.0", 8)],
            users: vec![User {
                name: "noc".to_owned(),
                auth: Auth::Sha256,
                auth_secret: Secret::new("12345678"),
                privacy: Privacy::Aes128,
                privacy_secret: Secret::new("12345678"),
            }],
            communities: vec![Community {
                secret: Secret::new("visitors"),
                from: vec![network("10.1.0.1", 32), network("192.0.2.1", 32)],
            }],
            sinks: Vec::new(),
            contact: String::new(),
            location: String::new(),
        }
    }

    #[test]
    fn who_may_ask_depends_on_the_version_and_the_source() {
        let settings = settings();
        for (datagram, source, may) in [
            (THREE, "10.200.0.1", true),
            (THREE, "::ffff:10.200.0.1", true),
            (THREE, "192.0.2.1", false),
            (THREE, "11.0.0.1", false),
            (TWO, "10.1.0.1", true),
            (TWO, "192.0.2.1", true),
            (TWO, "10.1.0.2", false),
            (TWO, "192.0.2.2", false),
            (TWO_WRONG, "10.1.0.1", false),
            (ONE, "10.1.0.1", false),
            (b"", "10.1.0.1", false),
        ] {
            let source = SocketAddr::new(source.parse().unwrap(), 40_000);
            assert_eq!(may_ask(&settings, datagram, source), may, "{datagram:?} {source}");
        }
        let mut communities_only = settings.clone();
        communities_only.users.clear();
        let manager = "10.1.0.1:1".parse().unwrap();
        assert!(!may_ask(&communities_only, THREE, manager) && may_ask(&communities_only, TWO, manager));
    }

    async fn guest(asked: Instant) -> Guest {
        let back = Arc::new(UdpSocket::bind(HIDDEN).await.unwrap());
        Guest {
            local: back.local_addr().unwrap(),
            back,
            asked,
            gone: CancellationToken::new(),
        }
    }

    fn source(number: usize) -> SocketAddr {
        SocketAddr::new("10.0.0.1".parse().unwrap(), u16::try_from(number).unwrap())
    }

    #[tokio::test]
    async fn who_asked_least_lately_makes_room() {
        let guests = Guests::default();
        let start = world::now();
        let mut first = None;
        for number in 0..limits::SNMP_SOURCES {
            let guest = guest(start + Duration::from_secs(u64::try_from(number).unwrap())).await;
            first.get_or_insert_with(|| guest.clone());
            guests.enter(source(number), guest);
        }
        let first = first.unwrap();
        assert!(guests.has(first.local) && !first.gone.is_cancelled());
        // The first asks again, so that the second is the one that goes.
        guests
            .seen(source(0), start + Duration::from_secs(1_000))
            .unwrap();
        guests.enter(source(1_000), guest(start + Duration::from_secs(1_001)).await);
        assert!(guests.has(first.local) && !first.gone.is_cancelled());
        assert!(guests.seen(source(1), start).is_none());
        assert_eq!(guests.lock().len(), limits::SNMP_SOURCES);
    }

    #[tokio::test]
    async fn who_asks_nothing_any_more_goes() {
        let guests = Guests::default();
        let start = world::now();
        let one = guest(start).await;
        guests.enter(source(1), one.clone());
        let idle = start + limits::SNMP_SOURCE_IDLE;
        assert!(!guests.leave_if_idle(source(1), one.local, idle - Duration::from_secs(1)));
        assert!(guests.leave_if_idle(source(1), one.local, idle));
        assert!(!guests.has(one.local));
    }
}
