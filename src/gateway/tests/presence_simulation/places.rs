//! Where the users are: of XMPP inside and of SIP outside, some of them at a Microsoft server; or the other way round. And which
//! configurations there are for that.

use super::sip_side::open_devices;
use super::*;
use crate::interwork::presence::table::BusyAs;
use crate::interwork::presence::{Device, Presence, document, pidf, xmpp};
use crate::interwork::profile::PeerKind;
use crate::mime::MediaType;

/// What the configuration says of presence at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Regime {
    /// Everybody may.
    Open,
    /// Nobody may.
    Denied,
    /// Some of SIP are blocked politely.
    Blocked,
}

impl World {
    pub(super) fn borders(is_mirror: bool, users: usize) -> [Arc<Border>; 3] {
        if is_mirror {
            let open = || {
                Setting::with(
                    "friend.example",
                    Action::Allow,
                    Directions::Both,
                    &policy::Kind::ALL,
                )
            };
            let denied = Arc::new(Setting::default().border());
            return [Arc::new(open().border()), Arc::clone(&denied), denied];
        }
        let mut denied = Setting::default();
        for name in ["partner.example", "ms.example"] {
            let one = Setting::with(name, Action::Deny, Directions::Both, &[PolicyKind::Presence]);
            denied.exceptions.extend(one.exceptions);
        }
        let mut blocked = Setting::default();
        for alice in (0..users).filter(|alice| is_blocked(*alice)) {
            let one = Setting::blocking(&alice_of(false, alice), Style::Polite);
            blocked.blocks.extend(one.blocks);
        }
        [Setting::default(), denied, blocked].map(|setting| Arc::new(setting.border()))
    }

    pub(super) fn bob(&self, bob: usize) -> String {
        let domain = if self.is_mirror {
            "friend.example"
        } else {
            "corp.example"
        };
        format!("b{bob}@{domain}")
    }

    pub(super) fn alice(&self, alice: usize) -> String {
        alice_of(self.is_mirror, alice)
    }

    pub(super) fn ends(&self, pair: usize) -> Ends {
        let between = &self.pairs[pair];
        Ends {
            xmpp: self.bob(between.bob),
            sip: self.alice(between.alice),
        }
    }

    /// The sides that XMPP and SIP are on.
    pub(super) fn sides(&self) -> (Side, Side) {
        if self.is_mirror {
            (Side::Outside, Side::Inside)
        } else {
            (Side::Inside, Side::Outside)
        }
    }

    /// The links that carry stanzas.
    pub(super) fn links(&self) -> Vec<Link> {
        if self.is_mirror {
            return vec![xmpp_link("phones.corp.example", "friend.example")];
        }
        ["partner.example", "ms.example"]
            .map(|name| xmpp_link(name, "corp.example"))
            .into()
    }

    pub(super) fn kind_of(&self, alice: usize) -> PeerKind {
        if !self.is_mirror && is_microsoft(alice) {
            PeerKind::Microsoft
        } else {
            PeerKind::Simple
        }
    }

    /// Whether the configuration lets the two see each other, and the one of SIP, and whether that is not to show.
    pub(super) fn regime_of(&self, pair: usize) -> Regime {
        match self.regime {
            Regime::Blocked if self.is_mirror => Regime::Denied,
            Regime::Blocked if !is_blocked(self.pairs[pair].alice) => Regime::Open,
            regime @ (Regime::Blocked | Regime::Denied | Regime::Open) => regime,
        }
    }

    /// How the devices of alice look to bob.
    pub(super) fn shown_to_bob(&self, pair: usize) -> Devices {
        let alice = self.pairs[pair].alice;
        let (kind, devices) = (self.kind_of(alice), &self.alices[alice]);
        if kind == PeerKind::Simple {
            return devices.clone();
        }
        let shown = devices.iter().map(|(name, state)| {
            let (from, to) = (jid("a@ms.example"), jid("b@corp.example"));
            let device = Device::new(name, *state);
            let stanza = xmpp::to_stanza(&device, (kind, BusyAs::of(kind)), from, to);
            (name.clone(), xmpp::from_stanza(&stanza).unwrap().state())
        });
        shown.collect()
    }

    /// How the devices of bob look to alice.
    pub(super) fn shown_to_alice(&self, pair: usize) -> Devices {
        let between = &self.pairs[pair];
        let (kind, devices) = (self.kind_of(between.alice), &self.bobs[between.bob]);
        if kind == PeerKind::Simple {
            return devices.clone();
        }
        let body = pidf::write(&presence_of(devices), &jid("b@corp.example"), kind).unwrap();
        let written = MediaType::parse("application/pidf+xml").unwrap();
        open_devices(&document::read(&written, &body).unwrap().onto(None).unwrap())
    }
}

pub(super) fn presence_of(devices: &Devices) -> Presence {
    devices.iter().fold(Presence::new(), |presence, (name, state)| {
        presence.with(Device::new(name, *state))
    })
}

fn alice_of(is_mirror: bool, alice: usize) -> String {
    let domain = match (is_mirror, is_microsoft(alice)) {
        (true, _) => "phones.corp.example",
        (false, true) => "ms.example",
        (false, false) => "partner.example",
    };
    format!("a{alice}@{domain}")
}

const fn is_microsoft(alice: usize) -> bool {
    alice % 3 == 2
}

const fn is_blocked(alice: usize) -> bool {
    alice % 4 == 1
}
