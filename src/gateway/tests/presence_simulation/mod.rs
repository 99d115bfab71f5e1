//! The presence of many pairs of users in a simulated world: a gateway with its border and a store, a server of XMPP that keeps rosters
//! as RFC 6121 says, and a SIP side of notifiers and watchers. Users come and go and change their states, allow and forbid; the process is
//! killed, servers cannot be reached, what is sent is lost, the clock jumps, the configuration denies and allows again. A seed decides all.
//!
//! `PRESENCE_PAIRS=10000 PRESENCE_HOURS=168 PRESENCE_SEEDS=1..2` runs a large world for long; each failure names its seed.

#[path = "../../../../tests/it/simulation/chance.rs"]
mod chance;
mod edge;
mod laws;
mod notifying;
mod places;
mod polling;
mod sip_side;
mod watching;
mod xmpp_side;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::*;
use crate::gateway::presence::{Change, Ends, Record};
use crate::interwork::presence::State;
use crate::policy::Kind as PolicyKind;
use crate::xmpp::stanza::PresenceType;
use chance::Chance;
use laws::{ALLOWED, PROMISED, REACHED};
use notifying::Notifying;
use places::Regime;
use polling::Poll;
use sip_side::Origin;
use watching::Watching;

type Devices = BTreeMap<String, State>;

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

/// What users have between them, as their own servers know it.
#[derive(Debug, Default)]
struct Between {
    bob: usize,
    alice: usize,
    /// bob sees alice, or has asked to.
    to: bool,
    is_asking: bool,
    /// alice sees bob, or bob has still to say whether she may.
    from: bool,
    is_asked: bool,
    /// When bob has said no, where nobody has subscribed since.
    denied: Option<u64>,
    /// Until when bob is not asked, because he has said no, whoever asks.
    refused_until: u64,
    /// Whether bob may have let alice see at any time, and alice bob.
    ever: (bool, bool),
    /// What each device of bob was told of alice.
    views: BTreeMap<String, Devices>,
    /// The subscriptions of bob at the server of alice, and whether she lets him.
    notifying: Vec<Notifying>,
    doubled: Option<u64>,
    is_approved: Option<bool>,
    /// alice's own subscription to bob.
    wants: bool,
    watching: Option<Watching>,
    poll: Option<Poll>,
    /// Since when a loss makes one of them see what was, until something arrives again.
    blurred: (Option<u64>, Option<u64>),
    /// Whether the last attempt of bob to see alice was refused for a while.
    is_refused: bool,
    stirred: u64,
}

#[derive(Debug)]
enum Event {
    Bob(usize),
    Alice(usize),
    Decide(usize),
    Approve(usize),
    Watch(usize),
    Poll(usize),
    Refresh(usize, String),
    Stanza(Box<Stanza>),
    ToServer(Box<Stanza>, u64),
    Sip(String, u64),
    Overdue(u64, u64),
    Input(u64, Box<Input<u64>>),
    Kept(u64, u64, Vec<Change>),
    Fault,
    EdgeUp,
    SipUp,
    XmppDead,
    XmppUp,
    Allow,
    Check,
}

struct World {
    chance: Chance,
    seed: u64,
    start: Instant,
    now: u64,
    skew: i64,
    /// Whether it has since the process was started.
    has_jumped: bool,
    events: BTreeMap<(u64, u64), Event>,
    count: u64,
    gateway: Option<Gateway<u64>>,
    life: u64,
    borders: [Arc<Border>; 3],
    regime: Regime,
    /// Whether SIP is inside and XMPP outside.
    is_mirror: bool,
    store: BTreeMap<Ends, Record>,
    /// When the last of what was handed to it is kept.
    kept: u64,
    pairs: Vec<Between>,
    of_bob: Vec<Vec<usize>>,
    of_alice: Vec<Vec<usize>>,
    by_users: HashMap<(usize, usize), usize>,
    bobs: Vec<Devices>,
    alices: Vec<Devices>,
    origins: HashMap<u64, Origin>,
    sip_down: bool,
    times_out: bool,
    xmpp_up: bool,
    is_silent: bool,
    epoch: u64,
    /// Subscription stanzas that the process has just taken: its side keeps them until they are kept here.
    recent: Vec<(u64, Stanza)>,
    /// Before this, nothing is promised.
    disturbed: u64,
    is_calm: bool,
    seen: BTreeMap<&'static str, u64>,
    trace: Option<usize>,
}

