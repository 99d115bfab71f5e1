//! How a domain is proven on XMPP: TLS, SASL, dialback and certificates, from `[xmpp]` and the entries.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::{Findings, key};
use crate::config::schema::{
    DirectedXmpp, Federate, PeerProtocol, Sasl as SaslWord, TlsMode, Xmpp as Defaults,
};
use crate::net::settings::{Listener, PeerCertificate, Side, TlsContext, TlsName};
use crate::policy::security::{ClientCertificate, Dialback, Sasl, Security, Tls};
use crate::route::{Federated, Protocol, XmppSecurity};

/// The security of domains that say nothing of their own.
pub(super) fn of_all(defaults: &Defaults, findings: &mut Findings<'_, '_>) -> Security {
    let security = merged(defaults, &[]);
    judge(security, key!["xmpp", "sasl"], "", findings);
    security
}

/// Warns of listeners that demand a certificate of peers that need not show one.
pub(super) fn warn_of_listeners(
    listeners: &[Listener],
    contexts: &BTreeMap<TlsName, TlsContext>,
    entries: &[Federated],
    findings: &mut Findings<'_, '_>,
) {
    let lax = entries.iter().find(|entry| {
        entry.protocol.includes(Protocol::Xmpp)
            && entry.xmpp.inbound.certificate == ClientCertificate::NotRequired
    });
    let Some(lax) = lax else { return };
    let demanding: BTreeSet<&TlsName> = listeners
        .iter()
        .filter(|listener| listener.side == Side::Outside && listener.protocol == Protocol::Xmpp)
        .filter_map(|listener| listener.tls.as_ref())
        .filter(|name| {
            contexts
                .get(name)
                .is_some_and(|context| context.peer_certificate == PeerCertificate::Required)
        })
        .collect();
    for name in demanding {
        findings.warning(
            key!["tls", name, "peer_certificate"],
            &format!(
                "without a certificate nobody gets past this handshake, though require_certificate is false for {}; write \"optional\"",
                lax.pattern
            ),
        );
    }
}

/// The security of both directions: the direction's own keys, else the domain's, else those of `[xmpp]`.
pub(super) fn of_entry(
    at: usize,
    given: &Federate,
    defaults: &Defaults,
    findings: &mut Findings<'_, '_>,
) -> XmppSecurity {
    let whole = DirectedXmpp {
        tls: given.xmpp.tls,
        sasl: given.xmpp.sasl,
        dialback: given.xmpp.dialback,
        require_certificate: given.xmpp.require_certificate,
    };
    let security = XmppSecurity {
        inbound: merged(defaults, &[&given.xmpp.inbound, &whole]),
        outbound: merged(defaults, &[&given.xmpp.outbound, &whole]),
    };
    let path = key!["federate", at, "xmpp"];
    // What it inherits is judged where it stands.
    if findings.gives(path) && given.protocol != PeerProtocol::Sip {
        if security.inbound == security.outbound {
            judge(security.inbound, path, "", findings);
        } else {
            judge(security.inbound, path, "inbound: ", findings);
            judge(security.outbound, path, "outbound: ", findings);
        }
    } else if findings.gives(path) {
        findings.warning(path, "`xmpp` has no effect, as protocol is \"sip\"");
    }
    security
}

fn merged(defaults: &Defaults, layers: &[&DirectedXmpp]) -> Security {
    let tls = layers.iter().find_map(|layer| layer.tls).unwrap_or(defaults.tls);
    let sasl = layers
        .iter()
        .find_map(|layer| layer.sasl)
        .unwrap_or(defaults.sasl);
    let dialback = layers
        .iter()
        .find_map(|layer| layer.dialback)
        .unwrap_or(defaults.dialback);
    let certificate = layers
        .iter()
        .find_map(|layer| layer.require_certificate)
        .unwrap_or(defaults.require_certificate);
    Security {
        tls: match tls {
            TlsMode::None => Tls::Off,
            TlsMode::Optional => Tls::Optional,
            TlsMode::Required => Tls::Required,
        },
        sasl: match sasl {
            SaslWord::Off => Sasl::Off,
            SaslWord::Optional => Sasl::Optional,
            SaslWord::Required => Sasl::Required,
        },
        dialback: if dialback { Dialback::On } else { Dialback::Off },
        certificate: if certificate {
            ClientCertificate::Required
        } else {
            ClientCertificate::NotRequired
        },
    }
}

fn judge(security: Security, path: &[String], direction: &str, findings: &mut Findings<'_, '_>) {
    let words = format!(
        "{direction}tls {}, sasl {}, dialback {}",
        match security.tls {
            Tls::Off => "none",
            Tls::Optional => "optional",
            Tls::Required => "required",
        },
        match security.sasl {
            Sasl::Off => "off",
            Sasl::Optional => "optional",
            Sasl::Required => "required",
        },
        match security.dialback {
            Dialback::Off => "off",
            Dialback::On => "on",
        }
    );
    match security.check() {
        Err(why) => findings.error_with_help(
            path,
            &format!("{words}: {why}"),
            "use tls = \"required\" with sasl = \"optional\", or dialback = true",
        ),
        Ok(methods) => {
            if let Some(why) = methods.warning() {
                findings.warning(path, &format!("{words}: {why}"));
            }
            // Without dialback only the certificate can prove a domain, so that it is required all the same.
            if security.certificate == ClientCertificate::NotRequired && !methods.uses_dialback() {
                findings.warning(
                    path,
                    &format!("{words}: require_certificate = false has no effect, as only a certificate proves the domain"),
                );
            }
        }
    }
}
