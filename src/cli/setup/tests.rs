#![allow(clippy::unwrap_used, reason = "tests")]

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::symbols::border;

use super::screen::Screen;
use super::*;
use crate::setup::Card;

fn plans() -> Plans<'static> {
    Plans {
        folder: Path::new("/etc/vestibule"),
        user: "vestibule",
    }
}

fn appliance() -> Machine {
    let card = |name: &str| Card {
        name: name.to_owned(),
        mac: "52:54:00:00:00:01".to_owned(),
        has_link: Some(true),
    };
    Machine {
        is_appliance: true,
        cards: vec![card("ens3"), card("ens4")],
        addresses: Vec::new(),
        name: None,
    }
}

fn server() -> Machine {
    Machine {
        is_appliance: false,
        cards: Vec::new(),
        addresses: vec!["203.0.113.10".parse().unwrap(), "10.0.0.10".parse().unwrap()],
        name: Some("edge.example.com".to_owned()),
    }
}

/// What is printed where these lines are typed, and how it ends.
fn typed(machine: Machine, lines: &[&str]) -> (String, End, Flow) {
    let mut flow = Flow::new(machine, Answers::default());
    let mut out = Vec::new();
    let mut input = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    // What is typed is not echoed here, and so is not in the output.
    let mut input = io::Cursor::new(std::mem::take(&mut input));
    let echo = terminal::Echo::none();
    let end = line::ask(&mut flow, plans(), &mut input, &mut out, &echo).unwrap();
    (String::from_utf8(out).unwrap().replace(": ", ":\n"), end, flow)
}

#[test]
fn a_server_is_set_up_by_lines() {
    let (printed, end, _) = typed(
        server(),
        &[
            "",
            "", // the network
            "",
            "?",
            "10.0.0.53", // the name
            "example",
            "example.com",
            "",
            "imp1.corp.example",
            "",
            "",
            "", // inside
            "", // no partner
            "<",
            "contoso.com",
            "xmpp",
            "",
            "", // one after all
            "", // the certificate
            "",
            "yes", // management
            "yes",
        ],
    );
    assert_eq!(end, End::Write);
    insta::assert_snapshot!(printed);
}

#[test]
fn whoever_goes_away_has_changed_nothing() {
    for lines in [
        &[][..],
        &["", "", "", ""],
        &[
            "",
            "",
            "",
            "",
            "example.com",
            "",
            "imp1",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            "no",
        ],
    ] {
        let (printed, end, _) = typed(server(), lines);
        assert_eq!(end, End::Left, "{printed}");
    }
}

#[test]
fn nothing_typed_leaves_what_stands_there_and_a_dash_empties_it() {
    let (_, _, flow) = typed(server(), &["", "", "other.example.com", "10.0.0.53", "<", "-"]);
    let said = |key: &str| flow.value(Flow::question(key).unwrap());
    assert_eq!(said("name"), "other.example.com");
    assert_eq!(said("dns_servers"), "");
}

fn drawn(screen: &Screen<'_>) -> String {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal
        .draw(|frame| draw::page(frame, screen, border::PLAIN))
        .unwrap();
    terminal.backend().to_string()
}

fn press(screen: &mut Screen<'_>, code: KeyCode) -> Option<End> {
    screen.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn write(screen: &mut Screen<'_>, text: &str) {
    for c in text.chars() {
        assert_eq!(press(screen, KeyCode::Char(c)), None);
    }
}

/// Fills in the page that is shown: a text for each question, "" for what stands there.
fn fill(screen: &mut Screen<'_>, texts: &[&str]) {
    for text in texts {
        write(screen, text);
        assert_eq!(press(screen, KeyCode::Enter), None, "{:?}", screen.wrong);
        assert_eq!(screen.wrong, None, "{text}");
    }
}

#[test]
fn an_appliance_is_set_up_on_screens() {
    let mut flow = Flow::new(appliance(), Answers::default());
    let mut screen = Screen::new(&mut flow, plans());
    let mut pages = vec![drawn(&screen)];
    write(&mut screen, "short");
    press(&mut screen, KeyCode::Enter);
    pages.push(drawn(&screen));
    fill(&mut screen, &[" no more, but long", "short no more, but long"]);
    for texts in [
        &["", "203.0.113.10/24", "", "203.0.113.1", "", "10.1.0.10/24", ""][..],
        &["edge.example.com", "10.0.0.53"],
        &["", "ntp.example.com"],
        &["example.com", "", "imp1.corp.example", "", "", ""],
        &["contoso.com", "s", "", "", ""],
        &[""],
        &["y", "10.0.9.0/24"],
    ] {
        pages.push(drawn(&screen));
        fill(&mut screen, texts);
    }
    pages.push(drawn(&screen));
    for _ in 0..20 {
        press(&mut screen, KeyCode::Down);
    }
    pages.push(drawn(&screen));
    insta::assert_snapshot!(pages.join("\n"));
    assert_eq!(press(&mut screen, KeyCode::Enter), Some(End::Write));
}

#[test]
fn keys_go_over_questions_and_pages() {
    let mut flow = Flow::new(server(), Answers::default());
    let mut screen = Screen::new(&mut flow, plans());
    press(&mut screen, KeyCode::Esc);
    assert!(screen.wrong.is_some(), "there is no page before the first");
    press(&mut screen, KeyCode::Tab);
    assert_eq!(screen.question().unwrap().key, "inside_addresses");
    press(&mut screen, KeyCode::Tab);
    assert_eq!(screen.question().unwrap().key, "inside_addresses");
    press(&mut screen, KeyCode::Backspace);
    write(&mut screen, "1");
    press(&mut screen, KeyCode::Enter);
    assert!(
        screen.wrong.as_deref().unwrap().contains("no address 10.0.0.11"),
        "{:?}",
        screen.wrong
    );
    press(&mut screen, KeyCode::Backspace);
    write(&mut screen, "0");
    fill(&mut screen, &["", "", ""]);
    assert_eq!(screen.question().unwrap().key, "local_domains");
    press(&mut screen, KeyCode::Down);
    press(&mut screen, KeyCode::Right);
    assert_eq!(
        screen.flow.value(Flow::question("local_protocol").unwrap()),
        "sip"
    );
    press(&mut screen, KeyCode::Right);
    assert_eq!(
        screen.flow.value(Flow::question("local_protocol").unwrap()),
        "xmpp"
    );
    press(&mut screen, KeyCode::Left);
    assert_eq!(
        screen.flow.value(Flow::question("local_protocol").unwrap()),
        "sip"
    );
    press(&mut screen, KeyCode::Esc);
    assert_eq!(screen.question().unwrap().key, "name");
}

#[test]
fn leaving_is_asked_for_twice() {
    let mut flow = Flow::new(server(), Answers::default());
    let mut screen = Screen::new(&mut flow, plans());
    let leave = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(screen.key(leave), None);
    assert_eq!(press(&mut screen, KeyCode::Up), None);
    assert_eq!(screen.key(leave), None);
    assert_eq!(screen.key(leave), Some(End::Left));
}
