//! The only file that knows the SNMP library: our trees and settings in its types, its agent, and its sender of notifications.
//!
//! It reads and authenticates messages (RFC 3412, RFC 3414, RFC 7860, RFC 3826) and checks who may see what (RFC 3415): each user
//! at authPriv only, each community at SNMPv2c only, everything readable, nothing writable.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_snmp::agent::AgentShutdownPolicy;
use async_snmp::handler::{
    BoxFuture, GetNextResult, GetResult, HandlerError, HandlerResult, MibHandler, RequestContext,
};
use async_snmp::{
    AuthProtocol, AuthoritativeEngine, Client, PersistedAuthoritativeEngine, PrivProtocol, SecurityLevel,
    SecurityModel, UdpTransport, UsmConfig, VarBind,
};
use tokio_util::sync::CancellationToken;

use super::changes::Notification;
use super::engine::{EngineError, EngineFile, Identity, new_engine_id};
use super::gate::{Guests, HIDDEN};
use super::objects::ticks;
use super::oid::{INTERNET, Oid};
use super::settings::{Auth, Credentials, Privacy, Sink, Snmp, User};
use super::tree::{Found, Tree, Value};
use crate::limits;
use crate::net::world;

/// Why the library does not do what it is asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct LibraryError(String);

/// The agent behind the gate.
pub(super) struct Agent {
    agent: async_snmp::Agent,
    engine: AuthoritativeEngine,
}

/// Sends notifications to one receiver.
pub(super) struct Sender {
    sink: Sink,
    user: Option<User>,
    engine: AuthoritativeEngine,
    /// From where it sends.
    from: IpAddr,
}

/// Starts another life of the engine, which is written before it counts.
pub(super) fn start_engine(file: &EngineFile) -> Result<AuthoritativeEngine, EngineError> {
    let kept = file.clone();
    let keep = move |now: &PersistedAuthoritativeEngine| {
        kept.write(&Identity {
            id: now.engine_id().to_vec(),
            boots: now.engine_boots(),
        })
    };
    let started = match file.read()? {
        None => AuthoritativeEngine::install(new_engine_id(), keep),
        Some(known) => {
            let before = PersistedAuthoritativeEngine::new(known.id, known.boots)
                .map_err(|error| EngineError::Damaged(file.path().to_owned(), error.to_string()))?;
            AuthoritativeEngine::restart(before, keep)
        }
    };
    started.map_err(|error| EngineError::NotStarted(error.to_string()))
}

impl Agent {
    /// Binds it where only the gate finds it. It answers from `tree` what `guests` ask.
    pub(super) async fn start(
        settings: &Snmp,
        tree: Arc<dyn Tree>,
        guests: Guests,
        engine: AuthoritativeEngine,
        stop: CancellationToken,
    ) -> Result<Self, LibraryError> {
        let started = world::now();
        let handler = Arc::new(Handler {
            tree,
            guests,
            started,
        });
        let mut builder = async_snmp::Agent::builder()
            .bind(HIDDEN.to_string())
            .authoritative_engine(engine.clone())
            .max_concurrent_requests(Some(limits::SNMP_REQUESTS))
            .recv_buffer_size(None)
            // Nothing that answers waits for anything.
            .shutdown_policy(AgentShutdownPolicy::AbortCancellationSafeRetrievalsAfter(GRACE))
            .cancellation_token(stop)
            .handler(theirs(&Oid::new(INTERNET)), handler);
        for user in &settings.users {
            builder = builder
                .usm_user(user.name.clone(), |usm| {
                    usm.auth_priv(
                        auth_of(user.auth),
                        user.auth_secret.expose(),
                        privacy_of(user.privacy),
                        user.privacy_secret.expose(),
                    )
                })
                .map_err(|error| LibraryError(format!("user {}: {error}", user.name)))?;
        }
        for community in &settings.communities {
            builder = builder.community(community.secret.expose().as_bytes());
        }
        let agent = builder
            .vacm(|mut vacm| {
                for user in &settings.users {
                    vacm = vacm.group(user.name.clone(), SecurityModel::Usm, USERS);
                }
                for community in &settings.communities {
                    let name = community.secret.expose().as_bytes().to_vec();
                    vacm = vacm.group(name, SecurityModel::V2c, COMMUNITIES);
                }
                let all = theirs(&Oid::new(INTERNET));
                vacm.access(USERS, SecurityModel::Usm, SecurityLevel::AuthPriv, |access| {
                    access.read_view(ALL)
                })
                .access(
                    COMMUNITIES,
                    SecurityModel::V2c,
                    SecurityLevel::NoAuthNoPriv,
                    |access| access.read_view(ALL),
                )
                .view(ALL, |view| view.include(all))
            })
            .build()
            .await
            .map_err(|error| LibraryError(error.to_string()))?;
        Ok(Self { agent, engine })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.agent.local_addr()
    }

    /// `snmpEngineID`, and how often it has started.
    pub(super) fn engine(&self) -> (&[u8], u32) {
        (self.engine.engine_id(), self.engine.engine_boots())
    }

    /// Answers until it is told to stop.
    pub(super) async fn run(&self) -> Result<(), LibraryError> {
        let ended = self.agent.run().await;
        ended.map_err(|error| LibraryError(error.to_string()))
    }
}

