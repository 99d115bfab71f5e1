//! The link on which we speak for one domain towards another: a stream to a peer or a node, or a component of a node.
//!
//! What is decided is decided by [`XmppLink`]; here its streams are opened, its letters fetched and written, and what
//! became of them is told to their shards. A component link is kept up whether anything is to be sent or not, because
//! inside users reach out through it.

mod fate;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempts::Attempts;
use super::pool::{Content, Letter};
use super::queue;
use super::world::{self, World};
use super::xmpp_dial::{attach, establish};
use super::xmpp_driver::{Driver, Turn};
use super::xmpp_places::XmppPlace;
use super::xmpp_stream;
use crate::domain::Domain;
use crate::gateway::link::{self, Evidence, Far, Farewell, Keep, Output, XmppLink};
use crate::gateway::{Link, Trouble};
use crate::observe::health::NodeState;
use crate::observe::metrics::Alive;
use crate::policy::Party;
use crate::route::{self, Federated, Local, Protocol, Side, Target};
use crate::xmpp::component::{Component, ComponentSecret};
use crate::xmpp::error::{StreamCondition, StreamError};
use crate::xmpp::stream::{Event, Misuse, Purpose};

/// Carries letters for as long as there is something to carry; a component link for as long as it is configured.
pub async fn run(world: Arc<World>, local: Domain, remote: Domain, mut letters: queue::Receiver<Letter>) {
    let relation = Arc::new(Relation { world, local, remote });
    let world = &relation.world;
    let far = match relation.side() {
        Side::Inside => Far::Node,
        Side::Outside => Far::Peer,
    };
    let mut link = LinkTask {
        machine: XmppLink::new(world::now(), &world.limits().xmpp, far),
        terms: relation.terms(),
        stream: Stream::None,
        relation: Arc::clone(&relation),
    };
    let (mut border, mut limits) = (world.border.clone(), world.limits.clone());
    link.tell(link::Input::Keep(relation.keep()));
    let mut stopping = false;
    let mut last_words: Option<Instant> = None;
    loop {
        // What was said before the end is still written: an error for somebody, perhaps.
        if last_words.is_some() && !stopping && letters.is_empty() && !link.is_opening() {
            stopping = true;
            link.tell(link::Input::Stop);
        }
        match link.act().await {
            Next::Go => {}
            Next::Retire => match world.pool.retire(&relation.name(), &mut letters) {
                Some(letter) => link.carry(letter),
                None => return,
            },
            Next::Done => break,
        }
        let wants_letters = link.wants_letters();
        tokio::select! {
            news = link.stream.next() => link.heard(news).await,
            letter = letters.recv(), if wants_letters && !stopping => match letter {
                Some(letter) => {
                    link.carry(letter);
                    // A batch is written before what happened on the stream is looked at.
                    for _ in 0..BATCH {
                        link.act().await;
                        if !link.wants_letters() {
                            break;
                        }
                        let Some(letter) = letters.next_waiting() else { break };
                        link.carry(letter);
                    }
                }
                None => {
                    stopping = true;
                    link.tell(link::Input::Stop);
                }
            },
            () = world::sleep_until(link.machine.timeout()) => link.tell(link::Input::Timer),
            Ok(()) = border.changed(), if !stopping => {
                // Another node, other terms, or no such domain any more: what the stream was opened for is gone.
                if relation.terms() != link.terms {
                    link.tell(link::Input::Changed);
                }
                link.tell(link::Input::Keep(relation.keep()));
            }
            Ok(()) = limits.changed(), if !stopping => {
                let changed = limits.borrow_and_update().xmpp.clone();
                link.tell(link::Input::Limits(Box::new(changed)));
            }
            () = world.close.cancelled(), if !stopping && last_words.is_none() => {
                last_words = world::now().checked_add(LAST_WORDS);
            }
            () = world::sleep_until(last_words), if !stopping && last_words.is_some() => {
                stopping = true;
                link.tell(link::Input::Stop);
            }
        }
    }
    letters.close();
    while let Some(letter) = letters.next_waiting() {
        link.carry(letter);
        link.act().await;
    }
}

/// Two domains, and what is known of them.
struct Relation {
    world: Arc<World>,
    local: Domain,
    remote: Domain,
}

struct LinkTask {
    relation: Arc<Relation>,
    machine: XmppLink,
    stream: Stream,
    terms: Terms,
}

/// What a stream is opened for: when it changes, so must the stream.
type Terms = (Option<Arc<Local>>, Option<Arc<Federated>>);

/// The stream of a link.
enum Stream {
    None,
    Opening(Pin<Box<dyn Future<Output = Result<Up, Trouble>> + Send>>),
    Up(Box<Up>),
}

