//! Event and Subscription-State (RFC 6665 §8.2.1, §8.2.3).

use std::fmt;

use super::error::Flaw;
use super::lex::{self, Cursor};
use super::params::Params;

/// An event package with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    package: String,
    params: Params,
}

/// The state of a subscription, as a notifier reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionState {
    state: String,
    params: Params,
}

impl Event {
    /// An event of a package, such as `presence`.
    ///
    /// # Errors
    /// [`Flaw::Token`] where the package is no token.
    pub fn new(package: &str) -> Result<Self, Flaw> {
        let (package, params) = (token(package)?, Params::default());
        Ok(Self { package, params })
    }

    /// The package of presence (RFC 3856 §6.1).
    #[must_use]
    pub fn presence() -> Self {
        Self {
            package: "presence".to_owned(),
            params: Params::default(),
        }
    }

    /// Reads the value of the header field.
    ///
    /// # Errors
    /// The [`Flaw`] that was met first.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        let (package, params) = token_with_params(text)?;
        Ok(Self { package, params })
    }

    /// The package with its templates, as written; compared octet by octet (RFC 6665 §8.2.1).
    #[must_use]
    pub fn package(&self) -> &str {
        &self.package
    }

    /// The `id` that tells subscriptions of one dialog apart.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.params.get("id")
    }

    /// The parameters.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The parameters, to change.
    pub const fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }
}

impl SubscriptionState {
    /// A state: `active`, `pending`, `terminated` or an extension.
    ///
    /// # Errors
    /// [`Flaw::Token`] where the state is no token.
    pub fn new(state: &str) -> Result<Self, Flaw> {
        let (state, params) = (token(state)?, Params::default());
        Ok(Self { state, params })
    }

    /// Reads the value of the header field.
    ///
    /// # Errors
    /// The [`Flaw`] that was met first.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        let (state, params) = token_with_params(text)?;
        Ok(Self { state, params })
    }

    /// The state as written; [`SubscriptionState::is`] compares it.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Whether this is the state named, without regard to case.
    #[must_use]
    pub fn is(&self, state: &str) -> bool {
        self.state.eq_ignore_ascii_case(state)
    }

    /// Why a subscription has ended.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.params.get("reason")
    }

    /// Seconds that the subscription will still stand; a number beyond 32 bits is the greatest of them.
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        seconds(self.params.get("expires")?).ok()
    }

    /// The parameters.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The parameters, to change.
    pub const fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.package, self.params)
    }
}

impl fmt::Display for SubscriptionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.state, self.params)
    }
}

/// Reads `delta-seconds`, where a number beyond 32 bits is the greatest of them (RFC 3261 §20.19).
pub(super) fn seconds(text: &str) -> Result<u32, Flaw> {
    match lex::number(text, u32::MAX) {
        Err(Flaw::Range) => Ok(u32::MAX),
        other => other,
    }
}

fn token(text: &str) -> Result<String, Flaw> {
    if lex::is_token_text(text) {
        Ok(text.to_owned())
    } else {
        Err(Flaw::Token)
    }
}

fn token_with_params(text: &str) -> Result<(String, Params), Flaw> {
    let mut cursor = Cursor::new(text);
    cursor.skip_blanks();
    let word = cursor.token()?.to_owned();
    let params = Params::read(&mut cursor)?;
    cursor.end()?;
    Ok((word, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_states_are_read_with_their_parameters() {
        let event = Event::parse("presence.winfo ; id = 7").unwrap();
        assert_eq!((event.package(), event.id()), ("presence.winfo", Some("7")));
        let state = SubscriptionState::parse("Terminated;reason=noresource;expires=99999999999").unwrap();
        assert!(state.is("terminated"));
        assert_eq!(
            (state.reason(), state.expires()),
            (Some("noresource"), Some(u32::MAX))
        );
        assert_eq!(
            state.to_string(),
            "Terminated;reason=noresource;expires=99999999999"
        );
        for text in ["", ";id=1", "a b", "a;", "a;id=1;id=2", "a,b"] {
            assert!(Event::parse(text).is_err(), "{text:?}");
        }
    }
}
