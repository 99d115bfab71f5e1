//! A user of XMPP sees one of SIP.

use super::*;
use crate::policy::{Action, Directions};

/// A configuration that forbids presence.
pub(super) fn deny() -> Setting {
    Setting::with(
        "partner.example",
        Action::Deny,
        Directions::Both,
        &[policy::Kind::Presence],
    )
}

/// One who sees alice at her desk.
pub(super) fn seeing() -> World {
    let mut world = World::new();
    assert_eq!(world.x("subscribe"), "S> SUBSCRIBE 3600");
    assert_eq!(world.answer(200, "Expires: 3600"), "");
    assert_eq!(
        world.told("active;expires=3600", &open(&["desk"])),
        "S< 200, X: subscribed, X: available/desk"
    );
    world
}

#[test]
fn who_asks_is_told_nothing_before_the_other_has_decided() {
    let mut world = World::new();
    assert_eq!(world.x("subscribe"), "S> SUBSCRIBE 3600");
    assert_eq!(world.answer(202, "Expires: 3600"), "");
    assert_eq!(world.told("pending;expires=3600", ""), "S< 200");
    assert_eq!(world.listed(), "Xmpp pending 1");
    assert_eq!(world.x("subscribe"), "", "nobody is asked again");
    assert_eq!(
        world.told("active;expires=3590", ""),
        "S< 200, X: subscribed, X: unavailable"
    );
    assert_eq!(world.listed(), "Xmpp active 1");
    assert_eq!(world.x("subscribe"), "X: subscribed, X: unavailable");
}

#[test]
fn what_changes_is_told_and_nothing_else() {
    let mut world = seeing();
    assert_eq!(
        world.told("active;expires=3000", &open(&["desk"])),
        "S< 200",
        "nothing new"
    );
    world.pass(5);
    assert_eq!(
        world.told("active;expires=3000", &open(&["desk", "phone"])),
        "S< 200, X: available/phone"
    );
    // Within the pause the last state is told, and once.
    for _ in 0..3 {
        assert_eq!(world.told("active;expires=3000", &open(&[])), "S< 200");
        assert_eq!(world.told("active;expires=3000", &open(&["phone"])), "S< 200");
    }
    assert_eq!(world.pass(5), "X: unavailable/desk");
    world.pass(5);
    assert_eq!(
        world.told("active;expires=3000", ""),
        "S< 200, X: unavailable, X: unavailable/phone"
    );
}

#[test]
fn what_is_written_to_a_device_that_has_no_address_goes_to_its_user() {
    let mut world = seeing();
    let text = |device: &str| {
        let to = jid(ALICE).with_resource(device).unwrap();
        let stanza = Stanza::new(Kind::Message(MessageType::Chat), jid(BOB), to);
        stanza.with_child(Element::new("body", ns::STANZA).with_text("Hello"))
    };
    assert_eq!(world.stanza(text("desk")), "S> MESSAGE sip:alice@partner.example");
    assert_eq!(
        world.stanza(text("other")),
        "S> MESSAGE sip:alice@partner.example;gr=other"
    );
    world.pass(5);
    let addressed = open(&["desk"]).replace(
        "</tuple>",
        &format!("<contact>sip:{ALICE};gr=desk</contact></tuple>"),
    );
    world.told("active;expires=3000", &addressed);
    assert_eq!(
        world.stanza(text("desk")),
        "S> MESSAGE sip:alice@partner.example;gr=desk"
    );
}

#[test]
fn who_has_to_decide_anew_is_not_seen_meanwhile() {
    let mut world = seeing();
    world.pass(5);
    assert_eq!(world.told("pending;expires=3000", ""), "S< 200");
    assert_eq!(world.listed(), "Xmpp pending 1");
    assert_eq!(
        world.pass(59),
        "",
        "it may be that the servers have only begun anew"
    );
    assert_eq!(world.pass(1), "X: unavailable/desk");
    assert_eq!(
        world.told("active;expires=3000", &open(&["desk"])),
        "S< 200, X: available/desk"
    );
    world.pass(5);
    world.told("pending;expires=3000", "");
    world.pass(30);
    assert_eq!(world.told("active;expires=3000", &open(&["desk"])), "S< 200");
    assert_eq!(world.pass(60), "");
}

