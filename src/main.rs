//! The command line: arguments and exit codes, nothing else.

fn main() {}
