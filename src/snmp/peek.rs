//! What a datagram says of itself in its first octets: the version, and the community where it has one. Pure.
//!
//! This is all that is read of what was sent by nobody who is known: SNMP messages of every version begin with a SEQUENCE, in
//! which the version comes first (RFC 3412 §6, RFC 1901 §3).

/// The head of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head<'d> {
    /// SNMPv2c, with its community.
    Community(&'d [u8]),
    /// SNMPv3.
    Three,
}

/// Reads the head; `None` for SNMPv1, which is never answered, and for what is no message.
pub(super) fn head(datagram: &[u8]) -> Option<Head<'_>> {
    let (message, behind) = value(datagram, SEQUENCE)?;
    if !behind.is_empty() {
        return None;
    }
    let (version, rest) = value(message, INTEGER)?;
    match version {
        [1] => value(rest, OCTET_STRING).map(|(community, _)| Head::Community(community)),
        [3] => Some(Head::Three),
        _ => None,
    }
}

/// The content of the value at the front, which has to be of that type, and what is behind it (X.690 §8.1).
fn value(octets: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = octets.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = rest.split_first()?;
    let (length, rest) = if *length < LONG {
        (usize::from(*length), rest)
    } else {
        // A datagram needs three octets at most, however many lead with 0.
        let (octets, rest) = rest.split_at_checked(usize::from(length & !LONG))?;
        if octets.is_empty() || octets.len() > 4 {
            return None;
        }
        let length = octets.iter().try_fold(0_usize, |sum, octet| {
            sum.checked_mul(256)?.checked_add(usize::from(*octet))
        })?;
        (length, rest)
    };
    rest.split_at_checked(length)
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// The bit of a length that says how many octets it has.
const LONG: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_and_the_community_are_read() {
        for (datagram, read) in [
            (
                &b"\x30\x0b\x02\x01\x01\x04\x06public"[..],
                Some(Head::Community(b"public")),
            ),
            (
                b"\x30\x81\x0b\x02\x01\x01\x04\x06public",
                Some(Head::Community(b"public")),
            ),
            (
                b"\x30\x82\x00\x0b\x02\x01\x01\x04\x06public",
                Some(Head::Community(b"public")),
            ),
            (b"\x30\x05\x02\x01\x01\x04\x00", Some(Head::Community(b""))),
            (b"\x30\x03\x02\x01\x03", Some(Head::Three)),
            // SNMPv1.
            (b"\x30\x0b\x02\x01\x00\x04\x06public", None),
            (b"\x30\x03\x02\x01\x02", None),
            (b"\x30\x04\x02\x02\x00\x03", None),
            // Something behind the message, and less than it says.
            (b"\x30\x03\x02\x01\x03\x00", None),
            (b"\x30\x0c\x02\x01\x01\x04\x06public", None),
            (b"\x30\x0b\x02\x01\x01\x04\x07public", None),
            // Lengths without an end, of too many octets, and none.
            (b"\x30\x80\x02\x01\x03\x00\x00", None),
            (b"\x30\x85\x00\x00\x00\x00\x03\x02\x01\x03", None),
            (b"\x30\x84\xff\xff\xff\xff\x02\x01\x03", None),
            (b"\x30", None),
            (b"", None),
            (b"\x16\x03\x01", None),
        ] {
            assert_eq!(head(datagram), read, "{datagram:02x?}");
        }
    }

    #[test]
    fn no_octets_break_it() {
        let whole = b"\x30\x82\x00\x0b\x02\x01\x01\x04\x06public";
        for end in 0..whole.len() {
            assert_eq!(head(&whole[..end]), None);
        }
        for at in 0..whole.len() {
            for octet in 0..=255 {
                let mut changed = *whole;
                changed[at] = octet;
                let _read = head(&changed);
            }
        }
    }
}
