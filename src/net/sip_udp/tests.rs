//! Flows and links over real UDP sockets; the peer is a socket that speaks SIP by hand.

use std::time::Duration;

use tokio::net::TcpListener;

use super::*;
use crate::domain::Domain;
use crate::gateway::Trouble;
use crate::limits::SipLimits;
use crate::net::listen;
use crate::net::sip_link::tests::{Linked, PEER};
use crate::net::tests::{Trial, Wire, until, within};
use crate::route::aside::Failure;
use crate::route::{self, Protocol, Target};
use crate::sip::parse;

/// The peer is known by this address and port.
fn entry(address: &str, port: u16) -> String {
    format!(
        "[[federate]]\ndomain = \"{PEER}\"\nprotocol = \"sip\"\ntls = \"public\"\n\
         routes = [{{ next_hop = \"{address}\", port = {port}, transport = \"udp\" }}]\n"
    )
}

/// Listens outside; gives the address.
fn serve(trial: &Trial, address: &str) -> SocketAddr {
    let socket = listen::bind_datagrams(address.parse().unwrap()).unwrap();
    let local = socket.local_addr().unwrap();
    listen(&trial.world, socket, Side::Outside, &CancellationToken::new()).unwrap();
    local
}

/// A socket of the peer.
struct Wild(UdpSocket);

