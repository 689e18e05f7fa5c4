//! A session of clicking: which object of which image is next, what was answered, and the test before it.
//!
//! Everything is on disk after each answer: the clicks as CSV, and beside them the session with what the CSV has no place for
//! (classes that are not there, times, the qualification). A session goes on where it was, whatever ended it.

mod polygon;
pub mod server;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use common::files::{self, FileError};
use common::seed;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::formats::FormatError;
use crate::formats::clicks::{self, Click};
use crate::geometry::Point;
pub use polygon::Polygon;

/// An image that is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Its id in the clicks.
    pub id: String,
    /// The file.
    pub file: PathBuf,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// A class that is looked for in an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Place of the image.
    pub image: usize,
    /// Name of the class.
    pub class: String,
}

/// What an annotator said.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The centre of an object, in pixels of the image.
    Click {
        /// From the left.
        x: f64,
        /// From above.
        y: f64,
        /// How long it took.
        time_ms: u32,
    },
    /// The class is not in the image.
    Absent {
        /// How long it took.
        time_ms: u32,
    },
}

/// A click of the qualification: what it was on and how far off it was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Area of the polygon's box in square pixels.
    pub area: f64,
    /// Click less centre.
    pub error: [f64; 2],
    /// How long it took.
    pub time_ms: u32,
}

/// The test on polygons whose centres are known, before the first image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Qualification {
    /// Polygons per round; 0 leaves the test out.
    pub polygons: usize,
    /// Greatest mean distance of a round that passes, in pixels.
    pub limit_px: f64,
    /// Seed of the polygons.
    pub seed: u64,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// A polygon of the qualification, by its number.
    Polygon(usize, Polygon),
    /// A class in an image, by the place of the task.
    Task(usize),
    /// Nothing.
    Done,
}

/// A session that is written down.
#[derive(Debug)]
pub struct Session {
    images: Vec<Shown>,
    tasks: Vec<Task>,
    answers: Vec<Option<Answer>>,
    /// Tasks in the order in which they were answered.
    history: Vec<usize>,
    trials: Vec<Trial>,
    qualification: Qualification,
    annotator: u32,
    clicks: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    schema: u32,
    annotator: u32,
    trials: Vec<Trial>,
    answers: Vec<WrittenAnswer>,
}

#[derive(Serialize, Deserialize)]
struct WrittenAnswer {
    image: String,
    class: String,
    answer: Answer,
}

/// A session that cannot go on.
#[derive(Debug, Error)]
pub enum SessionError {
    /// Its files.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its clicks.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Something else stands where it would write.
    #[error("{path}: {problem}", path = path.display())]
    Taken {
        /// The file.
        path: PathBuf,
        /// What it is and what to do.
        problem: String,
    },
    /// An answer to something that is not asked.
    #[error("task {found} is not the one that is shown ({expected}); was another page left open?")]
    Stale {
        /// Answered.
        found: String,
        /// Asked.
        expected: String,
    },
    /// A click outside.
    #[error("({x}, {y}) lies outside {width}×{height} pixels")]
    Outside {
        /// From the left.
        x: f64,
        /// From above.
        y: f64,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
}

impl Session {
    /// Begins a session that writes clicks to a CSV file, or goes on with the one written there.
    ///
    /// # Errors
    /// [`SessionError::Taken`] for clicks without a session beside them, of another annotator, or a broken session: nothing is
    /// overwritten.
    pub fn open(
        images: Vec<Shown>,
        tasks: Vec<Task>,
        qualification: Qualification,
        annotator: u32,
        clicks: &Path,
    ) -> Result<Self, SessionError> {
        let answers = vec![None; tasks.len()];
        let clicks = clicks.to_owned();
        let (history, trials) = (Vec::new(), Vec::new());
        let mut session = Self { images, tasks, answers, history, trials, qualification, annotator, clicks };
        let path = session.path();
        if !path.exists() {
            if session.clicks.exists() {
                let problem = "there already, without a session beside it; give another name".to_owned();
                return Err(SessionError::Taken { path: session.clicks, problem });
            }
            return Ok(session);
        }
        let taken = |problem: String| SessionError::Taken { path: path.clone(), problem };
        let written: Written = serde_json::from_str(&files::read_text(&path)?)
            .map_err(|error| taken(format!("not a session of this version: {error}; give another name")))?;
        if written.annotator != annotator {
            let problem =
                format!("the session of annotator {}; give another name or --annotator", written.annotator);
            return Err(taken(problem));
        }
        session.take_up(written);
        Ok(session)
    }

