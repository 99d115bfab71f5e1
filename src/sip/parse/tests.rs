#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use super::*;
use crate::sip::{Method, Rport, Scheme, StatusCode, Transport, Uri};

/// A request that is right, with the lines of `change` in place of those of the same name, or added.
fn request(change: &[&str]) -> Vec<u8> {
    let mut lines = vec![
        "MESSAGE sip:bob@example.com SIP/2.0".to_owned(),
        "Via: SIP/2.0/TCP a.example.org;branch=z9hG4bK1".to_owned(),
        "From: <sip:alice@example.org>;tag=f1".to_owned(),
        "To: <sip:bob@example.com>".to_owned(),
        "Call-ID: c1".to_owned(),
        "CSeq: 1 MESSAGE".to_owned(),
    ];
    for line in change {
        let name = line.split(':').next().unwrap();
        match lines
            .iter_mut()
            .skip(1)
            .find(|old| old.starts_with(&format!("{name}:")))
        {
            Some(old) => *old = (*line).to_owned(),
            None => lines.push((*line).to_owned()),
        }
    }
    let mut text = lines.join("\r\n");
    text.push_str("\r\n\r\n");
    text.into_bytes()
}

fn with_start(line: &str) -> Vec<u8> {
    let text = String::from_utf8(request(&[])).unwrap();
    text.replace("MESSAGE sip:bob@example.com SIP/2.0", line)
        .into_bytes()
}

fn read(bytes: &[u8]) -> Result<Message, BadMessage> {
    message(bytes, &SipLimits::default())
}

fn error(bytes: &[u8]) -> ParseError {
    read(bytes).unwrap_err().error
}

