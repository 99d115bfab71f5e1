//! Users of SIP and of XMPP who see each other: `presence` is both ends, a server of SIP over TLS and the inside server that components
//! attach to.
//!
//! It prints `listening`; after a line it connects and prints `ready`. `serve` lets a user of SIP subscribe to each of `--pairs` of XMPP,
//! `watch` the reverse; `change` changes the state of every user of XMPP once, `told` that of every user of SIP. Each of them prints
//! `done MESSAGES SECONDS` when the last has been seen by the other side: the messages are the NOTIFYs that came, or the stanzas.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::sip::{answer, field, frame};
use crate::{Arguments, Meter, lines_of_stdin, tls, xmpp};

/// How many requests or stanzas are written at once.
const BATCH: u64 = 16;

/// What both ends share.
struct Presence {
    arguments: Arc<Arguments>,
    pairs: u64,
    meter: Meter,
    /// Which turn it is: whoever has not told of it has not changed yet.
    turn: AtomicU64,
    /// The pairs of this turn that were told.
    told: Mutex<HashSet<u64>>,
    /// NOTIFYs, or stanzas of presence that are no question, since the turn began.
    came: AtomicU64,
    /// Of the subscriptions of the edge: where it wants to be notified, who watches, and the Call-ID.
    watched: Mutex<Vec<Option<Watched>>>,
}

#[derive(Clone)]
struct Watched {
    target: String,
    watcher: String,
    call_id: String,
}

/// Runs both ends until the end of the input.
pub(crate) async fn run(arguments: Arc<Arguments>) {
    let pairs = arguments.number("pairs", 10_000);
    let presence = Arc::new(Presence {
        pairs,
        meter: Meter::new(arguments.number("window", 1000)),
        turn: AtomicU64::new(0),
        told: Mutex::default(),
        came: AtomicU64::new(0),
        watched: Mutex::new(vec![None; usize::try_from(pairs).unwrap()]),
        arguments: Arc::clone(&arguments),
    });
    let listener = TcpListener::bind(arguments.get("sip-listen")).await.unwrap();
    let (to_sip, requests) = mpsc::channel(64);
    tokio::spawn(serve_sip(listener, Arc::clone(&presence), to_sip.clone()));
    let node = TcpListener::bind(arguments.get("component-listen"))
        .await
        .unwrap();
    let attached = tokio::spawn(serve_xmpp(node, Arc::clone(&presence)));
    println!("listening");
    let mut lines = lines_of_stdin();
    lines.recv().await;
    let to_xmpp = attached.await.unwrap();
    connect_sip(Arc::clone(&presence), requests).await;
    println!("ready");
    while let Some(line) = lines.recv().await {
        presence.take_turn(line.trim(), &to_sip, &to_xmpp).await;
    }
}

impl Presence {
    async fn take_turn(&self, what: &str, to_sip: &mpsc::Sender<String>, to_xmpp: &mpsc::Sender<String>) {
        let turn = self.turn.fetch_add(1, Ordering::AcqRel) + 1;
        self.told.lock().unwrap().clear();
        self.came.store(0, Ordering::Release);
        let send = async {
            let mut left = self.pairs;
            while left > 0 {
                let mut text = String::new();
                for number in self.meter.permits(BATCH.min(left)).await {
                    left -= 1;
                    self.write(what, number % self.pairs, turn, &mut text);
                }
                let way = if matches!(what, "serve" | "told") {
                    to_sip
                } else {
                    to_xmpp
                };
                way.send(text).await.unwrap();
            }
        };
        let began = Instant::now();
        tokio::join!(self.meter.run(self.pairs, 0), send);
        println!(
            "done {} {:.3}",
            self.came.load(Ordering::Acquire),
            began.elapsed().as_secs_f64()
        );
    }

    /// What a turn says first to one pair.
    fn write(&self, what: &str, pair: u64, turn: u64, text: &mut String) {
        let (sip, xmpp) = (self.arguments.get("from-domain"), self.arguments.get("to-domain"));
        match what {
            "serve" => write!(
                text,
                "SUBSCRIBE sip:user{pair}@{xmpp} SIP/2.0\r\nVia: SIP/2.0/TLS {sip};branch=z9hG4bK-s{pair};rport\r\nMax-Forwards: 70\r\n\
                 From: <sip:peer{pair}@{sip}>;tag=w{pair}\r\nTo: <sip:user{pair}@{xmpp}>\r\nCall-ID: f81d4fae7dec11d0a765-{pair}@{sip}\r\n\
                 CSeq: 1 SUBSCRIBE\r\nContact: <sip:peer{pair}@{};transport=tls>\r\nEvent: presence\r\nExpires: 3600\r\n\
                 Content-Length: 0\r\n\r\n",
                self.arguments.get("sip-listen"),
            ),
            "told" => {
                let watched = self.watched.lock().unwrap()[usize::try_from(pair).unwrap()].clone();
                self.notify(pair, turn, &watched.expect("it was subscribed to"), text);
                Ok(())
            }
            "watch" => write!(text, "<presence from='user{pair}@{xmpp}' to='peer{pair}@{sip}' type='subscribe'/>"),
            "change" => {
                self.show(pair, turn, text);
                Ok(())
            }
            other => panic!("no turn is called {other}"),
        }
        .unwrap();
    }

