//! How kinds of peers name the states of a user (specification: interworking §7 and §12). A new kind of peer is a new table.

use super::{Device, Occupation, State};
use crate::interwork::profile::PeerKind;

/// How somebody busy is shown to users of XMPP, whose clients know no such state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BusyAs {
    /// As one who does not want to be disturbed.
    DoNotDisturb,
    /// As one who is not there.
    Away,
    /// As any other who can be reached.
    Available,
}

impl BusyAs {
    /// What a kind of peer is used to.
    #[must_use]
    pub const fn of(kind: PeerKind) -> Self {
        match kind {
            PeerKind::Simple => Self::DoNotDisturb,
            PeerKind::Microsoft | PeerKind::Aol => Self::Away,
        }
    }
}

/// What `<show/>` says (RFC 6121 §4.7.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Show {
    /// Nothing: the user can be reached.
    None,
    /// `chat`
    Chat,
    /// `away`
    Away,
    /// `xa`
    ExtendedAway,
    /// `dnd`
    DoNotDisturb,
}

impl Show {
    /// All that are written.
    pub const ALL: [Self; 4] = [Self::Chat, Self::Away, Self::ExtendedAway, Self::DoNotDisturb];

    /// What stands in the element; `None` where there is no element.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Chat => Some("chat"),
            Self::Away => Some("away"),
            Self::ExtendedAway => Some("xa"),
            Self::DoNotDisturb => Some("dnd"),
        }
    }

    /// The state that it says.
    #[must_use]
    pub const fn state(self) -> State {
        match self {
            Self::None => State::Available,
            Self::Chat => State::Chat,
            Self::Away => State::Away,
            Self::ExtendedAway => State::ExtendedAway,
            Self::DoNotDisturb => State::DoNotDisturb,
        }
    }

    /// What a text in the element says; `None` for what is no such word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|show| show.as_str() == Some(text.trim()))
    }
}

/// What a user of XMPP sees of a state; `None` where it is unavailable. The words go where the sender gave none.
#[must_use]
pub const fn to_xmpp(kind: PeerKind, busy_as: BusyAs, state: State) -> Option<(Show, Option<&'static str>)> {
    let state = match (kind, state) {
        // Its clients know no more than these.
        (PeerKind::Aol, State::Chat) => State::Available,
        (PeerKind::Aol, State::Busy(_) | State::DoNotDisturb | State::BeRightBack | State::ExtendedAway) => {
            State::Away
        }
        (PeerKind::Simple | PeerKind::Microsoft | PeerKind::Aol, state) => state,
    };
    Some(match state {
        State::Offline => return None,
        State::Chat => (Show::Chat, None),
        State::Available => (Show::None, None),
        State::Away => (Show::Away, None),
        State::ExtendedAway => (Show::ExtendedAway, None),
        State::BeRightBack => (Show::Away, Some("Be right back")),
        State::Busy(occupation) => {
            let show = match busy_as {
                BusyAs::DoNotDisturb => Show::DoNotDisturb,
                BusyAs::Away => Show::Away,
                BusyAs::Available => Show::None,
            };
            (show, Some(occupation.words()))
        }
        State::DoNotDisturb => {
            let show = match (kind, busy_as) {
                (PeerKind::Microsoft, BusyAs::Away | BusyAs::Available) => Show::Away,
                (PeerKind::Microsoft, BusyAs::DoNotDisturb) | (PeerKind::Simple | PeerKind::Aol, _) => {
                    Show::DoNotDisturb
                }
            };
            (show, Some("Do not disturb"))
        }
    })
}

/// What a SIP peer of a kind is told of a device, whose user may say more of it than XMPP has words for.
#[must_use]
pub fn of_device(kind: PeerKind, device: &Device) -> State {
    let is_usual = matches!(device.state, State::Available | State::Away);
    let occupation = Occupation::ALL.into_iter().find(|occupation| {
        device
            .notes
            .iter()
            .any(|note| occupation.is_said_by(note.as_str()))
    });
    match (kind, occupation) {
        (PeerKind::Microsoft, Some(occupation)) if is_usual => State::Busy(occupation),
        (PeerKind::Aol, _) if device.state.is_open() && device.idle_since.is_some() => State::Away,
        (PeerKind::Simple | PeerKind::Microsoft | PeerKind::Aol, _) => to_sip(kind, device.state),
    }
}