#[test]
fn a_state_that_comes_with_the_end_is_not_believed_for_long() {
    let mut world = World::new();
    world.x("subscribe");
    world.answer(200, "Expires: 3600");
    let said = world.told("terminated;reason=probation;retry-after=3600", &open(&["desk"]));
    assert!(said.contains("X: available/desk"), "{said}");
    let mut later = String::new();
    for _ in 0..61 {
        later += &world.pass(1);
    }
    assert_eq!(later, "X: unavailable/desk");
}

#[test]
fn a_device_without_a_name_is_taken_back_where_another_has_come() {
    let mut world = seeing();
    world.pass(5);
    assert_eq!(
        world.told("active;expires=3000", &open(&[""])),
        "S< 200, X: available, X: unavailable/desk"
    );
    world.pass(5);
    assert_eq!(
        world.told("active;expires=3000", &open(&["desk"])),
        "S< 200, X: available/desk, X: unavailable"
    );
    world.pass(5);
    // That she is nowhere is said once, and takes back nothing when she comes.
    assert_eq!(
        world.told("active;expires=3000", &open(&[])),
        "S< 200, X: unavailable, X: unavailable/desk"
    );
    world.pass(5);
    assert_eq!(
        world.told("active;expires=3000", &open(&["desk"])),
        "S< 200, X: available/desk"
    );
}

#[test]
fn a_refusal_for_ever_ends_it_and_one_for_now_does_not() {
    for status in [403, 489, 603, 404, 405, 501] {
        let mut world = World::new();
        world.x("subscribe");
        assert_eq!(world.answer(status, ""), "X: unsubscribed", "{status}");
        assert_eq!(world.pass(31), "", "until he has heard of it");
        assert_eq!((world.listed().as_str(), world.store.len()), ("", 0), "{status}");
    }
    for status in [480, 481, 408, 500, 503, 486] {
        let mut world = World::new();
        world.x("subscribe");
        assert_eq!(world.answer(status, ""), "", "{status}");
        assert_eq!(world.pass(10), "S> SUBSCRIBE 3600", "{status}: another attempt");
    }
    let mut world = World::new();
    world.x("subscribe");
    assert_eq!(world.answer(423, "Min-Expires: 7200"), "S> SUBSCRIBE 7200");
}

#[test]
fn what_ends_a_subscription_that_stands() {
    for reason in ["rejected", "noresource"] {
        let mut world = seeing();
        assert_eq!(
            world.told(&format!("terminated;reason={reason}"), ""),
            "S< 200, X: unavailable/desk, X: unsubscribed",
            "{reason}"
        );
        assert_eq!(world.pass(31), "", "until he has heard of it");
        assert_eq!(world.store.len(), 0, "{reason}");
    }
    for reason in ["deactivated", "timeout", "probation", "giveup"] {
        let mut world = seeing();
        world.pass(70);
        let said = world.told(&format!("terminated;reason={reason};retry-after=2"), "");
        let mut again = vec![said, world.pass(8)];
        again.retain(|said| !said.is_empty());
        assert_eq!(again.join(", "), "S< 200, S> SUBSCRIBE 3600", "{reason}");
        assert_eq!(world.store.len(), 1, "{reason}: he may see her as before");
        assert_eq!(world.answer(200, ""), "");
        assert_eq!(
            world.told("active", &open(&["desk"])),
            "S< 200",
            "{reason}: he was not told of it"
        );
    }
}

#[test]
fn a_refused_refresh_takes_consent_only_where_the_refusal_is_about_that() {
    for (status, is_over) in [
        (403, true),
        (489, true),
        (603, true),
        (404, false),
        (405, false),
        (501, false),
    ] {
        let mut world = seeing();
        world.pass(70);
        world.x("probe");
        let said = world.answer(status, "");
        if is_over {
            assert_eq!(said, "X: unavailable/desk, X: unsubscribed", "{status}");
            assert_eq!(world.pass(31), "", "until he has heard of it");
            assert_eq!(world.store.len(), 0, "{status}");
        } else {
            assert_eq!(said, "X: unavailable/desk", "{status}");
            assert_eq!(world.listed(), "Xmpp dormant 0", "{status}");
            assert_eq!(
                world.x(""),
                "S> SUBSCRIBE 3600",
                "{status}: it is asked again when he comes"
            );
        }
    }
}

