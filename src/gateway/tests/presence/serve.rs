//! A user of SIP sees one of XMPP.

use super::watch::deny;
use super::*;
use crate::policy::Style;

/// alice, who sees bob at his desk.
pub(super) fn seen() -> World {
    let mut world = World::new();
    assert_eq!(world.ask(3_600, true), "X: subscribe, S< 200, S> NOTIFY pending");
    assert_eq!(world.x("subscribed"), "S> NOTIFY active");
    assert_eq!(world.x(""), "S> NOTIFY active open 1");
    world
}

#[test]
fn who_asks_waits_until_the_other_has_decided() {
    let mut world = World::new();
    assert_eq!(world.ask(3_600, true), "X: subscribe, S< 200, S> NOTIFY pending");
    assert_eq!(world.listed(), "Sip pending 1");
    assert_eq!(world.x(""), "", "what he says to others is not for her");
    assert_eq!(world.ask(3_600, false), "S< 200, S> NOTIFY pending");
    assert_eq!(
        world.ask(3_600, true),
        "S< 200, S> NOTIFY pending",
        "he is not asked again"
    );
    assert_eq!(world.x("subscribed"), "S> NOTIFY active, S> NOTIFY active");
    assert_eq!(world.x(""), "S> NOTIFY active open 1, S> NOTIFY active open 1");
    assert_eq!(world.listed(), "Sip active 2");
}

#[test]
fn who_is_refused_is_told_so_and_so_is_who_asks_for_nobody() {
    let mut world = World::new();
    world.ask(3_600, true);
    assert_eq!(world.x("unsubscribed"), "S> NOTIFY terminated;rejected");
    assert_eq!((world.listed().as_str(), world.store.len()), ("Sip refused 0", 1));
    assert_eq!(world.ask(3_600, true), "S< 403", "he is not asked at once again");
    assert_eq!(world.pass(1_799), "");
    assert_eq!(world.restart(0), "", "nor by another process");
    assert_eq!(world.listed(), "Sip refused 0");
    assert_eq!(world.pass(1_799), "");
    assert_eq!(world.ask(3_600, true), "S< 403");
    world.pass(2);
    assert_eq!((world.listed().as_str(), world.store.len()), ("", 0));
    assert_eq!(world.ask(3_600, true), "X: subscribe, S< 200, S> NOTIFY pending");
    // He changes his mind, or has not said that no himself: he may be asked again, or lets her see at once.
    for (word, said) in [
        ("subscribe", "X: subscribe, S< 200, S> NOTIFY pending"),
        ("subscribed", "X: probe"),
    ] {
        let mut world = seen();
        assert_eq!(
            world.x("unsubscribed"),
            "S> NOTIFY terminated;rejected",
            "later too"
        );
        world.x(word);
        assert_eq!(world.ask(3_600, true), said);
    }
    for (condition, reason) in [
        ("item-not-found", "noresource"),
        ("remote-server-timeout", "giveup"),
    ] {
        let mut world = World::new();
        world.ask(3_600, true);
        assert_eq!(world.x_error(condition), format!("S> NOTIFY terminated;{reason}"));
        assert_eq!(world.store.len(), 0);
    }
    let mut world = World::new();
    assert_eq!(world.x("subscribed"), "", "what nobody asked for is nothing");
    assert_eq!(world.store.len(), 0);
}

#[test]
fn changes_are_told_once_in_a_pause_and_the_last_always_arrives() {
    let mut world = seen();
    for show in ["away", "dnd", "xa", "chat", "away"] {
        assert_eq!(world.x_at("desk", "", &[("show", show)]), "");
    }
    assert_eq!(world.pass(5), "S> NOTIFY active open 1 away");
    assert_eq!(world.pass(30), "");
    assert_eq!(
        world.x_at("phone", "", &[("show", "dnd")]),
        "S> NOTIFY active open 2 away dnd"
    );
    world.pass(5);
    assert_eq!(
        world.x_at("desk", "unavailable", &[]),
        "S> NOTIFY active open 1 dnd"
    );
    world.pass(5);
    assert_eq!(world.x_at("phone", "unavailable", &[]), "S> NOTIFY active closed");
}

