//! Stream features: what we offer as a server, and what a server offers us.
//!
//! RFC 6120 §4.3.2; XEP-0220 §2.4.2 (dialback with errors); XEP-0198 §2; XEP-0478.

use std::time::Duration;

use crate::xml::Element;
use crate::xmpp::stream::header::Advertised;
use crate::xmpp::{management, ns, sasl};

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
    pub(super) management: Advertised,
    pub(super) limits: PeerLimits,
}

/// What the side that offers features takes from the other (XEP-0478).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::xmpp) struct PeerLimits {
    /// Octets of a first-level element.
    pub(super) octets: Option<usize>,
    /// Silence after which the other is taken for gone.
    pub(super) idle: Option<Duration>,
}

impl PeerLimits {
    fn read(features: &Element) -> Self {
        let number = |name| -> Option<u32> {
            let limits = features.child("limits", ns::STREAM_LIMITS)?;
            limits.child(name, ns::STREAM_LIMITS)?.text().trim().parse().ok()
        };
        Self {
            octets: number("max-bytes").and_then(|octets| usize::try_from(octets).ok()),
            idle: number("idle-seconds").map(|seconds| Duration::from_secs(seconds.into())),
        }
    }

    fn element(self) -> Element {
        let mut limits = Element::new("limits", ns::STREAM_LIMITS);
        if let Some(octets) = self.octets {
            limits.push(Element::new("max-bytes", ns::STREAM_LIMITS).with_text(&octets.to_string()));
        }
        if let Some(idle) = self.idle {
            let seconds = idle.as_secs().to_string();
            limits.push(Element::new("idle-seconds", ns::STREAM_LIMITS).with_text(&seconds));
        }
        limits
    }
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
            management: advertised(element.child("sm", ns::MANAGEMENT).is_some()),
            limits: PeerLimits::read(element),
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
        if self.management == Advertised::Yes {
            features.push(management::feature());
        }
        if self.limits != PeerLimits::default() {
            features.push(self.limits.element());
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
                    for limits in [
                        PeerLimits::default(),
                        PeerLimits {
                            octets: Some(10_000),
                            idle: Some(Duration::from_secs(60)),
                        },
                    ] {
                        let features = Features {
                            starttls,
                            external,
                            dialback,
                            management: dialback,
                            limits,
                        };
                        assert_eq!(Features::read(&features.element()), features);
                    }
                }
            }
        }
    }
}
