//! A Mac that can be spoken to: what is asked of it, and the scripts that ask (protocols.md 7).
//!
//! It has no service that takes a profile (7.2, R74): a file is put into a folder that only its
//! user can enter and opened there; the rest is a person's. Start at [`Mac`].

pub use crate::transport::shell::{Runner, ShellError};
pub use crate::wire::mac_profiles::{Enrollment, Listed, Managed, NotThere};

use crate::ids::Udid;
use crate::secret::Secret;
use crate::transport::shell::{Ask, Said};
use crate::wire::mac_profiles::{enrollment, first_words, listed, platform, version};
use crate::wire::profile::lint::OsVersion;
use std::sync::Arc;
use std::time::Duration;

/// A short question: connect (10 s at most) and an answer from memory.
const SHORT: Duration = Duration::from_secs(30);

/// A profile on its way: megabytes at worst, over a slow line.
const DELIVERY: Duration = Duration::from_secs(120);

/// Exit code of a shell that does not find a command.
const NOT_FOUND: i32 = 127;

/// The name the profile has on the Mac.
const FILE: &str = "enrollment.mobileconfig";

/// Why a Mac did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    /// The script did not come to its end.
    #[error(transparent)]
    Shell(#[from] ShellError),
    /// The answer does not hold what was asked.
    #[error("the Mac was asked for {what}: {reason}")]
    Answer {
        /// What was asked.
        what: &'static str,
        /// What is wrong with the answer.
        reason: NotThere,
    },
    /// It has not the tools of a Mac.
    #[error("this is no Mac: it has no {tool}")]
    NoMac {
        /// What is missing.
        tool: &'static str,
    },
    /// The Mac tried, and could not.
    #[error("the Mac could not do it ({what}): {said}")]
    Failed {
        /// What was asked.
        what: &'static str,
        /// What it said; safe to print.
        said: String,
    },
}

/// Who a Mac is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacFacts {
    /// Hardware UUID: what it is to the journal, as a UDID is of an iPhone.
    pub udid: Udid,
    /// Serial number.
    pub serial: Option<String>,
    /// The name its owner gave it; safe to print.
    pub name: Option<String>,
    /// Model, such as `Mac14,2`.
    pub model: Option<String>,
    /// macOS.
    pub os: OsVersion,
}

/// The folder on the Mac in which the profile lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(String);

impl Folder {
    /// The path that a Mac printed; `None` if it is none of ours, whatever it may be.
    fn read(printed: &str, tag: &str) -> Option<Self> {
        let path = printed.lines().next_back()?.trim();
        let clean = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+');
        let (_, name) = path.rsplit_once('/')?;
        let ours = name.strip_prefix("enlist-")?.strip_prefix(tag)?.starts_with('.');
        let good = path.starts_with('/') && path.len() <= 400 && path.chars().all(clean);
        (ours && good && !path.contains("..")).then(|| Self(path.to_owned()))
    }
}

/// A Mac.
#[derive(Debug, Clone)]
pub struct Mac {
    runner: Arc<dyn Runner>,
}

impl Mac {
    /// The Mac on which `runner` runs scripts.
    pub fn new(runner: Arc<dyn Runner>) -> Self {
        Self { runner }
    }

    /// Where it is, for messages.
    pub fn place(&self) -> String {
        self.runner.place()
    }

    /// Who it is.
    ///
    /// # Errors
    /// [`MacError`].
    pub async fn identify(&self) -> Result<MacFacts, MacError> {
        let what = "the version of macOS";
        let script =
            "export LC_ALL=C; sw_vers -productVersion || exit; scutil --get ComputerName 2>/dev/null; true";
        let said = self.ask(what, script, "sw_vers").await?;
        let (first, rest) = said.out.split_once('\n').unwrap_or((&said.out, ""));
        let os = version(first).map_err(|reason| MacError::Answer { what, reason })?;
        let name = Some(first_words(rest)).filter(|name| !name.is_empty());
        let what = "its serial number";
        let script = "export LC_ALL=C; ioreg -rd1 -c IOPlatformExpertDevice";
        let said = self.ask(what, script, "ioreg").await?;
        let platform = platform(&said.out).map_err(|reason| MacError::Answer { what, reason })?;
        let begins = first_words(&platform.uuid);
        let bad = |_| MacError::Answer { what, reason: NotThere { what: "a usable hardware UUID", begins } };
        let udid = platform.uuid.parse().map_err(bad)?;
        Ok(MacFacts { udid, serial: platform.serial, name, model: platform.model, os })
    }