#[test]
fn who_leaves_is_told_closed_and_has_it_back_without_anybody_being_asked() {
    let mut world = seen();
    assert_eq!(
        world.ask(0, false),
        "S< 200, S> NOTIFY terminated;timeout closed, X: unavailable"
    );
    assert_eq!(world.listed(), "Sip dormant 0");
    assert_eq!(world.pass(700), "");
    // Nothing is known that is fresh: the answer waits for it, and is not empty then.
    assert_eq!(world.ask(3_600, true), "X: probe");
    assert_eq!(world.x_at("desk", "", &[("show", "away")]), "");
    assert_eq!(world.pass(1), "S< 200, S> NOTIFY active open 1 away");
}

#[test]
fn what_is_not_refreshed_expires() {
    let mut world = seen();
    assert_eq!(
        world.pass(3_620),
        "S> NOTIFY terminated;timeout closed, X: unavailable"
    );
    assert_eq!(world.listed(), "Sip dormant 0");
    assert_eq!(world.store.len(), 1, "he still lets her see");
}

#[test]
fn who_asks_once_gets_what_is_known_or_what_his_server_says() {
    let mut world = seen();
    assert_eq!(world.ask(0, true), "S< 200, S> NOTIFY terminated;timeout open 1");
    let mut world = World::new();
    assert_eq!(world.ask(0, true), "X: probe");
    assert_eq!(world.x(""), "");
    assert_eq!(world.pass(1), "S< 200, S> NOTIFY terminated;timeout open 1");
    assert_eq!(
        (world.listed().as_str(), world.store.len()),
        ("", 0),
        "nothing is left of it"
    );
    let mut world = World::new();
    world.ask(0, true);
    assert_eq!(world.x("unsubscribed"), "S< 200, S> NOTIFY terminated;timeout");
    let mut world = World::new();
    world.ask(0, true);
    assert_eq!(world.pass(3), "S< 200, S> NOTIFY terminated;timeout");
    let mut world = World::new();
    world.ask(3_600, true);
    assert_eq!(
        world.ask(0, true),
        "S< 200, S> NOTIFY terminated;timeout",
        "a probe would have his server refuse for him"
    );
}

#[test]
fn who_polls_and_then_asks_is_not_refused_by_the_answer_to_the_probe() {
    let mut world = World::new();
    assert_eq!(world.ask(0, true), "X: probe");
    assert_eq!(
        world.ask(0, true),
        "",
        "the answer to the first is that to the second"
    );
    let said = world.ask(3_600, true);
    assert!(
        said.contains("X: subscribe") && said.contains("NOTIFY pending"),
        "{said}"
    );
    assert_eq!(world.x("unsubscribed"), "", "his server's, as he has not decided");
    assert_eq!(world.listed(), "Sip pending 1");
    assert_eq!(
        world.x("unsubscribed"),
        "S> NOTIFY terminated;rejected",
        "his own"
    );
    assert_eq!(world.ask(3_600, true), "S< 403");
}

#[test]
fn who_asks_behind_the_probe_before_a_refresh_is_not_refused_by_the_answer_to_it() {
    let mut world = watch::seeing();
    world.until_probed();
    let said = world.ask(3_600, true);
    assert!(
        said.contains("X: subscribe") && said.contains("NOTIFY pending"),
        "{said}"
    );
    let said = world.x("unsubscribed");
    assert!(
        !said.contains("NOTIFY"),
        "his server's, as he has not decided: {said}"
    );
    assert_eq!(
        world.x("unsubscribed"),
        "S> NOTIFY terminated;rejected",
        "his own"
    );
    assert_eq!(world.ask(3_600, true), "S< 403");
    // Where his server says nothing to a probe, his own no is not taken for that.
    let mut world = watch::seeing();
    world.until_probed();
    world.ask(3_600, true);
    world.pass(3);
    let said = world.x("unsubscribed");
    assert!(said.contains("S> NOTIFY terminated;rejected"), "{said}");
}

