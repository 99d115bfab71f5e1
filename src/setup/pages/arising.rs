//! What of the questions depends on the machine and on what was said: defaults, and whether they arise.

use crate::setup::answers::Answers;
use crate::setup::machine::Machine;

/// What is said where nothing is shown, and where nothing has to be said.
pub(super) fn nothing(_: &Answers, _: &Machine) -> String {
    String::new()
}

pub(super) fn always(_: &Answers, _: &Machine) -> bool {
    true
}

pub(super) fn on_appliance(_: &Answers, machine: &Machine) -> bool {
    machine.is_appliance
}

pub(super) fn elsewhere(_: &Answers, machine: &Machine) -> bool {
    !machine.is_appliance
}

pub(super) fn has_two_arms(answers: &Answers, machine: &Machine) -> bool {
    machine.is_appliance && answers.get("inside_card", machine) != answers.get("outside_card", machine)
}

pub(super) fn speaks_xmpp(answers: &Answers, machine: &Machine) -> bool {
    answers.get("local_protocol", machine) == "xmpp"
}

pub(super) fn is_component(answers: &Answers, machine: &Machine) -> bool {
    answers.get("local_link", machine) == "component"
}

pub(super) fn has_tls_inside(answers: &Answers, machine: &Machine) -> bool {
    answers.get("local_tls", machine) == "yes"
}

pub(super) fn has_partner(answers: &Answers, machine: &Machine) -> bool {
    !answers.get("partner", machine).is_empty()
}

pub(super) fn partner_may_speak_sip(answers: &Answers, machine: &Machine) -> bool {
    has_partner(answers, machine) && answers.get("partner_protocol", machine) != "xmpp"
}

pub(super) fn imports(answers: &Answers, machine: &Machine) -> bool {
    answers.get("certificate", machine) == "import"
}

pub(super) fn manages_firewall(answers: &Answers, machine: &Machine) -> bool {
    machine.is_appliance || answers.get("firewall", machine) == "yes"
}

/// The card at a place, or the last that there is.
pub(super) fn card_at(machine: &Machine, at: usize) -> String {
    let card = machine.cards.get(at).or_else(|| machine.cards.last());
    card.map(|card| card.name.clone()).unwrap_or_default()
}
