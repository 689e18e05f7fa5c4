//! `index` and `search`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use common::{files, interrupt, progress};
use serde::{Deserialize, Serialize};

use super::shared::{Machine, ModelOptions, RulesName, TokenizerOptions};
use crate::array::{ArrayFile, ArrayReader};
use crate::data::{self, ImageFile};
use crate::encode::{self, BATCH_TOKENS, Encoded};
use crate::gallery::{Gallery, Picture};
use crate::search::nearest;

/// Options of `index`.
#[derive(Debug, Args)]
pub(super) struct IndexArguments {
    /// Folder of images; those below it count too
    folder: PathBuf,
    #[command(flatten)]
    model: ModelOptions,
    /// Folder of the index
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Images that go through the model at once
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Whose preprocessing of images
    #[arg(long, value_enum, default_value = "openai")]
    preprocessing: RulesName,
    #[command(flatten)]
    machine: Machine,
}

/// Options of `search`.
#[derive(Debug, Args)]
pub(super) struct SearchArguments {
    /// Folder of the index
    index: PathBuf,
    /// Descriptions of any length
    #[arg(required = true)]
    texts: Vec<String>,
    #[command(flatten)]
    model: ModelOptions,
    /// Images that are found for each description
    #[arg(short, long, default_value_t = 10)]
    k: usize,
    /// Also write a page with the images
    #[arg(long, value_name = "FILE.html")]
    gallery: Option<PathBuf>,
    #[command(flatten)]
    tokenizer: TokenizerOptions,
    #[command(flatten)]
    machine: Machine,
}

const FEATURES: &str = "features.npy";
const DESCRIPTION: &str = "index.json";

/// What an index holds beside the features.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    /// Digest of the image tower's weights: features of another are not comparable.
    model: String,
    /// Paths of the images, row by row.
    images: Vec<PathBuf>,
}

/// Digest of the weights that make image features, and of the sizes.
fn digest(model: &crate::model::Clip) -> String {
    let named = common::nn::checkpoint::named(&model.store);
    let own = named.iter().filter(|(name, _)| name.starts_with("visual."));
    // The sums of each tensor tell weights apart without hashing gigabytes.
    let sums: Vec<(String, f64, f64)> = own
        .map(|(name, tensor)| {
            let tensor = tensor.detach();
            let sum = |tensor: tch::Tensor| tensor.sum(tch::Kind::Double).double_value(&[]);
            (name.clone(), sum(tensor.shallow_clone()), sum(tensor.abs()))
        })
        .collect();
    common::train::digest(&(&model.config.vision, model.config.embed_dim, sums))
}

pub(super) fn index(arguments: &IndexArguments) -> Result<ExitCode> {
    interrupt::listen();
    let device = arguments.machine.open()?;
    let paths = data::images_below(&arguments.folder)?;
    ensure!(
        !paths.is_empty(),
        "{}: no images below it; expected PNG, JPEG, WebP, GIF or BMP files",
        arguments.folder.display()
    );
    let model = arguments.model.read(device)?.model;
    files::make_folder(&arguments.out)?;
    let mut features = ArrayFile::create(&arguments.out.join(FEATURES), model.config.embed_dim as usize)?;
    let bar = progress::bar("encoding", paths.len(), arguments.machine.quiet);
    let sources: Vec<ImageFile> = paths.iter().cloned().map(ImageFile::Path).collect();
    let (mut images, mut broken, mut failed) = (Vec::new(), 0, Ok(()));
    encode::images(&model, &sources, arguments.batch, arguments.preprocessing.into(), |encoded| {
        match encoded {
            Encoded::Broken(_, error) => {
                bar.suspend(|| eprintln!("skipped: {error}"));
                broken += 1;
            }
            Encoded::Features(places, rows) => {
                images.extend(places.iter().map(|&place| paths[place].clone()));
                failed = features.write(&rows);
                bar.inc(places.len() as u64);
            }
        }
        failed.is_ok() && !interrupt::asked()
    })?;
    failed?;
    bar.finish_and_clear();
    if interrupt::asked() {
        eprintln!("stopped; the index was not written");
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    ensure!(
        !images.is_empty(),
        "{}: none of {} images could be read",
        arguments.folder.display(),
        paths.len()
    );
    let rows = features.finish()?;
    let description = Description { model: digest(&model), images };
    files::write_atomic(&arguments.out.join(DESCRIPTION), &serde_json::to_vec(&description)?)?;
    println!("{}: {rows} images, {broken} skipped", arguments.out.display());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn search(arguments: &SearchArguments) -> Result<()> {
    ensure!(arguments.k > 0, "--k is 0, expected at least 1");
    let device = arguments.machine.open()?;
    let path = arguments.index.join(DESCRIPTION);
    let description: Description = serde_json::from_str(&files::read_text(&path)?)
        .with_context(|| format!("{}: not an index of `long-clip index`", path.display()))?;
    let features = ArrayReader::open(&arguments.index.join(FEATURES))?;
    ensure!(
        features.rows() == description.images.len(),
        "{}: {} names and {} rows of features; make the index again",
        arguments.index.display(),
        description.images.len(),
        features.rows()
    );
    let model = arguments.model.read(device)?.model;
    ensure!(
        digest(&model) == description.model,
        "{}: made with another image tower than {}; make the index again with this model",
        arguments.index.display(),
        arguments.model.model.display()
    );
    let tokenizer =
        arguments.tokenizer.open(Some(&arguments.model.model), Some(model.config.text.vocabulary))?;
    let context = model.config.text.context_length as usize;
    let encoded: Vec<_> = (arguments.texts.iter())
        .map(|text| tokenizer.tokenize(text, context, arguments.tokenizer.specials()))
        .collect();
    for (text, encoded) in arguments.texts.iter().zip(&encoded) {
        ensure!(encoded.ids.len() > 2, "`{text}`: an empty description; say what the image shows");
        if encoded.is_cut() {
            eprintln!(
                "cut at {context} of {} tokens; `stretch` makes a model that reads more",
                encoded.whole
            );
        }
    }
    let ids: Vec<Vec<i64>> = encoded.into_iter().map(|encoded| encoded.ids).collect();
    let queries = encode::texts(&model, &ids, BATCH_TOKENS, |_| true)?.context("nothing stops it")?;
    let found = nearest(&queries, &features, arguments.k)?;
    let mut gallery = Gallery::default();
    for (text, hits) in arguments.texts.iter().zip(&found) {
        for (rank, (row, score)) in hits.iter().enumerate() {
            println!("{}\t{score:.4}\t{}", rank + 1, description.images[*row].display());
        }
        if arguments.texts.len() > 1 {
            println!();
        }
        let picture =
            |(row, score): &(usize, f32)| Picture { path: description.images[*row].clone(), score: *score };
        gallery.add(text, hits.iter().map(picture).collect());
    }
    if let Some(path) = &arguments.gallery {
        let broken = gallery.write(path)?;
        broken.iter().for_each(|name| eprintln!("not on the page: {name}"));
        eprintln!("{}", path.display());
    }
    Ok(())
}