    /// The state of a user of XMPP.
    fn show(&self, pair: u64, turn: u64, text: &mut String) {
        let (sip, xmpp) = (self.arguments.get("from-domain"), self.arguments.get("to-domain"));
        let show = if turn.is_multiple_of(2) { "away" } else { "dnd" };
        write!(
            text,
            "<presence from='user{pair}@{xmpp}/balcony' to='peer{pair}@{sip}'><show>{show}</show><status>turn {turn} of mine</status>\
             <priority>5</priority></presence>"
        )
        .unwrap();
    }

    /// The state of a user of SIP.
    fn notify(&self, pair: u64, turn: u64, watched: &Watched, text: &mut String) {
        let sip = self.arguments.get("from-domain");
        let basic = "<?xml version=\"1.0\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" \
                     xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\"";
        let activity = if turn.is_multiple_of(2) { "away" } else { "busy" };
        let body = format!(
            "{basic} entity=\"pres:peer{pair}@{sip}\"><tuple id=\"desk\"><status><basic>open</basic></status><note>turn {turn} of mine</note>\
             </tuple><dm:person id=\"p\"><rpid:activities><rpid:{activity}/></rpid:activities></dm:person></presence>"
        );
        write!(
            text,
            "NOTIFY {} SIP/2.0\r\nVia: SIP/2.0/TLS {sip};branch=z9hG4bK-n{pair}-{turn};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:peer{pair}@{sip}>;tag=sink\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {turn} NOTIFY\r\n\
             Contact: <sip:peer{pair}@{};transport=tls>\r\nEvent: presence\r\nSubscription-State: active;expires=3600\r\n\
             Content-Type: application/pidf+xml\r\nContent-Length: {}\r\n\r\n{body}",
            watched.target,
            watched.watcher,
            watched.call_id,
            self.arguments.get("sip-listen"),
            body.len(),
        )
        .unwrap();
    }

    /// Something of a pair has come that says the state of this turn, or not.
    fn arrive(&self, pair: u64, text: &str) {
        self.came.fetch_add(1, Ordering::AcqRel);
        let turn = self.turn.load(Ordering::Acquire);
        if text.contains(&format!(">turn {turn} of mine<")) && self.told.lock().unwrap().insert(pair) {
            self.meter.arrive(1);
        }
    }

    /// What the server of XMPP answers to a stanza.
    fn answer_stanza(&self, stanza: &str, answers: &mut String) {
        let plain = stanza.replace('"', "'");
        let value = |name| xmpp::attribute(&plain, name).unwrap_or_default();
        let (from, to) = (value("from"), value("to"));
        match (stanza.get(..4), &*value("type")) {
            (Some("<iq "), "get") => {
                let kind = if stanza.contains("urn:xmpp:ping") {
                    "result"
                } else {
                    "error"
                };
                write!(
                    answers,
                    "<iq type='{kind}' from='{to}' to='{from}' id='{}'/>",
                    value("id")
                )
                .unwrap();
            }
            (Some("<pre"), "subscribe") => {
                write!(answers, "<presence type='subscribed' from='{to}' to='{from}'/>").unwrap();
                self.show(number_of(&to), self.turn.load(Ordering::Acquire), answers);
            }
            (Some("<pre"), "") => self.arrive(number_of(&from), stanza),
            (Some("<pre"), kind) => assert!(kind == "subscribed" || kind == "probe", "an unasked {stanza}"),
            _ => {}
        }
    }

    /// A request of the edge has come.
    fn answer_request(&self, head: &str, body: &str, told: &mut String) {
        if head.starts_with("NOTIFY ") {
            return self.arrive(
                number_of(field(head, "to", "t").unwrap().trim_start_matches("<sip:")),
                body,
            );
        }
        assert!(head.starts_with("SUBSCRIBE "), "an unasked {head}");
        let contact = field(head, "contact", "m").unwrap();
        let watched = Watched {
            target: contact
                .split(['<', '>'])
                .nth(1)
                .expect("a Contact in brackets")
                .to_owned(),
            watcher: field(head, "from", "f").unwrap().to_owned(),
            call_id: field(head, "call-id", "i").unwrap().to_owned(),
        };
        let pair = number_of(field(head, "to", "t").unwrap().trim_start_matches("<sip:"));
        self.notify(pair, self.turn.load(Ordering::Acquire), &watched, told);
        self.watched.lock().unwrap()[usize::try_from(pair).unwrap()] = Some(watched);
    }
}

