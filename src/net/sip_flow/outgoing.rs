//! A request of ours on a flow: its Via, its transaction, and who hears what became of it.

use std::time::Instant;

use super::{Opened, Task};
use crate::gateway::{Input, Token, Trouble};
use crate::net::sip_link::Errand;
use crate::net::world;
use crate::sip::transaction::{Failure, TransactionId};
use crate::sip::{Host, Response, StatusCode, Via};

impl Task {
    /// Sends a request of ours.
    pub(super) async fn start(&mut self, now: Instant, mut errand: Box<Errand>) {
        let branch = format!("z9hG4bK{}", hex(&world::random::<16>()));
        let border = self.flow.world.border();
        let via = Host::parse(border.edge().as_str())
            .and_then(|host| Via::new(self.flow.transport.clone(), host, None, &branch));
        let started = match via {
            Ok(via) => {
                errand.request.headers_mut().replace_vias(via.with_rport());
                self.transactions
                    .request(now, self.flow(), &errand.request)
                    .map_err(|error| error.to_string())
            }
            Err(flaw) => Err(flaw.to_string()),
        };
        match started {
            Ok(transaction) => {
                self.errands.insert(transaction, errand);
            }
            Err(error) => {
                tracing::warn!(flow = %self.flow.id, error, "a SIP request of ours cannot be sent");
                self.give_back(errand.token, Trouble::Overload).await;
            }
        }
    }

    /// A request of ours got its answer. One that was not taken goes back to the link, which knows other servers.
    pub(super) async fn responded(&self, errand: Box<Errand>, response: Box<Response>) {
        let unavailable = response.status() == StatusCode::SERVICE_UNAVAILABLE;
        let (token, response) = match &self.flow.opened {
            Opened::ByUs(keeper) if unavailable => match keeper.unavailable(errand, response) {
                Ok(()) => return,
                Err(untaken) => untaken,
            },
            Opened::ByUs(_) | Opened::ByPeer => (errand.token, response),
        };
        let world = &self.flow.world;
        world.tell(token, Input::Response { token, response }).await;
    }

    /// A request of ours got no answer.
    pub(super) async fn failed(&mut self, transaction: TransactionId, failure: Failure) {
        let Some(errand) = self.errands.remove(&transaction) else {
            return;
        };
        let trouble = match (failure, &self.flow.opened) {
            (Failure::Timeout, Opened::ByUs(keeper)) => {
                keeper.silent();
                Trouble::Timeout
            }
            (Failure::Timeout, Opened::ByPeer) => Trouble::Timeout,
            (Failure::Transport, _) => Trouble::Broken,
        };
        self.give_back(errand.token, trouble).await;
    }

    async fn give_back(&self, token: Token, trouble: Trouble) {
        let world = &self.flow.world;
        world.tell(token, Input::Returned { token, trouble }).await;
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
