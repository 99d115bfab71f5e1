//! What refusals of a SUBSCRIBE and reasons of a termination mean for the next attempt (RFC 6665 §4.1.2, §4.1.3).

use crate::sip::{StatusCode, SubscriptionState};

/// Why the state is not known any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapse {
    /// Nobody refreshed it, or nobody could.
    Expired,
    /// The notifier ended it, but not for ever.
    Terminated,
    /// A SUBSCRIBE failed with this status; without one nothing came back.
    Failed(Option<StatusCode>),
}

/// How a subscription of ours ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriberOver {
    /// As it was wanted.
    Stopped,
    /// The state was asked for once, and has come.
    Fetched,
    /// Whoever is watched does not want it.
    Rejected,
    /// What was to be watched is not there.
    NoResource,
    /// The state will not change.
    Invariant,
    /// The notifier refuses such a request for ever.
    Refused(StatusCode),
    /// The state was asked for once, and did not come.
    Lost(Lapse),
}

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There will never be a subscription.
    Over(SubscriberOver),
    /// Ask for longer.
    TooBrief,
    /// There may be one later.
    Later,
}

/// What a final response above 299 to a SUBSCRIBE means.
pub(super) const fn verdict(status: StatusCode) -> Verdict {
    match status.code() {
        403 | 603 => Verdict::Over(SubscriberOver::Rejected),
        410 | 604 => Verdict::Over(SubscriberOver::NoResource),
        423 => Verdict::TooBrief,
        // The same request would fare no better.
        300..=402
        | 404..=407
        | 413..=417
        | 420
        | 421
        | 484
        | 485
        | 488
        | 489
        | 493
        | 501
        | 505
        | 513
        | 606 => Verdict::Over(SubscriberOver::Refused(status)),
        _ => Verdict::Later,
    }
}

/// What a notifier's reason means for the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// At once.
    Again,
    /// After `retry-after`, or a pause.
    Later,
    /// At once where it is still wanted: nobody had refreshed it.
    Expired,
    /// Never.
    Over(SubscriberOver),
}

impl Reason {
    pub(super) fn of(state: &SubscriptionState) -> Self {
        match state.reason().map(str::to_ascii_lowercase).as_deref() {
            Some("deactivated") => Self::Again,
            Some("timeout" | "expired") => Self::Expired,
            Some("rejected") => Self::Over(SubscriberOver::Rejected),
            Some("noresource") => Self::Over(SubscriberOver::NoResource),
            Some("invariant") => Self::Over(SubscriberOver::Invariant),
            // `probation`, `giveup`, none, and what is not known.
            _ => Self::Later,
        }
    }
}
