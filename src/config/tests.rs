//! What an administrator reads when a file is wrong, and what a right one becomes.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;

/// The text of all errors and warnings, one after the other.
fn report(text: &str) -> String {
    report_with(text, &[])
}

fn report_with(text: &str, environment: &[(&str, &str)]) -> String {
    match read(Path::new("vestibule.toml"), text, &variables(environment)) {
        Ok(loaded) => Report {
            errors: Vec::new(),
            warnings: loaded.warnings,
        }
        .to_string(),
        Err(report) => report.to_string(),
    }
}

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_name() {
    insta::assert_snapshot!(report(
        "[edge]\nname = \"edge.example.com\"\n\n[[listen]]\nzone = \"inside\"\nprotocol = \"sip\"\n\n\
         [[listen]]\nzone = \"inside\"\nprotocoll = \"sip\"\n  prot = 5060\n\n[polcy]\ndefault = \"deny\"\n"
    ));
}

#[test]
fn values_of_the_wrong_kind_are_named_with_what_is_right() {
    insta::assert_snapshot!(report(
        "[edge]\nname = \"192.0.2.1\"\ninterworking = \"yes\"\n\n[zone.inside]\naddresses = [\"10.0.0.1\", \"10.0.0\"]\n\n\
         [[listen]]\nzone = \"inside\"\nprotocol = \"smtp\"\nport = 70000\n\n\
         [[local]]\ndomain = \"exa mple.com\"\nprotocol = \"xmpp\"\nnodes = [\n  { host = \"a.example\" },\n  { host = \"b.example\", port = -1, prio = 3 },\n]\n\n\
         [xmpp]\nidle_timeout = 600\nkeepalive = \"5 minutes\"\nmax_connections = \"many\"\n"
    ));
}

#[test]
fn port_maps_that_cannot_be_are_told_with_line_and_reason() {
    insta::assert_snapshot!(report(
        "[edge]\nname = \"edge.example.com\"\nstate_dir = \"\"\n\n[zone.outside]\naddresses = [\"203.0.113.10\"]\n[zone.inside]\naddresses = [\"10.0.0.10\"]\n\n\
         [[listen]]\nzone = \"outside\"\nprotocol = \"sip\"\ntransport = \"tcp\"\nport = 5060\n\n\
         [[port_map]]\nname = \"one\"\npublic = \"203.0.113.10:5060\"\nnodes = [{ host = \"imp1.example\", port = 5269 }]\n\n\
         [[port_map]]\nname = \"one\"\npublic = \"outside:5269\"\nnodes = [{ host = \"imp1.example\" }, { host = \"203.0.113.10\", port = 5269 }]\n\n\
         [[port_map]]\nname = \"a b\"\npublic = \"203.0.113.11:5269\"\nnodes = []\nallow_from = []\nmax_connections = 0\nmax_connections_per_source = 2\nidle_timeout = \"0s\"\n\n\
         [[port_map]]\nname = \"udp\"\nprotocol = \"udp\"\npublic = \"203.0.113.10\"\nnodes = [{ host = \"imp 2\", port = 5269 }]\n\n\
         [[port_map]]\nname = \"again\"\npublic = \"203.0.113.10:5269\"\nnodes = [{ host = \"imp1.example\", port = 5269 }]\n\n\
         [[port_map]]\nname = \"kernel\"\nmode = \"kernel\"\npublic = \"outside:0\"\nnodes = [{ host = \"imp1.example\", port = 5269 }]\n"
    ));
}
