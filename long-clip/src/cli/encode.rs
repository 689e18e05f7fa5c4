//! `encode`.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;
use common::formats::{self, Lines};
use common::{interrupt, progress};

use super::shared::{Machine, ModelOptions, RulesName, TokenizerOptions};
use crate::array::ArrayFile;
use crate::data::{self, ImageFile};
use crate::encode::{self, BATCH_TOKENS, Encoded};

/// Options of `encode`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Texts, one per line; `.gz` too; `-` for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "images", conflicts_with = "images")]
    texts: Option<PathBuf>,
    /// Images: a file, or all below a folder in the order of their paths
    #[arg(long, value_name = "PATH")]
    images: Option<PathBuf>,
    /// Array of features, f32, rows of length 1; beside that of images their names are written as `.txt`
    #[arg(long, value_name = "FILE.npy")]
    out: PathBuf,
    /// Images that go through the model at once
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Whose preprocessing of images
    #[arg(long, value_enum, default_value = "openai")]
    preprocessing: RulesName,
    #[command(flatten)]
    tokenizer: TokenizerOptions,
    #[command(flatten)]
    machine: Machine,
}

/// Texts that are in memory at once.
const TEXTS_AT_ONCE: usize = 1 << 14;

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    let device = arguments.machine.open()?;
    let model = arguments.model.read(device)?.model;
    let width = model.config.embed_dim as usize;
    let mut out = ArrayFile::create(&arguments.out, width)?;
    let bar = progress::spinner("encoding", arguments.machine.quiet);
    if let Some(path) = &arguments.images {
        let files = if path.is_dir() { data::images_below(path)? } else { vec![path.clone()] };
        ensure!(!files.is_empty(), "{}: no images below it", path.display());
        let files: Vec<ImageFile> = files.into_iter().map(ImageFile::Path).collect();
        let (mut names, mut broken, mut failed) = (String::new(), 0, Ok(()));
        encode::images(&model, &files, arguments.batch, arguments.preprocessing.into(), |encoded| {
            match encoded {
                Encoded::Broken(_, error) => {
                    bar.suspend(|| eprintln!("skipped: {error}"));
                    broken += 1;
                }
                Encoded::Features(places, features) => {
                    places.iter().for_each(|&place| names.push_str(&format!("{}\n", files[place].name())));
                    failed = out.write(&features);
                    bar.inc(places.len() as u64);
                }
            }
            failed.is_ok() && !interrupt::asked()
        })?;
        failed?;
        if interrupt::asked() {
            return stopped();
        }
        ensure!(out.rows() > 0, "{}: none of {} images could be read", path.display(), files.len());
        common::files::write_atomic(&arguments.out.with_extension("txt"), names.as_bytes())?;
        if broken > 0 {
            eprintln!("{broken} of {} images could not be read", files.len());
        }
    } else if let Some(path) = &arguments.texts {
        let tokenizer =
            arguments.tokenizer.open(Some(&arguments.model.model), Some(model.config.text.vocabulary))?;
        let context = model.config.text.context_length as usize;
        let mut lines: Lines<Box<dyn BufRead>> = if path == Path::new("-") {
            Lines::new(Path::new("standard input"), Box::new(io::stdin().lock()))
        } else {
            formats::open(path)?
        };
        let (mut cut, mut all, mut more) = (0, 0, true);
        while more {
            let mut ids = Vec::new();
            while ids.len() < TEXTS_AT_ONCE {
                let Some((_, text)) = lines.next_line()? else {
                    more = false;
                    break;
                };
                let encoded = tokenizer.tokenize(text, context, arguments.tokenizer.specials());
                cut += usize::from(encoded.is_cut());
                ids.push(encoded.ids);
            }
            all += ids.len();
            match encode::texts(&model, &ids, BATCH_TOKENS, |_| !interrupt::asked())? {
                Some(features) => out.write(&features)?,
                None => return stopped(),
            }
            bar.inc(ids.len() as u64);
        }
        if cut > 0 {
            eprintln!("{cut} of {all} texts were cut at {context} tokens");
        }
    }
    bar.finish_and_clear();
    let rows = out.finish()?;
    println!("{}: {rows} × {width}", arguments.out.display());
    Ok(ExitCode::SUCCESS)
}

fn stopped() -> Result<ExitCode> {
    eprintln!("stopped; nothing was written");
    Ok(ExitCode::from(interrupt::EXIT_CODE))
}
