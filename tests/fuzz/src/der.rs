//! Certificates made of names that a script chooses, so that inputs get past the outer layers of DER.

/// One value with its tag and length.
pub fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut octets = vec![tag];
    if length < 0x80 {
        octets.push(length as u8);
    } else {
        let digits: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
        octets.push(0x80 | digits.len() as u8);
        octets.extend(digits);
    }
    octets.extend_from_slice(content);
    octets
}

pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    value(0x30, &parts.concat())
}

/// An extension of that object identifier, with its value already in DER.
pub fn extension(identifier: &[u8], content: &[u8]) -> Vec<u8> {
    sequence(&[value(0x06, identifier), value(0x04, content)])
}

/// A `GeneralName` that is an otherName, of that type of string.
pub fn other_name(identifier: &[u8], string: u8, text: &[u8]) -> Vec<u8> {
    let explicit = value(0xa0, &value(string, text));
    value(0xa0, &[value(0x06, identifier), explicit].concat())
}

/// A certificate that nobody signed, valid from 2020 to 2049.
pub fn certificate(common_name: Option<(u8, &[u8])>, extensions: &[Vec<u8>]) -> Vec<u8> {
    let algorithm = sequence(&[value(0x06, ECDSA_WITH_SHA256)]);
    let common_name = common_name.map_or_else(Vec::new, |(string, text)| {
        value(0x31, &sequence(&[value(0x06, COMMON_NAME), value(string, text)]))
    });
    let validity = sequence(&[value(0x17, b"200101000000Z"), value(0x17, b"491231235959Z")]);
    let key = sequence(&[
        sequence(&[value(0x06, EC_PUBLIC_KEY), value(0x06, P256)]),
        value(0x03, &[0; 66]),
    ]);
    let mut parts = vec![
        value(0xa0, &value(0x02, &[2])),
        value(0x02, &[1]),
        algorithm.clone(),
        value(0x30, &[]),
        validity,
        value(0x30, &common_name),
        key,
    ];
    if !extensions.is_empty() {
        parts.push(value(0xa3, &sequence(extensions)));
    }
    sequence(&[sequence(&parts), algorithm, value(0x03, &[0; 9])])
}

pub const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
pub const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
pub const XMPP_ADDR: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 8, 5];
pub const SRV_NAME: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 8, 7];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
