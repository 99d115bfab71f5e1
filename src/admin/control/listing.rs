//! `/v1/subscriptions`: who sees whose presence, gathered from the shards page by page.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::parameters::Parameters;
use super::subject::Subject;
use crate::gateway::presence::{Ends, Listed, Watcher};
use crate::limits;
use crate::net::shard;
use crate::net::world::World;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    of: Option<Subject>,
    state: Option<String>,
    most: usize,
}

/// The answer.
#[derive(Debug, Default, Serialize)]
pub(super) struct Listing {
    /// By their users.
    subscriptions: Vec<Shown>,
    /// How many there are of whom it is asked, by state.
    states: BTreeMap<&'static str, usize>,
    /// How many there are of the state that is asked for.
    matching: usize,
    /// How many of those are not shown.
    left_out: usize,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Shown {
    xmpp: String,
    sip: String,
    watcher: &'static str,
    state: &'static str,
    dialogs: usize,
    next_seconds: Option<u64>,
    seen: Option<String>,
    told: Option<String>,
    why: String,
}

impl Wanted {
    pub(super) fn read(query: &str) -> Result<Self, String> {
        let [of, state, most] =
            Parameters::read(query, ["of", "state", "most"]).map_err(|why| why.to_string())?;
        let of = of
            .map(|of| Subject::read(&of))
            .transpose()
            .map_err(|why| format!("of: {why}"))?;
        let most = match most {
            None => limits::CONTROL_ENTRIES,
            Some(most) => most
                .parse()
                .ok()
                .filter(|most| *most <= limits::CONTROL_ENTRIES)
                .ok_or_else(|| format!("most: a number up to {} is needed", limits::CONTROL_ENTRIES))?,
        };
        Ok(Self { of, state, most })
    }
}

/// Asks every shard; `None` where one is gone, as the process ends.
pub(super) async fn of(world: &World, wanted: &Wanted) -> Option<Listing> {
    let mut listing = Listing::default();
    for shard in &world.questions {
        let mut after: Option<Ends> = None;
        loop {
            let page = shard::ask(shard, after.clone(), PAGE).await?;
            for listed in page.listed {
                listing.take(listed, wanted);
            }
            // A shard that gives the same page again would be asked for ever.
            match page.next {
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                Some(_) | None => break,
            }
        }
    }
    listing.cut(wanted.most);
    Some(listing)
}

impl Listing {
    fn take(&mut self, listed: Listed, wanted: &Wanted) {
        if wanted.of.as_ref().is_some_and(|of| !of.is_of(&listed.ends)) {
            return;
        }
        let count = self.states.entry(listed.state).or_default();
        *count = count.saturating_add(1);
        if wanted.state.as_ref().is_some_and(|state| state != listed.state) {
            return;
        }
        self.matching = self.matching.saturating_add(1);
        self.subscriptions.push(Shown::from(listed));
        // No more is ever held than twice what is shown.
        if self.subscriptions.len() > wanted.most.saturating_mul(2).max(PAGE) {
            self.cut(wanted.most);
        }
    }

    fn cut(&mut self, most: usize) {
        self.subscriptions.sort_unstable();
        self.subscriptions.truncate(most);
        self.left_out = self.matching.saturating_sub(self.subscriptions.len());
    }
}

impl From<Listed> for Shown {
    fn from(listed: Listed) -> Self {
        Self {
            xmpp: listed.ends.xmpp,
            sip: listed.ends.sip,
            watcher: match listed.watcher {
                Watcher::Xmpp => "xmpp",
                Watcher::Sip => "sip",
            },
            state: listed.state,
            dialogs: listed.dialogs,
            next_seconds: listed.next.as_ref().map(Duration::as_secs),
            seen: listed.seen,
            told: listed.told,
            why: listed.why,
        }
    }
}

/// Pairs of users that a shard lists in one turn: some tenths of a millisecond.
const PAGE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(number: usize, state: &'static str) -> Listed {
        Listed {
            ends: Ends {
                xmpp: format!("user{number:05}@example.net"),
                sip: "juliet@example.com".to_owned(),
            },
            watcher: Watcher::Xmpp,
            state,
            dialogs: 1,
            next: Some(Duration::from_millis(2_900)),
            seen: Some("available".to_owned()),
            told: None,
            why: String::new(),
        }
    }

    fn listing(query: &str, of: impl IntoIterator<Item = Listed>) -> Listing {
        let wanted = Wanted::read(query).unwrap();
        let mut listing = Listing::default();
        of.into_iter().for_each(|one| listing.take(one, &wanted));
        listing.cut(wanted.most);
        listing
    }

    #[test]
    fn the_first_in_their_order_are_shown_and_all_are_counted() {
        let many = (0..2_000)
            .rev()
            .map(|number| listed(number, if number % 4 == 0 { "pending" } else { "active" }));
        let listing = listing("state=active&most=3", many);
        let shown: Vec<_> = listing
            .subscriptions
            .iter()
            .map(|one| one.xmpp.as_str())
            .collect();
        assert_eq!(
            shown,
            [
                "user00001@example.net",
                "user00002@example.net",
                "user00003@example.net"
            ]
        );
        assert_eq!((listing.matching, listing.left_out), (1_500, 1_497));
        assert_eq!(
            listing.states,
            BTreeMap::from([("active", 1_500), ("pending", 500)])
        );
    }

    #[test]
    fn only_those_are_listed_that_are_asked_for() {
        let many = || (0..10).map(|number| listed(number, "active"));
        assert_eq!(listing("of=sip:user00003@example.net", many()).matching, 1);
        assert_eq!(listing("of=example.com", many()).matching, 10);
        assert_eq!(listing("of=example.org", many()).states.len(), 0);
        let none = listing("most=0", many());
        assert_eq!((none.subscriptions.len(), none.left_out), (0, 10));
    }

    #[test]
    fn a_question_that_makes_no_sense_is_answered_with_why() {
        for query in [
            "of=",
            "of=a%20b",
            "most=-1",
            "most=many",
            "most=10001",
            "state=a&state=b",
            "x=1",
        ] {
            assert!(Wanted::read(query).is_err(), "{query}");
        }
        assert!(
            Wanted::read("state=%1b[2J&most=10000").is_ok(),
            "no state is called so"
        );
    }

    #[test]
    fn an_entry_has_these_fields() {
        let shown = serde_json::to_string(&Shown::from(listed(7, "active"))).unwrap();
        assert_eq!(
            shown,
            r#"{"xmpp":"user00007@example.net","sip":"juliet@example.com","watcher":"xmpp","state":"active","dialogs":1,"next_seconds":2,"seen":"available","told":null,"why":""}"#
        );
    }
}
