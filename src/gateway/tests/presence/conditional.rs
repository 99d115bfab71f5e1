//! Who has the state is not told it again (RFC 5839).

use super::serve::seen;
use super::watch::seeing;
use super::*;

/// The tag of the last notification of ours.
fn tag(world: &World) -> String {
    let notify = world.notify.as_ref().expect("a NOTIFY was sent");
    notify.headers().get("SIP-ETag").expect("a tag").to_owned()
}

/// One who sees alice at her desk, which has a tag.
fn seeing_tagged() -> World {
    let mut world = seeing();
    world.pass(60);
    world.etag = "desk1";
    assert_eq!(world.told("active;expires=3600", &open(&["desk"])), "S< 200");
    world
}

#[test]
fn a_watcher_who_has_the_state_refreshes_without_a_notification() {
    let mut world = seen();
    world.has = tag(&world);
    assert_eq!(world.ask(3_600, false), "S< 204");
    world.pass(3_000);
    // Before what he says is old his server is asked how he is.
    assert_eq!(world.ask(3_600, false), "S< 204, X: probe");
    assert_eq!(world.x(""), "");
    assert_eq!(world.pass(600), "", "he is as he was, and it stands");
    assert_eq!(world.listed(), "Sip active 1");
    assert_eq!(
        world.x_at("desk", "", &[("show", "away")]),
        "S> NOTIFY active open 1 away"
    );
    assert_eq!(world.ask(3_600, false), "S< 200, S> NOTIFY active open 1 away");
    // Of all his devices, of each subscription and of one who only asks it is the same.
    world.has = tag(&world);
    assert_eq!(world.ask(3_600, true), "S< 200, S> NOTIFY active");
    assert_eq!(world.ask(0, true), "S< 200, S> NOTIFY terminated;timeout");
    assert_eq!(tag(&world), world.has);
}

#[test]
fn a_watcher_who_leaves_and_has_the_state_is_told_no_more() {
    let mut world = seen();
    world.has = tag(&world);
    assert_eq!(world.ask(0, false), "S< 204, X: unavailable");
    assert_eq!(world.listed(), "Sip dormant 0");
    // What one is told who leaves otherwise has a tag of its own.
    let mut world = seen();
    let before = tag(&world);
    assert_eq!(
        world.ask(0, false),
        "S< 200, S> NOTIFY terminated;timeout closed, X: unavailable"
    );
    assert_ne!(tag(&world), before);
}

#[test]
fn a_tag_outlives_the_process() {
    let mut world = seen();
    world.has = tag(&world);
    world.restart(60);
    assert_eq!(world.pass(5), "X: probe");
    assert_eq!(world.x(""), "S> NOTIFY active open 1", "told by itself");
    assert_eq!(tag(&world), world.has);
    assert_eq!(world.ask(3_600, false), "S< 204");
}

#[test]
fn a_tag_says_nothing_to_who_may_not_see() {
    let mut asked = World::new();
    asked.ask(3_600, true);
    let before = tag(&asked);
    assert_eq!(asked.x_at("desk", "", &[("show", "away")]), "");
    asked.ask(3_600, false);
    assert_eq!(tag(&asked), before);
    let visible = tag(&seen());
    asked.has.clone_from(&visible);
    assert_eq!(asked.x(""), "");
    assert_eq!(asked.ask(3_600, false), "S< 200, S> NOTIFY pending");
    // That it is decided is told, whatever he has.
    asked.has = "*".to_owned();
    assert_eq!(asked.ask(3_600, false), "S< 204");
    assert_eq!(asked.x("subscribed"), "S> NOTIFY active");
    assert_eq!(asked.x(""), "");
    asked.has.clear();
    assert_eq!(asked.ask(3_600, false), "S< 200, S> NOTIFY active open 1");
    assert_eq!(tag(&asked), visible);
}

#[test]
fn a_refresh_that_is_answered_204_leaves_all_as_it_is_seen() {
    let mut world = seeing_tagged();
    for _ in 0..3 {
        world.until_probed();
        assert_eq!(world.x(""), "S> SUBSCRIBE 3600 in its dialog unless desk1");
        assert_eq!(world.answer(204, "Expires: 3600"), "");
        assert_eq!(world.pass(600), "", "no notification is waited for");
    }
    assert_eq!(world.listed(), "Xmpp active 1");
    assert_eq!(
        world.x("probe"),
        "X: available/desk to /desk, S> SUBSCRIBE 3600 in its dialog unless desk1"
    );
    assert_eq!(world.answer(204, "Expires: 3600"), "");
    world.etag = "both1";
    assert_eq!(
        world.told("active", &open(&["desk", "phone"])),
        "S< 200, X: available/phone"
    );
}

#[test]
fn what_was_refreshed_by_204_lives_on_for_as_long_as_that_says_and_a_restart_asks_in_full() {
    let mut world = seeing_tagged();
    world.until_probed();
    world.x("");
    assert_eq!(world.answer(204, "Expires: 3600"), "");
    world.restart(3_000);
    assert_eq!(world.pass(5), "S> SUBSCRIBE 3600 in its dialog");
    assert_eq!(world.answer(200, "Expires: 3600"), "");
    assert_eq!(
        world.told("active;expires=3600", &open(&["desk"])),
        "S< 200, X: available/desk"
    );
    world.pass(60);
    assert_eq!(
        world.x("probe"),
        "X: available/desk to /desk, S> SUBSCRIBE 3600 in its dialog unless desk1"
    );
}

#[test]
fn a_document_that_cannot_be_read_has_no_tag() {
    let mut world = seeing_tagged();
    world.etag = "next";
    assert_eq!(world.told("active", "<presence"), "S< 400");
    assert_eq!(
        world.x("probe"),
        "X: available/desk to /desk, S> SUBSCRIBE 3600 in its dialog unless desk1",
        "the one before is the one that he sees"
    );
}

#[test]
fn who_leaves_by_204_is_told_so() {
    let mut world = seeing_tagged();
    assert_eq!(
        world.x("unsubscribe"),
        "S> SUBSCRIBE 0 in its dialog unless desk1"
    );
    assert_eq!(
        world.answer(204, "Expires: 0"),
        "X: unavailable/desk, X: unsubscribed"
    );
    assert_eq!(world.listed(), "");
}
