//! The pairs of domains of a stream that a peer opened to us: which are proven, which are on the way.
//!
//! A pair passes up to three questions before it is proven by dialback: whether we serve it, whether the certificate
//! that is required proves it, and whether its key is right. The first two were answered for the pair of the stream's
//! header before features were sent.
//!
//! RFC 6120 §8.1 (addresses), XEP-0220 §2.2 and §2.6 (several pairs over one stream).

use std::time::Instant;

use crate::domain::Domain;
use crate::xml::Element;
use crate::xmpp::dialback::{BadDialback, Dialback, DialbackSecret, Saying};
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::management::{self, Word};
use crate::xmpp::stanza::BadStanza;
use crate::xmpp::stream::header::Header;
use crate::xmpp::stream::settings::Encrypted;
use crate::xmpp::stream::{
    CertificateAnswer, ClientCertificate, DialbackAnswer, Event, HostAnswer, Method, Misuse, Question,
    StreamRefusal, StreamSettings, Verdict, Wire,
};
use crate::xmpp::{Jid, Stanza, ns};

/// A stream on which stanzas flow as soon as a pair is proven. It knows neither STARTTLS nor SASL.
#[derive(Debug)]
pub(super) struct Open {
    header: Header,
    to: Domain,
    id: String,
    settings: StreamSettings,
    encrypted: Encrypted,
    pairs: Vec<Pair>,
    /// How many pairs were refused.
    refused: usize,
}

#[derive(Debug)]
struct Pair {
    from: Domain,
    to: Domain,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    AwaitHost { key: String },
    AwaitCertificate { key: String },
    AwaitDialback,
    Proven,
}

impl Open {
    pub(super) const fn new(
        header: Header,
        to: Domain,
        id: String,
        settings: StreamSettings,
        encrypted: Encrypted,
    ) -> Self {
        Self {
            header,
            to,
            id,
            settings,
            encrypted,
            pairs: Vec::new(),
            refused: 0,
        }
    }

    /// Takes a pair as proven, and says so.
    pub(super) fn prove(&mut self, wire: &mut Wire, now: Instant, from: Domain, to: Domain, method: Method) {
        wire.has_authenticated(now);
        wire.event(Event::Authenticated {
            local: to.clone(),
            remote: from.clone(),
            method,
        });
        match self.pair(&from, &to) {
            Some(pair) => pair.stage = Stage::Proven,
            None => self.pairs.push(Pair {
                from,
                to,
                stage: Stage::Proven,
            }),
        }
    }

    pub(super) fn element(
        &mut self,
        wire: &mut Wire,
        now: Instant,
        secret: &DialbackSecret,
        element: Element,
    ) -> Result<(), StreamRefusal> {
        wire.has_moved(now);
        match (element.name(), element.ns()) {
            ("result", ns::DIALBACK) if wire.is_writable() => {
                self.result(wire, now, &element)?;
                self.check_refused(wire)
            }
            ("verify", ns::DIALBACK) if wire.is_writable() => answer_verify(wire, secret, &self.to, &element),
            // We have said what we took, and its sender knows that this is not of it.
            ("message" | "presence" | "iq", ns::SERVER) if !wire.is_writable() && wire.acknowledges() => {
                Ok(())
            }
            ("message" | "presence" | "iq", ns::SERVER) => {
                self.stanza(wire, Stanza::from_element(element, ns::SERVER))?;
                wire.has_given();
                Ok(())
            }
            (_, ns::MANAGEMENT) => self.manage(wire, now, &element),
            //= rfc6120#4.8.3
            //# If an entity receives a first-level child
            //# element qualified by a content namespace it does not support, it MUST
            //# close the stream with an <invalid-namespace/> stream error
            (_, ns::CLIENT) => Err(StreamRefusal::Namespace),
            _ if wire.is_writable() => Err(StreamRefusal::UnexpectedElement),
            _ => Ok(()),
        }
    }

    /// Takes a stanza that was too big to be read, of which there is only the start tag.
    pub(super) fn oversized(
        &self,
        wire: &mut Wire,
        now: Instant,
        element: Element,
    ) -> Result<(), StreamRefusal> {
        wire.has_moved(now);
        // As any other, once its sender was told for the last time how many we have taken.
        if !wire.is_writable() && wire.acknowledges() {
            return Ok(());
        }
        self.stanza(wire, Stanza::from_oversized(element, ns::SERVER))?;
        // Its sender counts it all the same (XEP-0198 §4).
        wire.has_given();
        Ok(())
    }

