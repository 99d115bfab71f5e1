//! Why a message is refused, for the operator, for metrics and for the peer.
//!
//! [`Flaw`] is what is wrong with one value; [`ParseError`] says where in the message it stands. Both are `Copy`: no
//! text of the peer is carried along, so none can leak into a log or an answer.

use super::message::Response;
use super::name::Field;
use crate::refusal::{Fault, Refuse};

/// What is wrong with one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Flaw {
    /// A token is missing or holds a character that is none of a token's.
    #[error("a token is missing or malformed")]
    Token,
    /// A quoted string is not closed, or a backslash stands before nothing.
    #[error("a quoted string is not closed")]
    Quote,
    /// `<` without `>`, or the reverse.
    #[error("angle brackets do not pair")]
    Bracket,
    /// A parameter is empty or malformed.
    #[error("a parameter is empty or malformed")]
    Parameter,
    /// One parameter name stands twice (RFC 3261 §7.3.1).
    #[error("a parameter name stands twice")]
    ParameterTwice,
    /// An empty element in a comma-separated list.
    #[error("an element of the list is empty")]
    EmptyElement,
    /// More values of this header field than allowed.
    #[error("there are more values than allowed")]
    TooMany,
    /// Something follows where the value must end.
    #[error("something follows the end of the value")]
    Trailing,
    /// Not a host name, IPv4 address or bracketed IPv6 address.
    #[error("the host is malformed")]
    Host,
    /// Not a port from 1 to 65535.
    #[error("the port is malformed or out of range")]
    Port,
    /// Not a decimal number.
    #[error("a decimal number is malformed")]
    Number,
    /// A number beyond its range.
    #[error("a number is out of range")]
    Range,
    /// No scheme, or one that is malformed.
    #[error("the URI scheme is missing or malformed")]
    Scheme,
    /// The user part is empty.
    #[error("the user part of the URI is empty")]
    User,
    /// `%` without two hexadecimal digits.
    #[error("an escape in the URI is malformed")]
    Escape,
    /// A character that must be escaped in this place of a URI.
    #[error("the URI holds a character that must be escaped")]
    UriCharacter,
    /// `?` in a URI without angle brackets (RFC 3261 §20).
    #[error("the URI needs angle brackets")]
    Unbracketed,
    /// Header fields in a URI where they have no meaning (RFC 3261 §19.1.1).
    #[error("the URI carries header fields")]
    UriHeaders,
    /// Not `name / version / transport`.
    #[error("the protocol is malformed")]
    Protocol,
    /// Not an RFC 1123 date in GMT.
    #[error("the date is malformed or not in GMT")]
    Date,
    /// Not a media type.
    #[error("the media type is malformed")]
    MediaType,
    /// A control character or line break.
    #[error("the value holds a control character")]
    Control,
    /// A name that belongs to a header field with a type of its own.
    #[error("the header field has a setter of its own")]
    TypedField,
}

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseError {
    /// No empty line ends the header fields of a datagram.
    #[error("the message ends before its header fields do")]
    HeadUnfinished,
    /// The head is not UTF-8.
    #[error("the message head is not valid UTF-8")]
    NotUtf8,
    /// A control character outside a quoted pair.
    #[error("the message head holds a control character")]
    Control,
    /// CR without LF, or LF without CR.
    #[error("the message head holds a CR or LF alone")]
    BareLineBreak,
    /// More octets than `head_bytes`.
    #[error("the message head is larger than limits.sip.head_bytes")]
    HeadTooLarge,
    /// The start line has more octets than `line_bytes`.
    #[error("the start line is longer than limits.sip.line_bytes")]
    StartLineTooLong,
    /// A header field has more octets than `line_bytes`.
    #[error("a header field is longer than limits.sip.line_bytes")]
    FieldTooLong,
    /// More header fields than `header_fields`.
    #[error("there are more header fields than limits.sip.header_fields")]
    TooManyFields,
    /// Head and body together have more octets than `message_bytes`.
    #[error("the message is larger than limits.sip.message_bytes")]
    MessageTooLarge,
    /// Not `Method SP Request-URI SP SIP-Version`, nor a status line.
    #[error("the start line is malformed")]
    StartLine,
    /// The Request-URI is malformed.
    #[error("the Request-URI is malformed: {0}")]
    RequestUri(Flaw),
    /// A SIP version other than 2.0.
    #[error("the SIP version is not 2.0")]
    Version,
    /// A status code that is not three digits from 100 to 699.
    #[error("the status code is malformed or out of range")]
    Status,
    /// A header line without colon, or with a name that is no token.
    #[error("a header field has no name")]
    FieldName,
    /// A mandatory header field is missing.
    #[error("{0} is missing")]
    Missing(Field),
    /// A header field that may stand once stands twice.
    #[error("{0} stands more than once")]
    Repeated(Field),
    /// A header field is malformed.
    #[error("{0} is malformed: {1}")]
    Malformed(Field, Flaw),
    /// The method of CSeq is another than that of the request.
    #[error("the method of CSeq is not that of the request")]
    MethodMismatch,
    /// The same, and the method of the request is unknown here.
    #[error("the method of CSeq is not that of the request, and that one is unknown")]
    UnknownMethodMismatch,
    /// Content-Length is more than what came.
    #[error("the body is shorter than Content-Length")]
    BodyShort,
    /// More octets were pushed into a framer than it may hold.
    #[error("more octets came than the framer may hold")]
    Overrun,
}

