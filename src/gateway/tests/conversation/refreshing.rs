//! What keeps a session: refreshes, and the ACK of each 2xx.

use super::*;

const WITHOUT_UPDATE: Answer = Answer {
    status: 200,
    tag: "b1",
    more: "Contact: <sip:romeo@192.0.2.9;transport=tls>\r\nAllow: INVITE, ACK, BYE, MESSAGE\r\n\
           Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\nContent-Type: application/sdp\r\n",
    body: SDP,
};
const WITH_UPDATE: Answer = Answer {
    status: 200,
    tag: "b1",
    more: "Contact: <sip:romeo@192.0.2.9;transport=tls>\r\nAllow: INVITE, ACK, BYE, MESSAGE, UPDATE\r\n\
           Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\nContent-Type: application/sdp\r\n",
    body: SDP,
};

impl Bench {
    /// A session of Juliet's that is refreshed by us, used often enough to live until then; gives the refresh.
    fn until_refreshed(&mut self, accepting: &Answer) -> (Token, Box<Request>) {
        let (token, invite, _) = self.write("m1", "one").requests.remove(0);
        let mut seen = self.answer(token, &invite, accepting);
        for number in 0..3 {
            let (token, text, _) = seen.requests.pop().unwrap();
            self.answer(token, &text, &status(200));
            seen = self.pass(250);
            assert!(seen.is_empty(), "{seen:?}");
            seen = self.write(&format!("m{number}"), "more");
        }
        let (token, text, _) = seen.requests.pop().unwrap();
        self.answer(token, &text, &status(200));
        let mut seen = self.pass(150);
        assert_eq!(seen.requests.len(), 1);
        let (token, refresh, _) = seen.requests.remove(0);
        (token, refresh)
    }
}

#[test]
fn a_session_is_refreshed_by_what_its_other_end_takes() {
    let mut bench = Bench::new();
    let (token, refresh) = bench.until_refreshed(&WITH_UPDATE);
    assert_eq!(refresh.method().as_str(), "UPDATE");
    // A method that was promised and is refused is asked for no more.
    let mut seen = bench.answer(token, &refresh, &status(405));
    assert_eq!(methods(&seen), ["INVITE"]);
    let (_, again, _) = seen.requests.remove(0);
    assert_eq!(again.headers().to().tag(), Some("b1"), "within the session");

    let mut bench = Bench::new();
    let (token, refresh) = bench.until_refreshed(&WITHOUT_UPDATE);
    assert_eq!(refresh.method().as_str(), "INVITE");
    assert!(sip::sdp::Sdp::parse(refresh.body()).unwrap().is_of_messages());
    let headers = refresh.headers();
    assert_eq!(headers.get("Session-Expires"), Some("1800;refresher=uac"));
    assert_eq!(headers.contact().addresses().len(), 1);
    let seen = bench.answer(token, &refresh, &WITHOUT_UPDATE);
    assert_eq!(methods(&seen), ["ACK"]);
    let ack = &seen.requests[0].1;
    assert_eq!(ack.headers().cseq().number(), headers.cseq().number());
    let seen = bench.answer(token, &refresh, &WITHOUT_UPDATE);
    assert_eq!(methods(&seen), ["ACK"], "each 2xx");
    assert_eq!(bench.gateway.conversations().1, 1);

    // Where policy lets no UPDATE pass.
    let mut bench = Bench::new();
    let mut terms = Terms::default();
    terms.methods.retain(|method| *method != sip::Method::Update);
    bench.border = Setting {
        microsoft: terms,
        ..Setting::open()
    }
    .border();
    assert_eq!(bench.until_refreshed(&WITH_UPDATE).1.method().as_str(), "INVITE");
}

#[test]
fn who_has_lost_the_session_ends_it_by_the_answer_to_a_refresh() {
    for (code, expected) in [
        (481, vec!["BYE"]),
        (408, vec!["BYE"]),
        (491, vec![]),
        (500, vec![]),
    ] {
        let mut bench = Bench::new();
        let (token, refresh) = bench.until_refreshed(&WITHOUT_UPDATE);
        let seen = bench.answer(token, &refresh, &status(code));
        assert!(methods(&seen).len() <= expected.len(), "{code}: {seen:?}");
        assert_eq!(
            bench.gateway.conversations().1,
            usize::from(expected.is_empty()),
            "{code}"
        );
        assert_eq!(bench.gateway.conversations.under_way(), methods(&seen).len());
    }
}

