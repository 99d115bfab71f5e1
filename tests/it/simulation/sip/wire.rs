//! What is between the edge and a user agent: datagrams that get lost, come twice and overtake each other, or one
//! connection at a time, whose octets come in portions and which may be reset after any of them.

use vestibule::limits::SipLimits;
use vestibule::sip::frame::{Frame, StreamFramer};
use vestibule::sip::transaction::{Flow, Reliability};
use vestibule::sip::{Message, parse};

use super::super::chance::Chance;
use super::world::Faults;

/// Which end of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Agent,
    Edge,
}

/// What is under way.
#[derive(Debug)]
pub(super) enum Parcel {
    Octets { flow: u64, to: End, octets: Vec<u8> },
    Reset { flow: u64 },
}

#[derive(Debug)]
pub(super) struct Wire {
    reliability: Reliability,
    delay: (u64, u64),
    loss: u64,
    twice: u64,
    resets: u64,
    /// The connection that there is, or was last; for datagrams always the same.
    number: u64,
    is_open: bool,
    /// How many octets more the connection carries.
    left: Option<usize>,
    framers: [StreamFramer; 2],
    /// When the last octets arrive, at each end.
    last: [u64; 2],
}

impl Wire {
    pub(super) fn new(faults: Faults, chance: &mut Chance) -> Self {
        let reliability = match faults {
            Faults::Datagrams => Reliability::Unreliable,
            Faults::Connections => Reliability::Reliable,
            Faults::None | Faults::All => chance.pick(&[Reliability::Unreliable, Reliability::Reliable]),
        };
        let is_lossy = matches!(faults, Faults::Datagrams | Faults::All);
        Self {
            reliability,
            delay: chance.pick(&[(50, 200), (1_000, 20_000), (100, 600_000)]),
            loss: if is_lossy {
                chance.pick(&[2, 10, 30, 60])
            } else {
                0
            },
            twice: if is_lossy { chance.pick(&[0, 10, 40]) } else { 0 },
            resets: match faults {
                Faults::None | Faults::Datagrams => 0,
                Faults::Connections | Faults::All => chance.pick(&[20, 60, 90]),
            },
            number: 0,
            is_open: false,
            left: None,
            framers: [framer(), framer()],
            last: [0; 2],
        }
    }

    pub(super) const fn reliability(&self) -> Reliability {
        self.reliability
    }

    /// The flow to send on: a new connection where there is none.
    pub(super) fn flow(&mut self, chance: &mut Chance) -> Flow {
        if !self.is_open {
            self.number += 1;
            self.is_open = true;
            self.framers = [framer(), framer()];
            let most = chance.pick(&[1_500, 12_000]);
            let breaks = chance.percent(self.resets);
            self.left = breaks.then(|| chance.index(most) + 1);
        }
        self.flow_of(self.number)
    }

    pub(super) const fn flow_of(&self, id: u64) -> Flow {
        Flow {
            id,
            reliability: self.reliability,
        }
    }

    /// Sends, and gives what is under way with its time; `None` stands for what is lost.
    pub(super) fn send(
        &mut self,
        chance: &mut Chance,
        now: u64,
        flow: u64,
        to: End,
        octets: &[u8],
    ) -> Vec<(u64, Option<Parcel>)> {
        let delay = self.delay;
        let after = |chance: &mut Chance| now + chance.between(delay.0, delay.1);
        let parcel = |octets: &[u8]| {
            Some(Parcel::Octets {
                flow,
                to,
                octets: octets.to_vec(),
            })
        };
        if self.reliability == Reliability::Unreliable {
            let copies = if chance.percent(self.twice) { 2 } else { 1 };
            return (0..copies)
                .map(|_| {
                    let is_lost = chance.percent(self.loss);
                    (after(chance), if is_lost { None } else { parcel(octets) })
                })
                .collect();
        }
        if flow != self.number || !self.is_open || self.left == Some(0) {
            return vec![(now, None)];
        }
        let mut under_way = Vec::new();
        let mut rest = octets;
        while !rest.is_empty() {
            let portion = rest.len().min(chance.index(900) + 1);
            let portion = self.left.map_or(portion, |left| portion.min(left));
            let (taken, left) = rest.split_at(portion);
            rest = left;
            let last = &mut self.last[usize::from(to == End::Edge)];
            *last = after(chance).max(*last);
            under_way.push((*last, parcel(taken)));
            if let Some(left) = &mut self.left {
                *left -= portion;
                if *left == 0 {
                    let reset = *last + chance.between(0, 1_000_000);
                    under_way.push((reset, Some(Parcel::Reset { flow })));
                    under_way.push((now, None));
                    break;
                }
            }
        }
        under_way
    }

    /// Takes octets that arrive, and gives the messages that are whole.
    pub(super) fn receive(&mut self, flow: u64, to: End, octets: &[u8]) -> Vec<Message> {
        if self.reliability == Reliability::Unreliable {
            return vec![parse::message(octets, &SipLimits::default()).unwrap()];
        }
        if flow != self.number || !self.is_open {
            return Vec::new();
        }
        let framer = &mut self.framers[usize::from(to == End::Edge)];
        framer.push(octets);
        std::iter::from_fn(|| framer.next().unwrap())
            .map(|frame| match frame {
                Frame::Message(message) => message,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// The connection is gone; whether it was there.
    pub(super) fn reset(&mut self, flow: u64) -> bool {
        let was_open = self.is_open && flow == self.number;
        self.is_open &= !was_open;
        was_open
    }
}

fn framer() -> StreamFramer {
    StreamFramer::new(&SipLimits::default())
}
