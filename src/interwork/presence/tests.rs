//! Each row of the tables (specification: interworking §7 and §12), and each document as its system writes it.

use super::document::{DocumentError, read};
use super::table::{BusyAs, Show, of_availability, of_device, to_sip, to_xmpp};
use super::*;
use crate::interwork::profile::PeerKind;
use crate::interwork::tests::{jid, written};
use crate::limits::XmlLimits;
use crate::mime::MediaType;
use crate::xml;
use crate::xmpp::{Stanza, ns};

const BUSY: State = State::Busy(Occupation::Unsaid);

fn stanza(attributes: &str, children: &str) -> Stanza {
    let text = format!(
        "<presence xmlns='jabber:server' from='juliet@example.com/balcony' to='romeo@example.net' {attributes}>\
         {children}</presence>"
    );
    let element = xml::document(text.as_bytes(), &XmlLimits::default()).unwrap();
    Stanza::from_element(element, ns::SERVER).unwrap()
}

fn document(kind: &str, text: &str) -> Result<Presence, DocumentError> {
    read(&MediaType::parse(kind).unwrap(), text.as_bytes()).map(|said| said.onto(None).unwrap_or_default())
}

fn pidf(inside: &str) -> Device {
    let text = format!(
        "<?xml version='1.0'?><presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' \
         xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid' entity='pres:romeo@example.net'>{inside}</presence>"
    );
    let presence = document("application/pidf+xml", &text).unwrap();
    let [device] = presence.devices() else {
        panic!("{presence:?}")
    };
    device.clone()
}

#[test]
fn a_stanza_says_what_its_device_does() {
    for (attributes, children, state) in [
        ("", "", State::Available),
        ("", "<show>chat</show>", State::Chat),
        ("", "<show>away</show>", State::Away),
        ("", "<show>xa</show>", State::ExtendedAway),
        ("", "<show>dnd</show>", State::DoNotDisturb),
        ("", "<show>nonsense</show>", State::Available),
        ("type='unavailable'", "<show>away</show>", State::Offline),
    ] {
        let device = xmpp::from_stanza(&stanza(attributes, children)).unwrap();
        assert_eq!(
            (device.name(), device.state()),
            ("balcony", state),
            "{attributes} {children}"
        );
    }
    let device = xmpp::from_stanza(&stanza(
        "xml:lang='en'",
        "<show>away</show><status>Gone</status><status xml:lang='de'>Fort</status><status xml:lang='de'>Weg</status>\
         <priority>5</priority><idle xmlns='urn:xmpp:idle:1' since='2026-11-21T10:00:00+01:00'/>",
    ))
    .unwrap();
    let notes: Vec<_> = device
        .notes()
        .iter()
        .map(|note| (note.as_str(), note.language().map(Language::as_str)))
        .collect();
    assert_eq!(notes, [("Gone", Some("en")), ("Fort", Some("de"))]);
    assert_eq!(device.priority(), Some(5));
    assert_eq!(device.idle_since().map(Date::unix_seconds), Some(1_795_251_600));
    for kind in [
        "subscribe",
        "subscribed",
        "unsubscribe",
        "unsubscribed",
        "probe",
        "error",
    ] {
        assert_eq!(
            xmpp::from_stanza(&stanza(&format!("type='{kind}'"), "")),
            None,
            "{kind}"
        );
    }
}

