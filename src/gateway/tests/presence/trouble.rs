//! What fails on the way, and what comes when nobody waits for it any more.

use super::serve::seen;
use super::watch::seeing;
use super::*;

/// Gives back every stanza that waits to be written.
fn returned(world: &mut World) {
    for token in std::mem::take(&mut world.words) {
        let trouble = Trouble::Unreachable;
        world
            .gateway
            .handle(world.now, Input::Returned { token, trouble });
    }
}

#[test]
fn what_was_to_be_said_is_not_said_once_the_opposite_holds() {
    let mut world = seeing();
    world.is_well = false;
    world.told("terminated;reason=rejected", "");
    returned(&mut world);
    world.is_well = true;
    // He asks again at once, and may now.
    assert_eq!(world.x("subscribe"), "S> SUBSCRIBE 3600");
    world.answer(200, "");
    assert!(world.told("active", &open(&["desk"])).contains("X: subscribed"));
    let later = world.pass(60);
    assert!(!later.contains("unsubscribed"), "{later}");
}

#[test]
fn that_he_may_not_see_any_more_is_said_until_it_arrives() {
    let mut world = seeing();
    world.is_well = false;
    world.told("terminated;reason=rejected", "");
    returned(&mut world);
    world.is_well = true;
    let later = world.pass(12);
    assert!(
        later.contains("X: unsubscribed") && later.contains("X: unavailable/desk"),
        "{later}"
    );
    assert_eq!(world.pass(600), "", "and once is enough");
    assert_eq!(world.listed(), "");
}

#[test]
fn who_cannot_be_reached_for_long_is_told_when_he_can() {
    let mut world = seen();
    world.pass(10);
    world.is_well = false;
    world.x_at("desk", "", &[("show", "away")]);
    for _ in 0..600 {
        while let Some((token, _)) = world.notified.pop_front() {
            let trouble = Trouble::Unreachable;
            world
                .gateway
                .handle(world.now, Input::Returned { token, trouble });
            world.act();
        }
        world.pass(1);
    }
    // The last that waits fails too; the next arrives.
    while let Some((token, _)) = world.notified.pop_front() {
        let trouble = Trouble::Unreachable;
        world
            .gateway
            .handle(world.now, Input::Returned { token, trouble });
        world.act();
    }
    world.is_well = true;
    assert_eq!(world.pass(3), "S> NOTIFY active open 1 away");
    assert_eq!(world.listed(), "Sip active 1");
}

#[test]
fn a_notification_that_comes_when_nobody_subscribes_any_more_is_answered() {
    let mut world = seeing();
    let mut said = world.pass(2_800);
    while !said.contains("probe") {
        said = world.pass(1);
    }
    world.x_error("item-not-found");
    world.pass(1_000);
    assert_eq!(world.told("terminated;reason=timeout", ""), "S< 481");
}

#[test]
fn a_question_that_nobody_answers_and_nobody_asks_any_more_is_forgotten() {
    let mut world = World::new();
    world.ask(60, true);
    world.pass(120);
    assert_eq!((world.listed().as_str(), world.store.len()), ("Sip pending 0", 1));
    world.pass(86_400);
    assert_eq!((world.listed().as_str(), world.store.len()), ("", 0));
}

#[test]
fn an_error_that_passes_takes_nobodys_consent() {
    let mut world = seen();
    assert_eq!(world.x_error("service-unavailable"), "");
    assert_eq!(world.x_error("remote-server-timeout"), "");
    assert_eq!(world.listed(), "Sip active 1");
    assert_eq!(world.x_error("item-not-found"), "S> NOTIFY terminated;noresource");
}

#[test]
fn the_answer_to_an_attempt_that_was_given_up_changes_nothing() {
    let mut world = World::new();
    world.x("subscribe");
    let (token, first) = world.asked.pop_front().unwrap();
    world.x("unsubscribe");
    assert_eq!(world.x("subscribe"), "S> SUBSCRIBE 3600");
    let response = Box::new(first.response(StatusCode::FORBIDDEN, "", Some("s1")));
    world
        .gateway
        .handle(world.now, Input::Response { token, response });
    assert_eq!(world.done(), "");
    assert_eq!(world.listed(), "Xmpp asked 0");
}

#[test]
fn numbers_of_a_dialog_are_used_once_however_often_the_process_begins_anew() {
    let mut world = seen();
    let mut last = world.notify.clone().unwrap().headers().cseq().number();
    for show in ["away", "dnd", "xa"] {
        world.restart(5);
        world.pass(5);
        world.x_at("desk", "", &[("show", show)]);
        let number = world.notify.clone().unwrap().headers().cseq().number();
        assert!(last < number, "{show}");
        last = number;
    }
}
