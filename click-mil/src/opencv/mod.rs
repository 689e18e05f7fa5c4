//! OpenCV as a second backend: its EdgeBoxes on the same edges, and its structured edges (Dollár and Zitnick 2013) from a model file.
//!
//! OpenCV is at work in a program of its own, `click-mil-opencv`, which the feature `opencv` builds beside the command: Debian's
//! OpenCV brings some 140 libraries, which the command would load at every start.

mod protocol;

use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use image::RgbImage;
use thiserror::Error;

use crate::edge_boxes::{Config, ConfigError, Proposal};
use crate::edges::{EdgeMap, EdgeMapError};
use crate::geometry::BoundingBox;
pub use protocol::{Job, Refusal, Reply, Request, read_reply, read_request, write_reply, write_request};

/// Name of the program.
pub const PROGRAM: &str = "click-mil-opencv";

/// OpenCV's program, started and waiting for work; it ends when this is dropped.
#[derive(Debug)]
pub struct OpenCv {
    program: PathBuf,
    child: Child,
    input: Option<BufWriter<ChildStdin>>,
    output: BufReader<ChildStdout>,
}

/// OpenCV's program cannot be had, or refuses.
#[derive(Debug, Error)]
pub enum OpenCvError {
    /// It does not start.
    #[error(
        "{program}: {problem}; `cargo build -p click-mil` makes it where OpenCV is installed (`cargo xtask setup`)",
        program = program.display()
    )]
    NoProgram {
        /// Where it was looked for.
        program: PathBuf,
        /// Why.
        problem: String,
    },
    /// It ended in the middle.
    #[error("{program} ended without an answer: {problem}", program = program.display())]
    Broken {
        /// The program.
        program: PathBuf,
        /// What was seen.
        problem: String,
    },
    /// OpenCV's own words.
    #[error("OpenCV: {0}")]
    Refused(String),
    /// A parameter.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What it answers makes no edge map.
    #[error("OpenCV's edges: {0}")]
    Edges(#[from] EdgeMapError),
}

impl OpenCv {
    /// Starts the program; with a structured-forest model (OpenCV's `model.yml.gz`) it can find edges too.
    ///
    /// # Errors
    /// [`OpenCvError::NoProgram`]; [`OpenCvError::Refused`] for a model that OpenCV cannot read.
    pub fn start(program: &Path, model: Option<&Path>) -> Result<Self, OpenCvError> {
        let wrong = |problem: String| OpenCvError::NoProgram { program: program.to_owned(), problem };
        let spawned = Command::new(program).args(model).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| wrong(error.to_string()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(wrong("no pipes".to_owned()));
        };
        let (input, output) = (Some(BufWriter::new(input)), BufReader::new(output));
        let mut started = Self { program: program.to_owned(), child, input, output };
        // The first answer comes without a question: the program is there and its model is read.
        started.answer()?;
        Ok(started)
    }

    /// OpenCV's proposals for an edge map, best first, without its shift of one pixel. OpenCV keeps coordinates within the image
    /// after the shift as before: none are lost by taking it back.
    ///
    /// # Errors
    /// [`OpenCvError`].
    pub fn propose(&mut self, edges: &EdgeMap, config: &Config) -> Result<Vec<Proposal>, OpenCvError> {
        config.validate()?;
        if edges.width() < 3 || edges.height() < 3 {
            return Ok(Vec::new());
        }
        let numbers = [edges.strength(), edges.orientation()].concat();
        let job = Job::Boxes { config: *config };
        let rows = self.ask(&Request { job, width: edges.width(), height: edges.height() }, &numbers)?;
        let proposal = |row: &[f32]| {
            let [x, y, w, h] = [row[0] - 1.0, row[1] - 1.0, row[2], row[3]].map(f64::from);
            Proposal { bbox: BoundingBox::new(x, y, x + w, y + h), score: row[4] }
        };
        Ok(rows.chunks_exact(5).map(proposal).collect())
    }

    /// Edges of an image by the structured forest, thinned by OpenCV along the normal.
    ///
    /// # Errors
    /// [`OpenCvError`]; a program that was started without a model refuses.
    pub fn structured_edges(&mut self, image: &RgbImage) -> Result<EdgeMap, OpenCvError> {
        let [width, height] = [image.width(), image.height()].map(|side| side as usize);
        let pixels: Vec<f32> = image.as_raw().iter().map(|&value| f32::from(value) / 255.0).collect();
        let mut both = self.ask(&Request { job: Job::Edges, width, height }, &pixels)?;
        let orientation = both.split_off(both.len() / 2);
        Ok(EdgeMap::new(width, height, both, orientation)?)
    }

    fn ask(&mut self, request: &Request, numbers: &[f32]) -> Result<Vec<f32>, OpenCvError> {
        let input = self.input.as_mut().expect("open until dropped");
        let written = write_request(input, request, numbers);
        written.map_err(|error| self.broken(error.to_string()))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Vec<f32>, OpenCvError> {
        match read_reply(&mut self.output) {
            Ok(Ok(numbers)) => Ok(numbers),
            Ok(Err(Refusal(problem))) => Err(OpenCvError::Refused(problem)),
            Err(error) => Err(self.broken(error.to_string())),
        }
    }

    fn broken(&mut self, problem: String) -> OpenCvError {
        OpenCvError::Broken { program: self.program.clone(), problem }
    }
}

impl Drop for OpenCv {
    fn drop(&mut self) {
        // The end of its input ends the program.
        self.input = None;
        let _ = self.child.wait();
    }
}
