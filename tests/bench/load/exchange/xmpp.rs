//! The XMPP end: a server that is linked by s2s with TLS on both its streams. What it sends is acknowledged (XEP-0198).

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;

use super::ledger::Fate;
use super::sip::number_after;
use super::{AGAIN, Exchange, PAIRS, Share, TICK};
use crate::{Arguments, tls};

const STREAMS: &str =
    "xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'";
const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>";
const EXTERNAL: &str =
    "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>";
/// How many answers may wait for the stream that they go out on.
const QUEUE: usize = 1024;

/// One server.
pub(super) struct Node {
    arguments: Arc<Arguments>,
    exchange: Option<Arc<Exchange>>,
    answers: mpsc::Receiver<String>,
}

/// Whom to tell of what has arrived.
#[derive(Clone)]
enum Told {
    Here(Arc<Exchange>),
    There(Arc<tokio::sync::Mutex<TcpStream>>),
}

impl Told {
    async fn arrived(&self, numbers: &[u64]) {
        match self {
            Self::Here(exchange) => numbers
                .iter()
                .for_each(|number| exchange.to_xmpp.arrived(*number)),
            Self::There(stream) => {
                let lines: String = numbers.iter().map(|number| format!("{number}\n")).collect();
                stream
                    .lock()
                    .await
                    .write_all(lines.as_bytes())
                    .await
                    .expect("the exchange listens");
            }
        }
    }
}

impl Node {
    /// Takes what comes, and keeps the answers to it.
    pub(super) async fn listen(arguments: Arc<Arguments>, exchange: Option<Arc<Exchange>>) -> Self {
        let listener = TcpListener::bind(arguments.get("xmpp-listen")).await.unwrap();
        let told = match &exchange {
            Some(exchange) => Told::Here(Arc::clone(exchange)),
            None => Told::There(Arc::new(tokio::sync::Mutex::new(
                TcpStream::connect(arguments.get("tell")).await.unwrap(),
            ))),
        };
        let (send, answers) = mpsc::channel(QUEUE);
        let (acceptor, to, errors) = (
            tls::acceptor(&arguments),
            arguments.get("to-domain").to_owned(),
            exchange.clone(),
        );
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, to, told, send, errors) = (
                    acceptor.clone(),
                    to.clone(),
                    told.clone(),
                    send.clone(),
                    errors.clone(),
                );
                tokio::spawn(async move {
                    if let Ok(stream) = welcome(tcp, &acceptor, &to).await {
                        take(stream, &told, &send, errors.as_deref()).await;
                    }
                });
            }
        });
        Self {
            arguments,
            exchange,
            answers,
        }
    }

    /// Keeps a stream to the server under test: answers go out on it, and the messages of an exchange.
    pub(super) fn speak(mut self) {
        let mut share = Share::new(0, 1);
        tokio::spawn(async move {
            loop {
                if let Err(error) = self.stream(&mut share).await
                    && let Some(exchange) = &self.exchange
                {
                    exchange.broke(&format!("the XMPP stream broke: {error}"));
                }
                share.forget();
                tokio::time::sleep(AGAIN).await;
            }
        });
    }

    async fn stream(&mut self, share: &mut Share) -> std::io::Result<()> {
        let stream = open(&self.arguments).await?;
        let (mut reader, mut writer) = tokio::io::split(stream);
        // What was sent on this stream and not acknowledged, in its order; answers to pings have no number.
        let unknown = Arc::new(Mutex::new(VecDeque::<Option<u64>>::new()));
        let over = Arc::new(Notify::new());
        let (sent, ended, ledger) = (Arc::clone(&unknown), Arc::clone(&over), self.exchange.clone());
        let reading = tokio::spawn(async move {
            let (mut buffer, mut known) = (Vec::new(), 0);
            while reader.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
                while let Some(end) = memchr::memchr(b'>', &buffer) {
                    if let Some(handled) = number_after(&buffer[..end], b" h='")
                        .or_else(|| number_after(&buffer[..end], b" h=\""))
                    {
                        let mut sent = sent.lock().unwrap();
                        for _ in known..handled {
                            if let (Some(Some(number)), Some(exchange)) = (sent.pop_front(), &ledger) {
                                exchange.to_sip.told(number, Fate::Accepted);
                            }
                        }
                        known = handled;
                    }
                    buffer.drain(..=end);
                }
            }
            ended.notify_one();
        });
        let (from, to) = (
            self.arguments.get("to-domain").to_owned(),
            self.arguments.get("from-domain").to_owned(),
        );
        let body = self.arguments.text();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let outcome = loop {
            let mut text = String::new();
            tokio::select! {
                answer = self.answers.recv() => {
                    text.push_str(&answer.expect("the listener lives"));
                    unknown.lock().unwrap().push_back(None);
                }
                _ = tick.tick(), if self.exchange.is_some() => {
                    let exchange = self.exchange.as_ref().expect("an exchange");
                    let numbers = share.due(exchange, &exchange.to_sip);
                    if numbers.is_empty() {
                        continue;
                    }
                    exchange.to_sip.send(&numbers);
                    unknown.lock().unwrap().extend(numbers.iter().map(|number| Some(*number)));
                    for number in numbers {
                        let user = number % PAIRS;
                        write!(
                            text,
                            "<message from='user{user}@{from}/load' to='peer{user}@{to}' id='m{number}' type='chat'><body>{number:010} {body}</body></message>"
                        )
                        .unwrap();
                    }
                    text.push_str("<r xmlns='urn:xmpp:sm:3'/>");
                }
                () = over.notified() => break Err(std::io::ErrorKind::UnexpectedEof.into()),
            }
            if let Err(error) = writer.write_all(text.as_bytes()).await {
                break Err(error);
            }
            if let Err(error) = writer.flush().await {
                break Err(error);
            }
        };
        let _ = tokio::time::timeout(std::time::Duration::from_millis(500), reading).await;
        if let Some(exchange) = &self.exchange {
            for number in unknown.lock().unwrap().drain(..).flatten() {
                exchange.to_sip.told(number, Fate::Broken);
            }
        }
        outcome
    }
}