impl Wild {
    async fn new(address: &str) -> Self {
        Self(UdpSocket::bind(address).await.unwrap())
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    async fn send(&self, to: SocketAddr, octets: impl AsRef<[u8]>) {
        self.0.send_to(octets.as_ref(), to).await.unwrap();
    }

    async fn message(&self) -> (Message, SocketAddr) {
        let mut buffer = vec![0; LARGEST];
        let (length, from) = within(self.0.recv_from(&mut buffer)).await.unwrap();
        let message = parse::message(&buffer[..length], &SipLimits::default()).unwrap();
        (message, from)
    }

    async fn request(&self) -> (Request, SocketAddr) {
        match self.message().await {
            (Message::Request(request), from) => (request, from),
            other => panic!("{other:?}"),
        }
    }

    /// The next final response.
    async fn response(&self) -> (Response, SocketAddr) {
        loop {
            match self.message().await {
                (Message::Response(response), from) if response.status().is_final() => {
                    return (response, from);
                }
                (Message::Response(_trying), _) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Answers 200.
    async fn answer(&self, request: &Request, to: SocketAddr) {
        let mut octets = Vec::new();
        write::response(&ok(request), &mut octets);
        self.send(to, octets).await;
    }
}

/// A message of the peer; `via` is what follows the transport, without the branch.
fn message(via: &str, number: u32) -> String {
    format!(
        "MESSAGE sip:bob@local.example SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bKw{number}\r\n\
         Max-Forwards: 70\r\nTo: <sip:bob@local.example>\r\nFrom: <sip:alice@{PEER}>;tag=a\r\n\
         Call-ID: call-{number}\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    )
}

fn ok(request: &Request) -> Response {
    request.response(StatusCode::OK, "OK", Some("us"))
}

/// What a shard would answer to a message that came from `source`.
fn ok_of(text: &str, source: SocketAddr) -> Box<Response> {
    let Message::Request(mut request) = parse::message(text.as_bytes(), &SipLimits::default()).unwrap()
    else {
        panic!("{text}");
    };
    request.headers_mut().stamp_via(source);
    Box::new(ok(&request))
}

fn refused(trial: &Trial, class: &str) -> u64 {
    trial.metric(&format!("vestibule_refusals_total{{class=\"{class}"))
}

fn flows(trial: &Trial) -> u64 {
    trial
        .world
        .supervisor
        .alive()
        .get("sip_flow")
        .copied()
        .unwrap_or_default()
}

#[tokio::test]
async fn a_message_that_comes_twice_is_acted_on_once_and_answered_each_time_it_comes() {
    for (address, wild) in [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0")] {
        let wild = Wild::new(wild).await;
        let host = wild.0.local_addr().unwrap().ip().to_string();
        let mut trial = Trial::new(&entry(&host, 5060));
        let edge = serve(&trial, address);
        let text = message("pc.contoso.example;rport", 1);
        wild.send(edge, &text).await;
        wild.send(edge, &text).await;
        let origin = trial.delivered().await;
        origin.respond(ok_of(&text, wild.0.local_addr().unwrap()));
        let (response, from) = wild.response().await;
        assert_eq!((response.status().code(), from), (200, edge));
        let via = response.headers().top_via();
        assert_eq!(via.received(), Some(wild.0.local_addr().unwrap().ip()));
        wild.send(edge, &text).await;
        assert_eq!(wild.response().await.0.status().code(), 200);
        assert!(trial.is_quiet() && flows(&trial) == 1);
    }
}

#[tokio::test]
async fn an_answer_goes_to_the_port_of_sent_by_or_with_rport_where_the_request_came_from_and_nowhere_else() {
    let (from, listens) = (Wild::new("127.0.0.1:0").await, Wild::new("127.0.0.1:0").await);
    let mut trial = Trial::new(&entry("127.0.0.1", 5060));
    let edge = serve(&trial, "127.0.0.1:0");
    for (number, via, answered) in [
        (1, format!("pc.contoso.example:{}", listens.port()), &listens),
        (2, format!("pc.contoso.example:{};rport", listens.port()), &from),
        // Whoever writes the address of another has him sent nothing.
        (
            3,
            format!(
                "127.0.0.9:{};maddr=127.0.0.9;received=127.0.0.9;rport=9",
                from.port()
            ),
            &from,
        ),
    ] {
        let text = message(&via, number);
        from.send(edge, &text).await;
        trial
            .delivered()
            .await
            .respond(ok_of(&text, from.0.local_addr().unwrap()));
        let (response, source) = answered.response().await;
        assert_eq!(source, edge, "{via}");
        assert_eq!(response.headers().call_id().as_str(), format!("call-{number}"));
    }
}

#[tokio::test]
async fn a_source_that_proves_nothing_makes_no_flow_and_gets_little_and_rarely() {
    let mut trial = Trial::new(&entry("127.0.0.99", 5060));
    let edge = serve(&trial, "127.0.0.1:0");
    let wild = Wild::new("127.0.0.1:0").await;
    let most = UNPROVEN_ANSWERS_PER_SECOND;
    let mut answered = 0;
    let begun = world::now();
    for number in 0..most * 4 {
        let text = message("pc.contoso.example;rport", number);
        wild.send(edge, &text).await;
        until(|| refused(&trial, "") == u64::from(number) + 1).await;
        let mut buffer = vec![0; LARGEST];
        while let Ok(length) = wild.0.try_recv(&mut buffer) {
            assert!(length <= text.len() * UNPROVEN_ANSWER_FACTOR);
            assert!(buffer.starts_with(b"SIP/2.0 403"));
            answered += 1;
        }
    }
    let seconds = u32::try_from((world::now() - begun).as_secs()).unwrap() + 2;
    assert!(
        (1..=most * seconds).contains(&answered) && (seconds > 3 || answered < most * 4),
        "{answered}"
    );
    assert!(trial.is_quiet());
    assert_eq!((flows(&trial), trial.world.transactions.alive()), (0, 0));
}

#[tokio::test]
async fn what_is_no_message_is_dropped_and_counted_by_its_class() {
    let mut trial = Trial::new(&entry("127.0.0.1", 5060));
    let edge = serve(&trial, "127.0.0.1:0");
    let wild = Wild::new("127.0.0.1:0").await;
    let stray = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP edge.example;branch=z9hG4bK1.a\r\nFrom: <sip:a@b.example>;tag=1\r\n\
                 To: <sip:a@b.example>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n";
    for (octets, class) in [
        (&b"\x00\x01\x00\x00\x21\x12\xa4\x42"[..], "sip_start_line"),
        (b"GET / HTTP/1.0\r\n\r\n", "sip_"),
        (
            b"MESSAGE sip:bob@local.example SIP/2.0\r\nVia: x",
            "sip_head_unfinished",
        ),
        (stray.as_bytes(), "datagram_stray_response"),
    ] {
        let before = refused(&trial, class);
        wild.send(edge, octets).await;
        until(|| refused(&trial, class) > before).await;
    }
    let before = refused(&trial, "");
    for silent in ["", "\r\n\r\n", "\0"] {
        wild.send(edge, silent).await;
    }
    // A body that is shorter than it says is told, and all before it was read.
    let text = message("pc.contoso.example;rport", 1);
    wild.send(edge, text.replace("Content-Length: 5", "Content-Length: 6"))
        .await;
    assert_eq!(wild.response().await.0.status().code(), 400);
    assert_eq!(refused(&trial, ""), before + 1);
    // What is over is left out.
    wild.send(edge, text + "over").await;
    let _origin = trial.delivered().await;
}

#[tokio::test]
async fn the_ports_of_one_address_have_only_so_many_flows() {
    let mut trial = Trial::new(&entry("127.0.0.1", 5060));
    let edge = serve(&trial, "127.0.0.1:0");
    let mut wilds = Vec::new();
    let most = u32::try_from(FLOWS_OF_AN_ADDRESS).unwrap();
    for number in 0..most {
        let wild = Wild::new("127.0.0.1:0").await;
        wild.send(edge, message("pc.contoso.example;rport", number)).await;
        wilds.push((wild, trial.delivered().await));
    }
    let wild = Wild::new("127.0.0.1:0").await;
    wild.send(edge, message("pc.contoso.example;rport", most)).await;
    assert_eq!(wild.response().await.0.status().code(), 503);
    assert_eq!(refused(&trial, "connection_limit"), 1);
    // Those inside are not disturbed.
    let text = message("pc.contoso.example;rport", most + 1);
    wilds[0].0.send(edge, &text).await;
    let _origin = trial.delivered().await;
}

#[tokio::test]
async fn a_request_goes_out_from_where_we_listen_again_until_it_is_answered_from_whatever_port() {
    let (wild, other) = (Wild::new("127.0.0.1:0").await, Wild::new("127.0.0.1:0").await);
    let mut link = Linked::new(&entry("127.0.0.1", wild.port()));
    let edge = serve(&link.trial, "127.0.0.1:0");
    let token = link.send("ann");
    let (lost, from) = wild.request().await;
    assert_eq!(from, edge);
    let via = lost.headers().top_via();
    assert_eq!(
        (via.port(), via.transport()),
        (Some(edge.port()), &sip::Transport::Udp)
    );
    // The first copy is lost; the second is the same.
    let (again, _) = wild.request().await;
    assert_eq!(again.headers().top_via(), via);
    // Nobody else can answer for it.
    let far = Wild::new("127.0.0.2:0").await;
    far.answer(&again, edge).await;
    until(|| refused(&link.trial, "datagram_stray_response") == 1).await;
    other.answer(&again, edge).await;
    other.answer(&again, edge).await;
    assert_eq!(link.outcome(token).await, Ok(200));
    assert!(link.trial.is_quiet());
}

#[tokio::test]
async fn without_a_listener_a_flow_has_a_socket_of_its_own() {
    for host in ["127.0.0.1", "::1"] {
        let wild = Wild::new(&SocketAddr::new(host.parse().unwrap(), 0).to_string()).await;
        let mut link = Linked::new(&entry(host, wild.port()));
        for _ in 0..2 {
            let token = link.send("ann");
            let (request, from) = wild.request().await;
            wild.answer(&request, from).await;
            assert_eq!(link.outcome(token).await, Ok(200));
        }
    }
}

#[tokio::test]
async fn where_nobody_is_the_network_says_so() {
    let gone = Wild::new("127.0.0.1:0").await.port();
    let mut link = Linked::new(&entry("127.0.0.1", gone));
    let begun = world::now();
    let token = link.send("ann");
    assert_eq!(link.outcome(token).await, Err(Trouble::Broken));
    assert!(world::now() - begun < Duration::from_secs(20), "no timer told it");
}

#[tokio::test]
async fn a_node_that_is_named_and_silent_leaves_its_share_to_the_other() {
    let (silent, well) = (Wild::new("127.0.0.1:0").await, Wild::new("127.0.0.1:0").await);
    let mut link = Linked::new(&format!(
        "[[local]]\ndomain = \"{PEER}\"\nprotocol = \"sip\"\ntransport = \"udp\"\nnodes = [\
         {{ host = \"localhost\", port = {} }}, {{ host = \"127.0.0.1\", port = {} }}]\n",
        silent.port(),
        well.port()
    ));
    for address in ["127.0.0.1", "::1"] {
        let target = Target {
            protocol: Protocol::Sip,
            transport: route::Transport::Udp,
            side: Side::Inside,
            host: route::Host::Address(address.parse().unwrap()),
            port: std::num::NonZeroU16::new(silent.port()).unwrap(),
            domain: Domain::parse(PEER).unwrap(),
            tls: None,
        };
        let random = 0;
        let mut aside = link.trial.world.aside();
        aside.failed(world::now(), &target, Failure::Connection, random);
    }
    for number in 0..40 {
        let token = link.send(&format!("user{number}"));
        let (request, from) = well.request().await;
        well.answer(&request, from).await;
        assert_eq!(link.outcome(token).await, Ok(200));
    }
}

#[tokio::test]
async fn a_request_too_large_for_a_datagram_goes_over_tcp_where_there_is_any() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    let wild = Wild::new(&format!("127.0.0.1:{port}")).await;
    let mut link = Linked::new(&entry("127.0.0.1", port));
    let large = "x".repeat(UDP_LARGE);
    let token = link.send_with("ann", &large);
    let mut wire = Wire::accept(&tcp).await;
    let request = wire.request().await;
    assert_eq!(request.headers().top_via().transport(), &sip::Transport::Tcp);
    wire.answer(&request, 200, "").await;
    assert_eq!(link.outcome(token).await, Ok(200));
    let token = link.send("ann");
    let (request, from) = wild.request().await;
    wild.answer(&request, from).await;
    assert_eq!(link.outcome(token).await, Ok(200), "a small one does not");

    drop((tcp, wire));
    let wild = Wild::new("127.0.0.1:0").await;
    let mut link = Linked::new(&entry("127.0.0.1", wild.port()));
    let token = link.send_with("ann", &large);
    let (request, from) = wild.request().await;
    assert_eq!(request.body().len(), UDP_LARGE);
    wild.answer(&request, from).await;
    assert_eq!(link.outcome(token).await, Ok(200));
}

/// A body that makes a request too large.
const UDP_LARGE: usize = 1_301;