    /// Takes over answers to tasks that are still asked.
    fn take_up(&mut self, written: Written) {
        let places: HashMap<(&str, &str), usize> = self
            .tasks
            .iter()
            .enumerate()
            .map(|(place, task)| ((&*self.images[task.image].id, &*task.class), place))
            .collect();
        for WrittenAnswer { image, class, answer } in &written.answers {
            if let Some(&place) = places.get(&(&**image, &**class)) {
                self.answers[place] = Some(*answer);
                self.history.push(place);
            }
        }
        self.trials = written.trials;
    }

    /// File beside the clicks.
    fn path(&self) -> PathBuf {
        self.clicks.with_extension("session.json")
    }

    /// Images that are shown.
    pub fn images(&self) -> &[Shown] {
        &self.images
    }

    /// A task by its place.
    pub fn task(&self, place: usize) -> &Task {
        &self.tasks[place]
    }

    /// Tasks that are answered, and all.
    pub fn progress(&self) -> [usize; 2] {
        [self.answers.iter().flatten().count(), self.tasks.len()]
    }

    /// Trials of the qualification so far.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Mean distance of the last whole round of the qualification, in pixels.
    pub fn last_round(&self) -> Option<f64> {
        let n = self.qualification.polygons;
        let rounds = self.trials.len().checked_div(n)?;
        let last = self.trials.get(rounds.checked_sub(1)? * n..rounds * n)?;
        Some(last.iter().map(|trial| trial.error[0].hypot(trial.error[1])).sum::<f64>() / n as f64)
    }

    /// Mean distance of the round of the qualification that has just ended, in pixels; `None` within a round.
    pub fn ended_round(&self) -> Option<f64> {
        let n = self.qualification.polygons;
        self.last_round().filter(|_| n > 0 && self.trials.len().is_multiple_of(n))
    }

    fn is_qualified(&self) -> bool {
        let n = self.qualification.polygons;
        n == 0
            || (self.trials.len().is_multiple_of(n)
                && self.last_round().is_some_and(|mean| mean <= self.qualification.limit_px))
    }

    /// What is shown now.
    pub fn next(&self) -> Next {
        if !self.is_qualified() {
            let number = self.trials.len();
            let mut rng = seed::rng(self.qualification.seed, "polygon", number as u64);
            return Next::Polygon(number, Polygon::draw(&mut rng));
        }
        match self.answers.iter().position(Option::is_none) {
            Some(place) => Next::Task(place),
            None => Next::Done,
        }
    }

    /// Takes a click on the polygon shown and returns its centre.
    ///
    /// # Errors
    /// [`SessionError`]; the session stays as it was.
    pub fn try_out(&mut self, number: usize, point: Point, time_ms: u32) -> Result<Point, SessionError> {
        let Next::Polygon(expected, polygon) = self.next() else {
            return Err(SessionError::Stale {
                found: format!("polygon {number}"),
                expected: "an image".into(),
            });
        };
        if number != expected {
            let [found, expected] = [number, expected].map(|number| format!("polygon {number}"));
            return Err(SessionError::Stale { found, expected });
        }
        inside(point, polygon::WIDTH, polygon::HEIGHT)?;
        let centre = polygon.bounds().centre();
        let error = [point.x - centre.x, point.y - centre.y];
        self.trials.push(Trial { area: polygon.bounds().area(), error, time_ms });
        self.save().inspect_err(|_| {
            self.trials.pop();
        })?;
        Ok(centre)
    }

    /// Takes the answer to the task shown.
    ///
    /// # Errors
    /// [`SessionError`]; the session stays as it was.
    pub fn answer(&mut self, place: usize, answer: Answer) -> Result<(), SessionError> {
        match self.next() {
            Next::Task(expected) if expected == place => {}
            next => return Err(SessionError::Stale { found: place.to_string(), expected: shown(&next) }),
        }
        if let Answer::Click { x, y, .. } = answer {
            let image = &self.images[self.tasks[place].image];
            inside(Point { x, y }, image.width, image.height)?;
        }
        self.answers[place] = Some(answer);
        self.history.push(place);
        self.save().inspect_err(|_| {
            self.history.pop();
            self.answers[place] = None;
        })
    }

    /// Takes the last answer back; false where there is none.
    ///
    /// # Errors
    /// [`SessionError::File`]; the answer stays then.
    pub fn undo(&mut self) -> Result<bool, SessionError> {
        let Some(place) = self.history.pop() else { return Ok(false) };
        let answer = self.answers[place].take();
        self.save().inspect_err(|_| {
            self.answers[place] = answer;
            self.history.push(place);
        })?;
        Ok(true)
    }

