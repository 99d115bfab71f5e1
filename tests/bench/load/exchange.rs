//! Messages both ways at once between SIP over TLS and an XMPP server over s2s with TLS, each with a number that is followed: what was
//! sent, what became of it as its sender sees it, how often it arrived, and in which order. Unlike the rest of the load it outlives faults.
//!
//! `exchange` is both ends. It prints `listening`; after a line it connects, warms up and prints `ready`. `run` sends `--messages` each way
//! at `--rate` and prints `done` with what was counted since the last time; `start` sends until `stop`, which prints the same. `mark` prints
//! `crossed` with the milliseconds until the first message each way that was sent after it has arrived. `node` is an XMPP server alone, that
//! can be killed: it tells the exchange of each message (`--tell`) before it answers for it.

mod ledger;
mod sip;
mod xmpp;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

use crate::{Arguments, lines_of_stdin, tls};
use ledger::{Ledger, Way};

/// How long nothing may happen before what is open counts as never settled.
const SETTLES: Duration = Duration::from_secs(40);
/// How long to wait before a broken connection is opened again.
const AGAIN: Duration = Duration::from_millis(20);
/// How often a source looks what is due.
const TICK: Duration = Duration::from_millis(4);
/// Conversations: in each the order is watched. A multiple of every number of connections that is used.
const PAIRS: u64 = 96;

/// What all tasks share.
pub(crate) struct Exchange {
    arguments: Arc<Arguments>,
    to_xmpp: Ledger,
    to_sip: Ledger,
    /// Whether sources send now.
    sends: AtomicBool,
    /// How many messages the sources of each way may have sent in all.
    goal: AtomicU64,
    rate: u64,
    window: u64,
    connections: u64,
    /// Whether a broken connection is part of the test.
    faults: bool,
}

/// What one source may send: its share of the rate, and no more than the window lets.
pub(crate) struct Share {
    source: u64,
    sources: u64,
    next: u64,
    since: Option<(Instant, u64)>,
}

impl Share {
    fn new(source: u64, sources: u64) -> Self {
        Self {
            source,
            sources,
            next: 0,
            since: None,
        }
    }

    /// What was missed while the connection was down is not made up for.
    fn forget(&mut self) {
        self.since = None;
    }

    /// The numbers that are due.
    fn due(&mut self, exchange: &Exchange, ledger: &Ledger) -> Vec<u64> {
        if !exchange.sends.load(Ordering::Relaxed) {
            self.since = None;
            return Vec::new();
        }
        let (since, first) = *self.since.get_or_insert_with(|| (Instant::now(), self.next));
        let elapsed = u64::try_from(since.elapsed().as_micros()).unwrap();
        let due = first + elapsed * exchange.rate / self.sources / 1_000_000;
        let goal = exchange.goal.load(Ordering::Relaxed) / self.sources;
        let room = exchange.window.saturating_sub(ledger.open());
        let until = due.min(goal).min(self.next + room);
        let numbers = (self.next..until.max(self.next))
            .map(|turn| self.source + turn * self.sources)
            .collect();
        self.next = until.max(self.next);
        numbers
    }
}

