//! The Subscription-State of a notification of ours.

use std::time::Duration;

use crate::sip::{Flaw, SubscriptionState};

/// Whether the subscriber may see the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorisation {
    /// It is not decided yet.
    Pending,
    /// It may.
    Active,
}

/// Why a notifier of ours ends a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The subscriber is to try again at once, perhaps elsewhere.
    Deactivated,
    /// It is to try again later.
    Probation(Duration),
    /// It may not see the state any more.
    Rejected,
    /// It expired, or was given up by its subscriber.
    Timeout,
    /// Nobody decided in time.
    GiveUp(Duration),
    /// There is nothing to be seen.
    NoResource,
}

impl Ending {
    const fn reason(self) -> &'static str {
        match self {
            Self::Deactivated => "deactivated",
            Self::Probation(_) => "probation",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
            Self::GiveUp(_) => "giveup",
            Self::NoResource => "noresource",
        }
    }

    /// The field that says it.
    pub(super) fn state(self) -> Result<SubscriptionState, Flaw> {
        let mut state = SubscriptionState::new("terminated")?;
        state.params_mut().set("reason", Some(self.reason()))?;
        match self {
            Self::Probation(after) | Self::GiveUp(after) => {
                let seconds = after.as_secs().to_string();
                state.params_mut().set("retry-after", Some(&seconds))?;
            }
            Self::Deactivated | Self::Rejected | Self::Timeout | Self::NoResource => {}
        }
        Ok(state)
    }
}

impl Authorisation {
    /// The field that says it, with the time that is left.
    //
    //= rfc6665#4.2.2
    //# If the value of the "Subscription-State" header field is "active" or "pending", the notifier MUST also include in
    //# the "Subscription-State" header field an "expires" parameter that indicates the time remaining on the
    //# subscription.
    pub(super) fn state(self, left: Duration) -> Result<SubscriptionState, Flaw> {
        let mut state = SubscriptionState::new(match self {
            Self::Pending => "pending",
            Self::Active => "active",
        })?;
        let seconds = left.as_secs().to_string();
        state.params_mut().set("expires", Some(&seconds))?;
        Ok(state)
    }
}
