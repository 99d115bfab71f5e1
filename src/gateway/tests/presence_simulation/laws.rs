//! What holds whatever happens, and what holds once it has been quiet for the promised time.

use super::sip_side::line;
use super::*;
use crate::interwork::presence::xmpp;
use crate::sip::Method;

/// The pause of a burst, and ten seconds (specification: interworking §7, §12).
pub(super) const PROMISED: u64 = 15 * SECOND;
/// The same once a server can be reached again, or the process has begun anew.
pub(super) const REACHED: u64 = 15 * SECOND;
/// What the configuration had ended has its time first.
pub(super) const ALLOWED: u64 = 60 * SECOND;
/// What was lost on the way to bob is known at the next refresh, which comes within the hour; what was lost on the way to alice when
/// she refreshes.
const BLURRED: (u64, u64) = (HOUR + 600 * SECOND, 2 * HOUR + 600 * SECOND);

impl World {
    #[track_caller]
    pub(super) fn must(&self, holds: bool, what: &str) {
        assert!(
            holds,
            "PRESENCE_SEEDS={} at {} s: {what}",
            self.seed,
            self.now / SECOND
        );
    }

    #[track_caller]
    pub(super) fn must_of(&self, pair: usize, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            let (between, ends) = (&self.pairs[pair], self.ends(pair));
            let page = self
                .gateway
                .as_ref()
                .map(|gateway| gateway.subscriptions(self.instant(), None, 100_000));
            let listed: Vec<_> = page
                .into_iter()
                .flat_map(|page| page.listed)
                .filter(|listed| listed.ends == ends)
                .collect();
            let (seed, now) = (self.seed, self.now / SECOND);
            panic!(
                "PRESENCE_SEEDS={seed} PRESENCE_TRACE={pair} at {now} s: {}\n{between:#?}\n{listed:#?}",
                what()
            );
        }
    }

    /// Something is about to be said to bob.
    pub(super) fn check_word(&self, stanza: &Stanza) {
        let Some(pair) = self.pair_of(stanza) else {
            return self.must(false, "a stanza between nobody");
        };
        let between = &self.pairs[pair];
        let is_state = xmpp::from_stanza(stanza).is_some_and(|device| device.state() != State::Offline);
        self.must_of(pair, !is_state || between.ever.0, || {
            "a state is shown to who was never let in".to_owned()
        });
        let is_open = self.regime_of(pair) == Regime::Open;
        self.must_of(pair, !is_state || is_open, || {
            "a state is shown that policy forbids".to_owned()
        });
        if stanza.kind() == Kind::Presence(PresenceType::Subscribe) {
            let record = self.store.get(&self.ends(pair));
            let is_given = record
                .and_then(|record| record.serve.as_ref())
                .is_some_and(|serve| serve.consent == Some(crate::gateway::presence::Consent::Given));
            self.must_of(pair, !(is_given && between.from), || {
                "who has let see is asked again".to_owned()
            });
        }
    }

    /// A request of ours is about to be sent.
    pub(super) fn check_request(&self, request: &Request) {
        let mut octets = Vec::new();
        sip::write::request(request, &mut octets);
        let read = sip::parse::message(&octets, &SipLimits::default());
        self.must(
            matches!(read, Ok(Message::Request(_))),
            "what we send cannot be read",
        );
        let headers = request.headers();
        let key = (
            number(&headers.from().to_string(), "sip:b"),
            number(&headers.to().to_string(), "sip:a"),
        );
        let pair = self.by_users[&key];
        let body = String::from_utf8_lossy(request.body());
        let shows = *request.method() == Method::Notify && body.contains(">open<");
        self.must_of(pair, !shows || self.pairs[pair].ever.1, || {
            format!("shown to who was never let in: {}", line(request))
        });
        let is_open = self.regime_of(pair) == Regime::Open;
        self.must_of(pair, !shows || is_open, || {
            format!("shown to whom policy keeps out: {}", line(request))
        });
    }

    pub(super) fn check(&mut self) {
        for pair in 0..self.pairs.len() {
            self.sweep(pair);
            let doubled = self.pairs[pair].doubled.map_or(0, |since| self.now - since);
            self.must_of(pair, doubled <= HOUR + 600 * SECOND, || {
                "two subscriptions for one pair".to_owned()
            });
            if self.is_promised(pair) {
                match self.regime_of(pair) {
                    Regime::Open => self.check_pair(pair),
                    Regime::Denied | Regime::Blocked => self.check_hidden(pair),
                }
            }
        }
    }

    /// Whether everybody is to see what is so.
    pub(super) fn is_promised(&self, pair: usize) -> bool {
        let is_quiet =
            self.now >= self.disturbed && self.now.saturating_sub(self.pairs[pair].stirred) >= PROMISED;
        is_quiet && self.gateway.is_some() && !self.sip_down && self.xmpp_up && !self.is_silent
    }

    /// Neither sees the other.
    fn check_hidden(&mut self, pair: usize) {
        let between = &self.pairs[pair];
        for (device, view) in &between.views {
            self.must_of(pair, view.is_empty(), || {
                format!("bob/{device} sees {view:?}, whom policy keeps out")
            });
        }
        let view = between.watching.as_ref().map(|watching| &watching.view);
        let is_empty = view.is_none_or(Devices::is_empty) || between.blurred.1.is_some();
        self.must_of(pair, is_empty, || {
            format!("alice sees {view:?}, whom policy keeps out")
        });
        self.saw("seen by nobody");
    }

    /// A loss is found out in time.
    fn check_blurred(&self, pair: usize) {
        let between = &self.pairs[pair];
        let lasts = |since: Option<u64>, most: u64| since.is_some_and(|since| self.now - since > most);
        let is_approved = between.is_approved == Some(true) && !between.is_refused;
        let is_seen = between.to && is_approved && !between.views.is_empty();
        self.must_of(pair, !is_seen || !lasts(between.blurred.0, BLURRED.0), || {
            "a loss on the way to bob is not found out".to_owned()
        });
        let is_served = between.from && between.watching.is_some();
        self.must_of(pair, !is_served || !lasts(between.blurred.1, BLURRED.1), || {
            "a loss on the way to alice is not found out".to_owned()
        });
    }

    fn check_pair(&mut self, pair: usize) {
        self.check_blurred(pair);
        let truth = self.shown_to_bob(pair);
        let between = &self.pairs[pair];
        let is_seen = between.to && between.is_approved == Some(true) && !between.is_refused;
        if is_seen && between.blurred.0.is_none() {
            for (device, view) in &between.views {
                self.must_of(pair, *view == truth, || {
                    format!("bob/{device} sees {view:?}, and alice is {truth:?}")
                });
            }
            if !between.views.is_empty() {
                self.saw("seen by XMPP");
            }
        }
        let truth = self.shown_to_alice(pair);
        let between = &self.pairs[pair];
        let Some(watching) = &between.watching else {
            return;
        };
        if between.blurred.1.is_some() {
            return;
        }
        if between.from {
            self.must_of(pair, watching.state == "active", || {
                format!("alice waits in {}", watching.state)
            });
            let view = &watching.view;
            self.must_of(pair, *view == truth, || {
                format!("alice sees {view:?}, and bob is {truth:?}")
            });
            self.saw("seen by SIP");
        } else {
            self.must_of(pair, watching.view.is_empty(), || {
                "alice sees without consent".to_owned()
            });
        }
    }

    /// Nothing more happens but refreshes: what everybody sees is true, and nothing is left that nobody needs.
    pub(super) fn calm_down(&mut self) {
        self.is_calm = true;
        self.run_for(4 * HOUR);
        self.disturbed = 0;
        self.check();
        let rest = self.now;
        // The server of alice has no subscription that is not refreshed.
        self.run_for(HOUR);
        for pair in 0..self.pairs.len() {
            self.sweep(pair);
            let between = &self.pairs[pair];
            let is_there = !self.bobs[between.bob].is_empty();
            if between.to && between.is_approved == Some(true) && is_there {
                let count = between.notifying.len();
                self.must_of(pair, count == 1, || {
                    format!("{count} subscriptions at the server of alice")
                });
            }
        }
        self.must(self.now > rest, "time passes");
        self.check();
        self.check_memory();
    }

    fn run_for(&mut self, time: u64) {
        let until = self.now + time;
        self.run(until);
    }

    fn check_memory(&mut self) {
        // Between two refreshes nothing is under way.
        let mut least = None;
        for _ in 0..200 {
            self.run_for(7 * SECOND);
            self.tell(Input::Tick);
            let used = self
                .gateway
                .as_ref()
                .map(|gateway| gateway.presence.under_way())
                .unwrap();
            least = least.into_iter().chain([used]).min();
            if used == 0 {
                break;
            }
        }
        // A large world is never without a refresh, and a stanza counts as under way for a minute.
        let most = self.pairs.len() / 30;
        self.must(
            least.unwrap() <= most,
            &format!("{least:?} are under way for ever"),
        );
        let page = self
            .gateway
            .as_ref()
            .unwrap()
            .subscriptions(self.instant(), None, 1_000_000);
        for listed in &page.listed {
            let pair = self.by_users[&(number(&listed.ends.xmpp, "b"), number(&listed.ends.sip, "a"))];
            let between = &self.pairs[pair];
            let is_needed = match listed.watcher {
                crate::gateway::presence::Watcher::Xmpp => between.to || between.is_asking,
                crate::gateway::presence::Watcher::Sip => {
                    between.from || between.is_asked || between.watching.is_some()
                }
            };
            self.must_of(pair, is_needed, || format!("kept for nothing: {listed:?}"));
        }
    }
}
