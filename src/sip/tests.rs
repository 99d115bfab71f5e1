//! What addresses, Vias, routes, header lists and the writer do, one table each.

mod laws;

use std::net::SocketAddr;

use super::*;
use crate::limits::SipLimits;
use crate::mime::MediaType;

fn source(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

fn mandatory() -> Mandatory {
    Mandatory {
        via: Via::parse("SIP/2.0/TLS edge.example.com;branch=z9hG4bKx").unwrap(),
        from: NameAddr::new(uri("sip:a@example.com")).with_tag("f"),
        to: NameAddr::new(uri("sip:b@example.org")),
        call_id: CallId::parse("c").unwrap(),
        sequence: 1,
    }
}

fn written(message: &Message) -> String {
    let mut out = Vec::new();
    write::message(message, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn addresses_are_written_quoted_and_bracketed() {
    for (text, written) in [
        ("sip:a@h", "<sip:a@h>"),
        ("sip:a@h;tag=1", "<sip:a@h>;tag=1"),
        ("<sip:a@h;x=1>;tag=1", "<sip:a@h;x=1>;tag=1"),
        ("caller<sip:a@h>", "\"caller\" <sip:a@h>"),
        (
            "token1~` token2'+_ token3*%!.- <sip:a@h>",
            "\"token1~` token2'+_ token3*%!.-\" <sip:a@h>",
        ),
        ("\"\" <sip:a@h>", "<sip:a@h>"),
        ("\"a\\\"b\\\\c\\d\"<sip:a@h>", "\"a\\\"b\\\\cd\" <sip:a@h>"),
        ("<sip:a@h> ; x = \"a;b,c\" ; y", "<sip:a@h>;x=\"a;b,c\";y"),
        (
            "<sip:a@h>;x=[2001:db8::1];y=2001:db8::2",
            "<sip:a@h>;x=[2001:db8::1];y=2001:db8::2",
        ),
        ("isbn:2983792873", "<isbn:2983792873>"),
        ("\"Überall, <x>\" <sip:a@h>", "\"Überall, <x>\" <sip:a@h>"),
    ] {
        let address = NameAddr::parse(text).unwrap();
        assert_eq!(address.to_string(), written, "{text:?}");
        assert_eq!(NameAddr::parse(written).as_ref(), Ok(&address), "{text:?}");
    }
    for text in [
        "",
        "a b",
        "<sip:a@h",
        "<sip:a@h>>",
        "\"a\\",
        "\"é\\é\" <sip:a@h>",
        "a <b> <sip:a@h>",
        "<sip:a@h>;x=[1]",
    ] {
        assert!(NameAddr::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn nothing_put_into_an_address_breaks_out_of_it() {
    let address = NameAddr::new(uri("sip:a@h"))
        .with_display("x\"\r\nEvil: 1\\")
        .with_tag("t;x=\r\ny")
        .with_param("note", Some("a;b\"\r\n\0"))
        .unwrap();
    assert_eq!(
        address.to_string(),
        "\"x\\\"  Evil: 1\\\\\" <sip:a@h>;tag=txy;note=\"a;b\\\"  \\\0\""
    );
    assert_eq!(NameAddr::parse(&address.to_string()), Ok(address.clone()));
    assert_eq!(address.params().text("NOTE").as_deref(), Some("a;b\"  \0"));
    assert!(address.with_param("a=b", None).is_err());
}

#[test]
fn a_via_is_stamped_with_where_the_request_came_from() {
    for (via, from, stamped) in [
        (
            "SIP/2.0/UDP 192.0.2.1;branch=b",
            "192.0.2.1:5060",
            "SIP/2.0/UDP 192.0.2.1;branch=b",
        ),
        (
            "SIP/2.0/UDP 192.0.2.1;branch=b",
            "192.0.2.9:9",
            "SIP/2.0/UDP 192.0.2.1;branch=b;received=192.0.2.9",
        ),
        (
            "SIP/2.0/UDP h;branch=b",
            "192.0.2.1:9",
            "SIP/2.0/UDP h;branch=b;received=192.0.2.1",
        ),
        (
            "SIP/2.0/UDP h;rport;branch=b",
            "192.0.2.1:9",
            "SIP/2.0/UDP h;rport=9;branch=b;received=192.0.2.1",
        ),
        (
            "SIP/2.0/UDP 192.0.2.1;rport",
            "192.0.2.1:9",
            "SIP/2.0/UDP 192.0.2.1;rport=9;received=192.0.2.1",
        ),
        (
            "SIP/2.0/UDP h;received=198.51.100.1;rport=7",
            "192.0.2.1:9",
            "SIP/2.0/UDP h;received=192.0.2.1;rport=9",
        ),
        (
            "SIP/2.0/UDP 192.0.2.1;received=198.51.100.1",
            "192.0.2.1:9",
            "SIP/2.0/UDP 192.0.2.1",
        ),
        (
            "SIP/2.0/TCP [2001:db8::1]",
            "[2001:db8::2]:9",
            "SIP/2.0/TCP [2001:db8::1];received=2001:db8::2",
        ),
        (
            "SIP/2.0/TCP [2001:db8:0::1]",
            "[2001:db8::1]:9",
            "SIP/2.0/TCP [2001:db8::1]",
        ),
        (
            "SIP/2.0/TCP 192.0.2.1",
            "[::ffff:192.0.2.1]:9",
            "SIP/2.0/TCP 192.0.2.1",
        ),
    ] {
        let mut value = Via::parse(via).unwrap();
        value.stamp(source(from));
        assert_eq!(value.to_string(), stamped, "{via:?}");
        assert_eq!(Via::parse(stamped), Ok(value));
    }
}

#[test]
fn a_response_goes_where_the_top_via_says() {
    for (via, target) in [
        ("SIP/2.0/UDP h:5070;received=192.0.2.1;rport=9", "192.0.2.1:9"),
        ("SIP/2.0/UDP h:5070;received=192.0.2.1;rport", "192.0.2.1:5070"),
        ("SIP/2.0/UDP h;received=192.0.2.1", "192.0.2.1:5060"),
        ("SIP/2.0/UDP h;received=[2001:db8::1]", "[2001:db8::1]:5060"),
        (
            "SIP/2.0/UDP h;maddr=224.0.1.75;received=192.0.2.1",
            "224.0.1.75:5060",
        ),
        ("SIP/2.0/UDP 192.0.2.2:5070", "192.0.2.2:5070"),
        ("SIP/2.0/TLS h;received=192.0.2.1;rport=9", "192.0.2.1:5061"),
        (
            "SIP/2.0/TLS h:7;received=192.0.2.1;maddr=192.0.2.9",
            "192.0.2.1:7",
        ),
    ] {
        let found = Via::parse(via).unwrap().response_target();
        assert_eq!(found, ResponseTarget::Address(source(target)), "{via:?}");
    }
    for (via, name, port) in [
        ("SIP/2.0/UDP h", "h", None),
        ("SIP/2.0/UDP h:7", "h", Some(7)),
        ("SIP/2.0/UDP h:7;maddr=m;received=192.0.2.1", "m", Some(7)),
    ] {
        let host = Host::parse(name).unwrap();
        assert_eq!(
            Via::parse(via).unwrap().response_target(),
            ResponseTarget::Name { host, port }
        );
    }
}

#[test]
fn vias_keep_what_only_their_author_understands() {
    for text in [
        "SIP/2.0/TLS-SCTP h;branch=z9hG4bK-.!%66*_+`'~",
        "SIP/7.0/UDP h;branch=b",
        "SIP/2.0/TLS 192.0.2.1:5061;branch=b;branched=FALSE;ms-received-port=5;ms-internal-info=\"a,b;c\"",
    ] {
        assert_eq!(Via::parse(text).unwrap().to_string(), text);
    }
    let spaced = Via::parse("sip\t/ 2.0 /tcp \t h : 7 ; branch = b").unwrap();
    assert_eq!(spaced.to_string(), "SIP/2.0/TCP h:7;branch=b");
    assert!(Via::new(Transport::Udp, Host::parse("h").unwrap(), None, "a b").is_err());
}

#[test]
fn a_hop_is_echoed_as_its_author_wrote_it() {
    let text = "<SIP:fe.Example.com:5061;transport=tls;opaque=state:F:Ci.R1;lr;ms-route-sig=a%2Fb>;tag=4C;ms-rrsig=x";
    let hop = RouteHop::parse(&format!("  {text} ")).unwrap();
    assert_eq!(hop.to_string(), text);
    assert!(hop.is_loose_router());
    let spaced = "\"P 1\"<sip:[2001:DB8::1] >";
    assert!(RouteHop::parse(spaced).is_err());
    for text in [
        "sip:h;lr",
        "<sip:h>,<sip:i>",
        "\"a\r\nb\" <sip:h>",
        "\"\\\0\" <sip:h>",
    ] {
        assert!(RouteHop::parse(text).is_err(), "{text:?}");
    }
    let mut set = RouteSet::from(vec![hop.clone()]);
    set.push_first(RouteHop::new(
        SipUri::new(Scheme::Sip, Host::parse("a").unwrap()).with_param("lr", None),
    ));
    assert_eq!(set.first().unwrap().to_string(), "<sip:a;lr>");
    assert_eq!(set.reversed().first(), Some(&hop));
    assert_eq!(set.pop_last(), Some(hop));
    assert_eq!(
        set.pop_first().map(|hop| hop.to_string()).as_deref(),
        Some("<sip:a;lr>")
    );
    assert_eq!(set.pop_first(), None);
}

#[test]
fn other_header_fields_are_found_listed_and_removed_by_name() {
    let mut headers = Request::new(Method::Options, uri("sip:h"), mandatory())
        .headers()
        .clone();
    headers.push("k", "a, b").unwrap();
    headers.push("x-note", " hi ").unwrap();
    headers.push("SUPPORTED", "c,,\"d,e\", <f,g>").unwrap();
    assert_eq!(
        headers.list("Supported").collect::<Vec<_>>(),
        ["a", "b", "c", "\"d,e\"", "<f,g>"]
    );
    assert_eq!(headers.get("X-Note"), Some("hi"));
    assert_eq!(headers.all("supported").count(), 2);
    for (name, value, flaw) in [
        ("From", "x", Flaw::TypedField),
        ("l", "5", Flaw::TypedField),
        ("a b", "x", Flaw::Token),
        ("X", "a\r\nEvil: 1", Flaw::Control),
        ("X", "a\0", Flaw::Control),
    ] {
        assert_eq!(headers.push(name, value), Err(flaw));
    }
    headers.remove("supported");
    assert_eq!(headers.other().count(), 1);
    headers.retain(|name| !name.is("X-NOTE"));
    assert_eq!(headers.other().count(), 0);
}

#[test]
fn the_via_list_is_never_empty() {
    let mut headers = Request::new(Method::Options, uri("sip:h"), mandatory())
        .headers()
        .clone();
    assert_eq!(headers.pop_via(), None);
    let ours = Via::parse("SIP/2.0/UDP us;branch=1").unwrap();
    headers.push_via(ours.clone());
    assert_eq!((headers.top_via(), headers.vias().count()), (&ours, 2));
    assert_eq!(headers.pop_via().as_ref(), Some(&ours));
    assert_eq!(headers.top_via().branch(), Some("z9hG4bKx"));
}

#[test]
fn a_request_is_written_in_one_form() {
    let request = Request::new(Method::Message, uri("sip:b@example.org"), mandatory())
        .with_contact(NameAddr::new(uri("sip:edge.example.com")))
        .with_route(vec![RouteHop::parse("<sip:r.example.org;lr>").unwrap()].into())
        .with_header("Subject", "Grüße")
        .unwrap()
        .with_body(MediaType::plain("text", "plain"), "hé");
    let text = written(&request.clone().into());
    assert_eq!(
        text,
        "MESSAGE sip:b@example.org SIP/2.0\r\n\
         Via: SIP/2.0/TLS edge.example.com;branch=z9hG4bKx\r\n\
         Route: <sip:r.example.org;lr>\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:a@example.com>;tag=f\r\n\
         To: <sip:b@example.org>\r\n\
         Call-ID: c\r\n\
         CSeq: 1 MESSAGE\r\n\
         Contact: <sip:edge.example.com>\r\n\
         Subject: Grüße\r\n\
         Content-Type: text/plain\r\n\
         Content-Length: 3\r\n\r\nhé"
    );
    assert_eq!(
        parse::message(text.as_bytes(), &SipLimits::default()),
        Ok(request.into())
    );
}

#[test]
fn a_request_uri_has_no_header_fields() {
    let mut request = Request::new(Method::Options, uri("sip:a@h?x=y"), mandatory());
    assert_eq!(request.uri().to_string(), "sip:a@h");
    request.set_uri(uri("sip:b@h?x=y"));
    assert_eq!(request.uri().to_string(), "sip:b@h");
}

#[test]
fn a_response_copies_what_the_request_carries() {
    let request = Request::new(Method::Invite, uri("sip:b@example.org"), mandatory())
        .with_header("Timestamp", "54")
        .unwrap();
    let response = request.response(StatusCode::OK, "", Some("t"));
    assert_eq!(
        written(&response.into()),
        "SIP/2.0 200 OK\r\n\
         Via: SIP/2.0/TLS edge.example.com;branch=z9hG4bKx\r\n\
         From: <sip:a@example.com>;tag=f\r\n\
         To: <sip:b@example.org>;tag=t\r\n\
         Call-ID: c\r\n\
         CSeq: 1 INVITE\r\n\
         Content-Length: 0\r\n\r\n"
    );
    let trying = request.response(StatusCode::TRYING, "", Some("t"));
    assert_eq!(trying.headers().to().tag(), None);
    assert_eq!(trying.headers().get("Timestamp"), Some("54"));
    let mut in_dialog = request;
    in_dialog.headers_mut().to_mut().set_tag("mine");
    let refused = in_dialog.response(StatusCode::DECLINE, "No\r\nway", Some("t"));
    assert_eq!(refused.headers().to().tag(), Some("mine"));
    assert_eq!(refused.reason(), "No  way");
}