#[test]
fn an_offer_that_meets_one_of_ours_has_to_wait() {
    let mut bench = Bench::new();
    let (token, refresh) = bench.until_refreshed(&WITHOUT_UPDATE);
    let ours = refresh.response(StatusCode::OK, "", None);
    // Romeo's own requests have From and To the other way round.
    let theirs = |method: &str, number: u32, body: &str| {
        let more = if body.is_empty() {
            CONTACT_ONLY.to_owned()
        } else {
            format!("{CONTACT_ONLY}Content-Type: application/sdp\r\n")
        };
        let text = format!(
            "{method} sip:juliet@edge.corp.example;transport=tls SIP/2.0\r\n\
             Via: SIP/2.0/TLS 192.0.2.9;branch=z9hG4bK{method}{number}\r\nMax-Forwards: 70\r\n\
             From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\n{more}Content-Length: {}\r\n\r\n{body}",
            ours.headers().to(),
            ours.headers().from(),
            ours.headers().call_id().as_str(),
            body.len()
        );
        match sip::parse::message(text.as_bytes(), &SipLimits::default()) {
            Ok(Message::Request(request)) => request,
            other => panic!("{text}\nis no request: {other:?}"),
        }
    };
    let code = |(response, _): (Option<Box<Response>>, Seen)| response.unwrap().status().code();
    assert_eq!(code(bench.request(theirs("INVITE", 1, SDP))), 491);
    assert_eq!(code(bench.request(theirs("UPDATE", 2, SDP))), 491);
    assert_eq!(
        code(bench.request(theirs("UPDATE", 3, ""))),
        200,
        "it offers nothing"
    );
    bench.answer(token, &refresh, &WITHOUT_UPDATE);
    assert_eq!(code(bench.request(theirs("INVITE", 4, SDP))), 200);
}

#[test]
fn each_2xx_is_acknowledged_even_when_its_session_has_ended() {
    let mut bench = Bench::new();
    let (token, invite, _) = bench.write("m1", "one").requests.remove(0);
    let mut seen = bench.answer(token, &invite, &OK);
    let (text, message, _) = seen.requests.remove(1);
    bench.answer(text, &message, &status(200));
    let gone =
        stanza(Kind::Message(MessageType::Chat), JULIET, ROMEO).with_child(Element::new("gone", STATES));
    assert_eq!(methods(&bench.stanza(gone)), ["BYE"]);
    assert_eq!(bench.gateway.conversations().1, 0);
    let seen = bench.answer(token, &invite, &OK);
    assert_eq!(methods(&seen), ["ACK"], "its 2xx came again");
    // One that came from another device, and was ended at once, is acknowledged again too.
    let other = Answer { tag: "b2", ..OK };
    assert_eq!(methods(&bench.answer(token, &invite, &other)), ["ACK", "BYE"]);
    let seen = bench.answer(token, &invite, &other);
    assert_eq!(methods(&seen), ["ACK"]);
    assert_eq!(seen.requests[0].1.headers().to().tag(), Some("b2"));
    bench.pass(33);
    assert!(
        methods(&bench.answer(token, &invite, &OK)).is_empty(),
        "after 64*T1 nobody repeats it"
    );
}

#[test]
fn a_refresh_that_is_accepted_after_its_session_ended_is_acknowledged() {
    let mut bench = Bench::new();
    let (token, refresh) = bench.until_refreshed(&WITHOUT_UPDATE);
    let gone =
        stanza(Kind::Message(MessageType::Chat), JULIET, ROMEO).with_child(Element::new("gone", STATES));
    assert_eq!(methods(&bench.stanza(gone)), ["BYE"]);
    assert_eq!(methods(&bench.answer(token, &refresh, &WITHOUT_UPDATE)), ["ACK"]);
    bench.pass(700);
    bench.pass(700);
    assert_eq!(bench.gateway.conversations(), (0, 0));
}
