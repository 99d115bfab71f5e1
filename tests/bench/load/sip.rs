//! SIP over TLS: a source of MESSAGE requests, and a sink that answers each with 200.

use std::fmt::Write as _;
use std::sync::Arc;

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::{Arguments, Meter, tls};

/// How many requests are written with one system call.
const BATCH: u64 = 16;
/// How many users write to how many users.
const USERS: u64 = 100;

/// Opens one connection to the server under test and keeps sending on it; its answers are what counts as arrived.
pub(crate) async fn source(arguments: Arc<Arguments>, meter: Arc<Meter>, connection: u64) {
    let tcp = TcpStream::connect(arguments.get("sip-target"))
        .await
        .expect("connect to the SIP target");
    tcp.set_nodelay(true).unwrap();
    let via = tcp.local_addr().unwrap();
    let stream = tls::connect(&arguments, tcp, arguments.get("server-name")).await;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let answers = Arc::clone(&meter);
    tokio::spawn(async move {
        let mut buffer = Vec::with_capacity(65_536);
        while reader.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
            let mut finals = 0;
            while let Some((head, length)) = frame(&buffer) {
                match &head.as_bytes()[8..11] {
                    b"200" | b"202" => finals += 1,
                    [b'1', ..] => {}
                    _ => panic!("the server answered {}", head.lines().next().unwrap_or_default()),
                }
                buffer.drain(..length);
            }
            answers.arrive(finals);
        }
    });
    tokio::spawn(async move {
        let (from, to) = (arguments.get("from-domain"), arguments.get("to-domain"));
        let body = arguments.text();
        let mut text = String::new();
        loop {
            text.clear();
            for number in meter.permits(BATCH).await {
                let user = number % USERS;
                write!(
                    text,
                    "MESSAGE sip:user{user}@{to} SIP/2.0\r\nVia: SIP/2.0/TLS {via};branch=z9hG4bK-{connection}-{number};rport\r\n\
                     Max-Forwards: 70\r\nFrom: <sip:peer{user}@{from}>;tag=t{number}\r\nTo: <sip:user{user}@{to}>\r\n\
                     Call-ID: call-{connection}-{number}@{from}\r\nCSeq: 1 MESSAGE\r\nUser-Agent: load\r\n\
                     Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
            if writer.write_all(text.as_bytes()).await.is_err() || writer.flush().await.is_err() {
                panic!("the server closed the connection");
            }
        }
    });
}

/// Accepts connections and answers every request with 200; counts them as arrived where nobody waits for the answers.
pub(crate) async fn sink(listener: TcpListener, acceptor: TlsAcceptor, meter: Arc<Meter>, counts: bool) {
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let (acceptor, meter) = (acceptor.clone(), Arc::clone(&meter));
        tokio::spawn(async move {
            tcp.set_nodelay(true).unwrap();
            // Whoever only looks whether somebody is there connects and leaves again.
            let Ok(mut stream) = acceptor.accept(tcp).await else {
                return;
            };
            let mut buffer = Vec::with_capacity(65_536);
            let mut answers = String::new();
            while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
                answers.clear();
                let mut messages = 0;
                let mut used = 0;
                while let Some((head, length)) = frame(&buffer[used..]) {
                    used += length;
                    answer(&head, &mut answers);
                    messages += u64::from(head.starts_with("MESSAGE "));
                }
                buffer.drain(..used);
                stream.write_all(answers.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                if counts {
                    meter.arrive(messages);
                }
            }
        });
    }
}

/// The head of the first whole message of a buffer, and the message's length with its body.
pub(crate) fn frame(buffer: &[u8]) -> Option<(String, usize)> {
    let end = memmem::find(buffer, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&buffer[..end])
        .expect("a head in UTF-8")
        .to_owned();
    let body: usize = field(&head, "content-length", "l").map_or(0, |value| value.parse().unwrap());
    (buffer.len() >= end + body).then_some((head, end + body))
}

/// Adds the 200 to a request.
pub(crate) fn answer(head: &str, answers: &mut String) {
    answers.push_str("SIP/2.0 200 OK\r\n");
    for line in head.lines().skip(1) {
        let name = line
            .split(':')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        if matches!(
            &*name,
            "via" | "v" | "from" | "f" | "to" | "t" | "call-id" | "i" | "cseq"
        ) {
            answers.push_str(line);
            if matches!(&*name, "to" | "t") && !line.contains(";tag=") {
                answers.push_str(";tag=sink");
            }
            answers.push_str("\r\n");
        }
    }
    answers.push_str("Content-Length: 0\r\n\r\n");
}

/// The value of a header field.
pub(crate) fn field<'a>(head: &'a str, name: &str, compact: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        let found = found.trim();
        (found.eq_ignore_ascii_case(name) || found.eq_ignore_ascii_case(compact)).then_some(value.trim())
    })
}