#[test]
fn each_row_towards_xmpp_is_as_the_specification_has_it() {
    use BusyAs as B;
    use PeerKind as K;
    let dnd = Some((Show::DoNotDisturb, Some("Do not disturb")));
    let away = Some((Show::Away, None));
    let none = Some((Show::None, None));
    for (kind, busy_as, state, shown) in [
        (K::Microsoft, B::Away, State::Available, none),
        (K::Microsoft, B::Away, BUSY, Some((Show::Away, Some("Busy")))),
        (
            K::Microsoft,
            B::Away,
            State::DoNotDisturb,
            Some((Show::Away, Some("Do not disturb"))),
        ),
        (
            K::Microsoft,
            B::Away,
            State::BeRightBack,
            Some((Show::Away, Some("Be right back"))),
        ),
        (K::Microsoft, B::Away, State::Away, away),
        (K::Microsoft, B::Away, State::Offline, None),
        (K::Microsoft, B::DoNotDisturb, State::Available, none),
        (
            K::Microsoft,
            B::DoNotDisturb,
            BUSY,
            Some((Show::DoNotDisturb, Some("Busy"))),
        ),
        (K::Microsoft, B::DoNotDisturb, State::DoNotDisturb, dnd),
        (
            K::Microsoft,
            B::DoNotDisturb,
            State::BeRightBack,
            Some((Show::Away, Some("Be right back"))),
        ),
        (K::Microsoft, B::DoNotDisturb, State::Away, away),
        (K::Microsoft, B::DoNotDisturb, State::Offline, None),
        (K::Simple, B::DoNotDisturb, State::Available, none),
        (K::Simple, B::DoNotDisturb, State::Chat, Some((Show::Chat, None))),
        (K::Simple, B::DoNotDisturb, State::Away, away),
        (
            K::Simple,
            B::DoNotDisturb,
            State::ExtendedAway,
            Some((Show::ExtendedAway, None)),
        ),
        (K::Simple, B::DoNotDisturb, State::DoNotDisturb, dnd),
        (K::Simple, B::Away, State::DoNotDisturb, dnd),
        (
            K::Simple,
            B::DoNotDisturb,
            State::Busy(Occupation::Phone),
            Some((Show::DoNotDisturb, Some("On the phone"))),
        ),
        (K::Simple, B::Away, BUSY, Some((Show::Away, Some("Busy")))),
        (K::Simple, B::Available, BUSY, Some((Show::None, Some("Busy")))),
        (K::Simple, B::DoNotDisturb, State::Offline, None),
        (K::Aol, B::Away, State::Available, none),
        (K::Aol, B::Away, State::Chat, none),
        (K::Aol, B::Away, State::Away, away),
        (K::Aol, B::Away, BUSY, away),
        (K::Aol, B::Away, State::Offline, None),
    ] {
        assert_eq!(
            to_xmpp(kind, busy_as, state),
            shown,
            "{kind:?} {busy_as:?} {state:?}"
        );
    }
}

#[test]
fn each_row_towards_sip_is_as_the_specification_has_it() {
    use PeerKind as K;
    for (kind, state, told) in [
        (K::Microsoft, State::Available, State::Available),
        (K::Microsoft, State::Chat, State::Available),
        (K::Microsoft, State::Away, State::Away),
        (K::Microsoft, State::ExtendedAway, State::Away),
        (K::Microsoft, State::DoNotDisturb, BUSY),
        (K::Microsoft, BUSY, BUSY),
        (K::Microsoft, State::Offline, State::Offline),
        (K::Aol, State::Available, State::Available),
        (K::Aol, State::Away, State::Away),
        (K::Aol, State::ExtendedAway, State::Away),
        (K::Aol, State::DoNotDisturb, State::Away),
        (K::Aol, BUSY, State::Away),
        (K::Aol, State::Offline, State::Offline),
        (K::Simple, State::ExtendedAway, State::ExtendedAway),
    ] {
        assert_eq!(to_sip(kind, state), told, "{kind:?} {state:?}");
    }
}

