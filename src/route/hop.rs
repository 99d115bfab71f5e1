//! The server that a request names as its next hop: a preference among the servers of a plan, and never a way to another.

use super::{Host, Target};
use crate::sip::{Request, Uri};

/// A next hop, as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    host: Host,
    port: Option<u16>,
}

impl Hop {
    /// The first Route, or the Request-URI: after a strict router, and within a dialog without a route set. Outside
    /// dialogs the Request-URI names a user, and his domain's servers are the plan's business.
    //
    //= rfc3261#8.1.2
    //# If the first element in the route set indicated a strict router (resulting in forming the request as described in
    //# Section 12.2.1.1), the procedures MUST be applied to the Request-URI of the request. Otherwise, the procedures
    //# are applied to the first Route header field value in the request (if one exists), or to the request's Request-URI
    //# if there is no Route header field present.
    #[must_use]
    pub fn of(request: &Request) -> Option<Self> {
        let headers = request.headers();
        match headers.route().first() {
            Some(hop) if hop.is_loose_router() => Self::in_uri(hop.uri()),
            Some(_) => Self::in_uri(request.uri()),
            None => headers.to().tag().and_then(|_| Self::in_uri(request.uri())),
        }
    }

    /// Whether the target is meant. Without a port any port of the host is: DNS may give it (RFC 3263 §4.2). The name of
    /// the domain itself, without a port, means any of its servers, and so none.
    #[must_use]
    pub fn names(&self, target: &Target) -> bool {
        let is_there = match self.port {
            Some(port) => port == target.port.get(),
            None => self.host != Host::Name(target.domain.clone()),
        };
        is_there && self.host == target.host
    }

    /// `maddr` is not followed.
    fn in_uri(uri: &Uri) -> Option<Self> {
        let uri = uri.sip()?;
        let host = match uri.host().ip() {
            Some(address) => Host::Address(address),
            None => Host::Name(uri.host().domain()?),
        };
        let port = uri.port();
        Some(Self { host, port })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::domain::Domain;
    use crate::limits::SipLimits;
    use crate::route::{Protocol, Side, Transport};
    use crate::sip::{Message, parse};

    fn request(uri: &str, tag: &str, route: &str) -> Request {
        let text = format!(
            "NOTIFY {uri} SIP/2.0\r\nVia: SIP/2.0/TLS edge.example;branch=z9hG4bK1\r\n{route}Max-Forwards: 70\r\n\
             To: <sip:ann@partner.example>{tag}\r\nFrom: <sip:bob@local.example>;tag=b\r\nCall-ID: c\r\n\
             CSeq: 2 NOTIFY\r\nEvent: presence\r\nSubscription-State: active\r\n\
             Contact: <sip:bob@edge.example>\r\nContent-Length: 0\r\n\r\n"
        );
        match parse::message(text.as_bytes(), &SipLimits::default()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => panic!("{text}"),
        }
    }

    #[test]
    fn a_request_names_a_server_by_its_route_or_within_a_dialog_by_its_target() {
        let servers = [
            ("a.partner.example", 5061),
            ("b.partner.example", 5061),
            ("b.partner.example", 5081),
            ("192.0.2.7", 5061),
            ("2001:db8::7", 5061),
            ("partner.example", 5061),
        ];
        let servers = servers.map(|(host, port)| Target {
            protocol: Protocol::Sip,
            transport: Transport::Tls,
            side: Side::Outside,
            host: Host::parse(host).unwrap(),
            port: NonZeroU16::new(port).unwrap(),
            domain: Domain::parse("partner.example").unwrap(),
            tls: None,
        });
        const USER: &str = "sip:ann@partner.example;gruu";
        const DEVICE: &str = "sip:ann@b.partner.example:5081;transport=tls";
        const DIALOG: &str = ";tag=a";
        for (uri, tag, route, named) in [
            (
                USER,
                DIALOG,
                "<sip:b.partner.example;lr;transport=tls>",
                &[1, 2][..],
            ),
            (
                USER,
                DIALOG,
                "<sip:x@B.Partner.Example.:5061;lr>, <sip:a.partner.example;lr>",
                &[1],
            ),
            (USER, "", "<sip:b.partner.example:5061;lr>", &[1]),
            (USER, DIALOG, "<sip:192.0.2.7:5061;lr>", &[3]),
            (USER, DIALOG, "<sip:[2001:db8:0::7];lr>", &[4]),
            (USER, DIALOG, "<sip:192.0.2.7:5060;lr>", &[]),
            (
                USER,
                DIALOG,
                "<sip:elsewhere.example;lr>, <sip:b.partner.example;lr>",
                &[],
            ),
            (USER, DIALOG, "<sip:elsewhere.example;lr;maddr=192.0.2.7>", &[]),
            // The domain itself is each of them, but for one that has its name.
            (USER, DIALOG, "<sip:partner.example;lr>", &[]),
            (USER, DIALOG, "<sip:partner.example:5061;lr>", &[5]),
            (USER, DIALOG, "", &[]),
            // Within a dialog its target, and after a strict router that one.
            (DEVICE, DIALOG, "", &[2]),
            (DEVICE, "", "", &[]),
            (DEVICE, DIALOG, "<sip:a.partner.example>", &[2]),
            (DEVICE, DIALOG, "<tel:+1>", &[2]),
            ("tel:+1", DIALOG, "", &[]),
        ] {
            let line = if route.is_empty() {
                String::new()
            } else {
                format!("Route: {route}\r\n")
            };
            let hop = Hop::of(&request(uri, tag, &line));
            let is_named = |target: &Target| hop.as_ref().is_some_and(|hop| hop.names(target));
            let found: Vec<_> = (0..)
                .zip(&servers)
                .filter(|(_, target)| is_named(target))
                .collect();
            let found: Vec<i32> = found.into_iter().map(|(number, _)| number).collect();
            assert_eq!(found, named, "{uri}{tag} {route}");
        }
    }
}
