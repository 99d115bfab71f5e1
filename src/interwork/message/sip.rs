//! Between a MESSAGE request and an [`Im`].
//!
//! Nothing of a peer's text is ever part of the structure of the request: identifiers are keyed hashes or parsed tokens,
//! addresses are written by the URI writer, header values are single lines.

use aws_lc_rs::hmac;
use bytes::Bytes;

use super::cpim::Cpim;
use super::{Im, ImKind, Language, MessageError, content, preferred, split};
use crate::interwork::address::{Party, Sips};
use crate::interwork::profile::{Oversize, PeerKind, Profile};
use crate::limits::{FOREIGN_ID_BYTES, MESSAGE_PARTS};
use crate::mime::MediaType;
use crate::sip::{
    CallId, Date, Host, Mandatory, Method, NameAddr, Request, Scheme, Transport, Uri, Via, write,
};
use crate::xmpp::Jid;

/// Our own hop: what the request's Via says of where responses go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    transport: Transport,
    host: Host,
    port: Option<u16>,
}

/// What the identifiers of one request are made from: 32 octets, random or keyed, never used for another request.
///
/// The same seed and message give the same request, so a second try of one message can be recognised.
#[derive(Clone)]
pub struct Seed(hmac::Key);

/// Whether the conversation's name becomes the Call-ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threading {
    /// It does, where it is a legal Call-ID.
    Keep,
    /// It does not: a live dialog of another pair has that Call-ID, or the peer is not to see it.
    Hide,
}

/// How a request is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'a> {
    /// Our own hop.
    pub hop: &'a Hop,
    /// Where identifiers come from.
    pub seed: &'a Seed,
    /// What becomes of the conversation's name.
    pub threading: Threading,
    /// The peer.
    pub profile: &'a Profile,
}

impl Hop {
    /// A hop.
    #[must_use]
    pub const fn new(transport: Transport, host: Host, port: Option<u16>) -> Self {
        Self {
            transport,
            host,
            port,
        }
    }
}

impl Seed {
    /// A seed of those octets.
    #[must_use]
    pub fn new(octets: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, octets))
    }

    /// `octets` octets in hexadecimal, for one use and one peer's text.
    fn derive(&self, purpose: &str, text: &str, octets: usize) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        // No purpose holds a NUL, so the two cannot run into each other.
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(text.as_bytes());
        let tag = context.sign();
        tag.as_ref().iter().take(octets).flat_map(|b| hex(*b)).collect()
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed")
    }
}

/// Reads a MESSAGE that came at `now` (RFC 7572 §5).
///
/// # Errors
/// [`MessageError`] says why it is not delivered; [`crate::interwork::error::refusal_to_sip`] makes the answer.
pub fn from_sip(request: &Request, now: Date, sips: Sips) -> Result<Im, MessageError> {
    if *request.method() != Method::Message {
        return Err(MessageError::NotAMessage);
    }
    let headers = request.headers();
    if headers.max_forwards() == Some(0) {
        return Err(MessageError::TooManyHops);
    }
    let (from, to) = parties(request, sips)?;
    let mut im = said(request, from, to, now)?;
    if let Some(branch) = request
        .headers()
        .top_via()
        .branch()
        .filter(|branch| branch.len() <= FOREIGN_ID_BYTES)
    {
        im = im.with_id(branch);
    }
    Ok(im)
}

/// Who sent a request that comes on its own or begins a dialog, and whom it is for.
///
/// # Errors
/// [`MessageError::Address`] for an address without counterpart.
pub fn parties(request: &Request, sips: Sips) -> Result<(Party, Party), MessageError> {
    parties_by(request, request.uri(), sips)
}

/// The same of a request within a session: it is sent to a place, and To says who is meant.
///
/// # Errors
/// As [`parties`].
pub fn parties_within(request: &Request, sips: Sips) -> Result<(Party, Party), MessageError> {
    parties_by(request, request.headers().to().uri(), sips)
}

