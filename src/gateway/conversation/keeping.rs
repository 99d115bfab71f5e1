//! What keeps a session and what ends it: ACK, UPDATE or re-INVITE, and BYE.

use std::time::Instant;

use super::caller::{ALLOW, SUPPORTED};
use super::{Acknowledged, Conversation, Pair, Purpose};
use crate::gateway::delivery::Trace;
use crate::gateway::pending::Token;
use crate::gateway::{Gateway, after};
use crate::interwork::invitation;
use crate::mime::MediaType;
use crate::sip::dialog::{Damage, Dialog, DialogId};
use crate::sip::session_timer::Failed;
use crate::sip::transaction::Timers;
use crate::sip::{Flaw, Method, Request, Response, StatusCode};

impl<O> Gateway<O> {
    /// Acknowledges the 2xx to an INVITE of that name and number.
    pub(super) fn acknowledge(
        &mut self,
        now: Instant,
        pair: &Pair,
        (invite, sequence): (Token, u32),
        dialog: &Dialog,
    ) {
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let Ok(via) = self.names.via(&conversation.peer.face) else {
            return;
        };
        let ack = Box::new(dialog.acknowledgement(sequence, via));
        conversation.remember(Acknowledged {
            token: invite,
            dialog: dialog.id(),
            ack: ack.clone(),
            until: after(now, Timers::default().give_up()),
        });
        let (token, until) = (self.fresh(), after(now, self.limits.deliver));
        self.send_request(pair, *ack, token, until, Trace::default());
    }

    /// A 2xx came again, whatever has become of its dialog.
    //
    //= rfc3261#13.2.2.4
    //# The ACK MUST be passed to the client transport every time a retransmission of the 2xx final response that
    //# triggered the ACK arrives.
    pub(super) fn acknowledge_again(&mut self, now: Instant, pair: &Pair, invite: Token, id: &DialogId) {
        let ack = self
            .conversations
            .by_pair
            .get(pair)
            .and_then(|conversation| {
                conversation
                    .acknowledged
                    .iter()
                    .find(|known| known.token == invite && known.dialog == *id)
            })
            .map(|known| Request::clone(&known.ack));
        if let Some(ack) = ack {
            let (token, until) = (self.fresh(), after(now, self.limits.deliver));
            self.send_request(pair, ack, token, until, Trace::default());
        }
    }

    /// Forgets ACKs that nobody can want any more.
    pub(super) fn forget_acknowledged(&mut self, now: Instant, pair: &Pair) {
        let conversations = &mut self.conversations;
        let Some(conversation) = conversations.by_pair.get_mut(pair) else {
            return;
        };
        let requests = &mut conversations.requests;
        conversation.acknowledged.retain(|known| {
            let is_over = known.until <= now;
            if is_over && matches!(requests.get(&known.token), Some((_, Purpose::Offer(_)))) {
                requests.remove(&known.token);
            }
            !is_over
        });
    }

    /// Ends a dialog by BYE.
    pub(super) fn end_dialog(&mut self, now: Instant, pair: &Pair, mut dialog: Dialog) {
        let Some(conversation) = self.conversations.by_pair.get(pair) else {
            return;
        };
        let Ok(via) = self.names.via(&conversation.peer.face) else {
            return;
        };
        let id = dialog.id();
        if let Ok(bye) = dialog.request(Method::Bye, via) {
            let (token, until) = (self.fresh(), after(now, self.limits.deliver));
            self.conversations
                .requests
                .insert(token, (pair.clone(), Purpose::Other(id)));
            self.send_request(pair, bye, token, until, Trace::default());
        }
    }

    /// Keeps a session alive, where that is ours to do.
    pub(super) fn refresh(&mut self, now: Instant, pair: &Pair, id: &DialogId) {
        let (token, until) = (self.fresh(), after(now, self.limits.deliver));
        if let Ok(Some((request, purpose))) = self.refreshing(pair, id, (token, until)) {
            self.conversations.requests.insert(token, (pair.clone(), purpose));
            self.send_request(pair, request, token, until, Trace::default());
        }
    }