#[test]
fn numbers_of_microsoft_are_read_by_their_ranges() {
    for (number, state, is_idle) in [
        (0, State::Offline, false),
        (2_999, State::Offline, false),
        (3_000, State::Available, false),
        (3_500, State::Available, false),
        (4_499, State::Available, false),
        (4_500, State::Away, true),
        (5_999, State::Away, true),
        (6_000, BUSY, false),
        (6_500, BUSY, false),
        (7_499, BUSY, false),
        (7_500, BUSY, true),
        (8_999, BUSY, true),
        (9_000, State::DoNotDisturb, false),
        (9_500, State::DoNotDisturb, false),
        (11_999, State::DoNotDisturb, false),
        (12_000, State::BeRightBack, false),
        (14_999, State::BeRightBack, false),
        (15_000, State::Away, false),
        (17_999, State::Away, false),
        (18_000, State::Offline, false),
        (18_500, State::Offline, false),
        (u32::MAX, State::Offline, false),
    ] {
        assert_eq!(of_availability(number), (state, is_idle), "{number}");
    }
}

#[test]
fn a_tuple_says_its_state_by_what_says_most() {
    let open = "<status><basic>open</basic></status>";
    let person = |activity: &str| {
        format!(
            "<tuple id='a'>{open}</tuple><dm:person id='p'><rpid:activities>{activity}</rpid:activities></dm:person>"
        )
    };
    for (inside, state) in [
        (format!("<tuple id='a'>{open}</tuple>"), State::Available),
        ("<tuple id='a'><status><basic>closed</basic></status></tuple>".to_owned(), State::Offline),
        ("<tuple id='a'><status/></tuple>".to_owned(), State::Offline),
        (person("<rpid:away/>"), State::Away),
        (person("<rpid:busy/>"), BUSY),
        (person("<rpid:on-the-phone/>"), State::Busy(Occupation::Phone)),
        (person("<rpid:meeting/>"), State::Busy(Occupation::Meeting)),
        (person("<rpid:appointment/>"), State::Busy(Occupation::Meeting)),
        (person("<rpid:presentation/>"), State::Busy(Occupation::Presentation)),
        (person("<rpid:performance/>"), State::Busy(Occupation::Presentation)),
        (person("<rpid:holiday/>"), State::ExtendedAway),
        (person("<rpid:vacation/>"), State::ExtendedAway),
        (person("<rpid:permanent-absence/>"), State::ExtendedAway),
        (person("<rpid:lunch/>"), State::Away),
        (person("<rpid:meeting/><rpid:sleeping/>"), State::Away),
        (person("<rpid:looking-for-work/>"), State::Available),
        (person("<rpid:unknown/><rpid:other>hiking</rpid:other>"), State::Available),
        (
            "<tuple id='a'><status><basic>open</basic><show xmlns='jabber:client'>chat</show></status></tuple>\
             <dm:person id='p'><rpid:activities><rpid:away/></rpid:activities></dm:person>"
                .to_owned(),
            State::Chat,
        ),
        (
            "<tuple id='a'><status><basic>open</basic><ep:activities xmlns:ep='urn:ietf:params:xml:ns:pidf:status:rpid-status'>\
             <ep:activity>busy</ep:activity></ep:activities></status></tuple>"
                .to_owned(),
            BUSY,
        ),
        (
            "<tuple id='a'><status><basic>open</basic><im:im xmlns:im='urn:ietf:params:xml:ns:pidf:im'>away</im:im></status></tuple>"
                .to_owned(),
            State::Away,
        ),
        (
            format!("<tuple id='a'>{open}<rpid:user-input last-input='2026-11-21T10:00:00+01:00'>idle</rpid:user-input></tuple>"),
            State::Away,
        ),
        (
            format!("<tuple id='a'>{open}<rpid:user-input>active</rpid:user-input></tuple>"),
            State::Available,
        ),
    ] {
        assert_eq!(pidf(&inside).state(), state, "{inside}");
    }
    let idle = format!(
        "<tuple id='a'>{open}<rpid:user-input last-input='2026-11-21T10:00:00+01:00'>idle</rpid:user-input></tuple>"
    );
    assert_eq!(
        pidf(&idle).idle_since().map(Date::unix_seconds),
        Some(1_795_251_600)
    );
    let noted = format!(
        "<tuple id='ID-balcony'>{open}<note xml:lang='en'>Lunch</note><note>a\nb</note></tuple><note>not this</note>"
    );
    let device = pidf(&noted);
    assert_eq!(device.name(), "balcony");
    let notes: Vec<_> = device.notes().iter().map(|note| note.as_str()).collect();
    assert_eq!(notes, ["Lunch", "a b"]);
}

