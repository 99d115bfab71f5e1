//! RFC 5839: nobody is told again what he has, by both machines of a subscription.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot be read fails the test"
)]

use super::rfc6665::{Watched, Watcher, body, note};
use std::time::Duration;
use vestibule::limits::ENTITY_TAG_BYTES;
use vestibule::mime::MediaType;
use vestibule::sip::StatusCode;
use vestibule::sip::subscription::{
    Authorisation, Ending, Entity, NotifierInput, Subscriber, SubscriberInput,
};

// ---- the notifier

/// One that was told this, with the tag of that.
fn told(text: &str) -> (Watched, String) {
    let mut watched = first(&format!("{EVENT}Expires: 3600\n"), active(text));
    assert_eq!(watched.said(), format!("200 3600, > active;expires=3600 {text}"));
    assert_eq!(watched.answered(0, 200, ""), "");
    let tag = watched.tag();
    (watched, tag)
}

fn first(fields: &str, state: (Authorisation, Option<Entity>)) -> Watched {
    Watched::with(fields, state.0, state.1).unwrap()
}

fn active(text: &str) -> (Authorisation, Option<Entity>) {
    (Authorisation::Active, Some(body(text)))
}

fn asking(expires: u32, tag: &str) -> String {
    format!("{EVENT}Expires: {expires}\nSuppress-If-Match: {tag}\n")
}

#[test]
fn section_6_1_a_tag_is_of_what_is_told_and_of_nothing_else() {
    let pending = |text: &str| (Authorisation::Pending, Some(body(text)));
    let tag = |fields: &str, state| {
        let mut watched = first(fields, state);
        let _ = watched.said();
        watched.tag()
    };
    let states = [
        active("open"),
        active("closed"),
        active(""),
        (Authorisation::Active, None),
        pending("open"),
    ];
    let tags: Vec<_> = states.map(|state| tag(EVENT, state)).into();
    for (at, one) in tags.iter().enumerate() {
        assert!(
            one.len() <= 24 && one.bytes().all(|b| b.is_ascii_hexdigit()),
            "{one}"
        );
        let same = tags.iter().filter(|other| *other == one).count();
        assert_eq!(same, 1, "{at} of {tags:?}");
    }
    // In every subscription, in every process.
    assert_eq!(tags.first().unwrap(), "e062eac2d3cf71ae692bd2e9");
    assert_eq!(
        tag("Event: presence;id=7\nExpires: 0\n", active("open")),
        *tags.first().unwrap()
    );
    // Who may not see learns nothing by it.
    assert_eq!(tag(EVENT, pending("open")), tag(EVENT, pending("closed")));
    let mut other = body("open");
    let (mut watched, before) = told("open");
    for (state, is_same) in [("open", true), ("closed", false)] {
        other.clone_from(&body(state));
        watched.at(
            10,
            NotifierInput::State(Authorisation::Pending, Some(other.clone())),
        );
        let _ = watched.answered(10, 200, "");
        watched.at(
            11,
            NotifierInput::State(Authorisation::Active, Some(other.clone())),
        );
        let _ = watched.answered(11, 200, "");
        assert_eq!(watched.tag() == before, is_same, "{state}");
    }
}

#[test]
fn section_6_3_a_refresh_by_who_has_the_state_gets_204_and_no_notification() {
    for (condition, expected) in [
        ("TAG", "204 600, refreshed"),
        ("*", "204 600, refreshed"),
        ("wrong", "200 600, > active;expires=600 open, refreshed"),
        ("TAG, TAG", "200 600, > active;expires=600 open, refreshed"),
        (
            "TAG\nSuppress-If-Match: TAG",
            "200 600, > active;expires=600 open, refreshed",
        ),
        ("\"TAG\"", "200 600, > active;expires=600 open, refreshed"),
        ("", "200 600, > active;expires=600 open, refreshed"),
    ] {
        let (mut watched, tag) = told("open");
        let condition = condition.replace("TAG", &tag);
        assert_eq!(
            watched.asked(60, &asking(600, &condition)),
            expected,
            "{condition}"
        );
        assert_eq!(watched.notifier.until(), Some(watched.moment(660)), "{condition}");
        if expected.starts_with("204") {
            assert!(
                watched.wait(700).starts_with("670 > terminated;reason=timeout"),
                "{condition}"
            );
        }
    }
}

