use super::*;
use crate::interwork::tests::{jid, message, of_type, written};
use crate::sip::Date;

const DOCUMENT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">\n\
    <message-id>34jk324j</message-id><datetime>2008-04-04T12:16:49-05:00</datetime>\
    <recipient-uri>im:bob@example.com</recipient-uri>\n<NOTE><status>\n<STATUS/></status></NOTE></imdn>";

fn document(note: &str, status: &str) -> String {
    DOCUMENT
        .replace("NOTE", &format!("{note}-notification"))
        .replace("STATUS", status)
}

fn cpim(head: &str, kind: &str, body: &str) -> String {
    format!("From: Bob <im:bob@example.com>\r\n{head}\r\nContent-type: {kind}\r\n\r\n{body}")
}

#[test]
fn stanzas_ask_and_tell() {
    let request = "<request xmlns='urn:xmpp:receipts'/>";
    let markable = "<markable xmlns='urn:xmpp:chat-markers:0'/>";
    for (attributes, children, asked) in [
        ("id='m1'", request.to_owned(), vec![Receipt::Delivered]),
        (
            "id='m1' type='chat'",
            format!("<body>x</body>{request}{markable}"),
            vec![Receipt::Delivered, Receipt::Displayed],
        ),
        ("id='m1'", markable.to_owned(), vec![Receipt::Displayed]),
        ("id='m1'", "<body>x</body>".to_owned(), vec![]),
        ("", request.to_owned(), vec![]),
        ("id=''", request.to_owned(), vec![]),
        ("id='m1' type='error'", request.to_owned(), vec![]),
        ("id='m1' type='groupchat'", request.to_owned(), vec![]),
        // a receipt asks for none
        (
            "id='m1'",
            format!("{request}<received xmlns='urn:xmpp:receipts' id='m0'/>"),
            vec![],
        ),
    ] {
        let stanza = message(attributes, &children);
        assert_eq!(
            Asked::of_stanza(&stanza, now()),
            Asked::new("m1", &asked, now()),
            "{attributes} {children}"
        );
    }
    for (attributes, children, told) in [
        (
            "",
            "<received xmlns='urn:xmpp:receipts' id='m1'/>",
            Some(Receipt::Delivered),
        ),
        (
            "type='chat'",
            "<received xmlns='urn:xmpp:chat-markers:0' id='m1'/>",
            Some(Receipt::Delivered),
        ),
        (
            "",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>",
            Some(Receipt::Displayed),
        ),
        (
            "type='error'",
            "<received xmlns='urn:xmpp:receipts' id='m1'/>",
            None,
        ),
        (
            "type='groupchat'",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>",
            None,
        ),
        ("", "<received xmlns='urn:xmpp:receipts'/>", None),
        ("", "<displayed xmlns='urn:xmpp:receipts' id='m1'/>", None),
        ("", "<received xmlns='urn:xmpp:receipts' id='a&#10;b'/>", None),
    ] {
        let read = of_stanza(&message(attributes, children));
        assert_eq!(
            read,
            told.map(|receipt| (receipt, "m1".to_owned())),
            "{attributes} {children}"
        );
    }
}

#[test]
fn a_receipt_is_told_in_a_stanza() {
    let (from, to) = (jid("romeo@example.net"), jid("juliet@example.com/balcony"));
    for (receipt, xml) in [
        (
            Receipt::Delivered,
            "type='chat'><received xmlns='urn:xmpp:receipts' id='m&lt;1'/></message>",
        ),
        (
            Receipt::Displayed,
            "type='chat'><displayed xmlns='urn:xmpp:chat-markers:0' id='m&lt;1'/></message>",
        ),
        (
            Receipt::Failed,
            "type='error' id='m&lt;1'><error type='wait'><recipient-unavailable \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
        ),
    ] {
        let stanza = to_stanza(receipt, "m<1", from.clone(), to.clone());
        let text = written(&stanza);
        assert!(text.ends_with(xml), "{text}");
        let told = of_stanza(&stanza);
        assert_eq!(
            told,
            (receipt != Receipt::Failed).then(|| (receipt, "m<1".to_owned()))
        );
    }
}

