use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::interwork::tests::{of_type, request};

fn base64(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

fn invite(fields: &str) -> Result<Option<String>, MessageError> {
    first_message(&request("INVITE", fields, b"")).map(|found| found.map(|message| message.text().to_owned()))
}

#[test]
fn the_first_message_is_read() {
    use MessageError as E;
    let plain = base64("grüß dich\r\nromeo".as_bytes());
    let html = base64(b"<b>bold</b>");
    let picture = base64(b"GIF89a");
    for (fields, text) in [
        (String::new(), Ok(None)),
        (
            format!("ms-text-format: text/plain; charset=UTF-8; ms-body={plain}\r\n"),
            Ok(Some("grüß dich\nromeo")),
        ),
        (
            format!(
                "Ms-Text-Format: text/plain; charset=UTF-8;msgr=WABNAA;ms-body={}\r\n",
                plain.trim_end_matches('=')
            ),
            Ok(Some("grüß dich\nromeo")),
        ),
        (
            format!("ms-text-format: text/plain; charset=\"UTF-8\"; MS-Body = \"{plain}\"\r\n"),
            Ok(Some("grüß dich\nromeo")),
        ),
        (
            format!(
                "ms-text-format: text/plain; charset=iso-8859-1; ms-body={}\r\n",
                base64(b"\xFC")
            ),
            Ok(Some("ü")),
        ),
        // the plain form goes before the others, and a form that can be read before one that cannot
        (
            format!(
                "ms-im-format: text/html; ms-body={html}\r\nms-text-format: text/plain; ms-body={plain}\r\n"
            ),
            Ok(Some("grüß dich\nromeo")),
        ),
        (
            format!("ms-im-format: text/html; charset=UTF-8; ms-body={html}\r\n"),
            Ok(Some("bold")),
        ),
        (
            format!(
                "ms-im-format: image/gif; ms-body={picture}\r\nms-im-format: text/html; ms-body={html}\r\n"
            ),
            Ok(Some("bold")),
        ),
        (
            format!("ms-im-format: image/gif; ms-body={picture}\r\n"),
            Err(E::MediaType),
        ),
        (
            "ms-text-format: text/plain; charset=UTF-8\r\n".to_owned(),
            Ok(None),
        ),
        ("ms-text-format: text/plain; ms-body=\r\n".to_owned(), Ok(None)),
        (
            "ms-text-format: text/plain; ms-body=!!!\r\n".to_owned(),
            Err(E::Garbled),
        ),
        (
            "ms-text-format: text/plain; ms-body=YQ==YQ==\r\n".to_owned(),
            Err(E::Garbled),
        ),
        (
            "ms-text-format: text/plain; ms-body=YQ==;ms-body=Yg==\r\n".to_owned(),
            Err(E::Garbled),
        ),
        (
            "ms-text-format: text; ms-body=YQ==\r\n".to_owned(),
            Err(E::Garbled),
        ),
        (
            format!("ms-text-format: text/plain; ms-body={}\r\n", base64(b"\xFF")),
            Err(E::Garbled),
        ),
        (
            format!("ms-text-format: text/plain; ms-body={}\r\n", base64(b" \n ")),
            Err(E::Empty),
        ),
    ] {
        assert_eq!(
            invite(&fields),
            text.map(|text| text.map(str::to_owned)),
            "{fields}"
        );
    }
}

#[test]
fn no_message_is_longer_than_its_bound() {
    assert_eq!(
        decode(&base64(&[b'x'; EMBEDDED_BYTES])).map(|octets| octets.len()),
        Ok(EMBEDDED_BYTES)
    );
    for octets in [EMBEDDED_BYTES + 1, 10 * EMBEDDED_BYTES] {
        assert!(matches!(
            decode(&base64(&vec![b'x'; octets])),
            Err(MessageError::TooLarge { .. })
        ));
    }
}

#[test]
fn only_an_invite_has_one_and_it_is_known_when_it_comes_again() {
    let fields = format!(
        "ms-text-format: text/plain; charset=UTF-8; ms-body={}\r\n",
        base64(b"a\r\nb")
    );
    assert_eq!(first_message(&request("MESSAGE", &fields, b"")), Ok(None));
    let message = first_message(&request("INVITE", &fields, b"")).unwrap().unwrap();
    assert!(message.same_as(&of_type("MESSAGE", "text/plain; charset=UTF-8;msgr=x", "a\r\nb")));
    assert!(message.same_as(&of_type("MESSAGE", "text/html", "a<br>b")));
    assert!(!message.same_as(&of_type("MESSAGE", "text/plain", "a\r\nc")));
    assert!(!message.same_as(&of_type("INFO", "text/plain", "a\r\nb")));
    assert!(!message.same_as(&request("MESSAGE", "", b"")));
    let other = Embedded {
        call_id: "call-2".to_owned(),
        ..message
    };
    assert!(!other.same_as(&of_type("MESSAGE", "text/plain", "a\r\nb")));
}