impl Sender {
    /// For each receiver of the settings.
    pub(super) fn of(settings: &Snmp, engine: &AuthoritativeEngine) -> Vec<Self> {
        let of = |sink: &Sink| {
            let user = match &sink.credentials {
                Credentials::User(name) => settings.users.iter().find(|user| user.name == *name).cloned(),
                Credentials::Community(_) => None,
            };
            let own = settings.listen.ip();
            let is_theirs = own.is_ipv4() == sink.address.is_ipv4();
            // From 127.0.0.1 nothing leaves the machine: the system chooses where that is no way.
            let is_way = !own.is_loopback() || sink.address.ip().is_loopback();
            let any: IpAddr = if sink.address.is_ipv4() {
                std::net::Ipv4Addr::UNSPECIFIED.into()
            } else {
                std::net::Ipv6Addr::UNSPECIFIED.into()
            };
            Self {
                sink: sink.clone(),
                user,
                engine: engine.clone(),
                from: if is_theirs && is_way { own } else { any },
            }
        };
        settings.sinks.iter().map(of).collect()
    }

    /// Whom it tells.
    pub(super) const fn address(&self) -> SocketAddr {
        self.sink.address
    }

    /// Sends one notification. That it was sent says nothing of its arrival.
    pub(super) async fn send(
        &self,
        notification: &Notification,
        uptime: Duration,
    ) -> Result<(), LibraryError> {
        let failed = |error: &dyn std::fmt::Display| LibraryError(error.to_string());
        let auth = match (&self.sink.credentials, &self.user) {
            (Credentials::Community(secret), _) => async_snmp::Auth::v2c(secret.expose()),
            (Credentials::User(_), Some(user)) => UsmConfig::new(user.name.clone())
                .auth_priv(
                    auth_of(user.auth),
                    user.auth_secret.expose(),
                    privacy_of(user.privacy),
                    user.privacy_secret.expose(),
                )
                .map_err(|error| failed(&error))?
                .into(),
            (Credentials::User(name), None) => return Err(LibraryError(format!("there is no user {name}"))),
        };
        let from = SocketAddr::new(self.from, 0).to_string();
        let transport = UdpTransport::bind(from).await.map_err(|error| failed(&error))?;
        let client = Client::builder(self.sink.address, auth)
            .local_authoritative_engine(self.engine.clone())
            .send_timeout(limits::SNMP_NOTIFICATION)
            .build_with(&transport)
            .await
            .map_err(|error| failed(&error))?;
        let values = notification.values.iter();
        let values = values.map(|(name, value)| VarBind::new(theirs(name), theirs_of(value, uptime)));
        client
            .send_trap(&theirs(&notification.name), ticks(uptime), values.collect())
            .await
            .map_err(|error| failed(&error))
    }
}

/// Answers from a tree.
struct Handler {
    tree: Arc<dyn Tree>,
    guests: Guests,
    started: Instant,
}

impl Handler {
    /// Who did not come through the gate gets nothing.
    fn check(&self, context: &RequestContext) -> HandlerResult<()> {
        if self.guests.has(context.source()) {
            Ok(())
        } else {
            Err(HandlerError::new("a process of this machine asked past the gate"))
        }
    }

    fn uptime(&self) -> Duration {
        world::now().saturating_duration_since(self.started)
    }
}

impl MibHandler for Handler {
    fn get<'a>(
        &'a self,
        context: &'a RequestContext,
        name: &'a async_snmp::Oid,
    ) -> BoxFuture<'a, HandlerResult<GetResult>> {
        Box::pin(async move {
            self.check(context)?;
            Ok(match self.tree.get(&Oid::new(name.arcs())) {
                Found::Value(value) => GetResult::Value(theirs_of(&value, self.uptime())),
                Found::NoInstance => GetResult::NoSuchInstance,
                Found::NoObject => GetResult::NoSuchObject,
            })
        })
    }

    fn get_next<'a>(
        &'a self,
        context: &'a RequestContext,
        name: &'a async_snmp::Oid,
    ) -> BoxFuture<'a, HandlerResult<GetNextResult>> {
        Box::pin(async move {
            self.check(context)?;
            Ok(match self.tree.next(&Oid::new(name.arcs())) {
                Some((name, value)) => {
                    GetNextResult::Value(VarBind::new(theirs(&name), theirs_of(&value, self.uptime())))
                }
                None => GetNextResult::EndOfMibView,
            })
        })
    }
}

fn theirs(name: &Oid) -> async_snmp::Oid {
    async_snmp::Oid::from_slice(name.numbers())
}

fn theirs_of(value: &Value, uptime: Duration) -> async_snmp::Value {
    match value {
        Value::Integer(number) => async_snmp::Value::Integer(*number),
        Value::Text(text) => async_snmp::Value::OctetString(text.clone().into()),
        Value::Octets(octets) => async_snmp::Value::OctetString(octets.clone().into()),
        Value::Name(name) => async_snmp::Value::ObjectIdentifier(theirs(name)),
        Value::Gauge(number) => async_snmp::Value::Gauge32(*number),
        Value::Counter(number) => async_snmp::Value::Counter32(*number),
        Value::Counter64(number) => async_snmp::Value::Counter64(*number),
        Value::Ticks(hundredths) => async_snmp::Value::TimeTicks(*hundredths),
        Value::Uptime => async_snmp::Value::TimeTicks(ticks(uptime)),
    }
}

const fn auth_of(auth: Auth) -> AuthProtocol {
    match auth {
        Auth::Sha256 => AuthProtocol::Sha256,
        Auth::Sha512 => AuthProtocol::Sha512,
    }
}

const fn privacy_of(privacy: Privacy) -> PrivProtocol {
    match privacy {
        Privacy::Aes128 => PrivProtocol::Aes128,
        Privacy::Aes256 => PrivProtocol::Aes256Blumenthal,
    }
}

/// Groups and the view of access control.
const USERS: &str = "users";
const COMMUNITIES: &str = "communities";
const ALL: &str = "all";
/// For answers under way when the agent stops.
const GRACE: Duration = Duration::from_secs(1);
