//! The machines that speak XMPP, as one.

use std::time::Instant;

use super::world;
use crate::xmpp::component::Component;
use crate::xmpp::stream::{Initiating, Input, Misuse, Output, Receiving};

/// One of the machines that speak XMPP.
#[derive(Debug)]
pub enum Machine {
    /// They connected to us.
    Receiving(Box<Receiving>),
    /// We connected to them.
    Initiating(Box<Initiating>),
    /// We are their component.
    Component(Box<Component>),
}

impl Machine {
    /// Takes an input; poll afterwards.
    ///
    /// # Errors
    /// [`Misuse`] if our own side asks for what cannot be done.
    pub(super) fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), Misuse> {
        match self {
            Self::Receiving(machine) => machine.handle(now, input),
            Self::Initiating(machine) => machine.handle(now, input),
            Self::Component(machine) => machine.handle(now, input),
        }
    }

    /// The next thing to do.
    pub(super) fn poll(&mut self) -> Option<Output> {
        match self {
            Self::Receiving(machine) => machine.poll(),
            Self::Initiating(machine) => machine.poll(),
            Self::Component(machine) => machine.poll(),
        }
    }

    /// Whether the far end acknowledges what it takes.
    pub(super) const fn is_acknowledged(&self) -> bool {
        match self {
            Self::Initiating(machine) => machine.is_acknowledged(),
            Self::Receiving(_) | Self::Component(_) => false,
        }
    }

    /// How many stanzas have to be settled before the far end's oldest request can be answered.
    pub(super) fn owes(&self) -> Option<u64> {
        match self {
            Self::Receiving(machine) => machine.owes(),
            Self::Initiating(_) | Self::Component(_) => None,
        }
    }

    /// When [`Input::Timer`] does something.
    pub(super) fn timeout(&self) -> Option<Instant> {
        match self {
            Self::Receiving(machine) => machine.timeout(),
            Self::Initiating(machine) => machine.timeout(),
            Self::Component(machine) => machine.timeout(),
        }
    }

    /// A machine takes no input after its end; that is no news then.
    pub(super) fn feed(&mut self, input: Input<'_>) {
        if let Err(misuse) = self.handle(world::now(), input) {
            tracing::debug!(%misuse, "a stream machine took nothing more");
        }
    }
}
