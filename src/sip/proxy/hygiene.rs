//! Header fields that end at the edge: what the outside may not make the inside believe, and what the outside has no
//! business to know.

use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::sip::{Flaw, HeaderName, Headers};

/// Names and addresses of the inside that no header field may take outside.
#[derive(Debug, Clone, Default)]
pub struct Inner {
    names: Vec<Box<str>>,
    /// Addresses that have more than one spelling.
    addresses: Vec<Ipv6Addr>,
}

impl Inner {
    /// Those of all nodes, in any spelling. A name of one label tells nothing that a common word would not, and is not
    /// looked for: a node called `sip` must not cost a message its header fields.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut inner = Self::default();
        for name in names {
            match name.trim_matches(['[', ']']).parse() {
                Ok(IpAddr::V6(address)) => inner.addresses.push(address),
                Ok(IpAddr::V4(address)) => {
                    inner.addresses.push(address.to_ipv6_mapped());
                    inner.names.push(name.into());
                }
                Err(_) if name.contains('.') => inner.names.push(name.to_ascii_lowercase().into()),
                Err(_) => {}
            }
        }
        inner
    }

    /// Whether a text shows a place inside: by the name of a node, or by somebody at an address or at a name of one label.
    #[must_use]
    pub fn is_shown_in(&self, text: &str) -> bool {
        readings(text).any(|text| self.is_read_in(&text) || leads_to_a_place(&text))
    }

    /// Whether a node is named in a text.
    #[must_use]
    pub fn is_named_in(&self, text: &str) -> bool {
        readings(text).any(|text| self.is_read_in(&text))
    }

    fn is_read_in(&self, text: &str) -> bool {
        self.names.iter().any(|name| names(text, name))
            || (!self.addresses.is_empty() && addresses(text).any(|found| self.addresses.contains(&found)))
    }
}

/// A text in lowercase as it stands, and with what is escaped in it, also twice: a URI within a URI is (RFC 3261 §19.1.2).
fn readings(text: &str) -> impl Iterator<Item = String> {
    iter::successors(Some(text.to_ascii_lowercase()), |text| unescaped(text)).take(READINGS)
}

/// A text without its escapes; `None` where there are none.
fn unescaped(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut read = pieces.next()?.to_owned();
    let mut is_changed = false;
    for piece in pieces {
        let escaped = piece.split_at_checked(2).and_then(|(digits, rest)| {
            let is_escape = digits.bytes().all(|b| b.is_ascii_hexdigit());
            let octet = u8::from_str_radix(digits, 16).ok().filter(|_| is_escape)?;
            Some((octet, rest))
        });
        let rest = match escaped {
            Some((octet, rest)) => {
                is_changed = true;
                // What was escaped ends nothing, and names of nodes are ASCII.
                let character = Some(char::from(octet)).filter(|c| c.is_ascii() && !ends_uri(*c));
                read.push(character.unwrap_or(VEILED));
                rest
            }
            None => {
                read.push('%');
                piece
            }
        };
        read.push_str(rest);
    }
    is_changed.then(|| read.to_ascii_lowercase())
}

/// The addresses of IPv6 in a text, in whatever spelling, and what else can be read as one.
fn addresses(text: &str) -> impl Iterator<Item = Ipv6Addr> {
    let runs = text.split(|c: char| !c.is_ascii_hexdigit() && !matches!(c, ':' | '.'));
    runs.filter(|run| run.matches(':').nth(1).is_some())
        .flat_map(|run| {
            let groups: Vec<&str> = run.trim_end_matches('.').split(':').collect();
            // A port may follow without brackets, and a name with a colon go before.
            let spans = (3..=9).flat_map(|length| {
                let spans = groups.windows(length);
                spans
                    .filter_map(|span| span.join(":").parse().ok())
                    .collect::<Vec<_>>()
            });
            spans.collect::<Vec<_>>()
        })
}

/// Whether a host stands in a text as a whole, and not as a part of a longer name or address.
fn names(text: &str, host: &str) -> bool {
    let continues = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.match_indices(host).any(|(start, _)| {
        let before = text.get(..start).and_then(|before| before.chars().next_back());
        let after = text
            .get(start.saturating_add(host.len())..)
            .and_then(|after| after.chars().next());
        !before.is_some_and(continues) && !after.is_some_and(continues)
    })
}

