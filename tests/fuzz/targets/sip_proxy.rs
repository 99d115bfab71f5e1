//! What the edge makes of a request and its response that go through it from SIP to SIP, whatever they say: nothing of
//! the inside shows outside, nothing that comes in leads where the edge has not sealed it, a sealed name opens to what
//! was sealed and a changed one to nothing, and all that is written reads again as the same.
//!
//! The first octet chooses the way, the second which character of a sealed name is changed; then come a request and,
//! after a NUL, the response that it gets.

use vestibule::domain::Domain;
use vestibule::limits::SipLimits;
use vestibule::sip::proxy::{Arrived, Ends, Face, Inner, Passage, Proxy, Veil, Way};
use vestibule::sip::{
    CallId, Headers, Host, Mandatory, Message, Method, NameAddr, Request, Response, RouteSet, SipUri, Transport, Uri, Via, parse,
    write,
};

pub fn run(data: &[u8]) {
    let Some(([choice, at], texts)) = data.split_first_chunk() else {
        return;
    };
    let mut texts = texts.splitn(2, |octet| *octet == 0);
    let (request, response) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
    let Some(Message::Request(mut request)) = read(request) else {
        return;
    };
    let mut response = match read(response) {
        Some(Message::Response(response)) => Some(response),
        Some(Message::Request(_)) | None => None,
    };
    let proxy = proxy();
    if choice % 2 == 0 {
        inward(&proxy, &mut request, response.as_mut());
    } else {
        outward(&proxy, &mut request, response.as_mut(), usize::from(*at));
    }
}

fn outward(proxy: &Proxy, request: &mut Request, response: Option<&mut Response>, at: usize) {
    let ends = Ends::new(request.headers().from().uri(), domain("out.example"));
    let sent = request.clone();
    let arrived = proxy.receive(Way::Outward, request);
    let hops = request.headers().record_route().clone();
    let Ok(passage) = proxy.forward(Way::Outward, arrived.clone(), request, &ends, &Transport::Tcp) else {
        return;
    };
    let recorded = request.headers().record_route().clone();
    request.headers_mut().replace_vias(via());
    reads_again(&Message::Request(request.clone()));
    outside(request.clone().into());

    // What the peer sends to a name that it was shown.
    let contacts = |request: &Request| request.headers().contact().addresses().to_vec();
    assert_eq!(contacts(request).len(), contacts(&sent).len());
    for (shown, meant) in contacts(request).iter().zip(contacts(&sent)) {
        let back = |target: Uri, route: RouteSet| {
            let bye = Request::new(Method::Bye, target, mandatory(request.headers().call_id())).with_route(route);
            forward_inward(proxy, bye)
        };
        let (arrived, bye) = back(shown.uri().clone(), recorded.clone());
        assert_eq!(arrived.ends(), Some(&ends));
        assert_eq!(bye.uri(), &meant.uri().clone().without_headers());
        assert_eq!(bye.headers().route(), if recorded.is_empty() { &recorded } else { &hops });
        let call_id = bye.headers().call_id();
        assert!(call_id == sent.headers().call_id() || call_id == request.headers().call_id());
        let changed = changed(shown.uri(), at);
        let (arrived, bye) = back(changed.clone(), recorded.clone());
        assert!(arrived.ends().is_none() && bye.headers().route().is_empty(), "{changed}");
        assert_eq!(bye.uri(), &changed);
    }

    let Some(response) = response else {
        return;
    };
    let Ok(()) = proxy.answer(&passage, response) else {
        return;
    };
    reads_again(&Message::Response(response.clone()));
    asserts_nothing(response.headers());
    is_addressed(response, &sent);
    let way: Vec<_> = response.headers().record_route().iter().collect();
    if recorded.is_empty() {
        assert!(way.is_empty(), "{way:?}");
    } else {
        // Whatever the peer writes, the node's next hop is the edge, and its own hops are as it wrote them.
        let ours = way.len() - hops.len() - 1;
        assert!(way[ours].uri().sip().is_some_and(|uri| *uri.host() == host("10.0.0.1")), "{way:?}");
        assert!(way[ours + 1..].iter().copied().eq(hops.iter()), "{way:?}");
        assert_eq!(Some(way[ours - 1]), recorded.first());
    }
}