fn parties_by(request: &Request, to: &Uri, sips: Sips) -> Result<(Party, Party), MessageError> {
    let headers = request.headers();
    //= rfc7247#8
    //# if the To header or Request-URI of a SIP message is a SIPS URI then the SIP-to-
    //# XMPP gateway MUST NOT translate the SIP message into an XMPP stanza
    if sips == Sips::Refuse && headers.to().uri().scheme() == Scheme::Sips.as_str() {
        return Err(crate::interwork::address::AddressError::Sips.into());
    }
    let to = Party::from_uri(to, sips)?;
    // A sender's sips: only says how the sender is reached.
    Ok((sender(headers.from())?, to))
}

/// Reads a MESSAGE that came at `now` in a conversation between two parties who are known: in a dialog its addresses say
/// how it goes, and not who it is from.
///
/// # Errors
/// As [`from_sip`].
pub fn from_session(request: &Request, from: Party, to: Party, now: Date) -> Result<Im, MessageError> {
    if *request.method() != Method::Message {
        return Err(MessageError::NotAMessage);
    }
    said(request, from, to, now).map(|im| im.with_kind(ImKind::Chat))
}

/// What a MESSAGE says, whoever says it.
fn said(request: &Request, from: Party, to: Party, now: Date) -> Result<Im, MessageError> {
    if is_expired(request, now) {
        return Err(MessageError::Expired);
    }
    let headers = request.headers();
    let content = content::read(request)?;
    let language = headers.list("Content-Language").find_map(Language::parse);
    let mut im = Im::new(from, to, &content.text)
        .with_rich(content.rich)
        .with_kind(ImKind::Single)
        .with_thread(headers.call_id().as_str())
        .with_language(language)
        .with_sent(headers.date().filter(|date| is_stale(*date, now)));
    if let Some(subject) = headers.get("Subject") {
        im = im.with_subject(subject);
    }
    Ok(im)
}

/// Makes the MESSAGE that says it (RFC 7572 §4), ready to be sent outside a dialog.
///
/// A SIP message has one text: the one in the language of the whole, else the first.
///
/// # Errors
/// [`MessageError::TooLarge`] where the whole request is longer than the peer takes.
pub fn to_sip(im: &Im, sending: &Sending<'_>) -> Result<Request, MessageError> {
    fitting(part(im, sending, 0)?, sending.profile)
}

/// Makes the MESSAGEs that say it, in their order: one, or, for a peer whose profile splits what is too long, as many as
/// it needs. The text is cut between paragraphs, lines, words or characters; nothing of it is left out or said twice. All
/// have one Call-ID and tag, and CSeq counts them.
///
/// # Errors
/// [`MessageError::TooLarge`] where it is longer than the peer takes, and is not split or would be too many.
pub fn to_sip_in_parts(im: &Im, sending: &Sending<'_>) -> Result<Vec<Request>, MessageError> {
    let whole = match (to_sip(im, sending), sending.profile.oversize()) {
        (Ok(request), _) => return Ok(vec![request]),
        (Err(error @ MessageError::TooLarge { .. }), Oversize::Split) => error,
        (Err(error), _) => return Err(error),
    };
    let body = preferred(im.bodies(), im.language()).ok_or(MessageError::Empty)?;
    // With its subject the first part is the longest.
    let empty = im.saying("x", body.language().cloned());
    let around = part(&empty, sending, 0).map(|request| octets(&request))?;
    let room = sending
        .profile
        .message_bytes()
        .checked_sub(around.saturating_add(LENGTHS))
        .filter(|room| *room >= LEAST_ROOM)
        .ok_or(whole)?;
    let pieces: Vec<_> = split::pieces(body.as_str(), room)
        .take(MESSAGE_PARTS.saturating_add(1))
        .collect();
    if pieces.len() > MESSAGE_PARTS {
        return Err(whole);
    }
    (0_u32..)
        .zip(pieces)
        .map(|(number, piece)| {
            let mut im = im.saying(piece, body.language().cloned());
            if number > 0 {
                im.subjects.clear();
            }
            fitting(part(&im, sending, number)?, sending.profile)
        })
        .collect()
}

