//! What one message costs: nanoseconds an operation, or a fixed number of operations for callgrind to count.
//!
//! ```text
//! micro                  NAME <tab> NANOSECONDS for every operation: the median of 15 batches
//! micro NAME COUNT       runs the operation so many times and prints nothing
//! ```
//! scripts/bench-micro makes a table of both.

#[path = "micro/presence.rs"]
mod presence;

use std::hint::black_box;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use vestibule::interwork::address::Sips;
use vestibule::interwork::message::{
    Hop, Im, Seed, Sending, Threading, from_sip, from_xmpp, to_sip, to_xmpp,
};
use vestibule::interwork::profile::{PeerKind, Profile};
use vestibule::limits::{GatewayLimits, SipLimits, XmlLimits};
use vestibule::sip::frame::{Frame, StreamFramer};
use vestibule::sip::{self, Date, Host, Message, Request, Scheme, Transport};
use vestibule::xml::{self, Element, StreamItem, StreamReader};
use vestibule::xmpp::{Stanza, ns};

/// One operation, and how it is called.
type Case = (&'static str, Box<dyn FnMut() -> anyhow::Result<()>>);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let result = match arguments.as_slice() {
        [name, count] => repeat(name, count),
        _ => measure(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell of a failure to write to standard error.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn repeat(name: &str, count: &str) -> anyhow::Result<()> {
    let (_, mut operation) = cases()?
        .into_iter()
        .find(|(n, _)| *n == name)
        .context("no operation of that name")?;
    for _ in 0..count.parse::<u32>()? {
        operation()?;
    }
    Ok(())
}

fn measure() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for (name, mut operation) in cases()? {
        let mut count = 64_u32;
        while time(count, &mut operation)? < BATCH {
            count = count.saturating_mul(2);
        }
        let mut batches = Vec::new();
        for _ in 0..BATCHES {
            batches.push(time(count, &mut operation)?.as_nanos() / u128::from(count));
        }
        batches.sort_unstable();
        let median = batches.get(BATCHES / 2).context("no batch")?;
        writeln!(out, "{name}\t{median}")?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn time(count: u32, operation: &mut impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let start = Instant::now();
    for _ in 0..count {
        operation()?;
    }
    Ok(start.elapsed())
}

/// Every operation, in the order of the life of a message.
fn cases() -> anyhow::Result<Vec<Case>> {
    let sip_limits = SipLimits::default();
    let request = read_request(&sip_limits)?;
    let mut framer = StreamFramer::new(&sip_limits);

    let mut reader = StreamReader::new(&XmlLimits::default());
    reader.push(STREAM.as_bytes());
    anyhow::ensure!(
        matches!(reader.next(), Ok(Some(StreamItem::Open(_)))),
        "the stream is not read"
    );
    let element = read_element(&mut reader)?;
    let stanza = read_stanza(element.clone())?;

    let now = Date::from_unix_seconds(1_700_000_000).context("the date")?;
    let translator = Translator::new()?;
    let (out_translator, in_translator) = (translator.clone(), translator);
    let mut other_reader = StreamReader::new(&XmlLimits::default());
    other_reader.push(STREAM.as_bytes());
    other_reader.next()?;
    let (other_limits, other_stanza, other_request) = (sip_limits.clone(), stanza.clone(), request.clone());
    let whole = Message::Request(request);
    let (mut sip_out, mut xml_out, mut both_out, mut back_out) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());

    let (mut served, mut watched) = (presence::Pair::new()?, presence::Pair::new()?);

    Ok(vec![
        (
            "sip-read",
            Box::new(move || {
                black_box(
                    sip::parse::message(black_box(SIP.as_bytes()), &sip_limits).map_err(|bad| bad.error)?,
                );
                Ok(())
            }),
        ),
        (
            "sip-stream-read",
            Box::new(move || {
                framer.push(black_box(SIP.as_bytes()));
                anyhow::ensure!(
                    matches!(black_box(framer.next())?, Some(Frame::Message(_))),
                    "the message is not framed"
                );
                Ok(())
            }),
        ),
        (
            "sip-write",
            Box::new(move || {
                sip_out.clear();
                sip::write::message(black_box(&whole), &mut sip_out);
                black_box(&sip_out);
                Ok(())
            }),
        ),
        (
            "xml-read",
            Box::new(move || {
                black_box(read_element(&mut reader)?);
                Ok(())
            }),
        ),
        (
            "xml-write",
            Box::new(move || {
                xml_out.clear();
                xml::write::element(black_box(&element), ns::SERVER, &[], &mut xml_out);
                black_box(&xml_out);
                Ok(())
            }),
        ),
        (
            "sip-to-xmpp",
            Box::new(move || {
                black_box(to_xmpp(&from_sip(black_box(&other_request), now, Sips::Refuse)?));
                Ok(())
            }),
        ),
        (
            "xmpp-to-sip",
            Box::new(move || {
                black_box(out_translator.request(&from_xmpp(black_box(&other_stanza), Scheme::Sip)?)?);
                Ok(())
            }),
        ),
        (
            "sip-octets-to-xmpp-octets",
            Box::new(move || {
                let request = read_request(&other_limits)?;
                let stanza = to_xmpp(&from_sip(&request, now, Sips::Refuse)?);
                both_out.clear();
                xml::write::element(stanza.element(), ns::SERVER, &[], &mut both_out);
                black_box(&both_out);
                Ok(())
            }),
        ),
        (
            "xmpp-octets-to-sip-octets",
            Box::new(move || {
                let stanza = read_stanza(read_element(&mut other_reader)?)?;
                let request = in_translator.request(&from_xmpp(&stanza, Scheme::Sip)?)?;
                back_out.clear();
                sip::write::request(&request, &mut back_out);
                black_box(&back_out);
                Ok(())
            }),
        ),
        ("presence-to-sip", Box::new(move || served.change())),
        ("presence-to-xmpp", Box::new(move || watched.notify())),
    ])
}

fn read_request(limits: &SipLimits) -> anyhow::Result<Request> {
    match sip::parse::message(black_box(SIP.as_bytes()), limits).map_err(|bad| bad.error)? {
        Message::Request(request) => Ok(request),
        Message::Response(_) => anyhow::bail!("a response"),
    }
}

fn read_element(reader: &mut StreamReader) -> anyhow::Result<Element> {
    reader.push(black_box(STANZA.as_bytes()));
    match reader.next()? {
        Some(StreamItem::Element(element)) => Ok(element),
        Some(StreamItem::Open(_) | StreamItem::Oversized(_) | StreamItem::Whitespace | StreamItem::Close)
        | None => {
            anyhow::bail!("no stanza")
        }
    }
}

fn read_stanza(element: Element) -> anyhow::Result<Stanza> {
    Stanza::from_element(element, ns::SERVER).map_err(|bad| anyhow::anyhow!("{bad:?}"))
}

/// What [`to_sip`] needs to know.
#[derive(Clone)]
struct Translator {
    hop: Hop,
    seed: Seed,
    profile: Profile,
}

impl Translator {
    fn new() -> anyhow::Result<Self> {
        let host = Host::parse("edge.example.com").map_err(|flaw| anyhow::anyhow!("{flaw:?}"))?;
        Ok(Self {
            hop: Hop::new(Transport::Tls, host, Some(5061)),
            seed: Seed::new(&[7; 32]),
            profile: Profile::new(PeerKind::Simple, &GatewayLimits::default()),
        })
    }

    fn request(&self, im: &Im) -> anyhow::Result<Request> {
        Ok(to_sip(
            im,
            &Sending {
                hop: &self.hop,
                seed: &self.seed,
                threading: Threading::Keep,
                profile: &self.profile,
            },
        )?)
    }
}

const BATCHES: usize = 15;
const BATCH: Duration = Duration::from_millis(20);

/// 629 octets, as a proxy in front of us would send it.
const SIP: &str = "MESSAGE sip:juliet@im.example.com SIP/2.0\r\n\
    Via: SIP/2.0/TLS proxy.example.net:5061;branch=z9hG4bK9b1c7e5d4f3a2b10;rport\r\n\
    Via: SIP/2.0/TCP 192.0.2.17:49152;branch=z9hG4bK776asdhds;received=192.0.2.17\r\n\
    Max-Forwards: 69\r\n\
    Record-Route: <sip:proxy.example.net:5061;transport=tls;lr>\r\n\
    From: \"Romeo Montague\" <sip:romeo@example.net>;tag=1928301774\r\n\
    To: <sip:juliet@im.example.com>\r\n\
    Call-ID: a84b4c76e66710@pc333.example.net\r\n\
    Priority: normal\r\n\
    CSeq: 314159 MESSAGE\r\n\
    Date: Sat, 13 Nov 2010 23:29:00 GMT\r\n\
    Content-Language: en\r\n\
    Content-Type: text/plain;charset=UTF-8\r\n\
    Content-Length: 50\r\n\
    \r\n\
    Neither, fair saint, if either thee dislike. \u{2764}\r\n";

const STREAM: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' from='example.net' \
    to='im.example.com' id='1' version='1.0'>";

/// 381 octets, as a chat client sends it.
const STANZA: &str = "<message from='juliet@im.example.com/balcony' to='romeo@example.net' type='chat' \
    id='ktx72v49-0001-a1b2c3' xml:lang='en'><body>Art thou not Romeo, and a Montague? &lt;3 Neither, fair saint, if either \
    thee dislike it.</body><thread>e0ffe42b28561960c6b12b944a092794b9683a38</thread>\
    <active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>";
