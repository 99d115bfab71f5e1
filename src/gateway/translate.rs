//! From a request to the stanza that says the same, and back: the ends of `interwork` joined.

use crate::domain::Domain;
use crate::interwork::address::{Party, Sips};
use crate::interwork::composing::{self, ChatState};
use crate::interwork::message::{self, Hop, Im, ImKind, MessageError, Seed, Sending, Threading};
use crate::interwork::passage::Passage;
use crate::interwork::profile::Profile;
use crate::sip::{Date, Host, Request, Scheme, Transport};
use crate::xml::Element;
use crate::xmpp::stanza::{Kind, MessageType};
use crate::xmpp::{Stanza, ns};

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
    let mut request = message::to_sip(&im, &sending)?;
    Passage::of_stanza(stanza).mark_request(&mut request);
    message::fitting(request, profile).map(Some)
}

/// The MESSAGE that says for a stanza without a text what its sender does, once it is filled; `None` where there is none.
pub(super) fn to_template(
    stanza: &Stanza,
    profile: &Profile,
    edge: &Domain,
    random: &[u8; 32],
) -> Option<Request> {
    let (from, to) = (stanza.from().clone(), stanza.to().clone());
    let text = Element::new("body", ns::STANZA).with_text("-");
    let mut template = Stanza::new(Kind::Message(MessageType::Chat), from, to).with_child(text);
    Passage::of_stanza(stanza).mark_stanza(&mut template);
    to_request(&template, profile, edge, random).ok().flatten()
}

/// Who sends a request of a session, and to whom: within it the Request-URI is a place, and To says who is meant.
pub(super) fn ends(request: &Request) -> Result<(Party, Party), MessageError> {
    if request.headers().to().tag().is_none() {
        message::parties(request, Sips::Refuse)
    } else {
        message::parties_within(request, Sips::Refuse)
    }
}

/// The stanza of a MESSAGE within a session that came at `now`.
pub(super) fn of_session(
    request: &Request,
    (from, to): (Party, Party),
    now: Date,
) -> Result<Stanza, MessageError> {
    message::from_session(request, from, to, now).map(|im| message::to_xmpp(&im))
}

/// The stanza of a text that came with an INVITE.
pub(super) fn first_of_session(request: &Request, (from, to): (Party, Party), text: &str) -> Stanza {
    let im = Im::new(from, to, text)
        .with_kind(ImKind::Chat)
        .with_thread(request.headers().call_id().as_str());
    message::to_xmpp(&im)
}

/// The stanza that says what the sender of a request does.
pub(super) fn state_of_session(request: &Request, (from, to): (Party, Party), state: ChatState) -> Stanza {
    let thread = request.headers().call_id().as_str();
    composing::to_stanza(state, from.jid().clone(), to.jid().clone(), Some(thread))
}
