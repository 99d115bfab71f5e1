//! A DNS server that says what a test wants, also what no honest one says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, SOA, SRV};
use hickory_resolver::proto::serialize::binary::BinDecodable;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::*;
use crate::route::srv::Service;

/// What the server answers a question with: records, or octets of its own making.
type Script = Arc<dyn Fn(&Message) -> Said + Send + Sync>;

/// Makes the octets of an answer.
type Shape = Box<dyn Fn(&Message) -> Vec<u8> + Send + Sync>;

enum Said {
    Answer(Vec<Record>),
    /// After a while.
    Late(Duration, Vec<Record>),
    /// No such name, with the SOA's minimum.
    Absent(Option<u32>),
    Code(ResponseCode),
    Octets(Vec<u8>),
    Silence,
}

pub(in crate::net) struct Server {
    pub(in crate::net) address: SocketAddr,
    resolver: Resolver,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn new(script: impl Fn(&Message) -> Said + Send + Sync + 'static) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        let (asked, script): (_, Script) = (Arc::new(AtomicUsize::new(0)), Arc::new(script));
        let count = Arc::clone(&asked);
        #[allow(clippy::disallowed_methods, reason = "the other end of a test")]
        let task = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((read, from)) = socket.recv_from(&mut buffer).await {
                let question = Message::from_bytes(&buffer[..read]).unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let (wait, octets) = reply(&question, script(&question));
                let socket = Arc::clone(&socket);
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    if !octets.is_empty() {
                        socket.send_to(&octets, from).await.unwrap();
                    }
                });
            }
        });
        Self {
            address,
            resolver: Resolver::new(&[address], Hosts::Ignored).unwrap(),
            asked,
            task,
        }
    }

    /// One that knows of servers on this machine, the first before the second and so on, by their names and ports.
    pub(in crate::net) async fn of_hosts(hosts: Vec<(&'static str, u16)>) -> Self {
        Self::new(move |question| {
            let asked = asked_name(question);
            let kind = question.queries[0].query_type();
            let mut records = Vec::new();
            if kind == RecordType::SRV {
                for (priority, (host, port)) in (1..).zip(&hosts) {
                    let srv = RData::SRV(SRV::new(priority, 1, *port, name(host)));
                    records.push(Record::from_rdata(asked.clone(), 60, srv));
                }
            } else if kind == RecordType::A {
                records.push(Record::from_rdata(asked, 60, RData::A(A::new(127, 0, 0, 1))));
            }
            Said::Answer(records)
        })
        .await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn srv(&self, domain: &str) -> Result<Vec<String>, DnsError> {
        let name = SrvName::new(Service::XmppServer, &Domain::parse(domain).unwrap());
        let records = self.resolver.srv(&name).await?;
        let target = |record: &SrvRecord| {
            record
                .target
                .as_ref()
                .map_or_else(|| ".".to_owned(), ToString::to_string)
        };
        Ok(records.iter().map(target).collect())
    }

    async fn v4(&self, host: &str) -> Result<Vec<String>, DnsError> {
        let addresses = self
            .resolver
            .addresses(&Domain::parse(host).unwrap(), Family::V4)
            .await?;
        Ok(addresses.iter().map(ToString::to_string).collect())
    }
}

fn reply(question: &Message, said: Said) -> (Duration, Vec<u8>) {
    let mut message = Message::response(question.id, question.op_code);
    message.add_queries(question.queries.clone());
    let mut wait = Duration::ZERO;
    match said {
        Said::Answer(records) => {
            message.add_answers(records);
        }
        Said::Late(time, records) => {
            wait = time;
            message.add_answers(records);
        }
        Said::Absent(minimum) => {
            message.metadata.response_code = ResponseCode::NXDomain;
            if let Some(minimum) = minimum {
                let soa = SOA::new(name("ns.example."), name("admin.example."), 1, 1, 1, 1, minimum);
                message.add_authorities([Record::from_rdata(name("example."), 3600, RData::SOA(soa))]);
            }
        }
        Said::Code(code) => message.metadata.response_code = code,
        Said::Octets(octets) => return (wait, octets),
        Said::Silence => return (wait, Vec::new()),
    }
    (wait, message.to_vec().unwrap())
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn asked_name(question: &Message) -> Name {
    question.queries[0].name().clone()
}

fn srv_record(owner: Name, ttl: u32, priority: u16, target: &str) -> Record {
    Record::from_rdata(owner, ttl, RData::SRV(SRV::new(priority, 1, 5269, name(target))))
}

fn a_record(owner: Name, ttl: u32, last: u8) -> Record {
    Record::from_rdata(owner, ttl, RData::A(A::new(192, 0, 2, last)))
}

fn cname_record(owner: Name, target: &str) -> Record {
    Record::from_rdata(owner, 60, RData::CNAME(CNAME(name(target))))
}

fn is_failed<T>(said: &Result<T, DnsError>) -> bool {
    matches!(said, Err(DnsError::Failed { .. }))
}

fn is_absent<T>(said: &Result<T, DnsError>) -> bool {
    matches!(said, Err(DnsError::NotFound { .. }))
}

#[tokio::test]
async fn records_are_found_through_aliases_of_the_service_name() {
    // The alias and the records in one answer, as a resolver gives them; then one at a time.
    for whole in [true, false] {
        let server = Server::new(move |question| {
            let asked = asked_name(question);
            let records = srv_record(
                name("_xmpp-server._tcp.hoster.example."),
                60,
                1,
                "host.hoster.example.",
            );
            if asked == name("_xmpp-server._tcp.hoster.example.") {
                Said::Answer(vec![records])
            } else if asked == name("_xmpp-server._tcp.peer.example.") {
                let alias = cname_record(asked, "_xmpp-server._tcp.hoster.example.");
                Said::Answer(if whole { vec![alias, records] } else { vec![alias] })
            } else {
                Said::Code(ResponseCode::Refused)
            }
        })
        .await;
        assert_eq!(
            server.srv("peer.example").await,
            Ok(vec!["host.hoster.example".to_owned()]),
            "{whole}"
        );
    }
}

#[tokio::test]
async fn aliases_in_a_circle_or_without_end_are_a_failure_soon() {
    let circle = Server::new(|question| {
        let asked = asked_name(question);
        let other = if asked == name("a.example.") {
            "b.example."
        } else {
            "a.example."
        };
        Said::Answer(vec![cname_record(asked, other)])
    })
    .await;
    assert!(is_failed(&circle.v4("a.example").await));
    assert!(circle.asked() < 20, "{}", circle.asked());
    let whole = Server::new(|question| {
        Said::Answer(vec![
            cname_record(asked_name(question), "b.example."),
            cname_record(name("b.example."), "a.example."),
        ])
    })
    .await;
    assert!(is_failed(&whole.v4("a.example").await));
    let endless = Server::new(|question| {
        let text = asked_name(question).to_ascii();
        Said::Answer(vec![cname_record(
            asked_name(question),
            &format!("x{}.example.", text.len()),
        )])
    })
    .await;
    assert!(is_failed(&endless.v4("a.example").await));
}

#[tokio::test]
async fn an_answer_is_asked_for_again_when_its_time_is_over_and_not_before() {
    for (what, ttl, questions) in [("kept", 60, 1), ("TTL 0", 0, 3)] {
        let server =
            Server::new(move |question| Said::Answer(vec![a_record(asked_name(question), ttl, 1)])).await;
        for _ in 0..3 {
            assert_eq!(server.v4("a.example").await, Ok(vec!["192.0.2.1".to_owned()]));
        }
        assert_eq!(server.asked(), questions, "{what}");
    }
    for (what, minimum) in [("with SOA", Some(60)), ("without SOA", None)] {
        let server = Server::new(move |_| Said::Absent(minimum)).await;
        for _ in 0..3 {
            assert!(is_absent(&server.v4("a.example").await));
        }
        assert_eq!(server.asked(), 1, "absence {what}");
    }
}

#[tokio::test]
async fn those_who_ask_the_same_at_the_same_time_share_one_question() {
    let server = Server::new(|question| {
        Said::Late(
            Duration::from_millis(200),
            vec![a_record(asked_name(question), 0, 1)],
        )
    })
    .await;
    let ask = || server.v4("a.example");
    let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
    assert!([a, b, c, d].iter().all(Result::is_ok));
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_late_answer_is_waited_for_and_holds_up_nobody_else() {
    let server = Server::new(|question| {
        let asked = asked_name(question);
        if asked == name("late.example.") {
            Said::Late(Duration::from_secs(5), vec![a_record(asked, 60, 1)])
        } else if asked == name("never.example.") {
            Said::Silence
        } else {
            Said::Answer(vec![a_record(asked, 60, 2)])
        }
    })
    .await;
    let slow = async {
        let (late, never) = tokio::join!(server.v4("late.example"), server.v4("never.example"));
        assert_eq!(late, Ok(vec!["192.0.2.1".to_owned()]));
        assert!(is_failed(&never));
    };
    let mut slow = std::pin::pin!(slow);
    let others = async {
        for number in 0..200 {
            assert_eq!(
                server.v4(&format!("h{number}.example")).await,
                Ok(vec!["192.0.2.2".to_owned()])
            );
        }
    };
    tokio::select! {
        () = &mut slow => panic!("the others were held up"),
        () = others => {}
    }
    slow.await;
}

#[tokio::test]
async fn a_server_that_fails_is_no_proof_of_absence() {
    for code in [
        ResponseCode::ServFail,
        ResponseCode::Refused,
        ResponseCode::FormErr,
        ResponseCode::NotImp,
    ] {
        let server = Server::new(move |_| Said::Code(code)).await;
        assert!(is_failed(&server.srv("peer.example").await), "{code}");
    }
    // The name is there, and has no such record.
    let server = Server::new(|_| Said::Answer(Vec::new())).await;
    assert!(is_absent(&server.srv("peer.example").await));
}

#[tokio::test]
async fn records_that_were_not_asked_for_are_not_believed() {
    let server = Server::new(|question| {
        let asked = asked_name(question);
        Said::Answer(vec![
            a_record(name("other.example."), 60, 66),
            Record::from_rdata(asked.clone(), 60, RData::AAAA(AAAA::new(0, 0, 0, 0, 0, 0, 0, 1))),
            a_record(asked, 60, 1),
            cname_record(name("third.example."), "a.example."),
        ])
    })
    .await;
    assert_eq!(server.v4("a.example").await, Ok(vec!["192.0.2.1".to_owned()]));
    let elsewhere = Server::new(|_| Said::Answer(vec![a_record(name("other.example."), 60, 66)])).await;
    assert!(is_failed(&elsewhere.v4("a.example").await));
}

#[tokio::test]
async fn the_root_as_target_and_targets_that_are_no_hosts_lead_nowhere_but_are_there() {
    let server = Server::new(|question| {
        let asked = asked_name(question);
        Said::Answer(vec![
            srv_record(asked.clone(), 60, 1, "."),
            srv_record(asked.clone(), 60, 2, "under_score.example."),
            srv_record(asked.clone(), 60, 3, "10.0.0.1."),
            srv_record(asked, 60, 4, "good.example."),
        ])
    })
    .await;
    assert_eq!(
        server.srv("peer.example").await,
        Ok([".", ".", ".", "good.example"].map(str::to_owned).to_vec())
    );
}

#[tokio::test]
async fn names_of_this_machine_are_asked_of_nobody() {
    let server = Server::new(|question| Said::Answer(vec![a_record(asked_name(question), 60, 1)])).await;
    for host in ["localhost", "a.localhost", "b.invalid", "c.onion"] {
        assert!(is_absent(&server.v4(host).await), "{host}");
    }
    assert_eq!(server.asked(), 0);
    assert!(server.v4("notlocalhost.example").await.is_ok());
}

#[tokio::test]
async fn octets_that_are_no_answer_are_a_failure_and_nothing_worse() {
    let mut seed = 4475_u64;
    let mut next = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    let good = |question: &Message| {
        let asked = asked_name(question);
        let records = (0..20).map(|n| srv_record(asked.clone(), 60, n, "host.example."));
        reply(question, Said::Answer(records.collect())).1
    };
    let mut next = move || usize::try_from(next()).unwrap();
    let cut = next();
    let randoms: Vec<usize> = (0..64).map(|_| next()).collect();
    let shapes: Vec<(&str, Shape)> = vec![
        (
            "nothing but an id",
            Box::new(|question| question.id.to_be_bytes().to_vec()),
        ),
        (
            "cut short",
            Box::new(move |question| {
                let octets = good(question);
                octets[..octets.len() / 2 + cut % 20].to_vec()
            }),
        ),
        (
            "more answers than there are",
            Box::new(move |question| {
                let mut octets = good(question);
                octets[6..8].copy_from_slice(&u16::MAX.to_be_bytes());
                octets
            }),
        ),
        (
            "a name that points to itself",
            Box::new(move |question| {
                let mut octets = good(question);
                octets.truncate(12);
                octets[4..6].copy_from_slice(&1_u16.to_be_bytes());
                octets.extend([0xc0, 12, 0, 33, 0, 1]);
                octets
            }),
        ),
        (
            "another id",
            Box::new(move |question| {
                let mut octets = good(question);
                octets[0] ^= 0xff;
                octets
            }),
        ),
        (
            "another question",
            Box::new(move |question| {
                let mut other = question.clone();
                other.queries[0].set_name(name("evil.example."));
                good(&other)
            }),
        ),
        (
            "noise",
            Box::new(move |question| {
                let mut octets = good(question);
                for (at, random) in randoms.iter().enumerate() {
                    let place = 12 + (*random + at) % (octets.len() - 12);
                    octets[place] = random.to_le_bytes()[0];
                }
                octets
            }),
        ),
    ];
    let mut asking = tokio::task::JoinSet::new();
    for (what, shape) in shapes {
        asking.spawn(async move {
            let server = Server::new(move |question| Said::Octets(shape(question))).await;
            assert!(is_failed(&server.srv("peer.example").await), "{what}");
        });
    }
    while let Some(done) = asking.join_next().await {
        done.unwrap();
    }
}