fn inward(proxy: &Proxy, request: &mut Request, response: Option<&mut Response>) {
    let sent = request.clone();
    let arrived = proxy.receive(Way::Inward, request);
    let ends = arrived
        .ends()
        .cloned()
        .unwrap_or_else(|| Ends::new(request.uri(), domain("out.example")));
    if let Some(opened) = arrived.ends() {
        assert_eq!((&*opened.own, opened.foreign.as_str()), ("sip:ann@in.example", "out.example"));
        assert_eq!(request.uri().to_string(), SEALED_CONTACT);
    }
    let is_opened = arrived.ends().is_some();
    let Ok(passage) = proxy.forward(Way::Inward, arrived, request, &ends, &Transport::Tcp) else {
        return;
    };
    check_inward(request, is_opened);
    request.headers_mut().replace_vias(via());
    reads_again(&Message::Request(request.clone()));
    let Some(response) = response else {
        return;
    };
    // A node copies these, and records itself before whom it heard of.
    let hops = request.headers().record_route().clone();
    let headers = response.headers_mut();
    headers.set_from(request.headers().from().clone());
    headers.set_to(request.headers().to().clone());
    for hop in hops.iter() {
        headers.record_route_mut().push_last(hop.clone());
    }
    let contacts = headers.contact().addresses().to_vec();
    let Ok(()) = proxy.answer(&passage, response) else {
        return;
    };
    reads_again(&Message::Response(response.clone()));
    is_addressed(response, &sent);
    if !names_inside(&written(&Message::Request(sent))) {
        outside(response.clone().into());
    }
    let shown = response.headers().contact().addresses();
    assert_eq!(shown.len(), contacts.len());
    for (shown, meant) in shown.iter().zip(contacts) {
        let bye = Request::new(Method::Bye, shown.uri().clone(), mandatory(response.headers().call_id()));
        let (arrived, bye) = forward_inward(proxy, bye);
        assert_eq!(arrived.ends(), Some(&ends));
        assert_eq!(bye.uri(), &meant.uri().clone().without_headers());
    }
}

fn forward_inward(proxy: &Proxy, mut request: Request) -> (Arrived, Request) {
    let arrived = proxy.receive(Way::Inward, &mut request);
    let ends = arrived
        .ends()
        .cloned()
        .unwrap_or_else(|| Ends::new(request.uri(), domain("out.example")));
    let is_opened = arrived.ends().is_some();
    let passed: Result<Passage, _> = proxy.forward(Way::Inward, arrived.clone(), &mut request, &ends, &Transport::Tcp);
    passed.expect("what is written here is SIP");
    check_inward(&request, is_opened);
    (arrived, request)
}

/// A node goes where Route says, and where the Request-URI says.
fn check_inward(request: &Request, is_opened: bool) {
    let headers = request.headers();
    asserts_nothing(headers);
    if !is_opened {
        assert!(headers.route().is_empty(), "{:?}", headers.route());
        let maddr = request.uri().sip().and_then(|uri| uri.params().get("maddr"));
        assert_eq!(maddr, None);
    }
    assert!(headers.max_forwards().is_some_and(|hops| hops < 70));
    if !headers.record_route().is_empty() && headers.to().tag().is_none() && *request.method() == Method::Invite {
        let first = headers.record_route().first().map(|hop| hop.uri().clone());
        assert!(first.is_some_and(|uri| uri.sip().is_some_and(|uri| *uri.host() == host("10.0.0.1"))));
    }
}

/// What only the edge says of somebody.
fn asserts_nothing(headers: &Headers) {
    for (name, value) in headers.other() {
        let name = name.as_str().to_ascii_lowercase();
        let is_asserted = name.starts_with("p-") || ["remote-party-id", "authorization", "path", "service-route"].contains(&&*name);
        assert!(!is_asserted && name != "ms-edge-proxy-message-trust", "{name}: {value}");
    }
}

fn is_addressed(response: &Response, request: &Request) {
    assert!(response.headers().vias().eq(request.headers().vias()));
    assert_eq!(response.headers().call_id(), request.headers().call_id());
}

