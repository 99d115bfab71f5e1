//! What a user reads first whose words were refused at the border: the text of the configuration, as where the far side
//! refuses them. Whoever is blocked politely is answered in the words of another, and those stay as they are.

use super::{Refused, Rejected, RejectedStanza};
use crate::gateway::Border;
use crate::interwork::error::join;
use crate::interwork::passage::Circling;
use crate::policy::rate::Exceeded;
use crate::refusal::Refuse;
use crate::sip::{Method, Request};
use crate::xmpp::Stanza;
use crate::xmpp::ns;
use crate::xmpp::stanza::{Kind, MessageType};

/// Whose words an answer is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// The edge's own.
    Edge,
    /// Those that a server would use, who has his own.
    Server,
}

/// Whether a request has words of a user: it is no sign of typing, and no receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Has {
    Words,
    None,
}

impl Has {
    pub(in crate::gateway) fn of_request(request: &Request) -> Self {
        let kind = request.headers().content_type();
        let is_text = kind
            .is_some_and(|kind| matches!(kind.kind(), "text" | "multipart") || kind.is("message", "cpim"));
        if *request.method() == Method::Message && is_text {
            Self::Words
        } else {
            Self::None
        }
    }

    pub(super) fn of_stanza(stanza: &Stanza) -> Self {
        let is_message = matches!(
            stanza.kind(),
            Kind::Message(MessageType::Normal | MessageType::Chat | MessageType::Groupchat)
        );
        if is_message && stanza.child("body", ns::STANZA).is_some() {
            Self::Words
        } else {
            Self::None
        }
    }

    /// The text, where it is to be read.
    pub(super) const fn first(self, undeliverable: &str) -> &str {
        match self {
            Self::Words => undeliverable,
            Self::None => "",
        }
    }
}

impl Rejected {
    /// The same, as the author of what the request has reads it.
    pub(in crate::gateway) fn read(mut self, has: Has, undeliverable: &str) -> Self {
        if self.words == Words::Edge && has == Has::Words {
            let reason = join(undeliverable, self.response.reason());
            self.response.set_reason(&reason);
        }
        self
    }
}

impl Border {
    /// The refusal of a request that comes while the proxy is stopping.
    #[must_use]
    pub fn refuse_while_stopping(&self, request: &Request) -> Rejected {
        self.reads(request, &Refused::Stopping)
    }

    /// The refusal of a request that there is no room for.
    #[must_use]
    pub fn refuse_for_overload(&self, request: &Request) -> Rejected {
        self.reads(request, &Refused::Overload)
    }

    /// The refusal of a request that comes too soon after others of its domain.
    #[must_use]
    pub fn refuse_for_rate(&self, request: &Request, exceeded: &Exceeded) -> Rejected {
        self.reads(request, exceeded)
    }

    /// The refusal of a stanza that comes while the proxy is stopping.
    #[must_use]
    pub fn refuse_stanza_while_stopping(&self, stanza: &Stanza) -> RejectedStanza {
        RejectedStanza::of(stanza, &Refused::Stopping, self)
    }

    /// The refusal of a stanza that there is no room for.
    #[must_use]
    pub fn refuse_stanza_for_overload(&self, stanza: &Stanza) -> RejectedStanza {
        RejectedStanza::of(stanza, &Refused::Overload, self)
    }

    /// The refusal of a stanza that has come back again and again.
    #[must_use]
    pub fn refuse_circling_stanza(&self, stanza: &Stanza) -> RejectedStanza {
        RejectedStanza::of(stanza, &Refused::Circling(Circling::Again), self)
    }

    /// What the border says to a request, as its author reads it.
    pub(super) fn reads(&self, request: &Request, refusal: &dyn Refuse) -> Rejected {
        Rejected::of(request, refusal).read(Has::of_request(request), self.undeliverable())
    }

    /// What a user reads first whose message could not be delivered.
    pub(super) fn undeliverable(&self) -> &str {
        &self.conduct().undeliverable
    }
}
