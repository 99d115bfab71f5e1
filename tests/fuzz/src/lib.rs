//! The rooms that are fuzzed, from the project's own files, and the way input is cut into portions.

#![allow(dead_code, reason = "what only the rooms left out would call")]

#[path = "../../../src/clock.rs"]
pub mod clock;
#[path = "../../../src/domain.rs"]
pub mod domain;
#[path = "../../../src/limits.rs"]
pub mod limits;
#[path = "../../../src/mime.rs"]
pub mod mime;
#[path = "../../../src/refusal.rs"]
pub mod refusal;

#[path = "../../../src/sip/mod.rs"]
pub mod sip;
#[path = "../../../src/xml/mod.rs"]
pub mod xml;
#[path = "../../../src/xmpp/mod.rs"]
pub mod xmpp;

#[path = "../../../src/interwork/mod.rs"]
pub mod interwork;

/// The sizes of the portions that an input is to arrive in, and the rest of the input: its first eight octets say them,
/// over and over.
pub fn portions(data: &[u8]) -> Option<(impl Iterator<Item = usize> + Clone + '_, &[u8])> {
    let (sizes, input) = data.split_at_checked(8)?;
    Some((
        sizes
            .iter()
            .cycle()
            .map(|size| usize::from(*size))
            .take(input.len()),
        input,
    ))
}
