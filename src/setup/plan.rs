//! The files that the answers make, before any of them is written.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use super::answers::Answers;
use super::certificate::{self, CertificateError};
use super::checks::{interface_of, routes_of};
use super::configuration::{self, Places};
use super::machine::Machine;
use super::password::{Hashed, Password, SALT};
use crate::config::{self, Loaded, Problem, Report};
use crate::domain::Domain;

/// What is to be written, and where.
#[derive(Debug)]
pub struct Plan {
    /// In the order in which they are put in place; the configuration is the last.
    pub files: Vec<File>,
    /// What deserves attention of the configuration that they make.
    pub warnings: Vec<Problem>,
}

/// A file.
pub struct File {
    /// Where it goes.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
    /// Whose it is.
    pub owner: Owner,
}

/// Whose a file is, and who else may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Of whoever runs the setup; everybody may read it.
    Everybody,
    /// Of whoever runs the setup, and nobody else's.
    Nobody,
    /// Of the user of the proxy, and nobody else's.
    Proxy,
}

/// Why nothing can be written.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The file that the answers make is refused by the check that every configuration passes.
    #[error("the configuration that these answers make cannot be used:\n{0}")]
    Configuration(Report),
    /// The check cannot be shown what it is to judge.
    #[error("{} cannot be written: {}", .0.display(), .1)]
    Scratch(PathBuf, io::Error),
    /// There is no randomness.
    #[error("the system gives no random numbers, so that no password can be kept")]
    Randomness,
}

/// What time and chance give.
pub(super) struct Chance {
    pub(super) now: OffsetDateTime,
    pub(super) salt: [u8; SALT],
}

impl Plan {
    /// With the clock and the randomness of this machine.
    pub(super) fn make(
        answers: &Answers,
        machine: &Machine,
        (folder, user): (&Path, &str),
    ) -> Result<Self, PlanError> {
        let mut salt = [0; SALT];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| PlanError::Randomness)?;
        let chance = Chance {
            now: OffsetDateTime::now_utc(),
            salt,
        };
        Self::with(answers, machine, (folder, user), &chance)
    }

    pub(super) fn with(
        answers: &Answers,
        machine: &Machine,
        (folder, user): (&Path, &str),
        chance: &Chance,
    ) -> Result<Self, PlanError> {
        let get = |key: &str| answers.get(key, machine);
        let mut files = Vec::new();
        let mut add = |path: &str, owner, text: String| {
            let path = folder.join(path);
            files.push(File {
                path: path.clone(),
                text,
                owner,
            });
            path.display().to_string()
        };
        let mut places = Places {
            chain: get("certificate_chain"),
            key: get("certificate_key"),
            secret: String::new(),
            user: user.to_owned(),
        };
        if get("certificate") != "import" {
            let made = certificate::make(&names(answers, machine), chance.now)?;
            places.chain = add("tls/edge.pem", Owner::Everybody, made.certificate);
            places.key = add("tls/edge.key", Owner::Proxy, made.key);
            if get("certificate") == "request" {
                add("tls/edge.csr", Owner::Everybody, made.request);
            }
        }
        let secret = get("local_secret");
        if !secret.is_empty() {
            places.secret = format!(
                "file:{}",
                add("component.secret", Owner::Proxy, format!("{secret}\n"))
            );
        }
        let password = get("password");
        if !password.is_empty() {
            let hashed =
                Hashed::parse(&password).unwrap_or_else(|| Password::new(password).hash(chance.salt));
            add("admin.password", Owner::Nobody, format!("{hashed}\n"));
        }
        if machine.is_appliance {
            for (path, text) in system(answers, machine) {
                add(path, Owner::Everybody, text);
            }
        }
        let path = folder.join("vestibule.toml");
        let text = configuration::text(answers, machine, &places);
        let loaded = judge(answers, machine, (&path, &places), &files, secret)?;
        if machine.is_appliance {
            let ruleset = loaded.settings.firewall.ruleset();
            files.push(File {
                path: folder.join("firewall.nft"),
                text: ruleset,
                owner: Owner::Everybody,
            });
        }
        files.push(File {
            path,
            text,
            owner: Owner::Everybody,
        });
        Ok(Self {
            files,
            warnings: loaded.warnings,
        })
    }
}

