//! Session descriptions, as far as an edge has to understand them: which media a session is about, and which addresses
//! it names (RFC 4566; the message sessions of Microsoft servers, whose stream is the SIP dialog itself).

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// A session description: its lines in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sdp<'t>(Vec<(char, Cow<'t, str>)>);

/// One stream of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Media<'t> {
    /// `audio`, `message` and so on.
    pub kind: &'t str,
    /// The port; 0 refuses or ends the stream.
    pub port: u16,
    /// What carries it: `RTP/AVP`, `TCP/MSRP`, `sip`.
    pub protocol: &'t str,
}

/// Why a body is no session description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSdp {
    /// It is not UTF-8.
    #[error("the session description is not UTF-8")]
    Encoding,
    /// It does not begin with `v=0`.
    #[error("the session description does not begin with v=0")]
    Version,
    /// A line is not `letter=value`, holds a control character, or is a number or a time that is none.
    #[error("line {0} of the session description is not of the form letter=value")]
    Line(usize),
    /// An `m=` line cannot be read.
    #[error("line {0} of the session description does not say a medium, port and protocol")]
    Media(usize),
    /// There are more lines than anybody needs.
    #[error("the session description has more than {LINES} lines")]
    Lines,
}

impl<'t> Sdp<'t> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`BadSdp`].
    pub fn parse(body: &'t [u8]) -> Result<Self, BadSdp> {
        let text = std::str::from_utf8(body).map_err(|_| BadSdp::Encoding)?;
        let mut lines = Vec::new();
        for (number, line) in (1_usize..).zip(text.lines()) {
            if line.is_empty() {
                continue;
            }
            if number > LINES {
                return Err(BadSdp::Lines);
            }
            let mut characters = line.chars();
            let (Some(letter), Some('=')) = (characters.next(), characters.next()) else {
                return Err(BadSdp::Line(number));
            };
            let value = characters.as_str();
            if !letter.is_ascii_lowercase() || value.chars().any(|c| c.is_control() && c != '\t') {
                return Err(BadSdp::Line(number));
            }
            if lines.is_empty() && (letter, value) != ('v', "0") {
                return Err(BadSdp::Version);
            }
            if !is_sound(letter, value) {
                return Err(BadSdp::Line(number));
            }
            if letter == 'm' && media(value).is_none() {
                return Err(BadSdp::Media(number));
            }
            lines.push((letter, Cow::Borrowed(value)));
        }
        if lines.is_empty() {
            return Err(BadSdp::Version);
        }
        Ok(Self(lines))
    }

    /// The streams in their order.
    pub fn media(&self) -> impl Iterator<Item = Media<'_>> {
        self.0
            .iter()
            .filter(|(letter, _)| *letter == 'm')
            .filter_map(|(_, value)| media(value))
    }

    /// Whether the session is about messages that go in its own dialog, and about nothing else: it has such a stream,
    /// and every other is refused by port 0.
    #[must_use]
    pub fn is_of_messages(&self) -> bool {
        self.media().any(|media| media.is_of_messages()) && !self.has_other_media()
    }

    /// The media types that the first open stream of messages lists, separated by blanks; `None` where it lists none.
    #[must_use]
    pub fn accept_types(&self) -> Option<&str> {
        let is_open =
            |value: &str| media(value).is_some_and(|media| media.port != 0 && media.is_of_messages());
        let mut lines = self
            .0
            .iter()
            .skip_while(|(letter, value)| *letter != 'm' || !is_open(value))
            .skip(1)
            .take_while(|(letter, _)| *letter != 'm');
        lines.find_map(|(letter, value)| {
            let (name, types) = value.split_once(':')?;
            (*letter == 'a' && name.eq_ignore_ascii_case("accept-types")).then_some(types)
        })
    }

    /// Whether a stream that is not refused is about something else than messages.
    #[must_use]
    pub fn has_other_media(&self) -> bool {
        self.media()
            .any(|media| media.port != 0 && !media.is_of_messages())
    }

    /// The same description with every stream refused that is not one of messages; what was said of such a stream is
    /// left out. Nothing but messages can come of it, be it an offer or an answer.
    //
    //= rfc3264#5.1
    //# A port number of zero in the offer indicates that the stream is offered but MUST NOT be used.
    #[must_use]
    pub fn of_messages_only(self) -> Self {
        let mut is_off = false;
        let mut lines = Vec::with_capacity(self.0.len());
        for (letter, value) in self.0 {
            if letter != 'm' {
                if !is_off {
                    lines.push((letter, value));
                }
                continue;
            }
            let refused = media(&value)
                .filter(|media| !media.is_of_messages())
                .map(|media| format!("{} 0 {} {}", media.kind, media.protocol, format(&value)));
            is_off = refused.is_some();
            lines.push((letter, refused.map_or(value, Cow::Owned)));
        }
        Self(lines)
    }

    /// The same description with `host` in place of every address, and without what else tells of the network or of
    /// people: what a session of messages needs none of.
    #[must_use]
    pub fn hidden(&self, host: &str) -> String {
        self.written(|letter, value| match letter {
            'o' => origin(value, host),
            'c' => connection(value, host),
            's' => Some("session".to_owned()),
            'm' => media(value).map(|media| {
                let Media { kind, port, protocol } = media;
                let format = if media.is_of_messages() {
                    "null"
                } else {
                    format(value)
                };
                format!("{kind} {port} {protocol} {format}")
            }),
            't' | 'v' | 'b' => Some(value.to_owned()),
            'a' if is_harmless(value) => Some(value.to_owned()),
            _ => None,
        })
    }

    /// The same description with all that media do not need to find their way: `host` stands for the place that it was
    /// made at, and no person is named. Addresses of media are shown, for nothing else can lead to them; of what else
    /// there is, nothing is left that `is_inside` finds a name of the inside in.
    #[must_use]
    pub fn hidden_but_media(&self, host: &str, is_inside: impl Fn(&str) -> bool) -> String {
        self.written(|letter, value| match letter {
            'o' => origin(value, host),
            's' => Some("session".to_owned()),
            'i' | 'u' | 'e' | 'p' | 'k' => None,
            'a' if is_inside(value) && !is_address(value) => None,
            _ => Some(value.to_owned()),
        })
    }

    /// The lines, as `keep` lets them stand.
    fn written(&self, keep: impl Fn(char, &str) -> Option<String>) -> String {
        let mut text = String::new();
        for (letter, value) in &self.0 {
            if let Some(kept) = keep(*letter, value) {
                // Writing into a string cannot fail.
                let _ = write!(text, "{letter}={kept}\r\n");
            }
        }
        text
    }
}

