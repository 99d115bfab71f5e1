//! RFC 7572: the examples of §4, §5 and §8, the limits of §6, the types of §7, and what translations look like on the
//! wire.
//!
//! Where we differ from an example on purpose: the charset is always stated, identifiers are our own, and the sender's
//! thread and branch are carried (tables 1 and 2), which the examples leave out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, and what only tests use")]

use vestibule::interwork::address::Sips;
use vestibule::interwork::error::{self, AddressedTo, LocalFailure};
use vestibule::interwork::message::{
    Hop, Im, MessageError, Seed, Sending, Threading, from_sip, from_xmpp, to_sip, to_xmpp,
};
use vestibule::interwork::profile::{PeerKind, Profile};
use vestibule::limits::{GatewayLimits, SipLimits, XmlLimits};
use vestibule::sip::{self, Date, Host, Message, Request, Scheme, Transport};
use vestibule::xml;
use vestibule::xmpp::{Jid, Stanza, ns};

/// `\r\n` in the text of a test stands for itself; line ends of the source become CRLF.
fn request(text: &str) -> Request {
    match sip::parse::message(text.replace('\n', "\r\n").as_bytes(), &SipLimits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn stanza(text: &str) -> Stanza {
    let element = xml::document(text.as_bytes(), &XmlLimits::default()).unwrap();
    Stanza::from_element(element, ns::SERVER).unwrap()
}

fn profile() -> Profile {
    Profile::new(PeerKind::Simple, &GatewayLimits::default())
}

fn s2x(text: &str) -> Result<Im, MessageError> {
    from_sip(
        &request(text),
        Date::from_unix_seconds(1_700_000_000).unwrap(),
        Sips::Refuse,
    )
}

fn x2s(im: &Im) -> Result<Request, MessageError> {
    let hop = Hop::new(Transport::Tls, Host::parse("x2s.example.com").unwrap(), None);
    to_sip(
        im,
        &Sending {
            hop: &hop,
            seed: &Seed::new(&[1; 32]),
            threading: Threading::Keep,
            profile: &profile(),
        },
    )
}

/// What goes over the wire, line ends as LF and everything else that cannot be seen as an escape.
fn sip_text(message: &Message) -> String {
    let mut out = Vec::new();
    sip::write::message(message, &mut out);
    String::from_utf8(out)
        .unwrap()
        .replace("\r\n", "\n")
        .split('\n')
        .map(visible)
        .collect::<Vec<_>>()
        .join("\n")
}

fn xml_text(stanza: &Stanza) -> String {
    let mut out = Vec::new();
    xml::write::element(stanza.element(), ns::STANZA, &[], &mut out);
    let text = String::from_utf8(out).unwrap();
    visible(&text).replace("><", ">\n<")
}

fn visible(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii() && !c.is_ascii_control() || c.is_alphanumeric() {
                c.to_string()
            } else {
                c.escape_unicode().to_string()
            }
        })
        .collect()
}

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("rfc7572__{name}"), text);
    });
}

const TO_XMPP: &str = "\
MESSAGE sip:juliet@example.com SIP/2.0
Via: SIP/2.0/TCP s2x.example.net;branch=z9hG4bKeskdgs677
Max-Forwards: 70
To: sip:juliet@example.com
From: sip:romeo@example.net;tag=vwxyz
Call-ID: 9E97FB43-85F4-4A00-8751-1124FD4C7B2E
CSeq: 1 MESSAGE
Content-Type: text/plain
Content-Length: 44

Neither, fair saint, if either thee dislike.";

#[test]
fn section_4_xmpp_user_sends_message() {
    let im = from_xmpp(
        &stanza(
            "<message xmlns='jabber:server' from='juliet@example.com/yn0cl4bnw0yr3vym' to='romeo@example.net'>\
             <body>Art thou not Romeo, and a Montague?</body></message>",
        ),
        Scheme::Sip,
    )
    .unwrap();
    let sent = x2s(&im).unwrap();
    assert_eq!(sent.uri().to_string(), "sip:romeo@example.net");
    assert_eq!(sent.headers().to().uri().to_string(), "sip:romeo@example.net");
    assert_eq!(
        sent.headers().from().uri().to_string(),
        "sip:juliet@example.com;gr=yn0cl4bnw0yr3vym"
    );
    assert!(sent.headers().content_type().unwrap().is("text", "plain"));
    assert_eq!(sent.body().as_ref(), b"Art thou not Romeo, and a Montague?");
    assert_eq!(sent.body().len(), 35);
    snapshot("x2s_ordinary", &sip_text(&sent.into()));
}

#[test]
fn section_5_sip_user_sends_message() {
    let read = to_xmpp(&s2x(TO_XMPP).unwrap());
    assert_eq!(read.element().attribute("type"), None);
    assert_eq!(read.from().to_string(), "romeo@example.net");
    assert_eq!(read.to().to_string(), "juliet@example.com");
    assert_eq!(
        read.child_text("body").as_deref(),
        Some("Neither, fair saint, if either thee dislike.")
    );
    snapshot("s2x_ordinary", &xml_text(&read));

    // Table 2, note 1: the GRUU is the resource.
    let with_gruu = TO_XMPP.replace(
        "From: sip:romeo@example.net;",
        "From: <sip:romeo@example.net;gr=dr4hcr0st3lup4c>;",
    );
    assert_eq!(
        s2x(&with_gruu).unwrap().from().jid().to_string(),
        "romeo@example.net/dr4hcr0st3lup4c"
    );
}