#[test]
fn section_6_3_what_changes_is_told_as_ever() {
    let (mut watched, tag) = told("open");
    assert_eq!(watched.asked(60, &asking(600, &tag)), "204 600, refreshed");
    assert_eq!(watched.at(70, note("busy")), "> active;expires=590 busy");
    let busy = watched.tag();
    assert_eq!(watched.answered(70, 200, ""), "");
    // What was so when he asked is news now.
    assert_eq!(watched.at(80, note("open")), "> active;expires=580 open");
    assert_eq!(watched.tag(), tag);
    assert_eq!(watched.answered(80, 200, ""), "");
    assert_eq!(
        watched.asked(90, &asking(600, &busy)),
        "200 600, > active;expires=600 open, refreshed"
    );
}

#[test]
fn section_6_3_what_came_and_went_within_the_pause_is_not_told() {
    let (mut watched, tag) = told("open");
    assert_eq!(watched.asked(1, &asking(600, &tag)), "204 600, refreshed");
    assert_eq!(watched.at(2, note("busy")), "");
    assert_eq!(watched.at(3, note("open")), "");
    assert_eq!(watched.wait(100), "");
    // Nor is it where he asks in between.
    assert_eq!(watched.at(100, note("busy")), "> active;expires=501 busy");
    assert_eq!(watched.answered(100, 200, ""), "");
    let busy = watched.tag();
    assert_eq!(watched.at(101, note("open")), "");
    assert_eq!(watched.at(102, note("busy")), "");
    assert_eq!(watched.asked(103, &asking(600, &busy)), "204 600, refreshed");
    assert_eq!(watched.wait(200), "");
}

#[test]
fn what_he_says_that_he_has_may_be_overtaken_by_what_is_on_its_way() {
    let (mut watched, tag) = told("open");
    assert_eq!(watched.at(10, note("busy")), "> active;expires=3590 busy");
    assert_eq!(watched.at(11, note("open")), "");
    assert_eq!(
        watched.asked(12, &asking(600, &tag)),
        "200 600, refreshed",
        "he is about to believe that she is busy"
    );
    assert_eq!(watched.answered(13, 200, ""), "> active;expires=599 open");
}

#[test]
fn section_6_3_a_wildcard_keeps_every_state_back_and_no_other_word() {
    let (mut watched, _) = told("open");
    assert_eq!(watched.asked(10, &asking(600, "*")), "204 600, refreshed");
    assert_eq!(watched.at(20, note("busy")), "");
    let pending = NotifierInput::State(Authorisation::Pending, Some(body("busy")));
    assert_eq!(watched.at(30, pending), "> pending;expires=580 -");
    assert_eq!(watched.answered(30, 200, ""), "");
    assert_eq!(watched.at(40, note("busy")), "> active;expires=570 -");
    let tag = watched.tag();
    assert_eq!(watched.answered(40, 200, ""), "");
    assert_eq!(watched.at(50, note("away")), "");
    assert_eq!(watched.asked(60, &asking(600, "*")), "204 600, refreshed");
    // Without it all is as ever.
    assert_eq!(
        watched.asked(70, &format!("{EVENT}Expires: 600\n")),
        "200 600, > active;expires=600 away, refreshed"
    );
    assert_ne!(watched.tag(), tag);
    assert_eq!(watched.answered(70, 200, ""), "");
    assert_eq!(watched.asked(80, &asking(600, "*")), "204 600, refreshed");
    for (ending, said) in [
        (Ending::Rejected, "> terminated;reason=rejected -"),
        (Ending::Timeout, "> terminated;reason=timeout -"),
    ] {
        let (mut watched, _) = told("open");
        assert_eq!(watched.asked(10, &asking(600, "*")), "204 600, refreshed");
        assert_eq!(watched.at(20, NotifierInput::End(ending)), said);
    }
}

#[test]
fn section_6_2_outside_a_dialog_only_the_document_is_left_out() {
    let (_, tag) = told("open");
    for (expires, expected) in [
        (600, "200 600, > active;expires=600"),
        (0, "200 0, > terminated;reason=timeout"),
    ] {
        for (condition, document) in [(&*tag, "-"), ("*", "-"), ("wrong", "open")] {
            let mut watched = first(&asking(expires, condition), active("open"));
            assert_eq!(watched.said(), format!("{expected} {document}"), "{condition}");
            assert_eq!(watched.tag(), tag);
            let sent = watched.sent.as_ref().unwrap();
            assert_eq!(
                sent.headers().content_type().is_none(),
                document == "-",
                "{condition}"
            );
        }
    }
    // What could not be told is told again, and a change after it in full.
    let mut watched = first(&asking(600, &tag), active("open"));
    let _ = watched.said();
    assert_eq!(watched.answered(0, 500, ""), "");
    assert_eq!(watched.wait(10), "1 > active;expires=599 -");
    assert_eq!(watched.answered(10, 200, ""), "");
    assert_eq!(watched.at(20, note("open")), "", "he has it");
    assert_eq!(watched.at(20, note("busy")), "> active;expires=580 busy");
}

