//! Joins the floors.

pub mod user;
