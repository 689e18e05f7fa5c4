//! `evaluate`: retrieval both ways, zero-shot classification, effective length.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use common::{files, interrupt, progress, seed};
use serde::Serialize;
use tch::{Kind, Tensor};

use super::shared::{Machine, ModelOptions, RulesName, TokenizerOptions};
use crate::data::{self, Collection, ImageFile, Item, Reading};
use crate::encode::{self, BATCH_TOKENS, Encoded};
use crate::model::Clip;
use crate::preprocess::Rules;
use crate::retrieval::{Ranks, classifier, ranks, recall_at, recall_interval};
use crate::tokenizer::{Specials, Tokenizer};

/// A collection of images with captions.
#[derive(Debug, Args)]
pub(super) struct SourceOptions {
    /// COCO, Karpathy or ShareGPT4V `.json`, `.jsonl`, `.csv`, `.tsv`, Flickr `.token`, WebDataset `.tar` or a folder of such, a
    /// folder with `image` and `caption` (Urban-1k); for --zero-shot a folder of class folders
    pub(super) source: PathBuf,
    /// Folder of the images [default: beside the list, or `images` there]
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
    /// Split of a Karpathy file
    #[arg(long)]
    split: Option<String>,
    /// Most captions of an image that count; 0: all
    #[arg(long, default_value_t = 5)]
    captions: usize,
    /// Column or key of images' names
    #[arg(long, default_value = "filepath")]
    image_key: String,
    /// Column or key of captions
    #[arg(long, default_value = "title")]
    caption_key: String,
}

impl SourceOptions {
    pub(super) fn read(&self) -> Result<Collection> {
        let reading = Reading {
            images: self.images.clone(),
            split: self.split.clone(),
            captions: (self.captions > 0).then_some(self.captions),
            image_key: self.image_key.clone(),
            caption_key: self.caption_key.clone(),
        };
        let collection = data::read(&self.source, &reading)?;
        collection.left_out.iter().take(5).for_each(|name| eprintln!("left out: {name}"));
        let left_out = collection.left_out.len();
        if left_out > 5 || collection.empty_captions > 0 {
            eprintln!(
                "left out in all: {left_out} images or captions without the other, {} empty captions",
                collection.empty_captions
            );
        }
        Ok(collection)
    }
}

/// Options of `evaluate`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: SourceOptions,
    #[command(flatten)]
    model: ModelOptions,
    /// Classify the images of class folders instead
    #[arg(long)]
    zero_shot: bool,
    /// Prompts of --zero-shot, one per line, `{}` stands for the class [default: `a photo of a {}.`]
    #[arg(long, value_name = "FILE", requires = "zero_shot")]
    templates: Option<PathBuf>,
    /// Names of classes, `folder TAB name` per line [default: the folders' names]
    #[arg(long, value_name = "FILE", requires = "zero_shot")]
    names: Option<PathBuf>,
    /// Also measure with texts cut at these numbers of tokens: the effective length
    #[arg(long, value_delimiter = ',', value_name = "TOKENS")]
    lengths: Vec<usize>,
    /// Resamples of the bootstrap intervals
    #[arg(long, default_value_t = 1000)]
    rounds: usize,
    /// Also write the numbers here
    #[arg(long, value_name = "FILE.json")]
    json: Option<PathBuf>,
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

/// Features of a collection: images that could be read, and their captions.
pub(super) struct Found {
    images: Tensor,
    texts: Tensor,
    image_of_text: Vec<usize>,
    ids: Vec<Vec<i64>>,
    broken: usize,
    cut: usize,
}

