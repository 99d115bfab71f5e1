//! `vestibule setup`: the wizard, on screens, by lines, or from a seed file.

mod draw;
mod line;
mod screen;
mod terminal;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Exit, terminal::Safe};
use crate::config::Report;
use crate::setup::{Answers, Flow, Machine, Plan, install};

#[derive(Debug, clap::Args)]
pub(super) struct SetupArgs {
    /// Ask by plain lines, for terminals that can do no more.
    #[arg(long, conflicts_with = "seed")]
    line: bool,
    /// Take the answers from a file, and ask nothing.
    #[arg(long, value_name = "PATH")]
    seed: Option<PathBuf>,
    /// Write over a configuration that is there. What was there is kept beside it, with .before behind its name.
    #[arg(long)]
    replace: bool,
    /// Draw with characters that every terminal has.
    #[arg(long)]
    ascii: bool,
    /// The user that the proxy runs as, to whom keys and secrets are given.
    #[arg(long, value_name = "USER", default_value = "vestibule")]
    user: String,
}

/// Where what is made of the answers goes, and for whom.
#[derive(Debug, Clone, Copy)]
struct Plans<'a> {
    folder: &'a Path,
    user: &'a str,
}

/// How the questions ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All is said, and is to be written.
    Write,
    /// Whoever answered has gone.
    Left,
}

/// Asks, and writes what was said.
pub(super) fn execute(
    config: &Path,
    arguments: &SetupArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    if config.exists() && !arguments.replace {
        let config = config.display();
        writeln!(
            err,
            "vestibule: {config} is there already, and nothing was changed\n  --replace writes another, and keeps it as {config}.before"
        )?;
        return Ok(Exit::Bad);
    }
    let machine = Machine::look();
    let flow = match &arguments.seed {
        Some(seed) => match of_seed(seed, machine) {
            Ok(flow) => flow,
            Err(why) => {
                writeln!(err, "vestibule: {}", Safe(why.trim_end()))?;
                return Ok(Exit::Bad);
            }
        },
        None => {
            let mut flow = Flow::new(machine, Answers::default());
            let plans = Plans {
                folder: folder(config),
                user: &arguments.user,
            };
            let end = match arguments.line {
                true => line::ask(
                    &mut flow,
                    plans,
                    &mut io::stdin().lock(),
                    out,
                    &terminal::Echo::of_stdin(),
                )?,
                false => screen::ask(&mut flow, plans, arguments.ascii)?,
            };
            if end == End::Left {
                writeln!(err, "vestibule: the setup was left; nothing was changed")?;
                return Ok(Exit::Bad);
            }
            flow
        }
    };
    let written = flow
        .plan(folder(config), &arguments.user)
        .map_err(|why| why.to_string())
        .and_then(|plan| place(plan, config, &arguments.user));
    match written {
        Ok(told) => {
            write!(out, "{}", Safe(&told))?;
            Ok(Exit::Good)
        }
        Err(why) => {
            writeln!(err, "vestibule: nothing was changed: {}", Safe(&why))?;
            Ok(Exit::Bad)
        }
    }
}

fn of_seed(seed: &Path, machine: Machine) -> Result<Flow, String> {
    let text = fs::read_to_string(seed)
        .map_err(|why| format!("the seed file {} cannot be read: {why}", seed.display()))?;
    Flow::of_seed(&text, machine).map_err(|why| {
        let lines: String = why
            .to_string()
            .lines()
            .map(|line| format!("{}: {line}\n", seed.display()))
            .collect();
        format!("the seed file cannot be used, and nothing was changed\n{lines}")
    })
}

/// Puts the files in place, and says what was done and what comes next.
fn place(plan: Plan, config: &Path, user: &str) -> Result<String, String> {
    let _installed = install(&plan, user).map_err(|why| why.to_string())?;
    let mut told = String::new();
    for file in &plan.files {
        told.push_str(&format!("wrote {}\n", file.path.display()));
    }
    let report = Report {
        errors: Vec::new(),
        warnings: plan.warnings,
    };
    told.push_str(&report.to_string());
    told.push_str(&format!(
        "The setup is done. `vestibule --config {} check` reads the file again; `systemctl restart vestibule` takes it up.\n",
        config.display()
    ));
    Ok(told)
}

fn folder(config: &Path) -> &Path {
    config.parent().unwrap_or_else(|| Path::new("/"))
}

/// What is asked before anything is written: the answers, and what the check says of the configuration that they make.
fn summary(flow: &Flow, plans: Plans<'_>) -> (Vec<String>, bool) {
    let mut lines = Vec::new();
    for (title, answers) in flow.summary() {
        lines.push(title.to_owned());
        lines.extend(answers.into_iter().map(|(ask, said)| {
            let said = if said.is_empty() { "-" } else { &said };
            format!("  {ask:22} {said}")
        }));
    }
    let (more, is_good) = match flow.plan(plans.folder, plans.user) {
        Ok(plan) => {
            let warnings = plan
                .warnings
                .iter()
                .map(|warning| warning.to_string().lines().next().unwrap_or_default().to_owned());
            (warnings.collect(), true)
        }
        Err(why) => (
            why.to_string().lines().map(str::to_owned).collect::<Vec<_>>(),
            false,
        ),
    };
    lines.extend(more);
    (lines, is_good)
}

#[cfg(test)]
mod tests;
