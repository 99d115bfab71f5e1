//! The process is killed and begins again, in every state.

use super::serve::seen;
use super::trouble::unreached;
use super::watch::seeing;
use super::*;

#[test]
fn what_stood_is_refreshed_in_its_dialog_and_told_once_more_to_who_came_meanwhile() {
    let mut world = seeing();
    world.restart(60);
    assert_eq!(world.pass(5), "S> SUBSCRIBE 3600 in its dialog");
    assert_eq!(world.answer(200, "Expires: 3600"), "");
    assert_eq!(
        world.told("active;expires=3600", &open(&["desk"])),
        "S< 200, X: available/desk"
    );
    assert_eq!(world.told("active", &open(&["desk"])), "S< 200", "once");
    world.restart(60);
    world.pass(5);
    world.answer(200, "");
    assert_eq!(
        world.told("active", &open(&["phone"])),
        "S< 200, X: available/phone, X: unavailable/desk",
        "what went meanwhile"
    );
    assert_eq!(world.listed(), "Xmpp active 1");
}

#[test]
fn what_was_refreshed_lives_on_for_as_long_as_it_was_granted() {
    let mut world = seeing();
    world.until_probed();
    assert_eq!(world.x(""), "S> SUBSCRIBE 3600 in its dialog");
    assert_eq!(world.answer(200, "Expires: 3600"), "");
    world.restart(3_000);
    assert_eq!(world.pass(5), "S> SUBSCRIBE 3600 in its dialog");
}

#[test]
fn what_the_other_side_has_forgotten_begins_anew() {
    let mut world = seeing();
    world.restart(5);
    world.pass(5);
    assert_eq!(world.answer(481, ""), "");
    assert_eq!(world.pass(10), "S> SUBSCRIBE 3600");
    // What expired meanwhile too.
    let mut world = seeing();
    world.restart(4_000);
    assert_eq!(world.pass(5), "X: probe");
    assert_eq!(world.x(""), "S> SUBSCRIBE 3600");
}

#[test]
fn what_was_asked_is_asked_on_and_what_was_given_up_is_not() {
    let mut world = World::new();
    world.x("subscribe");
    world.restart(5);
    assert_eq!(world.pass(5), "S> SUBSCRIBE 3600", "before any answer");
    world.answer(200, "");
    world.told("pending;expires=3600", "");
    world.restart(5);
    assert_eq!(
        world.pass(5),
        "S> SUBSCRIBE 3600 in its dialog",
        "while it is pending"
    );
    world.answer(200, "");
    assert_eq!(world.told("active", ""), "S< 200, X: subscribed, X: unavailable");
    world.x("unsubscribe");
    world.restart(5);
    assert_eq!(world.pass(60), "");
    assert_eq!(
        world.told("active", &open(&["desk"])),
        "S< 481",
        "so the other side ends it"
    );
}

#[test]
fn who_was_not_there_is_looked_for() {
    let mut world = seeing();
    world.until_probed();
    world.x_error("item-not-found");
    world.pass(1_000);
    world.restart(5);
    assert_eq!(world.pass(5), "X: probe");
    assert_eq!(world.x_error("item-not-found"), "");
    assert_eq!(world.pass(100), "");
    assert_eq!(world.x("probe"), "S> SUBSCRIBE 3600");
}

#[test]
fn a_watcher_is_told_the_state_by_itself_in_its_dialog() {
    let mut world = seen();
    let before = world.notify.clone().unwrap();
    world.restart(60);
    assert_eq!(world.pass(5), "X: probe");
    assert_eq!(
        world.x_at("desk", "", &[("show", "away")]),
        "S> NOTIFY active open 1 away"
    );
    let after = world.notify.clone().unwrap();
    assert_eq!(before.headers().call_id(), after.headers().call_id());
    assert!(before.headers().cseq().number() < after.headers().cseq().number());
    world.pass(10);
    assert_eq!(
        world.ask(3_600, false),
        "S< 200, S> NOTIFY active open 1 away",
        "and it goes on"
    );
    // Where nobody says anything nothing is told, for it may not be so any more, and his server is asked again.
    world.restart(60);
    assert_eq!(world.pass(30), "X: probe");
    assert_eq!(world.pass(60), "X: probe");
    assert_eq!(
        world.x_at("desk", "", &[("show", "dnd")]),
        "S> NOTIFY active open 1 dnd"
    );
}

