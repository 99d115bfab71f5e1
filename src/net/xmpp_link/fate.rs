//! What became of letters, told to the shards that handed them in.

use super::Relation;
use crate::gateway::link::Fate;
use crate::gateway::{Input, Token};
use crate::net::sip_flow::SipOrigin;

impl Relation {
    /// Tells each shard what became of its stanzas.
    pub(super) async fn tell_fate(&self, fate: Fate) {
        match fate {
            Fate::Written { tokens, epoch } => {
                for tokens in by_shard(tokens) {
                    self.tell_first(tokens, |tokens| Input::Written { tokens, epoch })
                        .await;
                }
            }
            Fate::Acknowledged { tokens, epoch } => {
                for tokens in by_shard(tokens) {
                    self.tell_first(tokens, |tokens| Input::Acknowledged { tokens, epoch })
                        .await;
                }
            }
            Fate::Returned { token, trouble } => {
                self.world.tell(token, Input::Returned { token, trouble }).await;
            }
            Fate::Broken { epoch } => {
                for shard in &self.world.shards {
                    let link = self.name();
                    let _gone = shard.send(Input::Broken { link, epoch }).await;
                }
            }
        }
    }

    async fn tell_first(&self, tokens: Vec<Token>, input: impl FnOnce(Vec<Token>) -> Input<SipOrigin>) {
        if let Some(first) = tokens.first().copied() {
            self.world.tell(first, input(tokens)).await;
        }
    }
}

/// The tokens of each shard, in their order.
fn by_shard(mut tokens: Vec<Token>) -> Vec<Vec<Token>> {
    tokens.sort_by_key(|token| token.shard());
    tokens
        .chunk_by(|left, right| left.shard() == right.shard())
        .map(<[Token]>::to_vec)
        .collect()
}
