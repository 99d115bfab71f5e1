//! From a request to the stanza that says the same, and back: the ends of `interwork` joined.

use crate::domain::Domain;
use crate::interwork::address::Sips;
use crate::interwork::message::{self, Hop, MessageError, Seed, Sending, Threading};
use crate::interwork::profile::Profile;
use crate::sip::{Date, Host, Request, Scheme, Transport};
use crate::xmpp::Stanza;

/// The stanza of a MESSAGE that came at `now`.
pub(super) fn to_stanza(request: &Request, now: Date, sips: Sips) -> Result<Stanza, MessageError> {
    message::from_sip(request, now, sips).map(|im| message::to_xmpp(&im))
}

/// The MESSAGE of a stanza; `None` where it has no text, and nobody waits for it. `random` is used for nothing else.
pub(super) fn to_request(
    stanza: &Stanza,
    profile: &Profile,
    edge: &Domain,
    random: &[u8; 32],
) -> Result<Option<Request>, MessageError> {
    let im = match message::from_xmpp(stanza, Scheme::Sip) {
        Ok(im) => im,
        Err(silent) if silent.is_silent() => return Ok(None),
        Err(error) => return Err(error),
    };
    let host = Host::parse(edge.as_str()).map_err(|_| MessageError::Unwritable)?;
    // The flow that sends the request says what it really goes over.
    let hop = Hop::new(Transport::Tls, host, None);
    let seed = Seed::new(random);
    let sending = Sending {
        hop: &hop,
        seed: &seed,
        threading: Threading::Keep,
        profile,
    };
    message::to_sip(&im, &sending).map(Some)
}
