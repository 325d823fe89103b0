//! The program `headwater`. Everything it does is in the library of the same name.

use std::process::ExitCode;

use clap::Parser as _;
use headwater::{cli, descriptors, telemetry};

fn main() -> ExitCode {
    headwater_workers::actions::supervise_if_asked();
    let arguments = cli::Arguments::parse();
    if let Err(failure) = telemetry::log_to_stderr(arguments.log_format, arguments.is_server()) {
        eprintln!("headwater: {failure}");
        return failure.exit_code();
    }
    if arguments.is_server() {
        descriptors::raise_limit();
    }
    let runtime = match arguments.runtime().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("headwater: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(cli::carry_out(arguments));
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
