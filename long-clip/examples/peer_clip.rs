//! Our side of the peer cases: writes the inputs into WORK and prints time, items and values on one line of JSON.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use common::nn::gemm;
use common::seed;
use cpu_time::ProcessTime;
use long_clip::checkpoint::{self, Format, Options};
use long_clip::config::ModelConfig;
use long_clip::data::{self, Reading};
use long_clip::encode::{self, BATCH_TOKENS};
use long_clip::model::{Clip, normalised};
use long_clip::preprocess::{self, Rules};
use long_clip::retrieval::{classifier, ranks_of_similarities, recall_at};
use long_clip::tokenizer::{Specials, Tokenizer};
use rand::Rng;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const IMAGES: i64 = 8;
const TEMPLATES: usize = 10;
const CLASSES: usize = 4;

fn main() -> Result<()> {
    common::memory::keep_freed();
    tch::set_num_threads(1);
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: peer_clip image|text|zero-shot|preprocess|tokenizer|metrics [POSITIONS TEXTS] WORK";
    let mode = arguments.next().context(usage)?;
    let rest: Vec<String> = arguments.collect();
    let (work, numbers) = rest.split_last().context(usage)?;
    let work = PathBuf::from(work).join("clip");
    std::fs::create_dir_all(&work)?;
    let number = |place: usize| -> Result<usize> { Ok(numbers.get(place).context(usage)?.parse()?) };
    let answer = match &*mode {
        "image" => image(&work)?,
        "text" => text(&work, number(0)?, number(1)?)?,
        "zero-shot" => zero_shot(&work)?,
        "preprocess" => preprocessing()?,
        "tokenizer" => tokenizer()?,
        "metrics" => metrics(&work, number(0)?, number(1)?)?,
        _ => bail!(usage),
    };
    println!("{answer}");
    Ok(())
}

fn data_root() -> Result<PathBuf> {
    Ok(std::env::var_os("BENKYOKAI_DATA").context("BENKYOKAI_DATA names no data folder")?.into())
}

fn open_tokenizer() -> Result<Tokenizer> {
    Ok(Tokenizer::open(&data_root()?.join("clip-bpe/bpe_simple_vocab_16e6.txt.gz"))?)
}

/// ViT-B/32 with random weights, written once for the peers.
fn model(work: &Path, positions: usize) -> Result<Clip> {
    let folder = work.join(format!("model-{positions}"));
    if !folder.join("done").exists() {
        tch::manual_seed(7);
        let model = Clip::new(ModelConfig::vit_b_32().with_context_length(positions as i64), Device::Cpu)?;
        checkpoint::write(&model, &folder, Format::OpenClip, None)?;
        checkpoint::write(&model, &folder, Format::HuggingFace, None)?;
        std::fs::write(folder.join("done"), "")?;
    }
    Ok(checkpoint::read(&folder, &Options::default(), Device::Cpu)?.model)
}

/// Share of the fastest product of 1024 × 1024 matrices on this machine.
fn share_of_peak(multiplications: f64, seconds: f64) -> f64 {
    let ones = Tensor::ones([1024, 1024], (Kind::Float, Device::Cpu));
    let time = |_| {
        let started = ProcessTime::now();
        let _product = gemm::linear(&ones, &ones, None);
        started.elapsed().as_secs_f64()
    };
    let best = (0..6).map(time).fold(f64::INFINITY, f64::min);
    let peak = 1024.0_f64.powi(3) / best;
    multiplications / seconds / peak
}

/// Multiplications of a token in a block: four maps of attention, two of the network, both products with `tokens` others.
fn per_token(width: f64, tokens: f64) -> f64 {
    12.0 * width * width + 2.0 * tokens * width
}

/// The first numbers of each row, for the answer to stay short.
fn features(tensor: &Tensor) -> Vec<f64> {
    let first = tensor.narrow(1, 0, 8).to_kind(Kind::Double).contiguous();
    Vec::<f64>::try_from(first.flatten(0, -1)).unwrap_or_default()
}

fn image(work: &Path) -> Result<Value> {
    let _guard = tch::no_grad_guard();
    let model = model(work, 77)?;
    tch::manual_seed(9);
    let images = Tensor::randn([IMAGES, 3, 224, 224], (Kind::Float, Device::Cpu));
    Tensor::write_safetensors(&[("images", &images)], work.join("images.safetensors"))?;
    let encode = || -> Result<Tensor> { Ok(normalised(&model.encode_image(&images)?)) };
    drop(encode()?); // compiled kernels
    let started = ProcessTime::now();
    let found = encode()?;
    let seconds = started.elapsed().as_secs_f64();
    let (width, tokens) = (768.0, 50.0);
    // The last block's queries, output maps and network are those of one token.
    let work_per_image =
        tokens * (11.0 * per_token(width, tokens) + 2.0 * width * width) + 49.0 * 3072.0 * width;
    let share = share_of_peak(IMAGES as f64 * work_per_image, seconds);
    Ok(json!({"seconds": seconds, "items": IMAGES, "values": features(&found), "share_of_peak": share}))
}

/// Captions of COCO's 29 CC-BY images.
fn captions(count: usize) -> Result<Vec<String>> {
    let path = data_root()?.join("coco-ccby-29/captions.json");
    let collection = data::read(&path, &Reading::default())?;
    Ok(collection.items.into_iter().flat_map(|item| item.captions).take(count).collect())
}

