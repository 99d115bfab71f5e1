//! RFC 3261 §12 to §15 and RFC 5057: dialogs, as both ends of them see what is sent.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests: what cannot be read fails the test"
)]

use std::time::{Duration, Instant};

use vestibule::limits::SipLimits;
use vestibule::sip::dialog::{
    BadRecord, Damage, Dialog, DialogId, Fork, ForkInput, Forks, NoDialog, NotSent, Phase, Received, Refused,
    Security, damage,
};
use vestibule::sip::transaction::Timers;
use vestibule::sip::{
    Contact, Message, Method, NameAddr, Request, Response, StatusCode, Transport, Via, parse, write,
};

const INVITE: &str = "INVITE sip:bob@b.example SIP/2.0
Via: SIP/2.0/TLS a.example;branch=z9hG4bK1
Max-Forwards: 70
From: \"Ann\" <sip:ann@a.example>;tag=a1;epid=0f
To: <sip:bob@b.example>
Call-ID: c1
CSeq: 7 INVITE
Contact: <sip:ann@ua.a.example;opaque=user:epid:x;gruu>
Record-Route: <sip:p2.example;lr;ms-route-sig=bb>;tag=T2,<sip:p1.example;lr>
Record-Route: <sip:p0.example;LR;ms-opaque=\"a b\">
Content-Length: 0

";

fn message(text: &str) -> Message {
    parse::message(text.replace('\n', "\r\n").as_bytes(), &SipLimits::default()).unwrap()
}

