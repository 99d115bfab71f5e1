//! Dialback among three machines: a server that takes keys, a stream of its own that asks about them, and the
//! authoritative server. A pair is proven if and only if its key is that of its domains and of this very stream.

use std::time::Instant;

use vestibule::choices::Choices;
use vestibule::domain::Domain;
use vestibule::limits::Limits;
use vestibule::streams::{Machine, Witness};
use vestibule::xmpp::DialbackSecret;
use vestibule::xmpp::stream::{
    ClientCertificate, Dialback, DialbackAnswer, Event, HostAnswer, Initiating, Input, Output, Purpose, Question, Receiving,
    Sasl, Start, StreamSettings, Tls, Verdict,
};

pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let now = Instant::now();
    let secret = DialbackSecret::new(b"of the authoritative server");
    let mut server = receiving(now, &DialbackSecret::new(b"of the receiving server"));
    server.feed(
        b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
          xmlns:db='jabber:server:dialback' from='one.example' to='two.example' version='1.0'>",
    );
    serve(&mut server);
    let mut right: Vec<(Domain, Domain)> = Vec::new();
    for _ in 0..8 {
        if choices.is_done() || server.closed {
            break;
        }
        let (from, to) = (choices.domain(), choices.domain());
        let mut of = (to.clone(), from.clone(), STREAM_ID.to_owned());
        match choices.next() % 8 {
            0 => of.0 = choices.domain(),
            1 => of.1 = choices.domain(),
            2 => of.2 = choices.text(),
            3 => std::mem::swap(&mut of.0, &mut of.1),
            _ => {}
        }
        let mut key = secret.key(&of.0, &of.1, &of.2);
        if choices.seldom(4) {
            key = choices.text().chars().filter(char::is_ascii_alphanumeric).collect();
        }
        let is_right = key == secret.key(&to, &from, STREAM_ID);
        let (named_from, named_to) = (from.to_unicode(), to.to_unicode());
        server.feed(format!("<db:result from='{named_from}' to='{named_to}'>{key}</db:result>").as_bytes());
        serve(&mut server);
        if is_right {
            right.push((from, to));
        }
        while let Some(question) = server.questions.pop() {
            let Question::Dialback {
                from,
                to,
                stream_id,
                key,
            } = question
            else {
                panic!("{question:?} was answered already");
            };
            assert_eq!(stream_id, STREAM_ID);
            let answer = ask(&mut choices, now, &secret, (&from, &to), (&stream_id, &key));
            let is_right = right.contains(&(from.clone(), to.clone()));
            assert_eq!(answer == DialbackAnswer::Valid, is_right, "{from} to {to}: {answer:?}");
            if is_right {
                server.confirmed.push((from.clone(), to.clone()));
            }
            let pair = (from.clone(), to.clone());
            server
                .tell(Input::Verdict(Verdict::Dialback { from, to, answer }))
                .expect("it was asked");
            let is_proven = server
                .proven
                .iter()
                .any(|(ours, theirs, _)| (theirs, ours) == (&pair.0, &pair.1));
            assert_eq!(is_proven, is_right);
        }
    }
    server.end();
}

/// Asks the authoritative server, octet by octet in portions of the script's choice.
fn ask(
    choices: &mut Choices<'_>,
    now: Instant,
    secret: &DialbackSecret,
    (from, to): (&Domain, &Domain),
    (stream_id, key): (&str, &str),
) -> DialbackAnswer {
    let purpose = Purpose::Verify {
        local: to.clone(),
        remote: from.clone(),
        stream_id: stream_id.to_owned(),
        key: key.to_owned(),
    };
    let mut asking = Initiating::new(
        now,
        Start::Plain,
        purpose,
        PLAIN,
        DialbackSecret::new(b"of the receiving server"),
        &Limits::default(),
    );
    let ids = [9, 8, 7];
    let mut authority = Receiving::new(now, Start::Plain, ids, secret.clone(), &Limits::default());
    let mut verified = None;
    let portion = usize::from(choices.next()).max(1);
    for _ in 0..64 {
        let mut moved = false;
        while let Some(output) = asking.poll() {
            moved = true;
            match output {
                Output::Transmit(octets) => {
                    for octets in octets.chunks(portion) {
                        authority.handle(now, Input::Bytes(octets)).expect("octets");
                    }
                }
                Output::Event(Event::Verified(answer)) => {
                    assert_eq!(verified.replace(answer), None, "answered twice");
                }
                Output::Event(_) => {}
                Output::Close => authority.handle(now, Input::Eof).expect("an end"),
                Output::StartTls | Output::Ask(_) => panic!("{output:?} without TLS"),
            }
        }
        while let Some(output) = authority.poll() {
            moved = true;
            match output {
                Output::Transmit(octets) => {
                    for octets in octets.chunks(portion) {
                        asking.handle(now, Input::Bytes(octets)).expect("octets");
                    }
                }
                Output::Ask(Question::Host { from, to }) => {
                    let answer = HostAnswer::Served(PLAIN);
                    let verdict = Verdict::Host { from, to, answer };
                    authority.handle(now, Input::Verdict(verdict)).expect("it was asked");
                }
                Output::Close => asking.handle(now, Input::Eof).expect("an end"),
                Output::Event(Event::Authenticated { .. }) => panic!("nobody proved anything to the authority"),
                Output::Event(_) => {}
                Output::StartTls | Output::Ask(_) => panic!("{output:?} without TLS"),
            }
        }
        if !moved {
            break;
        }
    }
    verified.unwrap_or_else(|| panic!("no answer about {key:?}"))
}

fn receiving(now: Instant, secret: &DialbackSecret) -> Witness {
    let machine = Receiving::new(now, Start::Plain, [1, 2, 3], secret.clone(), &Limits::default());
    Witness::new(Machine::Receiving(Box::new(machine)), now, false)
}

/// Answers whatever is no dialback: every host is served in the clear.
fn serve(server: &mut Witness) {
    let asked = server
        .questions
        .iter()
        .position(|question| matches!(question, Question::Host { .. }));
    if let Some(position) = asked
        && let Question::Host { from, to } = server.questions.remove(position)
    {
        let answer = HostAnswer::Served(PLAIN);
        let verdict = Verdict::Host { from, to, answer };
        server.tell(Input::Verdict(verdict)).expect("it was asked");
    }
}

const PLAIN: StreamSettings = StreamSettings {
    tls: Tls::Off,
    sasl: Sasl::Off,
    dialback: Dialback::On,
    certificate: ClientCertificate::NotRequired,
};
/// What the machine makes of the first of its numbers.
const STREAM_ID: &str = "00000000000000000000000000000001";