    /// Takes the answer to a question that a pair waits for.
    pub(super) fn judge(
        &mut self,
        wire: &mut Wire,
        now: Instant,
        verdict: Verdict,
    ) -> Result<Result<(), StreamRefusal>, Misuse> {
        if !wire.is_writable() {
            return Err(Misuse::Ended);
        }
        match verdict {
            Verdict::Host {
                from: Some(from),
                to,
                answer,
            } => {
                let key = self.take_key(&from, &to, |stage| matches!(stage, Stage::AwaitHost { .. }))?;
                match answer {
                    HostAnswer::Served(settings) => self.check(wire, from, to, settings, key),
                    HostAnswer::Unknown => self.drop_pair(wire, from, to, StreamRefusal::HostUnknown),
                    HostAnswer::Forbidden => self.drop_pair(wire, from, to, StreamRefusal::Forbidden),
                }
            }
            Verdict::Host { from: None, .. } => return Err(Misuse::Unasked),
            Verdict::Certificate { claimed, answer } => {
                let to = self
                    .pairs
                    .iter()
                    .find(|pair| pair.from == claimed && matches!(pair.stage, Stage::AwaitCertificate { .. }))
                    .map(|pair| pair.to.clone())
                    .ok_or(Misuse::Unasked)?;
                let key = self.take_key(&claimed, &to, |stage| {
                    matches!(stage, Stage::AwaitCertificate { .. })
                })?;
                match answer {
                    CertificateAnswer::Proven => self.ask(wire, claimed, to, key),
                    CertificateAnswer::Unproven => {
                        self.drop_pair(wire, claimed, to, StreamRefusal::CertificateUnproven);
                    }
                }
            }
            Verdict::Dialback { from, to, answer } => {
                self.pair(&from, &to)
                    .filter(|pair| pair.stage == Stage::AwaitDialback)
                    .ok_or(Misuse::Unasked)?;
                return Ok(self.conclude(wire, now, from, to, answer));
            }
        }
        Ok(self.check_refused(wire))
    }

    fn stanza(&self, wire: &mut Wire, read: Result<Stanza, BadStanza>) -> Result<(), StreamRefusal> {
        if !self.proven().any(|_| true) {
            return Err(StreamRefusal::NotAuthenticated);
        }
        let is_proven = |from: &Jid| self.proven().any(|pair| pair.from == *from.domain());
        let is_pair = |from: &Jid, to: &Jid| {
            self.proven()
                .any(|pair| pair.from == *from.domain() && pair.to == *to.domain())
        };
        let mut stanza = match read {
            Ok(stanza) => stanza,
            Err(BadStanza::NotAStanza) => return Err(StreamRefusal::UnexpectedElement),
            Err(BadStanza::NotAddressed) => return Err(StreamRefusal::NotAddressed),
            Err(BadStanza::InvalidFrom) => return Err(StreamRefusal::FromUnproven),
            Err(BadStanza::Refused(refused)) => {
                if !is_proven(refused.from()) {
                    return Err(StreamRefusal::FromUnproven);
                }
                if refused.to().is_some_and(|to| !is_pair(refused.from(), to)) {
                    return Err(StreamRefusal::ToUnproven);
                }
                let answer = refused.error_reply(&Jid::from(self.to.clone()));
                wire.event(answer.map_or(Event::Unanswered, Event::Answer));
                return Ok(());
            }
        };
        //= rfc6120#8.1.2.2
        //# The domainpart of the JID contained in the stanza's 'from'
        //# attribute MUST match the FQDN of the sending server
        if !is_proven(stanza.from()) {
            return Err(StreamRefusal::FromUnproven);
        }
        //= rfc6120#8.1.1.2
        //# The domainpart of the JID contained in the stanza's 'to'
        //# attribute MUST match the FQDN of the receiving server
        if !is_pair(stanza.from(), stanza.to()) {
            return Err(StreamRefusal::ToUnproven);
        }
        if let Some(language) = &self.header.language {
            stanza.default_language(language);
        }
        wire.event(Event::Stanza(stanza));
        Ok(())
    }