/// What a SIP peer of a kind is told of a state.
#[must_use]
pub const fn to_sip(kind: PeerKind, state: State) -> State {
    match (kind, state) {
        (PeerKind::Simple, state) => state,
        (PeerKind::Microsoft | PeerKind::Aol, State::Chat) => State::Available,
        // Theirs silences callers, and XMPP's does not.
        (PeerKind::Microsoft, State::DoNotDisturb) => State::Busy(Occupation::Unsaid),
        (PeerKind::Microsoft, State::ExtendedAway) => State::Away,
        (PeerKind::Aol, State::Busy(_) | State::DoNotDisturb | State::BeRightBack | State::ExtendedAway) => {
            State::Away
        }
        (
            PeerKind::Microsoft | PeerKind::Aol,
            state @ (State::Available | State::Busy(_) | State::BeRightBack | State::Away | State::Offline),
        ) => state,
    }
}

impl Occupation {
    const ALL: [Self; 4] = [Self::Unsaid, Self::Phone, Self::Meeting, Self::Presentation];

    /// Whether a note says it, and nothing else: so do our own, and those of clients that know more states than XMPP.
    fn is_said_by(self, note: &str) -> bool {
        note.trim().eq_ignore_ascii_case(self.words())
    }

    /// What stands beside the state where its user says nothing.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unsaid => "Busy",
            Self::Phone => "On the phone",
            Self::Meeting => "In a meeting",
            Self::Presentation => "Presenting",
        }
    }
}

/// The state that a number of Microsoft's says, and whether its user has left the device alone (MS-PRES, aggregation).
#[must_use]
pub const fn of_availability(number: u32) -> (State, bool) {
    match number {
        0..=2_999 => (State::Offline, false),
        3_000..=4_499 => (State::Available, false),
        4_500..=5_999 => (State::Away, true),
        6_000..=7_499 => (State::Busy(Occupation::Unsaid), false),
        7_500..=8_999 => (State::Busy(Occupation::Unsaid), true),
        9_000..=11_999 => (State::DoNotDisturb, false),
        12_000..=14_999 => (State::BeRightBack, false),
        15_000..=17_999 => (State::Away, false),
        18_000.. => (State::Offline, false),
    }
}

/// The state that an activity says (RFC 4480 §3.2, and words of Microsoft's); `None` for one that says nothing of that.
#[must_use]
pub fn of_activity(word: &str) -> Option<State> {
    let word = word.trim().to_ascii_lowercase();
    ACTIVITIES
        .iter()
        .find(|(words, _)| words.contains(&word.as_str()))
        .map(|(_, state)| *state)
}

/// The activity that says a state (RFC 4480 §3.2); `None` where being reachable, or not, says it all.
#[must_use]
pub const fn activity(state: State) -> Option<&'static str> {
    match state {
        State::Busy(Occupation::Phone) => Some("on-the-phone"),
        State::Busy(Occupation::Meeting) => Some("meeting"),
        State::Busy(Occupation::Presentation) => Some("presentation"),
        State::Busy(Occupation::Unsaid) | State::DoNotDisturb => Some("busy"),
        State::BeRightBack | State::Away | State::ExtendedAway => Some("away"),
        State::Chat | State::Available | State::Offline => None,
    }
}

const ACTIVITIES: [(&[&str], State); 8] = [
    (
        &["busy", "busyidle", "busy-idle"],
        State::Busy(Occupation::Unsaid),
    ),
    (&["on-the-phone", "onthephone"], State::Busy(Occupation::Phone)),
    (
        &["meeting", "appointment", "in-a-meeting", "in-a-conference"],
        State::Busy(Occupation::Meeting),
    ),
    (
        &["presentation", "performance", "in-presentation"],
        State::Busy(Occupation::Presentation),
    ),
    (
        &[
            "do-not-disturb",
            "donotdisturb",
            "dnd",
            "urgent-interruptions-only",
        ],
        State::DoNotDisturb,
    ),
    (&["be-right-back", "berightback"], State::BeRightBack),
    (
        &[
            "away",
            "breakfast",
            "lunch",
            "dinner",
            "meal",
            "in-transit",
            "steering",
            "travel",
            "shopping",
            "spectator",
            "tv",
            "playing",
            "worship",
            "sleeping",
            "idle",
            "out-to-lunch",
            "outtolunch",
        ],
        State::Away,
    ),
    (
        &["holiday", "vacation", "permanent-absence", "out-of-office"],
        State::ExtendedAway,
    ),
];
