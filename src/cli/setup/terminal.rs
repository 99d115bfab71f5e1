//! Whether what is typed is shown.

use std::io::{self, IsTerminal};

use nix::sys::termios::{self, LocalFlags, SetArg, Termios};

/// The echo of a terminal, which is put back as it was.
#[derive(Debug)]
pub(super) struct Echo(Option<Termios>);

impl Echo {
    /// That of standard input, where it is a terminal.
    pub(super) fn of_stdin() -> Self {
        let stdin = io::stdin();
        Self(if stdin.is_terminal() {
            termios::tcgetattr(&stdin).ok()
        } else {
            None
        })
    }

    /// Of what is no terminal.
    #[cfg(test)]
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// Does `work` while nothing that is typed is shown.
    pub(super) fn without<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(shown) = &self.0 else { return work() };
        let mut hidden = shown.clone();
        // A signal from the keyboard would leave it hidden; so typed, it is no answer.
        hidden.local_flags.remove(LocalFlags::ECHO | LocalFlags::ISIG);
        hidden.local_flags.insert(LocalFlags::ECHONL);
        // A terminal that cannot hide is still one that can be typed at.
        let _hidden = termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &hidden);
        let done = work();
        let _shown = termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, shown);
        done
    }
}
