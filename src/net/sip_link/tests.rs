//! A link between made-up shards and peers that speak SIP over TCP.

#![allow(clippy::wildcard_enum_match_arm, reason = "tests that expect one thing")]

use tokio::net::{TcpListener, TcpSocket};

use super::super::discover::{self, Draw};
use super::super::dns;
use super::super::sip_relay::Recall;
use super::super::tests::{Trial, Wire, listener, pass, until};
use super::ways::LANES;
use super::*;
use crate::gateway::{Input, Token};
use crate::limits::SipLimits;
use crate::policy::Party;
use crate::route::select::Health;
use crate::sip::frame::Frame;
use crate::sip::{Message, parse};

pub(in crate::net) const PEER: &str = "contoso.example";

/// An entry for the peer with these routes: user, port and priority.
fn entry(routes: &[(&str, u16, u16)]) -> String {
    let routes: Vec<_> = routes
        .iter()
        .map(|(user, port, priority)| {
            format!(
                "{{ next_hop = \"127.0.0.1\", port = {port}, transport = \"tcp\", user = \"{user}\", priority = {priority}, \
                 allow_less_specific = false }}"
            )
        })
        .collect();
    format!(
        "[[federate]]\ndomain = \"{PEER}\"\nprotocol = \"sip\"\ntls = \"public\"\nroutes = [{}]\n",
        routes.join(", ")
    )
}

/// A running link.
pub(in crate::net) struct Linked {
    pub(in crate::net) trial: Trial,
    letters: queue::Sender<Letter>,
    sent: u64,
    patience: std::time::Duration,
}

impl Linked {
    pub(in crate::net) fn new(text: &str) -> Self {
        let trial = Trial::new(text);
        let (letters, receiver) = queue::bounded("link", 100, &trial.world.metrics);
        let remote = Domain::parse(PEER).unwrap();
        trial
            .world
            .supervisor
            .spawn("sip_link", run(Arc::clone(&trial.world), remote, receiver));
        Self {
            trial,
            letters,
            sent: 0,
            patience: std::time::Duration::from_secs(3600),
        }
    }

    /// Sends a message to a user of the peer.
    pub(in crate::net) fn send(&mut self, user: &str) -> Token {
        self.send_with(user, "")
    }

    /// The same with a body.
    pub(in crate::net) fn send_with(&mut self, user: &str, body: &str) -> Token {
        self.request("MESSAGE", user, body, None)
    }

