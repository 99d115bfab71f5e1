//! What is wrong with an answer. Each says what to write instead.

use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use super::answers::{Answers, words};
use super::machine::Machine;
use crate::domain::Domain;
use crate::route::{Host, Network};

pub(super) type Checked = Result<(), String>;

pub(super) fn anything(_: &str, _: &Answers, _: &Machine) -> Checked {
    Ok(())
}

pub(super) fn domain(text: &str, _: &Answers, _: &Machine) -> Checked {
    one_domain(text)
}

fn one_domain(text: &str) -> Checked {
    let domain = Domain::parse(text).map_err(|why| format!("\"{text}\" is no domain: {why}"))?;
    if domain.as_str().contains('.') {
        Ok(())
    } else {
        Err(format!(
            "\"{text}\" is a name without a domain; write it in full, such as edge.example.com"
        ))
    }
}

pub(super) fn domains(text: &str, _: &Answers, _: &Machine) -> Checked {
    some(text, "a domain, such as example.com")?;
    words(text).try_for_each(one_domain)
}

pub(super) fn partner(text: &str, answers: &Answers, machine: &Machine) -> Checked {
    if text.is_empty() {
        return Ok(());
    }
    one_domain(text.strip_prefix("*.").unwrap_or(text))?;
    match answers
        .list("local_domains", machine)
        .iter()
        .any(|own| own.eq_ignore_ascii_case(text))
    {
        true => Err(format!("{text} is a domain of ours; a partner is somebody else")),
        false => Ok(()),
    }
}

/// Hosts with or without a port: `imp1.corp.example`, `10.0.0.5:5222`, `[2001:db8::5]:5269`.
pub(super) fn hosts(text: &str, _: &Answers, _: &Machine) -> Checked {
    some(text, "a host, such as imp1.corp.example or 10.0.0.5:5269")?;
    words(text).try_for_each(|word| host_and_port(word).map(drop))
}

pub(super) fn host_or_nothing(text: &str, _: &Answers, _: &Machine) -> Checked {
    if text.is_empty() {
        Ok(())
    } else {
        host_and_port(text).map(drop)
    }
}

/// A host and its port, where it has one.
pub(super) fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let wrong = |why: &str| format!("\"{text}\" is no host with a port: {why}");
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) => (
                host,
                Some(
                    port.strip_prefix(':')
                        .ok_or_else(|| wrong("after ] comes : and a port"))?,
                ),
            ),
            None => return Err(wrong("the ] is missing")),
        },
        None if text.parse::<IpAddr>().is_ok() => (text, None),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    Host::parse(host).map_err(|why| wrong(&why.to_string()))?;
    let port = port.map(|port| match u16::from_str(port) {
        Ok(0) | Err(_) => Err(wrong("a port is a number from 1 to 65535")),
        Ok(port) => Ok(port),
    });
    Ok((host.to_owned(), port.transpose()?))
}

pub(super) fn addresses(text: &str, _: &Answers, machine: &Machine) -> Checked {
    some(text, "an address, such as 203.0.113.10")?;
    words(text).try_for_each(|word| {
        let address = word.parse::<IpAddr>().map_err(|_| {
            format!("\"{word}\" is no address; write one such as 203.0.113.10 or 2001:db8::10")
        })?;
        match machine.addresses.contains(&address) || machine.addresses.is_empty() {
            true => Ok(()),
            false => Err(format!(
                "this machine has no address {address}; it has {}",
                told(&machine.addresses)
            )),
        }
    })
}

pub(super) fn servers(text: &str, _: &Answers, _: &Machine) -> Checked {
    words(text).try_for_each(|word| match word.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() || address.is_multicast() => {
            Err(format!("no server has the address {address}"))
        }
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "\"{word}\" is no address; name servers by their addresses, such as 10.0.0.53"
        )),
    })
}

pub(super) fn time_servers(text: &str, _: &Answers, _: &Machine) -> Checked {
    words(text).try_for_each(|word| {
        Host::parse(word)
            .map(drop)
            .map_err(|why| format!("\"{word}\" is neither a name nor an address: {why}"))
    })
}

pub(super) fn time_zone(text: &str, _: &Answers, _: &Machine) -> Checked {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    // The folder of the zones is the judge where there is one.
    let folder = Path::new("/usr/share/zoneinfo");
    let is_there = !folder.exists() || folder.join(text).is_file();
    match !text.is_empty() && !text.starts_with('/') && text.chars().all(is_plain) && is_there {
        true => Ok(()),
        false => Err(format!(
            "\"{text}\" is no time zone; write one such as UTC, Europe/Berlin or Asia/Tokyo"
        )),
    }
}

pub(super) fn card(text: &str, _: &Answers, machine: &Machine) -> Checked {
    let names: Vec<_> = machine.cards.iter().map(|card| card.name.as_str()).collect();
    match names.contains(&text) {
        true => Ok(()),
        false => Err(format!(
            "this machine has no card \"{text}\"; it has {}",
            names.join(", ")
        )),
    }
}

/// `203.0.113.10/24`: an address with the length of its network's prefix.
pub(super) fn interface(text: &str, _: &Answers, _: &Machine) -> Checked {
    interface_of(text).map(drop)
}

pub(super) fn interface_or_nothing(text: &str, _: &Answers, _: &Machine) -> Checked {
    if text.is_empty() {
        Ok(())
    } else {
        interface_of(text).map(drop)
    }
}