#[test]
fn before_each_refresh_his_server_is_asked_whether_he_is_there() {
    // Who lets her see him is answered for.
    let refresh = |answer: Option<&str>| {
        let mut world = seeing();
        world.ask(3_600, true);
        world.x("subscribed");
        world.x("");
        let mut said = String::new();
        for _ in 0..3_600 {
            said = world.pass(1);
            if said.contains("probe") {
                break;
            }
        }
        assert_eq!(said, "X: probe");
        match answer {
            Some(answer) => world.x(answer),
            None => world.pass(11),
        }
    };
    assert_eq!(refresh(Some("")), "S> SUBSCRIBE 3600 in its dialog");
    assert_eq!(
        refresh(Some("unavailable")).replace("S> NOTIFY active closed", ""),
        ""
    );
    assert_eq!(refresh(None), "");
}

#[test]
fn nobody_is_shown_who_was_denied_while_the_store_took_its_time() {
    for (setting, said) in [
        (Setting::default(), "X: available/phone"),
        (deny(), "X: unavailable/desk, X: unavailable/phone"),
    ] {
        let mut world = seeing();
        world.pass(60);
        world.is_slow = true;
        assert_eq!(
            world.told("active;expires=3600", &open(&["desk", "phone"])),
            "S< 200",
            "it is kept first"
        );
        world.reload(setting);
        assert_eq!(world.kept(), said);
    }
}

#[test]
fn who_is_there_is_heard_though_little_is_left() {
    for was_there in [false, true] {
        let mut world = seeing();
        world.ask(3_600, true);
        world.x("subscribed");
        if was_there {
            world.x("");
        }
        world.pass(60);
        assert_eq!(world.told("active;expires=6", &open(&["desk"])), "S< 200");
        assert_eq!(world.pass(5), "X: probe");
        // It ends before he is heard.
        assert_eq!(world.pass(2), "");
        world.x("");
        assert_eq!(world.pass(20), "S> SUBSCRIBE 3600", "{was_there}");
    }
}

#[test]
fn who_is_not_there_lets_it_lapse_and_has_it_back_when_he_comes() {
    let mut world = seeing();
    world.until_probed();
    assert_eq!(world.x_error("item-not-found"), "");
    assert_eq!(world.pass(1_000), "X: unavailable/desk");
    assert_eq!(world.listed(), "Xmpp dormant 0");
    assert_eq!(world.store.len(), 1);
    assert_eq!(world.x("probe"), "S> SUBSCRIBE 3600");
    world.answer(200, "");
    assert_eq!(
        world.told("active", &open(&["desk"])),
        "S< 200, X: available/desk"
    );
}

#[test]
fn who_comes_gets_the_state_at_once_and_a_fresh_one() {
    let mut world = seeing();
    world.pass(60);
    assert_eq!(
        world.x("probe"),
        "X: available/desk to /desk, S> SUBSCRIBE 3600 in its dialog"
    );
    world.answer(200, "");
    assert_eq!(
        world.x("probe"),
        "X: available/desk to /desk",
        "the SIP side is asked once in a while"
    );
}

#[test]
fn who_leaves_ends_the_subscription_and_is_told_so() {
    let mut world = seeing();
    assert_eq!(world.x("unsubscribe"), "S> SUBSCRIBE 0 in its dialog");
    assert_eq!(
        world.store.len(),
        0,
        "whatever becomes of it he does not see her again by himself"
    );
    assert_eq!(world.answer(200, "Expires: 0"), "");
    assert_eq!(
        world.told("terminated;reason=timeout", ""),
        "S< 200, X: unavailable/desk, X: unsubscribed"
    );
    assert_eq!(world.listed(), "");
    assert_eq!(world.told("active", &open(&["desk"])), "S< 481");
}