#[test]
fn a_probe_that_waited_for_its_link_is_answered_then() {
    let mut world = watch::seeing();
    world.is_well = false;
    world.until_probed();
    world.ask(3_600, true);
    world.pass(5);
    world.is_well = true;
    world.act();
    let said = world.x("unsubscribed");
    assert!(!said.contains("NOTIFY"), "{said}");
    assert_eq!(
        world.x("unsubscribed"),
        "S> NOTIFY terminated;rejected",
        "his own"
    );
}

#[test]
fn who_says_no_while_a_subscription_waits_for_the_state_is_not_asked() {
    let mut world = seen();
    world.ask(0, false);
    world.pass(700);
    assert_eq!(world.ask(3_600, true), "X: probe");
    assert_eq!(world.x("unsubscribed"), "S< 403");
    assert_eq!(world.listed(), "Sip refused 0");
}

#[test]
fn what_cannot_be_taken_is_refused_and_changes_nothing() {
    let mut world = seen();
    assert_eq!(world.ask(5, true), "S< 423");
    assert_eq!(world.ask(u32::MAX, true), "S< 200, S> NOTIFY active open 1");
    let subscribe = |event: &str, to: &str, more: &str| {
        format!(
            "SUBSCRIBE sip:{to} SIP/2.0\r\nVia: SIP/2.0/TLS p.partner.example;branch=z9hG4bKq\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@partner.example>;tag=w9\r\nTo: <sip:{to}>\r\nCall-ID: q{more}\r\nCSeq: 1 SUBSCRIBE\r\n\
             Contact: <sip:alice@10.0.0.9>\r\n{event}{more}Content-Length: 0\r\n\r\n"
        )
        .replace("Call-ID: qAccept: text/plain\r\n", "Call-ID: q")
    };
    for (text, said) in [
        (subscribe("", BOB, ""), "S< 489"),
        (subscribe("Event: dialog\r\n", BOB, ""), "S< 489"),
        (subscribe("Event: presence.winfo\r\n", BOB, ""), "S< 489"),
        (
            subscribe("Event: presence\r\n", "tea@rooms.corp.example", ""),
            "S< 405",
        ),
        (
            subscribe("Event: presence\r\n", BOB, "Accept: text/plain\r\n"),
            "S< 406",
        ),
    ] {
        assert_eq!(world.request(&text), said, "{text}");
    }
    assert_eq!(world.listed(), "Sip active 2");
}

