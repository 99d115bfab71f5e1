//! What a seed decides before anything happens: terms, network, faults, and who writes to whom.

use vestibule::xmpp::stream::{ClientCertificate, Dialback, Sasl, StreamSettings, Tls};

use super::chance::Chance;
use super::network::Host;

/// How one run goes.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) terms: StreamSettings,
    /// Whether connections begin within TLS (XEP-0368).
    pub(super) direct_tls: bool,
    /// Microseconds that a portion takes, at least and at most.
    pub(super) delay: (u64, u64),
    pub(super) window: u64,
    /// Of a hundred connections, how many are reset after some of their octets.
    pub(super) resets: u64,
    /// Whether edges look at acknowledgements (XEP-0198). Where not, that stands for far ends that have none.
    pub(super) acknowledged: bool,
    /// How many letters a link of an edge holds.
    pub(super) queue: usize,
    /// Gateways of an edge.
    pub(super) shards: u8,
    /// Messages and faults, with their times in microseconds.
    pub(super) schedule: Vec<(u64, Happening)>,
    /// When the last of them happens.
    pub(super) busy_until: u64,
}

/// What fails in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Faults {
    None,
    /// Connections are reset, or stall.
    Network,
    /// Hosts are killed and come back.
    Hosts,
    All,
}

/// What happens from outside.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    /// A user of that server writes to one of the other's.
    Message { server: usize, from: String, to: String },
    /// The host loses all that it holds in memory, and is back after so many microseconds.
    Kill { host: Host, down: u64 },
    /// A connection is reset.
    Reset,
    /// Nothing is read on a connection for so many microseconds.
    Stall { time: u64 },
}

impl Plan {
    pub(super) fn new(faults: Faults, chance: &mut Chance) -> Self {
        let (terms, direct_tls) = match chance.index(5) {
            0 => (settings(Tls::Off, Sasl::Off, Dialback::On), false),
            1 => (settings(Tls::Required, Sasl::Optional, Dialback::On), false),
            2 => (settings(Tls::Required, Sasl::Off, Dialback::On), false),
            3 => (settings(Tls::Optional, Sasl::Required, Dialback::On), false),
            _ => (settings(Tls::Required, Sasl::Required, Dialback::Off), true),
        };
        let delay = chance.pick(&[(50, 200), (100, 20_000), (10_000, 80_000), (50, 500_000)]);
        let busy_until = chance.between(1, 40) * SECOND;
        let mut schedule: Vec<_> = (0..chance.between(1, 14))
            .map(|_| (chance.between(0, busy_until), message(chance)))
            .collect();
        // Several at once: what waits for a stream waits together.
        let burst = chance.between(0, busy_until);
        for _ in 0..chance.pick(&[0, 4, 12]) {
            schedule.push((burst, message(chance)));
        }
        let (kills, cuts, stalls) = match faults {
            Faults::None => (0, 0, 0),
            Faults::Network => (0, chance.between(0, 6), chance.between(0, 3)),
            Faults::Hosts => (chance.between(1, 3), 0, chance.between(0, 1)),
            Faults::All => (chance.between(0, 3), chance.between(0, 6), chance.between(0, 4)),
        };
        for _ in 0..kills {
            let number = chance.index(2);
            let host = if chance.percent(70) {
                Host::Server(number)
            } else {
                Host::Edge(number)
            };
            let down = chance.pick(&[10_000, 300_000, 4 * SECOND, 20 * SECOND]);
            schedule.push((chance.between(0, busy_until), Happening::Kill { host, down }));
        }
        for _ in 0..cuts {
            schedule.push((chance.between(0, busy_until), Happening::Reset));
        }
        for _ in 0..stalls {
            let time = chance.pick(&[200_000, 2 * SECOND, 8 * SECOND, 45 * SECOND]);
            schedule.push((chance.between(0, busy_until), Happening::Stall { time }));
        }
        schedule.sort_by_key(|(at, _)| *at);
        Self {
            terms,
            direct_tls,
            delay,
            // A slow network with a small window would not be done in time.
            window: if delay.1 < 80_000 {
                chance.pick(&[200, 3_000, 100_000])
            } else {
                100_000
            },
            resets: match faults {
                Faults::None | Faults::Hosts => 0,
                Faults::Network => 15,
                Faults::All => 30,
            },
            acknowledged: chance.percent(50),
            queue: chance.pick(&[3, 1_000, 1_000]),
            shards: chance.pick(&[1, 1, 3]),
            schedule,
            busy_until,
        }
    }
}

fn message(chance: &mut Chance) -> Happening {
    Happening::Message {
        server: chance.index(2),
        from: chance.pick(&["ann", "ben"]).to_owned(),
        // Nobody is known by that last name, and his server says so.
        to: chance.pick(&["cat", "dan", "cat", NOBODY]).to_owned(),
    }
}

const fn settings(tls: Tls, sasl: Sasl, dialback: Dialback) -> StreamSettings {
    StreamSettings {
        tls,
        sasl,
        dialback,
        certificate: ClientCertificate::NotRequired,
    }
}

pub(super) const NOBODY: &str = "nobody";
pub(super) const SECOND: u64 = 1_000_000;
