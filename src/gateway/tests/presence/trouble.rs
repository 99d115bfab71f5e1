//! What fails on the way, and what comes when nobody waits for it any more.

use super::serve::seen;
use super::watch::seeing;
use super::*;
use crate::policy::Style;

/// Gives back every stanza that waits to be written.
fn returned(world: &mut World) {
    for token in std::mem::take(&mut world.words) {
        let trouble = Trouble::Unreachable;
        world
            .gateway
            .handle(world.now, Input::Returned { token, trouble });
    }
}

/// Gives back every notification that waits for its answer.
pub(super) fn unreached(world: &mut World) {
    while let Some((token, _)) = world.notified.pop_front() {
        let trouble = Trouble::Unreachable;
        world
            .gateway
            .handle(world.now, Input::Returned { token, trouble });
        world.act();
    }
}

#[test]
fn who_has_said_no_is_not_asked_again_because_a_block_is_lifted() {
    let mut world = seen();
    world.is_well = false;
    world.x("unsubscribed");
    unreached(&mut world);
    world.reload(Setting::blocking(ALICE, Style::Polite));
    world.pass(60);
    let said = world.reload(Setting::default()) + &world.pass(60);
    assert!(!said.contains("X: subscribe"), "{said}");
    // Nor where she has asked again meanwhile, and was served what who is blocked is shown.
    let mut world = seen();
    world.x("unsubscribed");
    world.reload(Setting::blocking(ALICE, Style::Polite));
    assert!(world.ask(3_600, true).contains("S< 200, S> NOTIFY active"));
    assert_eq!(world.reload(Setting::default()), "S> NOTIFY terminated;rejected");
    assert_eq!(world.pass(3_600), "");
    assert_eq!(world.listed(), "");
}

#[test]
fn what_is_taken_back_while_policy_forbids_it_does_not_come_back() {
    let both = || {
        let mut world = seen();
        world.x("subscribe");
        world.answer(200, "Expires: 3600");
        world.told("active;expires=3600", &open(&["desk"]));
        assert_eq!(world.listed(), "Xmpp active 1, Sip active 1");
        world
    };
    for (setting, refused) in [
        (watch::deny(), "refused: policy_exception"),
        (Setting::blocking(ALICE, Style::Polite), "refused: blocked_polite"),
    ] {
        let mut world = both();
        world.reload(setting);
        world.answer(200, "");
        world.pass(60);
        assert_eq!(world.x("unsubscribe"), format!("{refused}, X: unsubscribed"));
        assert_eq!(
            world.x("unsubscribed"),
            refused,
            "she is not to know, where she is blocked"
        );
        world.pass(60);
        let said = world.reload(Setting::default()) + &world.pass(3_600);
        let is_told = said.contains("S> NOTIFY terminated;rejected");
        assert_eq!(is_told, refused.contains("block"), "now she is: {said}");
        assert!(
            !said.contains("SUBSCRIBE") && !said.contains("X: subscribe"),
            "{said}"
        );
        assert_eq!((world.listed().as_str(), world.store.len()), ("", 0));
    }
    // To others it says nothing.
    let mut world = World::with(watch::deny());
    for kind in ["unsubscribe", "unsubscribed", "subscribe"] {
        assert_eq!(world.x(kind), "refused: policy_exception");
    }
}