#[test]
fn priorities_are_told_apart_and_read_again() {
    let user = jid("juliet@example.com");
    let mut seen = std::collections::BTreeSet::new();
    for priority in -128..=127_i8 {
        let presence =
            Presence::new().with(Device::new("balcony", State::Available).with_priority(Some(priority)));
        let octets = pidf::write(&presence, &user, PeerKind::Simple).unwrap();
        let text = String::from_utf8(octets).unwrap();
        let decimal = text
            .split("priority='")
            .nth(1)
            .map(|rest| rest.split('\'').next().unwrap().to_owned());
        assert_eq!(decimal.is_some(), priority >= 0, "{priority}: {text}");
        let Some(decimal) = decimal else { continue };
        let expected = [
            (0, "0.000"),
            (1, "0.008"),
            (2, "0.016"),
            (126, "0.992"),
            (127, "1.000"),
        ];
        if let Some((_, expected)) = expected.iter().find(|(known, _)| *known == priority) {
            assert_eq!(decimal, *expected);
        }
        assert!(seen.insert(decimal), "{priority} is like another");
        let read = document("application/pidf+xml", &text).unwrap();
        assert_eq!(read.devices()[0].priority(), Some(priority));
    }
    for (decimal, read) in [
        ("1", Some(127)),
        ("0", Some(0)),
        ("0.5", Some(64)),
        ("1.001", None),
        ("-1", None),
        ("x", None),
        ("9", None),
    ] {
        let tuple = format!(
            "<tuple id='a'><status><basic>open</basic></status><contact priority='{decimal}'>sip:a@b</contact></tuple>"
        );
        assert_eq!(pidf(&tuple).priority(), read, "{decimal}");
    }
}

#[test]
fn what_is_written_says_the_same_when_it_is_read_again() {
    let user = jid("juliet@example.com");
    for state in [
        State::Chat,
        State::Available,
        State::Away,
        State::ExtendedAway,
        State::DoNotDisturb,
        BUSY,
        State::Busy(Occupation::Phone),
        State::Busy(Occupation::Meeting),
        State::Offline,
    ] {
        let device = Device::new("balcony", state).with_note("<Here> & \"there\"", Language::parse("en"));
        let presence = Presence::new().with(device);
        let octets = pidf::write(&presence, &user, PeerKind::Simple).unwrap();
        let read = read(&MediaType::plain("application", "pidf+xml"), &octets).unwrap();
        let mut again = presence.clone();
        // One that is not there has no address.
        again.devices[0].is_unaddressed = !state.is_open();
        assert_eq!(read.onto(None).unwrap(), again, "{}", octets.escape_ascii());
        for kind in [PeerKind::Microsoft, PeerKind::Aol] {
            let octets = pidf::write(&presence, &user, kind).unwrap();
            let read = one(&octets);
            let told = to_sip(kind, state);
            assert_eq!(read.state(), told, "{kind:?}: {}", octets.escape_ascii());
        }
    }
}

#[test]
fn an_activity_is_written_as_user_agents_look_for_it() {
    let user = jid("juliet@example.com");
    for (state, element) in [
        (State::DoNotDisturb, "<rpid:busy/>"),
        (State::Away, "<rpid:away/>"),
    ] {
        let presence = Presence::new().with(Device::new("balcony", state));
        let text = String::from_utf8(pidf::write(&presence, &user, PeerKind::Simple).unwrap()).unwrap();
        assert!(text.contains("<basic>open</basic>"), "{text}");
        assert!(text.contains(element), "{text}");
    }
}

