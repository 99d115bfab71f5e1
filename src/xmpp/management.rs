//! Stream management: how many stanzas the far end has taken responsibility for, and how many we have.
//!
//! Two counters and the elements that carry them. Not the stanzas: they are never sent a second time, as a stream is
//! never resumed (XEP-0198 §5 is optional); what was not acknowledged when a stream ended goes back to its senders.
//!
//! XEP-0198 §3 (enabling), §4 (acknowledgements).

use std::collections::VecDeque;

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

/// What we received since stream management is on, and the requests that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Handled {
    /// Stanzas that came before it was on.
    before: u64,
    /// For each request, how many stanzas had come when it came.
    owed: VecDeque<u64>,
}

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
    /// It is on after so many stanzas.
    pub(super) const fn since(before: u64) -> Self {
        Self {
            before,
            owed: VecDeque::new(),
        }
    }

    /// The answer to a request, where so many stanzas of the stream are handled.
    pub(super) fn answer(&self, handled: u64) -> Element {
        //= xep0198#4
        //# when the value of 'h' is 2^32 - 1, the next one is zero
        let number = handled.saturating_sub(self.before) & u64::from(u32::MAX);
        Element::new("a", ns::MANAGEMENT).with_attribute("h", number.to_string())
    }

    /// A request came behind so many stanzas, of which not all are handled: says whether its answer can wait.
    pub(super) fn owe(&mut self, given: u64) -> bool {
        let has_room = self.owed.len() < MOST_OWED;
        if has_room {
            self.owed.push_back(given);
        }
        has_room
    }

    /// How many stanzas have to be handled before the next answer.
    pub(super) fn owes(&self) -> Option<u64> {
        self.owed.front().copied()
    }

    /// Takes out a request whose answer need not wait any more.
    pub(super) fn pay(&mut self, handled: u64) -> bool {
        let is_due = self.owes().is_some_and(|owed| owed <= handled);
        if is_due {
            self.owed.pop_front();
        }
        is_due
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
/// Requests whose answers may wait; one more is answered with what is handled so far.
const MOST_OWED: usize = 64;

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
        let handled = Handled::since(5);
        let answer = handled.answer(u64::from(u32::MAX) + 6);
        assert_eq!(answer.attribute("h"), Some("0"));
    }

    #[test]
    fn words_read_as_they_are_written() {
        for (element, word) in [
            (enable(), Word::Enable),
            (enabled(), Word::Enabled),
            (failed(Condition::UnexpectedRequest), Word::Failed),
            (request(), Word::Request),
            (Handled::since(2).answer(9), Word::Answer(Some(7))),
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