impl fmt::Display for Sdp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written(|_, value| Some(value.to_owned())))
    }
}

impl Media<'_> {
    fn is_of_messages(&self) -> bool {
        matches!(self.kind, "message" | "x-ms-message") && self.protocol.eq_ignore_ascii_case("sip")
    }
}

fn media(value: &str) -> Option<Media<'_>> {
    let mut words = value.split_ascii_whitespace();
    let (kind, port, protocol) = (words.next()?, words.next()?, words.next()?);
    let port = port.split_once('/').map_or(port, |(port, _)| port);
    if !is_number(port) || !is_word(kind) || !is_word(protocol) {
        return None;
    }
    Some(Media {
        kind,
        port: port.parse().ok()?,
        protocol,
    })
}

/// Whether a line that is shown as it is says no more than it may.
fn is_sound(letter: char, value: &str) -> bool {
    match letter {
        'v' => value == "0",
        't' => value.split_ascii_whitespace().all(is_number),
        'b' => value
            .split_once(':')
            .is_some_and(|(kind, width)| is_word(kind) && is_number(width.trim_ascii_end())),
        _ => true,
    }
}

/// A word of the grammar, which is no address: of those each has a `.` or a `:`.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'+' | b'_'))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `<username> <sess-id> <sess-version> <nettype> <addrtype> <unicast-address>`; a user's name is nobody's business.
fn origin(value: &str, host: &str) -> Option<String> {
    let mut words = value.split_ascii_whitespace();
    let (_user, id, version) = (words.next()?, words.next()?, words.next()?);
    let (net, kind) = place(words.next()?, words.next()?).unwrap_or(("IN", "IP4"));
    let number = |text| if is_number(text) { text } else { "0" };
    let (id, version) = (number(id), number(version));
    Some(format!("- {id} {version} {net} {kind} {host}"))
}

/// `<nettype> <addrtype> <connection-address>`.
fn connection(value: &str, host: &str) -> Option<String> {
    let mut words = value.split_ascii_whitespace();
    let (net, kind) = place(words.next()?, words.next()?)?;
    Some(format!("{net} {kind} {host}"))
}

/// The nettype and addrtype that there are.
fn place<'t>(net: &'t str, kind: &'t str) -> Option<(&'t str, &'t str)> {
    (net == "IN" && matches!(kind, "IP4" | "IP6")).then_some((net, kind))
}

fn is_harmless(attribute: &str) -> bool {
    let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
    let is_one_of = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let mut words = value.split_ascii_whitespace();
    (is_one_of(&TYPES) && words.clone().all(is_type)) || (is_one_of(&HARMLESS) && words.all(is_word))
}