#[test]
fn all_devices_are_one_for_who_wants_one() {
    let device = |name, state, priority| Device::new(name, state).with_priority(Some(priority));
    for (devices, name) in [
        (vec![], ""),
        (
            vec![device("a", State::Away, 9), device("b", State::Available, 0)],
            "b",
        ),
        (
            vec![device("a", State::Available, 1), device("b", State::Available, 2)],
            "b",
        ),
        (
            vec![device("a", State::Available, -1), device("b", State::Away, 0)],
            "b",
        ),
        (
            vec![device("a", State::Available, 0), device("b", State::Available, 0)],
            "b",
        ),
        (
            vec![
                device("a", State::Away, 0),
                device("b", State::Available, 0),
                device("a", State::Available, 0),
                device("b", State::Available, 0),
            ],
            "a",
        ),
        (
            vec![
                device("a", State::DoNotDisturb, 5),
                device("b", State::ExtendedAway, 0),
            ],
            "b",
        ),
        (
            vec![device("a", State::Chat, 0), device("b", State::Available, 5)],
            "a",
        ),
        (vec![device("a", State::Available, -1)], ""),
    ] {
        let presence = devices.into_iter().fold(Presence::new(), Presence::with);
        assert_eq!(presence.aggregate().name(), name, "{presence:?}");
    }
    let mut many = Presence::new();
    for number in 0..100 {
        many.set(Device::new(&number.to_string(), State::Available));
    }
    assert_eq!(many.devices().len(), PRESENCE_DEVICES);
    many.remove("0");
    assert_eq!(many.devices().len(), PRESENCE_DEVICES - 1);
}

#[test]
fn what_is_said_of_a_device_counts_where_a_peer_has_a_word_for_it() {
    let since = Date::from_unix_seconds(1_795_251_600);
    let busy = State::Busy(Occupation::Unsaid);
    for (kind, state, note, idle, told) in [
        (PeerKind::Microsoft, State::Away, "Busy", None, busy),
        (PeerKind::Microsoft, State::Available, " busy", None, busy),
        (
            PeerKind::Microsoft,
            State::Away,
            "On the phone",
            None,
            State::Busy(Occupation::Phone),
        ),
        (
            PeerKind::Microsoft,
            State::Away,
            "Busy as a bee",
            None,
            State::Away,
        ),
        (
            PeerKind::Microsoft,
            State::ExtendedAway,
            "Busy",
            None,
            State::Away,
        ),
        (PeerKind::Microsoft, State::Offline, "Busy", None, State::Offline),
        (PeerKind::Microsoft, State::Available, "", since, State::Available),
        (PeerKind::Aol, State::Available, "", since, State::Away),
        (PeerKind::Aol, State::Available, "Busy", None, State::Available),
        (PeerKind::Aol, State::Away, "Busy", None, State::Away),
        (PeerKind::Aol, State::Offline, "", since, State::Offline),
        (PeerKind::Simple, State::Away, "Busy", since, State::Away),
    ] {
        let device = Device::new("a", state)
            .with_note(note, None)
            .with_idle_since(idle);
        assert_eq!(of_device(kind, &device), told, "{kind:?} {device:?}");
        let user = jid("juliet@example.com");
        let body = pidf::write(&Presence::new().with(device), &user, kind).unwrap();
        let read = document("application/pidf+xml", std::str::from_utf8(&body).unwrap()).unwrap();
        assert_eq!(read.devices()[0].state(), told);
    }
}

