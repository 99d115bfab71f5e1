//! Our own certificates as a peer will see them: until when they count, and whom they name.
//!
//! Nothing here is a fault, as another certificate may serve and some peers look at nothing. But an administrator should
//! hear of it before the peers' administrators do.

use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, UnixTime};

use super::PkiError;
use crate::domain::Domain;
use crate::identity::{Identities, matching};
use crate::route::Protocol;

/// One of our certificates with its chain.
#[derive(Debug)]
pub struct Own {
    path: PathBuf,
    /// The first is the one that names us.
    chain: Vec<Identities>,
}

impl Own {
    /// Reads what a chain says of its holders; `path` is the file that it came from.
    ///
    /// # Errors
    /// [`PkiError::Certificate`].
    pub(super) fn read(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Self, PkiError> {
        let read = (1_usize..).zip(chain).map(|(number, der)| {
            Identities::from_der(der).map_err(|why| PkiError::Certificate {
                path: path.to_path_buf(),
                number,
                why,
            })
        });
        Ok(Self {
            path: path.to_path_buf(),
            chain: read.collect::<Result<_, _>>()?,
        })
    }

    /// The file that it came from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last second at which all of its chain counts, since 1970.
    #[must_use]
    pub fn not_after(&self) -> Option<i64> {
        self.chain.iter().map(Identities::not_after).min()
    }

    /// Whether a peer of this protocol that looks for the domain in it finds it (RFC 5922, RFC 9525).
    #[must_use]
    pub fn names(&self, domain: &Domain, protocol: Protocol) -> bool {
        self.chain.first().is_some_and(|leaf| match protocol {
            Protocol::Sip => matching::sip_domains(leaf).contains(domain),
            Protocol::Xmpp => matching::names_xmpp(leaf, domain),
        })
    }

    /// Everybody whom it names, for people.
    #[must_use]
    pub fn all_names(&self) -> Vec<String> {
        self.chain.first().map(Identities::names).unwrap_or_default()
    }

    /// What is, or soon will be, wrong with the time of the chain, and what to do.
    #[must_use]
    pub fn doubt(&self, now: UnixTime) -> Option<String> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        self.chain.iter().find_map(|certificate| {
            let (from, until) = (certificate.not_before(), certificate.not_after());
            let when = if now > until {
                format!("expired {} ago, and peers refuse it", days(now.abs_diff(until)))
            } else if now < from {
                format!(
                    "is not valid before {} from now: is the clock right?",
                    days(from.abs_diff(now))
                )
            } else {
                let (left, whole) = (until.abs_diff(now), until.abs_diff(from));
                if left >= SOON || left >= whole.saturating_div(3) {
                    return None;
                }
                format!("expires in {}", days(left))
            };
            Some(format!(
                "{}: the certificate of {} {when}; put a new chain and key there and send SIGHUP",
                self.path.display(),
                certificate.subject()
            ))
        })
    }
}

fn days(seconds: u64) -> String {
    match seconds.saturating_div(86_400) {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        count => format!("{count} days"),
    }
}

/// What is left of a certificate's time when it is worth a word; those of a short life are given a third of it.
const SOON: u64 = 30 * 86_400;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn own(from: (i32, u8, u8), until: (i32, u8, u8)) -> Own {
        let mut params =
            rcgen::CertificateParams::new(vec!["example.com".to_owned(), "*.example.org".to_owned()])
                .unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Own::read(Path::new("edge.pem"), &[certificate.der().clone()]).unwrap()
    }

    #[test]
    fn a_certificate_is_spoken_of_before_its_time_when_it_ends_and_after() {
        let day = |number: u64| UnixTime::since_unix_epoch(Duration::from_secs(number * 86_400));
        // 2030-01-01 is day 21915.
        let year = own((2030, 1, 1), (2031, 1, 1));
        for (at, said) in [
            (21_914, Some("is not valid before 1 day from now")),
            (21_916, None),
            (21_915 + 334, None),
            (21_915 + 340, Some("expires in 25 days")),
            (21_915 + 375, Some("expired 10 days ago")),
        ] {
            let doubt = year.doubt(day(at));
            match said {
                Some(words) => assert!(
                    doubt.as_ref().is_some_and(|text| text.contains(words)),
                    "day {at}: {doubt:?}"
                ),
                None => assert_eq!(doubt, None, "day {at}"),
            }
        }
        let week = own((2030, 1, 1), (2030, 1, 8));
        assert_eq!(
            week.doubt(day(21_915 + 4)),
            None,
            "a short life is no cause for alarm"
        );
        assert!(week.doubt(day(21_915 + 5)).is_some());
    }

    #[test]
    fn a_wildcard_names_a_domain_for_xmpp_and_not_for_sip() {
        let own = own((2030, 1, 1), (2031, 1, 1));
        for (domain, sip, xmpp) in [
            ("example.com", true, true),
            ("chat.example.org", false, true),
            ("example.org", false, false),
        ] {
            let domain = Domain::parse(domain).unwrap();
            assert_eq!(own.names(&domain, Protocol::Sip), sip, "{domain} by SIP");
            assert_eq!(own.names(&domain, Protocol::Xmpp), xmpp, "{domain} by XMPP");
        }
    }
}