fn text(work: &Path, positions: usize, count: usize) -> Result<Value> {
    let _guard = tch::no_grad_guard();
    let (model, tokenizer) = (model(work, positions)?, open_tokenizer()?);
    let captions = captions(count)?;
    std::fs::write(work.join("captions.json"), serde_json::to_vec(&captions)?)?;
    let ids: Vec<Vec<i64>> =
        captions.iter().map(|text| tokenizer.tokenize(text, positions, Specials::Meant).ids).collect();
    let encode = || encode::texts(&model, &ids, BATCH_TOKENS, |_| true);
    drop(encode()?);
    let started = ProcessTime::now();
    let found = encode()?.context("nothing stops it")?;
    let seconds = started.elapsed().as_secs_f64();
    let one = |ids: &Vec<i64>| {
        let (tokens, width) = (ids.len() as f64, 512.0);
        tokens * (11.0 * per_token(width, tokens / 2.0) + 2.0 * width * width)
    };
    let share = share_of_peak(ids.iter().map(one).sum(), seconds);
    Ok(json!({"seconds": seconds, "items": ids.len(), "values": features(&found), "share_of_peak": share}))
}

fn zero_shot(work: &Path) -> Result<Value> {
    let _guard = tch::no_grad_guard();
    let (model, tokenizer) = (model(work, 77)?, open_tokenizer()?);
    let classes: Vec<&str> = [
        "tench",
        "goldfish",
        "great white shark",
        "tiger shark",
        "hammerhead shark",
        "electric ray",
        "stingray",
        "rooster",
    ]
    .into_iter()
    .take(CLASSES)
    .collect();
    let styles = ["photo", "sketch", "drawing", "close-up photo", "painting"];
    let forms = ["a {s} of a {}.", "a bad {s} of the {}.", "a {s} of many {}.", "the {s} of one {}."];
    let templates: Vec<String> = styles
        .iter()
        .flat_map(|style| forms.iter().map(move |form| form.replace("{s}", style)))
        .take(TEMPLATES)
        .collect();
    std::fs::write(
        work.join("classes.json"),
        serde_json::to_vec(&json!({"classes": classes, "templates": templates}))?,
    )?;
    let build = || -> Result<Tensor> {
        let prompts: Vec<Vec<i64>> = (classes.iter())
            .flat_map(|class| templates.iter().map(move |template| template.replace("{}", class)))
            .map(|prompt| tokenizer.tokenize(&prompt, 77, Specials::Meant).ids)
            .collect();
        let found = encode::texts(&model, &prompts, BATCH_TOKENS, |_| true)?.context("nothing stops it")?;
        Ok(classifier(&found, templates.len() as i64))
    };
    drop(build()?);
    let started = ProcessTime::now();
    let weights = build()?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(json!({"seconds": seconds, "items": CLASSES * TEMPLATES, "values": features(&weights)}))
}

fn preprocessing() -> Result<Value> {
    let paths = data::images_below(&data_root()?.join("coco-ccby-29/images"))?;
    let one = |path: &PathBuf| -> Result<Vec<f32>> {
        Ok(preprocess::prepare(&std::fs::read(path)?, &path.display().to_string(), 224, Rules::OpenAi)?)
    };
    drop(one(&paths[0])?);
    let started = ProcessTime::now();
    let tensors: Result<Vec<Vec<f32>>> = paths.iter().map(one).collect();
    let seconds = started.elapsed().as_secs_f64();
    // A checksum that any other byte changes.
    let sum = |tensor: &Vec<f32>| {
        tensor.iter().enumerate().map(|(i, value)| f64::from(*value) * ((i % 1009) as f64 + 1.0)).sum::<f64>()
    };
    let values: Vec<f64> = tensors?.iter().map(sum).collect();
    Ok(json!({"seconds": seconds, "items": paths.len(), "values": values}))
}

fn tokenizer() -> Result<Value> {
    let text = std::fs::read_to_string(data_root()?.join("imageinwords/long_captions.jsonl"))?;
    let captions: Result<Vec<String>> = text
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line)?;
            Ok(row["caption"].as_str().context("no caption")?.to_owned())
        })
        .collect();
    let captions = captions?;
    let tokenizer = open_tokenizer()?;
    tokenizer.encode("“warm”", Specials::Meant);
    let started = ProcessTime::now();
    let ids: Vec<Vec<i64>> = captions.iter().map(|text| tokenizer.encode(text, Specials::Meant)).collect();
    let seconds = started.elapsed().as_secs_f64();
    let sum =
        |ids: &Vec<i64>| ids.iter().enumerate().map(|(i, &id)| id as f64 * (i as f64 + 1.0)).sum::<f64>();
    let values: Vec<f64> = ids.chunks(100).map(|texts| texts.iter().map(sum).sum()).collect();
    let items: usize = ids.iter().map(Vec::len).sum();
    Ok(json!({"seconds": seconds, "items": items, "values": values}))
}

fn metrics(work: &Path, images: usize, texts: usize) -> Result<Value> {
    let mut rng = seed::rng(1, "similarities", 0);
    let per_image = texts / images;
    let owner: Vec<usize> = (0..texts).map(|text| text / per_image).collect();
    let mut similarities: Vec<f32> = (0..images * texts).map(|_| rng.random::<f32>()).collect();
    for (text, &image) in owner.iter().enumerate() {
        similarities[image * texts + text] += 0.99;
    }
    let bytes: Vec<u8> = similarities.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(work.join("similarities.bin"), bytes)?;
    let started = ProcessTime::now();
    let ranks = ranks_of_similarities(&similarities, &owner, images);
    let recall = |ranks: &[usize], k| recall_at(ranks, k).unwrap_or_default();
    let values: Vec<f64> = [1, 5, 10]
        .iter()
        .flat_map(|&k| [recall(&ranks.image_to_text, k), recall(&ranks.text_to_image, k)])
        .collect();
    let seconds = started.elapsed().as_secs_f64();
    Ok(json!({"seconds": seconds, "items": images + texts, "values": values}))
}
