//! The header fields of a message: the ones that decide anything as types, the others in their order by name.

use std::net::SocketAddr;

use super::address::{Contact, NameAddr};
use super::cseq::{CSeq, CallId};
use super::date::Date;
use super::error::Flaw;
use super::event::{Event, SubscriptionState};
use super::lex;
use super::name::{Field, HeaderName};
use super::route_set::RouteSet;
use super::via::Via;
use crate::mime::MediaType;

/// The header fields of one message. From, To, Call-ID, CSeq and at least one Via are always there.
///
/// Content-Length is not among them: it follows from the body when a message is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers(Box<Fields>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fields {
    top_via: Via,
    lower_vias: Vec<Via>,
    from: NameAddr,
    to: NameAddr,
    call_id: CallId,
    cseq: CSeq,
    optional: Optional,
    echo: Vec<Echo>,
}

/// A mandatory field that could not be read, in the answer that says so: the value is a stand-in then, and what is
/// written is the text that came, or nothing where nothing came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Echo {
    pub(super) field: Field,
    pub(super) text: Option<String>,
}

/// What need not be there; the reader fills it and hands it over whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Optional {
    pub(super) max_forwards: Option<u8>,
    pub(super) contact: Contact,
    pub(super) route: RouteSet,
    pub(super) record_route: RouteSet,
    pub(super) content_type: Option<MediaType>,
    pub(super) expires: Option<u32>,
    pub(super) date: Option<Date>,
    pub(super) event: Option<Event>,
    pub(super) subscription_state: Option<SubscriptionState>,
    pub(super) other: Vec<(HeaderName, String)>,
}

impl Headers {
    pub(super) fn new(via: Via, from: NameAddr, to: NameAddr, call_id: CallId, cseq: CSeq) -> Self {
        Self::assemble((via, Vec::new()), from, to, call_id, cseq, Optional::default())
    }

    pub(super) fn assemble(
        (top_via, lower_vias): (Via, Vec<Via>),
        from: NameAddr,
        to: NameAddr,
        call_id: CallId,
        cseq: CSeq,
        optional: Optional,
    ) -> Self {
        Self(Box::new(Fields {
            top_via,
            lower_vias,
            from,
            to,
            call_id,
            cseq,
            optional,
            echo: Vec::new(),
        }))
    }

    /// The same, for an answer only, with fields that are echoed.
    pub(super) fn with_echo(mut self, echo: Vec<Echo>) -> Self {
        self.0.echo = echo;
        self
    }

    #[cfg(test)]
    pub(super) fn has_echo(&self) -> bool {
        !self.0.echo.is_empty()
    }

    /// How a field is echoed, where it could not be read.
    pub(super) fn echo(&self, field: Field) -> Option<&Echo> {
        self.0.echo.iter().find(|echo| echo.field == field)
    }

    /// The mandatory fields of a response to a request with these (RFC 3261 §8.2.6.2).
    pub(super) fn for_response(&self) -> Self {
        let fields = &self.0;
        Self::assemble(
            (fields.top_via.clone(), fields.lower_vias.clone()),
            fields.from.clone(),
            fields.to.clone(),
            fields.call_id.clone(),
            fields.cseq.clone(),
            Optional::default(),
        )
    }

    /// The first Via: the hop that sent this message to us, or ours in a response to us.
    #[must_use]
    pub fn top_via(&self) -> &Via {
        &self.0.top_via
    }

    /// All Vias, first one first.
    pub fn vias(&self) -> impl Iterator<Item = &Via> {
        std::iter::once(&self.0.top_via).chain(&self.0.lower_vias)
    }

    /// Puts a Via before all others.
    pub fn push_via(&mut self, via: Via) {
        let below = std::mem::replace(&mut self.0.top_via, via);
        self.0.lower_vias.insert(0, below);
    }

    /// Removes the top Via and gives it; `None`, with nothing removed, where it is the only one.
    pub fn pop_via(&mut self) -> Option<Via> {
        if self.0.lower_vias.is_empty() {
            return None;
        }
        let below = self.0.lower_vias.remove(0);
        Some(std::mem::replace(&mut self.0.top_via, below))
    }

    /// Puts a Via in place of all others, where a request begins anew.
    pub fn replace_vias(&mut self, via: Via) {
        self.0.top_via = via;
        self.0.lower_vias.clear();
    }

    /// Puts these Vias in place of all there were; without any, nothing changes.
    pub(super) fn set_vias(&mut self, vias: impl IntoIterator<Item = Via>) {
        let mut vias = vias.into_iter();
        if let Some(top) = vias.next() {
            self.0.top_via = top;
            self.0.lower_vias = vias.collect();
        }
    }

    /// Notes in the top Via where the message came from (see [`Via::stamp`]).
    pub fn stamp_via(&mut self, source: SocketAddr) {
        self.0.top_via.stamp(source);
    }

    /// Who sent the request.
    #[must_use]
    pub fn from(&self) -> &NameAddr {
        &self.0.from
    }

    /// Sets From.
    pub fn set_from(&mut self, from: NameAddr) {
        self.0.from = from;
    }

    /// Whom the request is for.
    #[must_use]
    pub fn to(&self) -> &NameAddr {
        &self.0.to
    }

    /// Sets To.
    pub fn set_to(&mut self, to: NameAddr) {
        self.0.to = to;
    }