#[test]
fn what_nobody_speaks_of_is_gone_though_who_spoke_has_left_since() {
    let mut world = seen();
    world.pass(60);
    world.restart(60);
    assert_eq!(world.pass(5), "X: probe");
    assert_eq!(world.x_at("phone", "", &[]), "S> NOTIFY active open 2");
    assert_eq!(world.x_at("phone", "unavailable", &[]), "");
    assert_eq!(world.pass(5), "S> NOTIFY active closed");
}

#[test]
fn who_has_not_decided_is_not_asked_again() {
    let mut world = World::new();
    world.ask(3_600, true);
    world.restart(5);
    assert_eq!(
        world.pass(30),
        "X: subscribe, S> NOTIFY pending",
        "his server keeps that from him"
    );
    assert_eq!(world.ask(3_600, true), "S< 200, S> NOTIFY pending");
    assert!(world.x("subscribed").starts_with("S> NOTIFY active"));
    world.ask(0, false);
    world.restart(5);
    world.pass(30);
    assert_eq!(
        world.ask(3_600, true),
        "X: probe",
        "nor who has consented, while nobody looked"
    );
}

#[test]
fn what_expired_while_nobody_was_here_is_over() {
    let mut world = seen();
    world.restart(8_000);
    let said = world.pass(30);
    assert!(said.contains("NOTIFY terminated;timeout"), "{said}");
    assert_eq!(world.listed(), "Sip dormant 0");
}

#[test]
fn who_cannot_be_reached_hears_later_that_it_expired_as_the_clock_may_be_wrong() {
    let mut world = seen();
    world.is_well = false;
    world.restart(8_000);
    for _ in 0..1_800 {
        world.pass(1);
        unreached(&mut world);
    }
    world.is_well = true;
    let said = (0..600).map(|_| world.pass(1)).collect::<String>();
    assert!(said.contains("NOTIFY terminated;timeout"), "{said}");
    assert_eq!(world.listed(), "Sip dormant 0");
}

#[test]
fn a_clock_that_jumps_ends_nothing_that_lives() {
    for jump in [-90_000_i64, 90_000] {
        let mut world = seen();
        world.unix = world.unix.saturating_add_signed(jump);
        assert_eq!(world.pass(60), "");
        world.restart(1);
        assert_eq!(world.pass(5), "X: probe", "{jump}");
        let said = [world.x(""), world.ask(3_600, false)].join(", ");
        assert!(
            said.contains("S> NOTIFY active open 1") || said.contains("terminated;timeout"),
            "{jump}: {said}"
        );
    }
}

#[test]
fn what_comes_before_the_records_waits_and_too_much_is_turned_away_but_no_decision() {
    let mut world = seen();
    world.begin_anew(5);
    for _ in 0..crate::limits::WAITING_FOR_RECORDS {
        assert_eq!(world.x(""), "");
    }
    assert_eq!(world.ask(3_600, true), "S< 503");
    assert_eq!(world.x("subscribe"), "X: error");
    assert_eq!(world.x("unavailable"), "");
    assert_eq!(world.x("unsubscribed"), "");
    assert_eq!(world.read_records(), "S> NOTIFY terminated;rejected");
    assert_eq!((world.listed().as_str(), world.store.len()), ("Sip refused 0", 1));
}

