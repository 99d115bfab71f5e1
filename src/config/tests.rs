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
fn what_the_kernel_cannot_map_and_the_firewall_cannot_say_is_told_with_line_and_reason() {
    insta::assert_snapshot!(report(
        "[edge]\nname = \"edge.example.com\"\nstate_dir = \"\"\nrun_as = \"\"\n\n[zone.outside]\naddresses = [\"203.0.113.10\", \"2001:db8::10\"]\n[zone.inside]\naddresses = [\"10.0.0.10\"]\n\n\
         [[listen]]\nzone = \"inside\"\nprotocol = \"sip\"\ntransport = \"tcp\"\nport = 5060\n\n\
         [[local]]\ndomain = \"example.com\"\nprotocol = \"sip\"\nnodes = [{ host = \"10.0.0.5\" }]\n\n\
         [[port_map]]\nname = \"names\"\nmode = \"kernel\"\npublic = \"203.0.113.10:7001\"\nnodes = [{ host = \"imp1.example\", port = 5269 }]\nsend_proxy = true\n\n\
         [[port_map]]\nname = \"spare\"\nmode = \"kernel\"\npublic = \"203.0.113.10:7002\"\nnodes = [{ host = \"10.0.0.5\", port = 5269 }, { host = \"10.0.0.6\", port = 5269, priority = 2 }]\n\n\
         [[port_map]]\nname = \"family\"\nmode = \"kernel\"\npublic = \"outside:7003\"\nnodes = [{ host = \"10.0.0.5\", port = 5269 }]\nmax_connections_per_source = 5\n\n\
         [[port_map]]\nname = \"out\"\npublic = \"203.0.113.10:7004\"\nnodes = [{ host = \"imp1.example\", port = 5269 }, { host = \"fd00::5\", port = 5269 }]\noutbound = true\n\n\
         [firewall]\nmanage = true\nmanagement_ports = [0]\noutgoing = \"own\"\n"
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

/// A configuration that could be used, with this in `[snmp]`.
fn with_snmp(snmp: &str) -> String {
    format!(
        "[edge]\nname = \"edge.example.com\"\n\n[zone.outside]\naddresses = [\"203.0.113.10\"]\n[zone.inside]\naddresses = [\"10.0.0.10\"]\n\n\
         [[listen]]\nzone = \"outside\"\nprotocol = \"sip\"\ntransport = \"tcp\"\nport = 5060\n\n\
         [[listen]]\nzone = \"inside\"\nprotocol = \"xmpp\"\n\n\
         [[local]]\ndomain = \"example.com\"\nprotocol = \"xmpp\"\nnodes = [{{ host = \"imp1.corp.example\" }}]\n\n[snmp]\n{snmp}"
    )
}

#[test]
fn an_snmp_agent_that_cannot_be_is_told_with_line_and_reason() {
    let secrets = [("LONG", "secret of somebody"), ("SHORT", "1234567")];
    insta::assert_snapshot!(report_with(
        &with_snmp(
            "listen = \"203.0.113.10:0\"\ncontact = \"two\\nlines\"\n\
             users = [\n  { name = \"noc\", auth_secret = \"env:LONG\", priv_secret = \"env:SHORT\" },\n\
             \x20 { name = \"noc\", auth_secret = \"secret of somebody\", priv_secret = \"env:MISSING\" },\n\
             \x20 { name = \"a b\", auth_secret = \"file:/nowhere/at/all\", priv_secret = \"env:LONG\" },\n]\n\
             communities = [{ community = \"env:LONG\", from = [] }, { community = \"env:LONG\", from = [\"0.0.0.0/0\"] }]\n\
             traps = [\n  { address = \"10.0.9.1:162\", user = \"soc\" },\n  { address = \"10.0.9.1:0\", user = \"noc\", community = \"env:LONG\" },\n\
             \x20 { address = \"10.0.9.1:162\" },\n  { address = \"10.0.9.1:162\", community = \"env:SHORT\" },\n]\n\n[admin]\ncontrol = \"\"\n"
        )
        .replace("\n[zone.outside]", "state_dir = \"\"\n[zone.outside]"),
        &secrets
    ));
    insta::assert_snapshot!(report(&with_snmp("listen = \"0.0.0.0:161\"\n")));
    insta::assert_snapshot!(report_with(
        &with_snmp(
            "listen = \"10.0.0.10:161\"\nusers = [{ name = \"noc\", auth = \"md5\", auth_secret = \"env:LONG\", priv = \"des\", \
             priv_secret = \"env:LONG\", level = \"auth\" }]\n"
        ),
        &secrets
    ));
}

#[test]
fn an_snmp_agent_that_is_off_has_no_settings_and_one_that_is_on_has_all() {
    let secrets = variables(&[("LONG", "secret of somebody"), ("OTHER", "another secret")]);
    let of = |text: &str| read(Path::new("vestibule.toml"), &with_snmp(text), &secrets).unwrap();
    assert_eq!(of("").settings.snmp, None);
    let off = of("contact = \"noc\"\n");
    assert_eq!(off.settings.snmp, None);
    assert!(
        off.warnings
            .iter()
            .any(|warning| warning.what().contains("SNMP is off"))
    );
    let on = of(
        "listen = \"10.0.0.10:161\"\nmanagers = [\"10.0.9.0/24\"]\ncontact = \"noc\"\nlocation = \"here\"\n\
         users = [{ name = \"noc\", auth_secret = \"env:LONG\", priv_secret = \"env:OTHER\" }]\n\
         communities = [{ community = \"env:LONG\", from = [\"10.0.9.7\"] }]\n\
         traps = [{ address = \"10.0.9.7:162\", user = \"noc\" }, { address = \"10.0.9.8:162\", community = \"env:OTHER\" }]\n",
    );
    insta::assert_debug_snapshot!(on.settings.snmp.unwrap());
}
