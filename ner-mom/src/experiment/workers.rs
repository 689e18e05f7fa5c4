//! Runs jobs in worker processes, one libtorch each, and keeps every outcome on disk.
//!
//! Processes, not threads: libtorch has one random generator per process, so two runs in one process would
//! disturb each other's seeds.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context, Result, bail};
use common::files;
use common::nn::gemm;

use super::design::Job;
use super::outcome::Outcome;

/// How workers are started.
#[derive(Clone, Debug)]
pub struct Workers {
    /// Program and arguments that start one worker.
    pub command: Vec<String>,
    /// Number of processes.
    pub count: usize,
    /// Folder that keeps one JSON file per finished job.
    pub store: PathBuf,
}

/// What a worker answers to one job.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The job was carried out.
    Done(Box<Outcome>),
    /// The job could not be carried out, and why.
    Failed(String),
}

impl Workers {
    /// Outcomes of all jobs, in their order: those in the store are read, the others are run.
    /// `on_outcome` is told of each as it is there; it returns `false` to stop before the next job starts.
    ///
    /// # Errors
    /// A failed job, a worker that dies, an unwritable store; `None` entries do not occur then. When stopped
    /// early, the outcomes so far stay in the store and `Ok(None)` is returned.
    pub fn run(
        &self,
        jobs: &[Job],
        mut on_outcome: impl FnMut(&Job, &Outcome) -> bool,
    ) -> Result<Option<Vec<Outcome>>> {
        std::fs::create_dir_all(&self.store).with_context(|| format!("making {}", self.store.display()))?;
        let mut outcomes: HashMap<usize, Outcome> = HashMap::new();
        for (index, job) in jobs.iter().enumerate() {
            if let Some(outcome) = self.stored(job)? {
                outcomes.insert(index, outcome);
            }
        }
        let mut pending: VecDeque<usize> = (0..jobs.len()).filter(|i| !outcomes.contains_key(i)).collect();
        let (sender, receiver) = channel();
        let mut pool = Pool::default();
        while pool.len() < self.count && pool.len() < pending.len() {
            pool.start(&self.command, sender.clone())?;
        }
        let mut go_on = true;
        for worker in 0..pool.len() {
            pool.hand_out(worker, &mut pending, jobs)?;
        }
        while pool.busy() > 0 {
            let (worker, line) = receiver.recv().context("waiting for a worker")?;
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

    fn stored(&self, job: &Job) -> Result<Option<Outcome>> {
        let path = self.path(job);
        if !path.exists() {
            return Ok(None);
        }
        let text = files::read_text(&path)?;
        let outcome = serde_json::from_str(&text).with_context(|| {
            format!("{}: not an outcome of this version; remove the file", path.display())
        })?;
        Ok(Some(outcome))
    }

    fn accept(&self, job: &Job, line: Option<String>) -> Result<Outcome> {
        let what = || format!("{} {} seed {}", job.setting, job.arm, job.seed);
        let Some(line) = line else {
            bail!(
                "{}: the worker ended without an answer (killed, or out of memory); run again to resume",
                what()
            );
        };
        match serde_json::from_str(&line)
            .with_context(|| format!("{}: unreadable answer `{line}`", what()))?
        {
            Answer::Failed(problem) => bail!("{}: {problem}", what()),
            Answer::Done(outcome) => {
                files::write_atomic(&self.path(job), &serde_json::to_vec(&outcome)?)?;
                Ok(*outcome)
            }
        }
    }

    fn path(&self, job: &Job) -> PathBuf {
        self.store.join(format!("{}.json", job.key()))
    }
}

/// Serves jobs from standard input until it ends: one JSON job per line in, one [`Answer`] per line out.
///
/// # Errors
/// Broken pipes. A failing job is an answer, not an error.
pub fn serve(mut work: impl FnMut(&Job) -> Result<Outcome>) -> Result<()> {
    let mut output = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?).map_err(Into::into).and_then(|job| work(&job)) {
            Ok(outcome) => Answer::Done(Box::new(outcome)),
            Err(error) => Answer::Failed(format!("{error:#}")),
        };
        writeln!(output, "{}", serde_json::to_string(&answer)?)?;
        output.flush()?;
    }
    Ok(())
}

type Line = (usize, Option<String>);

#[derive(Default)]
struct Pool {
    workers: Vec<Worker>,
}

struct Worker {
    process: Child,
    job: Option<usize>,
}

impl Pool {
    fn len(&self) -> usize {
        self.workers.len()
    }

    fn busy(&self) -> usize {
        self.workers.iter().filter(|worker| worker.job.is_some()).count()
    }

    fn start(&mut self, command: &[String], sender: Sender<Line>) -> Result<()> {
        let mut process = Command::new(&command[0])
            .args(&command[1..])
            // Each worker would time the matrix libraries anew, and equal runs could get different bits.
            .env(gemm::VARIABLE, gemm::active().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting a worker with `{}`", command.join(" ")))?;
        let output = process.stdout.take().context("a worker's standard output")?;
        let number = self.workers.len();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send((number, Some(line))).is_err() {
                    return;
                }
            }
            let _ = sender.send((number, None)); // the receiver is gone when the pool is: nothing to tell
        });
        self.workers.push(Worker { process, job: None });
        Ok(())
    }

    fn hand_out(&mut self, worker: usize, pending: &mut VecDeque<usize>, jobs: &[Job]) -> Result<()> {
        let Some(index) = pending.pop_front() else { return Ok(()) };
        let worker = &mut self.workers[worker];
        let input = worker.process.stdin.as_mut().context("a worker's standard input")?;
        writeln!(input, "{}", serde_json::to_string(&jobs[index])?).context("handing a job to a worker")?;
        worker.job = Some(index);
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.process.kill(); // already ended, or nothing more can be done
            let _ = worker.process.wait();
        }
    }
}
