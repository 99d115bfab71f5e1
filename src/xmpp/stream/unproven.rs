//! A peer's stream between our features and its proof: STARTTLS, SASL EXTERNAL, or the first word of dialback.
//!
//! It is consumed by whatever comes next. Only what is offered within TLS has a place for a proven name.
//!
//! RFC 6120 §5.4.2 (STARTTLS), §6.4 (SASL); XEP-0178 §3.

use std::time::Instant;

use crate::domain::Domain;
use crate::xml::Element;
use crate::xmpp::dialback::DialbackSecret;
use crate::xmpp::ns;
use crate::xmpp::sasl::{self, Failure, Response};
use crate::xmpp::stream::features::Offer;
use crate::xmpp::stream::header::Header;
use crate::xmpp::stream::pairs::{Open, answer_verify};
use crate::xmpp::stream::settings::Encrypted;
use crate::xmpp::stream::{StreamRefusal, StreamSettings, Tls, Wire};

/// After the features, before any proof.
#[derive(Debug)]
pub(super) struct Unproven {
    header: Header,
    to: Domain,
    id: String,
    settings: StreamSettings,
    failures: u32,
    offered: Offered,
}

/// What may be taken up.
#[derive(Debug)]
pub(super) enum Offered {
    /// In the clear.
    Plain { starttls: Offer },
    /// Within TLS; EXTERNAL is offered if the certificate proves that name.
    Tls {
        certificate: Option<Domain>,
        exchange: Exchange,
    },
}

/// Where the SASL exchange stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exchange {
    None,
    /// An initial response was missing and is asked for.
    Challenged,
}

/// What follows.
#[derive(Debug)]
pub(super) enum Next {
    /// The same, a step on.
    Unproven(Unproven),
    /// TLS was asked for.
    Handshake,
    /// SASL proved that name; a new stream follows.
    Restart(Domain),
    /// Dialback has begun.
    Open(Open),
}

impl Unproven {
    pub(super) const fn new(
        header: Header,
        to: Domain,
        id: String,
        settings: StreamSettings,
        offered: Offered,
    ) -> Self {
        Self {
            header,
            to,
            id,
            settings,
            failures: 0,
            offered,
        }
    }

    pub(super) fn element(
        self,
        wire: &mut Wire,
        now: Instant,
        secret: &DialbackSecret,
        element: Element,
    ) -> Result<Next, StreamRefusal> {
        let must_encrypt = self.settings.tls == Tls::Required && self.encrypted() == Encrypted::No;
        match (element.name(), element.ns()) {
            ("starttls", ns::TLS) => self.start_tls(wire),
            _ if must_encrypt => Err(StreamRefusal::TlsRequired),
            ("auth" | "response" | "abort", ns::SASL) => self.authenticate(wire, &element),
            ("verify", ns::DIALBACK) => {
                answer_verify(wire, secret, &self.to, &element)?;
                Ok(Next::Unproven(self))
            }
            ("result", ns::DIALBACK) => {
                let encrypted = self.encrypted();
                let mut open = Open::new(self.header, self.to, self.id, self.settings, encrypted);
                open.element(wire, now, secret, element)?;
                Ok(Next::Open(open))
            }
            //= rfc6120#4.3.5
            //# the receiving entity MUST NOT accept such stanzas
            //# and MUST close the stream with a <not-authorized/> stream error
            ("message" | "presence" | "iq", ns::SERVER) => Err(StreamRefusal::NotAuthenticated),
            (_, ns::CLIENT) => Err(StreamRefusal::Namespace),
            _ => Err(StreamRefusal::UnexpectedElement),
        }
    }

    fn start_tls(self, wire: &mut Wire) -> Result<Next, StreamRefusal> {
        match self.offered {
            Offered::Plain {
                starttls: Offer::Yes | Offer::Required,
            } => {
                wire.send(&Element::new("proceed", ns::TLS));
                wire.start_tls();
                Ok(Next::Handshake)
            }
            Offered::Plain { starttls: Offer::No } | Offered::Tls { .. } => {
                wire.send(&Element::new("failure", ns::TLS));
                Err(StreamRefusal::UnexpectedElement)
            }
        }
    }

    fn authenticate(mut self, wire: &mut Wire, element: &Element) -> Result<Next, StreamRefusal> {
        let failure = match &mut self.offered {
            Offered::Plain { .. } => Failure::EncryptionRequired,
            Offered::Tls {
                certificate,
                exchange,
            } => {
                let was = std::mem::replace(exchange, Exchange::None);
                match (external(element, was), certificate.as_ref()) {
                    (Err(failure), _) => failure,
                    (Ok(_), None) => Failure::InvalidMechanism,
                    (Ok(Response::Missing), Some(_)) => {
                        wire.send(&Element::new("challenge", ns::SASL));
                        *exchange = Exchange::Challenged;
                        return Ok(Next::Unproven(self));
                    }
                    //= rfc6120#6.3.8
                    //# the receiving entity MUST return an <invalid-authzid/> SASL error
                    (Ok(Response::As(claimed)), Some(proven)) if claimed != *proven => {
                        Failure::InvalidAuthzid
                    }
                    (Ok(Response::Own | Response::As(_)), Some(proven)) => {
                        let proven = proven.clone();
                        wire.send(&Element::new("success", ns::SASL));
                        wire.restart();
                        return Ok(Next::Restart(proven));
                    }
                }
            }
        };
        wire.send(&failure.element());
        //= rfc6120#6.4.5
        //# If the initiating entity exceeds the number of retries, the receiving
        //# entity MUST close the stream with a stream error
        self.failures = self.failures.saturating_add(1);
        if self.failures >= wire.limits().sasl_failures {
            return Err(StreamRefusal::SaslFailures);
        }
        Ok(Next::Unproven(self))
    }

    const fn encrypted(&self) -> Encrypted {
        match self.offered {
            Offered::Plain { .. } => Encrypted::No,
            Offered::Tls { .. } => Encrypted::Yes,
        }
    }
}

impl Offered {
    /// Within TLS, with the name that EXTERNAL can prove, if any.
    pub(super) const fn within_tls(certificate: Option<Domain>) -> Self {
        Self::Tls {
            certificate,
            exchange: Exchange::None,
        }
    }
}

/// What an element of the SASL exchange asks for, if EXTERNAL is what it speaks of.
fn external(element: &Element, exchange: Exchange) -> Result<Response, Failure> {
    match (element.name(), exchange) {
        ("auth", _) => match element.attribute("mechanism") {
            Some(sasl::EXTERNAL) => sasl::read_response(element),
            Some(_) => Err(Failure::InvalidMechanism),
            None => Err(Failure::MalformedRequest),
        },
        // To the challenge, no text is the empty identity.
        ("response", Exchange::Challenged) => match sasl::read_response(element)? {
            Response::Missing => Ok(Response::Own),
            response @ (Response::Own | Response::As(_)) => Ok(response),
        },
        ("abort", _) => Err(Failure::Aborted),
        _ => Err(Failure::MalformedRequest),
    }
}
