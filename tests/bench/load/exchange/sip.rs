//! The SIP end: sources that keep their connections up, and a sink.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::ledger::Fate;
use super::{AGAIN, Exchange, PAIRS, Share, TICK};
use crate::sip::{answer, frame};
use crate::tls;

/// Keeps a connection to the server under test and sends its share on it.
pub(super) async fn source(exchange: Arc<Exchange>, connection: u64) {
    let mut share = Share::new(connection, exchange.connections);
    loop {
        if let Err(error) = send(&exchange, connection, &mut share).await {
            exchange.broke(&format!("the SIP connection broke: {error}"));
        }
        share.forget();
        tokio::time::sleep(AGAIN).await;
    }
}

async fn send(exchange: &Arc<Exchange>, connection: u64, share: &mut Share) -> std::io::Result<()> {
    let arguments = &exchange.arguments;
    let tcp = TcpStream::connect(arguments.get("sip-target")).await?;
    tcp.set_nodelay(true)?;
    let via = tcp.local_addr()?;
    let stream = tls::try_connect(arguments, tcp, arguments.get("server-name")).await?;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let open = Arc::new(Mutex::new(HashSet::new()));
    let over = Arc::new(Notify::new());
    let (answers, waiting, ended) = (Arc::clone(exchange), Arc::clone(&open), Arc::clone(&over));
    let reading = tokio::spawn(async move {
        let mut buffer = Vec::with_capacity(65_536);
        while reader.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
            let mut used = 0;
            while let Some((head, length)) = frame(&buffer[used..]) {
                used += length;
                let fate = match head.as_bytes()[8] {
                    b'1' => continue,
                    b'2' => Fate::Accepted,
                    _ => Fate::Refused,
                };
                if fate == Fate::Refused {
                    answers.broke(&format!(
                        "the server answered {}",
                        head.lines().next().unwrap_or_default()
                    ));
                }
                let number = number_after(head.as_bytes(), b"Call-ID: call-").expect("a Call-ID of ours");
                waiting.lock().unwrap().remove(&number);
                answers.to_xmpp.told(number, fate);
            }
            buffer.drain(..used);
        }
        ended.notify_one();
    });
    let (from, to) = (arguments.get("from-domain"), arguments.get("to-domain"));
    let body = arguments.text();
    let mut text = String::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let outcome = loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = over.notified() => break Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
        let numbers = share.due(exchange, &exchange.to_xmpp);
        if numbers.is_empty() {
            continue;
        }
        text.clear();
        for number in &numbers {
            let (user, length) = (number % PAIRS, 11 + body.len());
            write!(
                text,
                "MESSAGE sip:user{user}@{to} SIP/2.0\r\nVia: SIP/2.0/TLS {via};branch=z9hG4bK-{connection}-{number};rport\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:peer{user}@{from}>;tag=t{number}\r\nTo: <sip:user{user}@{to}>\r\n\
                 Call-ID: call-{number}@{from}\r\nCSeq: 1 MESSAGE\r\nUser-Agent: load\r\n\
                 Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{number:010} {body}"
            )
            .unwrap();
        }
        exchange.to_xmpp.send(&numbers);
        open.lock().unwrap().extend(&numbers);
        if let Err(error) = writer.write_all(text.as_bytes()).await {
            break Err(error);
        }
        if let Err(error) = writer.flush().await {
            break Err(error);
        }
    };
    // What came before the end of the connection was read, or will be now.
    let _ = tokio::time::timeout(std::time::Duration::from_millis(500), reading).await;
    for number in open.lock().unwrap().drain() {
        exchange.to_xmpp.told(number, Fate::Broken);
    }
    outcome
}

/// Accepts connections, answers every request with 200, and notes the numbers of messages.
pub(super) async fn sink(listener: TcpListener, acceptor: TlsAcceptor, exchange: Arc<Exchange>) {
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let (acceptor, exchange) = (acceptor.clone(), Arc::clone(&exchange));
        tokio::spawn(async move {
            let Ok(()) = tcp.set_nodelay(true) else { return };
            let Ok(mut stream) = acceptor.accept(tcp).await else {
                return;
            };
            let mut buffer = Vec::with_capacity(65_536);
            let mut answers = String::new();
            while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
                answers.clear();
                let mut used = 0;
                while let Some((head, length)) = frame(&buffer[used..]) {
                    if head.starts_with("MESSAGE ") {
                        let body = &buffer[used + head.len()..used + length];
                        exchange
                            .to_sip
                            .arrived(number_after(body, b"").expect("a numbered message"));
                    }
                    used += length;
                    answer(&head, &mut answers);
                }
                buffer.drain(..used);
                if stream.write_all(answers.as_bytes()).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        });
    }
}

/// The number that follows a text.
pub(super) fn number_after(octets: &[u8], text: &[u8]) -> Option<u64> {
    let start = memmem::find(octets, text)? + text.len();
    let digits = octets[start..]
        .iter()
        .take_while(|octet| octet.is_ascii_digit())
        .count();
    std::str::from_utf8(&octets[start..start + digits])
        .ok()?
        .parse()
        .ok()
}
