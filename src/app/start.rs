//! The start: certificates, ports, user, gateway, traffic.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::anyhow;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::state;
use super::user::{Closed, RunAs};
use crate::admin::{self, control};
use crate::config::Settings;
use crate::domain::{Domain, DomainPattern};
use crate::gateway::{AnswerIds, Border, Gateway, Input, Link, Speaker};
use crate::limits::{self, GatewayLimits};
use crate::net::circles::Circles;
use crate::net::dns::{Hosts, Resolver};
use crate::net::pool::Pool;
use crate::net::rates::Rates;
use crate::net::sip_udp::Sockets;
use crate::net::world::{self, DefaultTls, NodeAddresses, Places, Streams, World};
use crate::net::xmpp_places::XmppPlaces;
use crate::net::xmpp_verify::Verifications;
use crate::net::{listen, probe, queue, serve, shard};
use crate::observe::health::Phase;
use crate::observe::{Health, Metrics};
use crate::pki::{Contexts, PkiError};
use crate::portmap;
use crate::route::{self, Nodes, Secret, Side};
use crate::sip::transaction::Register;
use crate::store::{self, Desk};
use crate::supervise::Supervisor;
use crate::xmpp::DialbackSecret;

/// A proxy that runs.
pub(super) struct Started {
    pub(super) world: Arc<World>,
    pub(super) live: Live,
    /// Cancelled to close the listeners.
    pub(super) accepting: CancellationToken,
    /// Cancelled to close the management listener.
    pub(super) answering: CancellationToken,
}

/// What a reload replaces.
pub(crate) struct Live {
    limits: watch::Sender<Arc<limits::Limits>>,
    border: watch::Sender<Arc<Border>>,
    contexts: watch::Sender<Arc<Contexts>>,
    default_tls: watch::Sender<DefaultTls>,
    secret: Secret,
}

/// Starts everything, or tells what is in the way.
pub(super) async fn start(
    settings: &Settings,
    run_as: Option<&RunAs>,
    files: &[PathBuf],
) -> anyhow::Result<Started> {
    let contexts = contexts(settings)?;
    let mut sockets = Vec::new();
    for listener in &settings.listeners {
        let socket = listen::of(listener).map_err(|error| {
            let what = format!("[[listen]] {} {}", listener.side, listener.protocol);
            cannot_listen(&what, listener.address, &error)
        })?;
        sockets.push((socket, listener.clone()));
    }
    let mut mapped = Vec::new();
    for map in &settings.port_maps {
        let what = format!("[[port_map]] \"{}\"", map.name);
        let bind = |address: &SocketAddr| {
            listen::bind(*address).map_err(|error| cannot_listen(&what, *address, &error))
        };
        let bound: anyhow::Result<Vec<TcpListener>> = map.public.iter().map(bind).collect();
        mapped.push((bound?, map.clone()));
    }
    if let Some(socket) = &settings.admin.control {
        make_folder(socket, run_as);
    }
    let admin = match settings.admin.metrics {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .map_err(|error| cannot_listen("[admin] metrics", address, &error))?,
        ),
        None => None,
    };
    let folder = state::folder(settings, run_as)?;
    // Read again as the user that will have to read them on every reload.
    let contexts = match run_as {
        Some(user) => {
            user.enter()?;
            let closed = user.could_not_read(files);
            if !closed.is_empty() {
                let lines: Vec<_> = closed.iter().map(Closed::to_string).collect();
                return Err(anyhow!(lines.join("\n  ")));
            }
            self::contexts(settings)?
        }
        None => contexts,
    };
    let (world, live, inlets) = assemble(settings, contexts)?;
    note_certificates(&world, &world.contexts.borrow());
    let speaker = Speaker::new(
        world.ids.clone(),
        settings.edge.name.clone(),
        &settings.interworking.undeliverable,
        world::random(),
    );
    let store = folder.map(|folder| {
        let (sender, handed) = queue::bounded("store", settings.limits.net.queue, &world.metrics);
        let keeping = store::run(Arc::clone(&world), Box::new(folder), handed);
        world.supervisor.spawn("store", keeping);
        sender
    });
    let is_stored = store.is_some();
    let limits = shared_out(&settings.limits.gateway, world.shards.len());
    for (number, inlet) in (0_u8..).zip(inlets) {
        let gateway = Gateway::new(number, limits.clone(), &speaker).expecting_records();
        let desk = Desk::new(number, store.clone(), Arc::clone(&world.metrics));
        world
            .supervisor
            .spawn("shard", shard::run(Arc::clone(&world), gateway, inlet, desk));
    }
    if !is_stored {
        tracing::warn!("[edge] state_dir is empty: subscriptions do not outlive a restart");
        for shard in &world.shards {
            let _gone = shard.send(Input::Restored).await;
        }
    }
    let accepting = CancellationToken::new();
    for (socket, listener) in sockets {
        tracing::info!(
            side = %listener.side, protocol = %listener.protocol, transport = %listener.transport,
            address = %listener.address, "listening"
        );
        serve::listen(&world, socket, listener, &accepting)?;
    }
    for (sockets, map) in mapped {
        let places: Vec<String> = map.public.iter().map(ToString::to_string).collect();
        tracing::info!(map = map.name, address = places.join(" "), "mapping a port");
        portmap::listen(&world, sockets, map, &accepting);
    }
    keep_components_up(&world, settings);
    world.supervisor.spawn("probe", probe::run(Arc::clone(&world)));
    let questions = probe::ask_those_set_aside(Arc::clone(&world));
    world.supervisor.spawn("probe", questions);
    let answering = CancellationToken::new();
    if let Some(listener) = admin {
        let sources = admin::Sources {
            metrics: Arc::clone(&world.metrics),
            health: world.health.clone(),
            supervisor: world.supervisor.clone(),
        };
        let stop = answering.clone().cancelled_owned();
        world.supervisor.spawn("admin", async move {
            if let Err(error) = admin::serve(listener, sources, stop).await {
                tracing::error!(%error, "the management listener failed");
            }
        });
    }
    if let Some(socket) = settings.admin.control.clone() {
        let (edge, listeners) = (settings.edge.name.clone(), settings.listeners.clone());
        let sources = control::Sources::new(Arc::clone(&world), edge, listeners);
        let answered = control::serve(socket, sources, answering.clone());
        world.supervisor.spawn("control", answered);
    }
    world.health.enter(Phase::Running);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), edge = %settings.edge.name, "running");
    Ok(Started {
        world,
        live,
        accepting,
        answering,
    })
}

