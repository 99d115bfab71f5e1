//! The load that the end-to-end benches put on vestibule, Kamailio, Prosody and ejabberd alike: sources and sinks of SIP over TLS and of
//! XMPP, pipelined with a bounded window.
//!
//! It is not a client to learn from: it believes its peers, scans where the product parses, and stops at the first surprise. It speaks a
//! small protocol with the bench: prints `listening`, then `ready` once everything is connected and warm, waits for a line, sends, and
//! prints `done MESSAGES SECONDS`. A further line runs it again; the end of input ends it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a load generator is a test: it may panic, print, and read the clock"
)]

mod exchange;
mod presence;
mod sip;
mod store;
mod tls;
mod xmpp;

use std::collections::HashMap;
use std::io::BufRead as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};

/// What source and sink agree on: how many messages have arrived, and how many may be on their way.
pub(crate) struct Meter {
    arrived: AtomicU64,
    sent: AtomicU64,
    goal: AtomicU64,
    window: u64,
    changed: Notify,
}

impl Meter {
    /// One that lets so many messages be on their way.
    pub(crate) fn new(window: u64) -> Self {
        Self {
            arrived: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            goal: AtomicU64::new(0),
            window,
            changed: Notify::new(),
        }
    }

    /// Counts messages that reached their end, and lets the sources go on.
    pub(crate) fn arrive(&self, messages: u64) {
        if messages > 0 {
            self.arrived.fetch_add(messages, Ordering::AcqRel);
            self.changed.notify_waiters();
        }
    }

    /// The numbers of the messages that may be sent now: waits until there are some.
    pub(crate) async fn permits(&self, most: u64) -> std::ops::Range<u64> {
        loop {
            let changed = self.changed.notified();
            let sent = self.sent.load(Ordering::Acquire);
            let limit = self
                .goal
                .load(Ordering::Acquire)
                .min(self.arrived.load(Ordering::Acquire) + self.window);
            let until = limit.min(sent + most);
            if until > sent
                && self
                    .sent
                    .compare_exchange(sent, until, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok()
            {
                return sent..until;
            }
            if until <= sent {
                changed.await;
            }
        }
    }

    fn raise(&self, messages: u64) {
        if messages > 0 {
            self.goal.fetch_add(messages, Ordering::AcqRel);
            self.changed.notify_waiters();
        }
    }

    /// Sends a number of messages, at most so many a second (0: as fast as they go), and waits until all have arrived.
    async fn run(&self, messages: u64, rate: u64) -> Duration {
        let began = Instant::now();
        let goal = self.goal.load(Ordering::Acquire) + messages;
        if rate == 0 {
            self.raise(messages);
        } else {
            let mut tick = tokio::time::interval(Duration::from_millis(1));
            let mut raised = 0;
            while raised < messages {
                tick.tick().await;
                let due = u64::try_from(began.elapsed().as_micros()).unwrap() * rate / 1_000_000;
                let due = due.min(messages);
                self.raise(due - raised);
                raised = due;
            }
        }
        let mut seen = 0;
        let mut moved = Instant::now();
        while self.arrived.load(Ordering::Acquire) < goal {
            let changed = self.changed.notified();
            if self.arrived.load(Ordering::Acquire) < goal {
                let _ = tokio::time::timeout(Duration::from_millis(200), changed).await;
            }
            let arrived = self.arrived.load(Ordering::Acquire);
            if arrived != seen {
                (seen, moved) = (arrived, Instant::now());
            }
            assert!(
                moved.elapsed() < Duration::from_secs(30),
                "stuck: {arrived} of {goal} messages arrived, none for 30 s"
            );
        }
        began.elapsed()
    }
}

/// The command line, as `--name value` pairs.
pub(crate) struct Arguments(HashMap<String, String>);

impl Arguments {
    /// A value that must be there.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("--{name} is missing"))
    }