#[test]
fn section_5_7_who_leaves_and_has_the_state_is_gone_with_204() {
    for condition in ["TAG", "*"] {
        let (mut watched, tag) = told("open");
        let condition = condition.replace("TAG", &tag);
        assert_eq!(watched.asked(10, &asking(0, &condition)), "204 0, over Left");
        assert_eq!(watched.asked(11, EVENT), "481");
        assert_eq!(watched.notifier.timeout(), None);
    }
    let (mut watched, _) = told("open");
    assert_eq!(
        watched.asked(10, &asking(0, "wrong")),
        "200 0, > terminated;reason=timeout open"
    );
    // One whose subscription runs out hears of that, without the document that he has.
    let (mut watched, tag) = told("open");
    assert_eq!(watched.asked(10, &asking(60, &tag)), "204 60, refreshed");
    assert_eq!(watched.wait(90), "80 > terminated;reason=timeout -");
    assert_eq!(watched.tag(), tag);
}

// ---- the subscriber

/// One that was told a state with that tag.
fn tagged(tag: &str) -> Watcher {
    let mut watcher = Watcher::active(3_600);
    tag.clone_into(&mut watcher.etag);
    assert_eq!(watcher.notified(2, "active", "busy"), "200, active busy");
    watcher
}

#[test]
fn section_5_6_a_refresh_names_the_state_that_is_known() {
    let longest = "x".repeat(ENTITY_TAG_BYTES);
    let too_long = "x".repeat(ENTITY_TAG_BYTES + 1);
    for (tag, is_named) in [
        ("b4cf7", true),
        ("a.b-c!%_+`'~*", true),
        (&*longest, true),
        (&*too_long, false),
        ("*", false),
        ("a b", false),
        ("\"a\"", false),
        ("a,b", false),
        ("a\r\nSIP-ETag: b", false),
        ("", false),
    ] {
        let mut watcher = tagged(tag);
        let condition = if is_named {
            format!(" unless {tag}")
        } else {
            String::new()
        };
        assert_eq!(
            watcher.at(10, SubscriberInput::Refresh),
            format!("> c1 2 3600{condition}"),
            "{tag}"
        );
    }
}

#[test]
fn section_5_2_with_204_all_stays_as_it_is_known_for_as_long_as_it_says() {
    let mut watcher = tagged("t1");
    assert_eq!(watcher.at(10, SubscriberInput::Refresh), "> c1 2 3600 unless t1");
    assert_eq!(watcher.answered(10, 204, "Expires: 600"), "");
    assert_eq!(watcher.subscriber.until(), Some(watcher.moment(610)));
    assert_eq!(watcher.wait(480), "", "timer N has nothing to wait for");
    assert_eq!(watcher.wait(490), "490 due, > c1 3 3600 unless t1");
    assert_eq!(watcher.answered(490, 204, "Expires: 600"), "");
    watcher.etag = "t2".to_owned();
    assert_eq!(watcher.notified(500, "active", "open"), "200, active open");
    assert_eq!(watcher.at(510, SubscriberInput::Refresh), "> c1 4 3600 unless t2");
    // Who does not know it answers as ever.
    assert_eq!(watcher.answered(511, 200, "Expires: 600"), "");
    watcher.etag.clear();
    assert_eq!(watcher.notified(512, "active", "open"), "200, active open");
    assert_eq!(watcher.at(520, SubscriberInput::Refresh), "> c1 5 3600");
}

#[test]
fn section_6_2_a_notification_that_leaves_the_document_out_changes_nothing() {
    let mut watcher = tagged("t1");
    assert_eq!(watcher.at(10, SubscriberInput::Refresh), "> c1 2 3600 unless t1");
    assert_eq!(watcher.answered(10, 200, "Expires: 3600"), "");
    assert_eq!(watcher.notified(10, "active;expires=600", ""), "200");
    assert_eq!(watcher.subscriber.until(), Some(watcher.moment(610)));
    assert_eq!(watcher.wait(100), "");
    watcher.etag = "t2".to_owned();
    assert_eq!(
        watcher.notified(110, "active", ""),
        "200, active",
        "that is another state"
    );
    // Who was not asked to leave it out says that there is none.
    let mut watcher = tagged("t1");
    assert_eq!(watcher.notified(3, "active", ""), "200, active");
}

