//! The configuration file that the answers make.

use std::net::IpAddr;

use super::answers::Answers;
use super::checks::{host_and_port, interface_of};
use super::machine::Machine;

/// The places of the files that it names.
pub(super) struct Places {
    pub(super) chain: String,
    pub(super) key: String,
    /// As the configuration refers to it.
    pub(super) secret: String,
    /// Whom the proxy runs as.
    pub(super) user: String,
}

/// The text of the file.
pub(super) fn text(answers: &Answers, machine: &Machine, places: &Places) -> String {
    let said = Said { answers, machine };
    let mut text = String::from(HEAD);
    text.push_str(&format!("[edge]\nname = {}\n", quoted(&said.get("name"))));
    if places.user != USER {
        text.push_str(&format!("run_as = {}\n", quoted(&places.user)));
    }
    text.push('\n');
    text.push_str(&format!(
        "[zone.outside]\naddresses = {}\n",
        list(&said.outside())
    ));
    text.push_str(&format!(
        "[zone.inside]\naddresses = {}\n\n",
        list(&said.inside())
    ));
    text.push_str(&format!(
        "[dns]\nservers = {}\n\n",
        list(&said.list("dns_servers"))
    ));
    text.push_str(OUTSIDE_LISTENERS);
    said.inside_listener(&mut text);
    text.push_str(&format!(
        "[tls.public]\ncertificates = [{{ chain = {}, key = {} }}]\n\n",
        quoted(&places.chain),
        quoted(&places.key)
    ));
    said.local(&mut text, places);
    said.partner(&mut text, places);
    said.management(&mut text);
    text
}

struct Said<'a> {
    answers: &'a Answers,
    machine: &'a Machine,
}

