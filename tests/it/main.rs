//! The integration tests, in one binary: conformance, wire, regression, architecture.

mod architecture;
mod cli;
mod config;
mod conformance;
mod control;
mod documents;
mod memory;
mod simulation;