#[test]
fn in_a_storm_changes_wait_their_turn_both_ways_and_the_last_is_told() {
    let mut limits = GatewayLimits::default();
    limits.presence.changes = std::num::NonZeroU32::MIN;
    limits.presence.pause = Duration::ZERO;
    let mut world = World::bounded(Setting::default(), limits);
    world.x("subscribe");
    world.answer(200, "Expires: 3600");
    world.told("active;expires=3600", &open(&["desk"]));
    // The first change finds a turn that nobody took.
    assert_eq!(
        world.told("active;expires=3600", &open(&["phone"])),
        "S< 200, X: available/phone, X: unavailable/desk"
    );
    for devices in [&["desk"][..], &[], &["desk", "phone"]] {
        assert_eq!(world.told("active;expires=3600", &open(devices)), "S< 200");
    }
    assert_eq!(world.pass(1), "X: available/desk");
    assert_eq!(world.pass(60), "");
    // Who leaves while something waits for him is not told it.
    world.told("active;expires=3600", &open(&["desk"]));
    world.told("active;expires=3600", &open(&["desk", "tablet"]));
    world.x("unsubscribe");
    assert_eq!(world.pass(1), "");
    let gone = world.answer(200, "Expires: 0") + &world.told("terminated;reason=timeout", "");
    assert!(
        gone.contains("X: unavailable/desk") && !gone.contains("tablet"),
        "{gone}"
    );
    world.ask(3_600, true);
    world.pass(1);
    world.x("subscribed");
    world.x("");
    for show in ["away", "dnd", "xa"] {
        assert_eq!(world.x_at("desk", "", &[("show", show)]), "");
    }
    assert_eq!(world.pass(1), "S> NOTIFY active open 1 away xa");
    assert_eq!(world.pass(60), "");
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
fn a_device_that_comes_while_its_stream_breaks_is_told_all_the_same() {
    let mut world = seeing();
    world.pass(70);
    world.is_well = false;
    assert!(
        world
            .x_at("home", "probe", &[])
            .contains("X: available/desk to /home")
    );
    returned(&mut world);
    world.is_well = true;
    assert_eq!(world.pass(10), "X: available/desk");
}

#[test]
fn a_device_that_comes_while_the_subscription_is_begun_anew_is_told_all() {
    let mut world = seeing();
    world.until_probed();
    assert_eq!(world.x(""), "S> SUBSCRIBE 3600 in its dialog");
    assert_eq!(world.answer(481, ""), "");
    assert_eq!(world.x_at("home", "probe", &[]), "");
    assert_eq!(world.pass(3), "S> SUBSCRIBE 3600");
    world.answer(200, "");
    assert_eq!(
        world.told("active", &open(&["desk"])),
        "S< 200, X: available/desk"
    );
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
fn that_he_may_not_see_any_more_is_said_though_the_process_is_killed_before() {
    let mut world = seeing();
    world.is_well = false;
    world.told("terminated;reason=rejected", "");
    returned(&mut world);
    world.restart(5);
    assert_eq!(world.pass(1), "", "a restart is no storm");
    world.is_well = true;
    assert_eq!(world.pass(5), "X: unsubscribed");
    assert_eq!(world.pass(600), "", "and once is enough");
    assert_eq!((world.listed().as_str(), world.store.len()), ("", 0));
    // Nor where he has asked again meanwhile.
    let mut world = seeing();
    world.is_well = false;
    world.told("terminated;reason=rejected", "");
    returned(&mut world);
    world.restart(5);
    world.is_well = true;
    assert_eq!(world.x("subscribe"), "S> SUBSCRIBE 3600");
    world.answer(200, "");
    assert!(world.told("active", &open(&["desk"])).contains("X: subscribed"));
    let later = world.pass(60);
    assert!(!later.contains("unsubscribed"), "{later}");
    let watch = world
        .store
        .values()
        .next()
        .and_then(|record| record.watch.clone());
    assert!(watch.is_some_and(|watch| !watch.has_ended), "he may see her");
}

#[test]
fn who_cannot_be_reached_for_long_is_told_when_he_can() {
    let mut world = seen();
    world.pass(10);
    world.is_well = false;
    world.x_at("desk", "", &[("show", "away")]);
    for _ in 0..600 {
        unreached(&mut world);
        world.pass(1);
    }
    // The last that waits fails too; the next arrives.
    unreached(&mut world);
    world.is_well = true;
    assert_eq!(world.pass(3), "S> NOTIFY active open 1 away");
    assert_eq!(world.listed(), "Sip active 1");
}

#[test]
fn who_has_said_no_is_not_asked_again_though_the_process_is_killed_before_she_hears_of_it() {
    let mut world = seen();
    world.is_well = false;
    assert_eq!(world.x("unsubscribed"), "S> NOTIFY terminated;rejected");
    world.is_well = true;
    assert_eq!(
        world.restart(5),
        "S> NOTIFY terminated;rejected",
        "she would go on to show what she saw"
    );
    assert_eq!((world.listed().as_str(), world.store.len()), ("Sip refused 0", 1));
    assert_eq!(world.pass(600), "");
    assert_eq!(world.ask(600, false), "S< 481");
    // Though her servers are gone for long.
    let mut world = seen();
    world.is_well = false;
    world.x("unsubscribed");
    unreached(&mut world);
    world.restart(5);
    for _ in 0..1_500 {
        unreached(&mut world);
        world.pass(1);
    }
    unreached(&mut world);
    world.is_well = true;
    assert_eq!(world.pass(3), "S> NOTIFY terminated;rejected");
    assert_eq!(world.pass(3_600), "");
    assert_eq!((world.listed().as_str(), world.store.len()), ("", 0));
}

/// How often alice's servers are asked in so many seconds, of which each question takes 32 to be given up; what `meanwhile` does
/// happens each second.
fn asked_in_silence(world: &mut World, seconds: u64, mut meanwhile: impl FnMut(&mut World)) -> usize {
    let (mut count, mut waited) = (0, 0);
    for _ in 0..seconds {
        meanwhile(world);
        world.pass(1);
        waited = if world.asked.is_empty() { 0 } else { waited + 1 };
        if waited == 32 {
            (count, waited) = (count + 1, 0);
            world.fail(Trouble::Timeout);
        }
    }
    count
}

#[test]
fn servers_that_were_silent_for_long_are_found_to_answer_soon() {
    let mut world = seeing();
    world.until_probed();
    world.x("");
    let count = asked_in_silence(&mut world, 3_600, |_| {});
    assert!(count > 100, "asked {count} times in an hour");
    world.pass(2);
    world.answer(200, "");
    assert!(
        world
            .told("active", &open(&["desk"]))
            .contains("X: available/desk")
    );
}

#[test]
fn who_was_asked_before_servers_came_back_is_not_taken_for_the_only_one_they_do_not_answer() {
    let mut world = seeing();
    world.ask(3_600, true);
    world.x("subscribed");
    let mut shows = ["away", "dnd"].into_iter().cycle();
    let mut answered = |world: &mut World| {
        world.x_at("desk", "", &[("show", shows.next().unwrap())]);
    };
    let is_asked = (0..3_600).any(|_| {
        answered(&mut world);
        world.pass(1);
        !world.asked.is_empty()
    });
    assert!(is_asked, "it is refreshed");
    // All fall silent a moment after she alone was not answered.
    let mut second = 0;
    asked_in_silence(&mut world, 1_500, |world| {
        second += 1;
        if second <= 34 {
            answered(world);
        }
    });
    if !world.asked.is_empty() {
        world.fail(Trouble::Timeout);
    }
    for _ in 0..1_300 {
        if world.asked.is_empty() {
            world.pass(1);
        }
    }
    assert!(!world.asked.is_empty(), "they are tried");
    for second in 0..31 {
        if second > 20 {
            answered(&mut world);
        }
        world.pass(1);
    }
    world.fail(Trouble::Timeout);
    world.pass(3);
    assert!(!world.asked.is_empty(), "she is asked again at once");
}

#[test]
fn who_alone_is_not_answered_is_asked_for_ever_less_often() {
    let mut world = seeing();
    world.ask(3_600, true);
    world.x("subscribed");
    world.until_probed();
    world.x("");
    let mut shows = ["away", "dnd"].into_iter().cycle();
    let others_are_answered = |world: &mut World| {
        world.x_at("desk", "", &[("show", shows.next().unwrap())]);
    };
    let count = asked_in_silence(&mut world, 3_600, others_are_answered);
    assert!((4..20).contains(&count), "asked {count} times in an hour");
}

#[test]
fn a_notification_that_comes_when_nobody_subscribes_any_more_is_answered() {
    let mut world = seeing();
    world.until_probed();
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

#[test]
fn a_server_that_could_not_be_asked_how_he_is_is_asked_again() {
    let mut world = seen();
    world.ask(0, false);
    world.pass(700);
    world.is_well = false;
    assert_eq!(world.ask(3_600, true), "X: probe");
    returned(&mut world);
    assert_eq!(world.pass(1), "S< 200, S> NOTIFY active open 1");
    world.is_well = true;
    assert_eq!(world.pass(5), "X: probe");
    assert_eq!(world.x_at("phone", "", &[]), "S> NOTIFY active open 2");
    assert_eq!(world.pass(60), "S> NOTIFY active open 1", "and the desk is gone");
}

#[test]
fn a_server_of_xmpp_that_cannot_be_reached_for_long_is_found_again_within_seconds() {
    let mut world = seeing();
    world.pass(10);
    world.is_well = false;
    world.told("active", &open(&["phone"]));
    for _ in 0..1_000 {
        returned(&mut world);
        world.pass(1);
    }
    returned(&mut world);
    world.is_well = true;
    let said = world.pass(2);
    assert!(
        said.contains("X: available/phone") && said.contains("X: unavailable/desk"),
        "{said}"
    );
    assert_eq!(world.pass(600), "", "and once is enough");
}
