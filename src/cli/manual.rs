//! `vestibule man`: the manual page, made from the same words as `--help`, with what no option says.

use std::io::{self, Write};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::{Cli, Exit};

/// Prints the page of the program, which has all commands in it, or that of one command.
pub(super) fn print(of: Option<&str>, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Exit> {
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    match of {
        None => whole_page(&whole, out)?,
        Some(name) => match whole.find_subcommand(name) {
            Some(page) => Man::new(page.clone()).render(out)?,
            None => {
                let known: Vec<_> = whole.get_subcommands().map(Command::get_name).collect();
                writeln!(err, "there is no command {name}; there are: {}", known.join(", "))?;
                return Ok(Exit::Usage);
            }
        },
    }
    Ok(Exit::Good)
}

fn whole_page(whole: &Command, out: &mut dyn Write) -> io::Result<()> {
    let man = Man::new(whole.clone());
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    writeln!(out, ".SH COMMANDS")?;
    for command in whole.get_subcommands() {
        writeln!(out, ".SS vestibule {}", command.get_name())?;
        writeln!(out, "{}", text(&about(command)))?;
        for argument in command.get_arguments() {
            // Those of the whole program stand above.
            if argument.is_global_set() || argument.get_id() == "help" {
                continue;
            }
            let name = match argument.get_long() {
                Some(long) => format!("--{long} "),
                None => String::new(),
            };
            let value = argument
                .get_value_names()
                .map(|names| names.iter().map(|name| format!("<{name}>")));
            let value = value
                .map(|names| names.collect::<Vec<_>>().join(" "))
                .unwrap_or_default();
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let words: Vec<_> = argument
                .get_possible_values()
                .iter()
                .map(|word| word.get_name().to_owned())
                .collect();
            let words = if words.is_empty() {
                String::new()
            } else {
                format!(" One of: {}.", words.join(", "))
            };
            writeln!(
                out,
                ".TP\n\\fB{}\\fR{}\n{}",
                text(&name),
                text(&value),
                text(&format!("{help}.{words}"))
            )?;
        }
    }
    for (title, paragraphs) in SECTIONS {
        writeln!(out, ".SH {title}")?;
        for (term, words) in *paragraphs {
            writeln!(out, ".TP\n\\fB{}\\fR\n{}", text(term), text(words))?;
        }
    }
    man.render_version_section(out)
}

fn about(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    format!("{about}.")
}

/// Text as roff takes it: no hyphen becomes a dash, no backslash a command, and no line begins with one.
fn text(plain: &str) -> String {
    let escaped = plain.replace('\\', "\\e").replace('-', "\\-");
    match escaped.strip_prefix(['.', '\'']) {
        Some(_) => format!("\\&{escaped}"),
        None => escaped,
    }
}

/// What stands on the page besides the options: titles, and under each what is spoken of and what is said of it.
const SECTIONS: &[(&str, &[(&str, &str)])] = &[
    (
        "EXIT STATUS",
        &[
            (
                "0",
                "All is well: the configuration is usable, the message would pass, the proxy stopped in order.",
            ),
            ("1", "Something is wrong, or is refused."),
            ("2", "The command line is not understood."),
        ],
    ),
    (
        "SIGNALS",
        &[
            (
                "SIGHUP",
                "vestibule run reads the configuration, certificates and secrets again. What is wrong, or can only change \
                 with a restart, is logged, and everything stays as it was.",
            ),
            (
                "SIGTERM, SIGINT",
                "It stops in order: what is under way comes to its end within limits.drain_timeout, and nothing new is \
                 taken.",
            ),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "VESTIBULE__TABLE__KEY",
                "Overrides a key of the configuration: VESTIBULE__POLICY__DEFAULT=allow stands for default = \"allow\" in \
                 [policy].",
            ),
            (
                "any other",
                "A secret that is written as \"env:NAME\" is taken from the variable NAME.",
            ),
        ],
    ),
    (
        "FILES",
        &[(
            "/etc/vestibule/vestibule.toml",
            "The configuration. config/vestibule.toml of the source has every key with its default and meaning.",
        )],
    ),
    (
        "CONTROL SOCKET",
        &[(
            "/run/vestibule/control.sock",
            "admin.control: what status and subscriptions ask. It answers root and the user of the proxy, and nobody else.",
        )],
    ),
    (
        "NETWORK",
        &[(
            "127.0.0.1:9464",
            "admin.metrics: /healthz (the process is alive), /readyz (traffic can pass, or why not), /metrics \
             (Prometheus).",
        )],
    ),
    (
        "EXAMPLES",
        &[
            (
                "vestibule check",
                "Everything that is wrong with the configuration, before it is used.",
            ),
            (
                "vestibule explain --from sip:romeo@partner.example --to sip:juliet@example.com",
                "What would become of a message, with the line of the configuration that decides.",
            ),
            (
                "vestibule subscriptions --state pending partner.example",
                "Whose presence users ask for, of or at that domain, without an answer yet.",
            ),
            (
                "vestibule map juliet@example.com",
                "The address as SIP writes it.",
            ),
        ],
    ),
];
