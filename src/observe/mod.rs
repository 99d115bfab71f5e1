//! What operators see: metrics, health and logs. Nothing here decides anything.

pub mod health;
pub mod log;
pub mod metrics;

pub use health::Health;
pub use metrics::{Metrics, StoreState};
