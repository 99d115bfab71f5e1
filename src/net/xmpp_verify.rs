//! Asking the authoritative server of a domain about a dialback key (XEP-0220 §2.3).
//!
//! For a domain of ours the authoritative servers are its configured nodes; for a foreign one they are found by DNS.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::attempts::Attempts;
use super::queue;
use super::world::World;
use super::xmpp_dial::establish;
use super::xmpp_places::network;
use crate::domain::Domain;
use crate::gateway::Trouble;
use crate::limits::XmppLimits;
use crate::policy::Party;
use crate::route::{Protocol, Side};
use crate::xmpp::error::Condition;
use crate::xmpp::stream::{DialbackAnswer, Event, Purpose, Verdict};

/// The questions that are under way, by the address that brought the keys.
#[derive(Debug, Clone, Default)]
pub struct Verifications(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The place of one question, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    verifications: Verifications,
    asker: IpAddr,
}

/// The answers for one stream, whose queue is made with the first question: most streams never ask any.
#[derive(Debug, Default)]
pub struct Verdicts(Option<(queue::Sender<Verdict>, queue::Receiver<Verdict>)>);

impl Verdicts {
    /// Where an answer goes.
    pub fn sender(&mut self, world: &World) -> queue::Sender<Verdict> {
        let most = world.limits().xmpp.pending_dialback;
        let (sender, _) = self
            .0
            .get_or_insert_with(|| queue::bounded("verdicts", most, &world.metrics));
        sender.clone()
    }

    /// The next answer; waits for ever where nothing was asked.
    pub async fn next(&mut self) -> Verdict {
        // The queue is never closed: its other end is here.
        if let Some((_, receiver)) = &mut self.0
            && let Some(verdict) = receiver.recv().await
        {
            return verdict;
        }
        std::future::pending().await
    }
}

impl Verifications {
    /// Takes a place; `None` where this address, or everybody together, has all there are.
    #[must_use]
    pub fn enter(&self, asker: IpAddr, limits: &XmppLimits) -> Option<Place> {
        let asker = network(asker);
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = places
            .values()
            .fold(0_usize, |sum, count| sum.saturating_add(*count));
        let own = places.get(&asker).copied().unwrap_or_default();
        if own >= limits.pending_dialback || all >= limits.pending_verifications {
            return None;
        }
        places.insert(asker, own.saturating_add(1));
        Some(Place {
            verifications: self.clone(),
            asker,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self
            .verifications
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = places.get_mut(&self.asker) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                places.remove(&self.asker);
            }
        }
    }
}

/// Asks whether `key`, which came from `from` for `to` on the stream that we named `stream_id`, is right.
pub async fn ask(
    world: &Arc<World>,
    (side, asker): (Side, IpAddr),
    from: &Domain,
    to: &Domain,
    stream_id: String,
    key: String,
) -> DialbackAnswer {
    let Some(_place) = world.verifications.enter(asker, &world.limits().xmpp) else {
        return DialbackAnswer::Failed(Condition::ResourceConstraint);
    };
    let within = world.limits().xmpp.establish;
    let asked = tokio::time::timeout(within, servers(world, side, from, to, &stream_id, &key)).await;
    match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(trouble)) => {
            tracing::info!(peer = %from, %side, class = trouble.class(), "a dialback key cannot be verified");
            DialbackAnswer::Failed(match trouble {
                Trouble::NotFound => Condition::RemoteServerNotFound,
                Trouble::Untrusted | Trouble::Refused => Condition::PolicyViolation,
                Trouble::Unresolved
                | Trouble::Unreachable
                | Trouble::Timeout
                | Trouble::Overload
                | Trouble::TooLarge
                | Trouble::Broken
                | Trouble::Stopping => Condition::RemoteServerTimeout,
            })
        }
        Err(_late) => DialbackAnswer::Failed(Condition::RemoteServerTimeout),
    }
}

async fn servers(
    world: &Arc<World>,
    side: Side,
    from: &Domain,
    to: &Domain,
    stream_id: &str,
    key: &str,
) -> Result<DialbackAnswer, Trouble> {
    let route = world
        .border()
        .table()
        .lookup(&Party::new(None, from.clone()), Protocol::Xmpp)
        .map_err(|_| Trouble::NotFound)?;
    let plan = route
        .plans()
        .iter()
        .find(|plan| plan.protocol() == Protocol::Xmpp)
        .ok_or(Trouble::NotFound)?;
    let mut attempts = Attempts::new(world, plan).await?;
    // A node of several may not know the keys of another; a foreign domain's servers speak with one voice.
    let mut denied = None;
    while let Some(target) = attempts.next_target() {
        // A domain is asked about only on the side that it is claimed on.
        if target.side != side {
            return Err(Trouble::NotFound);
        }
        let purpose = Purpose::Verify {
            local: to.clone(),
            remote: from.clone(),
            stream_id: stream_id.to_owned(),
            key: key.to_owned(),
        };
        let trouble = match establish(world, &target, &purpose).await {
            Ok((mut driver, Event::Verified(answer))) => {
                world.supervisor.spawn("farewell", async move {
                    while let Some(_turn) = driver.next().await {}
                });
                if (answer, side) == (DialbackAnswer::Invalid, Side::Inside) {
                    denied = Some(answer);
                    continue;
                }
                attempts.succeeded();
                return Ok(answer);
            }
            Ok(_) => Trouble::Broken,
            Err(failed) => failed,
        };
        attempts.failed(trouble);
    }
    denied.ok_or_else(|| attempts.trouble())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn one_address_cannot_take_all_places_and_everybody_together_is_bounded() {
        let limits = Limits::default().xmpp;
        let verifications = Verifications::default();
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        let mut held: Vec<_> = (0..limits.pending_dialback)
            .map(|_| verifications.enter(address("192.0.2.1"), &limits).unwrap())
            .collect();
        assert!(verifications.enter(address("192.0.2.1"), &limits).is_none());
        assert!(
            verifications
                .enter(address("::ffff:192.0.2.1"), &limits)
                .is_none()
        );
        assert!(verifications.enter(address("192.0.2.2"), &limits).is_some());
        held.pop();
        assert!(
            verifications.enter(address("192.0.2.1"), &limits).is_some(),
            "a place is given back"
        );
        for number in 0..limits.pending_dialback {
            let of_network = address(&format!("2001:db8::{number:x}"));
            held.push(verifications.enter(of_network, &limits).unwrap());
        }
        assert!(
            verifications
                .enter(address("2001:db8::ffff:1"), &limits)
                .is_none(),
            "one /64"
        );
        assert!(verifications.enter(address("2001:db8:0:1::1"), &limits).is_some());
        let all: Vec<_> = (0..limits.pending_verifications)
            .map_while(|number| {
                let other = format!("2001:db8:{:x}::1", number.saturating_add(1));
                verifications.enter(address(&other), &limits)
            })
            .collect();
        assert_eq!(held.len() + all.len(), limits.pending_verifications);
        drop((held, all));
        assert!(verifications.0.lock().unwrap().is_empty());
    }
}
