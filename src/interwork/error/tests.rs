#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use super::super::profile::PeerKind;
use super::*;
use crate::limits::{GatewayLimits, SipLimits};
use crate::sip::{Message, parse};
use crate::xmpp::stanza::{IqType, MessageType};

const SORRY: &str = "Your IM could not be delivered";

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

fn profile(kind: PeerKind) -> Profile {
    Profile::new(kind, &GatewayLimits::default())
}

fn sip(error: &StanzaError, addressed: AddressedTo) -> SipError {
    status_for(error, addressed, &profile(PeerKind::Simple), "")
}

fn request() -> Request {
    let text = "MESSAGE sip:juliet@example.com SIP/2.0\r\n\
        Via: SIP/2.0/TCP s2x.example.net;branch=z9hG4bKeskdgs677\r\n\
        To: <sip:juliet@example.com>\r\nFrom: <sip:romeo@example.net>;tag=vwxyz\r\n\
        Call-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n";
    match parse::message(text.as_bytes(), &SipLimits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn response(code: u16, reason: &str) -> Response {
    request().response(StatusCode::new(code).unwrap(), reason, Some("t"))
}

#[test]
fn every_condition_has_its_code_for_a_device_and_for_a_user() {
    use Condition as C;
    let rows = [
        (C::BadRequest, 400, 400),
        (C::Conflict, 400, 400),
        (C::FeatureNotImplemented, 405, 501),
        (C::Forbidden, 403, 603),
        (C::Gone, 410, 410),
        (C::InternalServerError, 500, 500),
        (C::ItemNotFound, 404, 604),
        (C::JidMalformed, 400, 400),
        (C::NotAcceptable, 406, 606),
        (C::NotAllowed, 403, 403),
        // 401 without a challenge is no SIP
        (C::NotAuthorized, 403, 403),
        (C::PolicyViolation, 403, 403),
        (C::RecipientUnavailable, 480, 600),
        // 302 without an address is no SIP
        (C::Redirect, 480, 480),
        // nor is 407 without a challenge
        (C::RegistrationRequired, 403, 403),
        (C::RemoteServerNotFound, 404, 404),
        (C::RemoteServerTimeout, 408, 408),
        (C::ResourceConstraint, 500, 500),
        (C::ServiceUnavailable, 403, 403),
        (C::SubscriptionRequired, 400, 400),
        (C::UndefinedCondition, 400, 400),
        (C::UnexpectedRequest, 491, 491),
    ];
    assert_eq!(rows.map(|row| row.0), C::ALL);
    for (condition, device, user) in rows {
        let error = StanzaError::new(condition);
        assert_eq!(
            sip(&error, AddressedTo::FullJid).status().code(),
            device,
            "{condition:?}"
        );
        assert_eq!(
            sip(&error, AddressedTo::BareJid).status().code(),
            user,
            "{condition:?}"
        );
        // 503 would put us on a proxy's black list for all users
        assert!(device != 503 && user != 503);
    }
}

#[test]
fn the_profile_says_what_service_unavailable_is_called() {
    let error = StanzaError::new(Condition::ServiceUnavailable);
    for (kind, code) in [
        (PeerKind::Simple, 403),
        (PeerKind::Microsoft, 480),
        (PeerKind::Aol, 403),
    ] {
        let said = status_for(&error, AddressedTo::BareJid, &profile(kind), "");
        assert_eq!(said.status().code(), code);
    }
}

#[test]
fn only_a_waiting_peer_is_told_to_try_again() {
    let error = StanzaError::new(Condition::UnexpectedRequest).with_type(ErrorType::Modify);
    assert_eq!(
        sip(&error, AddressedTo::FullJid).status(),
        StatusCode::BAD_REQUEST
    );
}

#[test]
fn a_new_address_becomes_a_contact_where_sip_can_use_it() {
    for (alternate, contact) in [
        ("xmpp:romeo@example.org", Some("sip:romeo@example.org")),
        (
            "XMPP:o%5C27malley@example.org/x?message",
            Some("sip:o'malley@example.org;gr=x"),
        ),
        (
            "sip:romeo:pw@example.org;transport=tcp",
            Some("sip:romeo@example.org"),
        ),
        (" sip:romeo@example.org\n", Some("sip:romeo@example.org")),
        ("tel:+15551234", None),
        ("sip:romeo@192.0.2.1", None),
        ("xmpp:@", None),
        ("https://example.org/", None),
        ("nonsense", None),
        ("sip:romeo@example.org\r\nX: y", None),
    ] {
        for (condition, with, without) in [(Condition::Gone, 301, 410), (Condition::Redirect, 302, 480)] {
            let error = StanzaError::new(condition).with_alternate(alternate);
            let said = sip(&error, AddressedTo::BareJid);
            let code = if contact.is_some() { with } else { without };
            assert_eq!(said.status().code(), code, "{alternate}");
            assert_eq!(
                said.contact().map(ToString::to_string).as_deref(),
                contact,
                "{alternate}"
            );
            let response = said.response(&request(), "tag");
            assert_eq!(
                response.headers().contact().addresses().len(),
                usize::from(contact.is_some())
            );
        }
    }
}

#[test]
fn every_code_has_its_condition_and_type() {
    use Condition as C;
    use ErrorType as T;
    for (code, condition, kind) in [
        (300, C::Redirect, T::Modify),
        (301, C::Gone, T::Cancel),
        (302, C::Redirect, T::Modify),
        (305, C::Redirect, T::Modify),
        (399, C::Redirect, T::Modify),
        (380, C::NotAcceptable, T::Modify),
        (400, C::BadRequest, T::Modify),
        (401, C::NotAuthorized, T::Auth),
        (402, C::BadRequest, T::Modify),
        (403, C::Forbidden, T::Auth),
        (404, C::ItemNotFound, T::Cancel),
        (405, C::FeatureNotImplemented, T::Cancel),
        (406, C::NotAcceptable, T::Modify),
        (407, C::RegistrationRequired, T::Auth),
        (408, C::RemoteServerTimeout, T::Wait),
        (410, C::Gone, T::Cancel),
        (413, C::PolicyViolation, T::Modify),
        (414, C::PolicyViolation, T::Modify),
        (415, C::NotAcceptable, T::Modify),
        (416, C::NotAcceptable, T::Modify),
        (420, C::FeatureNotImplemented, T::Cancel),
        (421, C::NotAcceptable, T::Modify),
        (423, C::ResourceConstraint, T::Wait),
        (430, C::RecipientUnavailable, T::Wait),
        (439, C::FeatureNotImplemented, T::Cancel),
        (440, C::PolicyViolation, T::Modify),
        (480, C::RecipientUnavailable, T::Wait),
        (481, C::ItemNotFound, T::Cancel),
        (482, C::NotAcceptable, T::Modify),
        (483, C::NotAcceptable, T::Modify),
        (484, C::ItemNotFound, T::Cancel),
        (485, C::ItemNotFound, T::Cancel),
        (486, C::RecipientUnavailable, T::Wait),
        (487, C::RecipientUnavailable, T::Wait),
        (488, C::NotAcceptable, T::Modify),
        (489, C::PolicyViolation, T::Modify),
        (491, C::UnexpectedRequest, T::Wait),
        (493, C::BadRequest, T::Modify),
        (499, C::BadRequest, T::Modify),
        (500, C::InternalServerError, T::Cancel),
        (501, C::FeatureNotImplemented, T::Cancel),
        (502, C::RemoteServerNotFound, T::Cancel),
        (503, C::InternalServerError, T::Cancel),
        (504, C::RemoteServerTimeout, T::Wait),
        (505, C::NotAcceptable, T::Modify),
        (513, C::PolicyViolation, T::Modify),
        (599, C::InternalServerError, T::Cancel),
        (600, C::RecipientUnavailable, T::Wait),
        (603, C::RecipientUnavailable, T::Wait),
        (604, C::ItemNotFound, T::Cancel),
        (606, C::NotAcceptable, T::Modify),
        (699, C::RecipientUnavailable, T::Wait),
    ] {
        assert_eq!(
            condition_for(StatusCode::new(code).unwrap()),
            (condition, kind),
            "{code}"
        );
    }
}

#[test]
fn a_redirection_carries_its_address_or_becomes_what_needs_none() {
    let by = jid("gateway.example");
    let with = |code, contact: &str| {
        let contact = crate::sip::NameAddr::parse(contact).unwrap();
        error_for(&response(code, "").with_contact(contact), &by, "")
    };
    let moved = with(301, "<sip:o'malley@example.org;gr=x>");
    assert_eq!(moved.condition(), Condition::Gone);
    assert_eq!(moved.alternate(), Some("xmpp:o%5C27malley@example.org/x"));
    let elsewhere = with(302, "<sip:romeo@192.0.2.1:5070>");
    assert_eq!(elsewhere.condition(), Condition::Redirect);
    assert_eq!(elsewhere.alternate(), Some("sip:romeo@192.0.2.1:5070"));

    let bare = |code| error_for(&response(code, ""), &by, "");
    assert_eq!(bare(301).condition(), Condition::ItemNotFound);
    assert_eq!(bare(302).condition(), Condition::RecipientUnavailable);
    // 410 carries none even where a peer gives one
    let gone = with(410, "<sip:romeo@example.org>");
    assert_eq!((gone.condition(), gone.alternate()), (Condition::Gone, None));
}

#[test]
fn retry_after_makes_a_503_worth_waiting_for() {
    let by = jid("gateway.example");
    let later = response(503, "").with_header("Retry-After", "30").unwrap();
    assert_eq!(error_for(&later, &by, "").error_type(), ErrorType::Wait);
    assert_eq!(
        error_for(&response(503, ""), &by, "").error_type(),
        ErrorType::Cancel
    );
}

#[test]
fn the_reason_crosses_after_the_configured_text() {
    let by = jid("gateway.example");
    let error = error_for(&response(486, "Busy\tin a meeting"), &by, SORRY);
    assert_eq!(
        error.text(),
        Some("Your IM could not be delivered: 486 Busy in a meeting")
    );
    assert_eq!(error.by(), Some(&by));
    assert_eq!(
        error_for(&response(486, ""), &by, "").text(),
        Some("486 Busy Here")
    );

    let error = StanzaError::new(Condition::ItemNotFound).with_text("Gone\r\nVia: x\u{2028}\u{0}fishing");
    let said = status_for(&error, AddressedTo::FullJid, &profile(PeerKind::Simple), SORRY);
    assert_eq!(
        said.reason(),
        "Your IM could not be delivered: Gone  Via: x  fishing"
    );
    let plain = sip(&StanzaError::new(Condition::ItemNotFound), AddressedTo::FullJid);
    assert_eq!(plain.reason(), "Not Found");
    let long = StanzaError::new(Condition::ItemNotFound).with_text(&"ü".repeat(4_000));
    assert_eq!(
        sip(&long, AddressedTo::FullJid).reason().chars().count(),
        REASON_CHARACTERS
    );
}

#[test]
fn local_failures_are_said_on_both_sides() {
    let by = jid("gateway.example");
    let rows = [
        (LocalFailure::NoSuchDomain, Condition::RemoteServerNotFound, 404),
        (LocalFailure::Unresolved, Condition::RemoteServerTimeout, 408),
        (LocalFailure::Unreachable, Condition::RemoteServerTimeout, 408),
        (LocalFailure::Insecure, Condition::PolicyViolation, 403),
        (LocalFailure::NoAnswer, Condition::RemoteServerTimeout, 408),
        (LocalFailure::TooLarge, Condition::PolicyViolation, 513),
        (LocalFailure::Overload, Condition::ResourceConstraint, 500),
    ];
    assert_eq!(rows.map(|row| row.0), LocalFailure::ALL);
    for (failure, condition, code) in rows {
        let error = failure.stanza_error(&by, SORRY);
        assert_eq!(
            (error.condition(), error.error_type()),
            (condition, condition.default_type())
        );
        assert!(error.text().unwrap().starts_with(SORRY));
        assert_eq!(failure.sip_error(SORRY).status().code(), code);
    }
}

#[test]
fn an_error_stanza_repeats_id_and_thread_and_nothing_else() {
    let kind = Kind::Message(MessageType::Chat);
    let mut original = Stanza::new(kind, jid("juliet@example.com/x"), jid("romeo@example.net")).with_id("m1");
    original.push(crate::xml::Element::new("thread", ns::STANZA).with_text("t1"));
    original.push(crate::xml::Element::new("body", ns::STANZA).with_text("secret"));
    let error = error_for(&response(404, ""), &jid("gateway.example"), SORRY);
    let answer = error_stanza(&original, &error).unwrap();
    assert_eq!(answer.kind(), Kind::Message(MessageType::Error));
    assert_eq!(
        (answer.from(), answer.to()),
        (&jid("romeo@example.net"), &jid("juliet@example.com/x"))
    );
    assert_eq!(answer.id(), Some("m1"));
    assert_eq!(answer.child_text("thread").as_deref(), Some("t1"));
    assert_eq!(answer.child_text("body"), None);
    assert_eq!(answer.error(), Some(error.clone()));

    for kind in [
        Kind::Message(MessageType::Error),
        Kind::Presence(PresenceType::Error),
        Kind::Presence(PresenceType::Unavailable),
        Kind::Iq(IqType::Error),
        Kind::Iq(IqType::Result),
    ] {
        let silent = Stanza::new(kind, jid("a.example"), jid("b.example"));
        assert_eq!(error_stanza(&silent, &error), None, "{kind:?}");
    }
}

#[test]
fn an_error_speaks_for_the_user_only_from_the_bare_address() {
    let error = |from: &str, by: Option<&str>| {
        let mut said = StanzaError::new(Condition::ItemNotFound);
        if let Some(by) = by {
            said = said.with_by(jid(by));
        }
        let stanza = Stanza::new(Kind::Message(MessageType::Error), jid(from), jid("b@b.example"));
        AddressedTo::of(&stanza.with_child(said.to_element()))
    };
    assert_eq!(error("a@a.example", None), AddressedTo::BareJid);
    assert_eq!(error("a@a.example", Some("a.example")), AddressedTo::BareJid);
    assert_eq!(error("a@a.example", Some("relay.example")), AddressedTo::FullJid);
    assert_eq!(error("a@a.example/x", None), AddressedTo::FullJid);
    assert_eq!(error("a.example", None), AddressedTo::FullJid);
}

#[test]
fn a_405_lists_other_methods() {
    let error = StanzaError::new(Condition::FeatureNotImplemented);
    let response = sip(&error, AddressedTo::FullJid).response(&request(), "tag");
    assert_eq!(response.headers().get("Allow"), Some("OPTIONS"));
    assert_eq!(response.headers().to().tag(), Some("tag"));
}

#[test]
fn our_own_refusals_are_said_in_both_words() {
    let refusal = address::AddressError::Sips;
    assert_eq!(refusal_to_sip(&refusal, SORRY).status().code(), 480);
    let error = refusal_to_xmpp(&refusal, &jid("gateway.example"), "");
    assert_eq!(
        (error.condition(), error.text()),
        (Condition::PolicyViolation, Some(refusal.peer_text()))
    );
}