    /// Stream management (XEP-0198), for whom we know.
    fn manage(&self, wire: &mut Wire, now: Instant, element: &Element) -> Result<(), StreamRefusal> {
        if !self.proven().any(|_| true) {
            return Err(StreamRefusal::NotAuthenticated);
        }
        match Word::read(element) {
            Some(_) if !wire.is_writable() => {}
            Some(Word::Enable) if wire.acknowledges() => {
                wire.send(&management::failed(Condition::UnexpectedRequest));
            }
            Some(Word::Enable) => {
                wire.send(&management::enabled());
                wire.manage_handled();
            }
            // No stream is resumed.
            Some(Word::Resume) => wire.send(&management::failed(Condition::ItemNotFound)),
            Some(word) => wire.acknowledgement(now, word)?,
            None => return Err(StreamRefusal::UnexpectedElement),
        }
        Ok(())
    }

    /// A key, to prove a pair with.
    fn result(&mut self, wire: &mut Wire, now: Instant, element: &Element) -> Result<(), StreamRefusal> {
        let Dialback { from, to, saying } = Dialback::read(element)?;
        let Saying::Key(key) = saying else {
            //= xep0220#4.1
            //# Failure to reject those 'unsolicited' responses lets an attacker
            //# either spoof stanzas with an arbitrary sender domain
            return Err(StreamRefusal::UnsolicitedDialback);
        };
        match self.pair(&from, &to).map(|pair| &pair.stage) {
            Some(Stage::Proven) => {
                answer_result(wire, from, to, Saying::Valid);
                return Ok(());
            }
            // It is being checked already; one key is enough.
            Some(Stage::AwaitHost { .. } | Stage::AwaitCertificate { .. } | Stage::AwaitDialback) => {
                return Ok(());
            }
            None => {}
        }
        wire.has_moved(now);
        if self.pairs.len() >= wire.limits().pending_dialback {
            self.drop_pair(wire, from, to, StreamRefusal::TooManyPairs);
            return Ok(());
        }
        let is_of_header = self.header.from.as_ref() == Some(&from) && self.to == to;
        if is_of_header {
            if !self.settings.allow_dialback(self.encrypted) {
                self.drop_pair(wire, from, to, StreamRefusal::DialbackForbidden);
                return Ok(());
            }
            self.pairs.push(Pair {
                from: from.clone(),
                to: to.clone(),
                stage: Stage::AwaitDialback,
            });
            self.ask(wire, from, to, key);
        } else {
            wire.ask(Question::Host {
                from: Some(from.clone()),
                to: to.clone(),
            });
            self.pairs.push(Pair {
                from,
                to,
                stage: Stage::AwaitHost { key },
            });
        }
        Ok(())
    }

    /// The pair is served: what do its own terms ask for?
    fn check(&mut self, wire: &mut Wire, from: Domain, to: Domain, settings: StreamSettings, key: String) {
        if !settings.allow_dialback(self.encrypted) {
            self.drop_pair(wire, from, to, StreamRefusal::DialbackForbidden);
        } else if settings.certificate == ClientCertificate::Required && self.encrypted == Encrypted::Yes {
            if let Some(pair) = self.pair(&from, &to) {
                pair.stage = Stage::AwaitCertificate { key };
            }
            wire.ask(Question::Certificate { claimed: from });
        } else {
            self.ask(wire, from, to, key);
        }
    }

    fn ask(&mut self, wire: &mut Wire, from: Domain, to: Domain, key: String) {
        if let Some(pair) = self.pair(&from, &to) {
            pair.stage = Stage::AwaitDialback;
        }
        wire.ask(Question::Dialback {
            from,
            to,
            stream_id: self.id.clone(),
            key,
        });
    }