/// Opens a stream to the server under test: STARTTLS, EXTERNAL, stream management.
async fn open(
    arguments: &Arguments,
) -> std::io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    let (from, to) = (arguments.get("to-domain"), arguments.get("from-domain"));
    let header =
        format!("<?xml version='1.0'?><stream:stream {STREAMS} from='{from}' to='{to}' version='1.0'>");
    let mut tcp = TcpStream::connect(arguments.get("xmpp-target")).await?;
    tcp.set_nodelay(true)?;
    ask(&mut tcp, &header, "</stream:features>").await?;
    ask(
        &mut tcp,
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<proceed",
    )
    .await?;
    let mut stream = tls::try_connect(arguments, tcp, arguments.get("server-name")).await?;
    ask(&mut stream, &header, "</stream:features>").await?;
    let who = base64::engine::general_purpose::STANDARD.encode(from);
    let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{who}</auth>");
    ask(&mut stream, &auth, "<success").await?;
    ask(&mut stream, &header, "</stream:features>").await?;
    ask(&mut stream, "<enable xmlns='urn:xmpp:sm:3'/>", "<enabled").await?;
    Ok(stream)
}

/// Accepts a stream of the server under test; believes it.
async fn welcome(
    mut tcp: TcpStream,
    acceptor: &TlsAcceptor,
    domain: &str,
) -> std::io::Result<impl AsyncRead + Unpin> {
    tcp.set_nodelay(true)?;
    let header = |features: &str| {
        format!(
            "<?xml version='1.0'?><stream:stream {STREAMS} from='{domain}' id='load' version='1.0'><stream:features>{features}</stream:features>"
        )
    };
    read_until(&mut tcp, "version=").await?;
    ask(&mut tcp, &header(STARTTLS), "<starttls").await?;
    tcp.write_all(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        .await?;
    let mut stream = acceptor.accept(tcp).await?;
    read_until(&mut stream, "version=").await?;
    ask(&mut stream, &header(EXTERNAL), "</auth>").await?;
    ask(
        &mut stream,
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "version=",
    )
    .await?;
    stream.write_all(header("").as_bytes()).await?;
    stream.flush().await?;
    Ok(stream)
}

/// Reads stanzas until the stream ends: notes messages, answers pings behind them.
async fn take(
    mut reader: impl AsyncRead + Unpin,
    told: &Told,
    answers: &mpsc::Sender<String>,
    exchange: Option<&Exchange>,
) {
    let mut buffer = Vec::with_capacity(65_536);
    while reader.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
        let (mut used, mut arrived, mut pongs) = (0, Vec::new(), Vec::new());
        while let Some(start) = memchr::memchr(b'<', &buffer[used..]).map(|at| used + at) {
            let rest = &buffer[start..];
            let Some(kind) = rest.get(..4) else { break };
            let Some(first) = memchr::memchr(b'>', rest) else {
                break;
            };
            let whole = match kind {
                b"<mes" if rest[first - 1] != b'/' => memmem::find(rest, b"</message>").map(|at| at + 10),
                b"<iq " if rest[first - 1] != b'/' => memmem::find(rest, b"</iq>").map(|at| at + 5),
                _ => Some(first + 1),
            };
            let Some(length) = whole else { break };
            let stanza = &rest[..length];
            used = start + length;
            if kind == b"<mes" {
                let head = std::str::from_utf8(&stanza[..first]).expect("UTF-8");
                if attribute(head, "type").as_deref() == Some("error") {
                    let number = attribute(head, "id").and_then(|id| id.strip_prefix('m')?.parse().ok());
                    if let (Some(number), Some(exchange)) = (number, exchange) {
                        exchange.broke("the server reported a failure");
                        exchange.to_sip.told(number, Fate::Refused);
                    }
                } else if let Some(number) = number_after(stanza, b"<body>") {
                    arrived.push(number);
                }
            } else if kind == b"<iq " && memmem::find(stanza, b"urn:xmpp:ping").is_some() {
                let head = std::str::from_utf8(&stanza[..first]).expect("UTF-8");
                let get = |name| attribute(head, name).expect("an attribute of a ping");
                pongs.push(format!(
                    "<iq type='result' from='{}' to='{}' id='{}'/>",
                    get("to"),
                    get("from"),
                    get("id")
                ));
            }
        }
        buffer.drain(..used);
        told.arrived(&arrived).await;
        for pong in pongs {
            if answers.send(pong).await.is_err() {
                return;
            }
        }
    }
}

async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    text: &str,
    until: &str,
) -> std::io::Result<()> {
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await?;
    read_until(stream, until).await
}

/// Reads until a text has come, and the end of its tag.
async fn read_until(stream: &mut (impl AsyncRead + Unpin), until: &str) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(std::io::Error::other(format!("closed while waiting for {until}")));
        }
        let text = String::from_utf8_lossy(&buffer);
        if text.contains("stream:error") || text.contains("<failure") {
            return Err(std::io::Error::other(format!("refused: {text}")));
        }
        // An XML declaration has a version too.
        let rest = text.split_once("?>").map_or(&*text, |(_, rest)| rest);
        let empty = format!("<{}/>", until.trim_start_matches("</").trim_end_matches('>'));
        if rest
            .split_once(until)
            .is_some_and(|(_, rest)| until.ends_with('>') || rest.contains('>'))
            || rest.contains(&empty)
        {
            return Ok(());
        }
    }
}

fn attribute(text: &str, name: &str) -> Option<String> {
    ['\'', '"'].into_iter().find_map(|quote| {
        let (_, rest) = text.split_once(&format!(" {name}={quote}"))?;
        rest.split_once(quote).map(|(value, _)| value.to_owned())
    })
}