#[test]
fn section_8_languages_are_mapped_both_ways() {
    let body = "Nic z obého, má děvo spanilá,\r\nnenavidíš-li jedno nebo druhé.";
    let text = TO_XMPP
        .replace(
            "Content-Length: 44",
            &format!("Content-Length: {}\nContent-Language: cs", body.len()),
        )
        .replace(
            "Neither, fair saint, if either thee dislike.",
            &body.replace("\r\n", "\n"),
        );
    let im = s2x(&text).unwrap();
    let read = to_xmpp(&im);
    assert_eq!(read.element().attribute("xml:lang"), Some("cs"));
    snapshot("s2x_language", &xml_text(&read));
    let back = x2s(&from_xmpp(&read, Scheme::Sip).unwrap()).unwrap();
    assert_eq!(back.headers().get("Content-Language"), Some("cs"));
    assert_eq!(back.body().as_ref(), body.as_bytes());
}

#[test]
fn section_8_one_of_several_languages_goes_to_sip() {
    let im = from_xmpp(
        &stanza(
            "<message xmlns='jabber:server' from='juliet@example.com/balcony' to='romeo@example.net' id='m1' \
             type='chat' xml:lang='en'><subject>The orchard</subject><subject xml:lang='cs'>Sad</subject>\
             <body>Art thou not Romeo?</body><body xml:lang='cs'>Nejsi Romeo?</body>\
             <thread>e0ffe42b28561960c6b12b944a092794b9683a38</thread></message>",
        ),
        Scheme::Sip,
    )
    .unwrap();
    snapshot("x2s_languages", &sip_text(&x2s(&im).unwrap().into()));
}

#[test]
fn hostile_text_stays_text_on_the_way_to_sip() {
    let im = from_xmpp(
        &stanza(
            "<message xmlns='jabber:server' from='a\\26b@example.com/x&quot;&lt;;y%0d%0aVia:' \
             to='o\\27malley\\40example.org@example.net' id='&#9;x&#13;&#10;Via: y'>\
             <subject>Hi&#13;&#10;Contact: &lt;sip:evil@example.org>&#13;&#10;&#13;&#10;body</subject>\
             <thread>x&#13;&#10;To: z</thread>\
             <body>]]&gt;&#13;&#10;.&#13;&#10;\u{202e}\"%0d%0a\u{85}&amp;#0;</body></message>",
        ),
        Scheme::Sip,
    )
    .unwrap();
    snapshot("x2s_hostile", &sip_text(&x2s(&im).unwrap().into()));
}

#[test]
fn hostile_text_stays_text_on_the_way_to_xmpp() {
    let body = "</body><body>two</body>]]><![CDATA[x]]>&amp;\u{0}\u{7}\u{1b}[2J\u{202e}\u{ffff}";
    let text = TO_XMPP
        .replace(
            "sip:romeo@example.net;tag",
            "<sip:o'%22%3Cmalley%3E%26%40x@example.net;gr=%3Cx'%22>;tag",
        )
        .replace("9E97FB43-85F4-4A00-8751-1124FD4C7B2E", "<a>'\"@]]>")
        .replace(
            "Content-Length: 44",
            &format!("Content-Length: {}\nSubject: </subject>'\"&", body.len()),
        )
        .replace("Neither, fair saint, if either thee dislike.", body);
    snapshot("s2x_hostile", &xml_text(&to_xmpp(&s2x(&text).unwrap())));
}

#[test]
fn section_6_longer_messages_are_refused_with_policy_violation() {
    let long = stanza(&format!(
        "<message xmlns='jabber:server' from='juliet@example.com/balcony' to='romeo@example.net' id='m1'>\
         <thread>t1</thread><body>{}</body></message>",
        "x".repeat(1_300)
    ));
    let refused = x2s(&from_xmpp(&long, Scheme::Sip).unwrap()).unwrap_err();
    let gateway = Jid::parse("edge.example.com").unwrap();
    let answer = error::refusal_to_xmpp(&refused, &gateway, "Your IM could not be delivered");
    snapshot(
        "x2s_too_long",
        &xml_text(&error::error_stanza(&long, &answer).unwrap()),
    );
}

#[test]
fn section_7_other_types_are_refused_with_the_list_of_ours() {
    let image = request(&TO_XMPP.replace("text/plain", "image/png"));
    let refused = from_sip(&image, Date::from_unix_seconds(0).unwrap(), Sips::Refuse).unwrap_err();
    let answer = error::refusal_to_sip(&refused, "").response(&image, "tag");
    snapshot("s2x_unsupported_type", &sip_text(&answer.into()));
}

#[test]
fn errors_cross_with_their_reason() {
    let sent = request(TO_XMPP);
    let gone = stanza(
        "<message xmlns='jabber:server' type='error' from='juliet@example.com' to='romeo@example.net' id='x'>\
         <error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:o%5C27malley@example.org</gone>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>moved&#10;Via: x</text></error></message>",
    );
    let answer = error::status_for(
        &gone.error().unwrap(),
        AddressedTo::of(&gone),
        &profile(),
        "Sorry",
    );
    snapshot("s2x_error_gone", &sip_text(&answer.response(&sent, "tag").into()));

    let original = stanza(
        "<message xmlns='jabber:server' from='juliet@example.com/balcony' to='romeo@example.net' id='m1'>\
         <thread>t1</thread><body>x</body></message>",
    );
    let gateway = Jid::parse("edge.example.com").unwrap();
    let busy = sent.response(sip::StatusCode::BUSY_HERE, "In a meeting", Some("tag"));
    let answer = error::error_for(&busy, &gateway, "Your IM could not be delivered");
    snapshot(
        "x2s_error_busy",
        &xml_text(&error::error_stanza(&original, &answer).unwrap()),
    );
    let answer = LocalFailure::Insecure.stanza_error(&gateway, "Your IM could not be delivered");
    snapshot(
        "x2s_error_local",
        &xml_text(&error::error_stanza(&original, &answer).unwrap()),
    );
}
