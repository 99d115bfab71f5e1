//! The command line: its words, and what each command prints.
//!
//! `main` hands over arguments and streams, and takes an exit code. Nothing is decided here: commands ask the same
//! functions that the running proxy asks.

mod console;
mod control;
mod explain;
mod firewall;
mod manual;
mod map;
mod report;
mod screen;
mod setup;
mod signals;
pub mod snmpd;
mod status;
mod subscriptions;
mod terminal;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::app;
use crate::config;
use crate::policy::Kind;
use crate::route::Protocol;

/// A hardened edge proxy for the DMZ: SIP and XMPP federation, policy, and translation between the two.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// The configuration file.
    #[arg(
        long,
        short,
        global = true,
        value_name = "PATH",
        default_value = "/etc/vestibule/vestibule.toml"
    )]
    config: PathBuf,
    /// Print JSON, for programs. For all commands but `run` and `man`.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy in the foreground. SIGTERM stops it in order, SIGHUP reads the configuration again.
    Run,
    /// Read the configuration and say everything that is wrong with it.
    Check,
    /// Say what would become of a message, and why: policy, route, translation and TLS.
    Explain(ExplainArgs),
    /// Print how a SIP address looks on XMPP, and the reverse.
    Map(MapArgs),
    /// Say how the running proxy is: version, phase, listeners, nodes, counts. It is asked by its control socket.
    Status(status::StatusArgs),
    /// Show the status of the running proxy on a page that keeps up with it.
    Console(console::ConsoleArgs),
    /// Ask what a new machine has to be told, and write its configuration and certificate.
    Setup(setup::SetupArgs),
    /// List who sees whose presence between SIP and XMPP, how it stands, and why. The running proxy is asked by its control socket.
    Subscriptions(subscriptions::SubscriptionsArgs),
    /// Show the packet filter that the configuration makes, or load it: default drop, listeners, port maps, management.
    Firewall(firewall::FirewallArgs),
    /// Print the manual page (roff), or that of one command: vestibule man | man -l -
    Man(ManArgs),
}

#[derive(Debug, clap::Args)]
struct ExplainArgs {
    /// The sender: user@domain, or a SIP URI.
    #[arg(long, value_name = "ADDRESS")]
    from: String,
    /// The addressee: user@domain, or a SIP URI.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// What is sent.
    #[arg(long, value_enum, default_value_t = KindWord::Im)]
    kind: KindWord,
    /// The protocol in which it arrives here. Default: what the sender's domain speaks by the configuration.
    #[arg(long, value_enum)]
    proto: Option<ProtocolWord>,
}

#[derive(Debug, clap::Args)]
struct MapArgs {
    /// A SIP URI, sip:user@domain, or a JID, user@domain/resource.
    #[arg(value_name = "ADDRESS")]
    address: String,
}

#[derive(Debug, clap::Args)]
struct ManArgs {
    /// The command.
    #[arg(value_name = "COMMAND")]
    of: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindWord {
    Im,
    Presence,
    Groupchat,
    FileTransfer,
    Other,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProtocolWord {
    Sip,
    Xmpp,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well: 0.
    Good,
    /// Something is wrong, or is refused: 1.
    Bad,
    /// The command line is not understood: 2.
    Usage,
}

/// How what is found is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

/// Reads the arguments and does what they say. Results go to `out`, complaints to `err`.
///
/// # Errors
/// Those of writing.
pub fn execute(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // Help and version come this way too, and are no mistakes.
        Err(error) if !error.use_stderr() => {
            write!(out, "{}", error.render())?;
            return Ok(Exit::Good);
        }
        Err(error) => {
            write!(err, "{}", error.render())?;
            return Ok(Exit::Usage);
        }
    };
    let form = if cli.json { Form::Json } else { Form::Text };
    match cli.command {
        Command::Man(arguments) => manual::print(arguments.of.as_deref(), out, err),
        Command::Map(arguments) => map::print(&arguments.address, form, out, err),
        Command::Status(arguments) => status::print(&cli.config, &arguments, form, out, err),
        Command::Console(arguments) => console::execute(&cli.config, &arguments, err),
        Command::Setup(arguments) => setup::execute(&cli.config, &arguments, out, err),
        Command::Subscriptions(arguments) => subscriptions::print(&cli.config, &arguments, form, out, err),
        Command::Check => {
            let mut read = config::load(&cli.config);
            if let Ok(loaded) = &mut read {
                report::add_doubts(loaded);
            }
            report::print(&cli.config, read, form, out)
        }
        Command::Firewall(arguments) => match config::load(&cli.config) {
            Ok(loaded) => firewall::execute(&loaded.settings.firewall, &arguments, form, out, err),
            Err(report) => {
                write!(err, "{report}")?;
                Ok(Exit::Bad)
            }
        },
        Command::Explain(arguments) => match config::load(&cli.config) {
            Ok(loaded) => explain::print(&loaded.settings, &arguments, form, out, err),
            Err(report) => {
                write!(err, "{report}")?;
                Ok(Exit::Bad)
            }
        },
        Command::Run => match config::load(&cli.config) {
            Ok(loaded) => match app::run(loaded, &cli.config) {
                Ok(()) => Ok(Exit::Good),
                Err(error) => {
                    writeln!(err, "vestibule: {error:#}")?;
                    Ok(Exit::Bad)
                }
            },
            Err(report) => {
                write!(err, "{report}")?;
                Ok(Exit::Bad)
            }
        },
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Good => 0,
            Exit::Bad => 1,
            Exit::Usage => 2,
        })
    }
}

impl From<KindWord> for Kind {
    fn from(word: KindWord) -> Self {
        match word {
            KindWord::Im => Self::Im,
            KindWord::Presence => Self::Presence,
            KindWord::Groupchat => Self::Groupchat,
            KindWord::FileTransfer => Self::FileTransfer,
            KindWord::Other => Self::Other,
        }
    }
}

impl From<ProtocolWord> for Protocol {
    fn from(word: ProtocolWord) -> Self {
        match word {
            ProtocolWord::Sip => Self::Sip,
            ProtocolWord::Xmpp => Self::Xmpp,
        }
    }
}

/// Writes a value as JSON, on lines of their own.
fn write_json(value: &impl serde::Serialize, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    writeln!(out, "{}", terminal::json(&text))
}
