//! What is asked of the kernel: by `nft`, and by the switches of forwarding.

use std::fs;
use std::io::{self, Write};
use std::process::{Command, Stdio};

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

/// The table of ours as it is now; `None` where there is none.
pub(super) fn loaded() -> Option<String> {
    nft(&["list", "table", "inet", "vestibule"], "").ok()
}

/// Puts back what [`loaded`] gave.
pub(super) fn restore(before: Option<&str>) -> io::Result<()> {
    // As in the ruleset: a table that is declared is there to be deleted.
    let text = format!(
        "table inet vestibule {{\n}}\ndelete table inet vestibule\n{}",
        before.unwrap_or_default()
    );
    nft(&["--file", "-"], &text).map(drop)
}

/// Whether packets pass through this machine, for each family; what was before anything changed.
#[derive(Debug)]
pub(super) struct Forwarding(Vec<(&'static str, String)>);

impl Forwarding {
    pub(super) fn read() -> Self {
        let switches = SWITCHES.iter().filter_map(|path| {
            // IPv6 may be off.
            let value = fs::read_to_string(path).ok()?;
            Some((*path, value))
        });
        Self(switches.collect())
    }

    pub(super) fn allow(&self) -> io::Result<()> {
        self.0.iter().try_for_each(|(path, _)| write(path, "1"))
    }

    pub(super) fn restore(&self) -> io::Result<()> {
        self.0.iter().try_for_each(|(path, value)| write(path, value))
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
