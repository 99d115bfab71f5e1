//! Refusals by the terms of a foreign domain: the answer says what does pass, and the log which key would let this pass.

use super::{Rejected, Words, tag};
use crate::domain::Domain;
use crate::refusal::Fault;
use crate::route::Federated;
use crate::sip::proxy::NotAllowed;
use crate::sip::{Request, StatusCode};

impl Rejected {
    /// What the terms of a foreign domain do not let pass.
    pub(in crate::gateway) fn of_terms(
        request: &Request,
        entry: &Federated,
        not_allowed: &NotAllowed,
    ) -> Self {
        let rejection = entry.terms.rejection(not_allowed);
        Self {
            response: Box::new(rejection.response(request, &tag(request))),
            class: match not_allowed {
                NotAllowed::Method(_) => "method_not_allowed",
                NotAllowed::Event(_) => "event_not_allowed",
            },
            fault: Fault::Policy,
            why: format!("[[federate]] {}: {not_allowed}", entry.pattern),
            words: Words::Edge,
        }
    }

    /// The same, with the key that is to be changed where the terms of the foreign domain are why.
    pub(in crate::gateway) fn within(mut self, entry: &Federated) -> Self {
        if self.response.status() == StatusCode::METHOD_NOT_ALLOWED
            && !entry.terms.allows(self.response.headers().cseq().method())
        {
            let method = self.response.headers().cseq().method();
            self.why = format!(
                "[[federate]] {}: {}",
                entry.pattern,
                NotAllowed::Method(method.clone())
            );
        }
        self
    }

    /// The same with a Warning that says its reason phrase (RFC 3261 §20.43).
    pub(in crate::gateway) fn warned(mut self, code: u16, edge: &Domain) -> Self {
        let warning = format!("{code} {edge} \"{}\"", self.response.reason());
        // Names and phrases are our own and clean, so this cannot fail.
        let _ = self.response.headers_mut().push("Warning", &warning);
        self
    }
}
