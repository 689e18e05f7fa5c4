//! What surrounds an experiment: what its binary knows and it does not.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Report, SCHEMA};
use crate::claims::Paper;
use crate::environment;

/// What the binary knows and the experiment does not.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// Command that was typed.
    pub command: String,
    /// Folder of the workspace, for commit and lock file.
    pub workspace: PathBuf,
    /// Data root.
    pub data: PathBuf,
    /// Data sets that were missing, for which something generated stood in.
    pub generated: Vec<String>,
    /// Facts about libtorch and the device.
    pub device: BTreeMap<String, String>,
    /// Worker processes.
    pub workers: usize,
    /// Wall time of this invocation, in seconds; jobs taken from the store are not in it.
    pub wall_s: f64,
    /// What repeating one job gave.
    pub repeat_check: String,
}

impl Circumstances {
    /// A report that says where and of what it is, with nothing found yet.
    pub fn frame(&self, experiment: &str, preset: &str, paper: &Paper) -> Report {
        let mut environment = environment::capture(&self.workspace);
        environment.extend(self.device.clone());
        Report {
            schema: SCHEMA,
            experiment: experiment.to_owned(),
            preset: preset.to_owned(),
            headline: String::new(),
            paper: paper.clone(),
            summary: vec![],
            claims: vec![],
            setup: vec![],
            deviations: vec![],
            sections: vec![],
            compute: BTreeMap::new(),
            environment,
            data: vec![],
            determinism: BTreeMap::new(),
            command: self.command.clone(),
            limits: vec![],
        }
    }
}
