//! Which certificates may connect at all, by the names in them: a narrower gate before any proof, and no proof itself.
//!
//! A name is looked at whatever its type is, and before anybody believes it: whoever is turned away here would have to
//! lie to pass, and whoever lies proves nothing afterwards.

use super::certificate::{Identities, NamePattern, Presence};
use super::matching::shown;
use crate::domain::{Domain, DomainPattern};
use crate::refusal::{Fault, Refuse};

/// The certificate names nobody who may connect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the certificate names {names}, and peer_subjects of the TLS context lets only {subjects} connect; if this peer may, add one of its names there"
)]
pub struct NotAmong {
    names: String,
    subjects: String,
}

/// Whether a certificate has a name that one of the subjects covers; no subjects are everybody.
///
/// # Errors
/// [`NotAmong`].
pub fn admit(leaf: &Identities, subjects: &[DomainPattern]) -> Result<(), NotAmong> {
    if subjects.is_empty() || subjects.iter().any(|subject| names(leaf, subject)) {
        return Ok(());
    }
    Err(refused(shown(leaf), subjects))
}

/// The refusal of a certificate that cannot be read.
#[must_use]
pub fn unreadable(subjects: &[DomainPattern]) -> NotAmong {
    refused("nobody that could be read".to_owned(), subjects)
}

fn refused(names: String, subjects: &[DomainPattern]) -> NotAmong {
    let subjects: Vec<_> = subjects.iter().map(ToString::to_string).collect();
    NotAmong {
        names,
        subjects: subjects.join(", "),
    }
}

fn names(leaf: &Identities, subject: &DomainPattern) -> bool {
    let services = leaf.srv.iter().map(|id| &id.name);
    let common: &[Domain] = match leaf.alternative_names {
        Presence::Absent => &leaf.common_names,
        Presence::Present => &[],
    };
    let mut whole = leaf.xmpp.iter().chain(&leaf.sip).chain(common);
    whole.any(|name| subject.matches(name))
        || leaf.dns.iter().chain(services).any(|name| meets(name, subject))
}

fn meets(name: &NamePattern, subject: &DomainPattern) -> bool {
    match (name, subject) {
        (NamePattern::Exact(name), _) => subject.matches(name),
        (NamePattern::OneLabelAnd(_), DomainPattern::Exact(wanted)) => name.matches(wanted),
        // All that it may stand for has to be covered.
        (NamePattern::OneLabelAnd(base), DomainPattern::Subdomains(_)) => subject.matches(base),
    }
}

impl Refuse for NotAmong {
    fn class(&self) -> &'static str {
        "certificate_subject"
    }

    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn sip_status(&self) -> u16 {
        403
    }

    fn stanza_condition(&self) -> &'static str {
        "policy-violation"
    }

    fn peer_text(&self) -> &'static str {
        "The certificate is not one of those that may connect"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(names: &[&str]) -> Identities {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let params = rcgen::CertificateParams::new(names).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        Identities::from_der(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn one_name_of_a_certificate_has_to_be_among_the_subjects() {
        let subjects =
            ["sip.contoso.com", "*.partner.example"].map(|text| DomainPattern::parse(text).unwrap());
        for (names, is_among) in [
            (&["sip.contoso.com"][..], true),
            (&["other.example", "sip.contoso.com"], true),
            (&["partner.example"], true),
            (&["a.b.partner.example"], true),
            (&["*.contoso.com"], true),
            (&["*.partner.example"], true),
            (&["contoso.com"], false),
            (&["a.sip.contoso.com"], false),
            (&["*.example"], false),
            (&["*.sip.contoso.com"], false),
            (&["notpartner.example"], false),
            (&["192.0.2.1"], false),
        ] {
            assert_eq!(admit(&leaf(names), &subjects).is_ok(), is_among, "{names:?}");
            assert_eq!(admit(&leaf(names), &[]), Ok(()), "{names:?}");
        }
        let refused = admit(&leaf(&["a.example", "b.example"]), &subjects)
            .unwrap_err()
            .to_string();
        for said in [
            "a.example, b.example",
            "sip.contoso.com, *.partner.example",
            "peer_subjects",
        ] {
            assert!(refused.contains(said), "{refused}");
        }
    }
}