#[test]
fn a_list_of_one_user_asks_for_him_and_one_of_several_is_refused() {
    for (users, said) in [
        (&[BOB][..], "S< 200, S> NOTIFY active open 1"),
        (&[BOB, "carol@corp.example"], "S< 488"),
    ] {
        let mut world = seen();
        let listed: String = users
            .iter()
            .map(|user| format!("<resource uri=\"sip:{user}\"/>"))
            .collect();
        let body = format!(
            "<batchSub xmlns=\"http://schemas.microsoft.com/2006/01/sip/batch-subscribe\"><action name=\"subscribe\">\
             <adhocList>{listed}</adhocList></action></batchSub>"
        );
        let text = format!(
            "SUBSCRIBE sip:{BOB} SIP/2.0\r\nVia: SIP/2.0/TLS p.partner.example;branch=z9hG4bKq\r\nMax-Forwards: 70\r\n\
             From: <sip:{ALICE}>;tag=w9\r\nTo: <sip:{BOB}>\r\nCall-ID: list\r\nCSeq: 1 SUBSCRIBE\r\nEvent: presence\r\n\
             Contact: <sip:alice@10.0.0.9>\r\nRequire: adhoclist, categoryList\r\n\
             Content-Type: application/msrtc-adrl-categorylist+xml\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(world.request(&text), said);
    }
}

#[test]
fn a_notification_that_fails_takes_its_own_dialog_along_and_no_other() {
    let mut world = seen();
    world.ask(3_600, true);
    world.pass(10);
    world.is_well = false;
    world.x_at("desk", "", &[("show", "dnd")]);
    let (token, notify) = world.notified.pop_front().unwrap();
    let response = Box::new(notify.response(StatusCode::CALL_DOES_NOT_EXIST, "", None));
    world
        .gateway
        .handle(world.now, Input::Response { token, response });
    world.is_well = true;
    world.pass(1);
    assert_eq!(world.listed(), "Sip active 1");
}

#[test]
fn who_is_blocked_politely_sees_him_offline_for_ever() {
    let blocking = || Setting::blocking(ALICE, Style::Polite);
    let mut world = World::with(blocking());
    assert_eq!(
        world.ask(3_600, true),
        "S< 200, S> NOTIFY active closed",
        "and nobody inside hears of it"
    );
    assert_eq!(world.ask(3_600, false), "S< 200, S> NOTIFY active closed");
    // A restart is to him what it is to others.
    world.restart(60);
    assert_eq!(world.pass(30), "S> NOTIFY active closed");
    assert_eq!(world.ask(3_600, false), "S< 200, S> NOTIFY active closed");
    world.pass(10);
    assert_eq!(
        world.reload(Setting::default()),
        "S> NOTIFY pending, X: subscribe",
        "nobody was asked before"
    );
    let mut world = World::with(blocking());
    world.ask(3_600, true);
    world.ask(0, false);
    assert_eq!(world.store.len(), 0);
    // One who is blocked while he sees.
    let mut world = seen();
    world.pass(10);
    assert_eq!(world.reload(blocking()), "S> NOTIFY active closed");
    world.pass(10);
    assert_eq!(world.ask(3_600, false), "S< 200, S> NOTIFY active closed");
    // And let in again.
    world.pass(10);
    assert_eq!(
        world.reload(Setting::default()),
        "S> NOTIFY active, X: probe",
        "what was known before may not be so any more"
    );
    assert_eq!(
        world.x_at("desk", "", &[("show", "away")]),
        "S> NOTIFY active open 1 away"
    );
}

#[test]
fn a_domain_that_is_denied_hears_that_it_is_over_and_nothing_of_it_comes_in() {
    let mut world = seen();
    assert_eq!(world.reload(deny()), "S> NOTIFY terminated;rejected");
    assert_eq!(world.ask(3_600, true), "S< 403");
    assert_eq!(world.x(""), "refused: policy_exception");
    world.reload(Setting::default());
    world.pass(700);
    assert_eq!(
        world.ask(3_600, true),
        "X: probe",
        "he had let her see, and is not asked again"
    );
}

#[test]
fn a_domain_that_is_denied_while_the_process_is_down_hears_that_it_is_over() {
    let mut world = seen();
    world.border = Arc::new(deny().border());
    assert_eq!(world.restart(5), "S> NOTIFY terminated;rejected");
    assert_eq!(world.pass(600), "");
    assert_eq!(world.ask(3_600, true), "S< 403");
    world.reload(Setting::default());
    world.pass(700);
    assert_eq!(world.ask(3_600, true), "X: probe", "he had let her see");
}

#[test]
fn nobody_is_shown_to_whom_policy_keeps_out_while_the_store_took_its_time() {
    for (setting, said) in [
        (deny(), "S> NOTIFY terminated;rejected"),
        (
            Setting::blocking(ALICE, crate::policy::Style::Polite),
            "S> NOTIFY active closed",
        ),
    ] {
        let mut world = seen();
        world.pass(60);
        world.is_slow = true;
        assert_eq!(world.ask(3_600, false), "", "it is kept first");
        world.is_slow = false;
        world.reload(setting);
        let told = world.kept() + &world.pass(30);
        assert!(told.contains(said) && !told.contains("open"), "{told}");
    }
}

#[test]
fn nobody_is_asked_who_was_denied_while_the_store_took_its_time() {
    for (setting, said) in [(Setting::default(), "X: subscribe, S< 200"), (deny(), "S< 200")] {
        let mut world = World::new();
        world.is_slow = true;
        assert_eq!(world.ask(3_600, true), "", "it is kept first");
        world.reload(setting);
        let kept = world.kept();
        assert!(kept.starts_with(said), "{kept}");
        assert_eq!(
            kept.contains("X: subscribe"),
            said.contains("X: subscribe"),
            "{kept}"
        );
    }
}

#[test]
fn a_watcher_who_answers_nothing_has_no_more_subscriptions_than_another() {
    let mut world = World::new();
    world.is_well = false;
    for _ in 0..40 {
        assert!(world.ask(3_600, true).contains("S< 200"));
    }
    assert_eq!(world.listed(), "Sip pending 16");
}
