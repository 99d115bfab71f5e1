//! message/cpim (RFC 3862 §2): message headers, an empty line, the headers of the content, an empty line, the content.
//!
//! Names and addresses in the wrapper are only words: they prove nothing, and who sent the request is who sent it.

use super::MessageError;
use super::part::{Part, field, split_block};
use crate::limits::PART_HEADER_BYTES;

/// A message in its wrapper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::interwork) struct Cpim<'b> {
    headers: Vec<(&'b str, &'b str)>,
    /// What is wrapped.
    pub(in crate::interwork) content: Part<'b>,
}

impl<'b> Cpim<'b> {
    /// Reads a body.
    pub(in crate::interwork) fn read(body: &'b [u8]) -> Result<Self, MessageError> {
        let (head, rest) = split_block(body)?;
        if head.len() > PART_HEADER_BYTES {
            return Err(MessageError::Garbled);
        }
        let head = std::str::from_utf8(head).map_err(|_| MessageError::Garbled)?;
        let headers = head.lines().map(field).collect::<Result<_, _>>()?;
        Ok(Self {
            headers,
            content: Part::read(rest)?,
        })
    }

    /// The values of a header of the wrapper, by the namespace that it belongs to; the message's own is empty.
    //
    //= rfc3862#3.4
    //# the local prefix is declared by the NS header
    pub(in crate::interwork) fn values<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = &'b str> + 'a {
        self.headers.iter().filter_map(move |(known, value)| {
            let (prefix, local) = known.split_once('.').unwrap_or(("", known));
            (self.namespace(prefix)? == namespace && local.eq_ignore_ascii_case(name)).then_some(*value)
        })
    }

    /// What `NS: prefix <namespace>` says.
    fn namespace(&self, prefix: &str) -> Option<&'b str> {
        if prefix.is_empty() {
            return Some("");
        }
        self.headers.iter().rev().find_map(|(name, value)| {
            if !name.eq_ignore_ascii_case("NS") {
                return None;
            }
            let (known, namespace) = value.split_once('<')?;
            (known.trim() == prefix).then(|| namespace.trim_end().trim_end_matches('>'))
        })
    }
}
