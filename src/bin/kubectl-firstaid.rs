//! `kubectl-firstaid`: the kubectl plugin. `kubectl firstaid` runs it.

use std::process::ExitCode;

fn main() -> ExitCode {
    firstaid::cli::plugin::main()
}