#[test]
fn a_last_state_is_kept_within_a_while_and_at_a_stop_and_devices_that_were_shown_at_once() {
    let mut world = seeing();
    let kept = |world: &World| {
        let record = world.store.values().next().expect("a record");
        let watch = record.watch.as_ref().expect("a watch");
        let shown = watch.shown.iter();
        let shown: Vec<_> = shown
            .map(|device| (device.name.clone(), device.state.clone()))
            .collect();
        format!("{shown:?}")
    };
    let open_at_the_desk = r#"[("desk", "available")]"#;
    assert_eq!(kept(&world), open_at_the_desk);
    world.pass(10);
    let busy = open(&["desk"]).replace(
        "<basic>open</basic>",
        "<basic>open</basic><show xmlns='jabber:client'>dnd</show>",
    );
    assert_eq!(
        world.told("active", &busy),
        "S< 200, X: available/desk dnd Do not disturb"
    );
    assert_eq!(kept(&world), open_at_the_desk, "not yet");
    world.pass(31);
    assert_eq!(kept(&world), r#"[("desk", "dnd")]"#);
    world.told("active", &open(&["desk"]));
    assert_eq!(kept(&world), r#"[("desk", "dnd")]"#);
    world.stop();
    assert_eq!(kept(&world), open_at_the_desk, "nothing is left for later");
    let mut world = seeing();
    world.pass(10);
    world.told("active", &open(&["desk", "phone"]));
    assert_eq!(kept(&world), r#"[("desk", "available"), ("phone", "available")]"#);
}

#[test]
fn what_is_known_of_a_user_is_kept_within_a_while() {
    let mut world = seen();
    let kept = |world: &World| {
        let record = world.store.values().next().expect("a record");
        let known = record.serve.as_ref().expect("a serve").known.iter();
        known.map(|device| device.state.clone()).collect::<Vec<_>>()
    };
    world.pass(40);
    world.x_at("desk", "", &[("show", "away")]);
    assert_eq!(kept(&world), ["available"]);
    world.pass(31);
    assert_eq!(kept(&world), ["away"]);
}

#[test]
fn a_refresh_is_answered_once_it_outlives_the_process() {
    let mut world = seen();
    world.pass(3_000);
    world.is_slow = true;
    assert_eq!(world.ask(3_600, false), "", "it is kept first");
    assert_eq!(world.kept(), "S< 200, S> NOTIFY active open 1, X: probe");
    world.is_slow = false;
    // Its time before is over, and it is told what has changed since.
    world.restart(1_000);
    world.pass(5);
    let said = world.x_at("desk", "", &[("show", "dnd")]) + &world.pass(10);
    assert!(said.contains("S> NOTIFY active open 1 dnd"), "{said}");
}

#[test]
fn a_device_is_shown_when_a_restart_would_take_it_back_and_not_before() {
    let mut world = seeing();
    world.pass(10);
    world.is_slow = true;
    assert_eq!(world.told("active", &open(&["desk", "phone"])), "S< 200");
    // What comes behind it does not overtake it.
    assert_eq!(world.told("terminated;reason=rejected", ""), "S< 200");
    assert_eq!(
        world.kept(),
        "X: available/phone, X: unavailable/desk, X: unavailable/phone, X: unsubscribed"
    );
    // What was not shown need not be taken back.
    let mut world = seeing();
    world.pass(10);
    world.is_slow = true;
    assert_eq!(world.told("active", &open(&["desk", "phone"])), "S< 200");
    world.restart(5);
    world.is_slow = false;
    let later = world.pass(10);
    assert!(!later.contains("phone"), "{later}");
}

#[test]
fn a_device_is_taken_back_again_where_nobody_knows_that_it_was() {
    let mut world = seeing();
    world.pass(10);
    world.told("active", &open(&["desk", "phone"]));
    world.pass(10);
    // It was said, and the process is killed before the stream has it.
    world.is_well = false;
    assert_eq!(
        world.told("active", &open(&["desk"])),
        "S< 200, X: unavailable/phone"
    );
    world.is_well = true;
    world.restart(5);
    world.pass(5);
    world.answer(200, "");
    assert_eq!(
        world.told("active", &open(&["desk"])),
        "S< 200, X: available/desk, X: unavailable/phone"
    );
    world.pass(60);
    world.restart(5);
    world.pass(5);
    world.answer(200, "");
    assert_eq!(
        world.told("active", &open(&["desk"])),
        "S< 200, X: available/desk",
        "and what he has heard is not kept for ever"
    );
    // That nobody was there, which names no device, takes none back.
    world.pass(60);
    assert_eq!(
        world.told("active", ""),
        "S< 200, X: unavailable, X: unavailable/desk"
    );
    world.restart(5);
    world.pass(5);
    world.answer(200, "");
    assert_eq!(
        world.told("active", &open(&["phone"])),
        "S< 200, X: available/phone, X: unavailable/desk"
    );
}

#[test]
fn who_may_be_asked_again_may_be_by_another_process() {
    let mut world = seeing();
    assert!(world.ask(3_600, true).contains("X: subscribe"));
    assert_eq!(world.x("unsubscribed"), "S> NOTIFY terminated;rejected");
    assert_eq!(world.x("subscribe"), "X: subscribed, X: available/desk");
    world.restart(0);
    world.pass(5);
    assert!(world.ask(3_600, true).contains("X: subscribe"));
}
