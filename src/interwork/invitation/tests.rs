use super::*;
use crate::interwork::tests::{of_type, request};
use crate::sip::sdp::Sdp;

const HEAD: &str = "v=0\r\no=- 0 0 IN IP4 10.1.2.3\r\ns=session\r\nc=IN IP4 10.1.2.3\r\nt=0 0\r\n";
const MESSAGES: &str = "m=message 5060 sip null\r\na=accept-types:text/plain multipart/alternative image/gif text/rtf \
    text/html application/x-ms-ink application/ms-imdn+xml text/x-msmsgsinvite \r\n";

fn invite(fields: &str, media: &str) -> Result<Invitation, InvitationRefused> {
    let body = format!("{HEAD}{media}");
    judge(&request(
        "INVITE",
        &format!("Content-Type: application/sdp\r\n{fields}"),
        body.as_bytes(),
    ))
}

#[test]
fn a_conversation_of_two_is_taken_and_nothing_else() {
    use InvitationRefused as R;
    let message = || Ok(Invitation::Messages(Streams::of(MessageMedia::Message)));
    let two = "EndPoints: <sip:romeo@example.net>, \"Capulet, Juliet\" <sip:juliet@example.com>\r\n";
    for (fields, media, judged) in [
        ("", MESSAGES, message()),
        (two, MESSAGES, message()),
        (
            "TriggeredInvite: FALSE\r\nRequire: timer\r\n",
            MESSAGES,
            message(),
        ),
        ("", "m=message 5060 sip sip:romeo@example.net\r\n", message()),
        ("", "m=Message 5060 SIP null\r\n", message()),
        (
            "",
            "m=x-ms-message 5060 sip null\r\n",
            Ok(Invitation::Messages(Streams::of(MessageMedia::Legacy))),
        ),
        (
            "EndPoints: <sip:a@example.net>, <sip:b@example.com>, <sip:c@example.com>\r\n",
            MESSAGES,
            Err(R::Multiparty),
        ),
        (
            "EndPoints: <sip:a@e.net>, <sip:b@e.com>\r\nEndPoints: <sip:c@e.com>\r\n",
            MESSAGES,
            Err(R::Multiparty),
        ),
        ("TriggeredInvite: TRUE\r\n", MESSAGES, Err(R::Multiparty)),
        (
            "Require: timer, com.microsoft.rtc-multiparty\r\n",
            MESSAGES,
            Err(R::Multiparty),
        ),
        ("", "m=audio 50000 RTP/AVP 0\r\n", Err(R::Call)),
        ("", "m=video 50000 RTP/AVP 34\r\n", Err(R::Call)),
        (
            "",
            "m=message 5060 sip null\r\nm=audio 50000 RTP/AVP 0\r\n",
            Err(R::Call),
        ),
        (
            "",
            "m=applicationsharing 50000 TCP/RTP/AVP 127\r\n",
            Err(R::OtherMedia),
        ),
        ("", "m=data 50000 TCP 127\r\n", Err(R::OtherMedia)),
        ("", "m=message 2855 TCP/MSRP *\r\n", Err(R::Msrp)),
        ("", "m=message 2855 TCP/TLS/MSRP *\r\n", Err(R::Msrp)),
        ("", "m=message 0 sip null\r\n", Err(R::OtherMedia)),
        ("", "", Err(R::OtherMedia)),
        ("", "m=message x sip null\r\n", Err(R::Description)),
        ("", "nonsense\r\n", Err(R::Description)),
        ("Content-Encoding: gzip\r\n", MESSAGES, Err(R::MediaType)),
    ] {
        assert_eq!(invite(fields, media), judged, "{fields}{media}");
    }
    assert_eq!(judge(&request("INVITE", "", b"")), Ok(Invitation::Offerless));
    assert_eq!(
        judge(&request("INVITE", "TriggeredInvite: TRUE\r\n", b"")),
        Err(R::Multiparty)
    );
    assert_eq!(judge(&request("MESSAGE", "", b"")), Err(R::NotAnInvitation));
    let many = "m=message 0 sip null\r\n".repeat(16) + MESSAGES;
    assert_eq!(invite("", &many), Err(R::OtherMedia));
}

