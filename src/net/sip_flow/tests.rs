//! A flow between made-up shards and a peer that speaks SIP over TCP.

use tokio::net::{TcpListener, TcpStream};

use super::super::tests::{Trial, Wire, listener, until};
use super::*;
use crate::net::pump::Pump;
use crate::sip::StatusCode;
use crate::sip::{Request, parse};

/// A peer that is known by its address.
const CONTOSO: &str = "[[federate]]\ndomain = \"contoso.example\"\nprotocol = \"sip\"\ntls = \"public\"\n\
                       routes = [{ next_hop = \"127.0.0.1\", port = 5060, transport = \"tcp\" }]\n";

/// Opens a flow of the peer.
async fn flow(trial: &Trial) -> Wire {
    flow_of(trial, Side::Outside).await
}

/// Opens a flow from a side.
async fn flow_of(trial: &Trial, side: Side) -> Wire {
    let (listener, port) = listener().await;
    let peer = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (stream, remote) = listener.accept().await.unwrap();
    let world = Arc::clone(&trial.world);
    let limits = world.limits();
    let flow = SipFlow {
        carrier: Carrier::stream(
            Pump::new(super::super::tls::Wire::Plain(stream), limits.net.write_buffer),
            &limits.sip,
        ),
        id: FlowId::fresh(),
        side,
        remote,
        transport: sip::Transport::Tcp,
        opened: Opened::ByPeer,
        proof: Proof::none(&world, remote),
        alive: world.metrics.connection(side, Protocol::Sip, "accepted"),
        world: Arc::clone(&world),
    };
    let (sender, commands) = queue::bounded("sip_flow", 100, &world.metrics);
    world.supervisor.spawn("sip_flow", async move {
        let _ended = run(flow, sender, commands).await;
    });
    Wire::new(peer)
}

