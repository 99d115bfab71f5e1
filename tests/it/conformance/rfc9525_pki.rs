//! A small PKI for the tests of certificates: authorities, and leaves with whatever a peer might show.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot be made fails the test"
)]

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CustomExtension,
    DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use vestibule::domain::Domain;
use vestibule::identity::{Eku, Trust, Usage, Verified, chain};

pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

#[derive(Default)]
pub(super) struct Leaf {
    common_name: Option<DnValue>,
    alternative: Vec<SanType>,
    usages: Vec<ExtendedKeyUsagePurpose>,
    years: Option<(i32, i32)>,
    raw_san: Option<Vec<u8>>,
    serial: Option<u64>,
    is_ca: bool,
}

impl Authority {
    pub(super) fn root(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(authority(name), key).unwrap())
    }

    pub(super) fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(authority(name), key, &self.0).unwrap())
    }

    pub(super) fn expired_intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = authority(name);
        params.not_after = date_time_ymd(2026, 6, 1);
        Self(CertifiedIssuer::signed_by(params, key, &self.0).unwrap())
    }

    pub(super) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub(super) fn sign(&self, leaf: Leaf) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        leaf.params().signed_by(&key, &self.0).unwrap().der().clone()
    }

    pub(super) fn revoke(&self, serial: u64) -> CertificateRevocationListDer<'static> {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2027, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2026, 2, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().der().clone()
    }

    pub(super) fn trust(&self) -> Trust {
        Trust::new(&[self.der()], &[]).unwrap()
    }

    /// A certificate of this authority, believed.
    pub(super) fn believed(&self, leaf: Leaf) -> Verified {
        let shown = [self.sign(leaf)];
        chain::verify(&shown, &self.trust(), Usage::Server, Eku::ClientOrServer, now()).unwrap()
    }
}

impl Leaf {
    pub(super) fn named(common_name: &str) -> Self {
        Self {
            common_name: Some(DnValue::Utf8String(common_name.to_owned())),
            ..Self::default()
        }
    }

    pub(super) fn dns(mut self, names: &[&str]) -> Self {
        let names = names
            .iter()
            .map(|name| SanType::DnsName((*name).try_into().unwrap()));
        self.alternative.extend(names);
        self
    }

    pub(super) fn uri(mut self, uri: &str) -> Self {
        self.alternative.push(SanType::URI(uri.try_into().unwrap()));
        self
    }

    pub(super) fn address(mut self, address: &str) -> Self {
        self.alternative
            .push(SanType::IpAddress(address.parse().unwrap()));
        self
    }

    pub(super) fn email(mut self, address: &str) -> Self {
        self.alternative
            .push(SanType::Rfc822Name(address.try_into().unwrap()));
        self
    }

    pub(super) fn xmpp(self, address: &str) -> Self {
        self.other_name(&[1, 3, 6, 1, 5, 5, 7, 8, 5], address)
    }

    /// An SRVName as UTF8String, as some authorities write it.
    pub(super) fn srv(self, name: &str) -> Self {
        self.other_name(&[1, 3, 6, 1, 5, 5, 7, 8, 7], name)
    }

    /// An SRVName as IA5String, as RFC 4985 says, and as the only alternative name.
    pub(super) fn srv_ia5(self, name: &str) -> Self {
        self.raw_san(&der(0x30, &other_name(0x16, name.as_bytes())))
    }

    pub(super) fn other_name(mut self, oid: &[u64], text: &str) -> Self {
        self.alternative
            .push(SanType::OtherName((oid.to_vec(), text.into())));
        self
    }

    pub(super) fn usage(mut self, usage: ExtendedKeyUsagePurpose) -> Self {
        self.usages.push(usage);
        self
    }

    /// Valid from the start of one year to the start of another.
    pub(super) fn years(mut self, first: i32, last: i32) -> Self {
        self.years = Some((first, last));
        self
    }

    pub(super) fn serial(mut self, number: u64) -> Self {
        self.serial = Some(number);
        self
    }

    pub(super) fn raw_san(mut self, content: &[u8]) -> Self {
        self.raw_san = Some(content.to_vec());
        self
    }

    pub(super) fn authority(mut self) -> Self {
        self.is_ca = true;
        self
    }

    pub(super) fn common_name_as(mut self, value: DnValue) -> Self {
        self.common_name = Some(value);
        self
    }

    pub(super) fn self_signed(self) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        self.params().self_signed(&key).unwrap().der().clone()
    }

    /// Signs `other` with a key whose certificate is this leaf's: what a leaf is not allowed to do.
    pub(super) fn sign_as_leaf(self, other: Self) -> (CertificateDer<'static>, CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let own = CertifiedIssuer::self_signed(self.params(), key).unwrap();
        let other_key = KeyPair::generate().unwrap();
        let signed = other.params().signed_by(&other_key, &own).unwrap();
        (own.der().clone(), signed.der().clone())
    }

    fn params(self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = self.common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.subject_alt_names = self.alternative;
        params.extended_key_usages = self.usages;
        let (first, last) = self.years.unwrap_or((2025, 2035));
        params.not_before = date_time_ymd(first, 1, 1);
        params.not_after = date_time_ymd(last, 1, 1);
        params.serial_number = self.serial.map(SerialNumber::from);
        if let Some(content) = self.raw_san {
            params
                .custom_extensions
                .push(CustomExtension::from_oid_content(&[2, 5, 29, 17], content));
        }
        if self.is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    }
}

/// The 15th of June 2026.
pub(super) fn now() -> UnixTime {
    let seconds = date_time_ymd(2026, 6, 15).unix_timestamp();
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds.try_into().unwrap()))
}

pub(super) fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

/// `otherName` of the SRV kind, with a string of this tag.
pub(super) fn other_name(string_tag: u8, text: &[u8]) -> Vec<u8> {
    let oid = der(0x06, &[0x2b, 6, 1, 5, 5, 7, 8, 7]);
    let value = der(0xa0, &der(string_tag, text));
    der(0xa0, &[oid, value].concat())
}

/// A short DER element.
pub(super) fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    assert!(length < 128);
    [&[tag, length], content].concat()
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params
}
