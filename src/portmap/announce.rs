//! The header by which a node hears who connects to us: PROXY protocol, version 2 (haproxy's proxy-protocol.txt, section 2.2).

use std::net::SocketAddr;

/// The header for a connection over TCP from `source` to `public`, which are of one family.
pub(super) fn header(source: SocketAddr, public: SocketAddr) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.push(VERSION_2_PROXY);
    match (source, public) {
        (SocketAddr::V4(source), SocketAddr::V4(public)) => {
            header.push(TCP_OVER_IPV4);
            header.extend(12_u16.to_be_bytes());
            header.extend(source.ip().octets());
            header.extend(public.ip().octets());
        }
        (source, public) => {
            header.push(TCP_OVER_IPV6);
            header.extend(36_u16.to_be_bytes());
            for address in [source, public] {
                header.extend(match address {
                    SocketAddr::V4(address) => address.ip().to_ipv6_mapped().octets(),
                    SocketAddr::V6(address) => address.ip().octets(),
                });
            }
        }
    }
    header.extend(source.port().to_be_bytes());
    header.extend(public.port().to_be_bytes());
    header
}

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2 in the upper half; in the lower one that this is somebody's connection and not a look of our own.
const VERSION_2_PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

#[cfg(test)]
mod tests {
    #[test]
    fn both_ends_are_told_in_the_octets_of_the_specification() {
        let header =
            |source: &str, public: &str| super::header(source.parse().unwrap(), public.parse().unwrap());
        assert_eq!(
            header("192.0.2.1:56324", "203.0.113.10:5269"),
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xcb\0\x71\x0a\xdc\x04\x14\x95"
        );
        let v6 = header("[2001:db8::1]:1", "[2001:db8::2]:2");
        assert_eq!(v6[12..16], [0x21, 0x21, 0, 36]);
        assert_eq!(v6.len(), 16 + 36);
        assert_eq!(v6[16..20], [0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(v6[48..], [0, 1, 0, 2]);
    }
}
