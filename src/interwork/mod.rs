//! interwork.
