//! A request of ours on a flow: its Via, its transaction, and who hears what became of it.

use std::sync::Arc;
use std::time::Instant;

use super::{Opened, Task};
use crate::gateway::Trouble;
use crate::net::sip_link::{Errand, Invited};
use crate::net::sip_relay::Reply;
use crate::net::world;
use crate::sip::transaction::{Failure, TransactionId};
use crate::sip::{Message, Method, Request, Response, StatusCode};

impl Task {
    /// Sends a request of ours.
    pub(super) async fn start(&mut self, now: Instant, mut errand: Box<Errand>) {
        let (unique, border) = (hex(&world::random::<16>()), self.flow.world.border());
        let edge = border.edge().as_str();
        let via = match self.flow.carrier.via(&self.flow.transport, edge, &unique) {
            Ok(via) => via,
            Err(flaw) => return self.not_sent(errand, &flaw).await,
        };
        errand.request.headers_mut().replace_vias(via);
        if *errand.request.method() == Method::Ack {
            // The flow that cannot take it is about to end.
            let _broken = self.send(&Message::Request(*errand.request));
            return;
        }
        let Ok(room) = errand.reply.room(&self.sender, &errand.request) else {
            return self.not_sent(errand, &"too much waits for this flow").await;
        };
        match self.transactions.request(now, self.flow(), &errand.request) {
            Ok(transaction) => {
                if errand.reply.sent(room, transaction) {
                    errand.invite = Invited::Recalled;
                }
                self.errands.insert(transaction, errand);
            }
            Err(error) => self.not_sent(errand, &error).await,
        }
    }

    async fn not_sent(&self, errand: Box<Errand>, error: &(dyn std::fmt::Display + Sync)) {
        tracing::warn!(flow = %self.flow.id, %error, "a SIP request of ours cannot be sent");
        self.give_back(errand, Trouble::Overload).await;
    }

    /// A response to a request of ours. A final one that did not take it goes back to the link, which knows other
    /// servers.
    pub(super) async fn response(&mut self, transaction: TransactionId, response: Box<Response>) {
        let world = Arc::clone(&self.flow.world);
        let Some(mut errand) = self.errands.remove(&transaction) else {
            return;
        };
        if !response.status().is_final() {
            let recalled = std::mem::replace(&mut errand.invite, Invited::Proceeding) == Invited::Recalled;
            if recalled {
                self.cancel_ours(&errand.request);
            }
            errand.reply.response(&world, &errand.request, response).await;
            self.errands.insert(transaction, errand);
            return;
        }
        let unavailable = response.status() == StatusCode::SERVICE_UNAVAILABLE;
        let (mut errand, response) = match &self.flow.opened {
            Opened::ByUs(keeper) if unavailable => match keeper.unavailable(errand, response) {
                Ok(()) => return,
                Err(untaken) => untaken,
            },
            Opened::ByUs(_) | Opened::ByPeer => (errand, response),
        };
        let more = response.status().is_success() && *errand.request.method() == Method::Invite;
        errand.reply.response(&world, &errand.request, response).await;
        if more {
            // Each 2xx to an INVITE is its sender's, until the transaction is over (RFC 6026 §8.4).
            self.errands.insert(transaction, errand);
        }
    }

    /// Calls an INVITE of ours back.
    //
    //= rfc3261#9.1
    //# If no provisional response has been received, the CANCEL request MUST NOT be sent; rather, the client MUST wait for
    //# the arrival of a provisional response before sending the request.
    pub(super) fn recall(&mut self, transaction: TransactionId) {
        let Some(errand) = self.errands.get_mut(&transaction) else {
            return;
        };
        match errand.invite {
            Invited::Silent => errand.invite = Invited::Recalled,
            Invited::Proceeding => {
                let request = errand.request.clone();
                self.cancel_ours(&request);
            }
            Invited::Recalled => {}
        }
    }

    fn cancel_ours(&mut self, invite: &Request) {
        let cancel = invite.cancel();
        // Its own answer says nothing that the INVITE's does not.
        if let Err(error) = self.transactions.request(world::now(), self.flow(), &cancel) {
            tracing::debug!(flow = %self.flow.id, %error, "a CANCEL cannot be sent");
        }
    }

    /// A request of ours got no answer.
    pub(super) async fn failed(&mut self, transaction: TransactionId, failure: Failure) {
        let Some(errand) = self.errands.remove(&transaction) else {
            return;
        };
        let errand = match (failure, &self.flow.opened, &errand.reply) {
            // What a proxy has heard nothing of may go to another server; what is ours is told as lost, as nobody knows
            // whether it arrived.
            (Failure::Transport, Opened::ByUs(keeper), Reply::Sender(_))
                if errand.invite != Invited::Proceeding =>
            {
                match keeper.broken(errand).await {
                    Ok(()) => return,
                    Err(errand) => errand,
                }
            }
            _ => errand,
        };
        //= rfc3261#16.8
        //# If the client transaction has received a provisional response, the proxy MUST generate a CANCEL request
        //# matching that transaction.
        if failure == Failure::Timeout && errand.invite == Invited::Proceeding {
            self.cancel_ours(&errand.request);
        }
        let is_ours = matches!(errand.reply, Reply::Shard(..))
            && *errand.request.method() == Method::Message
            && errand.request.headers().to().tag().is_none();
        let trouble = match (failure, &self.flow.opened) {
            (Failure::Timeout, Opened::ByUs(keeper)) => {
                match &errand.reply {
                    Reply::Shard(..) if is_ours => keeper.silent(),
                    // Its user may be the silent one: nobody sets a server aside by asking for him.
                    Reply::Shard(..) | Reply::Sender(_) => keeper.doubtful(),
                    Reply::Asker(_) | Reply::Nobody => {}
                }
                Trouble::Timeout
            }
            (Failure::Timeout, Opened::ByPeer) => Trouble::Timeout,
            (Failure::Transport, _) => Trouble::Broken,
        };
        self.give_back(errand, trouble).await;
    }

    async fn give_back(&self, mut errand: Box<Errand>, trouble: Trouble) {
        errand
            .reply
            .trouble(&self.flow.world, &errand.request, trouble)
            .await;
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
