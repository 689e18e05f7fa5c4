//! Jobs in worker processes, every outcome kept on disk: what was done once is read, not done again.
//!
//! Processes, not threads: libtorch has one random generator per process, so two runs in one process would disturb
//! each other's seeds.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::files::{self, FileError};

/// Something to do, which gives the same outcome every time.
pub trait Job: Serialize + DeserializeOwned {
    /// What it gives.
    type Outcome: Serialize + DeserializeOwned;

    /// Few words that tell a reader which job this is.
    fn describe(&self) -> String;

    /// Name of the job's file: equal jobs, equal names.
    fn key(&self) -> String {
        // A job is made of strings, numbers and names, so its JSON cannot fail; were it to, no file has this name.
        files::sha256_hex(&serde_json::to_vec(self).unwrap_or_default())[..16].to_owned()
    }
}

/// How workers are started.
#[derive(Clone, Debug)]
pub struct Workers {
    /// Program and arguments that start one worker.
    pub command: Vec<String>,
    /// Variables set for each worker.
    pub variables: Vec<(String, String)>,
    /// Number of processes.
    pub count: usize,
    /// Folder that keeps one JSON file per finished job.
    pub store: PathBuf,
}

/// What a worker answers to one job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer<O> {
    /// The job was carried out.
    Done(Box<O>),
    /// The job could not be carried out, and why.
    Failed(String),
}

/// Jobs that could not be carried out.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The store.
    #[error(transparent)]
    File(#[from] FileError),
    /// A stored outcome of another version.
    #[error("{path}: not an outcome of this version; remove the file", path = path.display())]
    Stored {
        /// The file.
        path: PathBuf,
    },
    /// A worker that could not be started or spoken to.
    #[error("a worker (`{command}`): {source}")]
    Pipe {
        /// How it was started.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// A job that failed.
    #[error("{job}: {problem}")]
    Job {
        /// Which one.
        job: String,
        /// Why.
        problem: String,
    },
}

impl Workers {
    /// Outcomes of all jobs, in their order: those in the store are read, the others are run.
    /// `on_outcome` is told of each as it is there; it returns `false` to stop before the next job starts.
    ///
    /// # Errors
    /// A failed job, a worker that dies, an unwritable store. When stopped early, the outcomes so far stay in the
    /// store and `Ok(None)` is returned.
    pub fn run<J: Job>(
        &self,
        jobs: &[J],
        mut on_outcome: impl FnMut(&J, &J::Outcome) -> bool,
    ) -> Result<Option<Vec<J::Outcome>>, WorkerError> {
        files::make_folder(&self.store)?;
        let mut outcomes: HashMap<usize, J::Outcome> = HashMap::new();
        for (index, job) in jobs.iter().enumerate() {
            if let Some(outcome) = stored(&self.path(job))? {
                outcomes.insert(index, outcome);
            }
        }
        let mut pending: VecDeque<usize> = (0..jobs.len()).filter(|i| !outcomes.contains_key(i)).collect();
        let (sender, receiver) = channel();
        let mut pool = Pool { setup: self, workers: Vec::new() };
        while pool.workers.len() < self.count && pool.workers.len() < pending.len() {
            pool.start(sender.clone())?;
        }
        for worker in 0..pool.workers.len() {
            pool.hand_out(worker, &mut pending, jobs)?;
        }
        let mut go_on = true;
        while pool.is_busy() {
            // The pool holds a sender for as long as it lives.
            let Ok((worker, line)) = receiver.recv() else { break };
            let Some(index) = pool.workers[worker].job.take() else { continue };
            let outcome = self.accept(&jobs[index], line)?;
            go_on &= on_outcome(&jobs[index], &outcome);
            outcomes.insert(index, outcome);
            if go_on {
                pool.hand_out(worker, &mut pending, jobs)?;
            }
        }
        if outcomes.len() < jobs.len() {
            return Ok(None);
        }
        Ok(Some((0..jobs.len()).filter_map(|index| outcomes.remove(&index)).collect()))
    }

    /// Whether the store has the outcome of a job.
    pub fn has(&self, job: &impl Job) -> bool {
        self.path(job).is_file()
    }

    fn accept<J: Job>(&self, job: &J, line: Option<String>) -> Result<J::Outcome, WorkerError> {
        let fail = |problem: String| WorkerError::Job { job: job.describe(), problem };
        let line = line.ok_or_else(|| {
            fail(
                "the worker ended without an answer (killed, or out of memory); run again to resume"
                    .to_owned(),
            )
        })?;
        match serde_json::from_str(&line) {
            Err(error) => Err(fail(format!("unreadable answer `{line}`: {error}"))),
            Ok(Answer::Failed(problem)) => Err(fail(problem)),
            Ok(Answer::Done(outcome)) => {
                let json = serde_json::to_vec(&outcome).map_err(|error| fail(error.to_string()))?;
                files::write_atomic(&self.path(job), &json)?;
                Ok(*outcome)
            }
        }
    }

    fn path(&self, job: &impl Job) -> PathBuf {
        self.store.join(format!("{}.json", job.key()))
    }
}

fn stored<O: DeserializeOwned>(path: &Path) -> Result<Option<O>, WorkerError> {
    if !path.exists() {
        return Ok(None);
    }
    let outcome = serde_json::from_str(&files::read_text(path)?);
    outcome.map(Some).map_err(|_| WorkerError::Stored { path: path.to_owned() })
}

/// Serves jobs until `input` ends: one JSON job per line in, one answer per line out. A failing job is an answer, not
/// an error.
///
/// # Errors
/// Broken pipes.
pub fn serve<J: Job>(
    input: impl BufRead,
    mut output: impl Write,
    mut work: impl FnMut(&J) -> Result<J::Outcome, String>,
) -> io::Result<()> {
    for line in input.lines() {
        let job = serde_json::from_str::<J>(&line?).map_err(|error| error.to_string());
        let answer = match job.and_then(|job| work(&job)) {
            Ok(outcome) => Answer::Done(Box::new(outcome)),
            Err(problem) => Answer::Failed(problem),
        };
        writeln!(output, "{}", serde_json::to_string(&answer)?)?;
        output.flush()?;
    }
    Ok(())
}

type Line = (usize, Option<String>);

struct Pool<'a> {
    setup: &'a Workers,
    workers: Vec<Worker>,
}