fn part(im: &Im, sending: &Sending<'_>, number: u32) -> Result<Request, MessageError> {
    let Sending {
        hop,
        seed,
        threading,
        profile: _,
    } = *sending;
    let id = im.id().unwrap_or_default();
    let purpose = match number {
        0 => "branch".to_owned(),
        number => format!("branch {number}"),
    };
    let branch = format!("{MAGIC}{}", seed.derive(&purpose, id, 16));
    let via = Via::new(hop.transport.clone(), hop.host.clone(), hop.port, &branch)
        .map_err(|_| MessageError::Unwritable)?;
    //= rfc7572#4
    //# XMPP-to-SIP gateway MUST map the bare JID
    //# ("localpart@domainpart") of the XMPP sender to the SIP From
    //# header and include the resourcepart of the "full JID"
    let from = NameAddr::new(im.from().uri().clone()).with_tag(&seed.derive("tag", id, 8));
    let to = receiver(im.to(), sending.profile.kind())?;
    let call_id = im
        .thread()
        .filter(|thread| threading == Threading::Keep && thread.len() <= FOREIGN_ID_BYTES)
        .and_then(|thread| CallId::parse(thread).ok())
        .map_or_else(|| CallId::parse(&seed.derive("call", id, 16)), Ok)
        .map_err(|_| MessageError::Unwritable)?;
    let mandatory = Mandatory {
        via,
        from,
        to: to.clone(),
        call_id,
        // One number would make them one merged request (RFC 3261 §8.2.2.2).
        sequence: number.saturating_add(1),
    };
    say(im, Request::new(Method::Message, to.uri().clone(), mandatory))
}

/// A request on its own that its peer takes.
///
/// # Errors
/// [`MessageError::TooLarge`] for any other.
//= rfc3428#8
//# The size of MESSAGE requests outside of a media session MUST NOT
//# exceed 1300 bytes, unless the UAC has positive knowledge
pub fn fitting(request: Request, profile: &Profile) -> Result<Request, MessageError> {
    let octets = octets(&request);
    if octets > profile.message_bytes() {
        return Err(MessageError::TooLarge {
            octets,
            most: profile.message_bytes(),
        });
    }
    Ok(request)
}

/// The octets of a request as it is written.
#[must_use]
pub fn octets(request: &Request) -> usize {
    let mut written = Vec::new();
    write::request(request, &mut written);
    written.len()
}

/// Puts what a message says into a MESSAGE request, such as a dialog makes: body, Date, Subject and Content-Language.
///
/// # Errors
/// [`MessageError::Unwritable`] for what SIP cannot write, which is a defect of ours.
pub fn say(im: &Im, request: Request) -> Result<Request, MessageError> {
    let body = preferred(im.bodies(), im.language()).ok_or(MessageError::Empty)?;
    let mut request = request.with_body(
        MediaType::plain("text", "plain").with("charset", "UTF-8"),
        body.as_str().replace('\n', "\r\n"),
    );
    request.headers_mut().set_date(im.sent());
    let language = body.language().or_else(|| im.language());
    if let Some(subject) = preferred(im.subjects(), language) {
        push(&mut request, "Subject", subject.as_str())?;
    }
    //= rfc7572#8
    //# Gateways MUST map these language tagging mechanisms if they are present in the
    //# original message.
    if let Some(language) = language {
        push(&mut request, "Content-Language", language.as_str())?;
    }
    Ok(request)
}

