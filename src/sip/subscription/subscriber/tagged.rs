//! What a subscriber knows of the tag of the state that it has, and what it asks for by that (RFC 5839 §5).

use crate::sip::Headers;
use crate::sip::subscription::entity::{SUPPRESS_IF_MATCH, tag_of};

/// The tag of the state that is known, where its notifier gave one.
#[derive(Debug, Default)]
pub(super) struct Tagged {
    tag: Option<Box<str>>,
    condition: Condition,
    /// Whether a notifier that was asked with a condition said nothing at all: it is asked with none any more.
    is_distrusted: bool,
}

/// The condition of the SUBSCRIBE that was sent last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Condition {
    #[default]
    None,
    /// It names the state that is known.
    Holds,
    /// Another state was told since.
    Overtaken,
}

impl Tagged {
    /// Asks to be told nothing where that is known already.
    //
    //= rfc5839#5.2
    //# When creating a conditional SUBSCRIBE request, the subscriber MUST include a single conditional header field
    //# including an entity-tag in the request.
    pub(super) fn ask(&mut self, headers: &mut Headers) {
        self.condition = Condition::None;
        if let Some(tag) = self.tag.as_deref() {
            // It is a token, so this cannot fail.
            let _ = headers.push(SUPPRESS_IF_MATCH, tag);
            self.condition = Condition::Holds;
        }
    }

    /// Whether a notification without a document is of the state that is known, and left that out.
    pub(super) fn is_of_the_known(&self, headers: &Headers) -> bool {
        let is_known = self.tag.is_some() && tag_of(headers) == self.tag.as_deref();
        is_known && self.condition == Condition::Holds
    }

    /// The state of a notification is known from now on.
    //
    //= rfc5839#5.3
    //# When a subscriber receives a NOTIFY request that contains a SIP-ETag header field, it MUST store the entity-tag if
    //# it wishes to make use of the conditional notification mechanism.
    pub(super) fn learn(&mut self, headers: &Headers) {
        let tag = tag_of(headers).filter(|_| !self.is_distrusted);
        if tag != self.tag.as_deref() {
            self.forget();
            self.tag = tag.map(Box::from);
        }
    }

    /// The state that is known has no tag, or none is known.
    pub(super) fn forget(&mut self) {
        self.tag = None;
        if self.condition == Condition::Holds {
            self.condition = Condition::Overtaken;
        }
    }

    /// Whether what a notifier does not tell again may be another state than the one that is known.
    pub(super) fn is_overtaken(&self) -> bool {
        self.condition == Condition::Overtaken
    }

    /// It said that it would tell the state, and did not.
    pub(super) fn said_nothing(&mut self) {
        self.is_distrusted |= self.condition != Condition::None;
    }

    /// The subscription is gone.
    pub(super) fn end(&mut self) {
        (self.tag, self.condition) = (None, Condition::None);
    }
}