/// The number in `peer17@...`.
fn number_of(address: &str) -> u64 {
    let digits = address.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits
        .split('@')
        .next()
        .unwrap()
        .parse()
        .expect("a numbered user")
}

/// Takes the requests of the edge: answers each, and tells the state to each that subscribes.
async fn serve_sip(listener: TcpListener, presence: Arc<Presence>, to_sip: mpsc::Sender<String>) {
    let acceptor = tls::acceptor(&presence.arguments);
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let (acceptor, presence, to_sip) = (acceptor.clone(), Arc::clone(&presence), to_sip.clone());
        tokio::spawn(async move {
            tcp.set_nodelay(true).unwrap();
            let Ok(mut stream) = acceptor.accept(tcp).await else {
                return;
            };
            let contact = format!(
                "Contact: <sip:{};transport=tls>",
                presence.arguments.get("sip-listen")
            );
            let mut buffer = Vec::with_capacity(65_536);
            while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
                let (mut answers, mut told, mut used) = (String::new(), String::new(), 0);
                while let Some((head, length)) = frame(&buffer[used..]) {
                    let body = std::str::from_utf8(&buffer[used + head.len()..used + length]).unwrap();
                    used += length;
                    answer(&head, &mut answers);
                    answers.truncate(answers.len() - "Content-Length: 0\r\n\r\n".len());
                    write!(answers, "{contact}\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n").unwrap();
                    presence.answer_request(&head, body, &mut told);
                }
                buffer.drain(..used);
                stream.write_all(answers.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                if !told.is_empty() {
                    to_sip.send(told).await.unwrap();
                }
            }
        });
    }
}

/// The connection to the edge, on which users of SIP subscribe and notify.
async fn connect_sip(presence: Arc<Presence>, mut requests: mpsc::Receiver<String>) {
    let arguments = &presence.arguments;
    let tcp = TcpStream::connect(arguments.get("sip-target")).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let stream = tls::connect(arguments, tcp, arguments.get("server-name")).await;
    let (mut reader, mut writer) = tokio::io::split(stream);
    tokio::spawn(async move {
        let mut buffer = Vec::with_capacity(65_536);
        while reader.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
            let mut used = 0;
            while let Some((head, length)) = frame(&buffer[used..]) {
                assert!(head.starts_with("SIP/2.0 200 "), "the edge answered {head}");
                used += length;
            }
            buffer.drain(..used);
        }
    });
    tokio::spawn(async move {
        while let Some(text) = requests.recv().await {
            writer.write_all(text.as_bytes()).await.unwrap();
            writer.flush().await.unwrap();
        }
    });
}

/// Waits for the component that stands for the domain of SIP; gives the way to it.
async fn serve_xmpp(listener: TcpListener, presence: Arc<Presence>) -> mpsc::Sender<String> {
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let Some((mut reader, to_xmpp)) = xmpp::attach(tcp).await else {
            continue;
        };
        let answers = to_xmpp.clone();
        tokio::spawn(async move {
            let mut buffer = Vec::with_capacity(65_536);
            while reader.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
                let (mut used, mut answer) = (0, String::new());
                while let Some((start, end)) = stanza(&buffer[used..]) {
                    let text = std::str::from_utf8(&buffer[used + start..used + end]).unwrap();
                    assert!(
                        !text.contains("stream:error") && !text.contains("type='error'"),
                        "an error arrived: {text}"
                    );
                    presence.answer_stanza(text, &mut answer);
                    used += end;
                }
                buffer.drain(..used);
                if !answer.is_empty() {
                    answers.send(answer).await.unwrap();
                }
            }
        });
        return to_xmpp;
    }
}

/// Where the first whole stanza of a buffer begins and ends.
fn stanza(buffer: &[u8]) -> Option<(usize, usize)> {
    let start = memchr::memchr(b'<', buffer)?;
    let rest = &buffer[start..];
    let close = memchr::memchr(b'>', rest)? + 1;
    if rest[close - 2] == b'/' {
        return Some((start, start + close));
    }
    let name = rest[1..close].split(|octet| *octet == b' ').next()?;
    let end = [b"</", name, b">"].concat();
    let at = memchr::memmem::find(rest, &end)?;
    Some((start, start + at + end.len()))
}