fn request(text: &str) -> Request {
    match message(text) {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

fn invite() -> Request {
    // In a URI no quotes may stand; the header parameters behind it keep theirs.
    request(&INVITE.replace("LR;ms-opaque=\"a b\">", "LR>;ms-opaque=\"a b\""))
}

/// The INVITE as its sender sent it, before anybody recorded himself.
fn sent() -> Request {
    request(
        &INVITE
            .lines()
            .filter(|line| !line.starts_with("Record-Route"))
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    )
}

fn via() -> Via {
    Via::parse("SIP/2.0/TLS b.example;branch=z9hG4bK9").unwrap()
}

fn contact(text: &str) -> NameAddr {
    NameAddr::parse(text).unwrap()
}

fn callee() -> Dialog {
    Dialog::of_callee(
        &invite(),
        "b1",
        contact("<sip:bob@ua.b.example>"),
        &Transport::Tls,
    )
    .unwrap()
}

/// Bob's response, with the route that the proxies recorded.
fn response(code: u16, tag: &str) -> Response {
    let asked = invite();
    asked
        .response(StatusCode::new(code).unwrap(), "", Some(tag))
        .with_contact(contact("<sip:bob@ua.b.example>"))
        .with_record_route(asked.headers().record_route().clone())
}

fn caller() -> Dialog {
    Dialog::of_caller(&sent(), &response(200, "b1"), &Transport::Tls).unwrap()
}

fn route(request: &Request) -> Vec<String> {
    request
        .headers()
        .route()
        .iter()
        .map(ToString::to_string)
        .collect()
}

const P2: &str = "<sip:p2.example;lr;ms-route-sig=bb>;tag=T2";
const P1: &str = "<sip:p1.example;lr>";
const P0: &str = "<sip:p0.example;LR>;ms-opaque=\"a b\"";

#[test]
fn section_12_1_1_the_callee_takes_the_route_set_in_order() {
    let mut dialog = callee();
    dialog.confirm();
    let bye = dialog.request(Method::Bye, via()).unwrap();
    assert_eq!(route(&bye), [P2, P1, P0]);
    assert_eq!(
        bye.uri().to_string(),
        "sip:ann@ua.a.example;opaque=user:epid:x;gruu"
    );
    assert_eq!(bye.headers().from().to_string(), "<sip:bob@b.example>;tag=b1");
    assert_eq!(
        bye.headers().to().to_string(),
        "\"Ann\" <sip:ann@a.example>;tag=a1;epid=0f"
    );
    assert_eq!(
        (bye.headers().cseq().number(), bye.headers().call_id().as_str()),
        (1, "c1")
    );
}

#[test]
fn section_12_1_1_the_response_carries_record_route_contact_and_tag() {
    let dialog = callee();
    for (code, has) in [(100, false), (180, true), (200, true), (486, false)] {
        let response = dialog.answer(&invite(), StatusCode::new(code).unwrap(), "");
        assert_eq!(
            response.headers().record_route().len(),
            if has { 3 } else { 0 },
            "{code}"
        );
        assert_eq!(
            response.headers().contact().addresses().len(),
            usize::from(has),
            "{code}"
        );
        assert_eq!(response.headers().to().tag().is_some(), code != 100, "{code}");
    }
}

#[test]
fn section_12_1_2_the_caller_takes_the_route_set_in_reverse() {
    let mut dialog = caller();
    let message = dialog.request(Method::Message, via()).unwrap();
    assert_eq!(route(&message), [P0, P1, P2]);
    assert_eq!(message.uri().to_string(), "sip:bob@ua.b.example");
    assert_eq!(message.headers().cseq().number(), 8);
    assert!(message.headers().contact().addresses().is_empty());
    let update = dialog.request(Method::Update, via()).unwrap();
    assert_eq!(update.headers().cseq().number(), 9);
    assert_eq!(
        update.headers().contact().addresses(),
        [contact("<sip:ann@ua.a.example;opaque=user:epid:x;gruu>")]
    );
}

#[test]
fn section_12_1_what_makes_no_dialog() {
    let over = Transport::Tls;
    let made = |request: &Request, response: &Response| Dialog::of_caller(request, response, &over);
    for code in [100, 302, 404, 603] {
        assert_eq!(
            made(&sent(), &response(code, "b1")),
            Err(NoDialog::Status),
            "{code}"
        );
    }
    let mut untagged = response(180, "b1");
    untagged.headers_mut().to_mut().remove_tag();
    assert_eq!(made(&sent(), &untagged), Err(NoDialog::Tag));
    let mut old = response(200, "b1");
    old.headers_mut().to_mut().remove_tag();
    assert_eq!(made(&sent(), &old).unwrap().id().remote_tag(), "", "RFC 2543");
    let mut bare = response(200, "b1");
    bare.headers_mut().set_contact(Contact::default());
    assert_eq!(made(&sent(), &bare), Err(NoDialog::Contact));
    let mut two = response(200, "b1");
    let listed = vec![contact("<sip:x@h>"), contact("<sip:y@h>")];
    two.headers_mut().set_contact(Contact::Listed(listed));
    assert_eq!(made(&sent(), &two), Err(NoDialog::Contact));
    let other = request(
        &INVITE
            .replace("CSeq: 7", "CSeq: 8")
            .replace("LR;ms-opaque=\"a b\">", "lr>"),
    );
    assert_eq!(made(&other, &response(200, "b1")), Err(NoDialog::OtherRequest));
    let mut inside = invite();
    inside.headers_mut().to_mut().set_tag("b1");
    let dialog = Dialog::of_callee(&inside, "b2", contact("<sip:b@h>"), &over);
    assert_eq!(dialog, Err(NoDialog::OtherRequest));
}

#[test]
fn section_12_1_1_a_secure_dialog_stays_secure() {
    let text = INVITE
        .replace("INVITE sip:", "INVITE sips:")
        .replace("LR;ms-opaque=\"a b\">", "lr>");
    let open = |over| Dialog::of_callee(&request(&text), "b1", contact("<sips:b@h>"), &over);
    assert_eq!(
        open(Transport::Tls),
        Err(NoDialog::Contact),
        "its Contact is not sips"
    );
    assert_eq!(open(Transport::Tcp).unwrap().security(), Security::Open);
    let text = text.replace("Contact: <sip:", "Contact: <sips:");
    let mut dialog =
        Dialog::of_callee(&request(&text), "b1", contact("<sips:b@h>"), &Transport::Tls).unwrap();
    assert_eq!(dialog.security(), Security::Sips);
    let update = within("UPDATE", 8, "a1", "b1").with_contact(contact("<sip:elsewhere@h>"));
    assert_eq!(dialog.receive(&update), Err(Refused::Contact));
    assert!(dialog.target().to_string().starts_with("sips:ann@"));
}

#[test]
fn section_12_2_1_1_a_strict_router_gets_the_request_uri() {
    for (record_route, uri, expected) in [
        ("", "sip:ann@ua.a.example", vec![]),
        (
            "Record-Route: <sip:p1.example;method=INVITE;x=1?Subject=a>, <sip:p0.example>\n",
            "sip:p1.example;x=1",
            vec!["<sip:p0.example>", "<sip:ann@ua.a.example>"],
        ),
        (
            "Record-Route: <sip:p1.example>\n",
            "sip:p1.example",
            vec!["<sip:ann@ua.a.example>"],
        ),
        (
            "Record-Route: <sip:p1.example;lr>, <sip:p0.example>\n",
            "sip:ann@ua.a.example",
            vec!["<sip:p1.example;lr>", "<sip:p0.example>"],
        ),
    ] {
        let text = format!(
            "INVITE sip:bob@b.example SIP/2.0\nVia: SIP/2.0/TLS a.example;branch=z9hG4bK1\n{record_route}\
             From: <sip:ann@a.example>;tag=a1\nTo: <sip:bob@b.example>\nCall-ID: c1\nCSeq: 7 INVITE\n\
             Contact: <sip:ann@ua.a.example>\nContent-Length: 0\n\n"
        );
        let mut dialog =
            Dialog::of_callee(&request(&text), "b1", contact("<sip:b@h>"), &Transport::Tls).unwrap();
        let info = dialog.request(Method::Info, via()).unwrap();
        assert_eq!(info.uri().to_string(), uri, "{record_route}");
        assert_eq!(route(&info), expected, "{record_route}");
    }
}

/// A request of Ann's within the dialog.
fn within(method: &str, number: u32, from: &str, to: &str) -> Request {
    request(&format!(
        "{method} sip:bob@ua.b.example SIP/2.0\nVia: SIP/2.0/TLS a.example;branch=z9hG4bK{number}\n\
         From: <sip:ann@a.example>;tag={from}\nTo: <sip:bob@b.example>;tag={to}\nCall-ID: c1\n\
         CSeq: {number} {method}\nContent-Length: 0\n\n"
    ))
}

#[test]
fn section_12_2_2_numbers_only_grow() {
    let mut dialog = callee();
    for (method, number, expected) in [
        ("ACK", 7, Ok(Received::Acknowledgement)),
        ("INFO", 8, Ok(Received::Request)),
        ("INFO", 8, Err(Refused::OutOfOrder)),
        ("INFO", 7, Err(Refused::OutOfOrder)),
        ("MESSAGE", 4_000, Ok(Received::Request)),
        ("CANCEL", 7, Ok(Received::Request)),
        ("INFO", 3_999, Err(Refused::OutOfOrder)),
        ("INFO", 0, Err(Refused::OutOfOrder)),
        ("NOTIFY", 4_001, Err(Refused::NoSuchDialog)),
        ("BYE", 2_147_483_647, Ok(Received::Bye)),
        ("INFO", 2_147_483_647, Err(Refused::NoSuchDialog)),
    ] {
        assert_eq!(
            dialog.receive(&within(method, number, "a1", "b1")),
            expected,
            "{method} {number}"
        );
    }
    assert_eq!(Refused::OutOfOrder.status().code(), 500);
    assert_eq!(Refused::NoSuchDialog.status().code(), 481);
}

#[test]
fn section_12_2_2_other_dialogs_are_not_this_one() {
    let mut dialog = callee();
    for (from, to) in [("a2", "b1"), ("a1", "b2"), ("b1", "a1"), ("A1", "b1")] {
        let refused = dialog.receive(&within("INFO", 9, from, to));
        assert_eq!(refused, Err(Refused::NoSuchDialog), "{from} {to}");
    }
    assert_eq!(
        dialog.receive(&within("INFO", 9, "a1", "b1")),
        Ok(Received::Request)
    );
}

#[test]
fn section_12_2_the_target_is_refreshed_and_the_route_set_is_not() {
    let mut dialog = callee();
    let moved = contact("<sip:ann@ua2.a.example?Subject=x>");
    let mut update = within("UPDATE", 9, "a1", "b1").with_contact(moved.clone());
    *update.headers_mut().record_route_mut() = sent().headers().record_route().clone();
    assert_eq!(dialog.receive(&update), Ok(Received::Request));
    let info = dialog.request(Method::Info, via()).unwrap();
    assert_eq!(
        (info.uri().to_string(), route(&info).len()),
        ("sip:ann@ua2.a.example".to_owned(), 3)
    );
    // No target refresh request, no new target.
    let info = within("INFO", 10, "a1", "b1").with_contact(contact("<sip:evil@e.example>"));
    assert_eq!(dialog.receive(&info), Ok(Received::Request));
    assert_eq!(dialog.target().to_string(), "sip:ann@ua2.a.example");
    // And by the 2xx to one of ours.
    let update = dialog.request(Method::Update, via()).unwrap();
    let answer = |code, at: &str| {
        update
            .response(StatusCode::new(code).unwrap(), "", None)
            .with_contact(contact(at))
    };
    assert_eq!(
        dialog.receive_response(&answer(491, "<sip:x@e>")),
        Damage::Transaction
    );
    assert_eq!(
        dialog.receive_response(&answer(200, "<sip:ann@ua3.a.example>")),
        Damage::Transaction
    );
    assert_eq!(dialog.target().to_string(), "sip:ann@ua3.a.example");
}

#[test]
fn section_13_2_2_4_an_acknowledgement_has_the_number_of_its_invite() {
    let mut dialog = caller();
    let _ = dialog.request(Method::Info, via()).unwrap();
    let ack = dialog.acknowledgement(7, via());
    assert_eq!(ack.headers().cseq().to_string(), "7 ACK");
    assert_eq!(route(&ack), [P0, P1, P2]);
    assert_eq!(
        dialog
            .request(Method::Bye, via())
            .unwrap()
            .headers()
            .cseq()
            .number(),
        9
    );
}

#[test]
fn section_15_who_may_send_bye_when() {
    let mut callee = callee();
    assert_eq!(callee.phase(), Phase::Early);
    assert_eq!(callee.request(Method::Bye, via()), Err(NotSent::Early));
    callee.confirm();
    assert!(callee.request(Method::Bye, via()).is_ok());
    let mut caller = Dialog::of_caller(&sent(), &response(180, "b1"), &Transport::Tls).unwrap();
    assert!(
        caller.request(Method::Bye, via()).is_ok(),
        "the caller may, early too"
    );
    caller.end();
    assert_eq!(caller.request(Method::Bye, via()), Err(NotSent::Ended));
}

#[test]
fn rfc5057_section_5_1_what_a_failure_ends() {
    use Damage::{Dialog as D, Transaction as T, Usage as U};
    let table: [(&[u16], [Damage; 4]); 9] = [
        // INVITE, INFO, SUBSCRIBE, NOTIFY
        (&[404, 410, 416, 482, 483, 484, 485, 502, 604], [D, D, D, D]),
        (&[480, 481], [U, U, U, U]),
        (&[405, 501], [U, T, U, U]),
        (&[489], [T, T, U, U]),
        (&[408], [U, U, T, U]),
        (
            &[
                400, 401, 402, 403, 406, 407, 412, 413, 414, 415, 417, 420, 421, 422, 423,
            ],
            [T, T, T, T],
        ),
        (
            &[428, 429, 436, 437, 438, 486, 487, 488, 491, 493, 494, 499],
            [T, T, T, T],
        ),
        (&[500, 503, 504, 505, 513, 580, 599], [T, T, T, T]),
        (&[600, 603, 606, 699], [T, T, T, T]),
    ];
    let methods = [Method::Invite, Method::Info, Method::Subscribe, Method::Notify];
    for (codes, expected) in table {
        for code in codes {
            for (method, expected) in methods.iter().zip(expected) {
                let status = StatusCode::new(*code).unwrap();
                assert_eq!(damage(method, status), expected, "{code} to {method}");
            }
            assert_eq!(damage(&Method::Cancel, StatusCode::new(*code).unwrap()), T);
        }
    }
}

#[test]
fn a_failure_that_ends_the_usage_ends_the_dialog() {
    let mut dialog = caller();
    let info = dialog.request(Method::Info, via()).unwrap();
    let refused = info.response(StatusCode::BUSY_HERE, "", None);
    assert_eq!(dialog.receive_response(&refused), Damage::Transaction);
    let gone = info.response(StatusCode::CALL_DOES_NOT_EXIST, "", None);
    assert_eq!(dialog.receive_response(&gone), Damage::Usage);
    assert_eq!(dialog.request(Method::Info, via()), Err(NotSent::Ended));
}

#[test]
fn a_stored_dialog_is_the_same_dialog() {
    for mut dialog in [caller(), callee()] {
        let _ = dialog.request(Method::Info, via()).unwrap();
        let record = dialog.record();
        assert_eq!(Dialog::restore(&record).as_ref(), Ok(&dialog));
        assert_eq!(Dialog::restore(&record).unwrap().record(), record);
        let mut bad = record.clone();
        bad.local = "<sip:b@h>".to_owned();
        assert_eq!(Dialog::restore(&bad), Err(BadRecord::Tag));
        bad = record.clone();
        bad.remote_sequence = Some(1 << 31);
        assert_eq!(Dialog::restore(&bad), Err(BadRecord::Sequence));
        bad = record.clone();
        bad.route = vec![P1.to_owned(); 101];
        assert_eq!(Dialog::restore(&bad), Err(BadRecord::Hops));
        bad = record;
        bad.route = vec!["<sip:p1.example>\r\nEvil: 1".to_owned()];
        assert!(matches!(Dialog::restore(&bad), Err(BadRecord::Part(_))));
    }
}

/// The last number that there is has been used.
#[test]
fn section_8_1_1_5_numbers_end_at_two_to_the_31() {
    let mut record = caller().record();
    record.local_sequence = Some(2_147_483_646);
    let mut dialog = Dialog::restore(&record).unwrap();
    let last = dialog.request(Method::Info, via()).unwrap();
    assert_eq!(last.headers().cseq().number(), 2_147_483_647);
    assert_eq!(dialog.request(Method::Info, via()), Err(NotSent::Exhausted));
}

struct Forking {
    start: Instant,
    forks: Forks,
}

impl Forking {
    #[allow(
        clippy::disallowed_methods,
        reason = "a test needs some instant to count from"
    )]
    fn new() -> Self {
        let forks = Forks::new(sent(), Transport::Tls, Timers::default());
        let start = Instant::now();
        Self { start, forks }
    }

    fn at(&mut self, seconds: u64, input: ForkInput) -> String {
        self.forks
            .handle(self.start + Duration::from_secs(seconds), input);
        let told = std::iter::from_fn(|| self.forks.poll()).map(|fork| {
            let tag = |id: DialogId| id.remote_tag().to_owned();
            match fork {
                Fork::Early(id) => format!("early {}", tag(id)),
                Fork::Confirmed(dialog) => format!("confirmed {}", tag(dialog.id())),
                Fork::Again(id) => format!("again {}", tag(id)),
                Fork::Ended(id) => format!("ended {}", tag(id)),
                Fork::Excess(dialog) => format!("excess {}", tag(dialog.id())),
                Fork::Unusable(id, why) => format!("unusable {} {why:?}", tag(id)),
            }
        });
        told.collect::<Vec<_>>().join(", ")
    }

    fn answered(&mut self, seconds: u64, code: u16, tag: &str) -> String {
        self.at(seconds, ForkInput::Response(Box::new(response(code, tag))))
    }
}

