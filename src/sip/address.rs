//! `name-addr` and `addr-spec`: the values of From, To, Contact, Route and Record-Route (RFC 3261 §20.10, §25.1).

use std::fmt;

use super::error::Flaw;
use super::lex::{self, Cursor};
use super::params::Params;
use super::uri::Uri;

/// An address with its display name and header parameters. It is always written with angle brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddr {
    display: Option<Box<str>>,
    uri: Uri,
    params: Params,
}

/// The Contact header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contact {
    /// The addresses, which may be none.
    Listed(Vec<NameAddr>),
    /// `*`, all bindings (RFC 3261 §10.2.2).
    Everything,
}

impl NameAddr {
    /// An address without display name and parameters.
    #[must_use]
    pub fn new(uri: impl Into<Uri>) -> Self {
        Self {
            display: None,
            uri: uri.into(),
            params: Params::default(),
        }
    }

    /// Reads one value, in either form.
    ///
    /// # Errors
    /// The [`Flaw`] that was met first.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        let mut cursor = Cursor::new(text);
        let value = Self::read(&mut cursor)?;
        cursor.end()?;
        Ok(value)
    }

    /// The same with a display name, which may hold any text: it is quoted when written, and line breaks become
    /// blanks. An empty text means none.
    #[must_use]
    pub fn with_display(mut self, display: &str) -> Self {
        self.display = (!display.is_empty()).then(|| display.replace(['\r', '\n'], " ").into());
        self
    }

    /// The same with a tag. Characters that are no token's are left out; what is left of none is no tag.
    #[must_use]
    pub fn with_tag(mut self, tag: &str) -> Self {
        self.set_tag(tag);
        self
    }

    /// The same with a header parameter set (see [`Params::set`]).
    ///
    /// # Errors
    /// [`Flaw::Token`] where the name is no token.
    pub fn with_param(mut self, name: &str, value: Option<&str>) -> Result<Self, Flaw> {
        self.params.set(name, value)?;
        Ok(self)
    }

    /// Sets the tag, as [`NameAddr::with_tag`] does.
    pub fn set_tag(&mut self, tag: &str) {
        let clean: String = tag
            .chars()
            .filter(|c| u8::try_from(*c).is_ok_and(lex::is_token))
            .collect();
        if clean.is_empty() {
            self.params.remove("tag");
        } else {
            self.params.put("tag", Some(&clean));
        }
    }

    /// Removes the tag, for a request outside a dialog.
    pub fn remove_tag(&mut self) {
        self.params.remove("tag");
    }

    /// The display name as the text it stands for.
    #[must_use]
    pub fn display(&self) -> Option<&str> {
        self.display.as_deref()
    }

    /// The URI.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The header parameters: those after the closing bracket, or after a URI without brackets.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The header parameters, to change.
    pub const fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    /// The tag (RFC 3261 §19.3).
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag")
    }

    /// Reads one value up to the comma or the end that follows it.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Flaw> {
        cursor.skip_blanks();
        let display = display_name(cursor)?;
        let uri = match display {
            Some(_) => bracketed(cursor)?,
            None => bare(cursor)?,
        };
        let params = Params::read(cursor)?;
        // tag = token; another form would be read differently by different readers
        if params.contains("tag") && !params.get("tag").is_some_and(lex::is_token_text) {
            return Err(Flaw::Parameter);
        }
        Ok(Self {
            display: display.filter(|text| !text.is_empty()).map(Into::into),
            uri,
            params,
        })
    }
}

impl Contact {
    /// The addresses; none where the field is `*`.
    #[must_use]
    pub fn addresses(&self) -> &[NameAddr] {
        match self {
            Self::Listed(addresses) => addresses,
            Self::Everything => &[],
        }
    }
}

impl Default for Contact {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl From<NameAddr> for Contact {
    fn from(address: NameAddr) -> Self {
        Self::Listed(vec![address])
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            let mut quoted = String::with_capacity(display.len().saturating_add(2));
            lex::quote(display, &mut quoted);
            write!(f, "{quoted} ")?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

/// Reads what stands before `<`; `None` where the value has no bracket, and then nothing is read.
fn display_name(cursor: &mut Cursor<'_>) -> Result<Option<String>, Flaw> {
    if cursor.peek() == Some(b'"') {
        let display = lex::unquote(cursor.quoted()?).into_owned();
        cursor.skip_blanks();
        return match cursor.peek() {
            Some(b'<') => Ok(Some(display)),
            _ => Err(Flaw::Bracket),
        };
    }
    let words = cursor.rest();
    let mut ahead = *cursor;
    loop {
        ahead.skip_blanks();
        if ahead.peek() == Some(b'<') {
            let length = words.len().saturating_sub(ahead.rest().len());
            let display = words.split_at_checked(length).map_or("", |(text, _)| text);
            *cursor = ahead;
            return Ok(Some(display.trim_matches(lex::BLANK).to_owned()));
        }
        if ahead.token().is_err() {
            return Ok(None);
        }
    }
}

/// Reads `<URI>`.
fn bracketed(cursor: &mut Cursor<'_>) -> Result<Uri, Flaw> {
    if !cursor.take('<') {
        return Err(Flaw::Bracket);
    }
    let uri = cursor.take_while(|b| b != b'>');
    if !cursor.take('>') {
        return Err(Flaw::Bracket);
    }
    Uri::parse(uri)
}

/// Reads a URI without brackets.
///
//= rfc3261#20
//# If the URI contains a comma, question mark or semicolon, the URI
//# MUST be enclosed in angle brackets (< and >).
fn bare(cursor: &mut Cursor<'_>) -> Result<Uri, Flaw> {
    let uri = cursor.take_while(|b| !matches!(b, b';' | b',' | b' ' | b'\t'));
    if uri.contains('?') {
        return Err(Flaw::Unbracketed);
    }
    Uri::parse(uri)
}