#[test]
fn who_looks_without_consent_sees_for_a_while_if_the_other_lets_him() {
    let mut world = World::new();
    assert_eq!(world.x("probe"), "S> SUBSCRIBE 3600");
    world.answer(200, "");
    assert_eq!(
        world.told("active", &open(&["desk"])),
        "S< 200, X: available/desk"
    );
    assert_eq!(world.store.len(), 0, "nothing of it is kept");
    let mut said = String::new();
    for _ in 0..3_700 {
        said = world.pass(1);
        if said.contains("SUBSCRIBE 0") {
            break;
        }
        if said.contains("SUBSCRIBE 3600") {
            world.answer(200, "");
            world.told("active", &open(&["desk"]));
        }
    }
    assert!(said.contains("S> SUBSCRIBE 0 in its dialog"), "{said}");
    assert_eq!(world.gateway.looking_without_consent(), 1);
    world.answer(200, "Expires: 0");
    world.told("terminated;reason=timeout", "");
    assert_eq!(
        world.gateway.looking_without_consent(),
        0,
        "there is room for others again"
    );
    assert_eq!(world.listed(), "");
}

#[test]
fn who_looks_without_consent_sees_for_as_long_as_his_server_says_that_he_is_there() {
    let mut world = World::new();
    world.x("probe");
    world.answer(200, "");
    world.told("active", &open(&["desk"]));
    let later = |world: &mut World, is_there: bool| {
        let mut all = String::new();
        for _ in 0..3_700 {
            let mut said = world.pass(1);
            if said.contains("X: probe") && is_there {
                said += &world.x("");
            }
            if said.contains("SUBSCRIBE 3600") {
                world.answer(200, "");
                said += &world.told("active", &open(&["desk"]));
            }
            all += &said;
        }
        all
    };
    for _ in 0..5 {
        let said = later(&mut world, true);
        assert!(
            !said.contains("SUBSCRIBE 0") && !said.contains("unavailable"),
            "{said}"
        );
    }
    assert_eq!(world.gateway.looking_without_consent(), 1);
    let said = later(&mut world, false) + &later(&mut world, false);
    assert!(said.contains("S> SUBSCRIBE 0 in its dialog"), "{said}");
}

#[test]
fn what_nobody_answers_is_taken_too() {
    let mut world = seeing();
    world.pass(5);
    let headers = world.subscribe.clone().unwrap();
    let text = format!(
        "BENOTIFY sip:bob@edge.corp.example SIP/2.0\r\nVia: SIP/2.0/TLS p.partner.example;branch=z9hG4bKb\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@partner.example>;tag=s1\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 50 BENOTIFY\r\n\
         Contact: <sip:p.partner.example>\r\nEvent: presence\r\nSubscription-State: active\r\nContent-Length: 0\r\n\r\n",
        headers.headers().from(),
        headers.headers().call_id(),
    );
    // The response ends the transaction, and goes no further (net::sip_flow).
    assert_eq!(
        world.request(&text),
        "S< 200, X: unavailable, X: unavailable/desk"
    );
}

#[test]
fn nothing_of_another_subscription_changes_anything() {
    let mut world = seeing();
    let good = world.subscribe.clone().unwrap();
    for (what, with, status) in [
        ("another dialog", ("Call-ID", "other"), "S< 481"),
        ("another event", ("Event", "dialog"), "S< 489"),
        (
            "an entity",
            (
                "body",
                "<!DOCTYPE x [<!ENTITY e 'e'>]><presence xmlns='urn:ietf:params:xml:ns:pidf'>&e;</presence>",
            ),
            "S< 400",
        ),
        ("another type", ("type", "application/unheard+xml"), "S< 415"),
    ] {
        world.numbers += 1;
        let of = |name: &str, usual: &str| {
            if with.0 == name {
                with.1.to_owned()
            } else {
                usual.to_owned()
            }
        };
        let body = of("body", &open(&[]));
        let text = format!(
            "NOTIFY sip:bob@edge.corp.example SIP/2.0\r\nVia: SIP/2.0/TLS p.partner.example;branch=z9hG4bKx{}\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@partner.example>;tag=s1\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} NOTIFY\r\n\
             Contact: <sip:p.partner.example>\r\nEvent: {}\r\nSubscription-State: active\r\nContent-Type: {}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            world.numbers,
            good.headers().from(),
            of("Call-ID", good.headers().call_id().as_str()),
            world.numbers,
            of("Event", "presence"),
            of("type", "application/pidf+xml"),
            body.len(),
        );
        let said = world.request(&text);
        assert!(said.starts_with(status), "{what}: {said}");
    }
    // Out of order.
    world.numbers = 0;
    assert_eq!(world.told("active", &open(&[])), "S< 500");
    world.numbers = 99;
    assert_eq!(
        world.told("active", &open(&["desk"])),
        "S< 200",
        "and he still sees her"
    );
}

