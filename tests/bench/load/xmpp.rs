//! XMPP: a foreign server that proves its domain by certificate and sends messages (s2s), a component that takes them, and an inside
//! server that components attach to, which takes messages and answers pings, or sends.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;

use crate::{Arguments, Meter, tls};

const BATCH: u64 = 16;
const USERS: u64 = 100;
const STREAMS: &str = "xmlns:stream='http://etherx.jabber.org/streams'";
/// How many batches may wait for a component's connection.
const QUEUE: usize = 64;

/// Opens an s2s stream: STARTTLS with both certificates, SASL EXTERNAL.
pub(crate) async fn open_stream(arguments: &Arguments) -> TlsStream<TcpStream> {
    let (from, to) = (arguments.get("from-domain"), arguments.get("to-domain"));
    let open = format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' {STREAMS} xmlns:db='jabber:server:dialback' \
         from='{from}' to='{to}' version='1.0'>"
    );
    let mut tcp = TcpStream::connect(arguments.get("xmpp-target"))
        .await
        .expect("connect to the XMPP target");
    tcp.set_nodelay(true).unwrap();
    ask(&mut tcp, &open, "</stream:features>").await;
    ask(
        &mut tcp,
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<proceed",
    )
    .await;
    let mut stream = tls::connect(arguments, tcp, to).await;
    let features = ask(&mut stream, &open, "</stream:features>").await;
    assert!(
        features.contains("EXTERNAL"),
        "the server does not offer EXTERNAL: {features}"
    );
    let who = base64::engine::general_purpose::STANDARD.encode(from);
    ask(
        &mut stream,
        &format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{who}</auth>"),
        "<success",
    )
    .await;
    ask(&mut stream, &open, "</stream:features>").await;
    stream
}

/// Opens an s2s stream and keeps sending on it.
pub(crate) async fn server_source(arguments: &Arc<Arguments>, meter: Arc<Meter>) {
    let stream = open_stream(arguments).await;
    let arguments = Arc::clone(arguments);
    tokio::spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(stream);
        tokio::spawn(async move {
            let mut answer = Vec::new();
            while reader.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {
                let text = std::str::from_utf8(&answer).unwrap_or_default();
                assert!(
                    !text.contains("stream:error") && !text.contains("type='error'"),
                    "the server answered {text}"
                );
                answer.clear();
            }
        });
        let body = arguments.text();
        loop {
            let text = messages(&arguments, &body, &meter).await;
            if writer.write_all(text.as_bytes()).await.is_err() || writer.flush().await.is_err() {
                panic!("the server closed the stream");
            }
        }
    });
}

/// Attaches as a component and counts what arrives.
pub(crate) async fn component_sink(arguments: &Arguments, meter: Arc<Meter>) {
    let mut tcp = TcpStream::connect(arguments.get("component-target"))
        .await
        .expect("connect to the component port");
    tcp.set_nodelay(true).unwrap();
    let open = format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' {STREAMS} to='{}'>",
        arguments.get("to-domain")
    );
    let header = ask(&mut tcp, &open, "'>").await.replace('"', "'");
    let id = attribute(&header, "id").expect("a stream id");
    let digest = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{id}{}", arguments.get("secret")).as_bytes(),
    );
    let mut hex = String::new();
    for byte in digest.as_ref() {
        write!(hex, "{byte:02x}").unwrap();
    }
    ask(&mut tcp, &format!("<handshake>{hex}</handshake>"), "<handshake").await;
    tokio::spawn(async move {
        let (reader, writer) = tcp.into_split();
        let (answers, outgoing) = mpsc::channel(QUEUE);
        tokio::spawn(write_all(writer, outgoing));
        take(reader, answers, meter, true).await;
    });
}

/// The inside server that components attach to: it believes every handshake.
pub(crate) struct Server {
    attached: tokio::sync::Mutex<mpsc::Receiver<mpsc::Sender<String>>>,
}

impl Server {
    /// Accepts components; counts messages as they arrive, or leaves that to whoever gets the answers.
    pub(crate) fn start(listener: TcpListener, meter: Arc<Meter>, counts: bool) -> Self {
        let (attach, attached) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (attach, meter) = (attach.clone(), Arc::clone(&meter));
                tokio::spawn(async move {
                    // A probe that only connects is not a component.
                    let Some((reader, answers)) = self::attach(tcp).await else {
                        return;
                    };
                    attach.send(answers.clone()).await.unwrap();
                    take(reader, answers, meter, counts).await;
                });
            }
        });
        Self {
            attached: tokio::sync::Mutex::new(attached),
        }
    }

    /// Waits for the first component and keeps sending to it.
    pub(crate) async fn source(&self, arguments: &Arc<Arguments>, meter: Arc<Meter>) {
        let component = self
            .attached
            .lock()
            .await
            .recv()
            .await
            .expect("a component attaches");
        let arguments = Arc::clone(arguments);
        tokio::spawn(async move {
            let body = arguments.text();
            loop {
                let text = messages(&arguments, &body, &meter).await;
                component.send(text).await.expect("the component stays");
            }
        });
    }
}