/// A message that was refused, with the answer to send where there can be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct BadMessage {
    /// Why.
    pub error: ParseError,
    /// A response that is ready to send; none to a response or an ACK, nor where a Via could not be read. Its top Via
    /// is not stamped yet (see [`Headers::stamp_via`](super::Headers::stamp_via)).
    ///
    /// It is for writing only: From, To, Call-ID and CSeq are written as they came where they could not be read, and
    /// their accessors give stand-ins (`sip:invalid`, `invalid`, 0) then.
    pub reply: Option<Box<Response>>,
}

impl ParseError {
    /// A constant word for metrics: one for each variant, whatever the field or flaw.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::HeadUnfinished => "sip_head_unfinished",
            Self::NotUtf8 => "sip_not_utf8",
            Self::Control => "sip_control",
            Self::BareLineBreak => "sip_bare_line_break",
            Self::HeadTooLarge => "sip_head_too_large",
            Self::StartLineTooLong => "sip_start_line_too_long",
            Self::FieldTooLong => "sip_field_too_long",
            Self::TooManyFields => "sip_too_many_fields",
            Self::MessageTooLarge => "sip_message_too_large",
            Self::StartLine => "sip_start_line",
            Self::RequestUri(_) => "sip_request_uri",
            Self::Version => "sip_version",
            Self::Status => "sip_status",
            Self::FieldName => "sip_field_name",
            Self::Missing(_) => "sip_field_missing",
            Self::Repeated(_) => "sip_field_repeated",
            Self::Malformed(..) => "sip_field_malformed",
            Self::MethodMismatch => "sip_method_mismatch",
            Self::UnknownMethodMismatch => "sip_unknown_method_mismatch",
            Self::BodyShort => "sip_body_short",
            Self::Overrun => "sip_overrun",
        }
    }

    /// The status code that says it (RFC 3261 §21).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::MessageTooLarge => 413,
            Self::StartLineTooLong => 414,
            Self::HeadTooLarge | Self::FieldTooLong | Self::TooManyFields | Self::Overrun => 513,
            Self::Version => 505,
            Self::UnknownMethodMismatch => 501,
            Self::HeadUnfinished
            | Self::NotUtf8
            | Self::Control
            | Self::BareLineBreak
            | Self::StartLine
            | Self::RequestUri(_)
            | Self::Status
            | Self::FieldName
            | Self::Missing(_)
            | Self::Repeated(_)
            | Self::Malformed(..)
            | Self::MethodMismatch
            | Self::BodyShort => 400,
        }
    }
}

impl Refuse for ParseError {
    fn class(&self) -> &'static str {
        Self::class(*self)
    }

    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn sip_status(&self) -> u16 {
        self.status()
    }

    fn stanza_condition(&self) -> &'static str {
        "bad-request"
    }

    fn peer_text(&self) -> &'static str {
        match self.status() {
            413 => "Request Entity Too Large",
            414 => "Request-URI Too Long",
            501 => "Not Implemented",
            505 => "Version Not Supported",
            513 => "Message Too Large",
            _ => "Bad Request",
        }
    }
}

impl Refuse for BadMessage {
    fn class(&self) -> &'static str {
        self.error.class()
    }

    fn fault(&self) -> Fault {
        self.error.fault()
    }

    fn sip_status(&self) -> u16 {
        self.error.status()
    }

    fn stanza_condition(&self) -> &'static str {
        self.error.stanza_condition()
    }

    fn peer_text(&self) -> &'static str {
        self.error.peer_text()
    }
}

impl From<ParseError> for BadMessage {
    fn from(error: ParseError) -> Self {
        Self { error, reply: None }
    }
}
