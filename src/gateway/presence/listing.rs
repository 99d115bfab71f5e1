//! The subscriptions as an administrator is shown them.

use std::time::Instant;

use super::keeping::{ends, word};
use super::listed::{Listed, Page, Watcher};
use super::record::Ends;
use super::serve::Serve;
use super::table::Relation;
use super::tally::States;
use super::watch::{Stage, Watch};
use crate::gateway::Gateway;
use crate::gateway::conversation::Pair;
use crate::interwork::presence::{Presence, State};
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
            let watch = live_watch(relation).map(|watch| watched(&ends, watch, now));
            let serve = live_serve(relation).map(|serve| served(&ends, serve, now));
            page.listed.extend(watch.into_iter().chain(serve));
            page.next = Some(ends);
        }
        if relations.next().is_none() {
            page.next = None;
        }
        page
    }
}

/// The states of both halves of a relation; none for one that is not there any more.
pub(super) fn states(relation: &Relation) -> States {
    [
        live_watch(relation).map(stage),
        live_serve(relation).map(Serve::state),
    ]
}

fn live_watch(relation: &Relation) -> Option<&Watch> {
    let watch = relation.watch.as_deref();
    watch.filter(|watch| watch.stage() != Stage::Over)
}

fn live_serve(relation: &Relation) -> Option<&Serve> {
    relation.serve.as_deref().filter(|serve| !serve.is_over())
}

fn stage(watch: &Watch) -> &'static str {
    match watch.stage() {
        Stage::Neutral => "asked",
        Stage::Pending => "pending",
        Stage::Active => "active",
        Stage::Retrying => "retrying",
        Stage::Dormant => "dormant",
        Stage::Leaving | Stage::Over => "leaving",
        Stage::Forbidden => "forbidden",
    }
}

fn watched(ends: &Ends, watch: &Watch, now: Instant) -> Listed {
    let state = stage(watch);
    let dialog = watch.subscriber().and_then(|subscriber| subscriber.dialog());
    let usual = match state {
        _ if watch.is_adhoc() => "the user of XMPP looks without having asked for consent",
        "asked" => "the SIP side has not said anything yet",
        "active" => "the user of SIP lets him see",
        "dormant" => "the user of XMPP is not there",
        "leaving" => "the user of XMPP does not want to see any more; the SIP side has not ended it yet",
        _ => "",
    };
    Listed {
        ends: ends.clone(),
        watcher: Watcher::Xmpp,
        state,
        dialogs: usize::from(dialog.is_some()),
        next: watch.next().map(|at| at.saturating_duration_since(now)),
        seen: watch.seen().map(said),
        told: watch.shown().map(said),
        why: Some(watch.why())
            .filter(|why| !why.is_empty())
            .unwrap_or(usual)
            .to_owned(),
    }
}

fn served(ends: &Ends, serve: &Serve, now: Instant) -> Listed {
    let state = serve.state();
    let usual = match state {
        "active" => "the user of XMPP lets him see",
        "pending" => "the user of XMPP has not decided",
        "dormant" => "the user of SIP does not look at present",
        "polling" => "the user of SIP asks once",
        _ => "",
    };
    let seen = serve.heard().map(|_| said(serve.known()));
    let told = match state {
        "active" if !serve.is_dirty() => seen.clone(),
        "blocked" => Some(word(State::Offline).to_owned()),
        _ => None,
    };
    Listed {
        ends: ends.clone(),
        watcher: Watcher::Sip,
        state,
        dialogs: serve.notifiers().count(),
        next: serve.next().map(|at| at.saturating_duration_since(now)),
        seen,
        told,
        why: Some(serve.why())
            .filter(|why| !why.is_empty())
            .unwrap_or(usual)
            .to_owned(),
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
