//! Run directories: one folder per run, named by time and configuration, with `run.json` saying how it went.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::files::{self, FileError};

const RECORD: &str = "run.json";
const DESIGN: &str = "design.json";

/// How much of an experiment is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Little data, few seeds: within two minutes on two cores, indicative only.
    Quick,
    /// The verdict preset: five seeds or more.
    Cpu,
    /// Larger networks, more data and seeds: for a GPU.
    Full,
}

impl Preset {
    /// What belongs to it, of three.
    pub fn choose<T>(
        self,
        quick: impl FnOnce() -> T,
        cpu: impl FnOnce() -> T,
        full: impl FnOnce() -> T,
    ) -> T {
        match self {
            Self::Quick => quick(),
            Self::Cpu => cpu(),
            Self::Full => full(),
        }
    }

    /// Name as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Cpu => "cpu",
            Self::Full => "full",
        }
    }
}

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Under way; or killed, when no process of its number is there any more.
    Running,
    /// Done.
    Complete,
    /// Asked to stop; it can be resumed.
    Stopped,
    /// Ended by an error.
    Failed,
}

/// Content of `run.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Name of the folder.
    pub id: String,
    /// How it went.
    pub status: Status,
    /// Process number of the last start.
    pub pid: u32,
    /// First start, UTC, `20261124-153845`.
    pub started: String,
    /// End of the last start; absent while it runs.
    pub finished: Option<String>,
    /// What was typed at the last start, program first.
    pub argv: Vec<String>,
}

/// A run under way. Without [`Run::finish`] its record says `running`, as after a kill.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    record: Record,
}

impl Run {
    /// A new folder `<base>/<UTC time>-<name>` with its record, and `<base>/latest` pointing to it.
    ///
    /// # Errors
    /// [`FileError`] when the folder cannot be made.
    pub fn start(base: &Path, name: &str, now: SystemTime, argv: Vec<String>) -> Result<Self, FileError> {
        let id = format!("{}-{name}", utc(now));
        let folder = base.join(&id);
        files::make_folder(&folder)?;
        let run = Self::adopt(&folder, now, argv)?;
        point_latest(base, &id);
        Ok(run)
    }

    /// The run in a folder that has no record yet.
    fn adopt(folder: &Path, now: SystemTime, argv: Vec<String>) -> Result<Self, FileError> {
        let id = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (status, pid, started) = (Status::Running, std::process::id(), utc(now));
        let record = Record { id, status, pid, started, finished: None, argv };
        let run = Self { folder: folder.to_owned(), record };
        run.write()?;
        Ok(run)
    }

    /// The run in `folder`, started again.
    ///
    /// # Errors
    /// [`FileError`] when there is no run, or its record cannot be written.
    pub fn reopen(folder: &Path, argv: Vec<String>) -> Result<Self, FileError> {
        let text = files::read_text(&folder.join(RECORD))?;
        let record = serde_json::from_str::<Record>(&text).map_err(|error| {
            FileError::content(&folder.join(RECORD), format!("not the record of a run: {error}"))
        })?;
        let record =
            Record { status: Status::Running, pid: std::process::id(), finished: None, argv, ..record };
        let run = Self { folder: folder.to_owned(), record };
        run.write()?;
        Ok(run)
    }

    /// A new run `<base>/<UTC time>-<preset>-<hash of the design>` that keeps its design, or the one to resume, whose
    /// design must be this one.
    ///
    /// # Errors
    /// [`FileError`] when the folder cannot be made or read, or holds a run of another design.
    pub fn of_design(
        base: &Path,
        preset: &str,
        design: &str,
        resume: Option<&Path>,
        now: SystemTime,
        argv: Vec<String>,
    ) -> Result<Self, FileError> {
        let Some(folder) = resume else {
            let name = format!("{preset}-{}", &files::sha256_hex(design.as_bytes())[..6]);
            let run = Self::start(base, &name, now, argv)?;
            files::write_atomic(&run.folder.join(DESIGN), design.as_bytes())?;
            return Ok(run);
        };
        if files::read_text(&folder.join(DESIGN))? != design {
            let problem = "made with another design; start a new run instead of resuming".to_owned();
            return Err(FileError::content(folder, problem));
        }
        // A run whose jobs were divided has had shards, but no process of its own.
        if !folder.join(RECORD).exists() {
            return Self::adopt(folder, now, argv);
        }
        Self::reopen(folder, argv)
    }

    /// Where it keeps its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Records how it went.
    ///
    /// # Errors
    /// [`FileError`] when the record cannot be written.
    pub fn finish(mut self, status: Status, now: SystemTime) -> Result<(), FileError> {
        (self.record.status, self.record.finished) = (status, Some(utc(now)));
        self.write()
    }

    fn write(&self) -> Result<(), FileError> {
        let json = serde_json::to_string_pretty(&self.record).expect("a record has only strings and numbers");
        files::write_atomic(&self.folder.join(RECORD), (json + "\n").as_bytes())
    }
}

/// `latest`, a symbolic link, or a text file where there are none. A convenience: its failure is none of the run's.
fn point_latest(base: &Path, id: &str) {
    let link = base.join("latest");
    let _ = std::fs::remove_file(&link);
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(id, &link).is_ok();
    #[cfg(not(unix))]
    let linked = false;
    if !linked {
        let _ = files::write_atomic(&base.join("LATEST"), id.as_bytes());
    }
}

/// UTC time as in the names of runs.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// assert_eq!(common::run::utc(UNIX_EPOCH + Duration::from_secs(951_782_400)), "20000229-000000");
/// ```
pub fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, second) = ((seconds / 86_400) as i64, seconds % 86_400);
    // Days to a civil date: Howard Hinnant, "chrono-compatible low-level date algorithms"; years begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_started_stopped_and_reopened() {
        let base = tempfile::tempdir().unwrap();
        let run = Run::start(base.path(), "quick-abc123", UNIX_EPOCH, vec!["x".to_owned()]).unwrap();
        let folder = run.folder().to_owned();
        assert!(folder.ends_with("19700101-000000-quick-abc123"));
        let record = |folder: &Path| {
            serde_json::from_str::<Record>(&files::read_text(&folder.join(RECORD)).unwrap()).unwrap()
        };
        assert_eq!(record(&base.path().join("latest")).status, Status::Running);
        run.finish(Status::Stopped, UNIX_EPOCH).unwrap();
        assert_eq!(record(&folder).status, Status::Stopped);
        Run::reopen(&folder, vec![]).unwrap().finish(Status::Complete, UNIX_EPOCH).unwrap();
        assert_eq!(record(&folder).finished.as_deref(), Some("19700101-000000"));
        let error = Run::reopen(base.path(), vec![]).unwrap_err().to_string();
        assert!(error.contains("no such file"), "{error}");
    }

    #[test]
    fn a_run_is_resumed_only_with_its_own_design() {
        let base = tempfile::tempdir().unwrap();
        let open = |design: &str, resume: Option<&Path>| {
            Run::of_design(base.path(), "quick", design, resume, UNIX_EPOCH, vec![])
        };
        let folder = open("{}", None).unwrap().folder().to_owned();
        assert!(folder.ends_with("19700101-000000-quick-44136f"), "{}", folder.display());
        assert_eq!(open("{}", Some(&folder)).unwrap().folder(), folder);
        std::fs::remove_file(folder.join(RECORD)).unwrap();
        assert_eq!(open("{}", Some(&folder)).unwrap().folder(), folder);
        let error = open("{1}", Some(&folder)).unwrap_err().to_string();
        assert!(error.ends_with("made with another design; start a new run instead of resuming"), "{error}");
    }
}
