//! Stream management: how many stanzas the far end has taken responsibility for, and how many we have.
//!
//! Two counters and the elements that carry them. Not the stanzas: they are never sent a second time, as a stream is
//! never resumed (XEP-0198 §5 is optional); what was not acknowledged when a stream ended goes back to its senders.
//!
//! XEP-0198 §3 (enabling), §4 (acknowledgements).

use crate::xml::Element;
use crate::xmpp::error::Condition;
use crate::xmpp::ns;

/// An element of stream management.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// The initiator wants stream management.
    Enable,
    /// It has it.
    Enabled,
    /// It, or a resumption, is refused.
    Failed,
    /// The initiator wants an earlier stream back.
    Resume,
    /// An acknowledgement is asked for.
    Request,
    /// So many stanzas were handled, modulo 2^32; none where the number is missing or malformed.
    Answer(Option<u32>),
    /// Something else.
    Unknown,
}

/// What we sent since stream management is on.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The number that the far end named last.
    handled: u32,
    /// Stanzas sent and not acknowledged.
    outstanding: u32,
    /// Requests that wait for their answers.
    requests: u32,
    /// Stanzas sent since the last request.
    since: u32,
}

/// What we received since stream management is on.
#[derive(Debug, Default)]
pub(super) struct Handled(u32);

/// The far end claims to have handled more than it was sent, or less than it said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrongCount;

impl Word {
    /// The word that an element is; `None` where it is of another namespace.
    pub(super) fn read(element: &Element) -> Option<Self> {
        if element.ns() != ns::MANAGEMENT {
            return None;
        }
        Some(match element.name() {
            "enable" => Self::Enable,
            "enabled" => Self::Enabled,
            "failed" => Self::Failed,
            "resume" => Self::Resume,
            "r" => Self::Request,
            "a" => Self::Answer(element.attribute("h").and_then(count)),
            _ => Self::Unknown,
        })
    }
}

impl Sent {
    /// A stanza was sent.
    pub(super) fn sent(&mut self) {
        self.outstanding = self.outstanding.saturating_add(1);
        self.since = self.since.saturating_add(1);
    }

    /// Whether to ask for an acknowledgement: while something is not acknowledged there is always a request under way,
    /// and under load one among every few stanzas.
    pub(super) fn wants_request(&self) -> bool {
        self.outstanding > 0 && (!self.is_asked() || self.since >= EVERY)
    }

    /// Whether a request waits for its answer.
    pub(super) fn is_asked(&self) -> bool {
        self.requests > 0
    }

    /// An acknowledgement was asked for.
    pub(super) const fn asked(&mut self) {
        self.requests = self.requests.saturating_add(1);
        self.since = 0;
    }

    /// The far end has handled `handled` stanzas in all: gives how many more than before.
    pub(super) fn acknowledged(&mut self, handled: u32) -> Result<u32, WrongCount> {
        self.requests = self.requests.saturating_sub(1);
        //= xep0198#4
        //# when the value of 'h' is 2^32 - 1, the next one is zero
        let more = handled.wrapping_sub(self.handled);
        self.outstanding = self.outstanding.checked_sub(more).ok_or(WrongCount)?;
        self.handled = handled;
        Ok(more)
    }
}

impl Handled {
    /// A stanza was handled.
    pub(super) const fn handled(&mut self) {
        self.0 = self.0.wrapping_add(1);
    }

    /// The answer to a request.
    pub(super) fn answer(&self) -> Element {
        Element::new("a", ns::MANAGEMENT).with_attribute("h", self.0.to_string())
    }
}

/// What a server offers that knows stream management.
pub(super) fn feature() -> Element {
    let optional = Element::new("optional", ns::MANAGEMENT);
    Element::new("sm", ns::MANAGEMENT).with_child(optional)
}

/// Asks for stream management, without resumption.
pub(super) fn enable() -> Element {
    Element::new("enable", ns::MANAGEMENT)
}

