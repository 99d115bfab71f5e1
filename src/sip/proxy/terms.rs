//! What of SIP may pass between a foreign domain and nodes of ours: methods, event packages, sessions and bodies.
//!
//! Not here: who may (policy). These are the terms of an entry for a foreign domain, the same in both directions.

use crate::sip::inspect::Rejection;
use crate::sip::{Event, Method, Request, StatusCode};

/// The terms of a foreign domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Requests that pass; with INVITE also those without which no session can be held ([`Terms::allow`]).
    pub methods: Vec<Method>,
    /// Event packages that may be subscribed to, published and notified.
    pub events: Vec<Box<str>>,
    /// What sessions may be about.
    pub sessions: Sessions,
    /// What goes outside although it cannot be searched.
    pub bodies: Bodies,
}

/// What a session may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// Messages in its own dialog.
    OfMessages,
    /// Anything: the signalling of calls passes too. Their media go from end to end, and not through the edge.
    OfAnything,
}

/// What becomes of a body on its way outside that may name places inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// Only what a person wrote, and what was searched, goes outside.
    Searched,
    /// What cannot be searched goes outside as it is.
    Any,
}

/// Why the terms let a request not pass. The text names the key that would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// Its method.
    #[error("`methods` does not list {0}")]
    Method(Method),
    /// Its event package; none is named where the request has no Event.
    #[error("`events` does not list \"{0}\"")]
    Event(Box<str>),
}

impl Terms {
    /// Whether requests of this method pass.
    #[must_use]
    pub fn allows(&self, method: &Method) -> bool {
        let is_listed = |method: &Method| self.methods.contains(method);
        match method {
            // A session that may begin may be acknowledged, called back and ended.
            Method::Ack | Method::Bye | Method::Cancel | Method::Prack => {
                is_listed(method) || is_listed(&Method::Invite)
            }
            // Between a user and his own server.
            Method::Register => false,
            Method::Invite
            | Method::Options
            | Method::Message
            | Method::Subscribe
            | Method::Notify
            | Method::Publish
            | Method::Info
            | Method::Update
            | Method::Refer
            | Method::Extension(_) => is_listed(method),
        }
    }

    /// Whether subscriptions to an event package pass.
    #[must_use]
    pub fn takes_event(&self, package: &str) -> bool {
        self.events.iter().any(|event| **event == *package)
    }

    /// The methods that pass, as Allow lists them.
    #[must_use]
    pub fn allow(&self) -> String {
        let passing = METHODS.iter().filter(|method| self.allows(method));
        let names: Vec<&str> = passing.map(Method::as_str).collect();
        names.join(", ")
    }

    /// Checks the method and the event package of a request.
    ///
    /// # Errors
    /// [`NotAllowed`].
    pub fn check(&self, request: &Request) -> Result<(), NotAllowed> {
        let method = request.method();
        if !self.allows(method) {
            return Err(NotAllowed::Method(method.clone()));
        }
        if !matches!(method, Method::Subscribe | Method::Notify | Method::Publish) {
            return Ok(());
        }
        let package = request.headers().event().map_or("", Event::package);
        // The subscription that a REFER makes by itself (RFC 3515 §2.4.4).
        let is_of_refer = package == "refer" && *method == Method::Notify && self.allows(&Method::Refer);
        if is_of_refer || self.events.iter().any(|event| **event == *package) {
            return Ok(());
        }
        Err(NotAllowed::Event(package.into()))
    }

    /// What the sender of a request is answered that these terms refuse.
    //
    //= rfc3261#20.5
    //# The Allow header field lists the set of methods supported by the UA generating the message.
    //= rfc6665#4.2.1.1
    //# If the event package is not supported, the notifier MUST return a 489 (Bad Event) response.
    #[must_use]
    pub fn rejection(&self, not_allowed: &NotAllowed) -> Rejection {
        let (status, header) = match not_allowed {
            NotAllowed::Method(method) if method.is_known() => {
                (StatusCode::METHOD_NOT_ALLOWED, ("Allow", self.allow()))
            }
            NotAllowed::Method(_) => (StatusCode::NOT_IMPLEMENTED, ("Allow", self.allow())),
            NotAllowed::Event(_) => (StatusCode::BAD_EVENT, ("Allow-Events", self.events.join(", "))),
        };
        Rejection {
            status,
            headers: vec![header],
        }
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            methods: METHODS
                .into_iter()
                .filter(|method| !matches!(method, Method::Prack | Method::Publish | Method::Refer))
                .collect(),
            events: vec!["presence".into()],
            sessions: Sessions::OfMessages,
            bodies: Bodies::Searched,
        }
    }
}