#[test]
fn what_is_told_while_a_refresh_is_under_way_is_asked_for_again_where_it_is_left_open() {
    let mut watcher = tagged("t1");
    assert_eq!(watcher.at(10, SubscriberInput::Refresh), "> c1 2 3600 unless t1");
    watcher.etag = "t2".to_owned();
    assert_eq!(watcher.notified(11, "active", "open"), "200, active open");
    assert_eq!(
        watcher.answered(12, 204, "Expires: 600"),
        "> c1 3 3600",
        "the first state again, or the second still?"
    );
}

#[test]
fn what_is_not_known_is_asked_for_in_full() {
    let picture = MediaType::parse("image/png").unwrap();
    // What could not be read.
    let mut watcher = tagged("t1");
    let unreadable = watcher.notify("active", "").with_body(picture, "x");
    assert_eq!(
        watcher.at(3, SubscriberInput::Notify(Box::new(unreadable))),
        "415"
    );
    assert_eq!(watcher.at(10, SubscriberInput::Refresh), "> c1 2 3600");
    // What nobody has decided.
    let mut watcher = tagged("t1");
    assert_eq!(watcher.notified(3, "pending", ""), "200, pending");
    assert_eq!(watcher.at(10, SubscriberInput::Refresh), "> c1 2 3600");
    // What came with an answer.
    let mut watcher = tagged("t1");
    assert_eq!(watcher.at(10, SubscriberInput::Refresh), "> c1 2 3600 unless t1");
    let pidf = MediaType::parse("application/pidf+xml").unwrap();
    let piggyback = watcher.response(200, "Expires: 600").with_body(pidf, "open");
    assert_eq!(
        watcher.at(11, SubscriberInput::Response(Box::new(piggyback))),
        "active open"
    );
    assert_eq!(watcher.at(12, SubscriberInput::Refresh), "> c1 3 3600");
    // What was refused.
    let mut watcher = tagged("t1");
    assert_eq!(watcher.at(10, SubscriberInput::Refresh), "> c1 2 3600 unless t1");
    assert_eq!(watcher.answered(11, 500, ""), "");
    assert_eq!(watcher.wait(60), "41 due, > c1 3 3600");
    // What another attempt has to bring.
    let mut watcher = tagged("t1");
    assert_eq!(
        watcher.notified(70, "terminated;reason=deactivated", ""),
        "200, lost Terminated"
    );
    assert_eq!(watcher.wait(71), "70 > c2 1 3600");
    // And what stood before a restart.
    let dialog = tagged("t1").subscriber.dialog().unwrap().clone();
    let mut watcher = tagged("t1");
    let (now, left) = (watcher.moment(100), Duration::from_secs(600));
    watcher.subscriber = Subscriber::resume(now, Watcher::terms(3_600), dialog, left, 0);
    assert_eq!(watcher.at(101, SubscriberInput::Refresh), "> c1 2 3600");
}

#[test]
fn section_5_8_who_says_nothing_to_a_condition_gets_none_any_more() {
    let mut watcher = tagged("t1");
    assert_eq!(watcher.at(100, SubscriberInput::Refresh), "> c1 2 3600 unless t1");
    assert_eq!(watcher.answered(100, 200, "Expires: 3600"), "");
    assert_eq!(
        watcher.wait(140),
        "134 lost Failed(None); 135 > c2 1 3600",
        "neither 204 nor a notification"
    );
    assert_eq!(watcher.notified(141, "active", "open"), "200, active open");
    assert_eq!(watcher.answered(141, 200, "Expires: 3600"), "");
    assert_eq!(watcher.at(150, SubscriberInput::Refresh), "> c2 2 3600");
}

#[test]
fn section_5_7_leaving_is_over_with_204() {
    let mut watcher = tagged("t1");
    assert_eq!(watcher.at(10, SubscriberInput::Stop), "> c1 2 0 unless t1");
    assert_eq!(watcher.answered(11, 204, "Expires: 0"), "over Stopped");
    let mut watcher = tagged("t1");
    assert_eq!(watcher.at(10, SubscriberInput::Stop), "> c1 2 0 unless t1");
    assert_eq!(watcher.answered(11, 200, "Expires: 0"), "");
    assert_eq!(
        watcher.notified(12, "terminated;reason=timeout", ""),
        "200, over Stopped"
    );
}

#[test]
fn section_7_1_204_has_its_name() {
    assert_eq!(StatusCode::NO_NOTIFICATION.reason(), "No Notification");
}

const EVENT: &str = "Event: presence\n";
