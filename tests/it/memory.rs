//! What is held for a SIP request that goes on and waits for its answer: G3 of the qualities, without the tasks and queues
//! around it.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "tests, and what only tests use"
)]

use std::time::Instant;

use vestibule::domain::Domain;
use vestibule::limits::SipLimits;
use vestibule::sip::proxy::{Ends, Face, Inner, Proxy, Veil, Way};
use vestibule::sip::transaction::{Event, Flow, Register, Reliability, Timers, Transactions};
use vestibule::sip::{Host, Transport, Via, parse};

// One a process: what one has given back is taken again without a trace.
#[test]
fn an_open_invite_through_the_edge_takes_little_memory() {
    let octets = open("INVITE", 300);
    println!("an open INVITE: {octets} octets");
    assert!(octets < MOST, "{octets}");
}

/// Octets of resident memory that each of many open transactions adds.
fn open(method: &str, body: usize) -> usize {
    let limits = SipLimits {
        transactions: 1_000_000,
        ..SipLimits::default()
    };
    let now = Instant::now();
    let register = Register::new();
    let table = || Transactions::new(&limits, Timers::default(), register.clone());
    let (mut came, mut went) = (table(), table());
    let flow = Flow {
        id: 1,
        reliability: Reliability::Reliable,
    };
    let proxy = proxy();
    let foreign = Domain::parse("out.example").unwrap();
    let mut held = Vec::with_capacity(COUNT);
    let before = resident();
    for number in 0..COUNT {
        let text = text(method, number, body);
        let message = parse::message(text.as_bytes(), &limits).unwrap();
        let _new = came.receive(now, flow, message);
        while let Some(event) = came.poll() {
            let Event::Request { request, .. } = event else {
                continue;
            };
            let mut request = request;
            let arrived = proxy.receive(Way::Inward, &mut request);
            let ends = Ends::new(request.uri(), foreign.clone());
            let passage = proxy.forward(Way::Inward, arrived, &mut request, &ends, &Transport::Tcp);
            let via = Via::parse(&format!("SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK{number:032x}")).unwrap();
            request.headers_mut().replace_vias(via);
            went.request(now, flow, &request).unwrap();
            while went.poll().is_some() {}
            held.push((request, Box::new(passage.unwrap())));
        }
    }
    let after = resident();
    assert_eq!((came.len(), went.len(), held.len()), (COUNT, COUNT, COUNT));
    (after - before) / COUNT
}

fn text(method: &str, number: usize, body: usize) -> String {
    let body = "x".repeat(body);
    format!(
        "{method} sip:ann@in.example SIP/2.0\r\n\
         Via: SIP/2.0/TLS proxy.out.example;branch=z9hG4bKp{number:032x}\r\n\
         Via: SIP/2.0/TLS ua.out.example;branch=z9hG4bKu{number:032x}\r\n\
         Max-Forwards: 69\r\n\
         Record-Route: <sip:proxy.out.example;lr>\r\n\
         From: \"Bob\" <sip:bob@out.example>;tag=b{number:08}\r\n\
         To: <sip:ann@in.example>\r\n\
         Call-ID: {number:032x}@ua.out.example\r\n\
         CSeq: 1 {method}\r\n\
         Contact: <sip:bob@ua.out.example;transport=tls>\r\n\
         Supported: replaces, timer\r\n\
         User-Agent: phone/1.0\r\n\
         Content-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn proxy() -> Proxy {
    let outside = Face::new(Transport::Tls, Host::parse("edge.example").unwrap(), None);
    let inside = Face::new(Transport::Tcp, Host::parse("10.0.0.1").unwrap(), Some(5060));
    Proxy::new(Veil::new(b"secret"), outside, vec![inside], Inner::default())
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

const COUNT: usize = 3_000;
const MOST: usize = 9_000;