#[test]
fn what_does_not_arrive_is_said_again() {
    let mut world = World::new();
    world.is_well = false;
    world.x("subscribe");
    world.answer(200, "");
    assert_eq!(
        world.told("active", &open(&["desk"])),
        "S< 200, X: subscribed, X: available/desk"
    );
    for token in std::mem::take(&mut world.words) {
        let trouble = Trouble::Unreachable;
        world
            .gateway
            .handle(world.now, Input::Returned { token, trouble });
    }
    world.is_well = true;
    let said = world.pass(6);
    assert!(
        said.contains("X: subscribed") && said.contains("X: available/desk"),
        "{said}"
    );
    assert_eq!(world.pass(60), "", "and once is enough");
}

#[test]
fn servers_that_cannot_be_reached_are_found_again_within_seconds() {
    let mut world = World::new();
    world.x("subscribe");
    for _ in 0..200 {
        world.fail(Trouble::Unreachable);
        let said = world.pass(2);
        assert!(said.contains("S> SUBSCRIBE 3600"), "{said}");
    }
}

#[test]
fn a_configuration_that_forbids_it_ends_it_on_both_sides_and_one_that_allows_it_has_it_back() {
    let mut world = seeing();
    assert_eq!(
        world.reload(deny()),
        "X: unavailable/desk, S> SUBSCRIBE 0 in its dialog"
    );
    world.answer(200, "Expires: 0");
    assert_eq!(world.x("probe"), "refused: policy_exception");
    assert_eq!(
        world.reload(Setting::default()),
        "",
        "nobody is asked before his server has been"
    );
    assert_eq!(world.listed(), "Xmpp dormant 0");
    assert_eq!(
        world.told("terminated;reason=timeout", ""),
        "S< 481",
        "what comes of the one before finds nobody"
    );
    assert_eq!(world.x("probe"), "S> SUBSCRIBE 3600");
    world.answer(200, "");
    assert_eq!(world.told("active", &open(&["desk"])), "S< 200");
    assert_eq!(world.pass(5), "X: available/desk", "once the pause is over");
}

#[test]
fn who_is_there_when_it_is_allowed_again_has_another_at_once() {
    let mut world = seeing();
    world.reload(deny());
    world.answer(200, "Expires: 0");
    assert_eq!(world.reload(Setting::default()), "");
    assert_eq!(
        world.pass(1),
        "X: probe",
        "the last notification of the old one may be lost"
    );
    assert_eq!(world.x(""), "S> SUBSCRIBE 3600");
}

#[test]
fn what_was_given_up_does_not_come_back_because_it_was_denied_meanwhile() {
    let mut world = seeing();
    assert!(world.x("unsubscribe").contains("S> SUBSCRIBE 0 in its dialog"));
    assert_eq!(world.reload(deny()), "");
    assert_eq!(world.reload(Setting::default()), "");
    assert_eq!(world.pass(5), "", "nobody wants it");
    assert!(world.told("terminated;reason=timeout", "").contains("S< 200"));
    assert_eq!(world.listed(), "");
}

#[test]
fn what_went_within_the_pause_is_taken_back_when_he_asks_for_all() {
    for (device, kind) in [("", "subscribe"), ("tablet", "probe")] {
        let mut world = seeing();
        world.pass(60);
        world.told("active", &open(&["desk", "phone"]));
        assert_eq!(
            world.told("active", &open(&["desk"])),
            "S< 200",
            "within the pause"
        );
        let said = world.x_at(device, kind, &[]) + &world.pass(60);
        assert!(said.contains("X: unavailable/phone"), "{kind}: {said}");
    }
}
