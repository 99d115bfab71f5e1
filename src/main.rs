//! The command line: arguments and exit codes, nothing else.

use std::io;
use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;
use vestibule::cli;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    match cli::execute(std::env::args_os(), &mut io::stdout(), &mut io::stderr()) {
        Ok(exit) => exit.into(),
        // Nobody is left to read what we would say.
        Err(_) => cli::Exit::Bad.into(),
    }
}