impl Said<'_> {
    fn get(&self, key: &str) -> String {
        self.answers.get(key, self.machine)
    }

    fn list(&self, key: &str) -> Vec<String> {
        self.answers.list(key, self.machine)
    }

    fn is(&self, key: &str, value: &str) -> bool {
        self.get(key) == value
    }

    fn outside(&self) -> Vec<String> {
        self.addresses(&["outside_interface", "outside_interface6"], "outside_addresses")
    }

    fn inside(&self) -> Vec<String> {
        self.addresses(&["inside_interface"], "inside_addresses")
    }

    /// The addresses of one side: of the cards where they are ours to set.
    fn addresses(&self, interfaces: &[&str], listed: &str) -> Vec<String> {
        let of_cards = interfaces
            .iter()
            .filter_map(|key| interface_of(&self.get(key)).ok());
        let of_cards = of_cards.map(|(address, _)| address.to_string());
        of_cards.chain(self.list(listed)).collect()
    }

    /// Where the nodes reach the edge. A component does not: the edge connects to it.
    fn inside_listener(&self, text: &mut String) {
        if self.is("local_link", "component") {
            return;
        }
        let protocol = self.get("local_protocol");
        text.push_str(&format!(
            "[[listen]]\nzone = \"inside\"\nprotocol = {}\n",
            quoted(&protocol)
        ));
        match (self.has_tls(), protocol.as_str()) {
            (true, _) => text.push_str("tls = \"inside\"\n\n"),
            (false, "sip") => text.push_str("transport = \"tcp\"\n\n"),
            (false, _) => text.push('\n'),
        }
    }

    fn has_tls(&self) -> bool {
        self.is("local_tls", "yes")
    }

    fn local(&self, text: &mut String, places: &Places) {
        if self.has_tls() {
            text.push_str(&format!(
                "[tls.inside]\ncertificates = [{{ chain = {}, key = {} }}]\ntrust = {}\n\n",
                quoted(&places.chain),
                quoted(&places.key),
                list(&self.list("local_trust"))
            ));
        }
        let given = self.list("local_nodes");
        let nodes = given
            .iter()
            .filter_map(|node| host_and_port(node).ok())
            .map(|(host, port)| match port {
                Some(port) => format!("{{ host = {}, port = {port} }}", quoted(&host)),
                None => format!("{{ host = {} }}", quoted(&host)),
            });
        let nodes = nodes.collect::<Vec<_>>().join(", ");
        for domain in self.list("local_domains") {
            text.push_str(&format!(
                "[[local]]\ndomain = {}\nprotocol = {}\nnodes = [{nodes}]\n",
                quoted(&domain),
                quoted(&self.get("local_protocol"))
            ));
            if self.has_tls() {
                text.push_str("tls = \"inside\"\n");
            }
            if self.is("local_link", "component") {
                text.push_str(&format!(
                    "link = \"component\"\nsecret = {}\n",
                    quoted(&places.secret)
                ));
            }
            text.push('\n');
        }
    }

    fn partner(&self, text: &mut String, places: &Places) {
        let domain = self.get("partner");
        if domain.is_empty() {
            text.push_str(NO_PARTNER);
            return;
        }
        let pin: String = self.get("partner_pin").chars().filter(|c| *c != ':').collect();
        if !pin.is_empty() {
            text.push_str(&format!(
                "[tls.partner]\ncertificates = [{{ chain = {}, key = {} }}]\nidentity = \"pinned\"\npins = [{}]\n\n",
                quoted(&places.chain),
                quoted(&places.key),
                quoted(&pin.to_ascii_lowercase())
            ));
        }
        let protocol = self.get("partner_protocol");
        text.push_str(&format!(
            "[[federate]]\ndomain = {}\nprotocol = {}\n",
            quoted(&domain),
            quoted(&protocol)
        ));
        if !pin.is_empty() {
            text.push_str("tls = \"partner\"\n");
        }
        if self.is("partner_profile", "microsoft") {
            text.push_str("profile = \"microsoft\"\n");
        }
        if let Ok((host, port)) = host_and_port(&self.get("partner_next_hop")) {
            let usual = if protocol == "sip" { 5061 } else { 5269 };
            let transport = if protocol == "sip" { "tls" } else { "tcp" };
            text.push_str(&format!(
                "routes = [{{ next_hop = {}, port = {}, transport = \"{transport}\" }}]\n",
                quoted(&host),
                port.unwrap_or(usual)
            ));
        }
        text.push_str(&format!(
            "\n[[policy.exception]]\ndomain = {}\naction = \"allow\"\n\n",
            quoted(&domain)
        ));
    }

    fn management(&self, text: &mut String) {
        let from = self.list("management_from");
        text.push_str(&format!(
            "[firewall]\nmanage = {}\nmanagement_from = {}\n",
            self.machine.is_appliance || self.is("firewall", "yes"),
            list(&from)
        ));
        if self.machine.is_appliance {
            // No shell is offered over the network.
            text.push_str("management_ports = []\noutgoing = \"own\"\n");
        }
        if self.is("metrics", "yes")
            && let Some(address) = self
                .inside()
                .first()
                .and_then(|address| address.parse::<IpAddr>().ok())
        {
            text.push_str(&format!(
                "\n[admin]\nmetrics = \"{}\"\n",
                std::net::SocketAddr::new(address, METRICS)
            ));
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(values: &[String]) -> String {
    let quoted: Vec<_> = values.iter().map(|value| quoted(value)).collect();
    format!("[{}]", quoted.join(", "))
}

const HEAD: &str = "# Made by `vestibule setup`. What is left out holds by its default; config/vestibule.toml of the source explains every key.
# After a change: `vestibule check`, then restart the proxy, and `vestibule firewall apply` where the firewall is managed.

";
const OUTSIDE_LISTENERS: &str = "[[listen]]
zone = \"outside\"
protocol = \"xmpp\"
tls = \"public\"

[[listen]]
zone = \"outside\"
protocol = \"sip\"
tls = \"public\"

";
const NO_PARTNER: &str =
    "# Nobody is let in yet. A partner is a [[federate]] and a [[policy.exception]] that allows it:
#[[federate]]
#domain = \"contoso.com\"
#[[policy.exception]]
#domain = \"contoso.com\"
#action = \"allow\"

";
/// Whom the proxy runs as where nothing else is said.
const USER: &str = "vestibule";
const METRICS: u16 = 9464;
