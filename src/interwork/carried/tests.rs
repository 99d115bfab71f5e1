use super::*;
use crate::interwork::composing::{Typing, is_composing, keyboard_activity};
use crate::interwork::tests::of_type;

#[test]
fn a_request_carries_one_thing() {
    use MessageError as E;
    let activity = |state| Ok(Carried::Activity(Activity { state, refresh: None }));
    let imdn = "<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>m</message-id><display-notification><status>\
        <displayed/></status></display-notification></imdn>";
    let (_, keyboard) = keyboard_activity(Typing::Active);
    let (_, composing) = is_composing(Typing::Idle, None);
    let wrapped = |kind: &str, body: &str| format!("From: x\r\n\r\nContent-Type: {kind}\r\n\r\n{body}");
    let composing_type = "application/im-iscomposing+xml";
    for (method, kind, body, carried) in [
        ("MESSAGE", "text/plain", "hi".to_owned(), Ok(Carried::Text)),
        (
            "MESSAGE",
            "message/cpim",
            wrapped("text/plain", "hi"),
            Ok(Carried::Text),
        ),
        ("MESSAGE", "image/gif", "hi".to_owned(), Ok(Carried::Text)),
        ("MESSAGE", "application/xml", keyboard.clone(), Ok(Carried::Text)),
        (
            "MESSAGE",
            composing_type,
            composing.clone(),
            activity(Typing::Idle),
        ),
        (
            "MESSAGE",
            "message/cpim",
            wrapped(composing_type, &composing),
            activity(Typing::Idle),
        ),
        ("MESSAGE", composing_type, "x".to_owned(), Err(E::Garbled)),
        (
            "MESSAGE",
            "message/imdn+xml",
            imdn.to_owned(),
            Ok(Carried::Receipt(Receipt::Displayed, "m".to_owned())),
        ),
        (
            "MESSAGE",
            "application/ms-imdn+xml",
            "<imdn/>".to_owned(),
            Ok(Carried::Nothing),
        ),
        ("MESSAGE", "message/imdn+xml", "x".to_owned(), Err(E::Garbled)),
        (
            "INFO",
            "application/xml",
            keyboard.clone(),
            activity(Typing::Active),
        ),
        (
            "INFO",
            "application/x-ms-mim",
            "<RequestRM/>".to_owned(),
            Err(E::MediaType),
        ),
        (
            "INFO",
            "application/csta+xml",
            "<x/>".to_owned(),
            Err(E::MediaType),
        ),
        ("INFO", "text/plain", "hi".to_owned(), Err(E::MediaType)),
    ] {
        assert_eq!(
            read(&of_type(method, kind, &body)),
            carried,
            "{method} {kind} {body}"
        );
    }
}
