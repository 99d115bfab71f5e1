//! Request methods: a case-sensitive, open set (RFC 3261 §7.1).

use std::fmt;

use super::error::Flaw;
use super::lex;

/// A method; one that is not named here is an [`ExtensionMethod`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the methods themselves")]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Message,
    Subscribe,
    Notify,
    Publish,
    Info,
    Update,
    Prack,
    Refer,
    Extension(ExtensionMethod),
}

/// A method that has no name of its own in [`Method`]; it is a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExtensionMethod(Box<str>);

impl Method {
    /// Reads a method.
    ///
    /// # Errors
    /// [`Flaw::Token`] where the text is not a token.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        if let Some((method, _)) = NAMES.iter().find(|(_, name)| *name == text) {
            return Ok(method.clone());
        }
        if !lex::is_token_text(text) {
            return Err(Flaw::Token);
        }
        Ok(Self::Extension(ExtensionMethod(text.into())))
    }

    /// The method as it stands on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Message => "MESSAGE",
            Self::Subscribe => "SUBSCRIBE",
            Self::Notify => "NOTIFY",
            Self::Publish => "PUBLISH",
            Self::Info => "INFO",
            Self::Update => "UPDATE",
            Self::Prack => "PRACK",
            Self::Refer => "REFER",
            Self::Extension(ExtensionMethod(name)) => name,
        }
    }

    /// Whether the method has a name in this enum.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        !matches!(self, Self::Extension(_))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const NAMES: [(Method, &str); 14] = [
    (Method::Message, "MESSAGE"),
    (Method::Invite, "INVITE"),
    (Method::Ack, "ACK"),
    (Method::Bye, "BYE"),
    (Method::Subscribe, "SUBSCRIBE"),
    (Method::Notify, "NOTIFY"),
    (Method::Options, "OPTIONS"),
    (Method::Cancel, "CANCEL"),
    (Method::Register, "REGISTER"),
    (Method::Publish, "PUBLISH"),
    (Method::Info, "INFO"),
    (Method::Update, "UPDATE"),
    (Method::Prack, "PRACK"),
    (Method::Refer, "REFER"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_method_reads_back_as_itself() {
        for (method, name) in &NAMES {
            assert_eq!(Method::parse(name).as_ref(), Ok(method));
            assert_eq!(method.as_str(), *name);
        }
    }

    #[test]
    fn the_set_is_open_and_case_sensitive() {
        let lower = Method::parse("invite").unwrap();
        assert!(!lower.is_known());
        assert_eq!(lower.as_str(), "invite");
        assert!(Method::parse("!interesting-Method0123456789_*+`.%indeed'~").is_ok());
        for text in ["", "A B", "A/B", "A:", "É"] {
            assert_eq!(Method::parse(text), Err(Flaw::Token), "{text:?}");
        }
    }
}
