//! Keys that are read and judged, and that this version does not act on yet: said aloud, so that nobody relies on them.

use super::findings::{Findings, key};
use crate::config::schema::{Admin, Document, Log, PeerProtocol};

/// Warns where the file asks for what this version does not do.
pub(super) fn warn(document: &Document, findings: &mut Findings<'_, '_>) {
    let mut later = |path: &[String], what: &str| {
        findings.warning(path, &format!("this version does not act on it yet: {what}"));
    };
    if document.log.bodies != Log::default().bodies {
        later(key!["log", "bodies"], "bodies are never logged");
    }
    for (at, federate) in document.federate.iter().enumerate() {
        if federate.rate.new_dialogs_per_second.is_some() && federate.protocol == PeerProtocol::Xmpp {
            later(
                key!["federate", at, "rate", "new_dialogs_per_second"],
                "XMPP has no dialogs; requests_per_second counts its streams too",
            );
        }
        if federate.rate.outbound_requests_per_second.is_some() && federate.protocol == PeerProtocol::Xmpp {
            later(
                key!["federate", at, "rate", "outbound_requests_per_second"],
                "only requests of SIP wait for their turn",
            );
        }
    }
    if document.admin.snmp_agentx != Admin::default().snmp_agentx {
        findings.warning(
            key!["admin", "snmp_agentx"],
            "it has no effect: SNMP is answered by vestibule-snmpd, which the table [snmp] switches on, and not over AgentX",
        );
    }
}