    /// Sends a request to a user of the peer, which may be called back.
    fn request(&mut self, method: &str, user: &str, body: &str, recall: Option<Arc<Recall>>) -> Token {
        let number = self.sent + 1;
        let text = format!(
            "{method} sip:{user}@{PEER} SIP/2.0\r\nVia: SIP/2.0/TCP edge.example;branch=z9hG4bK{number}\r\n\
             Max-Forwards: 70\r\nTo: <sip:{user}@{PEER}>\r\nFrom: <sip:bob@local.example>;tag=b\r\n\
             Call-ID: call-{number}\r\nCSeq: 1 {method}\r\nContact: <sip:bob@local.example>\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.write(&text, user, recall)
    }

    /// Sends a request within a dialog with a user of the peer; `route` is its Route, with its line end.
    fn within(&mut self, user: &str, contact: &str, route: &str) -> Token {
        let number = self.sent + 1;
        let text = format!(
            "BYE {contact} SIP/2.0\r\nVia: SIP/2.0/TCP edge.example;branch=z9hG4bK{number}\r\n{route}\
             Max-Forwards: 70\r\nTo: <sip:{user}@{PEER}>;tag=a\r\nFrom: <sip:bob@local.example>;tag=b\r\n\
             Call-ID: call-{number}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"
        );
        self.write(&text, user, None)
    }

    fn write(&mut self, text: &str, user: &str, recall: Option<Arc<Recall>>) -> Token {
        self.sent += 1;
        let number = self.sent;
        let Message::Request(request) = parse::message(text.as_bytes(), &SipLimits::default()).unwrap()
        else {
            panic!("{text}");
        };
        let to = Party::new(Some(user), Domain::parse(PEER).unwrap());
        let border = self.trial.world.border();
        let route = border.table().lookup(&to, Protocol::Xmpp).unwrap();
        let token = Token::new(0, number);
        let letter = Letter {
            content: Content::Request(Box::new(request), Box::new(route), recall),
            token: Some(token),
            until: world::now() + self.patience,
        };
        self.letters.offer(letter).unwrap();
        token
    }

    /// The status that a message of ours was answered with.
    pub(in crate::net) async fn outcome(&mut self, of: Token) -> Result<u16, Trouble> {
        match self.trial.told().await {
            Input::Response { token, response } if token == of => Ok(response.status().code()),
            Input::Returned { token, trouble } if token == of => Err(trouble),
            other => panic!("{other:?}"),
        }
    }
}

/// Nobody has connected since.
async fn is_left_alone(listener: &TcpListener) -> bool {
    let waited = tokio::time::timeout(std::time::Duration::from_millis(20), listener.accept());
    waited.await.is_err()
}

/// Answers the next request.
async fn answers(wire: &mut Wire, status: u16, more: &str) -> Request {
    let request = wire.request().await;
    wire.answer(&request, status, more).await;
    request
}

#[tokio::test]
async fn users_with_routes_of_their_own_keep_their_flows() {
    let ((one, port_one), (two, port_two)) = (listener().await, listener().await);
    let mut link = Linked::new(&entry(&[("ann", port_one, 1), ("ben", port_two, 1)]));
    let mut wires = Vec::new();
    for round in 0..3 {
        for (number, (user, server)) in [("ann", &one), ("ben", &two)].into_iter().enumerate() {
            let token = link.send(user);
            if round == 0 {
                wires.push(Wire::accept(server).await);
            }
            let request = answers(&mut wires[number], 200, "").await;
            assert!(request.uri().to_string().contains(user));
            assert_eq!(link.outcome(token).await, Ok(200));
        }
    }
    assert!(is_left_alone(&one).await && is_left_alone(&two).await);
}

#[tokio::test]
async fn one_way_too_many_lets_go_of_the_oldest_whose_answers_still_come() {
    let mut listeners = Vec::new();
    let mut routes = Vec::new();
    let users: Vec<String> = (0..=limits::WAYS_OF_A_LINK)
        .map(|n| format!("user{n}x"))
        .collect();
    for user in &users {
        let (listener, port) = listener().await;
        listeners.push(listener);
        routes.push((user.as_str(), port, 1));
    }
    let mut link = Linked::new(&entry(&routes));
    let mut wires = Vec::new();
    let mut first = None;
    for (user, listener) in users.iter().zip(&listeners) {
        let token = link.send(user);
        let mut wire = Wire::accept(listener).await;
        let request = wire.request().await;
        if first.is_none() {
            first = Some((token, request));
        } else {
            wire.answer(&request, 200, "").await;
            assert_eq!(link.outcome(token).await, Ok(200));
        }
        wires.push(wire);
    }
    let (token, request) = first.unwrap();
    wires[0].answer(&request, 202, "").await;
    assert_eq!(link.outcome(token).await, Ok(202));
    assert_eq!(wires[0].frame().await, None, "the flow is not kept for nobody");
    let token = link.send(&users[1]);
    answers(&mut wires[1], 200, "").await;
    assert_eq!(link.outcome(token).await, Ok(200));
}

#[tokio::test]
async fn a_request_that_a_server_does_not_take_is_sent_to_the_next_once() {
    let ((one, port_one), (two, port_two)) = (listener().await, listener().await);
    let mut link = Linked::new(&entry(&[("*", port_one, 1), ("*", port_two, 2)]));
    let token = link.send("ann");
    let mut first = Wire::accept(&one).await;
    let asked = answers(&mut first, 503, "Retry-After: 30\r\n").await;
    let mut second = Wire::accept(&two).await;
    let again = answers(&mut second, 200, "").await;
    assert_eq!(link.outcome(token).await, Ok(200));
    let branch = |request: &Request| request.headers().top_via().branch().unwrap().to_owned();
    assert_ne!(branch(&asked), branch(&again));
    assert_eq!(asked.headers().call_id(), again.headers().call_id());

    // Who asked to be left alone is: his flow ends, and nothing is sent to him for his time.
    assert_eq!(first.frame().await, None);
    let token = link.send("ann");
    answers(&mut second, 200, "").await;
    assert_eq!(link.outcome(token).await, Ok(200));
    drop((second, two));
    pass(5).await;
    let token = link.send("ann");
    assert_eq!(link.outcome(token).await, Err(Trouble::Unreachable));
    assert!(is_left_alone(&one).await);
    // And when it is over he is asked again.
    pass(30).await;
    let token = link.send("ann");
    answers(&mut Wire::accept(&one).await, 200, "").await;
    assert_eq!(link.outcome(token).await, Ok(200));
}

#[tokio::test]
async fn what_was_not_sent_when_a_connection_broke_goes_by_another() {
    let small = TcpSocket::new_v4().unwrap();
    small.set_recv_buffer_size(4_096).unwrap();
    small.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = small.listen(1).unwrap();
    let full_port = full.local_addr().unwrap().port();
    let (next, next_port) = listener().await;
    let mut link = Linked::new(&entry(&[("*", full_port, 1), ("*", next_port, 2)]));
    let body = "x".repeat(60_000);
    let count = 100;
    for _ in 0..count {
        link.send_with("ann", &body);
    }
    // It reads nothing, and is gone with the first of them under way.
    let stuck = Wire::accept(&full).await;
    until(|| link.letters.is_idle()).await;
    drop((stuck, full));
    let mut wire = Wire::accept(&next).await;
    let (mut answered, mut lost) = (0, 0);
    while answered + lost < count {
        tokio::select! {
            request = wire.request() => wire.answer(&request, 200, "").await,
            told = link.trial.told() => match told {
                Input::Response { .. } => answered += 1,
                Input::Returned { trouble, .. } => {
                    assert_eq!(trouble, Trouble::Broken);
                    lost += 1;
                }
                other => panic!("{other:?}"),
            },
        }
    }
    assert!(answered > 0 && lost > 0, "{answered} {lost}");
}

#[tokio::test]
async fn servers_of_one_priority_share_the_users_by_weight_and_one_that_is_back_gets_its_share_again() {
    let ((one, port_one), (two, port_two)) = (listener().await, listener().await);
    let both = entry(&[("*", port_one, 1), ("*", port_two, 1)]);
    let first = format!("port = {port_one}, ");
    let mut link = Linked::new(&both.replace(&first, &format!("{first}weight = 3, ")));
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    for (name, server) in [("one", one), ("two", two)] {
        let heard = Arc::clone(&heard);
        link.trial.world.supervisor.spawn("peer", async move {
            loop {
                let mut wire = Wire::accept(&server).await;
                while let Some(Frame::Message(Message::Request(request))) = wire.frame().await {
                    let to = request.uri().to_string();
                    heard.lock().unwrap().push((name, to));
                    wire.answer(&request, 200, "").await;
                }
            }
        });
    }
    let round = async |link: &mut Linked| -> Vec<&str> {
        heard.lock().unwrap().clear();
        for number in 0..200 {
            let token = link.send(&format!("user{number}"));
            assert_eq!(link.outcome(token).await, Ok(200));
        }
        heard.lock().unwrap().iter().map(|(name, _)| *name).collect()
    };
    let at_first = round(&mut link).await;
    let share = at_first.iter().filter(|name| **name == "one").count();
    assert!((120..=180).contains(&share), "{share} of 200");
    assert_eq!(round(&mut link).await, at_first, "each user stays where he is");
    let route = |link: &Linked| {
        let border = link.trial.world.border();
        let to = Party::new(Some("ann"), Domain::parse(PEER).unwrap());
        border
            .table()
            .lookup(&to, Protocol::Sip)
            .unwrap()
            .into_plan(Protocol::Sip)
            .unwrap()
    };
    let target = discover::steps(&route(&link), |_| Health::Up, Draw::Lane(0, LANES)).remove(0);
    let crate::route::Step::Address(target) = target else {
        panic!("{target:?}");
    };
    assert_eq!(target.port.get(), port_one);
    link.trial
        .world
        .aside()
        .failed(world::now(), &target, Failure::Connection, 0);
    assert!(round(&mut link).await.iter().all(|name| *name == "two"));
    link.trial.world.aside().succeeded(&target);
    assert_eq!(round(&mut link).await, at_first);
}

#[tokio::test]
async fn requests_go_at_the_rate_of_the_peer_and_what_would_go_too_late_is_told_at_once() {
    let (server, port) = listener().await;
    let text = entry(&[("*", port, 1)]);
    let mut link = Linked::new(&format!("{text}rate = {{ outbound_requests_per_second = 4 }}\n"));
    let sent: Vec<_> = (0..10).map(|_| link.send("ann")).collect();
    let mut wire = Wire::accept(&server).await;
    // From here on only timers are left.
    tokio::time::pause();
    let started = world::now();
    for (number, token) in sent.into_iter().enumerate() {
        let request = answers(&mut wire, 200, "").await;
        assert_eq!(
            request.headers().call_id().as_str(),
            format!("call-{}", number + 1)
        );
        assert_eq!(link.outcome(token).await, Ok(200));
    }
    let took = (world::now() - started).as_millis();
    assert!(
        (1_400..2_000).contains(&took),
        "four at once, and one in 250 ms: {took}"
    );
    tokio::time::resume();
    // Another rate, and no time to wait for it.
    link.trial
        .replace(&format!("{text}rate = {{ outbound_requests_per_second = 1 }}\n"));
    link.patience = std::time::Duration::from_millis(100);
    let (first, second) = (link.send("ann"), link.send("ann"));
    let mut outcomes = Vec::new();
    answers(&mut wire, 200, "").await;
    for _ in 0..2 {
        outcomes.push(match link.trial.told().await {
            Input::Response { token, response } => (token, Ok(response.status().code())),
            Input::Returned { token, trouble } => (token, Err(trouble)),
            other => panic!("{other:?}"),
        });
    }
    outcomes.sort_by_key(|(_, outcome)| outcome.is_err());
    assert_eq!(outcomes, [(first, Ok(200)), (second, Err(Trouble::Overload))]);
    // And none.
    link.trial.replace(&text);
    for _ in 0..3 {
        let token = link.send("ann");
        answers(&mut wire, 200, "").await;
        assert_eq!(link.outcome(token).await, Ok(200));
    }
}

#[tokio::test]
async fn a_request_goes_to_the_server_of_its_route_set_while_that_is_well() {
    let ((one, port_one), (two, port_two)) = (listener().await, listener().await);
    let mut link = Linked::new(&entry(&[("*", port_one, 1), ("*", port_two, 2)]));
    let route = format!("Route: <sip:127.0.0.1:{port_two};lr;transport=tcp>, <sip:front.{PEER};lr>\r\n");
    let contact = format!("sip:ann@{PEER};gruu");
    let token = link.within("ann", &contact, &route);
    let mut second = Wire::accept(&two).await;
    answers(&mut second, 200, "").await;
    assert_eq!(link.outcome(token).await, Ok(200));
    let token = link.send("ann");
    let mut first = Wire::accept(&one).await;
    answers(&mut first, 200, "").await;
    assert_eq!(link.outcome(token).await, Ok(200));
    // Whoever's dialog it is, and without a route set by the Contact alone: by the same flows.
    let at_two = format!("sip:ann@127.0.0.1:{port_two};transport=tcp");
    for (number, user) in ["ann", "ben", "cid", "dot", "eve"].into_iter().enumerate() {
        for (contact, route) in [(&contact, route.as_str()), (&at_two, "")] {
            let token = link.within(user, contact, route);
            answers(&mut second, 200, "").await;
            assert_eq!(link.outcome(token).await, Ok(200), "{number} {contact}");
        }
        let token = link.send(user);
        answers(&mut first, 200, "").await;
        assert_eq!(link.outcome(token).await, Ok(200), "{number}");
    }
    assert!(is_left_alone(&one).await && is_left_alone(&two).await);
    // It takes nothing for a while: the other one is asked.
    let token = link.within("ann", &contact, &route);
    answers(&mut second, 503, "Retry-After: 30\r\n").await;
    answers(&mut first, 200, "").await;
    assert_eq!(link.outcome(token).await, Ok(200));
    assert_eq!(second.frame().await, None);
    let token = link.within("ann", &contact, &route);
    answers(&mut first, 200, "").await;
    assert_eq!(link.outcome(token).await, Ok(200));
    assert!(is_left_alone(&two).await);
    // And when it is gone.
    pass(31).await;
    let token = link.within("ann", &contact, &route);
    let mut second = Wire::accept(&two).await;
    answers(&mut second, 200, "").await;
    assert_eq!(link.outcome(token).await, Ok(200));
    drop((second, two));
    pass(5).await;
    let token = link.within("ann", &contact, &route);
    answers(&mut first, 200, "").await;
    assert_eq!(link.outcome(token).await, Ok(200));
}

#[tokio::test]
async fn servers_that_dns_gives_are_known_by_their_names() {
    let ((one, port_one), (two, port_two)) = (listener().await, listener().await);
    let dns = dns::tests::Server::of_hosts(vec![("a.corp.", port_one), ("b.corp.", port_two)]).await;
    let mut link = Linked::new(&format!(
        "[[local]]\ndomain = \"{PEER}\"\nprotocol = \"sip\"\ntransport = \"tcp\"\nsrv = \"_sip._tcp.corp\"\n\
         [dns]\nservers = [\"{}\"]\n",
        dns.address
    ));
    let mut wires: [Option<Wire>; 2] = [None, None];
    for (place, number) in [
        ("B.corp".to_owned(), 1),
        (format!("x@b.corp:{port_two}"), 1),
        ("c.corp".to_owned(), 0),
        (format!("b.corp:{port_one}"), 0),
        ("b.corp.".to_owned(), 1),
    ] {
        let route = format!("Route: <sip:{place};lr>\r\n");
        let token = link.within("ann", "sip:ann@10.0.0.7", &route);
        let (wire, listener) = (&mut wires[number], [&one, &two][number]);
        let wire = match wire {
            Some(wire) => wire,
            None => wire.insert(Wire::accept(listener).await),
        };
        answers(wire, 200, "").await;
        assert_eq!(link.outcome(token).await, Ok(200), "{place}");
    }
}

#[tokio::test]
async fn a_route_to_anywhere_else_leads_nowhere_else() {
    let ((one, port_one), (two, port_two)) = (listener().await, listener().await);
    let (stranger, port) = listener().await;
    let mut link = Linked::new(&entry(&[("*", port_one, 1), ("*", port_two, 2)]));
    let mut first = None;
    for place in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port_two}"),
        format!("{PEER}:{port_two};maddr=127.0.0.1"),
        format!("127.0.0.2:{port_two}"),
        PEER.to_owned(),
    ] {
        let route = format!("Route: <sip:{place};lr>\r\n");
        for (contact, route) in [
            ("sip:ann@127.0.0.9", route.as_str()),
            (&format!("sip:ann@{place}"), ""),
        ] {
            let token = link.within("ann", contact, route);
            let wire = match &mut first {
                Some(wire) => wire,
                None => first.insert(Wire::accept(&one).await),
            };
            answers(wire, 200, "").await;
            assert_eq!(link.outcome(token).await, Ok(200), "{place}");
        }
    }
    for listener in [&one, &two, &stranger] {
        assert!(is_left_alone(listener).await);
    }
}