    /// To, to change: a tag is set there.
    pub fn to_mut(&mut self) -> &mut NameAddr {
        &mut self.0.to
    }

    /// The Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &CallId {
        &self.0.call_id
    }

    /// Sets Call-ID.
    pub(super) fn set_call_id(&mut self, call_id: CallId) {
        self.0.call_id = call_id;
    }

    /// The CSeq; in a request its method is that of the request.
    #[must_use]
    pub fn cseq(&self) -> &CSeq {
        &self.0.cseq
    }

    /// Max-Forwards; `None` in RFC 2543 requests and in responses.
    #[must_use]
    pub fn max_forwards(&self) -> Option<u8> {
        self.0.optional.max_forwards
    }

    /// Sets Max-Forwards.
    pub fn set_max_forwards(&mut self, hops: Option<u8>) {
        self.0.optional.max_forwards = hops;
    }

    /// Contact.
    #[must_use]
    pub fn contact(&self) -> &Contact {
        &self.0.optional.contact
    }

    /// Sets Contact, in place of all there were.
    pub fn set_contact(&mut self, contact: impl Into<Contact>) {
        self.0.optional.contact = contact.into();
    }

    /// The route that the request has still to go.
    #[must_use]
    pub fn route(&self) -> &RouteSet {
        &self.0.optional.route
    }

    /// The route, to change.
    pub fn route_mut(&mut self) -> &mut RouteSet {
        &mut self.0.optional.route
    }

    /// The proxies that want to stay on the path.
    #[must_use]
    pub fn record_route(&self) -> &RouteSet {
        &self.0.optional.record_route
    }

    /// Record-Route, to change.
    pub fn record_route_mut(&mut self) -> &mut RouteSet {
        &mut self.0.optional.record_route
    }

    /// What the body says it is. It is set together with the body.
    #[must_use]
    pub fn content_type(&self) -> Option<&MediaType> {
        self.0.optional.content_type.as_ref()
    }

    pub(super) fn set_content_type(&mut self, kind: Option<MediaType>) {
        self.0.optional.content_type = kind;
    }

    /// Takes out all that is said of a body.
    pub(super) fn forget_body(&mut self) {
        self.set_content_type(None);
        self.retain(|name| !name.as_str().to_ascii_lowercase().starts_with("content-"));
    }

    /// Expires in seconds; a number beyond 32 bits was read as the greatest of them.
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        self.0.optional.expires
    }

    /// Sets Expires.
    pub fn set_expires(&mut self, seconds: Option<u32>) {
        self.0.optional.expires = seconds;
    }

    /// When the message was first sent.
    #[must_use]
    pub fn date(&self) -> Option<Date> {
        self.0.optional.date
    }

    /// Sets Date.
    pub fn set_date(&mut self, date: Option<Date>) {
        self.0.optional.date = date;
    }

    /// Event.
    #[must_use]
    pub fn event(&self) -> Option<&Event> {
        self.0.optional.event.as_ref()
    }

    /// Sets Event.
    pub fn set_event(&mut self, event: Option<Event>) {
        self.0.optional.event = event;
    }

    /// Subscription-State.
    #[must_use]
    pub fn subscription_state(&self) -> Option<&SubscriptionState> {
        self.0.optional.subscription_state.as_ref()
    }

    /// Sets Subscription-State.
    pub fn set_subscription_state(&mut self, state: Option<SubscriptionState>) {
        self.0.optional.subscription_state = state;
    }

    /// All fields that have no type of their own, in their order.
    pub fn other(&self) -> impl Iterator<Item = (&HeaderName, &str)> {
        self.0
            .optional
            .other
            .iter()
            .map(|(name, value)| (name, value.as_str()))
    }

    /// The first value of a field that has no type of its own, by its long name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a field that has no type of its own, by its long name, one for each line.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.other()
            .filter(move |(known, _)| known.is(name))
            .map(|(_, value)| value)
    }

    /// The elements of a comma-separated field that has no type of its own, over all its lines: option tags, methods.
    pub fn list<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(lex::elements)
    }

    /// Adds a field after all others.
    ///
    /// # Errors
    /// [`Flaw::Token`] for a name that is no token, [`Flaw::TypedField`] for one with a setter of its own,
    /// [`Flaw::Control`] for a value with a control character or a line break.
    pub fn push(&mut self, name: &str, value: &str) -> Result<(), Flaw> {
        let name = HeaderName::parse(name)?;
        if value.bytes().any(lex::is_control) {
            return Err(Flaw::Control);
        }
        let value = value.trim_matches(lex::BLANK).to_owned();
        self.0.optional.other.push((name, value));
        Ok(())
    }

    /// Removes all values of a field that has no type of its own.
    pub fn remove(&mut self, name: &str) {
        self.retain(|known| !known.is(name));
    }

    /// Keeps those fields without a type of their own whose name and value pass.
    pub fn retain_values(&mut self, mut keep: impl FnMut(&HeaderName, &str) -> bool) {
        self.0.optional.other.retain(|(name, value)| keep(name, value));
    }

    /// Keeps those fields without a type of their own that a list lets pass.
    pub fn retain(&mut self, mut keep: impl FnMut(&HeaderName) -> bool) {
        self.0.optional.other.retain(|(name, _)| keep(name));
    }
}
