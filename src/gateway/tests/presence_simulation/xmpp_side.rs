//! The server of every bob: rosters and presence as RFC 6121 has them.

use super::*;
use crate::interwork::presence::xmpp;

impl World {
    pub(super) fn pair_of(&self, stanza: &Stanza) -> Option<usize> {
        let (from, to) = (stanza.from().to_string(), stanza.to().to_string());
        let (bob, alice) = if from.starts_with('b') {
            (from, to)
        } else {
            (to, from)
        };
        self.by_users
            .get(&(number(&bob, "b"), number(&alice, "a")))
            .copied()
    }

    /// bob's server says something to alice.
    fn say(&mut self, pair: usize, device: &str, kind: PresenceType, state: Option<State>) {
        let between = &self.pairs[pair];
        let bare = jid(&self.bob(between.bob));
        let from = if device.is_empty() {
            bare
        } else {
            bare.with_resource(device).unwrap()
        };
        let to = jid(&self.alice(between.alice));
        let show = match state {
            Some(State::Away) => "away",
            Some(State::DoNotDisturb) => "dnd",
            Some(State::Chat) => "chat",
            _ => "",
        };
        let mut stanza = Stanza::new(Kind::Presence(kind), from, to);
        if !show.is_empty() {
            stanza = stanza.with_child(Element::new("show", ns::STANZA).with_text(show));
        }
        self.stir(pair);
        self.at(20, Event::Stanza(Box::new(stanza)));
    }

    fn say_states(&mut self, pair: usize) {
        for (device, state) in self.bobs[self.pairs[pair].bob].clone() {
            self.say(pair, &device, PresenceType::Available, Some(state));
        }
    }

    /// Something of alice comes to bob's server.
    pub(super) fn server_reads(&mut self, stanza: &Stanza) {
        let Some(pair) = self.pair_of(stanza) else {
            return;
        };
        let Kind::Presence(kind) = stanza.kind() else {
            return;
        };
        self.note(pair, || format!("X< {kind:?} {} {}", stanza.from(), stanza.to()));
        let between = &mut self.pairs[pair];
        match kind {
            PresenceType::Subscribe if between.from => self.say(pair, "", PresenceType::Subscribed, None),
            PresenceType::Subscribe if between.is_asked => {}
            PresenceType::Subscribe => {
                // A question may have been on its way when he said no.
                let is_crossing = between.denied.is_some_and(|at| self.now - at <= 2 * SECOND);
                // The hour, as the next process counts it.
                let is_early = between.denied.is_some() || self.now < between.refused_until;
                between.is_asked = true;
                self.must_of(pair, is_crossing || !is_early, || {
                    "who has said no is asked again".to_owned()
                });
                self.saw("asked");
                self.soon(SECOND, 3_000 * SECOND, Event::Decide(pair));
            }
            PresenceType::Subscribed => {
                if std::mem::take(&mut between.is_asking) {
                    between.to = true;
                    let is_let = between.ever.0;
                    self.must(is_let, "who was not let in is told that he was");
                }
            }
            PresenceType::Unsubscribed => {
                (between.to, between.is_asking) = (false, false);
            }
            PresenceType::Probe if !between.from => self.say(pair, "", PresenceType::Unsubscribed, None),
            PresenceType::Probe if self.bobs[between.bob].is_empty() => {
                self.say(pair, "", PresenceType::Unavailable, None);
            }
            PresenceType::Probe => self.say_states(pair),
            PresenceType::Available | PresenceType::Unavailable => {
                let device = xmpp::from_stanza(stanza).unwrap();
                for (name, view) in &mut between.views {
                    if stanza.to().resource().is_none_or(|to| to == name) {
                        if device.state() == State::Offline {
                            view.remove(device.name());
                        } else {
                            view.insert(device.name().to_owned(), device.state());
                        }
                    }
                }
            }
            PresenceType::Unsubscribe | PresenceType::Error => panic!("{stanza:?}"),
        }
        self.stir(pair);
    }

