//! What becomes of our requests in a conversation: their answers, and that none came.

use std::time::Instant;

use super::takes::Word;
use super::{Invited, Purpose};
use crate::gateway::Gateway;
use crate::gateway::answer::Trouble;
use crate::gateway::pending::Token;
use crate::sip::Response;
use crate::sip::dialog::{Damage, ForkInput};

/// Whether a response was all for a conversation, or is one about a message as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(in crate::gateway) enum Heard {
    /// There is nothing more to do.
    Done,
    /// It says what became of a message.
    Elsewhere,
}

impl<O> Gateway<O> {
    /// Takes a response to a request of a conversation; gives it back where it belongs to none.
    pub(in crate::gateway) fn heard(&mut self, now: Instant, token: Token, response: &Response) -> Heard {
        let Some((pair, purpose)) = self.conversations.requests.get(&token).cloned() else {
            return Heard::Elsewhere;
        };
        // Each of these may be answered by more than one 2xx.
        if !matches!(purpose, Purpose::Invite | Purpose::Text | Purpose::Offer(_)) {
            self.conversations.requests.remove(&token);
        }
        let is_typing = matches!(purpose, Purpose::Typing(_));
        match purpose {
            Purpose::Invite => self.invite_answered(now, &pair, token, response),
            Purpose::Text => return self.text_answered(now, &pair, token, response),
            Purpose::Refresh(id) => self.refresh_answered(now, &pair, &id, Some(response)),
            Purpose::Offer(id) => self.offer_answered(now, &pair, &id, (token, response)),
            Purpose::TypingAlone => {
                if let Some(conversation) = self.conversations.by_pair.get_mut(&pair)
                    && !response.status().is_success()
                {
                    conversation.typing.composes = Word::No;
                }
            }
            Purpose::Typing(id) | Purpose::Other(id) => {
                if let Some(conversation) = self.conversations.by_pair.get_mut(&pair)
                    && let Some(session) = conversation.session(&id)
                {
                    if is_typing && !response.status().is_success() {
                        session.takes.refused_typing(response.headers().cseq().method());
                    }
                    if session.dialog.receive_response(response) != Damage::Transaction {
                        conversation.take_session(&id);
                        self.advance(now, &pair);
                    }
                }
            }
        }
        self.conversations.schedule(&pair);
        Heard::Done
    }

    /// A request of a conversation was not answered, or not sent; says whether that was all there is to do.
    pub(in crate::gateway) fn unheard(&mut self, now: Instant, token: Token, trouble: Trouble) -> Heard {
        let Some((pair, purpose)) = self.conversations.requests.remove(&token) else {
            return Heard::Elsewhere;
        };
        match purpose {
            Purpose::Invite => {
                if let Some(conversation) = self.conversations.by_pair.get_mut(&pair)
                    && let Some(mut inviting) = conversation.take_inviting(token)
                {
                    inviting.forks.handle(now, ForkInput::Failed);
                    if inviting.state == Invited::Waiting {
                        self.fail_queue(&pair, |gateway, waiting| gateway.fall(now, waiting, trouble));
                    }
                }
            }
            Purpose::Text => {
                if let Some(conversation) = self.conversations.by_pair.get_mut(&pair) {
                    conversation.queue.retain(|queued| *queued != token);
                    let sent = conversation.sent.take_if(|(sent, _)| *sent == token);
                    //= rfc3261#12.2.1.2
                    //# A UAC SHOULD also terminate a dialog if no response at all is received for the request
                    let dead = sent
                        .filter(|_| trouble == Trouble::Timeout)
                        .and_then(|(_, id)| conversation.take_session(&id));
                    if let Some(dead) = dead {
                        self.end_dialog(now, &pair, dead.dialog);
                    }
                    self.advance(now, &pair);
                }
                return Heard::Elsewhere;
            }
            Purpose::Refresh(id) | Purpose::Offer(id) => {
                self.offer_over(&pair, token);
                self.refresh_answered(now, &pair, &id, None);
            }
            Purpose::TypingAlone | Purpose::Typing(_) | Purpose::Other(_) => {}
        }
        self.conversations.schedule(&pair);
        Heard::Done
    }
}