impl World {
    fn new(seed: u64, pairs: usize) -> Self {
        let is_mirror = seed % 4 == 3;
        let users = pairs.div_ceil(4).max(2);
        let mut this = Self {
            chance: Chance::new(seed),
            seed,
            start: Instant::now(),
            now: 0,
            skew: 0,
            has_jumped: false,
            events: BTreeMap::new(),
            count: 0,
            gateway: None,
            life: 0,
            borders: Self::borders(is_mirror, users),
            regime: Regime::Open,
            is_mirror,
            store: BTreeMap::new(),
            kept: 0,
            pairs: Vec::new(),
            of_bob: vec![Vec::new(); users],
            of_alice: vec![Vec::new(); users],
            by_users: HashMap::new(),
            bobs: vec![Devices::new(); users],
            alices: vec![Devices::new(); users],
            origins: HashMap::new(),
            sip_down: false,
            times_out: false,
            xmpp_up: true,
            is_silent: false,
            epoch: 1,
            recent: Vec::new(),
            disturbed: 0,
            is_calm: false,
            seen: BTreeMap::new(),
            trace: std::env::var("PRESENCE_TRACE")
                .ok()
                .and_then(|pair| pair.parse().ok()),
        };
        while this.pairs.len() < pairs.min(users * users) {
            let (bob, alice) = (this.chance.index(users), this.chance.index(users));
            let number = this.pairs.len();
            if let std::collections::hash_map::Entry::Vacant(free) = this.by_users.entry((bob, alice)) {
                free.insert(number);
                this.of_bob[bob].push(number);
                this.of_alice[alice].push(number);
                this.pairs.push(Between {
                    bob,
                    alice,
                    ..Between::default()
                });
            }
        }
        this.start_edge();
        let spread = 600 * SECOND;
        for user in 0..users {
            this.soon(0, spread, Event::Bob(user));
            this.soon(0, spread, Event::Alice(user));
        }
        for pair in 0..this.pairs.len() {
            if this.chance.percent(70) {
                this.soon(0, spread, Event::Watch(pair));
            }
            if this.chance.percent(20) {
                this.soon(0, spread, Event::Poll(pair));
            }
        }
        this.soon(1_200 * SECOND, HOUR, Event::Fault);
        this.at(300 * SECOND, Event::Check);
        this
    }

    fn at(&mut self, after: u64, event: Event) {
        self.count += 1;
        self.events.insert((self.now + after, self.count), event);
    }