#[test]
fn each_document_looks_like_this() {
    let user = jid("juliet@example.com");
    let since = Date::from_unix_seconds(1_795_251_600);
    let mut written = String::new();
    for (name, kind) in [
        ("simple", PeerKind::Simple),
        ("microsoft", PeerKind::Microsoft),
        ("aol", PeerKind::Aol),
    ] {
        for state in [
            State::Available,
            State::Chat,
            State::Away,
            State::ExtendedAway,
            State::DoNotDisturb,
            State::Offline,
        ] {
            let balcony = Device::new("balcony", state)
                .with_note("Here", Language::parse("en"))
                .with_priority(Some(5))
                .with_idle_since(since.filter(|_| state == State::Away));
            let presence = Presence::new().with(balcony);
            let both = presence
                .clone()
                .with(Device::new("1st floor", State::DoNotDisturb).with_priority(Some(-1)));
            for presence in [presence, both] {
                let octets = pidf::write(&presence, &user, kind).unwrap();
                let text = String::from_utf8(octets).unwrap().replace("><", ">\n<");
                let devices = presence.devices().len();
                written += &format!("== {name}, {state:?}, devices: {devices}\n{text}\n");
            }
        }
    }
    insta::assert_snapshot!(written);
}

#[test]
fn what_changes_of_the_categories_leaves_the_rest_as_it_is() {
    let read = |inside: &str| {
        let text = format!("<categories uri='sip:bob@ms.example'>{inside}</categories>");
        read(
            &MediaType::plain("application", "msrtc-event-categories+xml"),
            text.as_bytes(),
        )
        .unwrap()
    };
    let state = |number: u32| {
        format!("<category name='state'><state><availability>{number}</availability></state></category>")
    };
    let note = |text: &str| {
        format!("<category name='note'><note><body type='personal'>{text}</body></note></category>")
    };
    let mut known = read(&(state(6_500) + &note("In Berlin"))).onto(None).unwrap();
    for (inside, expected, noted) in [
        (note("In Rome"), State::Busy(Occupation::Unsaid), "In Rome"),
        (state(3_500), State::Available, "In Rome"),
        (
            "<category name='contactCard'/>".to_owned(),
            State::Available,
            "In Rome",
        ),
        ("<category name='note'/>".to_owned(), State::Available, ""),
        (state(15_500) + &note("Out"), State::Away, "Out"),
        (state(18_500), State::Offline, "Out"),
        (state(3_500), State::Available, "Out"),
        ("<category name='state'/>".to_owned(), State::Offline, "Out"),
    ] {
        known = read(&inside).onto(Some(&known)).unwrap();
        let [device] = known.devices() else {
            panic!("{known:?}")
        };
        let said = device.notes().first().map_or("", |note| note.as_str());
        assert_eq!((device.state(), said), (expected, noted), "{inside}");
    }
    assert_eq!(read(&note("In Rome")).onto(None), None);
    // Of several devices that were known all are meant.
    let several = Presence::new()
        .with(Device::new("a", State::Offline))
        .with(Device::new("b", State::Available).with_note("Here", None));
    let now = read(&note("In Rome")).onto(Some(&several)).unwrap();
    assert_eq!(now.devices()[0].state(), State::Available);
    let now = read(&state(6_500)).onto(Some(&several)).unwrap();
    assert_eq!(now.devices()[0].notes()[0].as_str(), "Here");
}

#[test]
fn a_note_is_in_the_language_that_is_said_around_it() {
    let languages = |attributes: [&str; 3], around: Option<&str>| {
        let [root, tuple, note] = attributes;
        let text = format!(
            "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:a@b.example'{root}><tuple id='t'{tuple}><status>\
             <basic>open</basic></status><note{note}>Da</note></tuple></presence>"
        );
        let said = read(&MediaType::plain("application", "pidf+xml"), text.as_bytes()).unwrap();
        let said = match around.and_then(Language::parse) {
            Some(language) => said.in_language(&language),
            None => said,
        };
        let presence = said.onto(None).unwrap();
        let language = presence.devices()[0].notes()[0].language();
        language.map(|language| language.as_str().to_owned())
    };
    let (de, fr, it) = (" xml:lang='de'", " xml:lang='fr'", " xml:lang='it'");
    assert_eq!(languages([de, fr, it], Some("ru")).as_deref(), Some("it"));
    assert_eq!(languages([de, fr, ""], Some("ru")).as_deref(), Some("fr"));
    assert_eq!(languages([de, "", ""], Some("ru")).as_deref(), Some("de"));
    assert_eq!(languages(["", "", ""], Some("ru")).as_deref(), Some("ru"));
    assert_eq!(languages(["", "", ""], None), None);
}

