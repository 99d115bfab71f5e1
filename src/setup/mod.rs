//! The setup wizard: what a new machine has to be told, asked in one order, checked when it is said, and written in one go
//! (specification: appliance §2).
//!
//! There is one model of pages, questions and checks, and three ways in: screens, plain lines, and a seed file. All give
//! [`Answers`] to the same [`Flow`], and the same [`Plan`] comes of them. What is here is pure but for `machine` (what is
//! this machine?), the check in `plan`, which reads certificates, and `install` (the files).

mod answers;
mod certificate;
mod checks;
mod configuration;
mod flow;
mod install;
mod machine;
mod pages;
mod password;
mod plan;
mod question;
mod seed;

pub use answers::Answers;
pub use certificate::CertificateError;
pub use flow::{Flow, Wrong};
pub use install::{Installed, install};
pub use machine::{Card, Machine};
pub use password::{Hashed, Password};
pub use plan::{File, Owner, Plan, PlanError};
pub use question::{Kind, Page, Question};
pub use seed::{SeedError, SeedProblem};

#[cfg(test)]
mod tests;