/// The sender with the device that it names: `gr`, or the endpoint identifier of Microsoft's clients.
fn sender(from: &NameAddr) -> Result<Party, MessageError> {
    let party = Party::from_uri(from.uri(), Sips::Translate)?;
    let endpoint = from.params().get("epid").filter(|epid| is_endpoint(epid));
    match endpoint {
        Some(epid) if party.jid().is_bare() => Ok(party.with_resource(Some(&format!("{ENDPOINT}{epid}")))?),
        Some(_) | None => Ok(party),
    }
}

/// A user as SIP names him.
#[must_use]
pub fn uri_of(jid: &Jid) -> Option<Uri> {
    let party = Party::from_jid(jid, Scheme::Sip).ok()?;
    Some(Uri::Sip(party.uri().clone()))
}

/// A user, or one device of his, as a request to him names him.
#[must_use]
pub fn addressee(jid: &Jid) -> Option<NameAddr> {
    receiver(&Party::from_jid(jid, Scheme::Sip).ok()?, PeerKind::Simple).ok()
}

/// The text that a wrapper of ours holds, as a body of its own.
#[must_use]
pub fn unwrapped(request: &Request) -> Option<(MediaType, Bytes)> {
    let content = Cpim::read(request.body()).ok()?.content;
    Some((content.kind().clone(), Bytes::copy_from_slice(content.body())))
}

/// The receiver as To; its URI is the Request-URI too. A Microsoft endpoint is named beside the URI, not in it: its servers do not
/// know `gr`.
fn receiver(to: &Party, kind: PeerKind) -> Result<NameAddr, MessageError> {
    let endpoint = to
        .jid()
        .resource()
        .and_then(|resource| resource.strip_prefix(ENDPOINT))
        .filter(|epid| is_endpoint(epid));
    let mut uri = to.uri().clone();
    if endpoint.is_some() || kind == PeerKind::Microsoft {
        uri.params_mut().remove("gr");
    }
    let named = NameAddr::new(Uri::Sip(uri));
    match endpoint {
        Some(epid) => named
            .with_param("epid", Some(epid))
            .map_err(|_| MessageError::Unwritable),
        None => Ok(named),
    }
}

fn is_endpoint(epid: &str) -> bool {
    (1..=MOST_ENDPOINT).contains(&epid.len()) && epid.bytes().all(|b| b.is_ascii_alphanumeric())
}

//= rfc3428#7
//# the UAS SHOULD
//# interpret the Expires header field value as delta time from the Date
//# header field value
fn is_expired(request: &Request, now: Date) -> bool {
    let headers = request.headers();
    // 0 means "now or never", and this is now; without Date the time begins when the request comes.
    let (Some(lifetime @ 1..), Some(date)) = (headers.expires(), headers.date()) else {
        return false;
    };
    now.unix_seconds() > date.unix_seconds().saturating_add(i64::from(lifetime))
}

/// Whether a message has been on its way for so long that its receiver should know.
const fn is_stale(date: Date, now: Date) -> bool {
    now.unix_seconds().saturating_sub(date.unix_seconds()) > STALE
}

fn push(request: &mut Request, name: &str, value: &str) -> Result<(), MessageError> {
    request
        .headers_mut()
        .push(name, value)
        .map_err(|_| MessageError::Unwritable)
}

fn hex(octet: u8) -> [char; 2] {
    [octet >> 4, octet & 0xF].map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'))
}

/// What Content-Length and CSeq may grow by.
const LENGTHS: usize = 8;
/// Octets of a part's text: who takes less is told nothing in parts.
const LEAST_ROOM: usize = 64;
/// RFC 3261 §8.1.1.7.
const MAGIC: &str = "z9hG4bK";
/// The beginning of a resource that is a Microsoft endpoint identifier.
const ENDPOINT: &str = "epid-";
/// Characters of an endpoint identifier: what is longer is none.
const MOST_ENDPOINT: usize = 32;
/// Seconds after which a message says when it was sent; fewer are ordinary transport and the difference of two clocks.
const STALE: i64 = 60;