/// A stream that is up.
struct Up {
    driver: Driver,
    /// Where the peer stood when it was opened.
    side: Side,
    /// The host, as the configuration names it.
    node: String,
    _alive: Alive,
    _place: Option<XmppPlace>,
}

/// What a stream has to tell.
#[allow(clippy::large_enum_variant, reason = "it is handed on at once and never kept")]
enum News {
    Opened(Result<Up, Trouble>),
    Turn(Option<Turn>),
}

/// How a task goes on.
enum Next {
    Go,
    Retire,
    Done,
}

impl Stream {
    async fn next(&mut self) -> News {
        match self {
            Self::None => std::future::pending().await,
            Self::Opening(opening) => News::Opened(opening.await),
            Self::Up(up) => News::Turn(up.driver.next().await),
        }
    }
}

impl LinkTask {
    fn tell(&mut self, input: link::Input) {
        self.machine.handle(world::now(), input);
    }

    fn wants_letters(&self) -> bool {
        let has_room = match &self.stream {
            Stream::Up(up) => up.driver.has_room() && !up.driver.is_closing(),
            Stream::None | Stream::Opening(_) => true,
        };
        has_room && self.machine.takes_letters()
    }

    const fn is_opening(&self) -> bool {
        matches!(self.stream, Stream::Opening(_))
    }

    fn carry(&mut self, letter: Letter) {
        let Content::Stanza(stanza) = letter.content else {
            return;
        };
        self.tell(link::Input::Letter(link::Letter {
            stanza,
            token: letter.token,
            until: letter.until,
        }));
    }

    /// Does what the machine wants.
    async fn act(&mut self) -> Next {
        let mut next = Next::Go;
        if let Stream::Up(up) = &self.stream {
            let (_, taken) = up.driver.octets();
            self.tell(link::Input::Taken(taken));
        }
        while let Some(output) = self.machine.poll() {
            match output {
                Output::Open => {
                    self.terms = self.relation.terms();
                    let (world, side) = (&self.relation.world, self.relation.side());
                    match world.xmpp_places.open(side, &world.limits().xmpp) {
                        Ok(place) => {
                            let relation = Arc::clone(&self.relation);
                            self.stream = Stream::Opening(Box::pin(async move {
                                let mut up = relation.open().await?;
                                up._place = Some(place);
                                Ok(up)
                            }));
                        }
                        Err(none) => {
                            world.metrics.refused(side, Protocol::Xmpp, none.class());
                            let random = u32::from_le_bytes(world::random());
                            self.tell(link::Input::Failed {
                                trouble: Trouble::Overload,
                                random,
                            });
                        }
                    }
                }
                Output::Write(stanza) => {
                    let answer = match &mut self.stream {
                        Stream::Up(up) => match up.driver.send(&stanza) {
                            Ok(()) => link::Input::Wrote(up.driver.octets().0),
                            Err(misuse) => {
                                let Relation { local, remote, .. } = &*self.relation;
                                tracing::info!(peer = %remote, %local, %misuse, "a stanza could not be written");
                                link::Input::Unwritable(match misuse {
                                    Misuse::TooLarge => Trouble::TooLarge,
                                    Misuse::NotAuthenticated
                                    | Misuse::OneWay
                                    | Misuse::Unasked
                                    | Misuse::Ended => Trouble::Broken,
                                })
                            }
                        },
                        Stream::None | Stream::Opening(_) => link::Input::Unwritable(Trouble::Broken),
                    };
                    self.tell(answer);
                }
                Output::Tell(fate) => self.relation.tell_fate(fate).await,
                Output::Close(why) => {
                    if let Stream::Up(up) = &mut self.stream {
                        up.driver.close(match why {
                            Farewell::Changed => None,
                            Farewell::Stopping => Some(StreamError::new(StreamCondition::SystemShutdown)),
                        });
                    }
                }
                Output::Retire => next = Next::Retire,
                Output::Done => {
                    self.stream = Stream::None;
                    next = Next::Done;
                }
            }
        }
        next
    }

