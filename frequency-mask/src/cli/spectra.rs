//! `spectrum`: average spectra of two folders.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use common::files;

use super::masks::{inputs, write_grey};
use crate::augment::centre;
use crate::data::read_picture;
use crate::spectrum::{AverageSpectrum, picture};

/// Options of `spectrum`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folder of photographs, or one picture
    real: PathBuf,
    /// Folder of generated pictures, or one picture
    fake: PathBuf,
    /// Folder for `real.png`, `fake.png`, `difference.png` and `spectrum.csv`
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Side of the square in the middle of each picture that is transformed; smaller pictures are left out
    #[arg(long, default_value_t = 128)]
    side: u32,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.side < 8 {
        bail!("--side {}: expected 8 or more pixels", arguments.side);
    }
    let real = average(&arguments.real, arguments.side)?;
    let fake = average(&arguments.fake, arguments.side)?;
    let (a, b) = (real.values(), fake.values());
    let all = || a.iter().chain(&b).flatten().copied();
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    let difference: Vec<Vec<f64>> =
        a.iter().zip(&b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| b - a).collect()).collect();
    let largest = difference.iter().flatten().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    files::make_folder(&arguments.out)?;
    write_grey(&picture(&a, low, high), &arguments.out.join("real.png"))?;
    write_grey(&picture(&b, low, high), &arguments.out.join("fake.png"))?;
    write_grey(&picture(&difference, -largest, largest), &arguments.out.join("difference.png"))?;
    files::write_atomic(&arguments.out.join("spectrum.csv"), table(&a, &b).as_bytes())?;
    println!("real: {} pictures, peaks {:.3}", real.count(), real.peaks());
    println!("fake: {} pictures, peaks {:.3}", fake.count(), fake.peaks());
    println!("{}", arguments.out.display());
    Ok(ExitCode::SUCCESS)
}

fn average(path: &Path, side: u32) -> Result<AverageSpectrum> {
    let mut spectrum = AverageSpectrum::new(side, side);
    let files = inputs(&[path.to_owned()])?;
    let mut small = 0;
    for (file, _) in &files {
        match read_picture(file) {
            Ok(picture) if picture.width() >= side && picture.height() >= side => {
                spectrum.add(&centre(&picture, side))
            }
            Ok(_) => small += 1,
            Err(error) => eprintln!("warning: {error}; left out"),
        }
    }
    if small > 0 {
        eprintln!(
            "warning: {}: {small} of {} pictures are smaller than {side} pixels; left out",
            path.display(),
            files.len()
        );
    }
    if spectrum.count() == 0 {
        bail!(
            "{}: no readable picture of at least {side} x {side} pixels; try a smaller --side",
            path.display()
        );
    }
    Ok(spectrum)
}

fn table(real: &[Vec<f64>], fake: &[Vec<f64>]) -> String {
    let mut out = String::from("row,column,real,fake\n");
    for (row, (real, fake)) in real.iter().zip(fake).enumerate() {
        for (column, (real, fake)) in real.iter().zip(fake).enumerate() {
            out.push_str(&format!("{row},{column},{real},{fake}\n"));
        }
    }
    out
}
