//! What the edge says to Microsoft-aware nodes of a request from outside: who sent it, and how far that is proven.
//!
//! Nodes of theirs believe these fields of their edge, and of nobody else; what came from outside was stripped of them.
//! RFC 3325, MS-SIPRE (`ms-edge-proxy-message-trust`).

use super::Border;
use crate::identity::{Authenticated, Method, Proof};
use crate::route::{Destination, Federated, Host, Profile, Route};
use crate::sip::{Flaw, NameAddr, Request, SipUri, Uri};

impl Border {
    /// Adds what a node of that kind wants to be told; nothing for others.
    pub(super) fn vouch(
        &self,
        request: &mut Request,
        route: &Route,
        (entry, sender): (&Federated, &Authenticated),
    ) -> Result<(), Flaw> {
        let is_asked = match route.destination() {
            Destination::Local(local) => local.profile == Profile::Microsoft,
            Destination::Foreign(_) => false,
        };
        if !is_asked {
            return Ok(());
        }
        if is_named(sender.method())
            && let Some(identity) = address(request.headers().from().uri())
        {
            let identity = NameAddr::new(identity).to_string();
            request.headers_mut().push("P-Asserted-Identity", &identity)?;
        }
        let value = self.message_trust(entry, sender);
        request.headers_mut().push("ms-edge-proxy-message-trust", &value)
    }

    fn message_trust(&self, entry: &Federated, sender: &Authenticated) -> String {
        let kind = match (&entry.via, entry.routes.is_empty()) {
            (Some(_), _) => "AuthorizedServer",
            (None, false) => "DirectPartner",
            (None, true) => "AutoFederation",
        };
        let user = if is_named(sender.method()) {
            "verified"
        } else {
            "unverified"
        };
        let network = match entry.profile {
            Profile::Aol => "publiccloud",
            Profile::Simple | Profile::Microsoft | Profile::Xmpp => "federation",
        };
        let next_hop = entry.routes.iter().find_map(|route| match &route.next_hop.host {
            Host::Name(name) => Some(name),
            Host::Address(_) => None,
        });
        let remote = next_hop.unwrap_or_else(|| sender.domain());
        format!(
            "ms-source-type={kind};ms-ep-fqdn={};ms-source-verified-user={user};ms-source-network={network};ms-remote-fqdn={remote}",
            self.edge
        )
    }
}

/// Whether a certificate names the domain itself. A host that the domain is reached at may serve others, too.
const fn is_named(method: Method) -> bool {
    match method {
        Method::Certificate(proof) => match proof {
            Proof::XmppAddr | Proof::SrvName | Proof::DnsId | Proof::SipUri | Proof::CommonName => true,
            Proof::RouteTarget | Proof::Pinned => false,
        },
        Method::Dialback | Method::ComponentSecret | Method::NodeAddress | Method::RouteAddress => false,
    }
}

/// The address of a user, without what says how the user is reached.
fn address(uri: &Uri) -> Option<SipUri> {
    let uri = uri.sip()?;
    let bare = SipUri::new(uri.scheme(), uri.host().clone());
    bare.with_escaped_user(uri.user()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_verified_where_the_certificate_names_the_domain() {
        for (proof, is) in [
            (Proof::SipUri, true),
            (Proof::DnsId, true),
            (Proof::CommonName, true),
            (Proof::RouteTarget, false),
            (Proof::Pinned, false),
        ] {
            assert_eq!(is_named(Method::Certificate(proof)), is, "{proof:?}");
        }
        assert!(!is_named(Method::RouteAddress));
    }
}
