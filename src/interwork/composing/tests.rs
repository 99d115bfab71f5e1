use super::*;
use crate::interwork::tests::{jid, message, of_type, written};

const NS: &str = "http://jabber.org/protocol/chatstates";

#[test]
fn states_map_by_the_tables_of_rfc_7573() {
    // §6, table 3
    assert_eq!(Typing::Active.to_chat_state(), ChatState::Composing);
    assert_eq!(Typing::Idle.to_chat_state(), ChatState::Active);
    // §6, table 4
    for (state, typing) in [
        (ChatState::Active, Some(Typing::Idle)),
        (ChatState::Inactive, Some(Typing::Idle)),
        (ChatState::Gone, None),
        (ChatState::Composing, Some(Typing::Active)),
        (ChatState::Paused, Some(Typing::Idle)),
    ] {
        assert_eq!(state.to_typing(), typing, "{state:?}");
    }
}

#[test]
fn a_chat_state_is_read_alone_and_beside_a_body() {
    for state in ChatState::ALL {
        let name = state.as_str();
        for children in [
            format!("<{name} xmlns='{NS}'/>"),
            format!("<body>x</body><thread>t</thread><{name} xmlns='{NS}'/><x xmlns='urn:x'/>"),
        ] {
            for attributes in ["", "type='chat'", "type='normal'"] {
                assert_eq!(of_stanza(&message(attributes, &children)), Some(state));
            }
            for attributes in ["type='groupchat'", "type='headline'", "type='error'"] {
                assert_eq!(of_stanza(&message(attributes, &children)), None);
            }
        }
    }
    for children in [
        "<body>x</body>".to_owned(),
        format!("<typing xmlns='{NS}'/>"),
        "<composing xmlns='urn:x'/>".to_owned(),
        format!("<x xmlns='urn:x'><composing xmlns='{NS}'/></x>"),
        format!("<composing xmlns='{NS}'/><gone xmlns='{NS}'/>"),
    ] {
        assert_eq!(of_stanza(&message("type='chat'", &children)), None, "{children}");
    }
}

#[test]
fn a_state_is_said_without_body_and_is_not_to_be_kept() {
    let (from, to) = (jid("romeo@example.net"), jid("juliet@example.com/balcony"));
    let stanza = to_stanza(ChatState::Composing, from.clone(), to.clone(), Some("t<1"));
    assert_eq!(
        written(&stanza),
        "<message from='romeo@example.net' to='juliet@example.com/balcony' type='chat'><thread>t&lt;1</thread>\
         <composing xmlns='http://jabber.org/protocol/chatstates'/><no-store xmlns='urn:xmpp:hints'/></message>"
    );
    for state in ChatState::ALL {
        let stanza = to_stanza(state, from.clone(), to.clone(), None);
        assert_eq!(of_stanza(&stanza), Some(state));
        assert_eq!(stanza.child_text("thread"), None);
    }
}

#[test]
fn what_we_say_is_read_again() {
    for typing in [Typing::Active, Typing::Idle] {
        let (kind, body) = keyboard_activity(typing);
        assert!(is_activity(&kind));
        let read = of_request(&of_type("INFO", &kind.to_string(), &body)).unwrap();
        assert_eq!((read.state, read.refresh), (typing, None));
        let (kind, body) = is_composing(typing, Some(Duration::from_secs(90)));
        assert!(is_activity(&kind));
        for method in ["MESSAGE", "INFO"] {
            let read = of_request(&of_type(method, &kind.to_string(), &body)).unwrap();
            let refresh = (typing == Typing::Active).then_some(Duration::from_secs(90));
            assert_eq!((read.state, read.refresh), (typing, refresh));
        }
    }
    let (_, body) = keyboard_activity(Typing::Active);
    assert_eq!(
        body,
        "<?xml version=\"1.0\"?><KeyboardActivity><status status=\"type\"/></KeyboardActivity>"
    );
    // RFC 3994 §3.2: no shorter than 60 seconds
    let (_, body) = is_composing(Typing::Active, Some(Duration::from_secs(5)));
    assert!(body.contains("<refresh>60</refresh>"), "{body}");
    let (_, body) = is_composing(Typing::Active, None);
    assert!(!body.contains("refresh"), "{body}");
}