fn read_request(bytes: &[u8]) -> Request {
    match read(bytes) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_is_read_in_all_its_parts() {
    let text = "MESSAGE sip:bob@example.com;transport=tls SIP/2.0\r\n\
        v: SIP / 2.0 / TLS  a.example.org : 5071 ; branch = z9hG4bK1 ; rport, SIP/2.0/UDP [2001:db8::1];branch=z9hG4bK2\r\n\
        Max-Forwards: 0068\r\n\
        Via: SIP/2.0/TCP b.example.org;branch=z9hG4bK3\r\n\
        f: \"Alice \\\"A\\\"\" <sips:alice@example.org>;tag=f1\r\n\
        To: sip:bob@example.com;x=y\r\n\
        i: c1@a\r\n\
        CSeq: 0007\r\n  MESSAGE\r\n\
        s: Hi\r\n\tthere\r\n\
        X-Odd: ;;,,\r\n\
        m: <sip:a@h>, sip:b@h;q=0.5\r\n\
        c: text/plain;charset=utf-8\r\n\
        L : 5\r\n\r\nhello and more";
    let request = read_request(text.as_bytes());
    let headers = request.headers();
    assert_eq!(request.method(), &Method::Message);
    assert_eq!(request.uri().to_string(), "sip:bob@example.com;transport=tls");
    let vias: Vec<_> = headers.vias().map(ToString::to_string).collect();
    assert_eq!(
        vias,
        [
            "SIP/2.0/TLS a.example.org:5071;branch=z9hG4bK1;rport",
            "SIP/2.0/UDP [2001:db8::1];branch=z9hG4bK2",
            "SIP/2.0/TCP b.example.org;branch=z9hG4bK3"
        ]
    );
    assert_eq!(headers.top_via().transport(), &Transport::Tls);
    assert_eq!(headers.top_via().rport(), Rport::Asked);
    assert_eq!(headers.max_forwards(), Some(68));
    assert_eq!(headers.from().display(), Some("Alice \"A\""));
    assert_eq!(headers.from().tag(), Some("f1"));
    assert!(matches!(headers.from().uri(), Uri::Sip(uri) if uri.scheme() == Scheme::Sips));
    assert_eq!(headers.to().params().get("x"), Some("y"));
    assert_eq!(headers.to().uri().to_string(), "sip:bob@example.com");
    assert_eq!(headers.call_id().as_str(), "c1@a");
    assert_eq!(headers.cseq().number(), 7);
    assert_eq!(headers.get("Subject"), Some("Hi there"));
    let other: Vec<_> = headers
        .other()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    assert_eq!(other, [("Subject", "Hi there"), ("X-Odd", ";;,,")]);
    assert_eq!(headers.contact().addresses().len(), 2);
    assert!(headers.content_type().unwrap().is("text", "plain"));
    assert_eq!(request.body().as_ref(), b"hello");
}

#[test]
fn a_response_is_read_with_its_reason() {
    for (line, status, reason) in [
        ("SIP/2.0 200 OK", 200, "OK"),
        ("SIP/2.0 100 ", 100, ""),
        ("sip/2.0 699 Nein, für immer = 2^3", 699, "Nein, für immer = 2^3"),
    ] {
        match read(&with_start(line)) {
            Ok(Message::Response(response)) => {
                assert_eq!((response.status().code(), response.reason()), (status, reason));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn start_lines_that_are_not_exact_are_refused() {
    use ParseError::{RequestUri, StartLine, Status, Version};
    for (line, why) in [
        ("MESSAGE  sip:b@h SIP/2.0", StartLine),
        ("MESSAGE sip:b@h  SIP/2.0", StartLine),
        ("MESSAGE sip:b@h SIP/2.0 ", StartLine),
        (" MESSAGE sip:b@h SIP/2.0", StartLine),
        ("MESSAGE sip:b@h; lr SIP/2.0", StartLine),
        ("MESSAGE sip:b@h\tSIP/2.0", StartLine),
        ("MESSAGE sip:b@h\r\n SIP/2.0", StartLine),
        ("MESSAGE sip:b@h", StartLine),
        ("MESS/AGE sip:b@h SIP/2.0", StartLine),
        ("MESSAGE sip:b@h HTTP/1.1", StartLine),
        ("MESSAGE sip:b@h SIP/2", StartLine),
        ("MESSAGE sip:b@h SIP/7.0", Version),
        ("MESSAGE sip:b@h SIP/2.00", Version),
        ("MESSAGE <sip:b@h> SIP/2.0", RequestUri(Flaw::Scheme)),
        ("MESSAGE sip:b@h?subject=x SIP/2.0", RequestUri(Flaw::UriHeaders)),
        ("MESSAGE b@h SIP/2.0", RequestUri(Flaw::Scheme)),
        ("SIP/2.0 200", StartLine),
        ("SIP/2.0  200 OK", Status),
        ("SIP/2.0 99 X", Status),
        ("SIP/2.0 099 X", Status),
        ("SIP/2.0 700 X", Status),
        ("SIP/2.0 +20 X", Status),
        ("SIP/2.0 4294967301 X", Status),
        ("SIP/3.0 200 OK", Version),
        ("SIP/2.0/UDP 200 OK", StartLine),
        ("", StartLine),
    ] {
        assert_eq!(error(&with_start(line)), why, "{line:?}");
    }
}

#[test]
fn heads_that_are_not_clean_text_are_refused() {
    use ParseError::{BareLineBreak, Control, FieldName, HeadUnfinished, NotUtf8};
    let fine = request(&[]);
    assert_eq!(error(&fine[..fine.len() - 1]), HeadUnfinished);
    assert_eq!(error(b""), HeadUnfinished);
    for (line, why) in [
        ("Subject: a\nb", BareLineBreak),
        ("Subject: a\n", BareLineBreak),
        ("Subject: a\rb", BareLineBreak),
        ("Subject: \"a\\\rb\"", BareLineBreak),
        ("Subject: a\0b", Control),
        ("Subject: a\x7fb", Control),
        ("Subject: \"\\\0\"", Control),
        ("From: \"a\0\" <sip:a@h>;tag=1", Control),
        ("From: \\\0 <sip:a@h>;tag=1", Control),
        ("From: \"a\" <sip:\\\0@h>;tag=1", Control),
        ("Content-Type: text/plain;x=\"\\\0\"", Control),
        ("Route: \"\\\0\" <sip:a@h>", Control),
        ("Via: SIP/2.0/UDP h;x=\"\\\0\"", Control),
        ("Subject", FieldName),
        ("Sub ject: x", FieldName),
        (": x", FieldName),
        ("Subject\r\n : x", FieldName),
        ("Bücher: x", FieldName),
    ] {
        assert_eq!(error(&request(&[line])), why, "{line:?}");
    }
    let mut bytes = request(&["Subject: ??"]);
    let at = bytes.windows(2).position(|w| w == b"??").unwrap();
    bytes[at] = 0xFF;
    assert_eq!(error(&bytes), NotUtf8);
    let escaped = request(&["From: \"BEL:\\\x07 NUL:\\\0 DEL:\\\x7f\" <sip:a@h>;tag=1"]);
    let display = "BEL:\x07 NUL:\0 DEL:\x7f";
    assert_eq!(read_request(&escaped).headers().from().display(), Some(display));
}

#[test]
fn single_fields_stand_once_and_mandatory_ones_stand() {
    for (line, field) in [
        ("f: <sip:x@h>;tag=2", Field::From),
        ("t: <sip:x@h>", Field::To),
        ("i: c2", Field::CallId),
        ("CSEQ: 2 MESSAGE", Field::CSeq),
        ("Max-Forwards: 1\r\nmax-forwards: 1", Field::MaxForwards),
        ("Content-Type: a/b\r\nc: a/b", Field::ContentType),
        ("Content-Length: 0\r\nl: 0", Field::ContentLength),
        ("Expires: 1\r\nExpires: 1", Field::Expires),
        (
            "Date: Fri, 01 Jan 2010 16:00:00 GMT\r\nDate: Fri, 01 Jan 2010 16:00:00 GMT",
            Field::Date,
        ),
        ("Event: a\r\no: a", Field::Event),
        (
            "Subscription-State: active\r\nSubscription-State: active",
            Field::SubscriptionState,
        ),
    ] {
        assert_eq!(error(&request(&[line])), ParseError::Repeated(field), "{line:?}");
    }
    let fine = String::from_utf8(request(&[])).unwrap();
    for (field, line) in [
        (Field::Via, "Via: SIP/2.0/TCP a.example.org;branch=z9hG4bK1\r\n"),
        (Field::From, "From: <sip:alice@example.org>;tag=f1\r\n"),
        (Field::To, "To: <sip:bob@example.com>\r\n"),
        (Field::CallId, "Call-ID: c1\r\n"),
        (Field::CSeq, "CSeq: 1 MESSAGE\r\n"),
    ] {
        let bad = read(fine.replace(line, "").as_bytes()).unwrap_err();
        assert_eq!(bad.error, ParseError::Missing(field));
        assert_eq!(bad.reply.is_some(), field != Field::Via);
    }
}

#[test]
fn malformed_values_are_refused_with_their_field_and_flaw() {
    use Field::{Contact, ContentLength, Event, Expires, From, MaxForwards, Route, To, Via};
    use Flaw::{
        Bracket, EmptyElement, Host, Number, Parameter, ParameterTwice, Port, Quote, Range, Scheme, Token,
        Trailing, Unbracketed,
    };
    for (line, field, flaw) in [
        ("To: \"Bob <sip:bob@example.com>", To, Quote),
        ("To: \"Bob\\", To, Quote),
        ("To: \"Bob\" sip:bob@example.com", To, Bracket),
        ("To: < sip:bob@example.com >", To, Scheme),
        ("To: <sip:bob@example.com", To, Bracket),
        ("To: Bell, Alexander <sip:a@h>", To, Scheme),
        ("To: <sip:a@h>, <sip:b@h>", To, Trailing),
        ("To: <sip:a@h>;", To, Parameter),
        ("To: <sip:a@h>;;x", To, Parameter),
        ("To: <sip:a@h>;x=", To, Parameter),
        ("To: <sip:a@h>;x=a;X=b", To, ParameterTwice),
        ("To: <sip:a@h>;tag=\"q\"", To, Parameter),
        ("To: <sip:a@h>;tag", To, Parameter),
        ("To:", To, Scheme),
        ("From: sip:a@h?b=c;tag=1", From, Unbracketed),
        ("Contact: sip:a@h?Route=%3Csip:x%3E", Contact, Unbracketed),
        ("Contact: sip:a,b@h", Contact, Scheme),
        ("Contact:", Contact, EmptyElement),
        ("Contact: ,<sip:a@h>", Contact, EmptyElement),
        ("Contact: <sip:a@h>,", Contact, EmptyElement),
        ("Contact: *, <sip:a@h>", Contact, Scheme),
        ("Contact: *\r\nm: <sip:a@h>", Contact, Trailing),
        ("Contact: <sip:a@h>\r\nm: *", Contact, Trailing),
        ("Route: sip:a@h;lr", Route, Bracket),
        ("Route: <sip:a@h;lr> x", Route, Trailing),
        ("Via: SIP/2.0/UDP 192.0.2.15;;,;,,", Via, Parameter),
        ("Via: SIP/2.0/UDP", Via, Token),
        ("Via: SIP/2.0/UDPa.example.org;branch=1", Via, Token),
        ("Via: SIP/2.0 a.example.org", Via, Flaw::Protocol),
        ("Via: SIP/2.0/UDP 2001:db8::9:1;branch=z", Via, Port),
        ("Via: SIP/2.0/UDP h:0;branch=z", Via, Port),
        ("Via: SIP/2.0/UDP h:65536;branch=z", Via, Port),
        ("Via: SIP/2.0/UDP h:;branch=z", Via, Port),
        ("Via: SIP/2.0/UDP -h;branch=z", Via, Host),
        ("Via: SIP/2.0/UDP h;branch=\"z\"", Via, Parameter),
        ("Via: SIP/2.0/UDP h;branch", Via, Parameter),
        ("Via: SIP/2.0/UDP h;received=example.com", Via, Parameter),
        ("Via: SIP/2.0/UDP h;rport=0", Via, Parameter),
        ("Via: SIP/2.0/UDP h;ttl=256", Via, Parameter),
        ("Via: SIP/2.0/UDP h;maddr=a_b.1", Via, Parameter),
        ("Max-Forwards: 256", MaxForwards, Range),
        ("Max-Forwards: -1", MaxForwards, Number),
        ("Content-Length: -999", ContentLength, Number),
        ("Content-Length: +5", ContentLength, Number),
        ("Content-Length: 0x5", ContentLength, Number),
        ("Content-Length: 5 5", ContentLength, Number),
        ("Content-Length:", ContentLength, Number),
        ("Content-Length: 4294967296", ContentLength, Range),
        ("Content-Length: 18446744073709551617", ContentLength, Range),
        ("Expires: soon", Expires, Number),
        ("Event: ;id=1", Event, Token),
        ("Content-Type: text", Field::ContentType, Flaw::MediaType),
        ("Date: Fri, 01 Jan 2010 16:00:00 EST", Field::Date, Flaw::Date),
        ("CSeq: 2147483648 MESSAGE", Field::CSeq, Range),
        ("Call-ID: a b", Field::CallId, Token),
    ] {
        assert_eq!(
            error(&request(&[line])),
            ParseError::Malformed(field, flaw),
            "{line:?}"
        );
    }
}

#[test]
fn a_sequence_of_another_method_is_refused() {
    assert_eq!(error(&request(&["CSeq: 1 INVITE"])), ParseError::MethodMismatch);
    assert_eq!(
        error(&with_start("NEW sip:b@h SIP/2.0")),
        ParseError::UnknownMethodMismatch
    );
    assert!(read(&with_start("SIP/2.0 200 OK")).is_ok());
}

#[test]
fn a_datagram_gives_its_body_by_content_length_or_to_its_end() {
    let with = |length: &str, body: &str| {
        let mut bytes = request(if length.is_empty() {
            &[]
        } else {
            std::slice::from_ref(&length)
        });
        bytes.extend_from_slice(body.as_bytes());
        bytes
    };
    assert_eq!(read(&with("", "body")).unwrap().body().as_ref(), b"body");
    assert_eq!(
        read(&with("Content-Length: 2", "body")).unwrap().body().as_ref(),
        b"bo"
    );
    assert_eq!(
        read(&with("l :\t00004", "body")).unwrap().body().as_ref(),
        b"body"
    );
    assert_eq!(error(&with("Content-Length: 5", "body")), ParseError::BodyShort);
}

#[test]
fn limits_hold_at_their_last_octet() {
    let limits = SipLimits {
        message_bytes: 400,
        head_bytes: 300,
        line_bytes: 100,
        header_fields: 7,
        values_of_a_kind: 2,
        transactions: 1,
    };
    let check = |bytes: &[u8], why: Option<ParseError>| {
        assert_eq!(message(bytes, &limits).err().map(|bad| bad.error), why);
    };
    let field = |length: usize| format!("Subject: {}", "x".repeat(length - 9));
    check(&request(&[&field(100)]), None);
    check(&request(&[&field(101)]), Some(ParseError::FieldTooLong));
    let line = |length: usize| format!("MESSAGE sip:{} SIP/2.0", "x".repeat(length - 20));
    check(&with_start(&line(100)), None);
    check(&with_start(&line(101)), Some(ParseError::StartLineTooLong));
    check(&request(&["A: 1", "B: 2"]), None);
    check(
        &request(&["A: 1", "B: 2", "C: 3"]),
        Some(ParseError::TooManyFields),
    );
    check(&request(&["Contact: <sip:a@h>,<sip:b@h>"]), None);
    let three = request(&["Contact: <sip:a@h>,<sip:b@h>, <sip:c@h>"]);
    check(&three, Some(ParseError::Malformed(Field::Contact, Flaw::TooMany)));
    let size = request(&[]).len();
    let pad = |length: usize| [request(&[]), vec![b'x'; length - size]].concat();
    check(&pad(400), None);
    check(&pad(401), Some(ParseError::MessageTooLarge));
    let two = [field(100), field(88).replace("Subject", "Xubject")];
    let head = |first: &str| request(&[first, &two[1]]);
    let over = head(&field(100)).len() - 2 - 300;
    check(&head(&field(100 - over)), None);
    check(&head(&field(101 - over)), Some(ParseError::HeadTooLarge));
}

#[test]
fn a_refused_request_is_answered_where_the_way_back_is_known() {
    let reply = |bytes: &[u8]| read(bytes).unwrap_err().reply;
    let answer = reply(&request(&["Expires: x"])).unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(answer.headers().from().tag(), Some("f1"));
    assert_eq!(answer.headers().call_id().as_str(), "c1");
    assert_eq!(answer.headers().cseq().to_string(), "1 MESSAGE");
    assert_eq!(answer.headers().top_via().branch(), Some("z9hG4bK1"));
    let again = reply(&request(&["Expires: x"])).unwrap();
    assert!(answer.headers().to().tag().is_some());
    assert_eq!(answer, again);
    assert_eq!(
        reply(&with_start("MESSAGE sip:b@h SIP/7.0")).unwrap().status(),
        StatusCode::VERSION_NOT_SUPPORTED
    );
    let in_dialog = reply(&request(&["To: <sip:b@h>;tag=t", "Expires: x"])).unwrap();
    assert_eq!(in_dialog.headers().to().tag(), Some("t"));
    for silent in [
        with_start("ACK sip:b@h SIP/2.0"),
        with_start("ACK sip:b@h  SIP/2.0"),
        with_start("SIP/2.0 999 X"),
        request(&["Via: SIP/2.0/UDP h, ,"]),
        request(&["Expires: x", "Via2: x", "v: SIP/2.0/UDP -"]),
        request(&["Expires: x", "Via2: x", "v: SIP/2.0/UDP a\0"]),
    ] {
        assert_eq!(reply(&silent), None, "{:?}", silent.escape_ascii().to_string());
    }
}

#[test]
fn what_could_not_be_read_goes_back_as_it_came_and_what_is_missing_stays_so() {
    let answer = |bytes: &[u8]| {
        let reply = read(bytes).unwrap_err().reply.unwrap();
        let mut out = Vec::new();
        crate::sip::write::response(&reply, &mut out);
        String::from_utf8(out).unwrap()
    };
    let to = answer(&request(&["To: \"Bob <sip:bob@example.com>"]));
    assert!(to.starts_with("SIP/2.0 400 Bad Request\r\n"));
    assert!(to.contains("\r\nTo: \"Bob <sip:bob@example.com>\r\n"), "{to}");
    assert!(
        to.contains("\r\nFrom: <sip:alice@example.org>;tag=f1\r\n"),
        "{to}"
    );
    let cseq = answer(&request(&["CSeq: 36893488147419103232 MESSAGE"]));
    assert!(
        cseq.contains("\r\nCSeq: 36893488147419103232 MESSAGE\r\n"),
        "{cseq}"
    );
    let text = String::from_utf8(request(&[])).unwrap();
    let missing = answer(
        text.replace("From: <sip:alice@example.org>;tag=f1\r\n", "")
            .as_bytes(),
    );
    assert!(
        !missing.contains("From") && !missing.contains("invalid"),
        "{missing}"
    );
    let second = answer(&request(&["To: <>", "t: <sip:second@h>"]));
    assert!(second.contains("\r\nTo: <sip:second@h>;tag="), "{second}");
}