#[test]
fn section_13_2_2_4_each_fork_has_its_dialog_and_the_rest_ends_after_the_first_2xx() {
    let mut forking = Forking::new();
    assert_eq!(forking.answered(0, 100, "x"), "");
    assert_eq!(forking.answered(1, 180, "x"), "early x");
    assert_eq!(forking.answered(1, 180, "x"), "");
    assert_eq!(forking.answered(2, 183, "y"), "early y");
    assert_eq!(forking.answered(2, 180, "z"), "early z");
    assert_eq!(forking.forks.timeout(), None);
    assert_eq!(forking.answered(3, 200, "y"), "confirmed y");
    assert_eq!(forking.answered(4, 200, "y"), "again y");
    assert_eq!(forking.answered(20, 200, "x"), "confirmed x");
    assert_eq!(forking.answered(21, 200, "w"), "confirmed w");
    assert_eq!(forking.at(34, ForkInput::Timer), "");
    assert_eq!(forking.at(35, ForkInput::Timer), "ended z");
    assert!(forking.forks.is_over());
    assert_eq!(forking.answered(36, 200, "v"), "", "too late");
}

#[test]
fn section_12_3_a_refusal_ends_what_was_early() {
    for input in [
        ForkInput::Response(Box::new(response(486, "q"))),
        ForkInput::Failed,
    ] {
        let mut forking = Forking::new();
        assert_eq!(forking.answered(1, 180, "x"), "early x");
        assert_eq!(forking.at(2, input), "ended x");
        assert!(forking.forks.is_over());
    }
}

