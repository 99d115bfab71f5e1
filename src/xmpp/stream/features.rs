//! Stream features: what we offer as a server, and what a server offers us.
//!
//! RFC 6120 §4.3.2; XEP-0220 §2.4.2 (dialback with errors).

use crate::xml::Element;
use crate::xmpp::stream::header::Advertised;
use crate::xmpp::{ns, sasl};

/// Whether a feature is offered, and whether it must be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    No,
    Yes,
    Required,
}

/// The features that mean something to a stream between servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) starttls: Offer,
    pub(super) external: Advertised,
    pub(super) dialback: Advertised,
}

impl Features {
    pub(super) fn read(element: &Element) -> Self {
        let starttls = match element.child("starttls", ns::TLS) {
            None => Offer::No,
            Some(starttls) if starttls.child("required", ns::TLS).is_some() => Offer::Required,
            Some(_) => Offer::Yes,
        };
        let advertised = |present: bool| if present { Advertised::Yes } else { Advertised::No };
        Self {
            starttls,
            external: advertised(
                element
                    .child("mechanisms", ns::SASL)
                    .is_some_and(sasl::offers_external),
            ),
            dialback: advertised(element.child("dialback", ns::DIALBACK_FEATURE).is_some()),
        }
    }

    pub(super) fn element(self) -> Element {
        let mut features = Element::new("features", ns::STREAM);
        match self.starttls {
            Offer::No => {}
            Offer::Yes => features.push(Element::new("starttls", ns::TLS)),
            Offer::Required => {
                let required = Element::new("required", ns::TLS);
                features.push(Element::new("starttls", ns::TLS).with_child(required));
            }
        }
        if self.external == Advertised::Yes {
            features.push(sasl::mechanisms());
        }
        if self.dialback == Advertised::Yes {
            let errors = Element::new("errors", ns::DIALBACK_FEATURE);
            features.push(Element::new("dialback", ns::DIALBACK_FEATURE).with_child(errors));
        }
        features
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_read_as_they_were_offered() {
        for starttls in [Offer::No, Offer::Yes, Offer::Required] {
            for external in [Advertised::Yes, Advertised::No] {
                for dialback in [Advertised::Yes, Advertised::No] {
                    let features = Features {
                        starttls,
                        external,
                        dialback,
                    };
                    assert_eq!(Features::read(&features.element()), features);
                }
            }
        }
    }
}