#[test]
fn documents_of_others_are_read() {
    use MessageError as E;
    let composing = |inner: &str| {
        format!(
            "<?xml version='1.0'?>\n<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'>{inner}</isComposing>"
        )
    };
    let keyboard =
        |status: &str| format!("<KeyboardActivity>\n<status status='{status}'/>\n</KeyboardActivity>");
    let iscomposing = "application/im-iscomposing+xml";
    for (method, kind, body, read) in [
        // RFC 3994 §5
        (
            "MESSAGE",
            iscomposing,
            composing("<state>active</state><contenttype>text/plain</contenttype><refresh>90</refresh>"),
            Ok((Typing::Active, Some(90))),
        ),
        (
            "MESSAGE",
            iscomposing,
            composing(
                "<state>idle</state><lastactive>2003-01-27T10:43:00Z</lastactive><refresh>90</refresh>",
            ),
            Ok((Typing::Idle, None)),
        ),
        // §3.5: unknown states are idle, foreign elements are passed over
        (
            "MESSAGE",
            iscomposing,
            composing("<state>dancing</state>"),
            Ok((Typing::Idle, None)),
        ),
        (
            "MESSAGE",
            iscomposing,
            composing("<state> active </state><x xmlns='urn:x'/>"),
            Ok((Typing::Active, None)),
        ),
        (
            "MESSAGE",
            iscomposing,
            composing("<state>active</state><refresh>0</refresh>"),
            Ok((Typing::Active, None)),
        ),
        (
            "MESSAGE",
            iscomposing,
            composing("<state>active</state><refresh>-9</refresh>"),
            Ok((Typing::Active, None)),
        ),
        (
            "MESSAGE",
            iscomposing,
            composing("<state>active</state><refresh>99999999999</refresh>"),
            Ok((Typing::Active, Some(3_600))),
        ),
        ("MESSAGE", iscomposing, composing(""), Err(E::Garbled)),
        (
            "MESSAGE",
            iscomposing,
            "<isComposing><state>active</state></isComposing>".to_owned(),
            Err(E::Garbled),
        ),
        ("MESSAGE", iscomposing, "typing".to_owned(), Err(E::Garbled)),
        (
            "MESSAGE",
            iscomposing,
            composing(&"<a>".repeat(40)),
            Err(E::Garbled),
        ),
        (
            "MESSAGE",
            iscomposing,
            composing("<!DOCTYPE x [<!ENTITY a 'b'>]><state>active</state>"),
            Err(E::Garbled),
        ),
        (
            "MESSAGE",
            iscomposing,
            composing(&" ".repeat(9_000)),
            Err(E::Garbled),
        ),
        (
            "MESSAGE",
            "message/cpim",
            format!(
                "From: <im:a@b>\r\n\r\nContent-Type: {iscomposing}\r\n\r\n{}",
                composing("<state>active</state>")
            ),
            Ok((Typing::Active, None)),
        ),
        (
            "MESSAGE",
            "message/cpim",
            "From: x\r\n\r\n\r\nhello".to_owned(),
            Err(E::MediaType),
        ),
        (
            "INFO",
            "application/xml",
            keyboard("type"),
            Ok((Typing::Active, None)),
        ),
        (
            "INFO",
            "application/xml",
            keyboard("TYPE"),
            Ok((Typing::Active, None)),
        ),
        (
            "INFO",
            "application/xml",
            keyboard("idle"),
            Ok((Typing::Idle, None)),
        ),
        (
            "INFO",
            "application/xml",
            keyboard("sleeping"),
            Ok((Typing::Idle, None)),
        ),
        (
            "INFO",
            "application/xml",
            "<KeyboardActivity/>".to_owned(),
            Err(E::Garbled),
        ),
        (
            "INFO",
            "application/xml",
            "<action/>".to_owned(),
            Err(E::MediaType),
        ),
        (
            "INFO",
            "application/xml",
            "<KeyboardActivity".to_owned(),
            Err(E::Garbled),
        ),
        (
            "INFO",
            "application/csta+xml",
            keyboard("type"),
            Err(E::MediaType),
        ),
        ("MESSAGE", "application/xml", keyboard("type"), Err(E::MediaType)),
        ("MESSAGE", "text/plain", "hello".to_owned(), Err(E::MediaType)),
        (
            "OPTIONS",
            iscomposing,
            composing("<state>active</state>"),
            Err(E::NotAMessage),
        ),
    ] {
        let result = of_request(&of_type(method, kind, &body))
            .map(|activity| (activity.state, activity.refresh.map(|time| time.as_secs())));
        assert_eq!(result, read, "{method} {kind} {body}");
    }
}

#[test]
fn an_activity_holds_as_long_as_its_sender_says_or_two_minutes() {
    let lasts = |refresh| {
        Activity {
            state: Typing::Active,
            refresh,
        }
        .lasts()
    };
    assert_eq!(lasts(None), Duration::from_secs(120));
    assert_eq!(lasts(Some(Duration::from_secs(60))), Duration::from_secs(60));
}
