//! The binary: one process in any role, and the command line that talks to it.
//!
//! | module | question it answers |
//! |---|---|
//! | [`settings`] | what a process of the engine is told when it starts |
//! | [`roles`] | what a process does: shards, tasks, projector, api |
//! | [`dev`] | everything in one process, with servers of its own |
//! | [`api`] | what HTTP clients can ask |
//! | [`cli`] | what people type |
//! | [`bench`] | how fast it is, beside the bare broker |
//! | [`telemetry`] | logs and metrics |

mod bench;
mod cli;
mod dev;
mod roles;
mod settings;
mod telemetry;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    telemetry::log_to_stderr(arguments.log_format, arguments.is_server());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("headwater: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(cli::run(arguments));
    // Whatever still hangs must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("headwater: {failure}");
            failure.exit_code()
        }
    }
}