    /// Whether an MDM manages it.
    ///
    /// # Errors
    /// [`MacError`].
    pub async fn enrollment(&self) -> Result<Enrollment, MacError> {
        let what = "the state of enrollment";
        let script = "export LC_ALL=C; profiles status -type enrollment 2>&1";
        let said = self.ask(what, script, "profiles").await?;
        enrollment(&said.out).map_err(|reason| MacError::Answer { what, reason })
    }

    /// The profiles it lists. Those of the computer show themselves to administrators only, so
    /// `sudo` is tried where it asks for nothing; without it the list is as good as it gets.
    ///
    /// # Errors
    /// [`MacError`].
    pub async fn listed(&self) -> Result<Listed, MacError> {
        let what = "the list of profiles";
        let said = self.ask(what, "export LC_ALL=C; profiles list 2>&1", "profiles").await?;
        let own = listed(&said.out);
        if own.computer {
            return Ok(own);
        }
        let said = self.ask(what, "export LC_ALL=C; sudo -n profiles list 2>/dev/null; true", "sudo").await?;
        let all = listed(&said.out);
        Ok(if all.computer { all } else { own })
    }

    /// Puts a profile into a new folder that only this user can enter. Folders that an earlier
    /// run left for the same `tag` (hexadecimal) go first.
    ///
    /// # Errors
    /// [`MacError`].
    pub async fn deliver(&self, tag: &str, profile: &Secret<Vec<u8>>) -> Result<Folder, MacError> {
        let what = "a copy of the profile";
        let script = format!(
            "umask 077; {}; d=$(mktemp -d \"${{TMPDIR:-/tmp}}/enlist-{tag}.XXXXXXXX\") && \
             cat > \"$d/{FILE}\" && wc -c < \"$d/{FILE}\" && echo \"$d\"",
            sweep_script(tag)
        );
        let ask = Ask { what, script: &script, input: Some(profile), within: DELIVERY };
        let said = self.runner.run(&ask).await?;
        let arrived = said.out.lines().next().and_then(|line| line.trim().parse::<usize>().ok());
        match Folder::read(&said.out, tag) {
            Some(folder) if said.code == 0 && arrived == Some(profile.expose().len()) => Ok(folder),
            _ => Err(failed(what, &said)),
        }
    }

    /// Opens the profile for the person at the Mac (7.2).
    ///
    /// # Errors
    /// [`MacError::Failed`], typically because nobody is logged in at its screen.
    pub async fn open(&self, folder: &Folder) -> Result<(), MacError> {
        let what = "opening the profile";
        let said = self.ask(what, &format!("open \"{}/{FILE}\"", folder.0), "open").await?;
        if said.code == 0 { Ok(()) } else { Err(failed(what, &said)) }
    }

    /// Removes every copy of this `tag`. There being none is fine.
    ///
    /// # Errors
    /// [`MacError`].
    pub async fn sweep(&self, tag: &str) -> Result<(), MacError> {
        let what = "the removal of the copy";
        let script =
            format!("{}; ls -d \"${{TMPDIR:-/tmp}}/enlist-{tag}.\"* 2>/dev/null; true", sweep_script(tag));
        let said = self.ask(what, &script, "rm").await?;
        if said.out.trim().is_empty() { Ok(()) } else { Err(failed(what, &said)) }
    }

    async fn ask(&self, what: &'static str, script: &str, tool: &'static str) -> Result<Said, MacError> {
        let said = self.runner.run(&Ask { what, script, input: None, within: SHORT }).await?;
        if said.code == NOT_FOUND {
            return Err(MacError::NoMac { tool });
        }
        Ok(said)
    }
}

