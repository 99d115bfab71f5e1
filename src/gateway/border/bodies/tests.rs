use super::*;
use crate::limits::Limits;
use crate::sip::proxy::{Face, Inner, Veil};
use crate::sip::{Transport, parse};

const SDP: &str = "v=0\r\no=ann 0 0 IN IP4 10.1.2.3\r\ns=-\r\nc=IN IP4 10.1.2.3\r\nt=0 0\r\n";
const HIDDEN: &str = "v=0\r\no=- 0 0 IN IP4 edge.example\r\ns=session\r\nc=IN IP4 edge.example\r\nt=0 0\r\n";
const NAMED: &str = "im1.corp.example";

fn proxy() -> Proxy {
    let face = |host: &str| Face::new(Transport::Tls, Host::parse(host).unwrap(), None);
    let inner = Inner::new([NAMED.to_owned(), "10.0.0.9".to_owned()]);
    Proxy::new(
        Veil::new(b"secret"),
        face("edge.example"),
        vec![face("10.0.0.1")],
        inner,
    )
}

/// What goes on in place of a body; the same body where it goes on as it is.
fn searched(way: Way, terms: &Terms, kind: &str, body: &str) -> Result<String, Withheld> {
    let text = format!(
        "MESSAGE sip:a@h SIP/2.0\r\nVia: SIP/2.0/TLS h;branch=z9hG4bK1\r\nFrom: <sip:b@h>;tag=1\r\nTo: <sip:a@h>\r\n\
         Call-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let limits = Limits::default();
    let message = parse::message(text.as_bytes(), &limits.sip).unwrap();
    let proxy = proxy();
    let search = Search {
        proxy: &proxy,
        terms,
        xml: &limits.xml,
        own: "sip:ann@in.example",
        way,
    };
    let found = search.search(message.headers(), message.body())?;
    Ok(found.map_or_else(|| body.to_owned(), |octets| String::from_utf8(octets).unwrap()))
}

fn outward(kind: &str, body: &str) -> Result<String, Withheld> {
    searched(Way::Outward, &Terms::default(), kind, body)
}

fn presence(inner: &str) -> String {
    format!(
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:ann@in.example'><tuple id='a'><status><basic>open</basic></status>{inner}</tuple></presence>"
    )
}

#[test]
fn what_a_person_wrote_goes_outside_whatever_it_says() {
    let words = format!("ask sip:root@10.0.0.9 at {NAMED}");
    for kind in [
        "text/plain",
        "text/html;charset=utf-8",
        "text/rtf",
        "text/vcard",
        "image/gif",
        "application/x-ms-ink",
        "application/xhtml+xml",
    ] {
        assert_eq!(outward(kind, &words), Ok(words.clone()), "{kind}");
    }
    let note = presence(&format!("<note>{words}</note>"));
    assert_eq!(outward("application/pidf+xml", &note), Ok(note.clone()));
    let envelope = format!(
        "From: <sip:ann@in.example>\r\nTo: <sip:bob@out.example>\r\nSubject: {words}\r\n\r\n\
         Content-Type: text/plain\r\n\r\n{words}"
    );
    assert_eq!(outward("message/cpim", &envelope), Ok(envelope.clone()));
}

#[test]
fn of_presence_a_device_is_shown_as_its_user() {
    for (contact, shown) in [
        ("sip:ann@10.1.2.3:5070;transport=tcp", "sip:ann@in.example"),
        ("sips:ann@im1.corp.example", "sip:ann@in.example"),
        ("im:ann@im1.corp.example", "sip:ann@in.example"),
        ("sip:ann@other.example", "sip:ann@in.example"),
        ("10.1.2.3", "sip:ann@in.example"),
    ] {
        let body = presence(&format!("<contact priority='0.8'>{contact}</contact>"));
        let found = outward("application/pidf+xml", &body).unwrap();
        assert!(found.starts_with("<?xml"), "{found}");
        assert!(
            found.contains(&format!(">{shown}</contact>")) && found.contains("0.8"),
            "{contact}: {found}"
        );
        assert!(!found.contains(contact), "{found}");
    }
    for contact in [
        "sip:ann@in.example;gr=x",
        "im:ann@in.example",
        "tel:+15551234",
        "mailto:ann@in.example",
    ] {
        let body = presence(&format!("<contact>{contact}</contact>"));
        assert_eq!(
            outward("application/pidf+xml", &body),
            Ok(body.clone()),
            "{contact}"
        );
    }
}

#[test]
fn what_names_a_place_or_cannot_be_searched_stays_inside() {
    let dialog = "<dialog-info xmlns='urn:ietf:params:xml:ns:dialog-info' version='1' state='full' entity='sip:ann@in.example'>\
        <dialog id='1'><local><target uri='sip:ann@10.1.2.3'/></local></dialog></dialog-info>";
    let named = |kind: &str| Err(Withheld::Named(kind.to_owned()));
    let opaque = |kind: &str| Err(Withheld::Opaque(kind.to_owned()));
    let unreadable = |kind: &str| Err(Withheld::Unreadable(kind.to_owned()));
    let rows = [
        (
            "application/dialog-info+xml",
            dialog.to_owned(),
            named("application/dialog-info+xml"),
        ),
        (
            "application/pidf+xml",
            presence(&format!("<x>{NAMED}</x>")),
            named("application/pidf+xml"),
        ),
        (
            "application/pidf+xml",
            presence(&format!("<x y='{NAMED}'/>")),
            named("application/pidf+xml"),
        ),
        (
            "text/xml+msrtc.pidf",
            "<a b='sip:x@10.1.2.3'/>".to_owned(),
            named("text/xml+msrtc.pidf"),
        ),
        (
            "application/xml",
            "<!DOCTYPE a><a/>".to_owned(),
            unreadable("application/xml"),
        ),
        (
            "application/pidf+xml",
            "presence".to_owned(),
            unreadable("application/pidf+xml"),
        ),
        (
            "application/octet-stream",
            "x".to_owned(),
            opaque("application/octet-stream"),
        ),
        (
            "application/pkcs7-mime;x=y",
            "x".to_owned(),
            opaque("application/pkcs7-mime;x=y"),
        ),
        ("message/sip", "x".to_owned(), opaque("message/sip")),
        (
            "text/x-msmsgsinvite",
            "IP-Address: 10.1.2.3\r\n".to_owned(),
            opaque("text/x-msmsgsinvite"),
        ),
        (
            "text/plain;x=\"im1.corp.example\"",
            "x".to_owned(),
            named("text/plain"),
        ),
        ("image/gif;name=\"1@10.1.2.3\"", String::new(), named("image/gif")),
        (
            "message/sipfrag",
            "INVITE sip:a@10.1.2.3 SIP/2.0\r\n".to_owned(),
            opaque("message/sipfrag"),
        ),
        ("multipart/mixed", "x".to_owned(), unreadable("multipart/mixed")),
        (
            "message/cpim",
            "From: <sip:ann@10.1.2.3>\r\n\r\nContent-Type: text/plain\r\n\r\nx".to_owned(),
            named("message/cpim"),
        ),
        (
            "message/cpim",
            "From: <sip:ann@in.example>\r\n\r\nContent-Type: application/zip\r\n\r\nx".to_owned(),
            opaque("application/zip"),
        ),
        ("message/cpim", "hello".to_owned(), unreadable("message/cpim")),
    ];
    let all = Terms {
        bodies: Bodies::Any,
        sessions: Sessions::OfAnything,
        ..Terms::default()
    };
    for (kind, body, wanted) in rows {
        assert_eq!(outward(kind, &body), wanted, "{kind} {body}");
        assert_eq!(
            searched(Way::Outward, &all, kind, &body),
            Ok(body.clone()),
            "{kind} {body}"
        );
        assert_eq!(
            searched(Way::Inward, &all, kind, &body),
            Ok(body.clone()),
            "{kind} {body}"
        );
        if !kind.starts_with("multipart") {
            assert_eq!(
                searched(Way::Inward, &Terms::default(), kind, &body),
                Ok(body.clone()),
                "{kind} {body}"
            );
        }
    }
}

#[test]
fn what_may_hold_a_call_and_cannot_be_read_goes_no_way_where_only_messages_pass() {
    let call = format!("{SDP}m=audio 4000 RTP/AVP 0\r\n");
    let mixed = "multipart/mixed;boundary=b";
    let part = |head: &str, body: &str| format!("--b\r\n{head}\r\n\r\n{body}\r\n--b--\r\n");
    let coded = part(
        "Content-Type: application/sdp\r\nContent-Transfer-Encoding: base64",
        "dj0w",
    );
    let deep = (0..5).fold(call.clone(), |inner, depth| {
        let kind = match depth {
            0 => "application/sdp".to_owned(),
            _ => format!("multipart/mixed;boundary=\"{}\"", "b".repeat(7 - depth)),
        };
        let delimiter = format!("--{}", "b".repeat(6 - depth));
        format!("{delimiter}\r\nContent-Type: {kind}\r\n\r\n{inner}\r\n{delimiter}--\r\n")
    });
    let sdp = part("Content-Type: application/sdp", &call);
    let junk = format!("--b\r\n\r\nhello\r\n--b--junk\r\n\r\n{sdp}");
    let encoded = |kind: &str| format!("{kind}\r\nContent-Encoding: gzip");
    let rows = [
        (mixed.to_owned(), "x".to_owned(), "multipart/mixed"),
        (mixed.to_owned(), coded, "application/sdp"),
        (mixed.to_owned(), junk, "multipart/mixed"),
        ("multipart/mixed;boundary=bb".to_owned(), deep, "multipart/mixed"),
        (encoded("application/sdp"), call, "application/sdp"),
        (encoded(mixed), sdp, "multipart/mixed"),
    ];
    let messages = Terms {
        bodies: Bodies::Any,
        ..Terms::default()
    };
    let anything = Terms {
        sessions: Sessions::OfAnything,
        ..messages.clone()
    };
    for (kind, body, what) in rows {
        for way in [Way::Inward, Way::Outward] {
            assert_eq!(
                searched(way, &messages, &kind, &body),
                Err(Withheld::Session(what.to_owned())),
                "{way:?} {kind} {body}"
            );
        }
        assert_eq!(
            searched(Way::Inward, &anything, &kind, &body),
            Ok(body.clone()),
            "{kind}"
        );
    }
}

#[test]
fn parts_from_outside_go_on_as_they_were_read() {
    let body = "other\r\n--b\r\nX-Y: z\r\n\r\nhello\r\n--b-- \r\nother";
    let kind = "multipart/mixed;boundary=b";
    assert_eq!(
        searched(Way::Inward, &Terms::default(), kind, body).unwrap(),
        "--b\r\n\r\nhello\r\n--b--\r\n"
    );
}

#[test]
fn of_a_piece_of_an_answer_its_status_goes_outside() {
    let body = format!("SIP/2.0 404 not at {NAMED}\r\nContact: <sip:ann@10.1.2.3>\r\n");
    assert_eq!(
        outward("message/sipfrag;version=2.0", &body).unwrap(),
        "SIP/2.0 404 Not Found\r\n"
    );
}

#[test]
fn each_part_is_searched_as_if_it_stood_alone() {
    let kind = "multipart/mixed;boundary=b";
    let parts = |rest: &str, sdp: &str| {
        format!(
            "--b\r\nContent-Type: application/sdp\r\n\r\n{sdp}m=message 5060 sip null\r\n\r\n--b\r\nContent-Type: {rest}\r\n--b--\r\n"
        )
    };
    let text = "text/plain\r\n\r\nhello im1.corp.example";
    assert_eq!(outward(kind, &parts(text, SDP)), Ok(parts(text, HIDDEN)));
    let nested = "multipart/alternative;boundary=c\r\n\r\n--c\r\nContent-Type: application/octet-stream\r\n\r\nx\r\n--c--\r\n";
    assert_eq!(
        outward(kind, &parts(nested, SDP)),
        Err(Withheld::Opaque("application/octet-stream".to_owned()))
    );
    let coded = "application/pidf+xml\r\nContent-Transfer-Encoding: base64\r\n\r\neA==";
    assert!(matches!(
        outward(kind, &parts(coded, SDP)),
        Err(Withheld::Opaque(_))
    ));
    let named = format!("text/plain\r\nContent-ID: <1@{NAMED}>\r\n\r\nx");
    assert!(matches!(
        outward(kind, &parts(&named, SDP)),
        Err(Withheld::Named(_))
    ));
    let related =
        format!("multipart/related;boundary=c;start=\"<1@{NAMED}>\"\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n");
    assert!(matches!(
        outward(kind, &parts(&related, SDP)),
        Err(Withheld::Named(_))
    ));
    let messages = format!("{SDP}m=message 5060 sip null\r\n");
    assert_eq!(
        searched(Way::Inward, &Terms::default(), kind, &parts(coded, &messages)),
        Ok(parts(coded, &messages)),
        "from outside as it is"
    );
}

#[test]
fn a_call_that_is_answered_or_offered_late_comes_to_messages_or_to_nothing() {
    let call = format!("{SDP}m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n");
    let kind = "application/sdp";
    assert_eq!(
        searched(Way::Inward, &Terms::default(), kind, &call).unwrap(),
        format!("{SDP}m=audio 0 RTP/AVP 0\r\n")
    );
    assert_eq!(
        outward(kind, &call).unwrap(),
        format!("{HIDDEN}m=audio 0 RTP/AVP 0\r\n")
    );
    assert_eq!(outward(kind, "no description"), Ok(String::new()));
    assert_eq!(
        searched(Way::Inward, &Terms::default(), kind, "no description"),
        Ok(String::new())
    );
    let parts = |call: &str| format!("--b\r\nContent-Type: application/sdp\r\n\r\n{call}\r\n--b--\r\n");
    assert!(
        searched(
            Way::Inward,
            &Terms::default(),
            "multipart/mixed;boundary=b",
            &parts(&call)
        )
        .unwrap()
        .contains("m=audio 0 RTP/AVP 0\r\n\r\n--b--")
    );
    let calls = Terms {
        sessions: Sessions::OfAnything,
        ..Terms::default()
    };
    assert_eq!(searched(Way::Inward, &calls, kind, &call), Ok(call.clone()));
    let shown = searched(Way::Outward, &calls, kind, &call).unwrap();
    assert!(
        shown.contains("c=IN IP4 10.1.2.3\r\n") && shown.contains("m=audio 4000"),
        "{shown}"
    );
    assert!(shown.contains("o=- 0 0 IN IP4 edge.example"), "{shown}");
}