#[test]
fn other_bodies_are_refused_by_what_they_are_about() {
    use InvitationRefused as R;
    let sdp = |media: &str| format!("Content-Type: application/sdp\r\n\r\n{HEAD}{media}");
    let of = |kind: &str| format!("Content-Type: {kind}\r\n\r\n<x/>");
    for (kind, parts, judged) in [
        (
            "multipart/mixed",
            vec![sdp(MESSAGES), of("application/ms-filetransfer+xml")],
            Err(R::FileTransfer),
        ),
        (
            "multipart/mixed",
            vec![of("text/x-msmsgsinvite"), sdp(MESSAGES)],
            Err(R::FileTransfer),
        ),
        (
            "multipart/mixed",
            vec![of("application/ms-conf-invite+xml")],
            Err(R::Conference),
        ),
        (
            "multipart/alternative",
            vec![sdp("m=audio 5 RTP/AVP 0\r\n"), sdp("m=audio 6 RTP/AVP 0\r\n")],
            Err(R::Call),
        ),
        (
            "multipart/alternative",
            vec![sdp("m=audio 5 RTP/AVP 0\r\n"), sdp(MESSAGES)],
            Ok(Invitation::Messages(Streams::of(MessageMedia::Message))),
        ),
        (
            "multipart/mixed",
            vec![of("application/gw+xml"), sdp(MESSAGES)],
            Ok(Invitation::Messages(Streams::of(MessageMedia::Message))),
        ),
        (
            "multipart/mixed",
            vec![of("application/gw+xml")],
            Err(R::MediaType),
        ),
    ] {
        let body = format!("--b\r\n{}\r\n--b--\r\n", parts.join("\r\n--b\r\n"));
        assert_eq!(
            judge(&of_type("INVITE", &format!("{kind};boundary=b"), &body)),
            judged,
            "{body}"
        );
    }
    for (kind, refused) in [
        ("application/ms-conf-invite+xml", R::Conference),
        ("text/x-msmsgsinvite", R::FileTransfer),
        ("text/plain", R::MediaType),
        ("multipart/mixed", R::Description),
        ("multipart/mixed;boundary=c", R::Description),
    ] {
        assert_eq!(judge(&of_type("INVITE", kind, "x")), Err(refused), "{kind}");
    }
    assert_eq!(judge(&request("INVITE", "", b"x")), Err(R::MediaType));
}

#[test]
fn refusals_say_what_a_user_can_understand() {
    use InvitationRefused as R;
    for (refused, status) in [
        (R::NotAnInvitation, 405),
        (R::Multiparty, 488),
        (R::Conference, 488),
        (R::FileTransfer, 603),
        (R::Call, 488),
        (R::Msrp, 488),
        (R::OtherMedia, 488),
        (R::Description, 400),
        (R::MediaType, 415),
    ] {
        assert_eq!(refused.sip_status(), status);
        assert!(crate::xmpp::error::Condition::from_name(refused.stanza_condition()).is_some());
        assert!(!refused.peer_text().is_empty() && refused.class().starts_with("invitation_"));
    }
}

#[test]
fn our_descriptions_are_those_of_these_servers() {
    let host = Host::parse("edge.example.com").unwrap();
    assert_eq!(
        offer(&host, MessageMedia::Message),
        "v=0\r\no=- 0 0 IN IP4 edge.example.com\r\ns=session\r\nc=IN IP4 edge.example.com\r\nt=0 0\r\n\
         m=message 5060 sip null\r\n\
         a=accept-types:text/plain text/html text/rtf multipart/alternative message/cpim application/im-iscomposing+xml message/imdn+xml application/ms-imdn+xml\r\n"
    );
    let v6 = offer(&Host::parse("[2001:db8::1]").unwrap(), MessageMedia::Legacy);
    assert!(
        v6.contains("c=IN IP6 2001:db8::1\r\n") && v6.contains("m=x-ms-message 5060 sip null\r\n"),
        "{v6}"
    );
    let offered = "m=audio 0 RTP/AVP 0\r\nm=x-ms-message 5060 sip null\r\nm=message 5060 sip null\r\n";
    let Ok(Invitation::Messages(streams)) = invite("", offered) else {
        panic!("not taken");
    };
    assert_eq!(streams.media(), MessageMedia::Legacy);
    let uri = Uri::parse("sip:romeo@example.net").unwrap();
    let answer = answer(&host, &streams, &uri);
    assert!(Sdp::parse(answer.as_bytes()).is_ok_and(|sdp| sdp.is_of_messages()));
    let lines: Vec<_> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        lines,
        [
            "m=audio 0 RTP/AVP 0",
            "m=x-ms-message 5060 sip sip:romeo@example.net",
            "m=message 0 sip 0",
        ]
    );
    // what we offer is what we take
    let own = offer(&host, MessageMedia::Message);
    assert_eq!(
        judge(&of_type("INVITE", "application/sdp", &own)),
        Ok(Invitation::Messages(Streams::of(MessageMedia::Message)))
    );
}