#[tokio::test]
async fn where_no_server_takes_a_request_its_sender_hears_the_answer() {
    let ((one, port_one), (two, port_two)) = (listener().await, listener().await);
    let mut link = Linked::new(&entry(&[("*", port_one, 1), ("*", port_two, 2)]));
    let token = link.send("ann");
    let mut first = Wire::accept(&one).await;
    answers(&mut first, 503, "").await;
    let mut second = Wire::accept(&two).await;
    answers(&mut second, 503, "").await;
    assert_eq!(link.outcome(token).await, Ok(503));
    assert!(link.trial.is_quiet(), "it is told once");

    let mut link = Linked::new(&entry(&[("*", port_one, 1)]));
    let token = link.send("ann");
    let mut wire = Wire::accept(&one).await;
    answers(&mut wire, 503, "Retry-After: 60\r\n").await;
    assert_eq!(link.outcome(token).await, Ok(503));
    let token = link.send("ann");
    assert_eq!(link.outcome(token).await, Err(Trouble::Overload));
    assert_eq!(wire.frame().await, None);
    assert!(is_left_alone(&one).await);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_passed_over_and_one_that_is_silent_set_aside() {
    let gone = listener().await.1;
    let ((one, port_one), (two, port_two)) = (listener().await, listener().await);
    let mut link = Linked::new(&entry(&[("*", gone, 1), ("*", port_one, 2), ("*", port_two, 3)]));
    let token = link.send("ann");
    let mut first = Wire::accept(&one).await;
    let _unanswered = first.request().await;
    pass(33).await;
    // Nobody knows what became of it: it is not sent again.
    assert_eq!(link.outcome(token).await, Err(Trouble::Timeout));
    assert_eq!(first.frame().await, None);
    let token = link.send("ann");
    let mut second = Wire::accept(&two).await;
    answers(&mut second, 200, "").await;
    assert_eq!(link.outcome(token).await, Ok(200));
}

#[tokio::test]
async fn a_quiet_flow_is_pinged_and_ends_when_a_peer_that_answered_no_longer_does() {
    let (server, port) = listener().await;
    let mut link = Linked::new(&format!(
        "{}[sip]\nkeepalive = \"60s\"\n",
        entry(&[("*", port, 1)])
    ));
    let token = link.send("ann");
    let mut wire = Wire::accept(&server).await;
    answers(&mut wire, 200, "").await;
    assert_eq!(link.outcome(token).await, Ok(200));
    // From here on only timers are left.
    tokio::time::pause();
    let sent = world::now();
    // A double CRLF is framed as a pong and a ping.
    assert_eq!(wire.frame().await, Some(Frame::Pong));
    assert_eq!(wire.frame().await, Some(Frame::Ping));
    wire.send("\r\n").await;
    assert_eq!(wire.frame().await, Some(Frame::Pong));
    assert_eq!(wire.frame().await, Some(Frame::Ping));
    assert_eq!(wire.frame().await, None);
    let lived = (world::now() - sent).as_secs();
    assert!((105..=131).contains(&lived), "{lived}");
}

#[tokio::test]
async fn a_peer_that_knows_no_pings_keeps_its_flow_until_it_is_idle() {
    let (server, port) = listener().await;
    let text = format!(
        "{}[sip]\nkeepalive = \"60s\"\nidle_timeout = \"500s\"\n",
        entry(&[("*", port, 1)])
    );
    let mut link = Linked::new(&text);
    let token = link.send("ann");
    let mut wire = Wire::accept(&server).await;
    answers(&mut wire, 200, "").await;
    assert_eq!(link.outcome(token).await, Ok(200));
    // From here on only timers are left.
    tokio::time::pause();
    let sent = world::now();
    let mut pings = 0;
    while let Some(frame) = wire.frame().await {
        pings += usize::from(frame == Frame::Ping);
    }
    let lived = (world::now() - sent).as_secs();
    assert!((499..=501).contains(&lived), "{lived}");
    assert!((7..=8).contains(&pings), "{pings}");
}

#[tokio::test]
async fn an_invite_that_was_called_back_goes_to_no_other_server() {
    for is_broken in [false, true] {
        let ((one, port_one), (two, port_two)) = (listener().await, listener().await);
        let mut link = Linked::new(&entry(&[("*", port_one, 1), ("*", port_two, 2)]));
        let recall = Arc::new(Recall::default());
        let token = link.request("INVITE", "ann", "", Some(Arc::clone(&recall)));
        let mut first = Wire::accept(&one).await;
        let invite = first.request().await;
        recall.recall();
        if is_broken {
            drop(first);
            assert_eq!(link.outcome(token).await, Err(Trouble::Broken));
        } else {
            first.answer(&invite, 503, "").await;
            assert_eq!(link.outcome(token).await, Ok(487));
        }
        assert!(is_left_alone(&two).await);
    }
}

#[tokio::test]
async fn a_flow_that_is_up_goes_on_where_no_other_one_can_be_found() {
    let (server, port) = listener().await;
    // A node by its name, which the hosts file gives.
    let text = format!(
        "[[local]]\ndomain = \"{PEER}\"\nprotocol = \"sip\"\ntransport = \"tcp\"\n\
         nodes = [{{ host = \"localhost\", port = {port} }}]\n"
    );
    let trial = Trial::new(&text);
    let reports = queue::bounded("sip_report", 1, &trial.world.metrics).0;
    let mut link = SipLink {
        world: Arc::clone(&trial.world),
        remote: Domain::parse(PEER).unwrap(),
        ways: Ways::new(limits::WAYS_OF_A_LINK),
        lanes: RandomState::new(),
        left_alone: LeftAlone::new(limits::SERVERS_LEFT_ALONE),
        reports,
        pace: None,
        discovered: Discovered::default(),
        asking: Arc::default(),
    };
    let to = Party::new(Some("ann"), Domain::parse(PEER).unwrap());
    let border = trial.world.border();
    let route = border.table().lookup(&to, Protocol::Sip).unwrap();
    let plan = route.into_plan(Protocol::Sip).unwrap();
    let (first, _wire) = tokio::join!(link.ensure(Some(&plan), 0, &[]), Wire::accept(&server));
    let first = first.unwrap();
    // A server that asked to be left alone is not chosen again; its flow would have been let go of.
    let hour = std::time::Duration::from_secs(3600);
    link.left_alone.asked(&first.target, world::now(), hour);
    let elsewhere = Target {
        port: std::num::NonZeroU16::MIN,
        ..first.target.clone()
    };
    trial
        .world
        .aside()
        .failed(world::now(), &elsewhere, Failure::Connection, 0);
    // Nothing else is found for its lane, nor anything for another; it is not given up for either.
    for (lane, found) in [(0, true), (1, false), (0, true)] {
        let live = link.ensure(Some(&plan), lane, &[]).await;
        assert_eq!(live.is_ok_and(|live| Arc::ptr_eq(&live, &first)), found, "{lane}");
    }
}

#[tokio::test]
async fn a_rate_is_kept_where_dns_does_not_answer_and_asked_for_again_only_after_a_while() {
    let link = Linked::new("[[federate]]\ndomain = \"*.example\"\nprotocol = \"sip\"\ntls = \"public\"\n");
    let remote = Domain::parse(PEER).unwrap();
    let one = crate::policy::rate::Rate::per_second(std::num::NonZeroU32::MIN);
    let mut known = Discovered::known(one);
    assert_eq!(known.towards(&link.trial.world, &remote).await, Some(one));
    let until = known.until();
    assert!(until > Some(world::now()));
    assert_eq!(known.towards(&link.trial.world, &remote).await, Some(one));
    assert_eq!(known.until(), until, "it was not asked for");
}
