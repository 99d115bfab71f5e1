//! The end of a stream that was opened to ask about a dialback key (XEP-0220 §2.3).

use std::time::Instant;

use super::{Initiating, Phase};
use crate::xmpp::dialback::{Dialback, Saying};
use crate::xmpp::error::Condition;
use crate::xmpp::stream::{Closed, DialbackAnswer, Event, Purpose, StreamRefusal};

impl Initiating {
    /// The authoritative server's answer.
    pub(super) fn verified(
        &mut self,
        now: Instant,
        phase: &Phase,
        answer: &Dialback,
        id: Option<&str>,
    ) -> Result<(), StreamRefusal> {
        let Purpose::Verify { stream_id, .. } = &self.purpose else {
            return Err(StreamRefusal::UnsolicitedDialback);
        };
        //= xep0220#2.1.2
        //# The Receiving Server MUST ensure that the values of the 'from', 'to' and 'id attributes correlate
        let is_asked = matches!(phase, Phase::AwaitVerify) && id == Some(stream_id.as_str());
        if !is_asked || !self.is_from_peer(answer) {
            return Err(StreamRefusal::UnsolicitedDialback);
        }
        let answer = match &answer.saying {
            Saying::Valid => DialbackAnswer::Valid,
            Saying::Invalid => DialbackAnswer::Invalid,
            // XEP-0220 §2.5: whatever went wrong in step 3 is told in step 4 as this.
            Saying::Error(_) | Saying::Key(_) => DialbackAnswer::Failed(Condition::RemoteServerNotFound),
        };
        self.wire.event(Event::Verified(answer));
        self.wire.close(now, Closed::ByUs, None);
        Ok(())
    }

    pub(super) fn is_from_peer(&self, answer: &Dialback) -> bool {
        answer.from == *self.purpose.remote() && answer.to == *self.purpose.local()
    }
}