    async fn heard(&mut self, news: News) {
        match news {
            News::Opened(Ok(up)) => {
                let evidence = if up.driver.is_acknowledged() {
                    Evidence::Acknowledged
                } else {
                    Evidence::Taken
                };
                self.stream = Stream::Up(Box::new(up));
                self.tell(link::Input::Opened(evidence));
            }
            News::Opened(Err(trouble)) => {
                self.stream = Stream::None;
                let Relation { local, remote, .. } = &*self.relation;
                tracing::warn!(
                    peer = %remote, %local, class = trouble.class(),
                    "no XMPP stream; it is tried again after a pause"
                );
                let random = u32::from_le_bytes(world::random());
                self.tell(link::Input::Failed { trouble, random });
            }
            News::Turn(Some(Turn::Written)) => {}
            News::Turn(Some(Turn::Event(Event::Acknowledged(count)))) => {
                self.tell(link::Input::Acknowledged(count.into()));
            }
            News::Turn(Some(Turn::Event(event))) => {
                if let Stream::Up(up) = &self.stream {
                    self.relation.observe(up.side, &up.driver, event).await;
                    if up.driver.is_closing() {
                        self.tell(link::Input::Ending);
                    }
                }
            }
            News::Turn(None) => {
                if let Stream::Up(up) = std::mem::replace(&mut self.stream, Stream::None) {
                    self.relation.lost(&up);
                }
                let random = u32::from_le_bytes(world::random());
                self.tell(link::Input::Ended { random });
            }
        }
    }
}

impl Relation {
    fn name(&self) -> Link {
        Link::Xmpp {
            local: self.local.clone(),
            remote: self.remote.clone(),
        }
    }

    fn side(&self) -> Side {
        if self.node_domain().is_some() {
            Side::Inside
        } else {
            Side::Outside
        }
    }

    fn keep(&self) -> Keep {
        if self.component().is_some() {
            Keep::Always
        } else {
            Keep::WhileUsed
        }
    }

    /// A component link that is down is a node that is down.
    fn lost(&self, up: &Up) {
        if up.side == Side::Inside && self.component().is_some() {
            self.world
                .health
                .saw_node(&self.remote, &up.node, NodeState::Down);
        }
    }

    fn terms(&self) -> Terms {
        let border = self.world.border();
        let local = border.table().local(&self.remote).cloned();
        let foreign = if local.is_none() {
            &self.remote
        } else {
            &self.local
        };
        (local, border.table().foreign(foreign).cloned())
    }

    async fn observe(&self, side: Side, driver: &Driver, event: Event) {
        driver.log(&event);
        match event {
            // A component hears everything on its one stream; on a stream that we opened to a server only what is for
            // the pair that was proven on it.
            Event::Stanza(stanza) => xmpp_stream::take(&self.world, side, stanza, None).await,
            Event::Answer(stanza) => {
                xmpp_stream::answer(&self.world, stanza, xmpp_stream::trace(), None).await;
            }
            Event::Authenticated { .. }
            | Event::PairRefused { .. }
            | Event::Refused(_)
            | Event::Closed(_)
            | Event::Verified(_)
            | Event::Acknowledged(_)
            | Event::Unanswered
            | Event::Ending => {}
        }
    }

    /// The local domain that is spoken to, where it is one.
    fn node_domain(&self) -> Option<Arc<Local>> {
        self.world.border().table().local(&self.remote).cloned()
    }

    fn component(&self) -> Option<ComponentSecret> {
        let local = self.node_domain()?;
        match &local.link {
            route::Link::Component(link) => Some(ComponentSecret::new(link.secret.expose())),
            route::Link::S2s => None,
        }
    }

    /// Opens a stream to the first target that can be reached and lets us in.
    async fn open(&self) -> Result<Up, Trouble> {
        let to = Party::new(None, self.remote.clone());
        let route = self
            .world
            .border()
            .table()
            .lookup(&to, Protocol::Xmpp)
            .map_err(|_| Trouble::NotFound)?;
        let plan = route
            .plans()
            .iter()
            .find(|plan| plan.protocol() == Protocol::Xmpp)
            .ok_or(Trouble::NotFound)?;
        let mut attempts = Attempts::new(&self.world, plan).await?;
        while let Some(target) = attempts.next_target() {
            let reached = tokio::time::timeout(attempts.patience(), self.reach(&target)).await;
            match reached.unwrap_or(Err(Trouble::Timeout)) {
                Ok(up) => {
                    attempts.succeeded();
                    return Ok(up);
                }
                Err(trouble) => attempts.failed(trouble),
            }
        }
        Err(attempts.trouble())
    }

    async fn reach(&self, target: &Target) -> Result<Up, Trouble> {
        let driver = match self.component() {
            Some(secret) => {
                let limits = self.world.limits();
                let machine = Component::new(world::now(), self.local.clone(), secret, &limits);
                attach(&self.world, target, &self.local, machine).await?
            }
            None => {
                let purpose = Purpose::Stanzas {
                    local: self.local.clone(),
                    remote: self.remote.clone(),
                };
                establish(&self.world, target, &purpose).await?.0
            }
        };
        Ok(Up {
            driver,
            side: target.side,
            node: target.host.to_string(),
            _alive: self.world.metrics.connection(target.side, Protocol::Xmpp, "made"),
            _place: None,
        })
    }
}

/// How long a link may take, at the end, to write what waits for it.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Letters written before what happened on the stream is looked at.
const BATCH: usize = 128;