pub(super) fn interface_of(text: &str) -> Result<(IpAddr, u8), String> {
    let wrong = || {
        format!(
            "\"{text}\" is no address with its network; write one such as 203.0.113.10/24 or 2001:db8::10/64"
        )
    };
    let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    if prefix == 0 || prefix > longest {
        return Err(format!(
            "a network of {address} has a prefix of 1 to {longest} bits, and not {prefix}"
        ));
    }
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        return Err(format!("{address} is no address that others could reach"));
    }
    Ok((address, prefix))
}

/// The router that IPv4 leaves by.
pub(super) fn gateway(text: &str, answers: &Answers, machine: &Machine) -> Checked {
    if text.is_empty() {
        return Ok(());
    }
    router(text, "outside_interface", answers, machine)
}

/// The router that IPv6 leaves by.
pub(super) fn gateway6(text: &str, answers: &Answers, machine: &Machine) -> Checked {
    if text.is_empty() {
        return Ok(());
    }
    router(text, "outside_interface6", answers, machine)
}

/// A router that the card with this address reaches.
fn router(text: &str, key: &str, answers: &Answers, machine: &Machine) -> Checked {
    let router: IpAddr = text
        .parse()
        .map_err(|_| format!("\"{text}\" is no address; a router has one such as 203.0.113.1"))?;
    let own = answers.get(key, machine);
    let is_near = interface_of(&own).is_ok_and(|(address, prefix)| {
        let is_link_local = matches!(router, IpAddr::V6(router) if router.is_unicast_link_local());
        let is_in = Network::new(address, prefix).is_some_and(|network| network.contains(router));
        address != router && (is_in || (address.is_ipv6() && is_link_local))
    });
    if is_near {
        Ok(())
    } else {
        Err(format!(
            "{router} is not in the network of {own}, and could not be reached from there"
        ))
    }
}

/// `10.0.0.0/8 via 10.1.0.1`, parted by commas.
pub(super) fn routes(text: &str, answers: &Answers, machine: &Machine) -> Checked {
    routes_of(text)?
        .into_iter()
        .try_for_each(|(_, via)| router(&via, "inside_interface", answers, machine))
}

/// Networks with the gateways that lead there.
pub(super) fn routes_of(text: &str) -> Result<Vec<(String, String)>, String> {
    let routes = text
        .split(',')
        .map(str::trim)
        .filter(|route| !route.is_empty())
        .map(|route| {
            let (network, via) = route.split_once(" via ").ok_or_else(|| {
                format!("\"{route}\" is no route; write one such as 10.0.0.0/8 via 10.1.0.1")
            })?;
            one_network(network.trim())?;
            Ok((network.trim().to_owned(), via.trim().to_owned()))
        });
    routes.collect()
}

pub(super) fn networks(text: &str, _: &Answers, _: &Machine) -> Checked {
    words(text).try_for_each(one_network)
}

fn one_network(text: &str) -> Checked {
    let read = || {
        let (address, prefix) = text.split_once('/')?;
        Network::new(address.parse().ok()?, prefix.parse().ok()?)
    };
    read()
        .map(drop)
        .ok_or_else(|| format!("\"{text}\" is no network; write one such as 10.0.9.0/24"))
}

pub(super) fn password(text: &str, _: &Answers, _: &Machine) -> Checked {
    if super::password::Hashed::parse(text).is_some() {
        return Ok(());
    }
    let length = text.chars().count();
    let few = text.chars().collect::<std::collections::BTreeSet<_>>().len() < 5;
    if length < 12 {
        Err(format!(
            "{length} characters are too few; take 12 or more, such as four words"
        ))
    } else if few {
        Err("it is made of fewer than five different characters; take one that is harder to guess".to_owned())
    } else {
        Ok(())
    }
}

pub(super) fn password_again(text: &str, answers: &Answers, machine: &Machine) -> Checked {
    match text == answers.get("password", machine) {
        true => Ok(()),
        false => Err("the two are not the same; type them again".to_owned()),
    }
}

pub(super) fn secret(text: &str, _: &Answers, _: &Machine) -> Checked {
    match text.is_empty() || text.chars().any(char::is_control) {
        true => {
            Err("it cannot be empty; it is the secret that the node's component listener has, too".to_owned())
        }
        false => Ok(()),
    }
}

pub(super) fn trust(text: &str, _: &Answers, _: &Machine) -> Checked {
    some(text, "system, or the path of a PEM file")?;
    words(text).try_for_each(|word| match word {
        "system" => Ok(()),
        path => file(path),
    })
}

pub(super) fn path(text: &str, _: &Answers, _: &Machine) -> Checked {
    file(text)
}

fn file(path: &str) -> Checked {
    match Path::new(path) {
        path if !path.is_absolute() => Err(format!(
            "\"{}\" is no whole path, which begins with /",
            path.display()
        )),
        path if !path.is_file() => Err(format!("there is no file {}", path.display())),
        _ => Ok(()),
    }
}

/// SHA-256 of a public key in hexadecimal, or nothing.
pub(super) fn pin(text: &str, _: &Answers, _: &Machine) -> Checked {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    match digits.is_empty() || (digits.len() == 64 && digits.chars().all(|c| c.is_ascii_hexdigit())) {
        true => Ok(()),
        false => Err("it is no SHA-256 value, which has 64 hexadecimal digits".to_owned()),
    }
}

fn some(text: &str, what: &str) -> Checked {
    match words(text).next() {
        Some(_) => Ok(()),
        None => Err(format!("it cannot be empty: write {what}")),
    }
}

fn told(addresses: &[IpAddr]) -> String {
    addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