    fn save(&self) -> Result<(), SessionError> {
        let mut written = Written {
            schema: 1,
            annotator: self.annotator,
            trials: self.trials.clone(),
            answers: Vec::with_capacity(self.history.len()),
        };
        let mut all = Vec::new();
        for &place in &self.history {
            let Task { image, class } = &self.tasks[place];
            let image = self.images[*image].id.clone();
            let answer = self.answers[place].expect("history holds answered tasks");
            if let Answer::Click { x, y, time_ms } = answer {
                let (image, class) = (image.clone(), class.clone());
                all.push(Click { image, class, annotator: self.annotator, x, y, time_ms: Some(time_ms) });
            }
            written.answers.push(WrittenAnswer { image, class: class.clone(), answer });
        }
        let json = serde_json::to_vec_pretty(&written).expect("finite numbers");
        // The session comes first: clicks without it would be refused at the next start.
        files::write_atomic(&self.path(), &json)?;
        Ok(clicks::write(&self.clicks, &all)?)
    }
}

fn inside(Point { x, y }: Point, width: u32, height: u32) -> Result<(), SessionError> {
    match (0.0..=f64::from(width)).contains(&x) && (0.0..=f64::from(height)).contains(&y) {
        true => Ok(()),
        false => Err(SessionError::Outside { x, y, width, height }),
    }
}

fn shown(next: &Next) -> String {
    match next {
        Next::Polygon(number, _) => format!("polygon {number}"),
        Next::Task(place) => place.to_string(),
        Next::Done => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(folder: &Path, polygons: usize) -> Result<Session, SessionError> {
        let image = |id: &str| Shown { id: id.into(), file: PathBuf::new(), width: 40, height: 30 };
        let tasks =
            [(0, "cat"), (0, "dog"), (1, "cat")].map(|(image, class)| Task { image, class: class.into() });
        let qualification = Qualification { polygons, limit_px: 5.0, seed: 1 };
        Session::open(vec![image("a"), image("b")], tasks.into(), qualification, 3, &folder.join("c.csv"))
    }

    fn click(x: f64) -> Answer {
        Answer::Click { x, y: 7.0, time_ms: 900 }
    }

    #[test]
    fn answers_are_on_disk_at_once_and_a_new_session_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = session(folder.path(), 0).unwrap();
        assert_eq!(first.next(), Next::Task(0));
        first.answer(0, click(5.0)).unwrap();
        first.answer(1, Answer::Absent { time_ms: 700 }).unwrap();
        drop(first);
        let read = clicks::read(&folder.path().join("c.csv")).unwrap();
        assert_eq!((read.len(), read[0].x, read[0].annotator, read[0].time_ms), (1, 5.0, 3, Some(900)));
        let mut second = session(folder.path(), 0).unwrap();
        assert_eq!((second.next(), second.progress()), (Next::Task(2), [2, 3]));
        assert!(second.undo().unwrap() && second.undo().unwrap() && !second.undo().unwrap());
        assert_eq!(second.next(), Next::Task(0));
        assert!(clicks::read(&folder.path().join("c.csv")).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_asked_is_refused_and_nothing_changes() {
        let folder = tempfile::tempdir().unwrap();
        let mut session = session(folder.path(), 0).unwrap();
        assert!(matches!(session.answer(1, click(5.0)), Err(SessionError::Stale { .. })));
        assert!(matches!(session.answer(0, click(41.0)), Err(SessionError::Outside { .. })));
        assert_eq!((session.next(), session.progress()), (Next::Task(0), [0, 3]));
    }

    #[test]
    fn the_test_is_passed_by_near_clicks_only() {
        let folder = tempfile::tempdir().unwrap();
        let mut session = session(folder.path(), 2).unwrap();
        let mut round = |off: f64| {
            for _ in 0..2 {
                let Next::Polygon(number, polygon) = session.next() else { panic!("a polygon") };
                let centre = polygon.bounds().centre();
                let found = session.try_out(number, Point { x: centre.x + off, y: centre.y }, 800).unwrap();
                assert_eq!(found, centre);
            }
            (session.next(), session.last_round().unwrap())
        };
        let (next, mean) = round(9.0);
        assert!(matches!(next, Next::Polygon(2, _)) && (mean - 9.0).abs() < 1e-9);
        assert_eq!(round(2.0).0, Next::Task(0));
    }

    #[test]
    fn clicks_of_somebody_else_are_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("c.csv"), "image,class,annotator,x,y\n").unwrap();
        let error = session(folder.path(), 0).unwrap_err().to_string();
        assert!(
            error.ends_with("c.csv: there already, without a session beside it; give another name"),
            "{error}"
        );
        std::fs::write(folder.path().join("c.session.json"), "{").unwrap();
        assert!(session(folder.path(), 0).unwrap_err().to_string().contains("not a session of this version"));
    }
}
