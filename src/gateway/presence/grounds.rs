//! What the configuration says of two users, asked for when something is done between them and never kept.

use std::cell::OnceCell;
use std::sync::Arc;

use super::act::Terms;
use crate::gateway::border::Border;
use crate::gateway::border::presence::{Footing, PACKAGE, Unfounded};
use crate::gateway::conversation::{Pair, contact};
use crate::interwork::address;
use crate::interwork::presence::table::BusyAs;
use crate::interwork::presence::{Presence, document, pidf};
use crate::interwork::profile::PeerKind;
use crate::limits::PresenceLimits;
use crate::mime::MediaType;
use crate::sip::subscription::{
    Attempt, Content, Entity, NotifierManner, NotifierTerms, SubscriberManner, SubscriberTerms,
};
use crate::sip::transaction::Timers;
use crate::sip::{CallId, Event, NameAddr, Scheme, SipUri, Uri};

/// The configuration, as it concerns one pair.
pub(super) struct Grounds<'g> {
    border: Option<&'g Border>,
    pair: &'g Pair,
    manners: &'g Manners,
    /// How the user of SIP writes his address, where that differs.
    spelling: Option<&'g SipUri>,
    footing: OnceCell<Result<Footing, Unfounded>>,
}

/// What all subscriptions of a kind keep to, held once for them.
#[derive(Debug)]
pub(super) struct Manners {
    serving: Arc<NotifierManner>,
    simple: Arc<SubscriberManner>,
    microsoft: Arc<SubscriberManner>,
}

impl<'g> Grounds<'g> {
    pub(super) const fn new(
        border: Option<&'g Border>,
        pair: &'g Pair,
        manners: &'g Manners,
        spelling: Option<&'g SipUri>,
    ) -> Self {
        Self {
            border,
            pair,
            manners,
            spelling,
            footing: OnceCell::new(),
        }
    }

    /// On what footing they stand.
    pub(super) fn footing(&self) -> Result<&Footing, Unfounded> {
        let found = self.footing.get_or_init(|| match self.border {
            Some(border) => border.footing(self.pair),
            None => Err(Unfounded::Forbidden),
        });
        found.as_ref().map_err(|unfounded| *unfounded)
    }

    /// How the user of SIP is shown to the one of XMPP.
    pub(super) fn manner(&self) -> (PeerKind, BusyAs) {
        let footing = self.footing().ok();
        let manner = footing.map(|footing| (footing.peer.profile.kind(), footing.busy_as));
        manner.unwrap_or((PeerKind::Simple, BusyAs::DoNotDisturb))
    }

    /// Both addresses as SIP has them: of the user of XMPP, and of the one of SIP.
    fn addresses(&self) -> Option<(SipUri, SipUri)> {
        let own = address::to_uri(&self.pair.xmpp, Scheme::Sip).ok()?;
        let other = match self.spelling {
            Some(spelling) => spelling.clone(),
            None => address::to_uri(&self.pair.sip, Scheme::Sip).ok()?,
        };
        Some((own, other))
    }

    /// How to say that it is over, to whoever it may be: nothing else is said on such terms where the configuration forbids it.
    pub(super) fn parting(&self, tag: String, random: u32) -> Option<NotifierTerms> {
        let face = match self.footing() {
            Ok(footing) => footing.peer.face.clone(),
            Err(_) => self.border?.face_towards(&self.pair.sip)?,
        };
        let (own, _) = self.addresses()?;
        Some(NotifierTerms {
            tag: tag.into(),
            contact: contact(&face, &own).ok()?,
            package: PACKAGE.into(),
            via: Arc::clone(face.via()),
            random,
            manner: Arc::clone(&self.manners.serving),
        })
    }
}

impl Terms for Grounds<'_> {
    fn subscriber(&self) -> Option<SubscriberTerms> {
        let footing = self.footing().ok()?;
        self.addresses()?;
        let manner = match footing.peer.profile.kind() {
            PeerKind::Microsoft => &self.manners.microsoft,
            PeerKind::Simple | PeerKind::Aol => &self.manners.simple,
        };
        Some(SubscriberTerms {
            via: Arc::clone(footing.peer.face.via()),
            manner: Arc::clone(manner),
        })
    }

    fn attempt(&self, call_id: CallId, tag: String, random: u32) -> Option<Attempt> {
        let footing = self.footing().ok()?;
        let (own, other) = self.addresses()?;
        let other = Uri::Sip(other);
        Some(Attempt {
            target: other.clone(),
            contact: contact(&footing.peer.face, &own).ok()?,
            from: NameAddr::new(Uri::Sip(own)),
            to: NameAddr::new(other),
            call_id,
            tag: tag.into(),
            random,
        })
    }

    fn notifier(&self, tag: String, random: u32) -> Option<NotifierTerms> {
        // Who is blocked is served too, and is not to know.
        match self.footing() {
            Ok(_) | Err(Unfounded::Blocked) => self.parting(tag, random),
            Err(Unfounded::Forbidden) => None,
        }
    }

    fn document(&self, presence: &Presence) -> Option<Entity> {
        // To who is blocked it looks as to anybody of his kind.
        let kind = match self.footing() {
            Ok(footing) => footing.peer.profile.kind(),
            Err(_) => self.border?.kind_of(&self.pair.sip)?,
        };
        let body = pidf::write(presence, &self.pair.xmpp, kind).ok()?;
        let content = Content {
            kind: MediaType::plain("application", "pidf+xml"),
            // It is kept for as long as the subscription: without the room that writing it took.
            body: body.into_boxed_slice().into(),
        };
        Some(content.into())
    }
}

impl Manners {
    pub(super) fn new(limits: &PresenceLimits) -> Self {
        let timers = Timers::default();
        let watching = |kind| SubscriberManner {
            event: Event::presence(),
            accept: read_of(kind),
            expires: limits.expires,
            timers,
        };
        Self {
            serving: Arc::new(NotifierManner {
                usual: limits.expires,
                least: limits.least,
                most: limits.most,
                pause: limits.pause,
                timers,
            }),
            simple: Arc::new(watching(PeerKind::Simple)),
            microsoft: Arc::new(watching(PeerKind::Microsoft)),
        }
    }
}

/// The documents that a kind of peer is told that we read.
fn read_of(kind: PeerKind) -> Box<[MediaType]> {
    let read = document::TYPES.iter().filter(|_| kind == PeerKind::Microsoft);
    let simple = document::TYPES
        .iter()
        .filter(|(_, subtype)| kind != PeerKind::Microsoft && subtype.ends_with("pidf+xml"));
    read.chain(simple)
        .filter_map(|(name, subtype)| MediaType::parse(&format!("{name}/{subtype}")).ok())
        .collect()
}