/// Whether a text in lowercase holds a SIP URI whose host is no domain of the internet, or anything at an address: such
/// is a device, and not a user.
fn leads_to_a_place(text: &str) -> bool {
    let is_led = ["maddr=", "@"].iter().any(|before| {
        let mut rests = text.split(before).skip(1);
        rests.any(|rest| {
            let ends = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-');
            let host = rest.split(ends).next().unwrap_or_default();
            let is_name = host.contains('.') || *before == "@";
            rest.starts_with('[') || !is_name || host.parse::<Ipv4Addr>().is_ok()
        })
    });
    is_led
        || ["sip:", "sips:"].iter().any(|scheme| {
            text.match_indices(scheme).any(|(start, _)| {
                let before = text.get(..start).and_then(|before| before.chars().next_back());
                let rest = text.get(start.saturating_add(scheme.len())..).unwrap_or_default();
                let uri = rest.split(ends_uri).next().unwrap_or_default();
                let place = uri.split_once('@').map_or(uri, |(_, place)| place);
                let host = place
                    .split([':', ';', '?', '/', VEILED])
                    .next()
                    .unwrap_or_default();
                // Brackets hold an address of IPv6, and a percent sign hides something.
                let is_place = place.starts_with('[')
                    || host.contains('%')
                    || !host.contains('.')
                    || host.parse::<Ipv4Addr>().is_ok();
                !before.is_some_and(|c| c.is_ascii_alphanumeric()) && !uri.is_empty() && is_place
            })
        })
}

fn ends_uri(c: char) -> bool {
    c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\'' | ',' | '\\' | '{' | '}' | '|' | '^')
}

/// What comes from outside: nothing that says who somebody is or how far he is to be trusted, which only the edge says.
pub(super) fn from_outside(headers: &mut Headers) {
    headers.retain(|name| !is_asserted(name) && !is_of_a_program(name) && !is_fetched(name));
}

/// What goes outside: what is known to speak of the message and not of the inside, and of that nothing that shows a place
/// there. The subject is the user's own, whatever it says.
pub(super) fn to_outside(headers: &mut Headers, inner: &Inner) {
    headers.retain_values(|name, value| {
        PASSING.iter().any(|known| name.is(known)) && (name.is("Subject") || !inner.is_shown_in(value))
    });
}

/// What goes on either way: nothing that asks for notifications which nobody answers (`ms-benotify` of Microsoft clients).
/// One that got lost would be lost in silence; who is not asked for them sends a NOTIFY.
pub(super) fn answered(headers: &mut Headers) -> Result<(), Flaw> {
    for name in ["Supported", "Proxy-Require"] {
        if !headers.list(name).any(is_silent) {
            continue;
        }
        let kept: Vec<&str> = headers.list(name).filter(|tag| !is_silent(tag)).collect();
        let kept = kept.join(", ");
        headers.remove(name);
        if !kept.is_empty() {
            headers.push(name, &kept)?;
        }
    }
    Ok(())
}

fn is_silent(tag: impl AsRef<str>) -> bool {
    tag.as_ref().trim().eq_ignore_ascii_case("ms-benotify")
}

/// The private extensions of RFC 7315 and RFC 3325 are for one domain of trust, which ends here, and so are credentials.
fn is_asserted(name: &HeaderName) -> bool {
    has_prefix(name, "P-") || ASSERTED.iter().any(|known| name.is(known))
}

fn is_of_a_program(name: &HeaderName) -> bool {
    name.is("Server") || name.is("User-Agent")
}

/// What a user agent fetches, renders or plays by itself (RFC 3261 §20.4, §20.9, §20.18), and a server that verifies by
/// itself (RFC 4474 §9): a URL of the outside's choice, asked for from inside.
fn is_fetched(name: &HeaderName) -> bool {
    FETCHED.iter().any(|known| name.is(known))
}

