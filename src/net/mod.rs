//! net.

pub mod settings;
