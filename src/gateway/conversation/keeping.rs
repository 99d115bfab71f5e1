//! What keeps a session and what ends it: ACK, UPDATE and BYE.

use std::time::Instant;

use super::{Pair, Purpose};
use crate::gateway::delivery::Trace;
use crate::gateway::{Gateway, after};
use crate::sip::dialog::{Damage, Dialog, DialogId};
use crate::sip::session_timer::Failed;
use crate::sip::{Method, Response};

impl<O> Gateway<O> {
    pub(super) fn acknowledge(&mut self, now: Instant, pair: &Pair, dialog: &Dialog, sequence: u32) {
        let Some(conversation) = self.conversations.by_pair.get(pair) else {
            return;
        };
        let Ok(via) = self.names.via(&conversation.peer.face) else {
            return;
        };
        let ack = dialog.acknowledgement(sequence, via);
        let (token, until) = (self.fresh(), after(now, self.limits.deliver));
        self.send_request(pair, ack, token, until, Trace::default());
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
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let Ok(via) = self.names.via(&conversation.peer.face) else {
            return;
        };
        let Some(session) = conversation.session(id) else {
            return;
        };
        let Ok(mut update) = session.dialog.request(Method::Update, via) else {
            return;
        };
        if session.timer.ask(&mut update).is_err() {
            return;
        }
        let (token, until) = (self.fresh(), after(now, self.limits.deliver));
        self.conversations
            .requests
            .insert(token, (pair.clone(), Purpose::Refresh(id.clone())));
        self.send_request(pair, update, token, until, Trace::default());
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
        let is_lost = match response {
            Some(response) if response.status().is_success() => {
                session.timer.accepted(now, response);
                session.dialog.receive_response(response) != Damage::Transaction
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