#[test]
fn a_request_tells() {
    use MessageError as E;
    let in_wrapper = |body: &str| cpim("NS: imdn <urn:ietf:params:imdn>\r\n", "message/imdn+xml", body);
    for (note, status, told) in [
        ("delivery", "delivered", Some(Receipt::Delivered)),
        ("delivery", "failed", Some(Receipt::Failed)),
        ("display", "displayed", Some(Receipt::Displayed)),
        ("delivery", "forbidden", None),
        ("delivery", "error", None),
        ("display", "forbidden", None),
        ("processing", "processed", None),
        ("processing", "delivered", None),
    ] {
        let told = Ok(told.map(|receipt| (receipt, "34jk324j".to_owned())));
        let body = document(note, status);
        for request in [
            of_type("MESSAGE", "message/imdn+xml", &body),
            of_type("MESSAGE", "message/cpim", &in_wrapper(&body)),
        ] {
            assert!(is_receipt(&request));
            assert_eq!(of_request(&request), told, "{note} {status}");
        }
    }
    let microsoft =
        "<imdn xmlns='http://schemas.microsoft.com/rtc/2005/08/imdn'><message-id>1</message-id></imdn>";
    let body = document("delivery", "delivered");
    for (method, kind, body, is, read) in [
        (
            "MESSAGE",
            "application/ms-imdn+xml",
            microsoft.to_owned(),
            true,
            Ok(None),
        ),
        (
            "MESSAGE",
            "application/ms-imdn+xml",
            "anything".to_owned(),
            true,
            Ok(None),
        ),
        (
            "MESSAGE",
            "message/imdn+xml",
            "anything".to_owned(),
            true,
            Err(E::Garbled),
        ),
        (
            "MESSAGE",
            "message/imdn+xml",
            body.replace("34jk324j", ""),
            true,
            Err(E::Garbled),
        ),
        (
            "MESSAGE",
            "message/imdn+xml",
            body.replace("34jk324j", &"x".repeat(129)),
            true,
            Err(E::Garbled),
        ),
        (
            "MESSAGE",
            "message/imdn+xml",
            body.replace("params:xml:ns:imdn", "x"),
            true,
            Err(E::Garbled),
        ),
        ("MESSAGE", "message/cpim", in_wrapper(""), true, Err(E::Garbled)),
        (
            "MESSAGE",
            "message/cpim",
            cpim("", "text/plain", "hello"),
            false,
            Err(E::MediaType),
        ),
        (
            "MESSAGE",
            "message/cpim",
            "hello".to_owned(),
            false,
            Err(E::Garbled),
        ),
        ("MESSAGE", "text/plain", body.clone(), false, Err(E::MediaType)),
        (
            "INFO",
            "message/imdn+xml",
            body.clone(),
            false,
            Err(E::NotAMessage),
        ),
    ] {
        let request = of_type(method, kind, &body);
        assert_eq!(is_receipt(&request), is, "{kind} {body}");
        assert_eq!(of_request(&request), read, "{kind} {body}");
    }
}

#[test]
fn a_request_asks_in_its_wrapper() {
    let ns = "NS: imdn <urn:ietf:params:imdn>\r\n";
    for (head, asked) in [
        (
            format!("{ns}imdn.Message-ID: 34jk\r\nimdn.Disposition-Notification: positive-delivery, negative-delivery\r\n"),
            vec![Receipt::Delivered, Receipt::Failed],
        ),
        (
            "NS: i <urn:ietf:params:imdn>\r\ni.message-id: 34jk\r\ni.Disposition-Notification: display,processing\r\n".to_owned(),
            vec![Receipt::Displayed],
        ),
        (
            format!("{ns}imdn.Message-ID: 34jk\r\nimdn.Disposition-Notification: display\r\nimdn.Disposition-Notification: positive-delivery\r\n"),
            vec![Receipt::Displayed, Receipt::Delivered],
        ),
        (format!("{ns}imdn.Message-ID: 34jk\r\nimdn.Disposition-Notification: dance\r\n"), vec![]),
        (format!("{ns}imdn.Disposition-Notification: display\r\n"), vec![]),
        ("imdn.Message-ID: 34jk\r\nimdn.Disposition-Notification: display\r\n".to_owned(), vec![]),
        ("NS: imdn <urn:x>\r\nimdn.Message-ID: 34jk\r\nimdn.Disposition-Notification: display\r\n".to_owned(), vec![]),
        ("NS: <urn:ietf:params:imdn>\r\nMessage-ID: 34jk\r\nDisposition-Notification: display\r\n".to_owned(), vec![]),
    ] {
        let request = of_type("MESSAGE", "message/cpim", &cpim(&head, "text/plain", "hi"));
        assert_eq!(Asked::of_request(&request, now()), Asked::new("34jk", &asked, now()), "{head}");
        // a receipt asks for none
        let receipt = cpim(&head, "message/imdn+xml", &document("delivery", "delivered"));
        assert_eq!(Asked::of_request(&of_type("MESSAGE", "message/cpim", &receipt), now()), None);
    }
    assert_eq!(
        Asked::of_request(&of_type("MESSAGE", "text/plain", "hi"), now()),
        None
    );
}

