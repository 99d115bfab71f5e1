//! What this machine is: the facts that defaults and checks are made from.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

/// The facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Whether it is the appliance, whose network and time are ours to set. On any other machine they are its owner's.
    pub is_appliance: bool,
    /// The network cards, without the loopback.
    pub cards: Vec<Card>,
    /// The addresses that it has, without loopback and link-local ones.
    pub addresses: Vec<IpAddr>,
    /// Its full name, where it has one.
    pub name: Option<String>,
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// As the system calls it.
    pub name: String,
    /// Its hardware address.
    pub mac: String,
    /// Whether a cable is in it; `None` where that cannot be known while it is down.
    pub has_link: Option<bool>,
}

impl Machine {
    /// Looks at the machine that this runs on. What cannot be read is not there.
    #[must_use]
    pub fn look() -> Self {
        Self {
            is_appliance: Path::new(APPLIANCE).exists(),
            cards: cards(),
            addresses: addresses(),
            name: nix::unistd::gethostname()
                .ok()
                .and_then(|name| name.into_string().ok())
                .filter(|name| name.contains('.')),
        }
    }

    /// The card of that name.
    #[must_use]
    pub fn card(&self, name: &str) -> Option<&Card> {
        self.cards.iter().find(|card| card.name == name)
    }
}

fn cards() -> Vec<Card> {
    let Ok(folder) = fs::read_dir("/sys/class/net") else {
        return Vec::new();
    };
    let read = |path: &Path| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let mut cards: Vec<Card> = folder
        .filter_map(Result::ok)
        // Those without a device are made of nothing: loopback, bridges, tunnels.
        .filter(|entry| entry.path().join("device").exists())
        .filter_map(|entry| {
            let path = entry.path();
            Some(Card {
                name: entry.file_name().into_string().ok()?,
                mac: read(&path.join("address"))?,
                has_link: read(&path.join("carrier")).map(|carrier| carrier == "1"),
            })
        })
        .collect();
    cards.sort_by(|a, b| a.name.cmp(&b.name));
    cards
}

fn addresses() -> Vec<IpAddr> {
    let Ok(found) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let addresses = found.filter_map(|found| {
        let address = found.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    addresses
        .filter(|address| match address {
            IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
            IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
        })
        .collect()
}

/// What the image has and no other machine.
const APPLIANCE: &str = "/usr/lib/vestibule/appliance";
