//! Places for XMPP streams: how many may be open, and how many of them to strangers.
//!
//! Streams that others open and streams that we open are counted apart, and so are the sides: what strangers outside
//! fill up is neither the inside's nor ours. A stranger is who has proven no domain yet; so that one network of them
//! does not take the places of all, each has a share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::settings::Side;
use crate::limits::XmppLimits;

/// All places.
#[derive(Debug, Clone, Default)]
pub struct XmppPlaces(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    streams: HashMap<(Side, Opener), usize>,
    strangers: HashMap<(Side, IpAddr), usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Opener {
    They,
    We,
}

/// The place of one stream, given back when it is dropped.
#[derive(Debug)]
pub struct XmppPlace {
    places: XmppPlaces,
    side: Side,
    opener: Opener,
    /// From where, while nothing is proven.
    stranger: Option<IpAddr>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// All streams that there may be are open.
    Streams,
    /// Too many of them are open to strangers.
    Strangers,
}

impl NoPlace {
    /// A constant word for metrics and logs.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Streams => "xmpp_streams",
            Self::Strangers => "xmpp_strangers",
        }
    }
}

impl XmppPlaces {
    /// A place for a stream that somebody opens from an address.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub fn accept(&self, side: Side, from: IpAddr, limits: &XmppLimits) -> Result<XmppPlace, NoPlace> {
        let from = network(from);
        let mut counts = self.counts();
        if counts.of(side, Opener::They) >= limits.connections {
            return Err(NoPlace::Streams);
        }
        let of_side = |of: &(Side, IpAddr)| of.0 == side;
        let strangers = counts.strangers.iter().filter(|(of, _)| of_side(of));
        let all = strangers.fold(0_usize, |sum, (_, count)| sum.saturating_add(*count));
        let own = counts.strangers.get(&(side, from)).copied().unwrap_or_default();
        if all >= limits.strangers || own >= limits.strangers_of_network {
            return Err(NoPlace::Strangers);
        }
        counts.strangers.insert((side, from), own.saturating_add(1));
        counts.enter(side, Opener::They);
        Ok(self.place(side, Opener::They, Some(from)))
    }

    /// A place for a stream that we open.
    ///
    /// # Errors
    /// [`NoPlace::Streams`].
    pub fn open(&self, side: Side, limits: &XmppLimits) -> Result<XmppPlace, NoPlace> {
        let mut counts = self.counts();
        if counts.of(side, Opener::We) >= limits.connections {
            return Err(NoPlace::Streams);
        }
        counts.enter(side, Opener::We);
        Ok(self.place(side, Opener::We, None))
    }

    fn place(&self, side: Side, opener: Opener, stranger: Option<IpAddr>) -> XmppPlace {
        XmppPlace {
            places: self.clone(),
            side,
            opener,
            stranger,
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn of(&self, side: Side, opener: Opener) -> usize {
        self.streams.get(&(side, opener)).copied().unwrap_or_default()
    }

    fn enter(&mut self, side: Side, opener: Opener) {
        let count = self.streams.entry((side, opener)).or_default();
        *count = count.saturating_add(1);
    }
}

impl XmppPlace {
    /// A domain is proven: this is no stranger any more.
    pub fn is_known(&mut self) {
        if let Some(from) = self.stranger.take() {
            less(&mut self.places.counts().strangers, &(self.side, from));
        }
    }
}

impl Drop for XmppPlace {
    fn drop(&mut self) {
        self.is_known();
        less(&mut self.places.counts().streams, &(self.side, self.opener));
    }
}

fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, of: &K) {
    if let Some(count) = counts.get_mut(of) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(of);
        }
    }
}

/// What counts as one source: whoever has one address of IPv6 usually has its whole /64.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> XmppLimits {
        XmppLimits {
            connections: 4,
            strangers: 3,
            strangers_of_network: 2,
            ..XmppLimits::default()
        }
    }

    #[test]
    fn strangers_of_one_network_leave_room_for_others_and_all_of_them_for_the_known() {
        let (places, limits) = (XmppPlaces::default(), limits());
        let accept = |from: &str| places.accept(Side::Outside, from.parse().unwrap(), &limits);
        let mut first = accept("2001:db8::1").unwrap();
        let second = accept("2001:db8::2").unwrap();
        assert_eq!(accept("2001:db8::3").unwrap_err(), NoPlace::Strangers);
        let third = accept("192.0.2.1").unwrap();
        assert_eq!(
            accept("192.0.2.2").unwrap_err(),
            NoPlace::Strangers,
            "three in all"
        );
        first.is_known();
        let fourth = accept("192.0.2.2").unwrap();
        drop((second, third));
        let _fifth = accept("192.0.2.3").unwrap();
        assert!(accept("192.0.2.4").is_ok());
        drop(first);
        drop(fourth);
    }

    #[test]
    fn streams_are_bounded_in_all_by_side_and_by_who_opened_them() {
        let (places, limits) = (XmppPlaces::default(), limits());
        let known = |_: usize| {
            let mut place = places
                .accept(Side::Outside, "192.0.2.1".parse().unwrap(), &limits)
                .unwrap();
            place.is_known();
            place
        };
        let held: Vec<_> = (0..4).map(known).collect();
        let from = "192.0.2.9".parse().unwrap();
        assert_eq!(
            places.accept(Side::Outside, from, &limits).unwrap_err(),
            NoPlace::Streams
        );
        assert!(places.accept(Side::Inside, from, &limits).is_ok());
        let ours: Vec<_> = (0..4)
            .map(|_| places.open(Side::Outside, &limits).unwrap())
            .collect();
        assert_eq!(places.open(Side::Outside, &limits).unwrap_err(), NoPlace::Streams);
        drop((held, ours));
        assert!(places.counts().streams.is_empty() && places.counts().strangers.is_empty());
    }
}
