//! Looks at made-up SIP servers over real sockets.

use tokio::net::UdpSocket;

use super::super::tests::{Trial, Wire, listener, pass, until, within};
use super::*;
use crate::limits::SipLimits;
use crate::sip::{Message, Method, Request, StatusCode, parse, write};

const FOREIGN: &str = "[[federate]]\ndomain = \"contoso.example\"\nprotocol = \"sip\"\ntls = \"public\"\n";

/// A domain of ours with one SIP node.
fn local(port: u16, transport: &str) -> String {
    format!(
        "[[local]]\ndomain = \"voice.example\"\nprotocol = \"sip\"\ntransport = \"{transport}\"\n\
         nodes = [{{ host = \"127.0.0.1\", port = {port} }}]\n{FOREIGN}"
    )
}

fn state(trial: &Trial) -> NodeState {
    let nodes = trial.world.health.nodes();
    let voice = nodes
        .iter()
        .find(|(domain, ..)| domain.as_str() == "voice.example");
    voice.unwrap().2
}

fn is_set_aside(trial: &Trial) -> bool {
    let target = node(trial);
    trial.world.aside().is_set_aside(world::now(), &target)
}

fn node(trial: &Trial) -> Target {
    let border = trial.world.border();
    let domain = Domain::parse("voice.example").unwrap();
    let route = border.table().lookup(&Party::new(None, domain), Protocol::Sip);
    let plan = route.unwrap().into_plan(Protocol::Sip).unwrap();
    match discover::steps(
        &plan,
        |_| crate::route::select::Health::Up,
        discover::Draw::Chance,
    )
    .remove(0)
    {
        crate::route::Step::Address(target) => target,
        crate::route::Step::Discover(discovery) => panic!("{discovery}"),
    }
}

/// A look, during which the node answers what it is asked.
async fn answered(
    trial: &Trial,
    watched: &mut HashMap<Place, Watched>,
    wire: &mut Wire,
    status: u16,
    more: &str,
) -> Request {
    let look = look(&trial.world, watched);
    let answer = async {
        let request = wire.request().await;
        wire.answer(&request, status, more).await;
        request
    };
    tokio::join!(look, answer).1
}

#[tokio::test]
async fn a_node_lives_whatever_it_answers_but_503() {
    let (server, port) = listener().await;
    let trial = Trial::new(&local(port, "tcp"));
    let mut watched = HashMap::new();
    assert_eq!(state(&trial), NodeState::Down);
    let first = async {
        let mut wire = Wire::accept(&server).await;
        let request = wire.request().await;
        wire.answer(&request, 405, "").await;
        (wire, request)
    };
    let ((), (mut wire, request)) = tokio::join!(look(&trial.world, &mut watched), first);
    assert_eq!((state(&trial), is_set_aside(&trial)), (NodeState::Up, false));
    assert_eq!(*request.method(), Method::Options);
    assert_eq!(
        request.headers().max_forwards(),
        Some(0),
        "it goes no further than the node"
    );
    assert_eq!(
        request.uri().to_string(),
        format!("sip:127.0.0.1:{port};transport=tcp")
    );
    assert_eq!(request.headers().from().uri().to_string(), "sip:edge.example");

    // It is well, and asked again after its time only, on the same connection.
    look(&trial.world, &mut watched).await;
    for (status, more, seen) in [
        (200, "", NodeState::Up),
        (503, "", NodeState::Down),
        (501, "", NodeState::Up),
        (503, "Retry-After: 30\r\n", NodeState::Down),
    ] {
        pass(10).await;
        answered(&trial, &mut watched, &mut wire, status, more).await;
        assert_eq!(
            (state(&trial), is_set_aside(&trial)),
            (seen, seen == NodeState::Down),
            "{status}"
        );
    }
    // It asked to be left alone, and is.
    pass(20).await;
    look(&trial.world, &mut watched).await;
    assert_eq!((state(&trial), is_set_aside(&trial)), (NodeState::Down, true));
    pass(10).await;
    answered(&trial, &mut watched, &mut wire, 200, "").await;
    assert_eq!((state(&trial), is_set_aside(&trial)), (NodeState::Up, false));

    // A connection that ended says nothing of the node: there is another one.
    drop(wire);
    pass(10).await;
    let again = async {
        let mut wire = Wire::accept(&server).await;
        let request = wire.request().await;
        wire.answer(&request, 483, "").await;
    };
    tokio::join!(look(&trial.world, &mut watched), again);
    assert_eq!(state(&trial), NodeState::Up);
    drop(server);
    pass(10).await;
    look(&trial.world, &mut watched).await;
    assert_eq!((state(&trial), is_set_aside(&trial)), (NodeState::Down, true));
    assert!(trial.world.health.ready().is_err());
}

#[tokio::test]
async fn a_node_that_says_nothing_is_down_and_one_over_udp_is_asked_as_well() {
    let node = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let trial = Trial::new(&local(node.local_addr().unwrap().port(), "udp"));
    let mut watched = HashMap::new();
    let world = Arc::clone(&trial.world);
    let silent = async {
        let mut buffer = vec![0; 2_000];
        within(node.recv_from(&mut buffer)).await.unwrap();
        pass(6).await;
    };
    tokio::join!(look(&world, &mut watched), silent);
    assert_eq!((state(&trial), is_set_aside(&trial)), (NodeState::Down, true));
    let answers = async {
        let mut buffer = vec![0; 2_000];
        loop {
            let (length, from) = within(node.recv_from(&mut buffer)).await.unwrap();
            let request = match parse::message(&buffer[..length], &SipLimits::default()).unwrap() {
                Message::Request(request) => request,
                Message::Response(response) => panic!("{response:?}"),
            };
            let status = StatusCode::new(404).unwrap();
            let mut octets = Vec::new();
            write::response(&request.response(status, "No", Some("t")), &mut octets);
            node.send_to(&octets, from).await.unwrap();
        }
    };
    tokio::select! {
        () = look(&world, &mut watched) => {}
        () = answers => {}
    }
    assert_eq!((state(&trial), is_set_aside(&trial)), (NodeState::Up, false));
}

#[tokio::test]
async fn a_server_outside_that_was_set_aside_is_asked_before_it_gets_traffic_again() {
    let (server, port) = listener().await;
    let trial = Trial::new(FOREIGN);
    let target = Target {
        side: crate::route::Side::Outside,
        domain: Domain::parse("contoso.example").unwrap(),
        port: port.try_into().unwrap(),
        ..node(&Trial::new(&local(port, "tcp")))
    };
    let world = Arc::clone(&trial.world);
    let is_aside = || world.aside().is_set_aside(world::now(), &target);
    world
        .aside()
        .failed(world::now(), &target, Failure::Connection, 0);
    pass(301).await;
    assert!(is_aside(), "its time is over, and it was not asked");
    trial
        .world
        .supervisor
        .spawn("probe", ask_those_set_aside(Arc::clone(&world)));
    let mut wire = Wire::accept(&server).await;
    let request = wire.request().await;
    wire.answer(&request, 503, "Retry-After: 120\r\n").await;
    assert_eq!(
        within(wire.frame()).await,
        None,
        "its connection is for the question only"
    );
    assert!(is_aside());
    pass(121).await;
    let mut wire = Wire::accept(&server).await;
    let request = wire.request().await;
    wire.answer(&request, 405, "").await;
    until(|| !is_aside()).await;
}