fn has_prefix(name: &HeaderName, prefix: &str) -> bool {
    name.as_str()
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// How often a text is read: as it stands, and twice without its escapes.
const READINGS: usize = 3;

/// Stands for what was escaped and would end a URI, or is not ASCII; no text that was parsed holds it.
const VEILED: char = '\u{1}';

const ASSERTED: [&str; 11] = [
    "Authentication-Info",
    "Authorization",
    "ms-edge-proxy-message-trust",
    "ms-keep-alive",
    "ms-user-logon-data",
    "Path",
    "Proxy-Authenticate",
    "Proxy-Authentication-Info",
    "Proxy-Authorization",
    "Remote-Party-ID",
    "Service-Route",
];

const FETCHED: [&str; 4] = ["Alert-Info", "Call-Info", "Error-Info", "Identity-Info"];

/// Fields that pass outside. Those of Microsoft servers are the ones that cross a federation (MS-SIPRE, MS-CONFIM).
const PASSING: [&str; 45] = [
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Allow",
    "Allow-Events",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "EndPoints",
    "Max-Breadth",
    "Message-Id",
    "MIME-Version",
    "Min-Expires",
    "Min-SE",
    "ms-body",
    "Ms-Conversation-ID",
    "ms-diagnostics-public",
    "ms-im-format",
    "ms-piggyback-cseq",
    "ms-sender",
    "ms-text-format",
    "Organization",
    "Priority",
    "Privacy",
    "Proxy-Require",
    "RAck",
    "Reason",
    "Refer-Sub",
    "Refer-To",
    "Referred-By",
    "Request-Disposition",
    "Require",
    "Retry-After",
    "Roster-Manager",
    "RSeq",
    "Session-Expires",
    "SIP-ETag",
    "SIP-If-Match",
    "Subject",
    "Supported",
    "Suppress-If-Match",
    "Timestamp",
    "TriggeredInvite",
    "Unsupported",
    "User-to-User",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sip_uri_at_a_place_shows_it_and_one_of_a_user_does_not() {
        let inner = Inner::new(["imp1.corp".to_owned()]);
        for (text, is_shown) in [
            ("sip:ann@10.1.2.3", true),
            ("<target uri='sips:ann@10.1.2.3:5061;transport=tls'/>", true),
            ("SIP:ann@[fd00::1]", true),
            ("sip:desk", true),
            ("sip:ann@desk;x=a.b", true),
            ("sip:ann@%31%30.0.0.1", true),
            ("at imp1.corp", true),
            ("sip:ann@10.1.2.3?x=@partner.example", true),
            ("<sip:b@p.example?Replaces=1%40imp1.corp>", true),
            ("<sip:b@p.example?Replaces=1%4010.1.2.3>", true),
            ("<sip:b@p.example?Refer-To=sip:c%2540imp1%252Ecorp>", true),
            ("<sip:b@p.example?Refer-To=%3Csip%3Ac%4010.1.2.3%3E>", true),
            ("<sip:b@edge.example;maddr=10.1.2.3>", true),
            ("<sip:b@edge.example;MADDR=%310.1.2.3;lr>", true),
            ("<sip:b@edge.example;maddr=[fd00::1]>", true),
            ("<sip:b@edge.example;maddr=desk>", true),
            ("<1@10.1.2.3>", true),
            ("<sip:b@p.example;maddr=sip.p.example>", false),
            ("<sip:b@p.example?Replaces=1%40p.example%3Bto-tag%3D1>", false),
            ("sip:ann%20b@in.example", false),
            ("100% at 50%25", false),
            ("sip:ann@in.example", false),
            ("sips:in.example;transport=tls", false),
            ("10.1.2.3", false),
            ("gossip: hello", false),
            ("sip: hello", false),
            ("", false),
        ] {
            assert_eq!(inner.is_shown_in(text), is_shown, "{text}");
        }
    }

    #[test]
    fn a_host_is_found_as_a_whole_only() {
        let inner = Inner::new(["imp1.corp", "10.0.0.9", "[FD00::9]", "sip", "im"].map(str::to_owned));
        for (value, is_named) in [
            ("at imp1.corp", true),
            ("sip:a@IMP1.CORP:5060", true),
            ("<sip:10.0.0.9;lr>", true),
            ("sip:a@[FD00::9]", true),
            ("at fd00::9", true),
            ("at fd00::9:5060.", true),
            ("at:fd00:0:0:0:0:0:0:9", true),
            ("sip:a@[fd00:0000::0009]:5060", true),
            ("%5bfd00::0.0.0.9%5d", true),
            ("[::ffff:10.0.0.9]", true),
            ("::ffff:a00:9", true),
            ("fd00::91", false),
            ("fd00::1:9", false),
            ("AB:CD:EF:01:02:03:04:05:06:07", false),
            ("imp1%2Ecorp", true),
            ("node.imp1.corp", true),
            ("10.0.0.91", false),
            ("110.0.0.9", false),
            ("imp1.corporation", false),
            ("shrimp1.corp", false),
            ("timer, 100rel", false),
            ("SIP;cause=200", false),
            ("", false),
        ] {
            assert_eq!(inner.is_named_in(value), is_named, "{value}");
        }
    }
}
