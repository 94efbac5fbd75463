//! `enlist prepare`: supervision data for devices in Setup Assistant, and then their profile.

use super::arguments::{AgeArgs, DeviceArg, Global, PolicyArgs};
use super::output::Output;
use super::record::RecordFlag;
use super::screen::{self, Show};
use super::{compose, enroll, helpers};
use crate::api::view::Exit;
use crate::api::{OperationError, Orders, Policy, RunOptions, SetupAssistant, Wanted};
use crate::clock::Clock;
use crate::config::{Environment, PrepareConfig};
use clap::Args;
use std::path::PathBuf;

/// Configures devices that were erased and are in Setup Assistant, and reads that back; with
/// FILE it enrolls them right after. Flags outrank the section [prepare] of the configuration.
#[derive(Debug, Args)]
pub(super) struct PrepareArgs {
    /// The exported direct-enrollment profile (.mobileconfig), to be installed right after
    file: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArg,
    /// Every device attached now
    #[arg(long, conflicts_with = "udid")]
    all: bool,
    /// Look and plan, but change nothing and ask the device for nothing
    #[arg(long)]
    dry_run: bool,
    /// Name of the organisation, shown on the device
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// Its department, shown in Setup Assistant
    #[arg(long, value_name = "NAME")]
    department: Option<String>,
    /// Telephone of its help desk
    #[arg(long, value_name = "NUMBER")]
    support_phone: Option<String>,
    /// Mail address of its help desk
    #[arg(long, value_name = "ADDRESS")]
    support_email: Option<String>,
    /// Supervise the device, with the identities of [supervision]
    #[arg(long, conflicts_with = "not_supervised")]
    supervised: bool,
    /// Do not supervise it, whatever the configuration says
    #[arg(long)]
    not_supervised: bool,
    /// Let only computers pair with it that hold a supervision identity
    #[arg(long)]
    no_pairing: bool,
    /// Panes of Setup Assistant that are not shown, such as Siri,Location
    #[arg(long, value_name = "PANE,...", value_delimiter = ',')]
    skip: Vec<String>,
    /// Address at which Setup Assistant fetches its enrollment
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    enrollment_url: Option<String>,
    /// Profile URL from the portal: this computer asks it for that address
    #[arg(long, value_name = "URL", conflicts_with_all = ["file", "enrollment_url"])]
    profile_url: Option<String>,
    /// The enrollment binds a user, who has 24 hours to finish it
    #[arg(long)]
    user: bool,
    #[command(flatten)]
    age: AgeArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    record: RecordFlag,
}

impl PrepareArgs {
    fn flags(&self) -> PrepareConfig {
        PrepareConfig {
            organization: self.organization.clone(),
            department: self.department.clone(),
            support_phone: self.support_phone.clone(),
            support_email: self.support_email.clone(),
            supervised: (self.supervised || self.not_supervised).then_some(self.supervised),
            allow_pairing: self.no_pairing.then_some(false),
            skip: self.skip.clone(),
            enrollment_url: self.enrollment_url.clone(),
            user: self.user.then_some(true),
        }
    }
}

pub(super) async fn run(
    args: &PrepareArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let config = compose::configuration(global, environment)?;
    let base = Policy { dry_run: args.dry_run, ..Policy::default() };
    let mut policy = enroll::policy(&config.enroll, &args.policy, base)?;
    let taken = args.record.of(args.all)?;
    let (operations, _) = compose::station(global, environment, taken.recorder()).await?;
    policy.helpers = helpers::of_run(&args.policy.helpers, &config, &operations, output)?;
    let mut wishes = args.flags().over(config.prepare.clone()).wishes();
    if args.file.is_some() {
        // The profile enrolls it: no other address is to do that a second time.
        wishes.enrollment_url = None;
    }
    if let Some(url) = &args.profile_url
        && operations.ask_profile_url(url, &mut wishes).await?
    {
        output.note("warning: the Profile URL also names a profile of roots (trust_profile_url): install it on the devices first.".to_owned());
    }
    let preparation = operations.preparation(wishes)?;
    for remark in preparation.pane_remarks(None) {
        output.note(format!("warning: {remark}"));
    }
    let wanted = match args.all {
        true => Wanted::AllAttached,
        false => Wanted::One(args.device.udid.clone()),
    };
    let options = match &args.file {
        None => operations.to_prepare(wanted, preparation, policy)?,
        Some(file) => {
            let answers = args.age.answers(&config.enroll);
            let lasting = policy.longest_job();
            let export = operations.export(file, &answers, lasting)?;
            if let Some(warning) = export.warning(Clock::System.now()) {
                output.note(format!("warning: {warning}"));
            }
            let sibling = enroll::sibling(&args.policy, &config.enroll);
            operations.helpers_fit(&policy.helpers, &export.profile)?;
            let siblings = operations.siblings(sibling, &export.profile, &answers, lasting)?;
            // Only while Setup Assistant runs can a device be prepared, and then it is silent.
            let setup_assistant = SetupAssistant::Push;
            let policy = Policy { siblings, setup_assistant, prepare: Some(preparation), ..policy };
            let policy = export.policy(policy, &answers);
            RunOptions {
                wanted,
                profile: export.profile,
                shelf: None,
                policy,
                orders: Orders::default(),
                once: true,
            }
        }
    };
    let show = if output.json { Show::Results } else { Show::for_people(output) };
    let ended = screen::run(&operations, options, show, output).await;
    taken.finish(output).await;
    ended
}