    fn soon(&mut self, least: u64, most: u64, event: Event) {
        let after = self.chance.between(least, most);
        self.at(after, event);
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    fn saw(&mut self, what: &'static str) {
        if self.trace.is_some() && !what.starts_with("seen") {
            eprintln!("{:>9}.{:03} -- {what}", self.now / 1_000, self.now % 1_000);
        }
        *self.seen.entry(what).or_default() += 1;
    }

    fn note(&self, pair: usize, what: impl FnOnce() -> String) {
        if self.trace == Some(pair) {
            let (now, what) = (self.now, what());
            eprintln!("{:>9}.{:03} {what}", now / 1_000, now % 1_000);
        }
    }

    fn stir(&mut self, pair: usize) {
        let stirred = &mut self.pairs[pair].stirred;
        *stirred = self.now.max(*stirred);
    }

    /// Nothing is promised for a while.
    fn disturb(&mut self, milliseconds: u64) {
        self.disturbed = self.disturbed.max(self.now + milliseconds);
    }

    fn run(&mut self, until: u64) {
        let mut rounds = (0, 0);
        loop {
            let event = self.events.keys().next().map(|(at, _)| *at);
            let timer = self.gateway.as_ref().and_then(Gateway::timeout).map(|at| {
                let due = at.saturating_duration_since(self.start);
                u64::try_from(due.as_nanos().div_ceil(1_000_000)).unwrap()
            });
            let next = event.into_iter().chain(timer).min().unwrap();
            if next > until {
                self.now = until;
                return;
            }
            self.now = self.now.max(next);
            if timer.is_some_and(|at| at <= self.now) {
                rounds = if rounds.0 == self.now {
                    (self.now, rounds.1 + 1)
                } else {
                    (self.now, 0)
                };
                self.must(rounds.1 < 1_000, "its timer comes for ever at one time");
                self.tell(Input::Tick);
            }
            if event.is_some_and(|at| at <= self.now) {
                let (_, event) = self.events.pop_first().unwrap();
                self.happen(event);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Bob(user) => self.bob_acts(user),
            Event::Alice(user) => self.alice_acts(user),
            Event::Decide(pair) => self.bob_decides(pair),
            Event::Approve(pair) => self.alice_decides(pair),
            Event::Watch(pair) => self.watch(pair),
            Event::Poll(pair) => self.poll(pair),
            Event::Refresh(pair, call) => self.refresh(pair, &call),
            Event::Stanza(stanza) => self.stanza_arrives(*stanza),
            Event::ToServer(stanza, epoch) => {
                if self.xmpp_up && !self.is_silent && epoch == self.epoch {
                    self.server_reads(&stanza);
                }
            }
            Event::Sip(text, origin) => self.sip_arrives(&text, origin),
            Event::Overdue(origin, life) => self.overdue(origin, life),
            Event::Input(life, input) => {
                if life == self.life {
                    self.tell(self.unless_broken(*input));
                }
            }
            Event::Kept(life, ticket, changes) => {
                if life == self.life {
                    self.keep(changes);
                    self.tell(Input::Persisted { ticket });
                }
            }
            Event::Fault => self.fault(),
            Event::EdgeUp => {
                self.saw("started");
                if std::mem::take(&mut self.has_jumped) {
                    // An hour that the clock says is over is over.
                    self.pairs
                        .iter_mut()
                        .for_each(|between| between.refused_until = 0);
                }
                self.start_edge();
            }
            Event::SipUp => {
                self.saw("SIP again");
                self.sip_down = false;
                // What waits for an answer now gets none.
                let silence = if self.times_out { 33 * SECOND } else { 0 };
                self.disturb(silence + REACHED);
            }
            Event::XmppDead => self.break_stream(),
            Event::XmppUp => {
                self.saw("XMPP again");
                self.xmpp_up = true;
                self.disturb(REACHED);
            }
            Event::Allow => {
                self.regime = Regime::Open;
                self.configure();
                self.disturb(ALLOWED);
            }
            Event::Check => {
                self.check();
                // In a large world a part of the pairs is quiet at any time.
                let every = if self.pairs.len() > 100 { 300 } else { 97 };
                self.at(every * SECOND, Event::Check);
            }
        }
    }

    /// What a link was about to write when its stream broke it gives back.
    fn unless_broken(&self, input: Input<u64>) -> Input<u64> {
        if let Input::Written { tokens, epoch } = &input
            && *epoch != self.epoch
        {
            let (token, trouble) = (tokens[0], Trouble::Broken);
            return Input::Returned { token, trouble };
        }
        input
    }

    fn fault(&mut self) {
        if self.is_calm {
            return;
        }
        match self.chance.index(7) {
            0 | 1 => self.kill(),
            2 if !self.sip_down => {
                self.saw("outage of SIP");
                self.sip_down = true;
                self.times_out = self.chance.percent(30);
                self.soon(SECOND, 1_800 * SECOND, Event::SipUp);
            }
            3 if self.xmpp_up && !self.is_silent => {
                self.saw("outage of XMPP");
                // At first nobody notices.
                self.is_silent = true;
                self.soon(10, 5 * SECOND, Event::XmppDead);
            }
            4 => {
                self.saw("jump of the clock");
                let by = i64::try_from(self.chance.between(0, 200_000)).unwrap();
                self.skew += by - 100_000;
                self.has_jumped = true;
            }
            5 if self.regime == Regime::Open => {
                // In turn, so that few seeds try both.
                let before: u64 = ["denial", "block"]
                    .iter()
                    .filter_map(|what| self.seen.get(what))
                    .sum();
                let (regime, what) = if (self.seed + before).is_multiple_of(2) {
                    (Regime::Denied, "denial")
                } else {
                    (Regime::Blocked, "block")
                };
                self.regime = regime;
                self.saw(what);
                self.configure();
                self.disturb(PROMISED);
                self.soon(SECOND, 600 * SECOND, Event::Allow);
            }
            _ => {
                self.saw("reload");
                self.configure();
            }
        }
        self.soon(600 * SECOND, 2 * HOUR, Event::Fault);
    }
}

fn number(text: &str, before: &str) -> usize {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("{before} in {text}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

fn run(seed: u64, pairs: usize, hours: u64) -> BTreeMap<&'static str, u64> {
    let mut world = World::new(seed, pairs);
    world.run(hours * HOUR);
    world.calm_down();
    world.seen
}

fn setting(name: &str, usual: &str) -> Vec<u64> {
    let given = std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    match given.split_once("..") {
        Some((from, to)) => (from.parse().unwrap()..to.parse().unwrap()).collect(),
        None => vec![given.parse().unwrap()],
    }
}

#[test]
fn everybody_sees_what_is_true_whatever_happens() {
    let (pairs, hours) = (
        setting("PRESENCE_PAIRS", "20")[0],
        setting("PRESENCE_HOURS", "6")[0],
    );
    let mut seen = BTreeMap::<&str, u64>::new();
    for seed in setting("PRESENCE_SEEDS", "1..8") {
        for (what, count) in run(seed, usize::try_from(pairs).unwrap(), hours) {
            *seen.entry(what).or_default() += count;
        }
    }
    println!("{seen:?}");
    if std::env::var_os("PRESENCE_SEEDS").is_some() {
        return;
    }
    for what in [
        "seen by XMPP",
        "seen by SIP",
        "pending",
        "kill",
        "outage of SIP",
        "outage of XMPP",
        "denial",
        "block",
        "lost",
        "seen once",
        "known to us",
        "known to them",
    ] {
        assert!(
            seen.get(what).is_some_and(|count| *count > 0),
            "nothing was tried of: {what}"
        );
    }
}
