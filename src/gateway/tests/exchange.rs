//! Kinds, one-way policy, answers that nobody asked for, and what goes in circles.

use super::*;
use crate::limits::GatewayLimits;
use crate::policy::Kind as Traffic;
use crate::xmpp::stanza::PresenceType;

const ALICE: &str = "sip:alice@partner.example";
const BOB: &str = "sip:bob@corp.example";
const JULIET: &str = "juliet@corp.example/x";
const ROMEO: &str = "romeo@friend.example/y";
const TEA: &str = "tea@rooms.corp.example";
const FRIENDS: &str = "tea@rooms.friend.example/romeo";

/// A border and a gateway behind it.
struct Bench {
    border: Border,
    gateway: Gateway<u32>,
    now: Instant,
}

impl Bench {
    fn new(setting: Setting) -> Self {
        Self::with_room_for(setting, 100)
    }

    fn with_room_for(setting: Setting, queries: usize) -> Self {
        let limits = GatewayLimits {
            queries,
            ..GatewayLimits::default()
        };
        Self {
            border: setting.border(),
            gateway: Gateway::new(0, limits, &speaker(7, UNDELIVERABLE)),
            now: Instant::now(),
        }
    }

    fn handle(&mut self, input: Input<u32>) -> Seen {
        self.gateway.handle(self.now, input);
        drain(&mut self.gateway, self.now)
    }

    fn admit(&self, stanza: Stanza) -> Result<AdmittedStanza, RejectedStanza> {
        let side = if self.border.table().local(stanza.from().domain()).is_some() {
            Side::Inside
        } else {
            Side::Outside
        };
        self.border.admit_stanza(side, stanza, today(), &[7; 32])
    }

    /// What becomes of a stanza: what is sent, or nothing where it is refused in silence.
    fn say(&mut self, stanza: Stanza) -> Seen {
        match self.admit(stanza) {
            Ok(AdmittedStanza::Deliver(delivery)) => self.handle(Input::Deliver {
                delivery,
                origin: None,
            }),
            Ok(other) => panic!("{other:?}"),
            Err(rejected) => {
                assert_eq!(rejected.class(), "policy_one_way");
                assert_eq!(rejected.into_reply(), None);
                Seen::default()
            }
        }
    }

    fn passes(&self, stanza: Stanza) -> bool {
        matches!(self.admit(stanza), Ok(AdmittedStanza::Deliver(_)))
    }

