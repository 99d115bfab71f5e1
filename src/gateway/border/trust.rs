//! What the edge says to Microsoft-aware nodes of a request from outside: who sent it, and how far that is proven.
//!
//! Nodes of theirs believe these fields of their edge, and of nobody else; what came from outside was stripped of them.
//! RFC 3325, MS-SIPRE (`ms-edge-proxy-message-trust`).

use super::Border;
use crate::identity::{Authenticated, Method};
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
        let is_verified = matches!(sender.method(), Method::Certificate(_));
        if is_verified && let Some(identity) = address(request.headers().from().uri()) {
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
        let user = match sender.method() {
            Method::Certificate(_) => "verified",
            Method::Dialback | Method::ComponentSecret | Method::NodeAddress | Method::RouteAddress => {
                "unverified"
            }
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

/// The address of a user, without what says how the user is reached.
fn address(uri: &Uri) -> Option<SipUri> {
    let uri = uri.sip()?;
    let bare = SipUri::new(uri.scheme(), uri.host().clone());
    bare.with_escaped_user(uri.user()?).ok()
}
