//! Multipart bodies (RFC 2046 §5.1): cut at their boundary, once. A part that is itself multipart is not looked into, so
//! nothing grows with depth.

use super::MessageError;
use super::part::Part;
use crate::limits::BODY_PARTS;
use crate::mime::MediaType;

/// The parts of a body, in their order.
///
/// # Errors
/// [`MessageError::Garbled`] without a legal boundary, without a part or with more than [`BODY_PARTS`], without the end
/// that closes them, or for a part without header.
pub(in crate::interwork) fn parts<'b>(
    kind: &MediaType,
    body: &'b [u8],
) -> Result<Vec<Part<'b>>, MessageError> {
    let boundary = kind
        .parameter("boundary")
        .filter(|boundary| (1..=MOST_BOUNDARY).contains(&boundary.len()))
        .ok_or(MessageError::Garbled)?;
    let delimiter = format!("--{boundary}");
    let mut rest = body;
    // What comes before the first delimiter is for readers that know nothing of parts.
    let mut inside = false;
    let mut parts = Vec::new();
    loop {
        let (before, line, after) = next(rest, delimiter.as_bytes()).ok_or(MessageError::Garbled)?;
        if inside {
            if parts.len() == BODY_PARTS {
                return Err(MessageError::Garbled);
            }
            parts.push(Part::read(before)?);
        }
        if line == Line::Last {
            break;
        }
        inside = true;
        rest = after;
    }
    if parts.is_empty() {
        return Err(MessageError::Garbled);
    }
    Ok(parts)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Delimiter,
    Last,
}

/// What stands before the next line that is a delimiter, which one it is, and what follows it. The line end before a
/// delimiter belongs to the delimiter.
fn next<'b>(body: &'b [u8], delimiter: &[u8]) -> Option<(&'b [u8], Line, &'b [u8])> {
    for at in memchr::memmem::find_iter(body, delimiter) {
        let (before, tail) = body.split_at_checked(at)?;
        let before = match before {
            [] => before,
            [before @ .., b'\r', b'\n'] | [before @ .., b'\n'] => before,
            _ => continue,
        };
        let tail = tail.strip_prefix(delimiter)?;
        let (line, tail) = match tail.strip_prefix(b"--") {
            Some(tail) => (Line::Last, tail),
            None => (Line::Delimiter, tail),
        };
        let end = memchr::memchr(b'\n', tail).unwrap_or(tail.len());
        let (padding, after) = tail.split_at_checked(end)?;
        // A longer word is another boundary.
        if padding.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r')) {
            return Some((before, line, after.strip_prefix(b"\n").unwrap_or(after)));
        }
    }
    None
}

/// RFC 2046 §5.1.1.
const MOST_BOUNDARY: usize = 70;