/// Believes the handshake of a component; gives its stanzas, and the way to it.
pub(crate) async fn attach(mut tcp: TcpStream) -> Option<(OwnedReadHalf, mpsc::Sender<String>)> {
    tcp.set_nodelay(true).unwrap();
    let header = read_until(&mut tcp, "jabber:component:accept").await?;
    let name = attribute(&header.replace('"', "'"), "to").unwrap_or_default();
    ask(&mut tcp, &format!("<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' {STREAMS} from='{name}' id='load'>"), "</handshake>").await;
    tcp.write_all(b"<handshake/>").await.unwrap();
    let (reader, writer) = tcp.into_split();
    let (answers, outgoing) = mpsc::channel(QUEUE);
    tokio::spawn(write_all(writer, outgoing));
    Some((reader, answers))
}

async fn messages(arguments: &Arguments, body: &str, meter: &Meter) -> String {
    let (from, to) = (arguments.get("from-domain"), arguments.get("to-domain"));
    let mut text = String::new();
    for number in meter.permits(BATCH).await {
        let user = number % USERS;
        write!(
            text,
            "<message from='peer{user}@{from}/load' to='user{user}@{to}' id='m{number}' type='chat'><body>{body}</body></message>"
        )
        .unwrap();
    }
    text
}

/// Reads stanzas: counts messages, answers pings.
async fn take(
    mut reader: impl AsyncRead + Unpin,
    answers: mpsc::Sender<String>,
    meter: Arc<Meter>,
    counts: bool,
) {
    let mut buffer = Vec::with_capacity(65_536);
    while reader.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
        let mut used = 0;
        let mut arrived = 0;
        let mut pongs = String::new();
        while let Some(start) = memchr::memchr(b'<', &buffer[used..]).map(|at| used + at) {
            let rest = &buffer[start..];
            let Some(kind) = rest.get(..4) else { break };
            let end = match kind {
                b"<mes" => memmem::find(rest, b"</message>").map(|at| at + 10),
                b"<iq " => memmem::find(rest, b"</iq>").map(|at| at + 5),
                _ => memchr::memchr(b'>', rest).map(|at| at + 1),
            };
            let Some(length) = end else { break };
            let stanza = std::str::from_utf8(&rest[..length]).expect("a stanza in UTF-8");
            assert!(
                !stanza.contains("stream:error") && !stanza.contains("type='error'"),
                "an error arrived: {stanza}"
            );
            match kind {
                b"<mes" => arrived += 1,
                b"<iq " if stanza.contains("urn:xmpp:ping") => {
                    let plain = stanza.replace('"', "'");
                    let (from, to, id) = (
                        attribute(&plain, "from"),
                        attribute(&plain, "to"),
                        attribute(&plain, "id"),
                    );
                    let (from, to, id) = (from.expect("from"), to.expect("to"), id.expect("id"));
                    write!(pongs, "<iq type='result' from='{to}' to='{from}' id='{id}'/>").unwrap();
                }
                _ => {}
            }
            used = start + length;
        }
        buffer.drain(..used);
        if !pongs.is_empty() && answers.send(pongs).await.is_err() {
            return;
        }
        if counts {
            meter.arrive(arrived);
        }
    }
}

async fn write_all(mut writer: impl AsyncWrite + Unpin, mut outgoing: mpsc::Receiver<String>) {
    while let Some(text) = outgoing.recv().await {
        if writer.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), text: &str, until: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    read_until(stream, until)
        .await
        .unwrap_or_else(|| panic!("closed while waiting for {until}"))
}

async fn read_until(stream: &mut (impl AsyncRead + Unpin), until: &str) -> Option<String> {
    let mut buffer = Vec::new();
    loop {
        if stream.read_buf(&mut buffer).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8(buffer.clone()).expect("UTF-8");
        assert!(
            !text.contains("stream:error") && !text.contains("<failure"),
            "refused: {text}"
        );
        // An end in one kind of quotes stands for the other, and an end tag for an empty element.
        let (other, empty) = (
            until.replace('\'', "\""),
            format!("<{}/>", until.trim_start_matches("</").trim_end_matches('>')),
        );
        if text.contains(until) || text.contains(&other) || text.contains(&empty) {
            return Some(text);
        }
    }
}

/// The value of an attribute, in single quotes.
pub(crate) fn attribute(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!(" {name}='"))?;
    rest.split_once('\'').map(|(value, _)| value.to_owned())
}
