//! The subscriptions as an administrator is shown them.

use std::time::Instant;

use super::keeping::{ends, word};
use super::listed::{Listed, Page, Watcher};
use super::record::Ends;
use super::serve::Serve;
use super::watch::{Stage, Watch};
use crate::gateway::Gateway;
use crate::gateway::conversation::Pair;
use crate::interwork::presence::Presence;
use crate::xmpp::Jid;

impl<O> Gateway<O> {
    /// The subscriptions that stand between users of SIP and of XMPP, of at most `most` pairs of users, in their order, from the
    /// first after `after` on.
    #[must_use]
    pub fn subscriptions(&self, now: Instant, after: Option<&Ends>, most: usize) -> Page {
        let after = after.and_then(pair_of_ends);
        let mut page = Page::default();
        let mut relations = self.presence.table.after(after.as_ref());
        for (pair, relation) in relations.by_ref().take(most) {
            let ends = ends(pair);
            let watch = relation.watch.as_deref().map(|watch| watched(&ends, watch, now));
            let serve = relation.serve.as_deref().map(|serve| served(&ends, serve, now));
            page.listed.extend(watch.into_iter().chain(serve));
            page.next = Some(ends);
        }
        if relations.next().is_none() {
            page.next = None;
        }
        page
    }
}

fn watched(ends: &Ends, watch: &Watch, now: Instant) -> Listed {
    let state = match watch.stage() {
        Stage::Neutral => "asked",
        Stage::Pending => "pending",
        Stage::Active => "active",
        Stage::Retrying => "retrying",
        Stage::Dormant => "dormant",
        Stage::Leaving | Stage::Over => "leaving",
        Stage::Forbidden => "forbidden",
    };
    let dialog = watch.subscriber().and_then(|subscriber| subscriber.dialog());
    let why = if watch.is_adhoc() && watch.why().is_empty() {
        "the user of XMPP looks without having asked for consent"
    } else {
        watch.why()
    };
    Listed {
        ends: ends.clone(),
        watcher: Watcher::Xmpp,
        state,
        dialogs: usize::from(dialog.is_some()),
        next: watch.next().map(|at| at.saturating_duration_since(now)),
        seen: watch.seen().map(said),
        told: watch.shown().map(said),
        why: why.to_owned(),
    }
}

fn served(ends: &Ends, serve: &Serve, now: Instant) -> Listed {
    Listed {
        ends: ends.clone(),
        watcher: Watcher::Sip,
        state: serve.state(),
        dialogs: serve.notifiers().count(),
        next: serve.next().map(|at| at.saturating_duration_since(now)),
        seen: serve.heard().map(|_| said(serve.known())),
        told: None,
        why: serve.why().to_owned(),
    }
}

fn said(presence: &Presence) -> String {
    word(presence.aggregate().state()).to_owned()
}

/// The pair that ends name.
pub(super) fn pair_of_ends(ends: &Ends) -> Option<Pair> {
    let (xmpp, sip) = (Jid::parse(&ends.xmpp).ok()?, Jid::parse(&ends.sip).ok()?);
    Some(Pair::new(&xmpp, &sip))
}
