//! The command line: one file a subcommand; wording and rendering live here.
//!
//! May import: `api`, `config`, base. `compose.rs`, `serve.rs`, `serve_web.rs` and `sim.rs` are the
//! composition roots and may import everything.

mod advise;
mod arguments;
mod backup;
mod batch;
mod bays;
mod capture;
mod completions;
mod compose;
mod config;
mod devices;
mod doctor;
mod enroll;
mod erase;
mod export;
mod help;
mod helpers;
mod history;
mod info;
mod installed;
mod library;
mod lines;
mod lint;
mod log;
mod mac;
mod man;
mod output;
mod pair;
mod prepare;
mod profile;
mod record;
mod replay;
mod report;
mod rig;
mod screen;
mod serve;
mod serve_web;
mod service;
pub mod sim;
mod table;
mod watch;

use crate::api::view::Exit;
use crate::api::{OperationError, system_words};
use crate::config::Environment;
use arguments::{Cli, Command, ProfileCommand};
use clap::Parser;
use output::Output;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::OsString;
use tokio::runtime::{Builder, Runtime};

/// Parses the arguments, runs the command, gives the exit code (design section 5).
pub fn main() -> u8 {
    leave_no_core();
    main_of(std::env::args_os())
}

/// Pair records, profiles and passwords are in this process's memory: a crash writes none of it
/// to a disk. Hooks may ask for their own again; lowering one's own limit is never refused.
fn leave_no_core() {
    let limit = Rlimit { current: Some(0), ..getrlimit(Resource::Core) };
    let _ = setrlimit(Resource::Core, limit);
}

/// As [`main`], of a command line; the program's name comes first.
pub fn main_of(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let mut cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap prints both kinds where they belong.
            if error.use_stderr() {
                let _ = error.print();
                return Exit::Usage.code();
            }
            let _ = output::print(|_| error.print());
            return close(Exit::Done, &Output::new(false, Environment::read().no_color)).code();
        }
    };
    let environment = Environment::read();
    let output = Output::new(cli.global.json, environment.no_color);
    output::start_log(&environment, cli.global.verbose);
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(4);
    // Devices compute for milliseconds at a time. Journal and page would wait behind them, so
    // they have a thread of their own.
    let started = runtime(threads).and_then(|runtime| Ok((runtime, self::runtime(1)?)));
    let (runtime, quick) = match started {
        Ok(started) => started,
        Err(error) => {
            output.error(&format!("The program cannot start its tasks: {}.", system_words(&error)), None);
            return Exit::Failed.code();
        }
    };
    cli.global.quick = Some(quick.handle().clone());
    let held = cli.global.held.clone();
    let ended = runtime.block_on(async {
        let ended = run(cli, &environment, &output).await;
        held.give_back().await;
        ended
    });
    let exit = ended.unwrap_or_else(|error| {
        error.devices.iter().for_each(|device| output.result(device));
        output.error(&error.sentence, error.next.as_deref());
        error.exit
    });
    close(exit, &output).code()
}

/// Nobody takes for done what is not on the disk that it was written to.
fn close(exit: Exit, output: &Output) -> Exit {
    match output.ended() {
        Ok(()) => exit,
        Err(error) => {
            output.error(&error.sentence, error.next.as_deref());
            exit.worst(error.exit)
        }
    }
}

fn runtime(threads: usize) -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}

async fn run(cli: Cli, environment: &Environment, output: &Output) -> Result<Exit, OperationError> {
    let global = &cli.global;
    match cli.command {
        Command::Backup(args) => backup::back_up(&args, global, environment, output),
        Command::Batch(command) => batch::run(&command, global, environment, output),
        Command::Report(args) => report::run(&args, global, environment, output),
        Command::Bays(command) => bays::run(&command, global, environment, output).await,
        Command::Capture(args) => capture::run(&args, output),
        Command::Advise(args) => advise::run(&args, output),
        Command::Completions(args) => completions::run(&args, output),
        Command::Config(args) => config::run(&args, global, environment, output),
        Command::Devices(args) => devices::run(&args, global, environment, output).await,
        Command::Doctor => doctor::run(global, environment, output).await,
        Command::Enroll(args) => enroll::run(&args, global, environment, output).await,
        Command::Erase(args) => erase::run(&args, global, environment, output).await,
        Command::Export(command) => export::run(&command, global, environment, output).await,
        Command::Help(args) => help::run(&args, output),
        Command::History(args) => history::run(&args, global, environment, output),
        Command::Info(args) => info::run(&args, global, environment, output).await,
        Command::Installed(args) => installed::list(&args, global, environment, output).await,
        Command::Log(args) => log::run(&args, global, environment, output).await,
        Command::Mac(command) => mac::run(&command, global, environment, output).await,
        Command::Man(args) => man::run(&args, output),
        Command::Pair(args) => pair::pair(&args, global, environment, output).await,
        Command::Prepare(args) => prepare::run(&args, global, environment, output).await,
        Command::Profile(ProfileCommand::Show { files, exported_at }) => {
            profile::show(&files, exported_at, global, environment, output)
        }
        Command::Profile(ProfileCommand::Helpers(args)) => helpers::show(&args, global, environment, output),
        Command::Profile(ProfileCommand::Add(args)) => library::add(&args, global, environment, output).await,
        Command::Profile(ProfileCommand::List { folder, met }) => {
            library::list(folder.as_deref(), met, global, environment, output)
        }
        Command::Profile(ProfileCommand::Remove { profile }) => {
            library::remove(&profile, global, environment, output).await
        }
        Command::Profile(ProfileCommand::Lint(args)) => lint::run(&args, global, environment, output),
        Command::Record(args) => record::run(&args, global, environment, output).await,
        Command::Remove(args) => installed::remove(&args, global, environment, output).await,
        Command::Restore(args) => backup::restore(&args, global, environment, output),
        Command::Rig(command) => rig::run(&command, global, environment, output).await,
        Command::Replay(args) => replay::run(&args, global, environment, output).await,
        Command::Serve(args) => serve::run(&args, global, environment, output).await,
        Command::Service(command) => service::run(&command, output),
        Command::Sim(args) => sim::run(*args, output).await,
        Command::Unpair(args) => pair::unpair(&args, global, environment, output).await,
        Command::Watch(args) => watch::run(&args, global, environment, output).await,
    }
}