/// A request of the peer; `port` is that of its sent-by.
fn text(method: &str, branch: &str, call: &str, port: u16) -> String {
    format!(
        "{method} sip:bob@local.example SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:{port};branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\nTo: <sip:bob@local.example>\r\nFrom: <sip:alice@contoso.example>;tag=a\r\n\
         Call-ID: {call}\r\nCSeq: 1 {method}\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    )
}

fn message(branch: &str, call: &str) -> String {
    text("MESSAGE", branch, call, 5060)
}

fn ok(text: &str) -> Box<Response> {
    let limits = crate::limits::SipLimits::default();
    let Message::Request(request) = parse::message(text.as_bytes(), &limits).unwrap() else {
        panic!("{text}");
    };
    Box::new(answer_to(request))
}

fn answer_to(mut request: Request) -> Response {
    request
        .headers_mut()
        .stamp_via("127.0.0.1:40000".parse().unwrap());
    request.response(StatusCode::OK, "OK", Some("us"))
}

#[tokio::test]
async fn a_cancel_of_nothing_is_answered_481_and_one_of_a_message_200_without_effect() {
    let mut trial = Trial::new(CONTOSO);
    let mut wire = flow(&trial).await;
    wire.send(&text("CANCEL", "1", "call-1", 5060)).await;
    assert_eq!(wire.response().await.status().code(), 481);

    wire.send(&message("2", "call-2")).await;
    let origin = trial.delivered().await;
    wire.send(&text("CANCEL", "2", "call-2", 5060)).await;
    let cancelled = wire.response().await;
    assert_eq!(cancelled.status().code(), 200);
    assert_eq!(cancelled.headers().cseq().to_string(), "1 CANCEL");
    origin.respond(ok(&message("2", "call-2")));
    let answered = wire.response().await;
    assert_eq!(answered.status().code(), 200);
    assert_eq!(answered.headers().cseq().to_string(), "1 MESSAGE");
}

#[tokio::test]
async fn a_request_that_comes_by_two_paths_is_acted_on_once() {
    let mut trial = Trial::new(CONTOSO);
    let (mut one, mut two) = (flow(&trial).await, flow(&trial).await);
    one.send(&message("1", "call-1")).await;
    let origin = trial.delivered().await;
    for wire in [&mut one, &mut two] {
        wire.send(&message("2", "call-1")).await;
        let refused = wire.response().await;
        assert_eq!(refused.status().code(), 482);
        assert_eq!(refused.headers().top_via().branch(), Some("z9hG4bK2"));
    }
    assert_eq!(
        trial.metric("vestibule_refusals_total{class=\"merged\",protocol=\"sip\",side=\"outside\"}"),
        2
    );
    // A repetition within the transaction is none.
    one.send(&message("1", "call-1")).await;
    one.send(&text("CANCEL", "none", "call-9", 5060)).await;
    assert_eq!(
        one.response().await.status().code(),
        481,
        "all before it was read"
    );
    origin.respond(ok(&message("1", "call-1")));
    assert_eq!(one.response().await.status().code(), 200);
    // What is over can come again, and other requests were never held up.
    for (branch, call) in [("3", "call-1"), ("4", "call-2")] {
        two.send(&message(branch, call)).await;
        trial.delivered().await.respond(ok(&message(branch, call)));
        assert_eq!(two.response().await.status().code(), 200);
    }
}

#[tokio::test]
async fn a_request_that_went_through_us_has_looped() {
    let mut trial = Trial::new(CONTOSO);
    let mut wire = flow(&trial).await;
    let ours = "Via: SIP/2.0/TLS EDGE.example;branch=z9hG4bKours\r\nMax-Forwards";
    wire.send(&message("1", "call-1").replace("Max-Forwards", ours))
        .await;
    assert_eq!(wire.response().await.status().code(), 482);
    let other = ours.replace("EDGE.example", "edge.example:5071");
    wire.send(&message("2", "call-2").replace("Max-Forwards", &other))
        .await;
    let _origin = trial.delivered().await;
}

#[tokio::test]
async fn transactions_are_counted_over_all_flows_and_one_flow_leaves_some_to_others() {
    let mut trial = Trial::new(&format!("{CONTOSO}[sip]\nmax_transactions = 4\n"));
    let (mut one, mut two) = (flow(&trial).await, flow(&trial).await);
    let mut origins = Vec::new();
    for number in ["1", "2"] {
        one.send(&message(number, number)).await;
        origins.push(trial.delivered().await);
    }
    one.send(&message("3", "3")).await;
    let refused = one.response().await;
    assert_eq!(refused.status().code(), 503);
    assert!(refused.headers().get("Retry-After").is_some());
    two.send(&message("4", "4")).await;
    origins.push(trial.delivered().await);
    two.send(&message("5", "5")).await;
    assert_eq!(two.response().await.status().code(), 503);
    let class = "vestibule_refusals_total{class=\"transactions_full\"";
    assert_eq!((trial.metric(class), trial.world.transactions.alive()), (2, 3));
    // What is answered makes room.
    origins.remove(0).respond(ok(&message("1", "1")));
    assert_eq!(one.response().await.status().code(), 200);
    one.send(&message("6", "6")).await;
    let _origin = trial.delivered().await;
}

#[tokio::test]
async fn an_answer_whose_connection_is_gone_is_given_on_a_new_one() {
    let mut trial = Trial::new(CONTOSO);
    let (listener, port) = listener().await;
    let mut wire = flow(&trial).await;
    let requests = ["1", "2"].map(|number| text("MESSAGE", number, number, port));
    let mut origins = Vec::new();
    for request in &requests {
        wire.send(request).await;
        origins.push(trial.delivered().await);
    }
    drop(wire);
    flows_ended(&trial).await;
    let mut origins = origins.into_iter();
    origins.next().unwrap().respond(ok(&requests[0]));
    let mut wire = Wire::accept(&listener).await;
    assert_eq!(wire.response().await.headers().call_id().as_str(), "1");
    origins.next().unwrap().respond(ok(&requests[1]));
    assert_eq!(wire.response().await.headers().call_id().as_str(), "2");
    assert_eq!(wire.frame().await, None, "when all are given it is closed");
    until(|| late(&trial, "given") == 2).await;
}

#[tokio::test]
async fn an_answer_is_given_to_nobody_who_does_not_prove_to_be_the_sender() {
    let mut trial = Trial::new(CONTOSO);
    let (listener, port) = listener().await;
    let mut wire = flow(&trial).await;
    let request = text("MESSAGE", "1", "1", port);
    wire.send(&request).await;
    let origin = trial.delivered().await;
    drop(wire);
    flows_ended(&trial).await;
    // The peer proves itself by its certificate now.
    trial.replace(&CONTOSO.replace("5060, transport = \"tcp\"", "5061, transport = \"tls\""));
    origin.respond(ok(&request));
    let mut wire = Wire::accept(&listener).await;
    assert_eq!(wire.frame().await, None);
    until(|| late(&trial, "lost") == 1).await;
    assert_eq!(late(&trial, "given"), 0);
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_counted() {
    let mut trial = Trial::new(CONTOSO);
    let (gone, port) = listener().await;
    drop::<TcpListener>(gone);
    let mut wire = flow(&trial).await;
    let request = text("MESSAGE", "1", "1", port);
    wire.send(&request).await;
    let origin = trial.delivered().await;
    drop(wire);
    flows_ended(&trial).await;
    origin.respond(ok(&request));
    until(|| late(&trial, "lost") == 1).await;
    assert_eq!(late(&trial, "given"), 0);
}

#[tokio::test]
async fn an_answer_goes_to_no_address_that_its_request_did_not_come_from() {
    let mut trial = Trial::new(CONTOSO);
    let listener = TcpListener::bind("127.0.0.9:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut wire = flow(&trial).await;
    // Over UDP maddr would count.
    let via = format!("Via: SIP/2.0/UDP 127.0.0.1:{port};maddr=127.0.0.9");
    let request = message("1", "1").replace("Via: SIP/2.0/TCP 127.0.0.1:5060", &via);
    wire.send(&request).await;
    let origin = trial.delivered().await;
    drop(wire);
    flows_ended(&trial).await;
    origin.respond(ok(&request));
    until(|| late(&trial, "lost") == 1).await;
    let waited = tokio::time::timeout(Duration::from_millis(20), listener.accept());
    assert!(waited.await.is_err());
}

#[tokio::test]
async fn while_stopping_only_what_is_new_is_refused() {
    let mut trial = Trial::new(CONTOSO);
    let mut wire = flow(&trial).await;
    trial.world.refuse_new.cancel();
    wire.send(&message("1", "call-1")).await;
    assert_eq!(wire.response().await.status().code(), 503);
    // What belongs to a dialog gets its own answer.
    let within = "To: <sip:bob@local.example>;tag=us";
    let request = message("2", "call-2").replace("To: <sip:bob@local.example>", within);
    wire.send(&request).await;
    let _origin = trial.delivered().await;
}

#[tokio::test]
async fn answers_that_wait_at_the_stop_are_given_or_told_as_lost() {
    for is_taken in [true, false] {
        let mut trial = Trial::new(CONTOSO);
        let (listener, port) = listener().await;
        let mut wire = flow(&trial).await;
        let requests = ["1", "2", "3"].map(|number| text("MESSAGE", number, number, port));
        let mut origins = Vec::new();
        for request in &requests {
            wire.send(request).await;
            origins.push(trial.delivered().await);
        }
        drop(wire);
        flows_ended(&trial).await;
        trial.world.close_flows.cancel();
        if !is_taken {
            drop(listener);
            for (origin, request) in origins.into_iter().zip(&requests) {
                origin.respond(ok(request));
            }
            until(|| late(&trial, "lost") == 3).await;
            continue;
        }
        let mut far = None;
        for (origin, request) in origins.into_iter().zip(&requests) {
            origin.respond(ok(request));
            if far.is_none() {
                far = Some(Wire::accept(&listener).await);
            }
            assert_eq!(far.as_mut().unwrap().response().await.status().code(), 200);
        }
        until(|| late(&trial, "given") == 3).await;
    }
}

/// A peer at a port, and a domain of ours whose nodes stand at these addresses.
fn voice(peer: u16, nodes: &[&str], port: u16) -> String {
    let nodes: Vec<_> = nodes
        .iter()
        .map(|host| format!("{{ host = \"{host}\", port = {port} }}"))
        .collect();
    format!(
        "{}[[local]]\ndomain = \"voice.example\"\nprotocol = \"sip\"\ntransport = \"tcp\"\nnodes = [{}]\n\
         [[listen]]\nzone = \"inside\"\nprotocol = \"sip\"\ntransport = \"tcp\"\nport = 5060\n",
        CONTOSO.replace("5060", &peer.to_string()),
        nodes.join(", ")
    )
}

#[tokio::test]
async fn an_answer_for_a_node_goes_where_the_configuration_says_that_it_listens() {
    let ((peer, at), (node, port)) = (listener().await, listener().await);
    for (nodes, is_given) in [(&["127.0.0.66", "127.0.0.1"][..], true), (&["127.0.0.66"], false)] {
        let trial = Trial::new(&voice(at, nodes, port));
        let mut wire = flow_of(&trial, Side::Inside).await;
        // Nobody is at the port that its Via names.
        let request = text("MESSAGE", "1", "1", 1)
            .replace("alice@contoso.example", "carol@voice.example")
            .replace("bob@local.example", "alice@contoso.example");
        if !is_given {
            let refused = {
                wire.send(&request).await;
                wire.response().await
            };
            assert_eq!(refused.status().code(), 403, "who stands elsewhere is no node");
            continue;
        }
        wire.send(&request).await;
        let mut far = Wire::accept(&peer).await;
        let asked = far.request().await;
        drop(wire);
        until(|| trial.world.supervisor.alive().get("sip_answers").copied() == Some(1)).await;
        far.answer(&asked, 200, "").await;
        let mut wire = Wire::accept(&node).await;
        let answer = wire.response().await;
        assert_eq!(
            (answer.status().code(), answer.headers().call_id().as_str()),
            (200, "1")
        );
        until(|| late(&trial, "given") == 1).await;
    }
}

fn late(trial: &Trial, result: &str) -> u64 {
    trial.metric(&format!(
        "vestibule_sip_late_answers_total{{result=\"{result}\"}}"
    ))
}

/// Waits until no flow is left.
async fn flows_ended(trial: &Trial) {
    until(|| trial.world.supervisor.alive().get("sip_flow").copied() == Some(0)).await;
}