/// Grants it, without resumption.
pub(super) fn enabled() -> Element {
    Element::new("enabled", ns::MANAGEMENT)
}

/// Asks for an acknowledgement.
pub(super) fn request() -> Element {
    Element::new("r", ns::MANAGEMENT)
}

/// Refuses what was asked for.
pub(super) fn failed(condition: Condition) -> Element {
    let condition = Element::new(condition.as_str(), ns::STANZA_ERRORS);
    Element::new("failed", ns::MANAGEMENT).with_child(condition)
}

/// An `xs:unsignedInt`, in the form without sign and leading plus.
fn count(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Stanzas between two requests at most: what a stream that breaks leaves in doubt is little more than that.
const EVERY: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_count_what_was_sent_and_no_more() {
        let mut sent = Sent::default();
        assert!(!sent.wants_request(), "nothing was sent");
        for _ in 0..5 {
            sent.sent();
        }
        assert!(sent.wants_request());
        sent.asked();
        assert!(!sent.wants_request() && sent.is_asked(), "one is under way");
        assert_eq!(sent.acknowledged(3), Ok(3));
        assert!(sent.wants_request(), "two are left");
        assert_eq!(sent.acknowledged(3), Ok(0));
        assert_eq!(sent.acknowledged(6), Err(WrongCount), "more than was sent");
        assert_eq!(sent.acknowledged(2), Err(WrongCount), "less than before");
        assert_eq!(sent.acknowledged(5), Ok(2));
        assert!(!sent.wants_request());
    }

    #[test]
    fn under_load_one_among_every_few_stanzas_is_followed_by_a_request() {
        let mut sent = Sent::default();
        let mut requests = 0;
        for _ in 0..=4 * EVERY {
            sent.sent();
            if sent.wants_request() {
                sent.asked();
                requests += 1;
            }
        }
        assert_eq!(requests, 5);
        assert_eq!(sent.acknowledged(1), Ok(1));
        assert!(!sent.wants_request(), "four are under way");
    }

    #[test]
    fn counters_begin_again_after_their_end() {
        let mut sent = Sent {
            handled: u32::MAX - 1,
            outstanding: 4,
            ..Sent::default()
        };
        assert_eq!(sent.acknowledged(u32::MAX), Ok(1));
        assert_eq!(sent.acknowledged(1), Ok(2));
        assert_eq!(sent.acknowledged(2), Ok(1));
        let mut handled = Handled(u32::MAX);
        handled.handled();
        assert_eq!(handled.answer().attribute("h"), Some("0"));
    }

    #[test]
    fn words_read_as_they_are_written() {
        for (element, word) in [
            (enable(), Word::Enable),
            (enabled(), Word::Enabled),
            (failed(Condition::UnexpectedRequest), Word::Failed),
            (request(), Word::Request),
            (Handled(7).answer(), Word::Answer(Some(7))),
            (Element::new("resume", ns::MANAGEMENT), Word::Resume),
            (Element::new("sm", ns::MANAGEMENT), Word::Unknown),
        ] {
            assert_eq!(Word::read(&element), Some(word));
        }
        assert_eq!(Word::read(&Element::new("r", ns::SERVER)), None);
    }

    #[test]
    fn a_number_that_is_none_is_not_taken_for_one() {
        for text in ["", "-1", "+1", " 1", "4294967296", "1x", "0x1"] {
            let answer = Element::new("a", ns::MANAGEMENT).with_attribute("h", text);
            assert_eq!(Word::read(&answer), Some(Word::Answer(None)), "{text:?}");
        }
        let none = Element::new("a", ns::MANAGEMENT);
        assert_eq!(Word::read(&none), Some(Word::Answer(None)));
        let most = Element::new("a", ns::MANAGEMENT).with_attribute("h", "4294967295");
        assert_eq!(Word::read(&most), Some(Word::Answer(Some(u32::MAX))));
    }
}