    /// bob does something.
    pub(super) fn bob_acts(&mut self, bob: usize) {
        if self.is_calm {
            return;
        }
        self.soon(SECOND, 1_800 * SECOND, Event::Bob(bob));
        if !self.xmpp_up || self.is_silent {
            return;
        }
        let device = self.chance.pick(&["home", "work"]).to_owned();
        let state = self
            .chance
            .pick(&[State::Available, State::Away, State::DoNotDisturb, State::Chat]);
        match self.chance.index(10) {
            0..=1 => self.log_out(bob, &device),
            2..=6 => self.log_in(bob, &device, state),
            _ => {
                let which = self.chance.index(self.of_bob[bob].len().max(1));
                let pair = self.of_bob[bob].get(which).copied();
                if let Some(pair) = pair.filter(|_| self.gateway.is_some()) {
                    self.manage(pair);
                }
            }
        }
    }

    fn log_out(&mut self, bob: usize, device: &str) {
        if self.bobs[bob].remove(device).is_none() {
            return;
        }
        for pair in self.of_bob[bob].clone() {
            self.pairs[pair].views.remove(device);
            if self.pairs[pair].from {
                self.say(pair, device, PresenceType::Unavailable, None);
            }
            self.stir(pair);
        }
    }

    fn log_in(&mut self, bob: usize, device: &str, state: State) {
        let is_new = self.bobs[bob].insert(device.to_owned(), state).is_none();
        for pair in self.of_bob[bob].clone() {
            if is_new {
                self.pairs[pair].views.insert(device.to_owned(), Devices::new());
            }
            if self.pairs[pair].from {
                self.say(pair, device, PresenceType::Available, Some(state));
            }
            if is_new && self.pairs[pair].to {
                self.say(pair, device, PresenceType::Probe, None);
            }
            self.stir(pair);
        }
    }

    /// bob asks to see alice, or not any more; or takes back that she may see him. He may take back what the configuration forbids.
    fn manage(&mut self, pair: usize) {
        let is_open = self.regime_of(pair) == Regime::Open;
        let between = &mut self.pairs[pair];
        let is_revoking = between.from && self.chance.percent(10);
        if is_revoking {
            (between.from, between.denied) = (false, Some(self.now));
            between.refused_until = self.now + 3_000 * SECOND;
            self.saw(if is_open {
                "revoked"
            } else {
                "revoked while forbidden"
            });
            self.say(pair, "", PresenceType::Unsubscribed, None);
        } else if !between.to && !between.is_asking {
            if !is_open {
                return;
            }
            between.is_asking = true;
            // He wants to see her: he may be asked.
            between.refused_until = 0;
            // Who was turned away may have another chance.
            if between.is_approved == Some(false) && self.chance.percent(50) {
                between.is_approved = None;
            }
            self.say(pair, "", PresenceType::Subscribe, None);
        } else if self.chance.percent(15) {
            (between.to, between.is_asking) = (false, false);
            for view in between.views.values_mut() {
                view.clear();
            }
            self.saw(if is_open {
                "unsubscribed"
            } else {
                "unsubscribed while forbidden"
            });
            self.say(pair, "", PresenceType::Unsubscribe, None);
        }
    }

    /// bob says whether alice may see him.
    pub(super) fn bob_decides(&mut self, pair: usize) {
        if !self.pairs[pair].is_asked {
            return;
        }
        if !self.xmpp_up || self.is_silent || self.gateway.is_none() || self.regime_of(pair) != Regime::Open {
            return self.at(60 * SECOND, Event::Decide(pair));
        }
        self.pairs[pair].is_asked = false;
        if self.chance.percent(80) || self.is_calm {
            (self.pairs[pair].from, self.pairs[pair].ever.1) = (true, true);
            self.say(pair, "", PresenceType::Subscribed, None);
            self.say_states(pair);
        } else {
            self.pairs[pair].denied = Some(self.now);
            self.pairs[pair].refused_until = self.now + 3_000 * SECOND;
            self.say(pair, "", PresenceType::Unsubscribed, None);
        }
    }
}
