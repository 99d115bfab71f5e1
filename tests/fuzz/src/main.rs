//! Every fuzz target in one binary; the environment variable `VESTIBULE_FUZZ` names the one to run.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

#[path = "../targets/address_round_trip.rs"]
mod address_round_trip;
#[path = "../targets/certificate.rs"]
mod certificate;
#[path = "../targets/configuration.rs"]
mod configuration;
#[path = "../targets/content.rs"]
mod content;
#[path = "../targets/dialback.rs"]
mod dialback;
#[path = "../targets/dns_answers.rs"]
mod dns_answers;
#[path = "../targets/jid.rs"]
mod jid;
#[path = "../targets/policy.rs"]
mod policy;
#[path = "../targets/presence.rs"]
mod presence;
#[path = "../targets/presence_machines.rs"]
mod presence_machines;
#[path = "../targets/sasl.rs"]
mod sasl;
#[path = "../targets/sdp.rs"]
mod sdp;
#[path = "../targets/sip_dialog.rs"]
mod sip_dialog;
#[path = "../targets/sip_message.rs"]
mod sip_message;
#[path = "../targets/sip_proxy.rs"]
mod sip_proxy;
#[path = "../targets/sip_session_timer.rs"]
mod sip_session_timer;
#[path = "../targets/sip_stream.rs"]
mod sip_stream;
#[path = "../targets/sip_subscription.rs"]
mod sip_subscription;
#[path = "../targets/sip_uri.rs"]
mod sip_uri;
#[path = "../targets/stanza.rs"]
mod stanza;
#[path = "../targets/translation.rs"]
mod translation;
#[path = "../targets/xml_stream.rs"]
mod xml_stream;
#[path = "../targets/xmpp_component.rs"]
mod xmpp_component;
#[path = "../targets/xmpp_initiating.rs"]
mod xmpp_initiating;
#[path = "../targets/xmpp_receiving.rs"]
mod xmpp_receiving;

type Target = fn(&[u8]);

fuzz_target!(|data: &[u8]| {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    CHOSEN.get_or_init(chosen)(data);
});

fn chosen() -> Target {
    let name = std::env::var("VESTIBULE_FUZZ").unwrap_or_default();
    TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("VESTIBULE_FUZZ is {name:?}, and no target is called so"))
        .1
}

const TARGETS: [(&str, Target); 25] = [
    ("address_round_trip", address_round_trip::run),
    ("certificate", certificate::run),
    ("configuration", configuration::run),
    ("content", content::run),
    ("dialback", dialback::run),
    ("dns_answers", dns_answers::run),
    ("jid", jid::run),
    ("policy", policy::run),
    ("presence", presence::run),
    ("presence_machines", presence_machines::run),
    ("sasl", sasl::run),
    ("sdp", sdp::run),
    ("sip_dialog", sip_dialog::run),
    ("sip_message", sip_message::run),
    ("sip_proxy", sip_proxy::run),
    ("sip_session_timer", sip_session_timer::run),
    ("sip_stream", sip_stream::run),
    ("sip_subscription", sip_subscription::run),
    ("sip_uri", sip_uri::run),
    ("stanza", stanza::run),
    ("translation", translation::run),
    ("xml_stream", xml_stream::run),
    ("xmpp_component", xmpp_component::run),
    ("xmpp_initiating", xmpp_initiating::run),
    ("xmpp_receiving", xmpp_receiving::run),
];
