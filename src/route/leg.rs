//! From entries to plans: what is tried for a local domain's nodes, for static routes, and by a domain's own DNS.

use std::num::NonZeroU16;

use super::plan::Candidate;
use super::srv::{Service, SrvName};
use super::{
    AddressFallback, Discovery, Found, Host, Link, Local, Lookup, Nodes, Plan, Protocol, Side, StaticRoute,
    Step, Target, TlsName, Transport,
};
use crate::domain::Domain;

/// The nodes of a local domain.
pub(super) fn local_plan(local: &Local) -> Plan {
    let target = |host: Host, port, transport| Target {
        protocol: local.protocol,
        transport,
        side: Side::Inside,
        host,
        port,
        domain: local.domain.clone(),
        tls: local.tls.clone(),
    };
    let stage = match &local.nodes {
        Nodes::List(nodes) => nodes
            .iter()
            .map(|node| {
                let port = match &local.link {
                    Link::Component(link) => link.port,
                    Link::S2s => node
                        .port
                        .unwrap_or_else(|| local.protocol.default_port(node.transport)),
                };
                Candidate {
                    priority: node.priority,
                    weight: node.weight,
                    step: Step::Address(target(node.host.clone(), port, node.transport)),
                }
            })
            .collect(),
        Nodes::Srv {
            name,
            transport,
            records,
        } => {
            let port = local.protocol.default_port(*transport);
            let template = target(Host::Name(name.clone()), port, *transport);
            vec![Candidate::only(Step::Discover(match records {
                Some(records) => by_records(template, records),
                None => by_transport(template),
            }))]
        }
    };
    Plan::new(local.protocol, vec![stage])
}

/// What all steps towards one foreign domain have in common.
#[derive(Clone, Copy)]
pub(super) struct Leg<'t> {
    pub(super) protocol: Protocol,
    pub(super) domain: &'t Domain,
    pub(super) tls: Option<&'t TlsName>,
}

impl Leg<'_> {
    fn target(&self, host: Host, port: Option<NonZeroU16>, transport: Transport) -> Target {
        Target {
            protocol: self.protocol,
            transport,
            side: Side::Outside,
            host,
            port: port.unwrap_or_else(|| self.protocol.default_port(transport)),
            domain: self.domain.clone(),
            tls: self.tls.cloned(),
        }
    }

    /// Static routes of one pattern.
    pub(super) fn static_stage(&self, routes: &[&StaticRoute]) -> Vec<Candidate> {
        routes
            .iter()
            .map(|route| {
                let hop = &route.next_hop;
                let port = match hop.found {
                    Found::Port(port) => Some(port),
                    Found::Service | Found::Records(_) => None,
                };
                let target = self.target(hop.host.clone(), port, route.transport);
                let step = match (&hop.found, &hop.host) {
                    (Found::Records(name), _) => Step::Discover(by_records(target, name)),
                    (Found::Service, Host::Name(_)) => Step::Discover(by_transport(target)),
                    (Found::Service, Host::Address(_)) | (Found::Port(_), _) => Step::Address(target),
                };
                Candidate {
                    priority: route.priority.get(),
                    weight: route.weight.get(),
                    step,
                }
            })
            .collect()
    }

    /// The domain's own DNS. SIP is asked for over TLS only: anything less needs a static route (edge §1).
    pub(super) fn discover(&self, fallback: AddressFallback) -> Step {
        let name = |service| SrvName::new(service, self.domain);
        let host = Host::Name(self.domain.clone());
        Step::Discover(match self.protocol {
            Protocol::Sip => {
                let template = self.target(host, None, Transport::Tls);
                Discovery {
                    lookups: vec![
                        Lookup::Srv(vec![name(Service::SipFederationTls)]),
                        Lookup::Srv(vec![name(Service::SipsTcp)]),
                        Lookup::Naptr(self.domain.clone()),
                    ],
                    transports: vec![Transport::Tls],
                    fallback: match fallback {
                        AddressFallback::Allowed => Some(template.clone()),
                        AddressFallback::Forbidden => None,
                    },
                    template,
                }
            }
            //= rfc6120#3.2.2
            //# the initiating entity SHOULD perform a "fallback" resolution process
            Protocol::Xmpp => {
                let template = self.target(host, None, Transport::Tcp);
                Discovery {
                    lookups: vec![Lookup::Srv(vec![
                        name(Service::XmppsServer),
                        name(Service::XmppServer),
                    ])],
                    transports: vec![Transport::Tls, Transport::Tcp],
                    fallback: Some(template.clone()),
                    template,
                }
            }
        })
    }
}

/// The SRV records of a configured name, and nothing else: who names them means them.
fn by_records(template: Target, name: &SrvName) -> Discovery {
    Discovery {
        lookups: vec![Lookup::Srv(vec![name.clone()])],
        transports: vec![template.transport],
        fallback: None,
        template,
    }
}

/// The SRV records of a configured host for a configured transport, then the host itself.
pub(super) fn by_transport(template: Target) -> Discovery {
    let services: &[Service] = match (template.protocol, template.transport) {
        (Protocol::Xmpp, Transport::Tls) => &[Service::XmppsServer],
        (Protocol::Xmpp, Transport::Tcp | Transport::Udp) => &[Service::XmppServer],
        (Protocol::Sip, Transport::Tls) => &[Service::SipFederationTls, Service::SipsTcp],
        (Protocol::Sip, Transport::Tcp) => &[Service::SipTcp],
        (Protocol::Sip, Transport::Udp) => &[Service::SipUdp],
    };
    let mut discovery = Discovery {
        lookups: Vec::new(),
        transports: vec![template.transport],
        fallback: Some(template.clone()),
        template,
    };
    if let Some(name) = discovery.name().cloned() {
        let question = |service: &Service| Lookup::Srv(vec![SrvName::new(*service, &name)]);
        discovery.lookups = services.iter().map(question).collect();
    }
    discovery
}