/// Runs both ends until the end of the input.
pub(crate) async fn run(arguments: Arc<Arguments>) {
    let exchange = Arc::new(Exchange {
        to_xmpp: Ledger::new(Way::ToXmpp),
        to_sip: Ledger::new(Way::ToSip),
        sends: AtomicBool::new(false),
        goal: AtomicU64::new(0),
        rate: arguments.number("rate", 1000),
        window: arguments.number("window", 4000),
        connections: arguments.number("connections", 4),
        faults: arguments.number("faults", 0) > 0,
        arguments: Arc::clone(&arguments),
    });
    let sink = TcpListener::bind(arguments.get("sip-listen")).await.unwrap();
    tokio::spawn(sip::sink(sink, tls::acceptor(&arguments), Arc::clone(&exchange)));
    let node = if let Some(told) = arguments.0.get("told") {
        let listener = TcpListener::bind(told).await.unwrap();
        tokio::spawn(be_told(listener, Arc::clone(&exchange)));
        None
    } else {
        Some(xmpp::Node::listen(Arc::clone(&arguments), Some(Arc::clone(&exchange))).await)
    };
    println!("listening");
    let mut lines = lines_of_stdin();
    lines.recv().await;
    if let Some(node) = node {
        node.speak();
    }
    for connection in 0..exchange.connections {
        tokio::spawn(sip::source(Arc::clone(&exchange), connection));
    }
    exchange.send(arguments.number("warm", 960)).await;
    let _warm = (exchange.to_xmpp.report(""), exchange.to_sip.report(""));
    println!("ready");
    while let Some(line) = lines.recv().await {
        match line.trim() {
            "run" => {
                let began = Instant::now();
                exchange.send(arguments.number("messages", 20_000)).await;
                exchange.report(began.elapsed());
            }
            "start" => {
                exchange.goal.store(u64::MAX, Ordering::Relaxed);
                exchange.sends.store(true, Ordering::Relaxed);
            }
            "stop" => {
                let began = Instant::now();
                exchange.sends.store(false, Ordering::Relaxed);
                exchange.settle().await;
                exchange.report(began.elapsed());
            }
            "mark" => {
                let marked = Arc::clone(&exchange);
                tokio::spawn(async move {
                    let mark = Instant::now();
                    let (one, other) = tokio::join!(marked.to_xmpp.crossed(mark), async {
                        match marked.arguments.0.contains_key("told") {
                            true => Duration::ZERO,
                            false => marked.to_sip.crossed(mark).await,
                        }
                    });
                    println!("crossed {} {}", one.as_millis(), other.as_millis());
                });
            }
            other => panic!("{other} is no order"),
        }
    }
}

/// Runs an XMPP server alone.
pub(crate) async fn node(arguments: Arc<Arguments>) {
    let node = xmpp::Node::listen(arguments, None).await;
    node.speak();
    println!("listening");
    let mut lines = lines_of_stdin();
    while lines.recv().await.is_some() {}
}

/// Takes the numbers of messages that other processes have received.
async fn be_told(listener: TcpListener, exchange: Arc<Exchange>) {
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let exchange = Arc::clone(&exchange);
        tokio::spawn(async move {
            let mut lines = BufReader::new(tcp).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                exchange.to_xmpp.arrived(line.parse().expect("a number"));
            }
        });
    }
}

impl Exchange {
    /// Sends so many each way, and waits until it is known what became of each.
    async fn send(&self, messages: u64) {
        let sources = self.connections;
        let each = self.to_xmpp.sent().max(self.to_sip.sent()) + messages;
        self.goal.store(each.next_multiple_of(sources), Ordering::Relaxed);
        self.sends.store(true, Ordering::Relaxed);
        let wanted = each.next_multiple_of(sources);
        let mut moved = (Instant::now(), 0);
        loop {
            let (one, other) = (self.to_xmpp.sent(), self.to_sip.sent());
            if one >= wanted && (other >= wanted || self.arguments.0.contains_key("told")) {
                break;
            }
            if one + other != moved.1 {
                moved = (Instant::now(), one + other);
            }
            assert!(
                moved.0.elapsed() < SETTLES,
                "stuck: {one} and {other} of {wanted} were sent"
            );
            tokio::time::sleep(TICK).await;
        }
        self.sends.store(false, Ordering::Relaxed);
        self.settle().await;
    }

    /// Waits until everything is settled, or nothing has been for long.
    async fn settle(&self) {
        let mut moved = (Instant::now(), 0);
        loop {
            let open = self.to_xmpp.open() + self.to_sip.open();
            if open == 0 {
                break;
            }
            if open != moved.1 {
                moved = (Instant::now(), open);
            }
            if moved.0.elapsed() > SETTLES {
                break;
            }
            tokio::time::sleep(TICK).await;
        }
        // A message that arrives twice does so a little later.
        tokio::time::sleep(TICK * 50).await;
    }

    fn report(&self, took: Duration) {
        println!(
            "done seconds={:.3} {} {}",
            took.as_secs_f64(),
            self.to_xmpp.report("to_xmpp"),
            self.to_sip.report("to_sip")
        );
    }

    /// What goes wrong with a connection: part of the test, or the end of it.
    fn broke(&self, what: &str) {
        if !self.faults {
            panic!("{what}");
        }
    }
}
