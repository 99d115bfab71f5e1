//! Where the line between the two networks runs.

use super::findings::{Findings, key};
use crate::config::schema::{Document, Network as Given, Text};
use crate::route::{Boundary, Network};

/// The line that names of foreign domains may not lead over.
pub(super) fn boundary(document: &Document, findings: &mut Findings<'_, '_>) -> Boundary {
    let (outside, inside) = (&document.zone.outside, &document.zone.inside);
    for (at, given) in outside.networks.iter().enumerate() {
        let path = key!["zone", "outside", "networks", at];
        let Some(network) = network(given) else { continue };
        if network.is_everything() {
            findings.warning(
                path,
                "this is every address, so the DNS of a foreign domain could lead the edge anywhere inside but to the nodes",
            );
        }
        if inside
            .networks
            .iter()
            .filter_map(self::network)
            .any(|other| other == network)
        {
            findings.error(
                path,
                &format!("{network} is in [zone.inside] networks, too; it is one of the two"),
            );
        }
    }
    let own = outside.addresses.iter().chain(&inside.addresses);
    let networks = |given: &[Text<Given>]| given.iter().filter_map(network).collect();
    Boundary::new(
        own.map(|address| address.0.0).collect(),
        networks(&outside.networks),
        networks(&inside.networks),
    )
}

/// The shape has checked the length of the prefix.
pub(super) fn network(given: &Text<Given>) -> Option<Network> {
    Network::new(given.0.address, given.0.prefix)
}