impl Live {
    /// Puts another configuration in force: what is new counts from now on, what is under way goes on.
    pub(crate) fn replace(&self, world: &Arc<World>, settings: &Settings, contexts: Contexts) {
        note_certificates(world, &contexts);
        self.contexts.send_replace(Arc::new(contexts));
        self.default_tls.send_replace(default_tls(settings));
        self.limits.send_replace(Arc::new(settings.limits.clone()));
        self.border.send_replace(Arc::new(border(settings, &self.secret)));
        world.health.expect_nodes(nodes(settings));
        keep_components_up(world, settings);
    }
}

/// The folder of the control socket, while we may still make it. That there is none is told by the socket itself.
fn make_folder(socket: &Path, run_as: Option<&RunAs>) {
    if let Ok(Some(folder)) = control::make_folder(socket)
        && let Some(Err(error)) = run_as.map(|user| user.give(&folder))
    {
        tracing::warn!(%error, folder = %folder.display(), "the folder of the control socket cannot be given to run_as");
    }
}

/// The bounds of one gateway of so many: what holds for all of them together is divided.
fn shared_out(limits: &GatewayLimits, count: usize) -> GatewayLimits {
    let mut limits = limits.clone();
    let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    let share = limits.presence.changes.get().checked_div(count);
    limits.presence.changes = share.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    limits
}

/// Reads the certificates of a configuration.
pub(crate) fn contexts(settings: &Settings) -> anyhow::Result<Contexts> {
    Contexts::load(&settings.tls).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(PkiError::to_string).collect();
        anyhow!("certificates cannot be used:\n  {}", lines.join("\n  "))
    })
}

/// Until when our certificates count, for the metrics.
fn note_certificates(world: &World, contexts: &Contexts) {
    let known = contexts.iter().flat_map(|(name, context)| {
        context.own().iter().filter_map(|own| {
            let path = own.path().display().to_string();
            Some((name.to_string(), path, own.not_after()?))
        })
    });
    world.metrics.certificates(known);
}

/// Why an address cannot be listened on, with what most often mends it.
pub(super) fn cannot_listen(what: &str, address: SocketAddr, error: &io::Error) -> anyhow::Error {
    let kind = error.kind();
    let help = if kind == io::ErrorKind::AddrInUse {
        "another program listens there; find it with: ss -lntup"
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "the address belongs to no interface of this machine; see: ip address"
    } else if kind == io::ErrorKind::PermissionDenied {
        "ports below 1024 need root, which is given up for run_as, or the capability CAP_NET_BIND_SERVICE"
    } else {
        "the operating system does not allow it"
    };
    anyhow!("{what}: {address} cannot be listened on ({error}): {help}")
}

pub(crate) type Inlets = Vec<shard::Inlet>;

