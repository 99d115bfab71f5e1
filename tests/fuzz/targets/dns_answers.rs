//! Answers of DNS: every usable record is tried once, in the order of priorities, whatever chance says.

use std::num::NonZeroU16;

use vestibule::choices::Choices;
use vestibule::domain::Domain;
use vestibule::route::naptr::{self, NaptrRecord};
use vestibule::route::srv::{self, Answer, Service, SrvName, SrvRecord};
use vestibule::route::{Host, Protocol, Side, Target, Transport};

pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let domain = Domain::parse("one.example").expect("a domain");
    let mut answers: Vec<_> = [Service::XmppsServer, Service::XmppServer]
        .map(|service| (SrvName::new(service, &domain), Vec::new()))
        .into();
    let records = choices.next() % 32;
    for _ in 0..records {
        let which = usize::from(choices.next() % 2);
        let port = match choices.next() % 8 {
            0 => 0,
            _ => choices.wide(),
        };
        answers[which].1.push(SrvRecord {
            priority: u16::from(choices.next() % 4),
            weight: choices.pick(&[0, 0, 1, 10, u16::MAX]),
            port,
            target: (!choices.seldom(4)).then(|| choices.domain()),
        });
    }
    let template = Target {
        protocol: Protocol::Xmpp,
        transport: Transport::Tcp,
        side: Side::Outside,
        host: Host::Name(domain.clone()),
        port: NonZeroU16::MIN,
        domain,
        tls: None,
    };
    let mut usable: Vec<_> = answers
        .iter()
        .flat_map(|(name, records)| records.iter().map(move |record| (name.transport(), record)))
        .filter_map(|(transport, record)| {
            let host = Host::Name(record.target.clone()?);
            Some((record.priority, transport, host, NonZeroU16::new(record.port)?))
        })
        .collect();
    let mut chance = choices.clone();
    // A source of chance that is out of bounds must not break anything either.
    let mut random = |most: u64| u64::from(chance.wide()) % most.saturating_add(2);
    match srv::targets(&answers, &template, &mut random) {
        Answer::Nothing => assert!(answers.iter().all(|(_, records)| records.is_empty())),
        Answer::NotOffered => assert!(usable.is_empty() && answers.iter().any(|(_, records)| !records.is_empty())),
        Answer::Targets(targets) => {
            let mut last = 0;
            for target in targets {
                let position = usable
                    .iter()
                    .enumerate()
                    .filter(|(_, (_, transport, host, port))| {
                        (*transport, host, *port) == (target.transport, &target.host, target.port)
                    })
                    .min_by_key(|(_, (priority, ..))| *priority)
                    .map(|(position, _)| position)
                    .expect("no target but those of the records, each once");
                let (priority, ..) = usable.remove(position);
                assert!(priority >= last, "priority {priority} after {last}");
                last = priority;
                assert_eq!(target.domain, template.domain);
            }
            assert!(usable.is_empty(), "never tried: {usable:?}");
        }
    }
    let records: Vec<_> = (0..choices.next() % 8)
        .map(|_| NaptrRecord {
            order: choices.wide() % 4,
            preference: choices.wide() % 4,
            flags: choices.pick(&["s", "S", "a", ""]).to_owned(),
            services: choices.pick(&["SIPS+D2T", "sip+d2t", "SIP+D2U", "E2U+sip", ""]).to_owned(),
            regexp: choices.pick(&["", "!a!b!"]).to_owned(),
            replacement: choices.text(),
        })
        .collect();
    let questions = naptr::select(&records, &[Transport::Tls]);
    assert!(questions.len() <= records.len());
    for question in questions {
        assert_eq!(question.transport(), Transport::Tls);
        assert!(question.to_fqdn().ends_with('.'));
    }
}
