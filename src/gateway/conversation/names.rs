//! The names that requests of ours bear: nobody can guess the next from those before.

use aws_lc_rs::hmac;

use crate::sip::proxy::Face;
use crate::sip::{CallId, Flaw, Mandatory, Method, NameAddr, Request, SipUri, Uri, Via};

/// Makes tags, Call-IDs and branches.
pub(in crate::gateway) struct Names {
    key: hmac::Key,
    shard: u8,
    count: u64,
}

impl Names {
    /// Names of a shard, by a secret of the process.
    pub(in crate::gateway) fn new(secret: &[u8; 32], shard: u8) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            shard,
            count: 0,
        }
    }

    /// A tag (RFC 3261 §19.3).
    pub(in crate::gateway) fn tag(&mut self) -> String {
        self.fresh()
    }

    /// A Call-ID (RFC 3261 §8.1.1.4).
    pub(in crate::gateway) fn call_id(&mut self) -> Result<CallId, Flaw> {
        CallId::parse(&self.fresh())
    }

    /// A Via as the dialog needs it to make a request; whoever sends it writes its own.
    pub(in crate::gateway) fn via(&mut self, face: &Face) -> Result<Via, Flaw> {
        let branch = format!("{MAGIC}{}", self.fresh());
        Via::new(face.transport().clone(), face.host().clone(), None, &branch)
    }

    /// A MESSAGE outside a dialog, without a body (RFC 3428 §4).
    pub(in crate::gateway) fn message(
        &mut self,
        face: &Face,
        from: &Uri,
        to: &NameAddr,
    ) -> Result<Request, Flaw> {
        let mandatory = Mandatory {
            via: self.via(face)?,
            from: NameAddr::new(from.clone()).with_tag(&self.tag()),
            to: to.clone(),
            call_id: self.call_id()?,
            sequence: 1,
        };
        Ok(Request::new(Method::Message, to.uri().clone(), mandatory))
    }

    /// Any number, for jitter.
    pub(in crate::gateway) fn random(&mut self) -> u32 {
        let octets = self.signed();
        octets
            .as_ref()
            .first_chunk()
            .map_or(0, |octets| u32::from_be_bytes(*octets))
    }

    fn fresh(&mut self) -> String {
        let octets = self.signed();
        let mut name = String::with_capacity(OCTETS * 2);
        for octet in octets.as_ref().iter().take(OCTETS) {
            for half in [octet >> 4, octet & 0xf] {
                name.extend(char::from_digit(u32::from(half), 16));
            }
        }
        name
    }

    fn signed(&mut self) -> hmac::Tag {
        self.count = self.count.wrapping_add(1);
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&[self.shard]);
        context.update(&self.count.to_le_bytes());
        context.sign()
    }
}

/// Where a user of ours is reached in a session: at the edge, by his own name.
pub(in crate::gateway) fn contact(face: &Face, user: &SipUri) -> Result<NameAddr, Flaw> {
    face.uri(user.user().unwrap_or_default()).map(NameAddr::new)
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

/// RFC 3261 §8.1.1.7.
const MAGIC: &str = "z9hG4bK";
/// Octets of a name: four times what RFC 3261 §19.3 asks for.
const OCTETS: usize = 16;