    fn conclude(
        &mut self,
        wire: &mut Wire,
        now: Instant,
        from: Domain,
        to: Domain,
        answer: DialbackAnswer,
    ) -> Result<(), StreamRefusal> {
        match answer {
            DialbackAnswer::Valid => {
                answer_result(wire, from.clone(), to.clone(), Saying::Valid);
                self.prove(wire, now, from, to, Method::Dialback);
            }
            // XEP-0220 §2.1.2 lets an error take the place of "invalid", which would cost the other pairs their stream.
            DialbackAnswer::Invalid if self.proven().any(|_| true) => {
                self.drop_pair(wire, from, to, StreamRefusal::DialbackInvalid);
            }
            DialbackAnswer::Invalid => {
                answer_result(wire, from, to, Saying::Invalid);
                return Err(StreamRefusal::DialbackInvalid);
            }
            DialbackAnswer::Failed(condition) => {
                self.drop_pair(wire, from, to, StreamRefusal::DialbackFailed(condition));
            }
        }
        self.check_refused(wire)
    }

    /// Each refusal costs us questions and an answer, so their number is bounded.
    fn check_refused(&self, wire: &Wire) -> Result<(), StreamRefusal> {
        if self.refused > wire.limits().refused_pairs {
            return Err(StreamRefusal::TooManyRefused);
        }
        Ok(())
    }

    /// Refuses one pair with a dialback error; the stream goes on.
    fn drop_pair(&mut self, wire: &mut Wire, from: Domain, to: Domain, refusal: StreamRefusal) {
        self.refused = self.refused.saturating_add(1);
        self.pairs.retain(|pair| !(pair.from == from && pair.to == to));
        let error = StanzaError::new(refusal.dialback_condition());
        answer_result(wire, from.clone(), to.clone(), Saying::Error(error));
        wire.event(Event::PairRefused {
            local: to,
            remote: from,
            refusal,
        });
    }

    fn take_key(
        &mut self,
        from: &Domain,
        to: &Domain,
        expected: fn(&Stage) -> bool,
    ) -> Result<String, Misuse> {
        let pair = self
            .pair(from, to)
            .filter(|pair| expected(&pair.stage))
            .ok_or(Misuse::Unasked)?;
        match std::mem::replace(&mut pair.stage, Stage::AwaitDialback) {
            Stage::AwaitHost { key } | Stage::AwaitCertificate { key } => Ok(key),
            Stage::AwaitDialback | Stage::Proven => Err(Misuse::Unasked),
        }
    }

    fn pair(&mut self, from: &Domain, to: &Domain) -> Option<&mut Pair> {
        self.pairs
            .iter_mut()
            .find(|pair| pair.from == *from && pair.to == *to)
    }

    fn proven(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().filter(|pair| pair.stage == Stage::Proven)
    }
}

/// Answers a question about a key of ours, from the secret alone (XEP-0220 §2.2.2).
///
/// A right key is right whatever domain of ours it is for, since nobody else can make one; a wrong key for a domain
/// other than the stream's is answered as for a domain that is not here, which tells nothing about our others.
pub(super) fn answer_verify(
    wire: &mut Wire,
    secret: &DialbackSecret,
    local: &Domain,
    element: &Element,
) -> Result<(), StreamRefusal> {
    let Dialback { from, to, saying } = Dialback::read(element)?;
    let Saying::Key(key) = saying else {
        return Err(StreamRefusal::UnsolicitedDialback);
    };
    let id = element.attribute("id").ok_or(StreamRefusal::BadDialback)?;
    let saying = if secret.verifies(&key, &from, &to, id) {
        Saying::Valid
    } else if to == *local {
        Saying::Invalid
    } else {
        Saying::Error(StanzaError::new(Condition::ItemNotFound))
    };
    let answer = Dialback {
        from: to,
        to: from,
        saying,
    };
    wire.send(&answer.verify(id));
    Ok(())
}

/// Tells the peer `from` what became of its pair with `to`.
fn answer_result(wire: &mut Wire, from: Domain, to: Domain, saying: Saying) {
    if wire.is_writable() {
        let answer = Dialback {
            from: to,
            to: from,
            saying,
        };
        wire.send(&answer.result());
    }
}

impl From<BadDialback> for StreamRefusal {
    fn from(bad: BadDialback) -> Self {
        match bad {
            BadDialback::NotAddressed => Self::NotAddressed,
            BadDialback::InvalidFrom => Self::FromInvalid,
            BadDialback::InvalidTo => Self::HostUnknown,
            BadDialback::Meaningless => Self::BadDialback,
        }
    }
}
