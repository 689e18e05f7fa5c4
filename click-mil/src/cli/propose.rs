//! `propose`: boxes that may hold an object.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use common::{interrupt, progress};
use serde_json::json;

use super::source::{EdgeBoxes, Machine, images};
use crate::pipeline::{proposals, read_image};

/// Options of `propose`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Images, or folders of images
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Proposals per image at most
    #[arg(long, default_value_t = 1000)]
    top: usize,
    #[command(flatten)]
    edge_boxes: EdgeBoxes,
    #[command(flatten)]
    machine: Machine,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    let config = arguments.edge_boxes.config()?;
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
        let found = read_image(path).and_then(|image| {
            let found = proposals(path, &image, &config, arguments.top)?;
            Ok((found, image.width(), image.height()))
        });
        let (found, width, height) = match found {
            Ok(found) => found,
            Err(error) => {
                eprintln!("warning: {error}; skipped");
                skipped += 1;
                continue;
            }
        };
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
