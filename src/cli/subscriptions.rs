//! `vestibule subscriptions`: who sees whose presence across the protocols, and how each of these stands.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::control::{self, SocketArgs};
use super::{Exit, Form, terminal, write_json};
use crate::admin::control::Subject;
use crate::interwork::address::to_uri;
use crate::interwork::percent;
use crate::limits;
use crate::sip::Scheme;
use crate::xmpp::Jid;

#[derive(Debug, clap::Args)]
pub(super) struct SubscriptionsArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// Only those in this state: asked, pending, active, ... as the list calls it.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// The most that are listed; all are counted.
    #[arg(long, value_name = "NUMBER", default_value_t = 500, value_parser = most)]
    most: usize,
    /// Only those of a domain, or of a user: user@domain, or a SIP URI.
    #[arg(value_name = "DOMAIN|ADDRESS")]
    of: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Listing {
    subscriptions: Vec<Subscription>,
    states: BTreeMap<String, u64>,
    matching: u64,
    left_out: u64,
}

#[derive(Debug, Deserialize, Serialize)]
struct Subscription {
    xmpp: String,
    sip: String,
    watcher: Watcher,
    state: String,
    dialogs: u64,
    next_seconds: Option<u64>,
    seen: Option<String>,
    told: Option<String>,
    why: String,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Watcher {
    Xmpp,
    Sip,
}

/// Asks the proxy, and prints what it says.
pub(super) fn print(
    config: &Path,
    arguments: &SubscriptionsArgs,
    form: Form,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    if let Some(of) = &arguments.of
        && let Err(why) = Subject::read(of)
    {
        writeln!(err, "{}: {why}", terminal::line(of))?;
        return Ok(Exit::Usage);
    }
    match arguments.socket.ask::<Listing>(config, &arguments.path()) {
        Ok(listing) => {
            match form {
                Form::Json => write_json(&listing, out)?,
                Form::Text => write_text(&listing, arguments.state.as_deref(), out)?,
            }
            Ok(Exit::Good)
        }
        Err(why) => control::complain(&why, err),
    }
}

impl SubscriptionsArgs {
    fn path(&self) -> String {
        let mut path = format!("/v1/subscriptions?most={}", self.most);
        for (name, value) in [("of", &self.of), ("state", &self.state)] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}="));
                percent::encode(value, &mut path);
            }
        }
        path
    }
}

fn most(text: &str) -> Result<usize, String> {
    let known = text.parse().ok().filter(|most| *most <= limits::CONTROL_ENTRIES);
    known.ok_or_else(|| format!("a number up to {} is needed", limits::CONTROL_ENTRIES))
}

fn write_text(listing: &Listing, state: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 7]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(listing.subscriptions.iter().map(row))
        .collect();
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    if !listing.subscriptions.is_empty() {
        for row in &rows {
            let cells = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:width$}"));
            writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        writeln!(out)?;
    }
    writeln!(out, "{}", summary(listing, state))
}

fn row(of: &Subscription) -> [String; 7] {
    let (xmpp, sip) = (of.xmpp.clone(), sip_uri(&of.sip));
    let (watcher, watched) = match of.watcher {
        Watcher::Xmpp => (xmpp, sip),
        Watcher::Sip => (sip, xmpp),
    };
    let known = |state: &Option<String>| state.clone().unwrap_or_else(|| "-".to_owned());
    [
        watcher,
        watched,
        of.state.clone(),
        of.next_seconds.map_or_else(|| "-".to_owned(), period),
        known(&of.seen),
        known(&of.told),
        of.why.clone(),
    ]
    .map(|cell| terminal::line(&cell))
}

/// How SIP writes the address of its user.
fn sip_uri(user: &str) -> String {
    let uri = Jid::parse(user)
        .ok()
        .and_then(|jid| to_uri(&jid, Scheme::Sip).ok());
    uri.map_or_else(|| user.to_owned(), |uri| uri.to_string())
}

/// Two units at most: `1h 45m`, `12s`.
pub(super) fn period(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (length, name) in units {
        let count = left / length;
        left %= length;
        if count > 0 {
            parts.push(format!("{count}{name}"));
        }
        if parts.len() == 2 || (parts.len() == 1 && count == 0) {
            break;
        }
    }
    if parts.is_empty() {
        "0s".to_owned()
    } else {
        parts.join(" ")
    }
}

fn summary(listing: &Listing, state: Option<&str>) -> String {
    let all: u64 = listing.states.values().sum();
    let states: Vec<_> = listing
        .states
        .iter()
        .map(|(state, count)| format!("{count} {}", terminal::line(state)))
        .collect();
    let mut line = match all {
        0 => return "no subscriptions".to_owned(),
        1 => "1 subscription: ".to_owned(),
        _ => format!("{all} subscriptions: "),
    };
    line.push_str(&states.join(", "));
    let are = |count: u64| if count == 1 { "is" } else { "are" };
    if let Some(state) = state {
        line.push_str(&format!(
            "; {} of them {} {}",
            listing.matching,
            are(listing.matching),
            terminal::line(state)
        ));
    }
    if listing.left_out > 0 {
        let (those, state) = match state {
            Some(_) => (", and {} of those", ""),
            None => ("; {} of them", ", a state (--state)"),
        };
        line.push_str(&those.replace("{}", &listing.left_out.to_string()));
        line.push_str(&format!(
            " {} not listed: name a domain or an address{state}, or allow more (--most)",
            are(listing.left_out)
        ));
    }
    line
}

const HEAD: [&str; 7] = ["WATCHER", "SEES", "STATE", "NEXT IN", "SEEN", "TOLD", "WHY"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_told_in_two_units() {
        for (seconds, told) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (61, "1m 1s"),
            (3_600, "1h"),
            (3_601, "1h"),
            (6_300, "1h 45m"),
            (90_000, "1d 1h"),
            (86_400, "1d"),
        ] {
            assert_eq!(period(seconds), told, "{seconds}");
        }
    }

    #[test]
    fn the_list_says_who_sees_whom_and_nothing_a_terminal_would_obey() {
        let of = |xmpp: &str, watcher, why: &str| Subscription {
            xmpp: xmpp.to_owned(),
            sip: "d\\27artagnan@example.com".to_owned(),
            watcher,
            state: "active".to_owned(),
            dialogs: 1,
            next_seconds: Some(6_300),
            seen: Some("away".to_owned()),
            told: None,
            why: why.to_owned(),
        };
        let listing = Listing {
            subscriptions: vec![
                of("romeo@example.net", Watcher::Xmpp, "allowed"),
                of("太郎@example.net", Watcher::Sip, "\x1b]0;gone\x07\nrm"),
            ],
            states: BTreeMap::from([("active".to_owned(), 2), ("pending\x1b[2J".to_owned(), 1)]),
            matching: 2,
            left_out: 1,
        };
        let mut text = Vec::new();
        write_text(&listing, Some("active"), &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "WATCHER                     SEES                        STATE   NEXT IN  SEEN  TOLD  WHY\n\
             romeo@example.net           sip:d'artagnan@example.com  active  1h 45m   away  -     allowed\n\
             sip:d'artagnan@example.com  太郎@example.net              active  1h 45m   away  -     \
             \\u{1b}]0;gone\\u{7}\\u{a}rm\n\
             \n\
             3 subscriptions: 2 active, 1 pending\\u{1b}[2J; 2 of them are active, and 1 of those is not listed: name a domain \
             or an address, or allow more (--most)\n"
        );
    }
}