#[test]
fn a_2xx_that_says_no_way_back_is_told_and_the_others_go_on() {
    let mut forking = Forking::new();
    let mut nowhere = response(200, "x");
    nowhere.headers_mut().set_contact(Contact::default());
    let mut accept = |seconds| forking.at(seconds, ForkInput::Response(Box::new(nowhere.clone())));
    assert_eq!(accept(1), "unusable x Contact");
    assert_eq!(accept(2), "unusable x Contact", "its callee hears no ACK");
    assert_eq!(forking.answered(3, 200, "y"), "confirmed y");
    assert_eq!(forking.at(33, ForkInput::Timer), "");
    assert!(forking.forks.is_over(), "from the first 2xx on, usable or not");

    // Of an early dialog the way is known.
    let mut forking = Forking::new();
    assert_eq!(forking.answered(1, 180, "x"), "early x");
    let accepted = forking.at(2, ForkInput::Response(Box::new(nowhere)));
    assert_eq!(accepted, "confirmed x");
}

#[test]
fn section_15_a_2xx_that_crosses_the_end_of_its_early_dialog_is_acknowledged_and_ended() {
    let mut forking = Forking::new();
    assert_eq!(forking.answered(1, 180, "x"), "early x");
    let id = DialogId::of_response(&response(180, "x"));
    let early = forking.forks.early(&id).unwrap();
    let bye = early.request(Method::Bye, via()).unwrap();
    early.end();
    let accepted = ForkInput::Response(Box::new(response(200, "x")));
    forking.forks.handle(forking.start, accepted);
    let Some(Fork::Excess(mut dialog)) = forking.forks.poll() else {
        panic!("it is told");
    };
    let again = dialog.request(Method::Bye, via()).unwrap();
    assert!(again.headers().cseq().number() > bye.headers().cseq().number());
    assert_eq!(forking.answered(3, 200, "x"), "again x");
}

