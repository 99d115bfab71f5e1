//! As whom the gateway speaks.

use std::sync::Arc;

use super::answer::AnswerIds;
use crate::domain::Domain;

/// As whom a gateway speaks, and by what its own words are known again.
#[derive(Clone)]
pub struct Speaker {
    pub(super) ids: AnswerIds,
    pub(super) edge: Domain,
    pub(super) undeliverable: Arc<str>,
    pub(super) secret: [u8; 32],
}

impl Speaker {
    /// Answers are given in the name of `edge`; `undeliverable` is what users read first when a message could not be
    /// delivered. `secret` is random: names of sessions are made from it.
    #[must_use]
    pub fn new(ids: AnswerIds, edge: Domain, undeliverable: &str, secret: [u8; 32]) -> Self {
        Self {
            ids,
            edge,
            undeliverable: undeliverable.into(),
            secret,
        }
    }
}

impl std::fmt::Debug for Speaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Speaker")
            .field("edge", &self.edge)
            .finish_non_exhaustive()
    }
}
