//! Subscriptions: who asks for the state of something, and who tells it (RFC 6665; RFC 3265 where old peers differ).
//!
//! Two machines, each with one dialog: [`Subscriber`] and [`Notifier`]. Not the event packages: what a body means, who may
//! see it and what a watcher is told is decided above. Each makes whole requests, but for their Via, which whoever sends
//! them knows, and whole responses.
//!
//! Invariants: a machine has one request under way at most; it ends by itself whatever its user and its peer do or leave
//! undone; its last output is `Over`, and that comes once.

mod entity;
mod notifier;
mod notify;
mod subscriber;

use bytes::Bytes;

pub use entity::Entity;
pub use notifier::{
    NotAccepted, Notifier, NotifierInput, NotifierManner, NotifierOutput, NotifierOver, NotifierTerms,
};
pub use notify::{Authorisation, Ending};
pub use subscriber::{
    Attempt, Lapse, Subscriber, SubscriberInput, SubscriberManner, SubscriberOutput, SubscriberOver,
    SubscriberTerms,
};

use super::{Event, Method, Response, SubscriptionState};
use crate::mime::MediaType;

/// What a notification carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// What it is.
    pub kind: MediaType,
    /// Its octets.
    pub body: Bytes,
}

/// Whether two Event values name the same subscription, octet for octet (RFC 6665 §8.2.1).
fn is_same_event(a: &Event, b: &Event) -> bool {
    a.package() == b.package() && a.id() == b.id()
}

/// The seconds of a field with a number, such as Min-Expires.
fn seconds_of(response: &Response, name: &str) -> Option<u32> {
    super::event::seconds(response.headers().get(name)?.trim()).ok()
}

/// The `retry-after` of a subscription that was terminated, in seconds.
fn retry_after(state: &SubscriptionState) -> Option<u32> {
    super::event::seconds(state.params().get("retry-after")?).ok()
}

/// Whether a method is BENOTIFY (MS-SIP), the form of NOTIFY that nobody answers.
#[must_use]
pub fn is_unanswered(method: &Method) -> bool {
    method.as_str() == "BENOTIFY"
}

/// What a notification carries; nothing where there is no body.
fn content(kind: Option<&MediaType>, body: &Bytes) -> Option<Content> {
    let kind = kind.filter(|_| !body.is_empty())?.clone();
    Some(Content {
        kind,
        body: body.clone(),
    })
}