    /// A SIP user's message, up to the stanza that the node gets.
    fn ask(&mut self) -> Letter {
        let request = message(ALICE, BOB, "hello");
        let mut peer = Proven(&["partner.example"]);
        match self.border.admit_sip(Side::Outside, request, &mut peer, today()) {
            Ok(Admitted::Deliver(delivery)) => {
                let origin = Some(1);
                self.handle(Input::Deliver { delivery, origin })
                    .sent
                    .pop()
                    .unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    fn trouble(&mut self, token: Token, trouble: Trouble) -> Seen {
        self.handle(Input::Returned { token, trouble })
    }
}

fn friend(directions: Directions, kinds: &[Traffic]) -> Setting {
    Setting {
        unlisted: Setting::open().unlisted,
        ..Setting::with("*.friend.example", Action::Allow, directions, kinds)
    }
}

fn get(from: &str, to: &str, id: &str) -> Stanza {
    stanza(Kind::Iq(IqType::Get), from, to)
        .with_id(id)
        .with_child(Element::new("vCard", "vcard-temp"))
}

fn marked(kind: Kind, from: &str, to: &str, mark: &str) -> Stanza {
    stanza(kind, from, to)
        .with_id("q1")
        .with_child(Element::new("x", mark))
}

const MUC: &str = "http://jabber.org/protocol/muc";
const SI: &str = "http://jabber.org/protocol/si";

#[test]
fn each_kind_of_traffic_passes_where_it_is_allowed_and_nowhere_else() {
    let im = chat(ROMEO, JULIET, "m1", "hi");
    let available = |from, to| stanza(Kind::Presence(PresenceType::Available), from, to);
    let leaving = stanza(Kind::Presence(PresenceType::Unavailable), JULIET, FRIENDS);
    let failed = stanza(Kind::Message(MessageType::Error), FRIENDS, JULIET);
    let file = marked(Kind::Iq(IqType::Set), ROMEO, JULIET, SI);
    let join = |from, to| marked(Kind::Presence(PresenceType::Available), from, to, MUC);
    let rows = [
        ("im", im, vec![Traffic::Im]),
        ("presence", available(ROMEO, JULIET), vec![Traffic::Presence]),
        (
            "subscribe",
            stanza(Kind::Presence(PresenceType::Subscribe), ROMEO, JULIET),
            vec![Traffic::Presence],
        ),
        (
            "directed presence",
            available(JULIET, ROMEO),
            vec![Traffic::Presence],
        ),
        ("joining theirs", join(JULIET, FRIENDS), vec![Traffic::Groupchat]),
        ("joining ours", join(ROMEO, TEA), vec![Traffic::Groupchat]),
        (
            "staying in ours",
            available(ROMEO, "tea@rooms.corp.example/romeo"),
            vec![Traffic::Groupchat],
        ),
        (
            "leaving theirs",
            leaving,
            vec![Traffic::Presence, Traffic::Groupchat],
        ),
        ("an error", failed, vec![Traffic::Im, Traffic::Groupchat]),
        (
            "in a room",
            stanza(Kind::Message(MessageType::Groupchat), FRIENDS, JULIET),
            vec![Traffic::Groupchat],
        ),
        ("a file", file, vec![Traffic::FileTransfer]),
        (
            "a file in our room",
            marked(Kind::Iq(IqType::Set), ROMEO, TEA, SI),
            vec![Traffic::FileTransfer],
        ),
        ("a query", get(ROMEO, JULIET, "q1"), vec![Traffic::Other]),
        (
            "a query to our room",
            get(ROMEO, TEA, "q1"),
            vec![Traffic::Groupchat],
        ),
    ];
    for (what, stanza, kinds) in rows {
        for kind in Traffic::ALL {
            let bench = Bench::new(friend(Directions::Both, &[kind]));
            assert_eq!(
                bench.passes(stanza.clone()),
                kinds.contains(&kind),
                "{what} where {kind} is allowed"
            );
        }
    }
    let ibb = "http://jabber.org/protocol/ibb";
    let both = chat(ROMEO, JULIET, "m1", "hi").with_child(Element::new("data", ibb));
    for (kinds, passes) in [
        (&[Traffic::Im][..], false),
        (&[Traffic::FileTransfer], false),
        (&[Traffic::Im, Traffic::FileTransfer], true),
    ] {
        assert_eq!(
            Bench::new(friend(Directions::Both, kinds)).passes(both.clone()),
            passes,
            "words beside a file where {kinds:?} may pass"
        );
    }
}

#[test]
fn an_answer_is_of_the_kind_of_its_query_and_passes_with_it() {
    // Files are allowed, and nothing else: the result of a negotiation shows no kind by itself.
    let mut bench = Bench::new(friend(Directions::Both, &[Traffic::FileTransfer]));
    let offer = marked(Kind::Iq(IqType::Set), JULIET, ROMEO, SI);
    let result = offer.result_reply(None).unwrap();
    assert_eq!(bench.say(offer).sent.len(), 1);
    let seen = bench.say(result.clone());
    assert_eq!(seen.sent.len(), 1);
    assert_eq!(seen.sent[0].stanza, result);
    // Inwards nothing but presence is allowed, outwards everything: the answer is not what may come in.
    let mut setting = friend(Directions::Outbound, &Traffic::ALL);
    let inwards = friend(Directions::Inbound, &[Traffic::Presence]);
    setting.exceptions.extend(inwards.exceptions);
    let mut bench = Bench::new(setting);
    let query = get(JULIET, ROMEO, "q1");
    let result = query.result_reply(None).unwrap();
    bench.say(query);
    assert!(bench.say(result).sent.is_empty());
}

#[test]
fn an_iq_result_that_nobody_asked_for_is_dropped_in_silence() {
    let everything = || friend(Directions::Both, &Traffic::ALL);
    let query = get(JULIET, ROMEO, "q1");
    let result = query
        .result_reply(Some(Element::new("vCard", "vcard-temp")))
        .unwrap();
    let error = query
        .error_reply(&StanzaError::new(Condition::ServiceUnavailable))
        .unwrap();
    let with = |change: fn(&mut Stanza)| {
        let mut changed = result.clone();
        change(&mut changed);
        changed
    };
    let unasked = [
        ("another id", result.clone().with_id("q2")),
        (
            "another asker",
            with(|it| it.set_to(jid("juliet@corp.example/z"))),
        ),
        (
            "nobody's bare address",
            with(|it| it.set_to(jid("juliet@corp.example"))),
        ),
        (
            "another domain",
            with(|it| it.set_from(jid("romeo@sub.friend.example/y"))),
        ),
    ];
    for (what, stanza) in unasked {
        let mut bench = Bench::new(everything());
        bench.say(query.clone());
        let seen = bench.say(stanza);
        assert_eq!(seen.outcomes, [Outcome::Ignored], "{what}");
        assert!(seen.sent.is_empty(), "{what}");
        assert_eq!(
            bench.say(result.clone()).sent.len(),
            1,
            "the right one still comes: {what}"
        );
    }
    let mut bench = Bench::new(everything());
    for answer in [&result, &error] {
        assert!(bench.say(answer.clone()).sent.is_empty(), "without a query");
        bench.say(query.clone());
        assert_eq!(bench.say(answer.clone()).sent.len(), 1);
        assert!(bench.say(answer.clone()).sent.is_empty(), "twice");
    }
    // A query that did not leave has its answer from the edge, and none from elsewhere.
    let token = bench.say(query.clone()).sent[0].token();
    let seen = bench.trouble(token, Trouble::NotFound);
    assert_eq!(
        seen.errors(),
        [(
            JULIET.to_owned(),
            "q1".to_owned(),
            Condition::RemoteServerNotFound
        )]
    );
    assert!(bench.say(result.clone()).sent.is_empty());
    // Where another edge may have sent the query, the answer is judged for itself.
    let mut setting = everything();
    setting.conduct.unasked = Unasked::Judged;
    assert_eq!(Bench::new(setting).say(result).sent.len(), 1);
}

#[test]
fn a_query_too_many_comes_back() {
    let mut bench = Bench::with_room_for(friend(Directions::Both, &Traffic::ALL), 1);
    bench.say(get(JULIET, ROMEO, "q1"));
    let seen = bench.say(get(JULIET, ROMEO, "q2"));
    assert_eq!(
        seen.errors(),
        [(JULIET.to_owned(), "q2".to_owned(), Condition::ResourceConstraint)]
    );
    assert_eq!(seen.outcomes, [Outcome::Failed]);
    assert_eq!(seen.sent.len(), 1, "it is not passed on");
}

/// An error that says nothing but that there is none to be had.
fn constant(query: &Stanza) -> Stanza {
    query
        .error_reply(&StanzaError::new(Condition::ServiceUnavailable))
        .unwrap()
}

#[test]
fn one_way_nothing_comes_back_between_xmpp_domains() {
    for (directions, from, to) in [
        (Directions::Inbound, ROMEO, JULIET),
        (Directions::Outbound, JULIET, ROMEO),
    ] {
        let mut bench = Bench::new(friend(directions, &Traffic::ALL));
        let message = chat(from, to, "m1", "hi");
        let seen = bench.say(message.clone());
        assert_eq!(seen.sent.len(), 1, "{directions}: it goes its way");
        let token = seen.sent[0].token();
        let error = message
            .error_reply(&StanzaError::new(Condition::ItemNotFound).with_text("no such user"))
            .unwrap();
        for back in [
            error,
            chat(to, from, "m2", "hello yourself"),
            stanza(Kind::Presence(PresenceType::Unavailable), to, from),
            stanza(Kind::Presence(PresenceType::Error), to, from),
        ] {
            let refused = bench.admit(back.clone()).unwrap_err();
            assert_eq!(refused.class(), "policy_one_way", "{directions}: {back:?}");
        }
        // What the edge has to say for itself is the same whatever happened.
        let told: Vec<_> = [
            Trouble::NotFound,
            Trouble::Untrusted,
            Trouble::Overload,
            Trouble::Broken,
        ]
        .into_iter()
        .map(|trouble| {
            let mut bench = Bench::new(friend(directions, &Traffic::ALL));
            let token = bench.say(message.clone()).sent[0].token();
            bench.trouble(token, trouble).sent.pop().unwrap().stanza
        })
        .collect();
        assert!(told.iter().all(|error| *error == constant(&message)), "{told:?}");
        let _ = token;
        // A query is passed on and answered by the edge at once, always alike.
        let query = get(from, to, "q1");
        let seen = bench.say(query.clone());
        let stanzas: Vec<_> = seen.sent.iter().map(|letter| letter.stanza.clone()).collect();
        assert_eq!(stanzas, [constant(&query), query.clone()], "{directions}");
        assert_eq!(seen.sent[1].token, None, "and nothing more is said of it");
        assert!(bench.say(query.result_reply(None).unwrap()).sent.is_empty());
    }
}

#[test]
fn one_way_a_sip_peer_hears_nothing_of_what_the_node_said() {
    let inbound = || {
        Setting::with(
            "partner.example",
            Action::Allow,
            Directions::Inbound,
            &Traffic::ALL,
        )
    };
    let mut said = Vec::new();
    for condition in [
        Condition::ItemNotFound,
        Condition::ServiceUnavailable,
        Condition::Gone,
    ] {
        let mut bench = Bench::new(inbound());
        let letter = bench.ask();
        let error = StanzaError::new(condition).with_text("juliet left the company");
        let error = letter.stanza.error_reply(&error).unwrap();
        said.push(
            bench
                .handle(Input::Answer(Box::new(error)))
                .responses
                .pop()
                .unwrap()
                .1,
        );
    }
    // And when the node takes it, in the same words.
    let mut bench = Bench::new(inbound());
    let request = message(ALICE, BOB, "hello");
    let Ok(Admitted::Deliver(delivery)) =
        bench
            .border
            .admit_sip(Side::Outside, request, &mut Proven(&["partner.example"]), today())
    else {
        panic!("refused");
    };
    let mut seen = bench.handle(Input::Deliver {
        delivery,
        origin: Some(1),
    });
    let ping = seen.pings.pop().unwrap();
    bench.handle(Input::Written {
        tokens: vec![seen.sent[0].token(), ping.token()],
        epoch: 1,
    });
    let pong = ping.stanza.result_reply(None).unwrap();
    said.push(
        bench
            .handle(Input::Answer(Box::new(pong)))
            .responses
            .pop()
            .unwrap()
            .1,
    );
    assert_eq!(said[0].status(), StatusCode::ACCEPTED);
    assert_eq!(said[0].reason(), "Accepted");
    assert!(said.iter().all(|it| octets(it) == octets(&said[0])), "{said:?}");
    // What could not be passed on is told, and not why.
    let failed: Vec<_> = [
        Trouble::NotFound,
        Trouble::Unreachable,
        Trouble::Overload,
        Trouble::Stopping,
    ]
    .into_iter()
    .map(|trouble| {
        let mut bench = Bench::new(inbound());
        let token = bench.ask().token();
        bench.trouble(token, trouble).responses.pop().unwrap().1
    })
    .collect();
    assert_eq!(failed[0].status(), StatusCode::TEMPORARILY_UNAVAILABLE);
    assert_eq!(failed[0].reason(), "Temporarily Unavailable");
    assert!(
        failed.iter().all(|it| octets(it) == octets(&failed[0])),
        "{failed:?}"
    );
    // Nothing of ours goes out.
    let out = chat(JULIET, "alice@partner.example", "m1", "hi");
    assert_eq!(
        Bench::new(inbound()).admit(out).unwrap_err().class(),
        "policy_one_way"
    );
}

#[test]
fn one_way_an_xmpp_user_hears_nothing_of_what_the_sip_peer_said() {
    let outbound = || {
        Setting::with(
            "partner.example",
            Action::Allow,
            Directions::Outbound,
            &Traffic::ALL,
        )
    };
    let sent = chat(JULIET, "alice@partner.example", "m1", "hi");
    for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::DECLINE] {
        let mut bench = Bench::new(outbound());
        let (token, request, _) = bench.say(sent.clone()).requests.pop().unwrap();
        let response = Box::new(request.response(status, "alice left the company", Some("t")));
        let seen = bench.handle(Input::Response { token, response });
        assert!(seen.sent.is_empty(), "{status:?}");
        assert_eq!(seen.outcomes.len(), 1, "it is counted all the same");
    }
    for trouble in [Trouble::NotFound, Trouble::Untrusted, Trouble::Timeout] {
        let mut bench = Bench::new(outbound());
        let (token, ..) = bench.say(sent.clone()).requests.pop().unwrap();
        let told = bench.trouble(token, trouble).sent.pop().unwrap().stanza;
        assert_eq!(told, constant(&sent), "{trouble:?}");
    }
    let inwards = Bench::new(outbound()).border.admit_sip(
        Side::Outside,
        message(ALICE, BOB, "hello"),
        &mut Proven(&["partner.example"]),
        today(),
    );
    assert_eq!(inwards.unwrap_err().class(), "policy_one_way");
}

#[test]
fn what_comes_back_to_where_it_came_from_ends_there() {
    let mut setting = Setting::open();
    setting.unlisted = Some(Federated {
        protocol: Speaks::Auto(None),
        ..Federated::unlisted(DomainPattern::parse("*.example").unwrap())
    });
    let bench = Bench::new(setting);
    let refusal = |side, stanza: Stanza| {
        let rejected = bench
            .border
            .admit_stanza(side, stanza, today(), &[7; 32])
            .unwrap_err();
        let class = rejected.class();
        (class, rejected.into_reply().is_some())
    };
    // Ours comes back from outside, whatever it passed in between, and theirs from inside.
    for id in ["m1", "m2"] {
        assert_eq!(
            refusal(Side::Outside, chat(JULIET, "bob@corp.example", id, "hi")),
            ("impersonation", false)
        );
        assert_eq!(
            refusal(Side::Outside, chat(JULIET, ROMEO, id, "hi")),
            ("impersonation", false)
        );
        assert_eq!(
            refusal(Side::Inside, chat(ROMEO, JULIET, id, "hi")),
            ("impersonation", false)
        );
        assert_eq!(
            refusal(Side::Inside, chat(ROMEO, "x@partner.example", id, "hi")),
            ("impersonation", false)
        );
    }
    // Two edges that are each other's peers: what is for neither's own domain goes no further than the first.
    assert_eq!(
        refusal(Side::Outside, chat(ROMEO, "x@partner.example", "m1", "hi")),
        ("relaying", true)
    );
    // The same by SIP: a message of ours that a peer sends back, and one for another peer.
    for (from, to, class) in [
        ("sip:juliet@corp.example", BOB, "impersonation"),
        (
            "sip:juliet@corp.example",
            "sip:alice@partner.example",
            "impersonation",
        ),
        (ALICE, "sip:carol@ms.example", "relaying"),
        (ALICE, "sip:romeo@friend.example", "relaying"),
    ] {
        let mut peer = Proven(&["partner.example", "corp.example"]);
        let fares = bench
            .border
            .admit_sip(Side::Outside, message(from, to, "hi"), &mut peer, today());
        assert_eq!(fares.unwrap_err().class(), class, "{from} to {to}");
    }
}

const PASSED: &str = "urn:vestibule:passage:0";

fn passed(stanza: Stanza, by: &str) -> Stanza {
    stanza.with_child(Element::new("passed", PASSED).with_attribute("by", by))
}

fn admitted(side: Side, stanza: Stanza) -> Result<Box<Delivery>, RejectedStanza> {
    let bench = Bench::new(Setting::open());
    match bench.border.admit_stanza(side, stanza, today(), &[7; 32])? {
        AdmittedStanza::Deliver(delivery) => Ok(delivery),
        other @ (AdmittedStanza::Answer(_)
        | AdmittedStanza::Pong(_)
        | AdmittedStanza::Ignore
        | AdmittedStanza::GivenUp { .. }) => {
            panic!("{other:?}")
        }
    }
}

#[test]
fn marks_of_gateways_go_outside_and_names_do_not() {
    let other = Mark::new(b"another", &domain("gw2.corp.lan")).to_string();
    let inner = |to: &str| passed(passed(chat(JULIET, to, "m1", "hi"), "gw2.corp.lan"), &other);
    let delivery = admitted(Side::Inside, inner("alice@partner.example")).unwrap();
    let Carried::Request(request) = delivery.carried() else {
        panic!("{delivery:?}")
    };
    assert_eq!(request.headers().get(passage::FIELD), Some(&*other));
    let delivery = admitted(Side::Inside, inner(ROMEO)).unwrap();
    let Carried::Stanza(stanza) = delivery.carried() else {
        panic!("{delivery:?}")
    };
    let marks = stanza.element().children().filter(|child| child.ns() == PASSED);
    let marks: Vec<_> = marks.filter_map(|mark| mark.attribute("by")).collect();
    assert_eq!(marks, [&*other]);
    // Our own comes back to nobody but us.
    let back = passed(
        chat(JULIET, "alice@partner.example", "m1", "hi"),
        &own_mark().to_string(),
    );
    assert_eq!(admitted(Side::Inside, back).unwrap_err().class(), "loop");
}

#[test]
fn a_text_that_fits_without_its_marks_and_not_with_them_is_refused() {
    let text = |length: usize| chat(JULIET, "alice@partner.example", "m1", &"x".repeat(length));
    let longest = (0..1_300)
        .rev()
        .find(|length| admitted(Side::Inside, text(*length)).is_ok())
        .unwrap();
    let other = Mark::new(b"another", &domain("gw2.corp.lan")).to_string();
    assert!(admitted(Side::Inside, passed(text(longest), &other)).is_err());
    assert!(admitted(Side::Inside, passed(text(longest - 60), &other)).is_ok());
}

#[test]
fn no_error_is_ever_answered_by_an_error() {
    let silent = [
        Kind::Message(MessageType::Error),
        Kind::Presence(PresenceType::Error),
        Kind::Presence(PresenceType::Unavailable),
        Kind::Iq(IqType::Result),
        Kind::Iq(IqType::Error),
    ];
    for kind in silent {
        for (what, setting, side, from, to) in [
            ("not allowed", Setting::default(), Side::Outside, ROMEO, JULIET),
            (
                "not allowed, from inside",
                Setting::default(),
                Side::Inside,
                JULIET,
                ROMEO,
            ),
            (
                "blocked",
                Setting::blocking("romeo@friend.example", Style::Explicit),
                Side::Outside,
                ROMEO,
                JULIET,
            ),
            (
                "no route",
                Setting::open(),
                Side::Outside,
                ROMEO,
                "x@nowhere.test",
            ),
            (
                "relaying",
                Setting::open(),
                Side::Outside,
                ROMEO,
                "x@partner.example",
            ),
            (
                "to the edge",
                Setting::open(),
                Side::Outside,
                ROMEO,
                "edge.corp.example",
            ),
            (
                "to SIP",
                Setting::default(),
                Side::Inside,
                JULIET,
                "alice@partner.example",
            ),
        ] {
            let stanza = stanza(kind, from, to).with_id("q1");
            let said = match setting.border().admit_stanza(side, stanza, today(), &[7; 32]) {
                Ok(AdmittedStanza::Ignore) => None,
                // What they have between them decides, and that is nothing.
                Ok(AdmittedStanza::Deliver(delivery)) if matches!(delivery.carried(), Carried::Presence) => {
                    let mut bench = Bench::new(Setting::default());
                    bench.gateway.handle(
                        bench.now,
                        Input::Deliver {
                            delivery,
                            origin: None,
                        },
                    );
                    assert!(drain(&mut bench.gateway, bench.now).is_empty(), "{what} {kind:?}");
                    None
                }
                Err(rejected) => rejected.into_reply(),
                Ok(other) => panic!("{what} {kind:?}: {other:?}"),
            };
            assert_eq!(said, None, "{what} {kind:?}");
        }
        // And what fails on its way is not answered either.
        let mut bench = Bench::new(Setting::open());
        if kind == Kind::Iq(IqType::Result) || kind == Kind::Iq(IqType::Error) {
            bench.say(get(JULIET, ROMEO, "q1"));
        }
        let seen = bench.say(stanza(kind, ROMEO, JULIET).with_id("q1"));
        assert_eq!(seen.sent.len(), 1, "{kind:?}");
        // An error is kept until it has arrived; nobody is told what becomes of it all the same.
        let letter = &seen.sent[0];
        assert_eq!(letter.token.is_some(), kind.is_error(), "{kind:?}");
        if let Some(token) = letter.token {
            let trouble = Trouble::Stopping;
            let seen = bench.handle(Input::Returned { token, trouble });
            assert!(seen.sent.is_empty() && seen.untold == 1, "{kind:?}");
        }
    }
}