#[test]
fn a_stanza_shows_a_device() {
    let (from, to) = (jid("romeo@example.net/orchard"), jid("juliet@example.com"));
    let shown = |device: &Device, kind, busy_as| {
        let text = written(&xmpp::to_stanza(
            device,
            (kind, busy_as),
            from.clone(),
            to.clone(),
        ));
        text.split_once('>')
            .map(|(_, rest)| rest.to_owned())
            .unwrap_or_default()
    };
    let since = Date::from_unix_seconds(1_795_251_600);
    let phone = Device::new("orchard", State::Busy(Occupation::Phone))
        .with_priority(Some(3))
        .with_idle_since(since);
    assert_eq!(
        shown(&phone, PeerKind::Simple, BusyAs::DoNotDisturb),
        "<show>dnd</show><status>On the phone</status><priority>3</priority>\
         <idle xmlns='urn:xmpp:idle:1' since='2026-11-21T09:00:00Z'/></presence>"
    );
    let said = phone.with_note("Back at <noon>", Language::parse("en"));
    assert!(
        shown(&said, PeerKind::Microsoft, BusyAs::Away)
            .starts_with("<show>away</show><status xml:lang='en'>Back at &lt;noon&gt;</status>")
    );
    let offline = Device::new("", State::Offline);
    let stanza = xmpp::to_stanza(&offline, (PeerKind::Simple, BusyAs::Away), from, to);
    assert!(written(&stanza).contains("type='unavailable'"));
}