/// Removes the file and the folder, and nothing else that may be in it.
fn sweep_script(tag: &str) -> String {
    format!(
        "for d in \"${{TMPDIR:-/tmp}}/enlist-{tag}.\"*; do rm -f \"$d/{FILE}\"; rmdir \"$d\" 2>/dev/null; done"
    )
}

fn failed(what: &'static str, said: &Said) -> MacError {
    let told = [&said.err, &said.out].into_iter().map(|text| first_words(text)).find(|text| !text.is_empty());
    let said = told.unwrap_or_else(|| format!("it ended with code {} and said nothing", said.code));
    MacError::Failed { what, said }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::shell::Local;

    #[test]
    fn only_a_folder_of_ours_is_believed() {
        let read = |text: &str| Folder::read(text, "ab12").map(|f| f.0);
        let good = "/var/folders/x_/T/enlist-ab12.Q1w2E3r4";
        assert_eq!(read(&format!("    4711\n{good}\n")).as_deref(), Some(good));
        for bad in [
            "",
            "/",
            "/tmp/enlist-ab12",
            "tmp/enlist-ab12.x",
            "/tmp/enlist-cd34.x",
            "/tmp/../enlist-ab12.x",
            "/tmp/a b/enlist-ab12.x",
            "/tmp/$(x)/enlist-ab12.x",
            "/tmp/\"x/enlist-ab12.x",
            "/tmp/enlist-ab12.x/y",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    /// Answers everything as a Mac would, and keeps what it was asked to run.
    #[derive(Debug, Default)]
    struct Listening(std::sync::Mutex<Vec<String>>);

    #[async_trait::async_trait]
    impl Runner for Listening {
        fn place(&self) -> String {
            "a test".to_owned()
        }

        async fn run(&self, ask: &Ask<'_>) -> Result<Said, ShellError> {
            self.0.lock().unwrap().push(ask.script.to_owned());
            let out = "15.2\n\"IOPlatformUUID\" = \"A-1\"\nMDM enrollment: No\n4\n/tmp/enlist-ab12.x\n";
            Ok(Said { code: 0, out: out.to_owned(), err: String::new() })
        }
    }

    #[tokio::test]
    async fn every_script_can_be_quoted_for_any_login_shell() {
        let runner = Arc::new(Listening::default());
        let mac = Mac::new(runner.clone());
        mac.identify().await.unwrap();
        mac.enrollment().await.unwrap();
        mac.listed().await.unwrap();
        let _ = mac.deliver("ab12", &Secret::new(b"FAKE".to_vec())).await;
        mac.open(&Folder("/tmp/enlist-ab12.x".to_owned())).await.unwrap();
        let _ = mac.sweep("ab12").await;
        let scripts = runner.0.lock().unwrap();
        assert_eq!(scripts.len(), 8, "{scripts:?}");
        for script in scripts.iter() {
            assert!(!script.contains(['\'', '\\', '!', '\n']), "{script}");
        }
    }

    #[tokio::test]
    async fn a_copy_is_private_complete_and_goes_again() {
        let tag = format!("{:016x}", own_tag());
        let mac = Mac::new(Arc::new(Local));
        let profile = Secret::new(b"FAKE-profile".to_vec());
        mac.deliver(&tag, &profile).await.unwrap();
        // A second one takes the place of the first.
        let folder = mac.deliver(&tag, &profile).await.unwrap();
        let file = format!("{}/{FILE}", folder.0);
        assert_eq!(std::fs::read(&file).unwrap(), b"FAKE-profile");
        let mode = |path: &str| {
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
        };
        assert_eq!((mode(&file), mode(&folder.0)), (0o600, 0o700));
        mac.sweep(&tag).await.unwrap();
        assert!(!std::path::Path::new(&folder.0).exists());
        mac.sweep(&tag).await.unwrap();
    }

    /// A tag of this run's own.
    fn own_tag() -> u128 {
        uuid::Uuid::new_v4().as_u128() >> 64
    }
}
