//! Playing a scenario: each of its devices by one of the rig that can be it. The journal of a
//! simulated run is too exact for people and hardware; what is compared is how the job ends.

use super::checks::{Check, Seat};
use super::hands::Part;
use super::result::{CheckView, Found, Status};
use super::scenario::{Act, Answer, Happening, Role, Scene};
use crate::api::view::{DeviceInfo, DeviceView};
use crate::api::{Consent, Operations, SetupAssistant};
use crate::workflow::policy::Policy;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// Plays every device of a scene.
pub(super) async fn scene(scene: &Scene, seats: &mut [&mut Seat<'_>], checks: &mut Vec<CheckView>) {
    let mut used = vec![false; seats.len()];
    for (n, role) in scene.roles.iter().enumerate() {
        let title = Some(format!("{} device {} ({})", scene.name, n + 1, role.persona));
        match casting(scene, n, seats, &used).await {
            Ok(place) => {
                used[place] = true;
                let play =
                    async |seat: &mut Seat<'_>| play(seat, scene, n).await.unwrap_or_else(|broken| broken);
                checks.push(seats[place].check(Check::Scenario, title, play).await);
            }
            Err(reasons) => {
                let Some(seat) = seats.first_mut() else { return };
                let found = async |_: &mut Seat<'_>| Found::skipped(reasons);
                checks.push(seat.check(Check::Scenario, title, found).await);
            }
        }
    }
}

/// The device that plays a role: one that fits, and that played none before if there is one.
async fn casting(scene: &Scene, n: usize, seats: &[&mut Seat<'_>], used: &[bool]) -> Result<usize, String> {
    let role = &scene.roles[n];
    if !role.simulated_only.is_empty() {
        return Err(format!("Only a simulated device can be so: {}.", role.simulated_only.join(", ")));
    }
    let mut reasons = Vec::new();
    let mut order: Vec<usize> = (0..seats.len()).collect();
    order.sort_by_key(|place| used[*place]);
    for place in order {
        match misfit(scene, n, seats[place]).await {
            None => return Ok(place),
            Some(why) => reasons.push(format!("{}: {why}", seats[place].dut.label())),
        }
    }
    Err(format!("No device of the rig fits. {}.", reasons.join("; ")))
}

/// Why a device cannot play a role, if so.
async fn misfit(scene: &Scene, n: usize, seat: &Seat<'_>) -> Option<String> {
    let role = &scene.roles[n];
    let info = match look(seat, role).await {
        Ok(info) => info,
        Err(found) => return Some(found.sentence),
    };
    let in_setup = info.setup_assistant == "running";
    let acts = || scene.acts.iter().filter(|act| act.role == n);
    let why = if seat.export.is_none() {
        "the rig file names no export (enrolls_with)"
    } else if role.in_setup && !in_setup && !seat.dut.may_erase {
        "it is past Setup Assistant, and may not be erased"
    } else if !role.in_setup && in_setup {
        "it is in Setup Assistant"
    } else if role.supervised && !is_supervised(seat, &info) {
        "it is not supervised by an identity of the rig file"
    } else if role.locked && !seat.dut.has_passcode {
        "the rig file gives it no passcode (has_passcode)"
    } else if is_enrolled(seat, &info) && !seat.dut.may_unenroll && !(role.in_setup && seat.dut.may_erase) {
        "it is enrolled, and may not be unenrolled (may_unenroll)"
    } else if role.needs_answers() && !is_supervised(seat, &info) && !seat.is_answered() {
        "somebody has to answer its dialogs, and nobody is there"
    } else if (role.locked || acts().any(|act| act.what.needs_hands())) && !seat.hands().are_there() {
        "somebody has to move it, and nobody is there"
    } else {
        return None;
    };
    Some(why.to_owned())
}

/// What the device tells, to a computer it trusts; unless its role is not to.
async fn look(seat: &Seat<'_>, role: &Role) -> Result<DeviceInfo, Found> {
    let info = seat.info().await?;
    seat.is_meant(info.device.clone())?;
    if info.profiles.is_some() || role.trust != Answer::Yes || role.locked {
        return Ok(info);
    }
    seat.trust().await?;
    seat.info().await
}

/// The profile of the rig file is on it.
fn is_enrolled(seat: &Seat<'_>, info: &DeviceInfo) -> bool {
    let Some(export) = seat.export else { return false };
    info.profiles.iter().flatten().any(|profile| profile.identifier == export.profile.identifier())
}

fn is_supervised(seat: &Seat<'_>, info: &DeviceInfo) -> bool {
    seat.dut.supervised_by.is_some() && info.supervised == Some(true)
}

async fn play(seat: &mut Seat<'_>, scene: &Scene, n: usize) -> Result<Found, Found> {
    let role = &scene.roles[n];
    let info = set_the_stage(seat, role).await?;
    let silently = is_supervised(seat, &info);
    role.for_its_person().into_iter().for_each(|words| seat.tells(words));
    let device = perform(seat, scene, n).await?;
    let expected = role.expected(scene.hold, silently);
    let left_out = left_out(scene);
    if device.outcome == expected || expected.is_success() && device.outcome.is_success() {
        return Ok(
            Found::passed(format!("It ended as it has to: {}.{left_out}", device.outcome)).with(device)
        );
    }
    let mut found = Found::of_device(device.clone());
    found.status = Status::Failed;
    let said = &device.sentence;
    found.sentence =
        format!("It has to end as {expected}, and ended as {}: {said}{left_out}", device.outcome);
    Err(found)
}

/// What of the scene no rig can do.
fn left_out(scene: &Scene) -> String {
    let named = scene.acts.iter().filter_map(|act| match &act.what {
        Happening::SimulatedOnly(what) => Some(what.as_str()),
        _ => None,
    });
    let named: Vec<_> = named.collect();
    if named.is_empty() { String::new() } else { format!(" Played without {}.", named.join(", ")) }
}

/// Brings the device to where its role begins.
async fn set_the_stage(seat: &mut Seat<'_>, role: &Role) -> Result<DeviceInfo, Found> {
    let info = seat.info().await?;
    let enrolled = is_enrolled(seat, &info);
    if role.in_setup && (info.setup_assistant != "running" || enrolled && !seat.dut.may_unenroll) {
        seat.erase().await?;
    } else if enrolled {
        seat.remove_profile(seat.enrollment()?.profile.identifier(), Consent::Given).await?;
    }
    if role.trust != Answer::Yes && !role.in_setup {
        let unpaired = seat.operations().unpair(Some(seat.dut.udid.as_str())).await;
        unpaired.map_err(Found::of_error)?;
    }
    if role.locked {
        seat.hands().ask(Part::Lock).await?;
    }
    seat.info().await
}

/// Runs the job while the scene's acts happen. A station that is killed is started again, as
/// often as the scene says.
async fn perform(seat: &Seat<'_>, scene: &Scene, n: usize) -> Result<DeviceView, Found> {
    let export = seat.enrollment()?;
    let setup_assistant = if scene.hold { SetupAssistant::Hold } else { SetupAssistant::Push };
    let policy = Policy {
        pushes: scene.pushes,
        setup_assistant,
        policies_within: scene.policies_within,
        ..export.policy(seat.policy(), &seat.rig.options.answers)
    };
    let options = Operations::to_install(&seat.dut.udid, export.profile.clone(), policy);
    let (station, lives) = watch::channel(Station::default());
    let jobs = async {
        loop {
            let life = lives.borrow().kills;
            let mut lives = lives.clone();
            let killed = async {
                let _ = lives.wait_for(|station| station.kills > life).await;
            };
            let end = async {
                tokio::select! { () = seat.stop.asked() => {}, () = killed => {} }
            };
            match seat.job_until(options.clone(), end).await? {
                Some(device) => return Ok(device),
                None if seat.stop.is_asked() => return Err(super::interrupted()),
                None if lives_on(life, &station) => return seat.job(options.clone()).await,
                None => sleep(station.borrow().pause).await,
            }
        }
    };
    let script = async {
        match follow_script(seat, scene, n, &station).await {
            // The job decides how long the rest lasts.
            Ok(()) => std::future::pending().await,
            Err(found) => Err(found),
        }
    };
    tokio::select! {
        ended = jobs => ended,
        failed = script => failed,
    }
}

/// How often the station was killed, and how long it stayed away last.
#[derive(Debug, Clone, Copy, Default)]
struct Station {
    kills: u32,
    pause: Duration,
}

/// True if nobody killed the station: its job ended for want of a device.
fn lives_on(life: u32, station: &watch::Sender<Station>) -> bool {
    station.borrow().kills == life
}

async fn follow_script(
    seat: &Seat<'_>,
    scene: &Scene,
    n: usize,
    station: &watch::Sender<Station>,
) -> Result<(), Found> {
    let mut acts: Vec<&Act> = scene.acts.iter().filter(|act| is_of(act, n)).collect();
    acts.sort_by_key(|act| act.at);
    let begun = Instant::now();
    for act in acts {
        sleep_until(begun + act.at).await;
        match act.what {
            Happening::Slip => {
                seat.unplug().await?;
                sleep(act.lasts).await;
                seat.plug().await?;
            }
            Happening::Reboot => seat.hands().ask(Part::Restart).await?,
            Happening::Lock => seat.hands().ask(Part::Lock).await?,
            Happening::Unlock => seat.hands().ask(Part::Unlock).await?,
            Happening::ForgetPairing => seat.hands().ask(Part::ForgetPairing).await?,
            Happening::Restart => {
                station.send_modify(|s| *s = Station { kills: s.kills + 1, pause: act.lasts })
            }
            Happening::SimulatedOnly(_) => {}
        }
    }
    Ok(())
}

fn is_of(act: &Act, n: usize) -> bool {
    act.role == n || matches!(act.what, Happening::Restart)
}