/// All methods that may be allowed. Not BENOTIFY: nobody answers it, so that its loss could not be told (MS-SIP).
const METHODS: [Method; 13] = [
    Method::Invite,
    Method::Ack,
    Method::Bye,
    Method::Cancel,
    Method::Message,
    Method::Info,
    Method::Subscribe,
    Method::Notify,
    Method::Options,
    Method::Update,
    Method::Prack,
    Method::Publish,
    Method::Refer,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SipLimits;
    use crate::sip::{Message, parse};

    fn request(method: &str, event: &str) -> Request {
        let event = if event.is_empty() {
            String::new()
        } else {
            format!("Event: {event}\r\n")
        };
        let text = format!(
            "{method} sip:a@h SIP/2.0\r\nVia: SIP/2.0/TLS h;branch=z9hG4bK1\r\nFrom: <sip:b@h>;tag=1\r\nTo: <sip:a@h>\r\n\
             Call-ID: 1\r\nCSeq: 1 {method}\r\n{event}Content-Length: 0\r\n\r\n"
        );
        match parse::message(text.as_bytes(), &SipLimits::default()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => unreachable!(),
        }
    }

    #[test]
    fn what_passes_by_default_is_what_the_specification_lists() {
        let terms = Terms::default();
        for (method, event, wanted) in [
            ("INVITE", "", None),
            ("ACK", "", None),
            ("BYE", "", None),
            ("CANCEL", "", None),
            ("PRACK", "", None),
            ("MESSAGE", "", None),
            ("INFO", "", None),
            ("OPTIONS", "", None),
            ("UPDATE", "", None),
            ("SUBSCRIBE", "presence", None),
            ("NOTIFY", "presence;id=1", None),
            ("SUBSCRIBE", "dialog", Some(489)),
            ("SUBSCRIBE", "presence.winfo", Some(489)),
            ("NOTIFY", "refer", Some(489)),
            ("NOTIFY", "", Some(489)),
            ("PUBLISH", "presence", Some(405)),
            ("REFER", "", Some(405)),
            ("REGISTER", "", Some(405)),
            ("BENOTIFY", "presence", Some(501)),
        ] {
            let refused = terms.check(&request(method, event)).err();
            let status = refused.map(|why| terms.rejection(&why).status.code());
            assert_eq!(status, wanted, "{method} {event}");
        }
    }

    #[test]
    fn an_answer_lists_what_does_pass() {
        let terms = Terms {
            methods: vec![Method::Message, Method::Invite],
            events: vec!["presence".into(), "conference".into()],
            ..Terms::default()
        };
        let refused = terms.check(&request("OPTIONS", "")).unwrap_err();
        assert_eq!(refused.to_string(), "`methods` does not list OPTIONS");
        assert_eq!(
            terms.rejection(&refused).headers,
            [("Allow", "INVITE, ACK, BYE, CANCEL, MESSAGE, PRACK".to_owned())]
        );
        let event = NotAllowed::Event("dialog".into());
        assert_eq!(event.to_string(), "`events` does not list \"dialog\"");
        assert_eq!(
            terms.rejection(&event).headers,
            [("Allow-Events", "presence, conference".to_owned())]
        );
        let messages = Terms {
            methods: vec![Method::Message],
            ..Terms::default()
        };
        assert_eq!(messages.allow(), "MESSAGE", "without sessions nothing of them");
    }

    #[test]
    fn whoever_may_refer_hears_what_became_of_it() {
        let terms = Terms {
            methods: vec![Method::Refer, Method::Notify],
            ..Terms::default()
        };
        assert_eq!(terms.check(&request("NOTIFY", "refer")), Ok(()));
        assert!(terms.check(&request("NOTIFY", "dialog")).is_err());
    }
}
