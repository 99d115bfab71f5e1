//! Looks at the proxy every few seconds, replaces what is answered, and tells receivers what changed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::ask::{self, Unanswered};
use super::changes::{Changes, Notification};
use super::library::Sender;
use super::objects::{self, Identity, Known, Rows};
use super::status::Status;
use super::tree::Current;
use crate::limits;
use crate::net::world;

/// What goes on beside the answers.
pub(super) struct Poll {
    pub(super) control: PathBuf,
    pub(super) identity: Identity,
    pub(super) current: Current,
    pub(super) senders: Vec<Sender>,
    pub(super) started: Instant,
}

/// What is remembered from look to look.
#[derive(Debug, Default)]
struct Memory {
    rows: Rows,
    changes: Changes,
    /// The last answer, until the proxy counts as silent.
    status: Option<Status>,
    /// Looks without an answer since then.
    missed: u32,
    operation: Option<i32>,
    changed: Duration,
    /// When the proxy started, by the agent's time.
    since: Duration,
    /// The last trouble that was logged.
    told: String,
}

impl Poll {
    /// Goes on until it is dropped.
    pub(super) async fn run(self) {
        let mut memory = Memory::default();
        self.current
            .replace(objects::before_the_first_look(&self.identity));
        let mut waiting = vec![Notification::cold_start()];
        loop {
            let answer = ask::status(&self.control).await;
            waiting.extend(self.look(&mut memory, answer));
            for notification in waiting.drain(..) {
                self.tell(&notification).await;
            }
            let pause = if memory.missed == 0 {
                limits::SNMP_INTERVAL
            } else {
                AGAIN
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes an answer up.
    fn look(&self, memory: &mut Memory, answer: Result<Status, Unanswered>) -> Vec<Notification> {
        match answer {
            Ok(status) => {
                if memory.missed > 0 {
                    tracing::info!("the proxy answers");
                    memory.told.clear();
                }
                memory.missed = 0;
                let uptime = Duration::from_secs(status.uptime_seconds);
                let since = self.uptime().saturating_sub(uptime);
                // The same process, of which only whole seconds are known.
                if since.abs_diff(memory.since) > ROUNDING {
                    memory.since = since;
                }
                memory.status = Some(status);
            }
            Err(why) => {
                let text = why.to_string();
                if text != memory.told {
                    tracing::warn!(socket = %self.control.display(), "{text}");
                    memory.told = text;
                }
                // One that runs and is late once is not down.
                let is_gone = matches!(why, Unanswered::Gone(_));
                memory.missed = if is_gone {
                    PATIENCE
                } else {
                    memory.missed.saturating_add(1)
                };
                if memory.missed < PATIENCE && memory.status.is_some() {
                    return Vec::new();
                }
                memory.status = None;
            }
        }
        let today = world::today().unix_seconds();
        let operation = objects::operation(memory.status.as_ref());
        if memory
            .operation
            .replace(operation)
            .is_some_and(|before| before != operation)
        {
            memory.changed = self.uptime();
        }
        let known = Known {
            status: memory.status.as_ref(),
            since: memory.since,
            today,
            changed: memory.changed,
        };
        self.current
            .replace(objects::snapshot(&self.identity, &mut memory.rows, known));
        let changes = memory.changes.saw(memory.status.as_ref(), today);
        changes
            .iter()
            .map(|change| {
                tracing::info!(?change, "the proxy changed");
                Notification::of(change, &self.identity.name, &mut memory.rows)
            })
            .collect()
    }

    async fn tell(&self, notification: &Notification) {
        for sender in &self.senders {
            let sent = sender.send(notification, self.uptime());
            match tokio::time::timeout(limits::SNMP_NOTIFICATION, sent).await {
                Ok(Ok(())) => {
                    tracing::debug!(to = %sender.address(), name = %notification.name, "a notification was sent");
                }
                Ok(Err(error)) => {
                    tracing::warn!(to = %sender.address(), name = %notification.name, %error, "a notification could not be sent");
                }
                Err(_) => {
                    tracing::warn!(to = %sender.address(), name = %notification.name, "a notification could not be sent in time");
                }
            }
        }
    }

    fn uptime(&self) -> Duration {
        world::now().saturating_duration_since(self.started)
    }
}

/// Looks without an answer after which the proxy counts as silent.
const PATIENCE: u32 = 2;
/// What two looks at one start may differ by.
const ROUNDING: Duration = Duration::from_secs(2);
/// The pause before the next look at a proxy that did not answer.
const AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snmp::oid::{APPLICATION, Oid};
    use crate::snmp::tree::{Found, Tree, Value};

    fn poll() -> Poll {
        Poll {
            control: PathBuf::from("/nowhere"),
            identity: Identity {
                description: String::new(),
                name: "edge.example.com".to_owned(),
                contact: String::new(),
                location: String::new(),
            },
            current: Current::default(),
            senders: Vec::new(),
            started: world::now(),
        }
    }

    fn status() -> Status {
        serde_json::from_str(
            r#"{"version": "1", "edge": "edge.example.com", "phase": "running", "ready": true, "uptime_seconds": 60}"#,
        )
        .unwrap()
    }

    fn operation(poll: &Poll) -> Found {
        poll.current.get(&Oid::new(APPLICATION).below(&[6, 1]))
    }

    #[test]
    fn a_proxy_that_is_late_once_is_up_and_one_that_is_gone_is_down_at_once() {
        let (poll, mut memory) = (poll(), Memory::default());
        let up = Found::Value(Value::Integer(1));
        let down = Found::Value(Value::Integer(2));
        assert_eq!(poll.look(&mut memory, Ok(status())).len(), 0);
        assert_eq!(operation(&poll), up);
        assert_eq!(poll.look(&mut memory, Err(Unanswered::Slow)).len(), 0);
        assert_eq!(operation(&poll), up);
        assert_eq!(poll.look(&mut memory, Err(Unanswered::Slow)).len(), 1);
        assert_eq!(operation(&poll), down);
        assert_eq!(poll.look(&mut memory, Err(Unanswered::Slow)).len(), 0);
        assert_eq!(poll.look(&mut memory, Ok(status())).len(), 1);
        assert_eq!(operation(&poll), up);
        let gone = Unanswered::Gone(std::io::ErrorKind::ConnectionRefused.into());
        assert_eq!(poll.look(&mut memory, Err(gone)).len(), 1);
        assert_eq!(operation(&poll), down);
    }
}