#[test]
fn documents_of_microsoft_are_read() {
    let categories = |state: &str| {
        format!(
            "<categories xmlns='http://schemas.microsoft.com/2006/09/sip/categories' uri='sip:bob@ms.example'>\
             <category name='note' instance='0'><note xmlns='http://schemas.microsoft.com/2006/09/sip/note'>\
             <body type='personal' uri=''>In Berlin</body></note></category>{state}</categories>"
        )
    };
    let state = |kind: &str, number: u32, token: &str| {
        format!(
            "<category name='state' instance='1'><state xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:type='{kind}' \
             xmlns='http://schemas.microsoft.com/2006/09/sip/state' lastActive='2026-11-21T09:00:00Z'>\
             <availability>{number}</availability><activity token='{token}'/></state></category>"
        )
    };
    for (states, expected) in [
        (state("aggregateState", 3_500, ""), State::Available),
        (
            state("aggregateState", 6_500, "on-the-phone"),
            State::Busy(Occupation::Phone),
        ),
        (
            state("aggregateState", 6_500, "in-a-conference"),
            State::Busy(Occupation::Meeting),
        ),
        (
            state("userState", 18_500, "") + &state("aggregateState", 15_500, ""),
            State::Away,
        ),
        (state("machineState", 3_500, ""), State::Available),
    ] {
        let presence = document("application/msrtc-event-categories+xml", &categories(&states)).unwrap();
        let device = &presence.devices()[0];
        assert_eq!(device.state(), expected, "{states}");
        assert_eq!(device.notes()[0].as_str(), "In Berlin");
        assert_eq!(device.idle_since(), None);
    }
    let out = document(
        "application/msrtc-event-categories+xml",
        &categories(&state("aggregateState", 15_500, "out-of-office")),
    );
    assert_eq!(out.unwrap().devices()[0].state(), State::ExtendedAway);
    let idle = document(
        "application/msrtc-event-categories+xml",
        &categories(&state("aggregateState", 5_000, "")),
    )
    .unwrap();
    assert_eq!(
        idle.devices()[0].idle_since().map(Date::unix_seconds),
        Some(1_795_251_600)
    );

    let head = "<?xml version=\"1.0\" encoding=\"utf-16\"?>";
    for (inside, expected) in [
        (
            "<availability aggregate='300'/><activity aggregate='400'/>",
            State::Available,
        ),
        (
            "<availability aggregate='300'/><activity aggregate='600' note='x'/>",
            BUSY,
        ),
        (
            "<availability aggregate='300'/><activity aggregate='500'/>",
            State::Busy(Occupation::Phone),
        ),
        (
            "<availability aggregate='300'/><activity aggregate='300'/>",
            State::BeRightBack,
        ),
        (
            "<availability aggregate='200'/><activity aggregate='100'/>",
            State::Away,
        ),
        (
            "<availability aggregate='0'/><activity aggregate='100'/>",
            State::Offline,
        ),
        (
            "<userInfo><states><state avail='9500'/></states></userInfo>",
            State::DoNotDisturb,
        ),
        ("", State::Offline),
    ] {
        let text = format!("{head}<presentity uri='bob@ms.example'>{inside}</presentity>");
        let presence = document("text/xml+msrtc.pidf", &text).unwrap();
        assert_eq!(presence.devices()[0].state(), expected, "{inside}");
    }
    let doctype = "<?xml version=\"1.0\"?>\n<!DOCTYPE presence\nPUBLIC \"-//IETF//DTD RFCxxxx XPIDF 1.0//EN\" \"xpidf.dtd\">\n";
    for (status, substatus, expected) in [
        ("open", "online", State::Available),
        ("open", "away", State::Away),
        ("open", "idle", State::Away),
        ("inuse", "busy", BUSY),
        ("open", "berightback", State::BeRightBack),
        ("inuse", "onthephone", State::Busy(Occupation::Phone)),
        ("open", "outtolunch", State::Away),
        ("open", "unknown", State::Available),
        ("closed", "online", State::Offline),
    ] {
        let text = format!(
            "{doctype}<presence><presentity uri='sip:bob@ms.example;method=SUBSCRIBE'/><atom id='1001'><address uri='sip:bob@192.0.2.1'>\
             <status status='{status}'/><msnsubstatus substatus='{substatus}'/></address></atom></presence>"
        );
        let presence = document("application/xpidf+xml", &text).unwrap();
        assert_eq!(presence.devices()[0].state(), expected, "{status} {substatus}");
    }
}

#[test]
fn what_is_no_such_document_is_refused() {
    let pidf = "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:a@b'/>";
    for (kind, text, error) in [
        ("text/plain", pidf, DocumentError::MediaType),
        ("application/xml", pidf, DocumentError::MediaType),
        ("application/pidf+xml", "", DocumentError::Garbled),
        ("application/pidf+xml", "<presence/>", DocumentError::Garbled),
        ("application/pidf+xml", "<presence", DocumentError::Garbled),
        (
            "application/pidf+xml",
            "<!DOCTYPE p [<!ENTITY a 'a'>]><presence xmlns='urn:ietf:params:xml:ns:pidf'/>",
            DocumentError::Garbled,
        ),
        ("application/xpidf+xml", "<other/>", DocumentError::Garbled),
        ("text/xml+msrtc.pidf", "<other/>", DocumentError::Garbled),
        (
            "application/msrtc-event-categories+xml",
            "<other/>",
            DocumentError::Garbled,
        ),
    ] {
        assert_eq!(document(kind, text), Err(error), "{kind} {text}");
    }
    assert_eq!(document("application/pidf+xml", pidf), Ok(Presence::new()));
}

fn one(octets: &[u8]) -> Device {
    let presence = read(&MediaType::plain("application", "pidf+xml"), octets).unwrap();
    presence.onto(None).unwrap().devices()[0].clone()
}