pub(crate) fn assemble(
    settings: &Settings,
    contexts: Contexts,
) -> anyhow::Result<(Arc<World>, Live, Inlets)> {
    let metrics = Arc::new(Metrics::new()?);
    let health = Health::new();
    health.expect_nodes(nodes(settings));
    let count = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .clamp(1, MOST_SHARDS);
    let (mut shards, mut questions, mut inlets) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let limits = &settings.limits.net;
        let entries = limits.queue.saturating_mul(4);
        let (shard, inputs) = queue::weighed("shard", entries, limits.queue_bytes, Input::weight, &metrics);
        let (question, asked) = queue::bounded("shard_questions", limits::CONTROL_CONNECTIONS, &metrics);
        shards.push(shard);
        questions.push(question);
        inlets.push(shard::Inlet {
            inputs,
            questions: asked,
        });
    }
    let (limits, limits_seen) = watch::channel(Arc::new(settings.limits.clone()));
    let random_secret = || Secret::new(&format!("{:032x}", u128::from_le_bytes(world::random())));
    let secret = settings
        .xmpp
        .dialback_secret
        .clone()
        .unwrap_or_else(random_secret);
    // One secret of the edge serves dialback and all that is hidden from the outside: neither can be computed from the other.
    let (border, border_seen) = watch::channel(Arc::new(border(settings, &secret)));
    let (contexts, contexts_seen) = watch::channel(Arc::new(contexts));
    let (default_tls, default_tls_seen) = watch::channel(default_tls(settings));
    let world = World {
        supervisor: Supervisor::new(),
        metrics,
        health,
        limits: limits_seen,
        border: border_seen,
        contexts: contexts_seen,
        default_tls: default_tls_seen,
        outside_dns: Resolver::new(&settings.dns.servers, Hosts::Ignored)?,
        inside_dns: Resolver::new(&settings.dns.servers, Hosts::File)?,
        dialback: DialbackSecret::new(secret.expose().as_bytes()),
        ids: AnswerIds::new(u64::from_le_bytes(world::random())),
        shards,
        questions,
        udp: Sockets::default(),
        pool: Pool::new(),
        set_aside: Mutex::default(),
        nodes: NodeAddresses::default(),
        places: Places::new(settings.limits.net.connections),
        xmpp_places: XmppPlaces::default(),
        rates: Rates::default(),
        circles: Circles::default(),
        streams: Streams::default(),
        transactions: Register::new(),
        late_answers: Semaphore::new(limits::LATE_ANSWERS),
        verifications: Verifications::default(),
        refuse_new: CancellationToken::new(),
        close_streams: CancellationToken::new(),
        close: CancellationToken::new(),
        close_flows: CancellationToken::new(),
        close_store: CancellationToken::new(),
    };
    Ok((
        Arc::new(world),
        Live {
            limits,
            border,
            contexts,
            default_tls,
            secret,
        },
        inlets,
    ))
}

fn border(settings: &Settings, secret: &Secret) -> Border {
    Border::new(
        settings.edge.name.clone(),
        settings.rules.clone(),
        settings.table.clone(),
        settings.limits.clone(),
        settings.conduct(secret.expose().as_bytes()),
    )
}

/// The context of the first listener of each side stands for the side.
fn default_tls(settings: &Settings) -> DefaultTls {
    let of = |side: Side| {
        let named = settings.listeners.iter().filter(|listener| listener.side == side);
        named.filter_map(|listener| listener.tls.clone()).next()
    };
    DefaultTls {
        outside: of(Side::Outside),
        inside: of(Side::Inside),
    }
}

fn nodes(settings: &Settings) -> Vec<(Domain, String)> {
    let of = |local: &route::Local| match &local.nodes {
        Nodes::List(nodes) => nodes.iter().map(|node| node.host.to_string()).collect(),
        Nodes::Srv { name, .. } => vec![name.to_string()],
    };
    settings
        .locals
        .iter()
        .flat_map(|local| of(local).into_iter().map(|node| (local.domain.clone(), node)))
        .collect()
}

/// A component link is there before anything is sent: inside users could reach nobody through it otherwise.
fn keep_components_up(world: &Arc<World>, settings: &Settings) {
    for local in &settings.locals {
        if !matches!(local.link, route::Link::Component(_)) {
            continue;
        }
        for entry in &settings.federated {
            if let DomainPattern::Exact(foreign) = &entry.pattern {
                let link = Link::Xmpp {
                    local: foreign.clone(),
                    remote: local.domain.clone(),
                };
                world.pool.keep_up(world, &link);
            }
        }
    }
}

/// Shards beyond this many would only divide the work further.
const MOST_SHARDS: usize = 8;
