//! What is asked of the kernel: by `nft`, and by the switches of forwarding.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

use nix::fcntl::{Flock, FlockArg};

/// Runs nft with this input; gives what it printed.
///
/// # Errors
/// What it complained of, or that it is not there.
pub(super) fn nft(arguments: &[&str], input: &str) -> io::Result<String> {
    let mut child = Command::new("nft")
        .args(arguments)
        // Whatever the caller's is: a program of this name elsewhere is not meant.
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|why| {
            if why.kind() == io::ErrorKind::NotFound {
                io::Error::other("there is no program nft here; install the package nftables")
            } else {
                why
            }
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends before it has read all has its reason on stderr.
        let _written = stdin.write_all(input.as_bytes());
    }
    let done = child.wait_with_output()?;
    if done.status.success() {
        return String::from_utf8(done.stdout).map_err(io::Error::other);
    }
    let said = done
        .stderr
        .utf8_chunks()
        .map(|chunk| chunk.valid())
        .collect::<String>();
    let said = said.trim();
    Err(io::Error::other(match said.contains("Operation not permitted") {
        true => format!("{said}\n  run it as root"),
        false => format!("nft says: {said}"),
    }))
}

/// Holds off every other load of rules until it is dropped.
pub(super) fn only() -> io::Result<Flock<File>> {
    let told = |why: &dyn std::fmt::Display| {
        io::Error::other(format!(
            "{LOCK} cannot be had, and nothing was changed: {why}\n  run it as root, and not while another `vestibule firewall apply` waits for its answer"
        ))
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(LOCK)
        .map_err(|why| told(&why))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, why)| told(&why))
}

/// What there was before anything was changed.
#[derive(Debug)]
pub(super) struct Before {
    /// The table of ours; nothing where there was none.
    table: String,
    /// Whether packets passed through this machine, for each family that it has.
    forwarding: Vec<(&'static str, String)>,
}

impl Before {
    /// As of now. What could not be put back is a reason to change nothing.
    pub(super) fn read() -> io::Result<Self> {
        let tables = nft(&["list", "tables", "inet"], "")?;
        let is_there = tables.lines().any(|line| line.trim() == "table inet vestibule");
        let table = if is_there {
            nft(&["list", "table", "inet", "vestibule"], "")?
        } else {
            String::new()
        };
        // IPv6 may be off.
        let forwarding = SWITCHES
            .iter()
            .filter_map(|path| Some((*path, fs::read_to_string(path).ok()?)));
        let before = Self {
            table,
            forwarding: forwarding.collect(),
        };
        nft(&["--check", "--file", "-"], &before.text())?;
        Ok(before)
    }

    /// Lets packets pass, as far as the rules do.
    pub(super) fn forward(&self) -> io::Result<()> {
        let closed = self.forwarding.iter().filter(|(_, value)| value.trim() != "1");
        closed
            .map(|(path, _)| *path)
            .try_for_each(|path| write(path, "1"))
    }

    /// Puts everything back. Packets stop passing before the rules that judged them go, and whatever becomes of these.
    pub(super) fn restore(&self) -> io::Result<()> {
        let closed = self
            .forwarding
            .iter()
            .filter(|(path, value)| fs::read_to_string(path).is_ok_and(|now| now.trim() != value.trim()));
        let switched = closed
            .map(|(path, value)| write(path, value))
            .fold(Ok(()), Result::and);
        nft(&["--file", "-"], &self.text()).map(drop).and(switched)
    }

    fn text(&self) -> String {
        // As in the ruleset: a table that is declared is there to be deleted.
        format!(
            "table inet vestibule {{\n}}\ndelete table inet vestibule\n{}",
            self.table
        )
    }
}

fn write(path: &str, value: &str) -> io::Result<()> {
    fs::write(path, value)
        .map_err(|why| io::Error::new(why.kind(), format!("{path} cannot be written: {why}")))
}

const SWITCHES: [&str; 2] = [
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/net/ipv6/conf/all/forwarding",
];
/// Held while rules are loaded and not confirmed.
const LOCK: &str = "/run/vestibule-firewall.lock";