#[test]
fn the_time_of_the_message_is_told_again_as_its_sender_wrote_it() {
    let ns = "NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 34jk\r\nimdn.Disposition-Notification: display\r\n";
    let uri = Uri::parse("sip:juliet@example.com").unwrap();
    let parties = Parties { from: &uri, to: &uri };
    for (date, told) in [
        (
            "DateTime: 2006-04-04T12:16:49-05:00\r\n",
            "2006-04-04T12:16:49-05:00",
        ),
        ("", "2023-11-14T22:13:20Z"),
        ("DateTime: </datetime>\r\n", "2023-11-14T22:13:20Z"),
    ] {
        let body = cpim(&format!("{date}{ns}"), "text/plain", "hi");
        let asked = Asked::of_request(&of_type("MESSAGE", "message/cpim", &body), now()).unwrap();
        let (_, body) = asked.to_body(Receipt::Displayed, "own", parties).unwrap();
        assert!(body.contains(&format!("<datetime>{told}</datetime>")), "{body}");
    }
}

#[test]
fn what_we_write_is_read_again() {
    let from = Uri::parse("sip:juliet@example.com;gr=balcony").unwrap();
    let to = Uri::parse("sip:romeo@example.net").unwrap();
    let parties = Parties { from: &from, to: &to };
    let asked = |id: &str| Asked::new(id, &[Receipt::Displayed, Receipt::Delivered], now()).unwrap();
    for receipt in [Receipt::Delivered, Receipt::Displayed, Receipt::Failed] {
        let (kind, body) = asked("m-1").to_body(receipt, "own", parties).unwrap();
        let request = of_type("MESSAGE", &kind.to_string(), &body);
        assert!(is_receipt(&request));
        assert_eq!(of_request(&request), Ok(Some((receipt, "m-1".to_owned()))));
        for illegal in ["a b", "<", "a\"b"] {
            assert_eq!(asked(illegal).to_body(receipt, "own", parties), None);
        }
        for illegal in ["", "a b", "a\r\nTo: x", "<", &"x".repeat(129)] {
            assert_eq!(asked("m-1").to_body(receipt, illegal, parties), None);
        }
    }
    let (_, body) = asked("m-1").to_body(Receipt::Delivered, "own", parties).unwrap();
    assert_eq!(
        body,
        "From: <sip:juliet@example.com;gr=balcony>\r\nTo: <sip:romeo@example.net>\r\n\
         NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: own\r\n\r\nContent-Type: message/imdn+xml\r\n\
         Content-Disposition: notification\r\nContent-Length: 296\r\n\r\n<?xml version='1.0' encoding='UTF-8'?>\
         <imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>m-1</message-id><datetime>2023-11-14T22:13:20Z</datetime>\
         <recipient-uri>sip:juliet@example.com;gr=balcony</recipient-uri><delivery-notification><status><delivered/></status>\
         </delivery-notification></imdn>"
    );
    let plain = MediaType::plain("text", "plain").with("charset", "UTF-8");
    let (kind, body) = asked("m 1").wrap("m-1", parties, (&plain, "hi\r\nyou")).unwrap();
    let request = of_type("MESSAGE", &kind.to_string(), &body);
    let all = [Receipt::Displayed, Receipt::Delivered, Receipt::Failed];
    assert_eq!(Asked::of_request(&request, now()), Asked::new("m-1", &all, now()));
    assert_eq!(super::super::message::text_of(&request), Ok("hi\nyou".to_owned()));
    assert_eq!(asked("m-1").wrap("a b", parties, (&plain, "hi")), None);

    let mut stanza = message("id='m-1'", "<body>x</body>");
    asked("m-1").put(&mut stanza);
    assert_eq!(Asked::of_stanza(&stanza, now()), Some(asked("m-1")));
}

fn now() -> Date {
    Date::from_unix_seconds(1_700_000_000).unwrap()
}
