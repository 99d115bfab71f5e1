//! That somebody types: in sessions and outside of them, and who wants to know.

use super::*;

const ALICE: &str = "alice@partner.example";
const FROM_ALICE: &str = "sip:alice@partner.example";

fn state(to: &str, name: &str) -> Stanza {
    stanza(Kind::Message(MessageType::Chat), JULIET, to).with_child(Element::new(name, STATES))
}

fn shown(seen: &Seen) -> Vec<String> {
    seen.sent
        .iter()
        .flat_map(|letter| letter.stanza.element().children())
        .filter(|child| child.ns() == STATES)
        .map(|child| child.name().to_owned())
        .collect()
}

/// What requests say of typing.
fn says(seen: &Seen) -> Vec<(String, &'static str)> {
    seen.requests
        .iter()
        .map(|(_, request, _)| {
            let body = String::from_utf8_lossy(request.body());
            let what = ["\"type\"", "\"idle\"", "<state>active<", "<state>idle<"]
                .into_iter()
                .find(|word| body.contains(word))
                .unwrap_or("?");
            (request.method().as_str().to_owned(), what)
        })
        .collect()
}

/// A MESSAGE of Alice's that says whether she types.
fn typing(state: &str) -> Request {
    let body = format!(
        "<isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"><state>{state}</state></isComposing>"
    );
    let more = "Max-Forwards: 70\r\nContent-Type: application/im-iscomposing+xml\r\n";
    request("MESSAGE", FROM_ALICE, TO_JULIET, more, &body)
}

impl Bench {
    fn write_to(&mut self, to: &str, id: &str, marked: bool) -> Seen {
        let text = chat(JULIET, to, id, "hi");
        self.stanza(if marked {
            text.with_child(Element::new("active", STATES))
        } else {
            text
        })
    }

    /// A conversation of single messages with Alice, who shows when she types, and wants to know.
    fn paging(&mut self) {
        let (token, text, _) = self.write_to(ALICE, "m1", true).requests.remove(0);
        self.answer(token, &text, &status(200));
        let (ok, seen) = self.request(typing("active"));
        assert_eq!(
            (ok.unwrap().status().code(), shown(&seen)),
            (200, vec!["composing".to_owned()])
        );
        let (_, seen) = self.request(typing("idle"));
        assert_eq!(shown(&seen), ["active"]);
    }
}

#[test]
fn who_shows_typing_outside_of_sessions_is_told_of_it_there_too() {
    let mut bench = Bench::new();
    bench.paging();
    let seen = bench.stanza(state(ALICE, "composing"));
    assert_eq!(says(&seen), [("MESSAGE".to_owned(), "<state>active<")]);
    let (_, request, _) = &seen.requests[0];
    assert!(request.headers().to().tag().is_none() && request.headers().from().tag().is_some());
    assert_eq!(request.uri().to_string(), FROM_ALICE);
    assert_eq!(
        request.headers().content_type().unwrap().to_string(),
        "application/im-iscomposing+xml"
    );
    assert_eq!(
        says(&bench.stanza(state(ALICE, "paused"))),
        [("MESSAGE".to_owned(), "<state>idle<")]
    );
    assert_eq!(bench.gateway.conversations().1, 0, "no session comes of it");
    assert_eq!(bench.gateway.waiting(), 0);

    // Once in five seconds, and what came in between is said then.
    assert!(bench.stanza(state(ALICE, "composing")).is_empty());
    assert!(bench.pass(4).is_empty());
    assert_eq!(says(&bench.pass(1)), [("MESSAGE".to_owned(), "<state>active<")]);
    // Whoever says nothing more is idle after 15 s, counted from his last word.
    assert!(bench.pass(9).is_empty());
    assert_eq!(says(&bench.pass(1)), [("MESSAGE".to_owned(), "<state>idle<")]);
    assert!(bench.pass(60).is_empty());
}

#[test]
fn who_types_and_says_no_more_has_stopped_after_two_minutes() {
    let mut bench = Bench::new();
    bench.paging();
    assert_eq!(shown(&bench.request(typing("active")).1), ["composing"]);
    assert!(bench.request(typing("active")).1.is_empty(), "it is known");
    assert!(bench.pass(119).is_empty());
    assert_eq!(shown(&bench.pass(1)), ["active"]);
    // And a text ends it without a word.
    assert_eq!(shown(&bench.request(typing("active")).1), ["composing"]);
    let (_, seen) = bench.request(message(FROM_ALICE, TO_JULIET, "hello"));
    assert_eq!(
        (texts(&seen), shown(&seen)),
        (vec!["hello".to_owned()], vec!["active".to_owned()])
    );
    assert_eq!(shown(&bench.pass(121)), Vec::<String>::new());
}