/// From, To, the Request-URI and the rest of the route say who speaks to whom: the border has checked them, and searches
/// bodies. The subject is a user's own words.
fn outside(mut message: Message) {
    let nobody = NameAddr::new(SipUri::new(vestibule::sip::Scheme::Sip, host("nobody.example")));
    let headers = message.headers_mut();
    headers.remove("Subject");
    headers.set_from(nobody.clone());
    headers.set_to(nobody.clone());
    *headers.route_mut() = RouteSet::default();
    if let Message::Request(request) = &mut message {
        request.set_uri(nobody.uri().clone());
    }
    let octets = written(&message);
    let end = octets.windows(4).position(|window| window == b"\r\n\r\n").expect("an end") + 4;
    let (head, _) = octets.split_at(end);
    assert!(!names_inside(head), "{}", head.escape_ascii());
}

/// Whether a host of the inside stands somewhere, as a whole.
fn names_inside(octets: &[u8]) -> bool {
    let text: String = octets.utf8_chunks().map(|chunk| chunk.valid()).collect();
    let text = text.to_ascii_lowercase();
    let continues = |c: char| c.is_ascii_alphanumeric() || c == '-';
    INSIDE.iter().any(|inside| {
        text.match_indices(inside).any(|(start, _)| {
            let before = text[..start].chars().next_back();
            let after = text[start + inside.len()..].chars().next();
            !before.is_some_and(continues) && !after.is_some_and(continues)
        })
    })
}

fn reads_again(message: &Message) {
    let once = written(message);
    // Sealing makes names longer, and a hop of ours is one more.
    let limits = SipLimits {
        message_bytes: 1 << 20,
        head_bytes: 1 << 20,
        line_bytes: 1 << 20,
        header_fields: 1_000,
        values_of_a_kind: 1_000,
        ..SipLimits::default()
    };
    let again = parse::message(&once, &limits).unwrap_or_else(|bad| panic!("{bad:?}: {}", once.escape_ascii()));
    assert_eq!(written(&again).escape_ascii().to_string(), once.escape_ascii().to_string());
}

/// The URI with another character in what stands before the `@`.
fn changed(uri: &Uri, at: usize) -> Uri {
    let uri = uri.sip().expect("a name of ours");
    let mut user = uri.user().unwrap_or_default().as_bytes().to_vec();
    let at = at % user.len();
    user[at] = if user[at] == b'A' { b'B' } else { b'A' };
    let user = String::from_utf8(user).expect("letters");
    Uri::Sip(uri.clone().with_escaped_user(&user).expect("letters"))
}

fn proxy() -> Proxy {
    let outside = Face::new(Transport::Tls, host("edge.example"), None);
    let inside = Face::new(Transport::Tcp, host("10.0.0.1"), Some(5060));
    let inner = Inner::new(INSIDE.map(str::to_owned));
    Proxy::new(Veil::new(b"secret"), outside, vec![inside], inner)
}

fn mandatory(call_id: &CallId) -> Mandatory {
    Mandatory {
        via: via(),
        from: NameAddr::parse("<sip:bob@out.example>;tag=b").expect("an address"),
        to: NameAddr::parse("<sip:ann@in.example>;tag=a").expect("an address"),
        call_id: call_id.clone(),
        sequence: 1,
    }
}

fn via() -> Via {
    Via::parse("SIP/2.0/TLS edge.example;branch=z9hG4bKe").expect("a Via")
}

fn host(text: &str) -> Host {
    Host::parse(text).expect("a host")
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).expect("a domain")
}

fn read(text: &[u8]) -> Option<Message> {
    parse::message(text, &SipLimits::default()).ok()
}

fn written(message: &Message) -> Vec<u8> {
    let mut octets = Vec::new();
    write::message(message, &mut octets);
    octets
}

/// What the seeds seal: the edge has shown no other name.
const SEALED_CONTACT: &str = "sip:ann@10.77.66.55:5070;transport=tcp";

/// As they stand in the dictionary and the seeds.
const INSIDE: [&str; 2] = ["10.77.66.55", "imp1.corp"];