/// A media type, perhaps with parameters, or `*`.
fn is_type(text: &str) -> bool {
    text == "*"
        || text.split_once('/').is_some_and(|(kind, rest)| {
            is_word(kind)
                && rest
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-+._*;=\"".contains(&b))
        })
}

/// Whether an attribute says where media go.
fn is_address(attribute: &str) -> bool {
    let name = attribute.split_once(':').map_or(attribute, |(name, _)| name);
    ADDRESSES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The first format of a medium: a number or `*`; others may be addresses.
fn format(value: &str) -> &str {
    let format = value.split_ascii_whitespace().nth(3);
    format
        .filter(|format| format.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'*'))
        .unwrap_or("0")
}

/// Attributes of a session of messages that say what it can carry, and nothing of where it is.
const HARMLESS: [&str; 6] = [
    "inactive", "max-size", "recvonly", "sendonly", "sendrecv", "setup",
];

/// Those that list media types.
const TYPES: [&str; 2] = ["accept-types", "accept-wrapped-types"];

/// Attributes that lead media to where they go: ICE (RFC 8839), RTCP (RFC 3605) and MSRP (RFC 4975).
const ADDRESSES: [&str; 4] = ["candidate", "path", "remote-candidates", "rtcp"];

/// Honest descriptions of many media have a few hundred.
const LINES: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSOFT: &str = "v=0\r\no=- 0 0 IN IP4 10.1.2.3\r\ns=session\r\nc=IN IP4 10.1.2.3\r\nt=0 0\r\n\
        m=message 5060 sip null\r\na=accept-types:text/plain multipart/alternative \r\n";

    #[test]
    fn the_types_of_messages_are_those_of_their_own_stream() {
        let types = |more: &str| {
            let text = format!("v=0\r\no=- 0 0 IN IP4 x\r\ns=-\r\nt=0 0\r\n{more}");
            Sdp::parse(text.as_bytes())
                .unwrap()
                .accept_types()
                .map(str::to_owned)
        };
        for (more, expected) in [
            (
                "m=message 5060 sip null\r\na=accept-types:text/plain a/b\r\n",
                Some("text/plain a/b"),
            ),
            (
                "m=message 5060 sip null\r\na=setup:active\r\na=Accept-Types:*\r\n",
                Some("*"),
            ),
            ("m=message 5060 sip null\r\n", None),
            ("m=message 0 sip null\r\na=accept-types:text/plain\r\n", None),
            (
                "m=audio 9 RTP/AVP 0\r\na=accept-types:text/plain\r\nm=message 1 sip null\r\n",
                None,
            ),
            (
                "m=message 5060 sip null\r\nm=audio 0 RTP/AVP 0\r\na=accept-types:text/plain\r\n",
                None,
            ),
        ] {
            assert_eq!(types(more).as_deref(), expected, "{more}");
        }
    }

    #[test]
    fn a_session_of_messages_is_told_from_others() {
        for (lines, is) in [
            (vec!["m=message 5060 sip null"], true),
            (vec!["m=message 5060 SIP sip:ann@h"], true),
            (vec!["m=x-ms-message 5060 sip null"], true),
            (vec!["m=message 5060 sip null", "m=audio 0 RTP/AVP 0"], true),
            (vec!["m=message 5060 sip null", "m=audio 4000 RTP/AVP 0"], false),
            (vec!["m=message 2855 TCP/MSRP *"], false),
            (vec!["m=audio 4000 RTP/AVP 0"], false),
            (vec!["m=audio 0 RTP/AVP 0"], false),
            (vec![], false),
        ] {
            let text = format!(
                "v=0\r\no=- 0 0 IN IP4 h\r\ns=-\r\nt=0 0\r\n{}\r\n",
                lines.join("\r\n")
            );
            assert_eq!(
                Sdp::parse(text.as_bytes()).unwrap().is_of_messages(),
                is,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn no_address_is_left() {
        let text = MICROSOFT
            .replace(
                "t=0 0",
                "t=0 0\r\ne=ann@corp.example\r\na=candidate:1 1 UDP 1 10.1.2.3 9 typ host\r\na=x-place:10.1.2.3",
            )
            .replace("s=session", "s=at 10.1.2.3")
            .replace("sip null", "sip sip:ann@10.1.2.3");
        let hidden = Sdp::parse(text.as_bytes()).unwrap().hidden("edge.example");
        assert_eq!(hidden, MICROSOFT.replace("10.1.2.3", "edge.example"));
    }

    #[test]
    fn no_address_is_left_in_the_place_of_another_word() {
        let text = "v=0\r\no=- 10.1.2.3 imp1.corp IN'10.1.2.3 IP4 x\r\nc=IN 10.1.2.3 x\r\na=max-size:10.1.2.3\r\na=inactive:imp1.corp\r\n";
        let hidden = Sdp::parse(text.as_bytes()).unwrap().hidden("h");
        assert_eq!(hidden, "v=0\r\no=- 0 0 IN IP4 h\r\n");
    }

    #[test]
    fn of_a_call_with_messages_the_messages_are_left() {
        let text = "v=0\r\no=- 0 0 IN IP4 h\r\ns=-\r\nc=IN IP4 h\r\nt=0 0\r\na=setup:actpass\r\n\
            m=audio 4000/2 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=candidate:1 1 UDP 1 10.1.2.3 9 typ host\r\n\
            m=message 5060 sip null\r\na=accept-types:text/plain\r\n\
            m=message 2855 TCP/MSRP *\r\na=path:msrp://10.1.2.3:2855/x;tcp\r\nm=video 0 RTP/AVP sip:a@10.1.2.3\r\n";
        let left = "v=0\r\no=- 0 0 IN IP4 h\r\ns=-\r\nc=IN IP4 h\r\nt=0 0\r\na=setup:actpass\r\nm=audio 0 RTP/AVP 8\r\n\
            m=message 5060 sip null\r\na=accept-types:text/plain\r\nm=message 0 TCP/MSRP *\r\nm=video 0 RTP/AVP 0\r\n";
        let sdp = Sdp::parse(text.as_bytes()).unwrap();
        assert!(!sdp.is_of_messages());
        let only = sdp.of_messages_only();
        assert!(only.is_of_messages());
        assert_eq!(only.to_string(), left);
        let hidden = only.hidden("edge.example");
        assert!(hidden.contains("m=audio 0 RTP/AVP 8\r\n"), "{hidden}");
        assert!(!hidden.contains("10.1"), "{hidden}");
        let unchanged = Sdp::parse(MICROSOFT.as_bytes()).unwrap();
        assert_eq!(unchanged.clone().of_messages_only(), unchanged);
    }

    #[test]
    fn a_call_shows_where_its_media_go_and_nothing_else() {
        let text = "v=0\r\no=ann 1 2 IN IP4 10.1.2.3\r\ns=at imp1.corp\r\ni=x\r\nu=http://imp1.corp/\r\ne=ann@corp\r\n\
            c=IN IP4 10.1.2.3\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\nk=clear:x\r\na=candidate:1 1 UDP 1 10.1.2.3 9 typ host\r\n\
            a=ssrc:1 cname:ann@imp1.corp\r\na=tool:imp1.corp\r\na=rtpmap:0 PCMU/8000\r\n";
        let shown = "v=0\r\no=- 1 2 IN IP4 edge.example\r\ns=session\r\nc=IN IP4 10.1.2.3\r\nt=0 0\r\n\
            m=audio 4000 RTP/AVP 0\r\na=candidate:1 1 UDP 1 10.1.2.3 9 typ host\r\na=rtpmap:0 PCMU/8000\r\n";
        let sdp = Sdp::parse(text.as_bytes()).unwrap();
        let is_inside = |value: &str| value.contains("imp1.corp") || value.contains("10.1.2.3");
        assert_eq!(sdp.hidden_but_media("edge.example", is_inside), shown);
    }

    #[test]
    fn what_is_no_description_is_refused() {
        for (body, error) in [
            (&b"\xff"[..], BadSdp::Encoding),
            (b"", BadSdp::Version),
            (b"v=1\r\n", BadSdp::Version),
            (b"s=-\r\nv=0\r\n", BadSdp::Version),
            (b"v=0\r\nhello\r\n", BadSdp::Line(2)),
            (b"v=0\r\nX=1\r\n", BadSdp::Line(2)),
            (b"v=0\r\ns=a\0b\r\n", BadSdp::Line(2)),
            (b"v=0\r\nm=audio x RTP/AVP 0\r\n", BadSdp::Media(2)),
            (b"v=0\r\nm=audio 99999 RTP/AVP 0\r\n", BadSdp::Media(2)),
            (b"v=0\r\nm=audio\r\n", BadSdp::Media(2)),
            (b"v=0\r\nm=10.1.2.3 1 x\r\n", BadSdp::Media(2)),
            (b"v=0\r\nm=audio 1 imp1.corp\r\n", BadSdp::Media(2)),
            (b"v=0\r\nv=10.1.2.3\r\n", BadSdp::Line(2)),
            (b"v=0\r\nt=0 10.1.2.3\r\n", BadSdp::Line(2)),
            (b"v=0\r\nb=AS:imp1.corp\r\n", BadSdp::Line(2)),
        ] {
            assert_eq!(Sdp::parse(body), Err(error), "{}", body.escape_ascii());
        }
        assert_eq!(Sdp::parse("v=0\r\n".repeat(1_001).as_bytes()), Err(BadSdp::Lines));
    }
}