    fn refreshing(
        &mut self,
        pair: &Pair,
        id: &DialogId,
        (token, until): (Token, Instant),
    ) -> Result<Option<(Request, Purpose)>, Flaw> {
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return Ok(None);
        };
        if conversation.acknowledged.len() >= ACKNOWLEDGED {
            return Ok(None);
        }
        let peer = std::sync::Arc::clone(&conversation.peer);
        let (via, ack_via) = (self.names.via(&peer.face)?, self.names.via(&peer.face)?);
        let Some(session) = conversation.session(id).filter(|session| session.offer.is_none()) else {
            return Ok(None);
        };
        let method = session.takes.refresh(&peer);
        let Ok(mut request) = session.dialog.request(method.clone(), via) else {
            return Ok(None);
        };
        if method == Method::Invite {
            // The description is the one that there is: nothing is offered that was not agreed on.
            let offer = invitation::offer(peer.face.host(), session.takes.media());
            request = request
                .with_body(MediaType::plain("application", "sdp"), offer)
                .with_header("Allow", ALLOW)?
                .with_header("Supported", SUPPORTED)?;
        }
        session.timer.ask(&mut request)?;
        if method == Method::Update {
            return Ok(Some((request, Purpose::Refresh(id.clone()))));
        }
        session.offer = Some(token);
        // Should the session end before the answer, that is acknowledged all the same.
        let ack = session
            .dialog
            .acknowledgement(request.headers().cseq().number(), ack_via);
        conversation.remember(Acknowledged {
            token,
            dialog: id.clone(),
            ack: Box::new(ack),
            until: after(until, Timers::default().give_up()),
        });
        Ok(Some((request, Purpose::Offer(id.clone()))))
    }

    /// A re-INVITE of ours is answered, perhaps not for the first time.
    pub(super) fn offer_answered(
        &mut self,
        now: Instant,
        pair: &Pair,
        id: &DialogId,
        (token, response): (Token, &Response),
    ) {
        let dialog = self
            .conversations
            .by_pair
            .get_mut(pair)
            .and_then(|conversation| conversation.session(id))
            .filter(|session| session.offer == Some(token))
            .map(|session| session.dialog.clone());
        if !response.status().is_success() {
            self.offer_over(pair, token);
            return self.refresh_answered(now, pair, id, Some(response));
        }
        let Some(mut dialog) = dialog else {
            return self.acknowledge_again(now, pair, token, id);
        };
        // Its 2xx may say another target, which the ACK goes to.
        let _transaction = dialog.receive_response(response);
        let sequence = response.headers().cseq().number();
        self.acknowledge(now, pair, (token, sequence), &dialog);
        self.refresh_answered(now, pair, id, Some(response));
    }

    /// A re-INVITE of ours has failed: there is nothing to acknowledge.
    pub(super) fn offer_over(&mut self, pair: &Pair, token: Token) {
        self.conversations.requests.remove(&token);
        if let Some(conversation) = self.conversations.by_pair.get_mut(pair) {
            conversation.acknowledged.retain(|known| known.token != token);
        }
    }

    pub(super) fn refresh_answered(
        &mut self,
        now: Instant,
        pair: &Pair,
        id: &DialogId,
        response: Option<&Response>,
    ) {
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let Some(session) = conversation.session(id) else {
            return;
        };
        session.offer = None;
        let is_lost = match response {
            Some(response) if response.status().is_success() => {
                session.timer.accepted(now, response);
                session.takes = session.takes.hear(response.headers(), response.body());
                session.dialog.receive_response(response) != Damage::Transaction
            }
            Some(response) if refuses_update(response) => {
                session.takes.refused_update();
                return self.refresh(now, pair, id);
            }
            Some(response) => {
                let failed = session.timer.refused(now, Some(response));
                if failed == Failed::Again {
                    return self.refresh(now, pair, id);
                }
                session.dialog.receive_response(response) != Damage::Transaction || failed == Failed::Over
            }
            None => session.timer.refused(now, None) == Failed::Over,
        };
        if is_lost && let Some(session) = conversation.take_session(id) {
            self.end_dialog(now, pair, session.dialog);
            self.advance(now, pair);
        }
    }
}

impl Conversation {
    /// Keeps an ACK for when it is wanted again.
    fn remember(&mut self, acknowledged: Acknowledged) {
        self.acknowledged
            .retain(|known| known.token != acknowledged.token || known.dialog != acknowledged.dialog);
        if self.acknowledged.len() < ACKNOWLEDGED {
            self.acknowledged.push(acknowledged);
        }
    }
}

/// Whether it refuses an UPDATE for its method: a re-INVITE says the same.
fn refuses_update(response: &Response) -> bool {
    *response.headers().cseq().method() == Method::Update
        && matches!(
            response.status(),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        )
}

/// ACKs that are remembered for one pair.
const ACKNOWLEDGED: usize = 32;
