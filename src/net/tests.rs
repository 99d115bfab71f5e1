//! A world for tests of SIP flows and links: no listener and no gateway; what the shards are told is looked at instead, and
//! the peers are sockets that speak SIP over TCP, proven by the addresses of their routes.

#![allow(clippy::wildcard_enum_match_arm, reason = "tests that expect one thing")]

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::sip_flow::SipOrigin;
use super::world::World;
use crate::app::start::{self, Inlets, Live};
use crate::config::{self, Settings};
use crate::gateway::Input;
use crate::limits::SipLimits;
use crate::pki::Contexts;
use crate::sip::frame::{Frame, StreamFramer};
use crate::sip::{Message, Request, Response};

/// A world, and what its shards would have been told.
pub(crate) struct Trial {
    pub(crate) world: Arc<World>,
    live: Live,
    shards: Inlets,
}

impl Trial {
    /// A world with these `[[federate]]` tables and whatever else stands in `text`.
    pub(crate) fn new(text: &str) -> Self {
        let (settings, contexts) = read(text);
        let (world, live, shards) = start::assemble(&settings, contexts).unwrap();
        Self { world, live, shards }
    }

    /// Puts another configuration in force.
    pub(super) fn replace(&self, text: &str) {
        let (settings, contexts) = read(text);
        self.live.replace(&self.world, &settings, contexts);
    }

    /// What a shard is told next.
    pub(super) async fn told(&mut self) -> Input<SipOrigin> {
        self.told_where().await.1
    }

    /// The same, with the number of the shard.
    pub(crate) async fn told_where(&mut self) -> (usize, Input<SipOrigin>) {
        within(std::future::poll_fn(|cx| {
            for (number, shard) in self.shards.iter_mut().enumerate() {
                if let Poll::Ready(input) = pin!(shard.inputs.recv()).poll(cx) {
                    return Poll::Ready((number, input.unwrap()));
                }
            }
            Poll::Pending
        }))
        .await
    }

    /// Where the next message that passed the checks came from.
    pub(super) async fn delivered(&mut self) -> SipOrigin {
        match self.told().await {
            Input::Deliver {
                origin: Some(origin), ..
            } => origin,
            other => panic!("{other:?}"),
        }
    }

    /// Whether nothing waits to be told.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut shards = self.shards.iter_mut();
        shards.all(|shard| shard.inputs.next_waiting().is_none())
    }

    /// The value of a metric, by the beginning of its line.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.world.metrics.text(&self.world.health, []).unwrap();
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }
}

fn read(text: &str) -> (Settings, Contexts) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("vestibule-trial-{}-{number}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["edge.example".to_owned()]).unwrap();
    fs::write(folder.join("edge.pem"), pair.cert.pem()).unwrap();
    let key = folder.join("edge.key");
    fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    // Nobody answers at this one.
    let dns = match text.contains("[dns]") {
        true => "",
        false => "[dns]\nservers = [\"127.0.0.3\"]\n",
    };
    let text = format!(
        r#"
[edge]
name = "edge.example"
run_as = ""
[zone.outside]
addresses = ["127.0.0.1"]
[zone.inside]
addresses = ["127.0.0.2"]
{dns}
[[listen]]
zone = "outside"
protocol = "sip"
transport = "tcp"
port = 5060
[[listen]]
zone = "inside"
protocol = "xmpp"
port = 5269
[[local]]
domain = "local.example"
protocol = "xmpp"
nodes = [{{ host = "127.0.0.4" }}]
[tls.public]
certificates = [{{ chain = "{folder}/edge.pem", key = "{folder}/edge.key" }}]
trust = ["{folder}/edge.pem"]
{text}
"#,
        folder = folder.display()
    );
    let read = config::read(Path::new("trial.toml"), &text, &BTreeMap::new());
    let settings = read.unwrap_or_else(|report| panic!("{report}")).settings;
    let contexts = start::contexts(&settings).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    (settings, contexts)
}

/// One end of a connection that speaks SIP.
pub(super) struct Wire {
    stream: TcpStream,
    framer: StreamFramer,
    frames: VecDeque<Frame>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            framer: StreamFramer::new(&SipLimits::default()),
            frames: VecDeque::new(),
        }
    }

    pub(super) async fn accept(listener: &TcpListener) -> Self {
        Self::new(within(listener.accept()).await.unwrap().0)
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next frame; `None` where the other end has closed.
    pub(super) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            let mut octets = [0; 4096];
            let read = self.stream.read(&mut octets).await.unwrap_or_default();
            if read == 0 {
                return None;
            }
            self.framer.push(&octets[..read]);
            while let Some(frame) = self.framer.next().unwrap() {
                self.frames.push_back(frame);
            }
        }
    }

    pub(super) async fn request(&mut self) -> Request {
        match within(self.frame()).await {
            Some(Frame::Message(Message::Request(request))) => request,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn response(&mut self) -> Response {
        loop {
            match within(self.frame()).await {
                Some(Frame::Message(Message::Response(response))) if response.status().is_final() => {
                    return response;
                }
                // A machine that is slow gets to say that it is.
                Some(Frame::Message(Message::Response(_trying))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Answers a request; `more` is header fields with their line ends.
    pub(super) async fn answer(&mut self, request: &Request, status: u16, more: &str) {
        let mut vias = String::new();
        for via in request.headers().vias() {
            vias.push_str(&format!("Via: {via}\r\n"));
        }
        let headers = request.headers();
        let tag = headers.to().tag().map_or(";tag=peer", |_within_dialog| "");
        let text = format!(
            "SIP/2.0 {status} Answer\r\n{vias}From: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n{more}\
             Content-Length: 0\r\n\r\n",
            headers.from(),
            headers.to(),
            headers.call_id(),
            headers.cseq(),
        );
        self.send(&text).await;
    }
}

/// A listener on an address of ours, and its port.
pub(super) async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Waits until something can be seen to have happened.
pub(crate) async fn until(mut happened: impl FnMut() -> bool) {
    within(async {
        while !happened() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Lets time pass at once.
pub(super) async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

/// Waits for something that is certain to come.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work)
        .await
        .expect("it did not happen")
}
