//! `propose`: boxes that may hold an object.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use common::{interrupt, progress};
use image::RgbImage;
use serde_json::json;

use super::source::{EdgeBoxes, Machine, images};
use crate::edge_boxes::{self, Proposal, propose};
use crate::edges::EdgeMap;
use crate::opencv::{OpenCv, PROGRAM};
use crate::pipeline::read_image;

/// Options of `propose`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Images, or folders of images
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Proposals per image at most
    #[arg(long, default_value_t = 1000)]
    top: usize,
    /// Whose EdgeBoxes: both give the same boxes
    #[arg(long, value_enum, default_value = "own")]
    backend: Backend,
    /// Edges by OpenCV's structured forest, from its model file (model.yml.gz), instead of colour gradients
    #[arg(long, value_name = "FILE")]
    structured_edges: Option<PathBuf>,
    #[command(flatten)]
    edge_boxes: EdgeBoxes,
    #[command(flatten)]
    machine: Machine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Backend {
    /// Written here: the fast one
    Own,
    /// OpenCV's ximgproc, in a program of its own
    Opencv,
}

/// Edges and proposals by what was chosen.
struct Finder {
    opencv: Option<OpenCv>,
    structured: bool,
    backend: Backend,
    config: edge_boxes::Config,
}

impl Finder {
    fn new(arguments: &Arguments) -> Result<Self> {
        let config = arguments.edge_boxes.config()?;
        let (model, backend) = (arguments.structured_edges.as_deref(), arguments.backend);
        let opencv = match backend == Backend::Opencv || model.is_some() {
            true => Some(OpenCv::start(&beside()?, model)?),
            false => None,
        };
        Ok(Self { opencv, structured: model.is_some(), backend, config })
    }

    fn find(&mut self, image: &RgbImage) -> Result<Vec<Proposal>> {
        let edges = match &mut self.opencv {
            Some(opencv) if self.structured => opencv.structured_edges(image)?,
            _ => EdgeMap::of_image(image)?,
        };
        Ok(match &mut self.opencv {
            Some(opencv) if self.backend == Backend::Opencv => opencv.propose(&edges, &self.config)?,
            _ => propose(&edges, &self.config)?,
        })
    }
}

/// OpenCV's program lies beside this one.
fn beside() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program's folder")?;
    Ok(own.with_file_name(PROGRAM))
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    let mut finder = Finder::new(arguments)?;
    arguments.machine.open()?;
    let images = images(&arguments.images)?;
    let bar = progress::bar("proposals", images.len(), arguments.machine.quiet);
    let mut out = std::io::stdout().lock();
    let mut skipped = 0;
    for path in &images {
        if interrupt::asked() {
            bail!("stopped; the images printed so far are whole");
        }
        bar.inc(1);
        let image = match read_image(path) {
            Ok(image) => image,
            Err(error) => {
                eprintln!("warning: {error}; skipped");
                skipped += 1;
                continue;
            }
        };
        let (width, height) = (image.width(), image.height());
        let mut found = finder.find(&image).with_context(|| path.display().to_string())?;
        found.truncate(arguments.top);
        let rows: Vec<[f64; 5]> = found
            .iter()
            .map(|p| [p.bbox.x0, p.bbox.y0, p.bbox.x1, p.bbox.y1, (f64::from(p.score) * 1e6).round() / 1e6])
            .collect();
        writeln!(out, "{}", json!({"image": path, "width": width, "height": height, "proposals": rows}))?;
    }
    bar.finish_and_clear();
    if skipped == images.len() {
        bail!("none of the {skipped} images could be read");
    }
    Ok(ExitCode::SUCCESS)
}
