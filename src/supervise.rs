//! The only place that spawns tasks.
