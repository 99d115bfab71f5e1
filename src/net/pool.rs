//! The links that are alive: one task each, made when the first letter for it comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::queue::{self, Refused};
use super::sip_relay::{Recall, Reply};
use super::world::World;
use super::{sip_link, xmpp_link};
use crate::gateway::{Link, Token, Trouble, weight_of};
use crate::route::Route;
use crate::sip::Request;
use crate::xmpp::Stanza;

/// Something that a link is asked to carry.
#[derive(Debug)]
pub struct Letter {
    /// What.
    pub content: Content,
    /// By which name its fate is told; nobody asks where there is none.
    pub token: Option<Token>,
    /// After this it is given back rather than sent.
    pub until: Instant,
}

/// What a letter holds.
#[derive(Debug)]
pub enum Content {
    /// For an XMPP link.
    Stanza(Box<Stanza>),
    /// For a SIP link, with the way to its servers; the letter's token is its name. An INVITE can be called back.
    Request(Box<Request>, Box<Route>, Option<Arc<Recall>>),
    /// For a SIP link: a request that goes on, and who hears what became of it.
    Relay(Box<Request>, Box<Route>, Reply),
}

impl Letter {
    /// About how many octets of memory it takes.
    fn weight(&self) -> usize {
        match &self.content {
            Content::Stanza(stanza) => stanza.element().weight(),
            Content::Request(request, ..) | Content::Relay(request, _, _) => weight_of(request),
        }
    }
}

/// The links by name.
#[derive(Debug, Default)]
pub struct Pool(Mutex<HashMap<Link, queue::Sender<Letter>>>);

impl Pool {
    /// A pool without links.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands a letter to its link, which is started where it does not run.
    ///
    /// # Errors
    /// The letter and the reason, where the link's queue is full.
    pub fn send(&self, world: &Arc<World>, link: &Link, letter: Letter) -> Result<(), (Letter, Trouble)> {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let letter = match links.get(link) {
            Some(sender) => match sender.offer(letter) {
                Ok(()) => return Ok(()),
                Err(Refused::Full(letter)) => return Err((letter, Trouble::Overload)),
                Err(Refused::Closed(letter)) => letter,
            },
            None => letter,
        };
        start(world, link, letter, &mut links)
    }

    /// Takes a link that has nothing to carry out of the pool; gives the letter that has come for it after all, and the
    /// link stays then. Both happen while no letter can come, so none is stranded.
    pub fn retire(&self, link: &Link, letters: &mut queue::Receiver<Letter>) -> Option<Letter> {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(letter) = letters.next_waiting() {
            return Some(letter);
        }
        letters.close();
        links.remove(link);
        None
    }

    /// The links that run, in the order of their names; no more than `most`.
    #[must_use]
    pub fn links(&self, most: usize) -> Vec<Link> {
        let links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let running = links.iter().filter(|(_, sender)| !sender.is_closed());
        let mut named: Vec<_> = running.map(|(link, _)| link.clone()).collect();
        drop(links);
        named.sort_unstable();
        named.truncate(most);
        named
    }

    /// Makes sure that a link runs, for links that are there before anything is sent on them.
    pub fn keep_up(&self, world: &Arc<World>, link: &Link) {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if links.get(link).is_none_or(queue::Sender::is_closed) {
            links.insert(link.clone(), spawn(world, link));
        }
    }
}

/// Starts a link with its first letter.
fn start(
    world: &Arc<World>,
    link: &Link,
    letter: Letter,
    links: &mut HashMap<Link, queue::Sender<Letter>>,
) -> Result<(), (Letter, Trouble)> {
    if world.close.is_cancelled() {
        return Err((letter, Trouble::Stopping));
    }
    links.retain(|_, sender| !sender.is_closed());
    let sender = spawn(world, link);
    let sent = sender.offer(letter).map_err(|refused| match refused {
        Refused::Full(letter) | Refused::Closed(letter) => (letter, Trouble::Overload),
    });
    links.insert(link.clone(), sender);
    sent
}

fn spawn(world: &Arc<World>, link: &Link) -> queue::Sender<Letter> {
    let limits = world.limits();
    let (sender, letters) = queue::weighed(
        "link",
        limits.xmpp.queued_stanzas,
        limits.xmpp.queued_bytes,
        Letter::weight,
        &world.metrics,
    );
    match link {
        Link::Xmpp { local, remote } => {
            let work = xmpp_link::run(Arc::clone(world), local.clone(), remote.clone(), letters);
            world.supervisor.spawn("xmpp_link", work);
        }
        Link::Sip { remote } => {
            world.supervisor.spawn(
                "sip_link",
                sip_link::run(Arc::clone(world), remote.clone(), letters),
            );
        }
    }
    sender
}
