//! Asking the authoritative server of a domain about a dialback key (XEP-0220 §2.3).
//!
//! For a domain of ours the authoritative servers are its configured nodes; for a foreign one they are found by DNS.

use std::sync::Arc;

use super::discover;
use super::world::World;
use super::xmpp_dial::{dial, initiating};
use super::xmpp_driver::Turn;
use crate::domain::Domain;
use crate::gateway::Trouble;
use crate::policy::Party;
use crate::route::{Protocol, Side};
use crate::xmpp::error::Condition;
use crate::xmpp::stream::{DialbackAnswer, Event, Purpose};

/// Asks whether `key`, which came from `from` for `to` on the stream that we named `stream_id`, is right.
pub async fn ask(
    world: &Arc<World>,
    side: Side,
    from: &Domain,
    to: &Domain,
    stream_id: String,
    key: String,
) -> DialbackAnswer {
    let Ok(_place) = world.verifications.try_acquire() else {
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
                Trouble::Unreachable
                | Trouble::Timeout
                | Trouble::Overload
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
    let mut trouble = Trouble::NotFound;
    for target in discover::targets(world, plan).await? {
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
        let dialed = dial(world, &target, |start, secure| {
            initiating(world, start, purpose, secure)
        })
        .await;
        let mut driver = match dialed {
            Ok(driver) => driver,
            Err(failed) => {
                trouble = failed;
                continue;
            }
        };
        trouble = Trouble::Broken;
        while let Some(turn) = driver.next().await {
            let Turn::Event(event) = turn else { continue };
            driver.log(&event);
            match event {
                Event::Verified(answer) => return Ok(answer),
                Event::Refused(_) => trouble = Trouble::Untrusted,
                Event::Authenticated { .. }
                | Event::Stanza(_)
                | Event::Answer(_)
                | Event::PairRefused { .. }
                | Event::Ending
                | Event::Closed(_) => {}
            }
        }
    }
    Err(trouble)
}