impl Found {
    /// `None` when stopped.
    pub(super) fn encode(
        model: &Clip,
        tokenizer: &Tokenizer,
        specials: Specials,
        items: &[Item],
        rules: Rules,
        batch: usize,
        quiet: bool,
    ) -> Result<Option<Self>> {
        let sources: Vec<ImageFile> = items.iter().map(|item| item.image.clone()).collect();
        let Some((places, images, broken)) = image_features(model, &sources, rules, batch, quiet)? else {
            return Ok(None);
        };
        let context = model.config.text.context_length as usize;
        let (mut ids, mut image_of_text, mut cut) = (Vec::new(), Vec::new(), 0);
        for (row, &place) in places.iter().enumerate() {
            for caption in &items[place].captions {
                let encoded = tokenizer.tokenize(caption, context, specials);
                cut += usize::from(encoded.is_cut());
                ids.push(encoded.ids);
                image_of_text.push(row);
            }
        }
        let bar = progress::bar("texts", ids.len(), quiet);
        let texts = encode::texts(model, &ids, BATCH_TOKENS, |done| {
            bar.set_position(done as u64);
            !interrupt::asked()
        })?;
        bar.finish_and_clear();
        Ok(texts.map(|texts| Self { images, texts, image_of_text, ids, broken, cut }))
    }
}

/// Places of images that could be read, their features, and how many could not; `None` when stopped.
fn image_features(
    model: &Clip,
    sources: &[ImageFile],
    rules: Rules,
    batch: usize,
    quiet: bool,
) -> Result<Option<(Vec<usize>, Tensor, usize)>> {
    let bar = progress::bar("images", sources.len(), quiet);
    let (mut places, mut parts, mut broken) = (Vec::new(), Vec::new(), 0);
    encode::images(model, sources, batch, rules, |encoded| {
        match encoded {
            Encoded::Broken(_, error) => {
                bar.suspend(|| eprintln!("skipped: {error}"));
                broken += 1;
            }
            Encoded::Features(rows, features) => {
                bar.inc(rows.len() as u64);
                places.extend(rows);
                parts.push(features);
            }
        }
        !interrupt::asked()
    })?;
    bar.finish_and_clear();
    if interrupt::asked() {
        return Ok(None);
    }
    ensure!(!parts.is_empty(), "none of {} images could be read", sources.len());
    Ok(Some((places, Tensor::cat(&parts, 0), broken)))
}

/// Recalls with their intervals.
#[derive(Debug, Serialize)]
pub(super) struct Recalls {
    images: usize,
    texts: usize,
    skipped_images: usize,
    cut_texts: usize,
    image_to_text: Vec<Recall>,
    text_to_image: Vec<Recall>,
}

#[derive(Debug, Serialize)]
struct Recall {
    k: usize,
    recall: f64,
    interval: Option<[f64; 2]>,
}

impl fmt::Display for Recalls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{} images ({} skipped), {} texts ({} cut)",
            self.images, self.skipped_images, self.texts, self.cut_texts
        )?;
        write!(formatter, "{:16}{:>26}{:>26}", "", "image to text", "text to image")?;
        for (image, text) in self.image_to_text.iter().zip(&self.text_to_image) {
            let cell = |recall: &Recall| match recall.interval {
                Some([low, high]) => format!("{:.4} [{low:.4}, {high:.4}]", recall.recall),
                None => format!("{:.4}", recall.recall),
            };
            write!(formatter, "\n{:16}{:>26}{:>26}", format!("R@{}", image.k), cell(image), cell(text))?;
        }
        Ok(())
    }
}

/// Ranks of the protocols.
const KS: [usize; 3] = [1, 5, 10];

pub(super) fn measure(found: &Found, rounds: usize) -> Recalls {
    let Ranks { image_to_text, text_to_image } = ranks(&found.images, &found.texts, &found.image_of_text);
    let of_images: Vec<usize> = (0..image_to_text.len()).collect();
    let recalls = |ranks: &[usize], groups: &[usize], stream: &str| {
        let recall = |&k: &usize| {
            let mut rng = seed::rng(1, stream, k as u64);
            let interval = recall_interval(ranks, groups, k, rounds, &mut rng);
            Some(Recall { k, recall: recall_at(ranks, k)?, interval })
        };
        KS.iter().filter_map(recall).collect()
    };
    Recalls {
        images: image_to_text.len(),
        texts: text_to_image.len(),
        skipped_images: found.broken,
        cut_texts: found.cut,
        image_to_text: recalls(&image_to_text, &of_images, "image-to-text"),
        text_to_image: recalls(&text_to_image, &found.image_of_text, "text-to-image"),
    }
}

