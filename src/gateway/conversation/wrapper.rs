//! Texts that ask for receipts in a CPIM wrapper, and go without where that is refused (RFC 5438 §7.1).

use super::Pair;
use super::caller::with_text;
use crate::gateway::Gateway;
use crate::gateway::pending::Token;
use crate::gateway::waiting::{Waiting, WaitingKind};
use crate::interwork::message;
use crate::sip::{Mandatory, Method, Request, StatusCode};

impl<O> Gateway<O> {
    /// A text that was refused for the wrapper that it asks in goes without, as all that follow; `false` where it had none.
    pub(super) fn unwrap(&mut self, token: Token) -> bool {
        let Some(Waiting {
            kind:
                WaitingKind::Xmpp {
                    text: Some(text),
                    asked,
                    sender,
                },
            ..
        }) = self.waiting.get_mut(token)
        else {
            return false;
        };
        let pair = Pair::new(sender.from(), sender.to());
        let (Some(plain), Some(promised)) = (bare(text), self.receipts.withdraw(token)) else {
            return false;
        };
        **text = plain;
        *asked = Some(Box::new(promised));
        if let Some(conversation) = self.conversations.by_pair.get_mut(&pair) {
            conversation.wraps = false;
        }
        true
    }
}

/// Whether a refusal may be about a wrapper.
pub(super) const fn refuses_wrapper(status: StatusCode) -> bool {
    matches!(status.code(), 406 | 415 | 488)
}

/// The same request without the wrapper, as one of its own.
fn bare(wrapped: &Request) -> Option<Request> {
    let (kind, body) = message::unwrapped(wrapped)?;
    let headers = wrapped.headers();
    let mandatory = Mandatory {
        via: headers.top_via().clone(),
        from: headers.from().clone(),
        to: headers.to().clone(),
        call_id: headers.call_id().clone(),
        // With the same number it would be taken for the same (RFC 3261 §8.2.2.2).
        sequence: headers.cseq().number().checked_add(1)?,
    };
    let request = Request::new(Method::Message, wrapped.uri().clone(), mandatory);
    Some(with_text(request, wrapped).ok()?.with_body(kind, body))
}