/// The check that every configuration passes. It reads certificates and secrets, which are not in their places yet: it is
/// shown them elsewhere.
fn judge(
    answers: &Answers,
    machine: &Machine,
    (path, places): (&Path, &Places),
    files: &[File],
    secret: String,
) -> Result<Loaded, PlanError> {
    let scratch = Scratch::new()?;
    let mut elsewhere = Places {
        chain: places.chain.clone(),
        key: places.key.clone(),
        secret: format!("env:{SECRET}"),
        user: places.user.clone(),
    };
    for place in [&mut elsewhere.chain, &mut elsewhere.key] {
        let made = files.iter().find(|file| file.path == Path::new(place.as_str()));
        if let Some(made) = made {
            *place = scratch.write(made)?;
        }
    }
    let text = configuration::text(answers, machine, &elsewhere);
    let environment = BTreeMap::from([(SECRET.to_owned(), secret)]);
    config::read(path, &text, &environment).map_err(PlanError::Configuration)
}

/// A folder of nobody else's that is gone when it is done with.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, PlanError> {
        let mut name = [0; 8];
        aws_lc_rs::rand::fill(&mut name).map_err(|_| PlanError::Randomness)?;
        let path = std::env::temp_dir().join(format!("vestibule-setup-{:016x}", u64::from_ne_bytes(name)));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|why| PlanError::Scratch(path.clone(), why))?;
        Ok(Self(path))
    }

    fn write(&self, file: &File) -> Result<String, PlanError> {
        let path = self
            .0
            .join(file.path.file_name().unwrap_or(file.path.as_os_str()));
        let failed = |why| PlanError::Scratch(path.clone(), why);
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        out.write_all(file.text.as_bytes()).map_err(failed)?;
        Ok(path.display().to_string())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is still nobody else's to read.
        let _removed = fs::remove_dir_all(&self.0);
    }
}

/// The names that a certificate of ours has to prove: the edge's, and those of our domains (RFC 5922 §7.1, RFC 6120 §13.7).
fn names(answers: &Answers, machine: &Machine) -> Vec<String> {
    let said = [answers.get("name", machine)]
        .into_iter()
        .chain(answers.list("local_domains", machine));
    let mut names: Vec<String> = Vec::new();
    for domain in said.filter_map(|said| Domain::parse(&said).ok()) {
        if !names.iter().any(|name| name == domain.as_str()) {
            names.push(domain.as_str().to_owned());
        }
    }
    names
}

/// What the appliance's own system is told; config/image/README.md says who reads it.
fn system(answers: &Answers, machine: &Machine) -> Vec<(&'static str, String)> {
    let get = |key: &str| answers.get(key, machine);
    let mut cards: BTreeMap<String, String> = BTreeMap::new();
    let mut say = |card: &str, line: String| cards.entry(card.to_owned()).or_default().push_str(&line);
    for (card, keys) in [
        ("outside_card", &["outside_interface", "outside_interface6"][..]),
        ("inside_card", &["inside_interface"]),
    ] {
        for key in keys {
            if let Ok((address, prefix)) = interface_of(&get(key)) {
                say(&get(card), format!("Address={address}/{prefix}\n"));
            }
        }
    }
    for key in ["gateway", "gateway6"] {
        if !get(key).is_empty() {
            say(&get("outside_card"), format!("Gateway={}\n", get(key)));
        }
    }
    for server in answers.list("dns_servers", machine) {
        say(&get("outside_card"), format!("DNS={server}\n"));
    }
    for (network, via) in routes_of(&get("inside_routes")).unwrap_or_default() {
        say(
            &get("inside_card"),
            format!("\n[Route]\nDestination={network}\nGateway={via}\n"),
        );
    }
    let mut files: Vec<_> = cards.into_iter().zip(NETWORK_FILES).map(|((card, lines), file)| {
        (file, format!("[Match]\nName={card}\n\n[Network]\nLinkLocalAddressing=ipv6\nIPv6AcceptRA=no\nLLMNR=no\nMulticastDNS=no\n{lines}"))
    }).collect();
    let name = names(answers, machine).into_iter().next();
    files.push(("hostname", format!("{}\n", name.unwrap_or_default())));
    files.push(("timezone", format!("{}\n", get("time_zone"))));
    let servers = answers.list("time_servers", machine);
    let servers = servers.iter().map(|server| format!("{server}\n"));
    files.push(("time-servers", servers.collect()));
    files
}

/// No text of a file is for a log.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// Where the check finds the secret of a component.
const SECRET: &str = "SETUP_SECRET";
/// One for each card; there are at most two.
const NETWORK_FILES: [&str; 2] = ["network/10-first.network", "network/20-second.network"];