#[test]
fn dialogs_of_one_request_are_bounded() {
    let mut forking = Forking::new();
    for n in 0..40 {
        let expected = if n < 16 {
            format!("early {n}")
        } else {
            String::new()
        };
        assert_eq!(forking.answered(1, 180, &n.to_string()), expected);
    }
    for n in 100..140 {
        let word = if n < 116 { "confirmed" } else { "excess" };
        assert_eq!(forking.answered(1, 200, &n.to_string()), format!("{word} {n}"));
    }
    assert_eq!(forking.at(99, ForkInput::Timer).matches("ended").count(), 16);
}

#[test]
fn section_13_2_2_4_the_2xx_brings_the_route_set() {
    let mut early = Dialog::of_caller(&sent(), &response(180, "b1"), &Transport::Tls).unwrap();
    let mut accepted = response(200, "b1").with_contact(contact("<sip:bob@ua2.b.example>"));
    accepted.headers_mut().record_route_mut().pop_first();
    early.confirm_by(&accepted);
    let bye = early.request(Method::Bye, via()).unwrap();
    assert_eq!(
        (early.phase(), route(&bye)),
        (Phase::Confirmed, vec![P0.to_owned(), P1.to_owned()])
    );
    assert_eq!(bye.uri().to_string(), "sip:bob@ua2.b.example");
    let mut octets = Vec::new();
    write::request(&bye, &mut octets);
    assert!(parse::message(&octets, &SipLimits::default()).is_ok());
}
