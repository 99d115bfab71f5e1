//! The integration tests, in one binary: conformance, wire, regression, architecture.

mod config;
mod conformance;