#[test]
fn nobody_is_told_of_typing_who_has_not_asked_for_it() {
    let mut bench = Bench::new();
    bench.write_to(ALICE, "m1", true);
    assert!(
        bench.stanza(state(ALICE, "composing")).is_empty(),
        "Alice never showed it"
    );
    // By Accept she would have.
    let mut bench = Bench::new();
    let (token, text, _) = bench.write_to(ALICE, "m1", true).requests.remove(0);
    let accepting = Answer {
        more: "Accept: text/plain, application/im-iscomposing+xml\r\n",
        ..status(200)
    };
    bench.answer(token, &text, &accepting);
    assert_eq!(says(&bench.stanza(state(ALICE, "composing"))).len(), 1);

    // Juliet writes without chat states: she hears nothing of Alice's.
    let mut bench = Bench::new();
    let (token, text, _) = bench.write_to(ALICE, "m1", false).requests.remove(0);
    bench.answer(token, &text, &status(200));
    assert!(shown(&bench.request(typing("active")).1).is_empty());
    assert!(shown(&bench.request(message(FROM_ALICE, TO_JULIET, "hello")).1).is_empty());
    // A stranger's typing begins nothing that anybody sees.
    let mut bench = Bench::new();
    let (ok, seen) = bench.request(typing("active"));
    assert_eq!((ok.unwrap().status().code(), shown(&seen)), (200, vec![]));
    assert_eq!(bench.gateway.conversations().1, 0);
}

#[test]
fn a_refusal_of_typing_is_heard_once_and_told_to_nobody() {
    for code in [415, 403, 500, 408] {
        let mut bench = Bench::new();
        bench.paging();
        let (token, said, _) = bench.stanza(state(ALICE, "composing")).requests.remove(0);
        assert!(bench.answer(token, &said, &status(code)).is_empty());
        assert!(bench.pass(30).is_empty());
        assert!(bench.stanza(state(ALICE, "composing")).is_empty(), "{code}");
        bench.request(typing("active"));
        assert!(
            bench.stanza(state(ALICE, "composing")).is_empty(),
            "whatever she shows afterwards"
        );
    }
    let mut bench = Bench::new();
    bench.paging();
    let (token, _, _) = bench.stanza(state(ALICE, "composing")).requests.remove(0);
    let trouble = Trouble::Unreachable;
    assert!(bench.handle(Input::Returned { token, trouble }).is_empty());
    assert_eq!(bench.gateway.conversations.under_way(), 0);
}

#[test]
fn a_session_is_told_of_typing_by_what_its_other_end_takes() {
    let with_types = |types: &str| SDP.replace("accept-types:text/plain", &format!("accept-types:{types}"));
    let composing = with_types("text/plain application/im-iscomposing+xml");
    let any = with_types("*");
    let info = "MESSAGE, INFO";
    let nothing: [(String, &str); 0] = [];
    let said = |method: &str| {
        let what = if method == "INFO" {
            "\"type\""
        } else {
            "<state>active<"
        };
        vec![(method.to_owned(), what)]
    };
    for (user, methods_of_domain, allow, sdp, expected) in [
        (ROMEO, info, "INFO", SDP, said("INFO")),
        (ROMEO, info, "MESSAGE", SDP, nothing.to_vec()),
        (ROMEO, info, "MESSAGE", composing.as_str(), said("MESSAGE")),
        (ROMEO, "MESSAGE", "INFO", SDP, nothing.to_vec()),
        (ROMEO, "MESSAGE", "INFO", any.as_str(), said("MESSAGE")),
        (ALICE, info, "INFO", composing.as_str(), said("MESSAGE")),
        (ALICE, info, "INFO", SDP, nothing.to_vec()),
    ] {
        let mut bench = Bench::new();
        let mut terms = Terms::default();
        terms
            .methods
            .retain(|method| *method != sip::Method::Info || methods_of_domain == info);
        bench.border = Setting {
            microsoft: terms,
            ..Setting::open()
        }
        .border();
        let more = format!("{CONTACT}Allow: INVITE, ACK, BYE, {allow}\r\nContent-Type: application/sdp\r\n");
        let from = format!("sip:{user}");
        let (accepted, _) = bench.request(request("INVITE", &from, TO_JULIET, &more, sdp));
        bench.request(within(&accepted.unwrap(), "ACK", 1, "", ""));
        let what = format!("{user} {methods_of_domain} {allow} {sdp}");
        let mut seen = bench.stanza(state(user, "composing"));
        assert_eq!(says(&seen), expected, "{what}");
        if let Some((token, request, _)) = seen.requests.pop() {
            // Whoever refuses it is told no more, and keeps the session.
            assert!(bench.answer(token, &request, &status(415)).is_empty());
            bench.pass(20);
            assert!(bench.stanza(state(user, "composing")).is_empty(), "{what}");
            assert_eq!(bench.gateway.conversations().1, 1, "{what}");
        }
    }
}

#[test]
fn a_text_bears_a_state_where_its_reader_has_shown_one_or_may_be_asked() {
    let mut bench = Bench::new();
    let accepted = bench.invited();
    let mut number = 1;
    let mut says = |bench: &mut Bench| {
        number += 1;
        let (_, seen) = bench.request(within(&accepted, "MESSAGE", number, PLAIN, "hello"));
        shown(&seen)
    };
    assert_eq!(says(&mut bench), ["active"], "the first asks");
    assert!(
        says(&mut bench).is_empty(),
        "and no other until there is an answer"
    );
    bench.write_to(ROMEO, "m1", false);
    assert!(says(&mut bench).is_empty(), "she has none");
    bench.stanza(state(ROMEO, "composing"));
    assert_eq!(says(&mut bench), ["active"]);
    assert_eq!(says(&mut bench), ["active"]);
    bench.write_to(ROMEO, "m2", false);
    assert!(says(&mut bench).is_empty());
    bench.write_to(ROMEO, "m3", true);
    assert_eq!(says(&mut bench), ["active"]);
}
