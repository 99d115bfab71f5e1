//! A flow that we open: what it tells whoever opened it, and for how long it is held.

use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Errand, reach};
use crate::domain::Domain;
use crate::gateway::Trouble;
use crate::net::accept::FlowId;
use crate::net::discover::Purpose;
use crate::net::queue::{self, Refused};
use crate::net::sip_flow::{self, Command, Opened, SipFlow};
use crate::net::world::World;
use crate::route::{Protocol, Target};
use crate::sip::Response;

/// What a flow that a link has opened tells it, and hears from it.
#[derive(Debug, Clone)]
pub struct Keeper {
    target: Target,
    reports: queue::Sender<Report>,
    let_go: CancellationToken,
}

/// What became of a request on a flow of ours, where it concerns the server as a whole.
#[derive(Debug)]
pub(in crate::net) struct Report {
    pub(super) target: Target,
    pub(super) news: News,
}

#[derive(Debug)]
pub(super) enum News {
    /// It answered 503.
    Unavailable(Box<Errand>, Box<Response>),
    /// It did not answer.
    Silent,
    /// It did not answer a request that goes on, whose user may be the silent one.
    Doubtful,
    /// Its connection broke before it said anything of a request that goes on.
    Broken(Box<Errand>),
    /// Its connection broke before a request was sent.
    Unsent(Box<Errand>),
}

impl Keeper {
    /// The server takes nothing now: another one may. Gives both back where the link is gone or busy.
    pub(in crate::net) fn unavailable(
        &self,
        errand: Box<Errand>,
        response: Box<Response>,
    ) -> Result<(), (Box<Errand>, Box<Response>)> {
        let report = Report {
            target: self.target.clone(),
            news: News::Unavailable(errand, response),
        };
        match self.reports.offer(report) {
            Ok(()) => Ok(()),
            Err(Refused::Full(report) | Refused::Closed(report)) => match report.news {
                News::Unavailable(errand, response) => Err((errand, response)),
                News::Silent | News::Doubtful | News::Broken(_) | News::Unsent(_) => Ok(()),
            },
        }
    }

    /// The connection broke under a request that goes on: another server may take it. Gives it back where the link is
    /// gone.
    pub(in crate::net) async fn broken(&self, errand: Box<Errand>) -> Result<(), Box<Errand>> {
        self.hand_back(News::Broken(errand)).await
    }

    /// The connection broke before a request was sent: another may take it. Gives it back where the link is gone.
    pub(in crate::net) async fn unsent(&self, errand: Box<Errand>) -> Result<(), Box<Errand>> {
        self.hand_back(News::Unsent(errand)).await
    }

    async fn hand_back(&self, news: News) -> Result<(), Box<Errand>> {
        let target = self.target.clone();
        match self.reports.send(Report { target, news }).await {
            Ok(()) => Ok(()),
            Err(Refused::Full(report) | Refused::Closed(report)) => match report.news {
                News::Broken(errand) | News::Unsent(errand) => Err(errand),
                News::Unavailable(..) | News::Silent | News::Doubtful => Ok(()),
            },
        }
    }

    /// The server has not answered a request of our own.
    pub(in crate::net) fn silent(&self) {
        self.tell(News::Silent);
    }

    /// A request that goes on was not answered.
    pub(in crate::net) fn doubtful(&self) {
        self.tell(News::Doubtful);
    }

    fn tell(&self, news: News) {
        let target = self.target.clone();
        // A link that is gone or busy learns it from the next request.
        let _busy = self.reports.offer(Report { target, news });
    }

    /// Cancelled when the link will send nothing more on the flow.
    pub(in crate::net) fn let_go(&self) -> CancellationToken {
        self.let_go.clone()
    }
}

/// A flow that is up. When nobody holds it any more, it ends.
#[derive(Debug)]
pub(in crate::net) struct Live {
    pub(in crate::net) target: Target,
    pub(in crate::net) flow: queue::Sender<Command>,
    _hold: DropGuard,
}

impl Live {
    pub(super) fn leads_to(&self, target: &Target) -> bool {
        self.target == *target && !self.flow.is_closed()
    }
}

/// Opens a flow to a target for `remote`. What it reports where nobody listens is given to whoever waits for it.
pub(in crate::net) async fn open(
    world: &Arc<World>,
    remote: &Domain,
    target: &Target,
    reports: queue::Sender<Report>,
    purpose: Purpose,
) -> Result<Live, Trouble> {
    let limits = world.limits();
    let id = FlowId::fresh();
    let (carrier, reached) = reach::carrier(world, (remote, target), id, purpose).await?;
    match purpose {
        Purpose::Traffic => tracing::info!(peer = %remote, %target, flow = %id, "SIP flow opened"),
        Purpose::Look => tracing::debug!(peer = %remote, %target, flow = %id, "SIP flow opened for a look"),
    }
    let let_go = CancellationToken::new();
    let flow = SipFlow {
        world: Arc::clone(world),
        carrier,
        id,
        side: target.side,
        remote: reached.address,
        transport: reached.transport,
        opened: Opened::ByUs(Keeper {
            target: target.clone(),
            reports,
            let_go: let_go.clone(),
        }),
        proof: reached.proof,
        alive: world.metrics.connection(target.side, Protocol::Sip, "made"),
    };
    let (sender, commands) = queue::bounded("sip_flow", limits.sip.transactions, &world.metrics);
    let own = sender.clone();
    world.supervisor.spawn("sip_flow", async move {
        if let Err(error) = sip_flow::run(flow, own, commands).await {
            tracing::info!(flow = %id, %error, "SIP flow broken");
        }
    });
    Ok(Live {
        target: target.clone(),
        flow: sender,
        _hold: let_go.drop_guard(),
    })
}
