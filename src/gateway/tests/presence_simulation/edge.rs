//! The process: its configuration, its store, its links, and that it is killed.

use super::*;
use crate::limits::GatewayLimits;

impl World {
    pub(super) fn unix(&self) -> u64 {
        (1_800_000_000 + self.now / 1_000).saturating_add_signed(self.skew)
    }

    pub(super) fn border(&self) -> &Arc<Border> {
        let [open, denied, blocked] = &self.borders;
        match self.regime {
            Regime::Open => open,
            Regime::Denied => denied,
            Regime::Blocked => blocked,
        }
    }

    pub(super) fn configure(&mut self) {
        let (border, unix) = (Arc::clone(self.border()), self.unix());
        self.tell(Input::Configured { border, unix });
    }

    pub(super) fn kill(&mut self) {
        if self.gateway.take().is_none() {
            return;
        }
        self.saw("kill");
        self.life += 1;
        self.epoch += 1;
        // What it had taken and not kept, its side says again.
        for (at, stanza) in std::mem::take(&mut self.recent) {
            if self.now - at <= 200 {
                self.at(3 * SECOND, Event::Stanza(Box::new(stanza)));
            }
        }
        let most = self.chance.pick(&[2, 10, 60, 600, 7_200]) * SECOND;
        let down = self.chance.between(SECOND, most);
        self.disturbed = self.disturbed.max(self.now + down + REACHED);
        self.at(down, Event::EdgeUp);
    }

    pub(super) fn start_edge(&mut self) {
        let secret = Chance::new(self.seed << 20 | self.life).octets();
        let speaker = Speaker::new(
            AnswerIds::new(77 + self.life),
            domain("edge.corp.example"),
            "",
            secret,
        );
        let gateway = Gateway::new(3, GatewayLimits::default(), &speaker);
        self.gateway = Some(gateway.expecting_records());
        self.configure();
        let (records, unix) = (self.store.values().cloned().collect(), self.unix());
        self.tell(Input::Restore { records, unix });
        self.tell(Input::Restored);
    }

    pub(super) fn keep(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put(record) => drop(self.store.insert(record.ends.clone(), *record)),
                Change::Forget(ends) => drop(self.store.remove(&ends)),
            }
        }
    }

    /// The gateway is told something, and does all that it wants.
    pub(super) fn tell(&mut self, input: Input<u64>) {
        let now = self.instant();
        let Some(gateway) = &mut self.gateway else {
            return;
        };
        gateway.handle(now, input);
        let mut outputs = 0;
        while let Some(output) = self.gateway.as_mut().and_then(|gateway| gateway.poll(now)) {
            outputs += 1;
            self.must(outputs < 1_000_000, "it never comes to rest");
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output<u64>) {
        let life = self.life;
        match output {
            Output::Send { stanza, token, .. } => {
                let token = token.unwrap();
                self.check_word(&stanza);
                if self.xmpp_up {
                    let (tokens, epoch) = (vec![token], self.epoch);
                    self.at(10, Event::Input(life, Box::new(Input::Written { tokens, epoch })));
                    self.at(30, Event::ToServer(stanza, epoch));
                } else {
                    let trouble = Trouble::Unreachable;
                    self.soon(
                        SECOND,
                        5 * SECOND,
                        Event::Input(life, Box::new(Input::Returned { token, trouble })),
                    );
                }
            }
            Output::Request { request, token, .. } => self.sip_reads(&request, token),
            Output::Respond { origin, response } => self.answered(origin, &response),
            Output::Persist { ticket, changes } => {
                // A store takes its time, and keeps things in their order.
                self.kept = self.kept.max(self.now + self.now % 40);
                self.at(self.kept - self.now, Event::Kept(life, ticket, changes));
            }
            other
            @ (Output::Pong(_) | Output::Recall { .. } | Output::Observe(_) | Output::Untold { .. }) => {
                panic!("{other:?}")
            }
        }
    }

    /// The stream to the server of XMPP breaks, and cannot be opened for a while.
    pub(super) fn break_stream(&mut self) {
        (self.xmpp_up, self.is_silent) = (false, false);
        let epoch = self.epoch;
        self.epoch += 1;
        for link in self.links() {
            self.tell(Input::Broken { link, epoch });
        }
        self.soon(SECOND, 900 * SECOND, Event::XmppUp);
    }

    /// A stanza of bob's server comes in.
    pub(super) fn stanza_arrives(&mut self, stanza: Stanza) {
        let is_kept = !matches!(
            stanza.kind(),
            Kind::Presence(PresenceType::Available | PresenceType::Unavailable | PresenceType::Probe)
        );
        if self.gateway.is_none() {
            if is_kept {
                self.at(2 * SECOND, Event::Stanza(Box::new(stanza)));
            }
            return;
        }
        let pair = self.pair_of(&stanza);
        if let Some(pair) = pair {
            self.note(pair, || format!("X> {:?} {}", stanza.kind(), stanza.from()));
        }
        if is_kept {
            self.recent.retain(|(at, _)| self.now - at < 200);
            self.recent.push((self.now, stanza.clone()));
        }
        let border = Arc::clone(self.border());
        match border.admit_stanza(self.sides().0, stanza, today(), &[7; 32]) {
            Ok(AdmittedStanza::Deliver(delivery)) => self.tell(Input::Deliver {
                delivery,
                origin: None,
            }),
            Ok(AdmittedStanza::GivenUp { ends, what, .. }) => {
                assert!(pair.is_some_and(|pair| self.regime_of(pair) != Regime::Open));
                self.tell(Input::GivenUp {
                    ends,
                    what,
                    hold: None,
                });
            }
            Ok(AdmittedStanza::Ignore) => {}
            Ok(other) => panic!("{other:?}"),
            Err(_) => assert!(pair.is_some_and(|pair| self.regime_of(pair) != Regime::Open)),
        }
    }

    /// A request of the SIP side comes in.
    pub(super) fn sip_arrives(&mut self, text: &str, origin: u64) {
        let life = self.life;
        self.at(40 * SECOND, Event::Overdue(origin, life));
        if self.gateway.is_none() || self.sip_down {
            return self.lost(origin);
        }
        if !is_notify(text) || !self.chance.percent(2) || self.is_calm {
            let request = match sip::parse::message(text.as_bytes(), &SipLimits::default()) {
                Ok(Message::Request(request)) => request,
                other => panic!("{text}\nis no request: {other:?}"),
            };
            let border = Arc::clone(self.border());
            let mut peer = Proven(&["partner.example", "ms.example", "phones.corp.example"]);
            match border.admit_sip(self.sides().1, request, &mut peer, today()) {
                Ok(Admitted::Blocked { request, ends }) => self.tell(Input::Blocked {
                    request,
                    ends,
                    origin: Some(origin),
                }),
                Ok(Admitted::Deliver(delivery)) => self.tell(Input::Deliver {
                    delivery,
                    origin: Some(origin),
                }),
                Ok(other) => panic!("{other:?}"),
                Err(rejected) => {
                    assert!(self.regime != Regime::Open);
                    self.answered(origin, rejected.response());
                }
            }
            if let Some(at) = self.origins.get_mut(&origin) {
                at.is_delivered = true;
            }
            return;
        }
        self.saw("lost");
        self.lost(origin);
    }
}

pub(super) fn is_notify(text: &str) -> bool {
    text.starts_with("NOTIFY") || text.starts_with("BENOTIFY")
}