/// Share of its own best at which a length counts as effective.
const EFFECTIVE: f64 = 0.95;

/// R@1 with texts cut at a number of tokens.
#[derive(Debug, Serialize)]
struct Point {
    tokens: usize,
    image_to_text: f64,
    text_to_image: f64,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Measured {
    model: String,
    source: String,
    recalls: Recalls,
    curve: Vec<Point>,
    /// Fewest tokens of the curve with 95 % of its highest R@1 from texts to images.
    effective_length: Option<usize>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    let least = arguments.lengths.iter().min().copied().unwrap_or(2);
    ensure!(least >= 2, "--lengths has {least}, expected at least 2: a start and an end token");
    let device = arguments.machine.open()?;
    if arguments.zero_shot {
        let model = arguments.model.read(device)?.model;
        return zero_shot(arguments, &model);
    }
    let collection = arguments.source.read()?;
    let model = arguments.model.read(device)?.model;
    let tokenizer =
        arguments.tokenizer.open(Some(&arguments.model.model), Some(model.config.text.vocabulary))?;
    let quiet = arguments.machine.quiet;
    let (specials, rules) = (arguments.tokenizer.specials(), arguments.preprocessing.into());
    let found =
        Found::encode(&model, &tokenizer, specials, &collection.items, rules, arguments.batch, quiet)?;
    let Some(found) = found else { return stopped() };
    let recalls = measure(&found, arguments.rounds);
    println!("{recalls}");
    let curve = curve(arguments, &model, &tokenizer, &found)?;
    let Some(curve) = curve else { return stopped() };
    let best = curve.iter().map(|point| point.text_to_image).fold(0.0, f64::max);
    let effective_length =
        curve.iter().find(|point| point.text_to_image >= EFFECTIVE * best).map(|point| point.tokens);
    if let Some(tokens) = effective_length {
        println!("effective length: {tokens} tokens reach 95 % of the best R@1 from texts to images");
    }
    if let Some(path) = &arguments.json {
        let (model, source) = (arguments.model.model.display(), arguments.source.source.display());
        let measured = Measured {
            model: model.to_string(),
            source: source.to_string(),
            recalls,
            curve,
            effective_length,
        };
        files::write_atomic(path, &serde_json::to_vec_pretty(&measured)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn stopped() -> Result<ExitCode> {
    eprintln!("stopped; nothing was written");
    Ok(ExitCode::from(interrupt::EXIT_CODE))
}

fn curve(
    arguments: &Arguments,
    model: &Clip,
    tokenizer: &Tokenizer,
    found: &Found,
) -> Result<Option<Vec<Point>>> {
    let mut lengths = arguments.lengths.clone();
    lengths.sort_unstable();
    lengths.dedup();
    if !lengths.is_empty() {
        println!("{:16}{:>26}{:>26}", "R@1 cut at", "image to text", "text to image");
    }
    let mut points = Vec::new();
    for tokens in lengths {
        let ids: Vec<Vec<i64>> = found.ids.iter().map(|ids| tokenizer.shortened(ids, tokens)).collect();
        let Some(texts) = encode::texts(model, &ids, BATCH_TOKENS, |_| !interrupt::asked())? else {
            return Ok(None);
        };
        let ranks = ranks(&found.images, &texts, &found.image_of_text);
        let first = |ranks: &[usize]| recall_at(ranks, 1).unwrap_or_default();
        let (image_to_text, text_to_image) = (first(&ranks.image_to_text), first(&ranks.text_to_image));
        println!("{tokens:<16}{image_to_text:>26.4}{text_to_image:>26.4}");
        points.push(Point { tokens, image_to_text, text_to_image });
    }
    Ok(Some(points))
}

/// What --zero-shot measured.
#[derive(Debug, Serialize)]
struct Classified {
    images: usize,
    skipped_images: usize,
    classes: usize,
    templates: usize,
    top_1: f64,
    top_5: f64,
    top_1_interval: Option<[f64; 2]>,
}

fn zero_shot(arguments: &Arguments, model: &Clip) -> Result<ExitCode> {
    let classes = data::classes(&arguments.source.source)?;
    let names = class_names(arguments, &classes)?;
    let templates = templates(arguments)?;
    let tokenizer =
        arguments.tokenizer.open(Some(&arguments.model.model), Some(model.config.text.vocabulary))?;
    let context = model.config.text.context_length as usize;
    let ids: Vec<Vec<i64>> = (names.iter())
        .flat_map(|name| templates.iter().map(move |template| template.replace("{}", name)))
        .map(|prompt| tokenizer.tokenize(&prompt, context, arguments.tokenizer.specials()).ids)
        .collect();
    let Some(prompts) = encode::texts(model, &ids, BATCH_TOKENS, |_| !interrupt::asked())? else {
        return stopped();
    };
    let weights = classifier(&prompts, templates.len() as i64);
    let (sources, labels): (Vec<ImageFile>, Vec<usize>) = (classes.iter().enumerate())
        .flat_map(|(class, (_, images))| {
            images.iter().map(move |path| (ImageFile::Path(path.clone()), class))
        })
        .unzip();
    let quiet = arguments.machine.quiet;
    let features = image_features(model, &sources, arguments.preprocessing.into(), arguments.batch, quiet)?;
    let Some((places, features, skipped_images)) = features else { return stopped() };
    let labels: Vec<usize> = places.iter().map(|&place| labels[place]).collect();
    // The rank of the true class, as that of an only text.
    let logits = features.matmul(&weights.tr()).to_kind(Kind::Float);
    let rows = Vec::<Vec<f32>>::try_from(&logits).context("features are finite")?;
    let place = |(row, &label): (&Vec<f32>, &usize)| {
        row.iter().enumerate().filter(|&(i, &v)| v > row[label] || (v == row[label] && i < label)).count() + 1
    };
    let ranks: Vec<usize> = rows.iter().zip(&labels).map(place).collect();
    let groups: Vec<usize> = (0..ranks.len()).collect();
    let mut rng = seed::rng(1, "zero-shot", 0);
    let top = |k| recall_at(&ranks, k).unwrap_or_default();
    let measured = Classified {
        images: ranks.len(),
        skipped_images,
        classes: names.len(),
        templates: templates.len(),
        top_1: top(1),
        top_5: top(5),
        top_1_interval: recall_interval(&ranks, &groups, 1, arguments.rounds, &mut rng),
    };
    println!(
        "{} images ({} skipped), {} classes, {} templates",
        measured.images, measured.skipped_images, measured.classes, measured.templates
    );
    let interval =
        measured.top_1_interval.map(|[low, high]| format!(" [{low:.4}, {high:.4}]")).unwrap_or_default();
    println!("top-1 {:.4}{interval}, top-5 {:.4}", measured.top_1, measured.top_5);
    if let Some(path) = &arguments.json {
        files::write_atomic(path, &serde_json::to_vec_pretty(&measured)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn templates(arguments: &Arguments) -> Result<Vec<String>> {
    let Some(path) = &arguments.templates else { return Ok(vec!["a photo of a {}.".to_owned()]) };
    let text = files::read_text(path)?;
    let templates: Vec<String> =
        text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    for (line, template) in templates.iter().enumerate() {
        ensure!(
            template.contains("{}"),
            "{}:{}: `{template}` has no `{{}}` for the class",
            path.display(),
            line + 1
        );
    }
    ensure!(!templates.is_empty(), "{}: no templates, expected one per line", path.display());
    Ok(templates)
}

fn class_names(arguments: &Arguments, classes: &[(String, Vec<PathBuf>)]) -> Result<Vec<String>> {
    let Some(path) = &arguments.names else {
        return Ok(classes.iter().map(|(folder, _)| folder.replace('_', " ")).collect());
    };
    let text = files::read_text(path)?;
    let named: std::collections::HashMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once('\t').or_else(|| line.split_once(' '))).collect();
    let name = |(folder, _): &(String, Vec<PathBuf>)| {
        let name = named.get(folder.as_str()).map(|name| name.trim().to_owned());
        name.with_context(|| format!("{}: no name for the folder `{folder}`", path.display()))
    };
    classes.iter().map(name).collect()
}