    /// The text of a message: of `--body` octets, or of about the hundred that a person writes in one line.
    pub(crate) fn text(&self) -> String {
        const LINE: &str = "a message of about one hundred bytes, which is what a person writes in one line of a conversation..";
        let octets = usize::try_from(self.number("body", 0)).unwrap();
        if octets == 0 {
            LINE.to_owned()
        } else {
            LINE.chars().cycle().take(octets).collect()
        }
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.0.get(name).map_or(default, |text| text.parse().unwrap())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut words = std::env::args().skip(1);
    let mode = words
        .next()
        .expect("a mode: sip-to-sip, xmpp-to-component, xmpp-to-server, sip-to-server, server-to-sip, setup-to-nothing, idle-to-nothing, exchange, node, presence, store");
    let mut pairs = HashMap::new();
    while let Some(name) = words.next() {
        pairs.insert(
            name.trim_start_matches("--").to_owned(),
            words.next().expect("a value for every --name"),
        );
    }
    let arguments = Arc::new(Arguments(pairs));
    match &*mode {
        "exchange" => return exchange::run(arguments).await,
        "node" => return exchange::node(arguments).await,
        "presence" => return presence::run(arguments).await,
        "store" => return store::run(&arguments),
        _ => {}
    }
    let meter = Arc::new(Meter::new(arguments.number("window", 64)));
    let connections = arguments.number("connections", 4);
    let (source, sink) = mode.split_once("-to-").expect("SOURCE-to-SINK");

    // Whoever listens does so first; the bench then starts the server under test.
    if sink == "sip" {
        let listener = TcpListener::bind(arguments.get("sip-listen")).await.unwrap();
        tokio::spawn(sip::sink(
            listener,
            tls::acceptor(&arguments),
            Arc::clone(&meter),
            source != "sip",
        ));
    }
    let server = if sink == "server" || source == "server" {
        let listener = TcpListener::bind(arguments.get("component-listen"))
            .await
            .unwrap();
        Some(xmpp::Server::start(
            listener,
            Arc::clone(&meter),
            sink == "server" && source != "sip",
        ))
    } else {
        None
    };
    println!("listening");
    let mut lines = lines_of_stdin();
    lines.recv().await;
    let messages = arguments.number("messages", 20_000);
    if sink == "component" || arguments.0.contains_key("component-target") {
        xmpp::component_sink(&arguments, Arc::clone(&meter)).await;
    }
    match source {
        "setup" => return set_up_streams(&arguments, messages, &mut lines).await,
        "idle" => return hold_streams(&arguments, messages, &mut lines).await,
        _ => {}
    }

    match source {
        "sip" => {
            for connection in 0..connections {
                sip::source(Arc::clone(&arguments), Arc::clone(&meter), connection).await;
            }
        }
        "xmpp" => {
            for _ in 0..connections {
                xmpp::server_source(&arguments, Arc::clone(&meter)).await;
            }
        }
        "server" => {
            server
                .as_ref()
                .unwrap()
                .source(&arguments, Arc::clone(&meter))
                .await;
        }
        other => panic!("no source is called {other}"),
    }
    meter.run(arguments.number("warm", 2000), 0).await;
    println!("ready");
    let rate = arguments.number("rate", 0);
    while lines.recv().await.is_some() {
        let took = meter.run(messages, rate).await;
        println!("done {messages} {:.3}", took.as_secs_f64());
    }
}

/// Opens streams one after the other, each with a full handshake and a proof, and says goodbye on each.
async fn set_up_streams(arguments: &Arguments, streams: u64, lines: &mut mpsc::Receiver<String>) {
    for _ in 0..10 {
        xmpp::open_stream(arguments).await;
    }
    println!("ready");
    while lines.recv().await.is_some() {
        let began = Instant::now();
        for _ in 0..streams {
            xmpp::open_stream(arguments).await;
        }
        println!("done {streams} {:.3}", began.elapsed().as_secs_f64());
    }
}

/// Opens streams, or only TLS connections, and keeps them, idle, until the end.
async fn hold_streams(arguments: &Arguments, streams: u64, lines: &mut mpsc::Receiver<String>) {
    println!("ready");
    let mut held = Vec::new();
    while lines.recv().await.is_some() {
        let began = Instant::now();
        for _ in 0..streams {
            held.push(if arguments.number("bare", 0) == 0 {
                xmpp::open_stream(arguments).await
            } else {
                let tcp = tokio::net::TcpStream::connect(arguments.get("sip-target"))
                    .await
                    .unwrap();
                tls::connect(arguments, tcp, arguments.get("server-name")).await
            });
        }
        println!("done {streams} {:.3}", began.elapsed().as_secs_f64());
    }
}

/// The lines of the standard input, read by a thread of their own so that sinks answer meanwhile.
fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.map(|line| send.blocking_send(line)).is_err() {
                return;
            }
        }
    });
    receive
}
