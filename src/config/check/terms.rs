//! What of SIP may pass to and from a foreign domain.

use super::findings::{Findings, key};
use crate::config::load::nearest;
use crate::config::schema::{Bodies as BodiesWord, Federate, Media, PeerProtocol, SipMethod as MethodWord};
use crate::sip::proxy::{Bodies, Sessions, Terms};
use crate::sip::{Event, Method};

/// The terms of the entry at that position.
pub(super) fn terms(at: usize, given: &Federate, findings: &mut Findings<'_, '_>) -> Terms {
    if given.protocol == PeerProtocol::Xmpp {
        for name in ["methods", "events", "media", "bodies"] {
            let path = key!["federate", at, name].to_vec();
            if findings.gives(&path) {
                findings.error(&path, &format!("`{name}` is for SIP, and protocol is \"xmpp\""));
            }
        }
        return Terms::default();
    }
    let terms = Terms {
        methods: given.methods.iter().copied().map(method).collect(),
        events: given.events.iter().map(|event| event.as_str().into()).collect(),
        sessions: match given.media {
            Media::Messages => Sessions::OfMessages,
            Media::Pass => Sessions::OfAnything,
        },
        bodies: match given.bodies {
            BodiesWord::Searched => Bodies::Searched,
            BodiesWord::All => Bodies::Any,
        },
    };
    check_methods(at, given, &terms, findings);
    for (number, event) in given.events.iter().enumerate() {
        check_event(key!["federate", at, "events", number], event, findings);
    }
    terms
}

fn check_methods(at: usize, given: &Federate, terms: &Terms, findings: &mut Findings<'_, '_>) {
    let path = key!["federate", at, "methods"].to_vec();
    if given.methods.is_empty() {
        findings.error_with_help(
            &path,
            "without methods nothing of SIP passes",
            "leave it out for the usual ones; to refuse a domain use [[policy.exception]] or [[policy.block]]",
        );
        return;
    }
    if terms.allows(&Method::Subscribe) != terms.allows(&Method::Notify) {
        findings.warning(
            &path,
            "SUBSCRIBE and NOTIFY are of use together only: one asks, the other answers",
        );
    }
    let events = key!["federate", at, "events"].to_vec();
    let has_events = [Method::Subscribe, Method::Notify, Method::Publish]
        .iter()
        .any(|method| terms.allows(method));
    if findings.gives(&events) && !has_events {
        findings.warning(
            &events,
            "`events` has no effect, as `methods` lists none of SUBSCRIBE, NOTIFY and PUBLISH",
        );
    }
    if given.media == Media::Pass && !terms.allows(&Method::Invite) {
        findings.warning(
            key!["federate", at, "media"],
            "no session begins, as `methods` does not list INVITE",
        );
    }
}

fn check_event(path: &[String], event: &str, findings: &mut Findings<'_, '_>) {
    if Event::new(event).is_err() {
        findings.error_with_help(
            path,
            &format!("\"{event}\" is not the name of an event package"),
            "write its name alone, such as \"presence\"",
        );
        return;
    }
    if KNOWN_EVENTS.contains(&event) {
        return;
    }
    if let Some(near) = nearest(event, &KNOWN_EVENTS) {
        findings.warning(
            path,
            &format!("\"{event}\" is no event package that is registered; did you mean \"{near}\"?"),
        );
    }
}

const fn method(word: MethodWord) -> Method {
    match word {
        MethodWord::Invite => Method::Invite,
        MethodWord::Ack => Method::Ack,
        MethodWord::Bye => Method::Bye,
        MethodWord::Cancel => Method::Cancel,
        MethodWord::Message => Method::Message,
        MethodWord::Info => Method::Info,
        MethodWord::Subscribe => Method::Subscribe,
        MethodWord::Notify => Method::Notify,
        MethodWord::Options => Method::Options,
        MethodWord::Update => Method::Update,
        MethodWord::Prack => Method::Prack,
        MethodWord::Publish => Method::Publish,
        MethodWord::Refer => Method::Refer,
    }
}

/// Event packages that peers have a use for, as IANA registers them.
const KNOWN_EVENTS: [&str; 10] = [
    "call-completion",
    "conference",
    "dialog",
    "message-summary",
    "presence",
    "presence.winfo",
    "reg",
    "refer",
    "ua-profile",
    "xcap-diff",
];