struct Worker {
    process: Child,
    job: Option<usize>,
}

impl Pool<'_> {
    fn is_busy(&self) -> bool {
        self.workers.iter().any(|worker| worker.job.is_some())
    }

    fn broken(&self, source: io::Error) -> WorkerError {
        WorkerError::Pipe { command: self.setup.command.join(" "), source }
    }

    fn start(&mut self, sender: Sender<Line>) -> Result<(), WorkerError> {
        let mut process = Command::new(&self.setup.command[0])
            .args(&self.setup.command[1..])
            .envs(self.setup.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| self.broken(source))?;
        let output = process.stdout.take();
        let number = self.workers.len();
        thread::spawn(move || {
            let lines = output.into_iter().flat_map(|output| BufReader::new(output).lines());
            for line in lines.map_while(Result::ok) {
                if sender.send((number, Some(line))).is_err() {
                    return;
                }
            }
            let _ = sender.send((number, None)); // the receiver is gone when the pool is: nothing to tell
        });
        self.workers.push(Worker { process, job: None });
        Ok(())
    }

    fn hand_out<J: Job>(
        &mut self,
        worker: usize,
        pending: &mut VecDeque<usize>,
        jobs: &[J],
    ) -> Result<(), WorkerError> {
        let Some(index) = pending.pop_front() else { return Ok(()) };
        let line = serde_json::to_string(&jobs[index]).map_err(io::Error::from);
        let input =
            self.workers[worker].process.stdin.as_mut().ok_or(io::Error::from(io::ErrorKind::BrokenPipe));
        let written = line.and_then(|line| writeln!(input?, "{line}"));
        written.map_err(|source| self.broken(source))?;
        self.workers[worker].job = Some(index);
        Ok(())
    }
}

impl Drop for Pool<'_> {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.process.kill(); // already ended, or nothing more can be done
            let _ = worker.process.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Double(u32);

    impl Job for Double {
        type Outcome = u32;

        fn describe(&self) -> String {
            format!("double {}", self.0)
        }
    }

    fn shell(script: &str, store: &Path) -> Workers {
        let command = ["sh", "-c", script].map(str::to_owned).into();
        Workers { command, variables: vec![], count: 2, store: store.to_owned() }
    }

    #[test]
    fn a_served_job_is_answered_and_a_bad_one_too() {
        let mut answers = Vec::new();
        let work = |job: &Double| if job.0 == 3 { Err("three".to_owned()) } else { Ok(2 * job.0) };
        serve("2\n3\nx\n".as_bytes(), &mut answers, work).unwrap();
        let answers = String::from_utf8(answers).unwrap();
        assert!(
            answers.starts_with("{\"done\":4}\n{\"failed\":\"three\"}\n{\"failed\":\"expected"),
            "{answers}"
        );
    }

    #[test]
    fn outcomes_come_in_the_order_of_the_jobs_and_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let workers =
            shell("while read n; do echo \"{\\\"done\\\":$((n * 2))}\"; done", &folder.path().join("jobs"));
        let jobs = [1, 2, 3, 4, 5].map(Double);
        assert_eq!(workers.run(&jobs, |_, _| true).unwrap().unwrap(), [2, 4, 6, 8, 10]);
        let dead = shell("exit 1", &folder.path().join("jobs"));
        assert_eq!(dead.run(&jobs, |_, _| true).unwrap().unwrap(), [2, 4, 6, 8, 10]);
    }

    #[test]
    fn a_stop_keeps_what_is_done_and_a_dead_worker_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let workers = shell("while read n; do echo \"{\\\"done\\\":$n}\"; done", folder.path());
        assert!(workers.run(&[1, 2, 3, 4].map(Double), |_, _| false).unwrap().is_none());
        let error = shell("exit 1", folder.path()).run(&[Double(9)], |_, _| true).unwrap_err().to_string();
        assert!(error.contains("double 9: the worker ended") || error.contains("a worker (`sh"), "{error}");
    }
}
