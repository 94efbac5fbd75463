//! Hardware in the loop: `cargo test --test hil -- rig.toml [OPTIONS]` is `enlist rig run` as
//! built with the tests. It has a harness of its own and is not among the default tests, so
//! nothing touches a device unless a person names a rig file.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let head = ["enlist", "rig", "run"].map(OsString::from);
    ExitCode::from(enlist::cli::main_of(head.into_iter().chain(std::env::args_os().skip(1))))
}
