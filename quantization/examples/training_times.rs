//! Losses and seconds of small runs: `training_times <data> lm|qat|lfq …`, one thread.

#![expect(clippy::print_stdout, reason = "the lines are the result")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use quantization::lfq::{self, AutoencoderConfig};
use quantization::lm::{
    Bitnet1, Corpus, LmConfig, Model, ProjectionKind, TrainConfig, evaluate, load_hugging_face, train,
    windows,
};
use quantization::qat::{FakeQuantConfig, StepRule, WeightConfig};

fn main() -> Result<(), Box<dyn Error>> {
    tch::set_num_threads(1);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: i64| -> Result<i64, std::num::ParseIntError> {
        arguments.get(index).map_or(Ok(default), |text| text.parse())
    };
    let data = PathBuf::from(arguments.first().ok_or("give the data folder")?);
    match arguments.get(1).map(String::as_str) {
        Some("lm") => language_models(&data, number(2, 128)?, number(3, 600)? as usize),
        Some("qat") => fine_tuning(&data, number(2, 200)? as usize),
        Some("lfq") => codebooks(&data, number(2, 400)? as usize),
        _ => Err("expected `lm`, `qat` or `lfq`".into()),
    }
}

fn language_models(data: &Path, width: i64, steps: usize) -> Result<(), Box<dyn Error>> {
    let corpus = Corpus::read(&data.join("tinyshakespeare/input.txt"))?;
    let held_out = windows(&corpus.held_out, 129, 128, 256)?;
    let settings = TrainConfig { steps, warmup: steps / 10, ..TrainConfig::pilot() };
    let kinds = [
        ("full precision", ProjectionKind::FullPrecision),
        ("b1.58", ProjectionKind::BitnetB158),
        ("b1", ProjectionKind::Bitnet1(Bitnet1 { shifted_gate: false })),
    ];
    for (name, kind) in kinds {
        let model = Model::new(&LmConfig::bytes(2, width, kind), 1)?;
        let start = Instant::now();
        train(&model, &corpus.train, &settings, 1, |_, _| true)?;
        let seconds = start.elapsed().as_secs_f64();
        let loss = evaluate(&model, &held_out)?.nats_per_byte;
        println!(
            "{width} wide, {} parameters, {steps} steps, {name}: {loss:.4} nats per byte, {seconds:.1} s",
            model.parameters()
        );
        if kind == ProjectionKind::FullPrecision {
            println!(
                "  ternarised afterwards: {:.4}",
                evaluate(&model.ternarised()?, &held_out)?.nats_per_byte
            );
        }
    }
    Ok(())
}

fn fine_tuning(data: &Path, steps: usize) -> Result<(), Box<dyn Error>> {
    let full = load_hugging_face(&data.join("shakespeare-llama-256"))?;
    let corpus = Corpus::read(&data.join("tinyshakespeare/input.txt"))?;
    let held_out = windows(&corpus.held_out, 257, 256, 32)?;
    println!("full precision: {:.4}", evaluate(&full, &held_out)?.nats_per_byte);
    let settings = TrainConfig { steps, warmup: steps / 10, ..TrainConfig::fine_tune() };
    for bits in [2, 3, 4] {
        let searched = WeightConfig { step: StepRule::Searched, ..WeightConfig::learned(bits) };
        for (name, weights) in [
            ("absmax", WeightConfig::absmax(bits)),
            ("searched", searched),
            ("learned", WeightConfig::learned(bits)),
        ] {
            let projection = ProjectionKind::FakeQuant(FakeQuantConfig { weights, activations: None });
            let model = full.converted(&LmConfig { projection, ..*full.config() })?;
            let before = evaluate(&model, &held_out)?.nats_per_byte;
            let start = Instant::now();
            train(&model, &corpus.train, &settings, 1, |_, _| true)?;
            let seconds = start.elapsed().as_secs_f64();
            let after = evaluate(&model, &held_out)?.nats_per_byte;
            println!(
                "{bits} bits, {name}: {before:.4} before, {after:.4} after {steps} steps, {seconds:.1} s"
            );
        }
    }
    Ok(())
}

fn codebooks(data: &Path, steps: usize) -> Result<(), Box<dyn Error>> {
    let folder = data.join("bsds500-images");
    let patches = lfq::random_patches(&lfq::photographs(&folder.join("train"), 60)?, 8, 20_000, 1)?;
    let held_out = lfq::random_patches(&lfq::photographs(&folder.join("val"), 30)?, 8, 8_192, 2)?;
    for bits in [6, 10, 14, 18] {
        for (name, weight, temperature) in
            [("without", 0.0, 0.01), ("τ 0.01", 0.1, 0.01), ("τ 0.1", 0.1, 0.1), ("τ 1", 0.1, 1.0)]
        {
            let mut config =
                AutoencoderConfig { steps, entropy_weight: weight, ..AutoencoderConfig::small(bits, true) };
            config.entropy.temperature = temperature;
            let start = Instant::now();
            let (_, found) = lfq::train(&config, &patches, &held_out, 1)?;
            let seconds = start.elapsed().as_secs_f64();
            println!(
                "2^{bits} codes, {name}: {} used, perplexity {:.1}, {:.2} dB, entropy {:.3}, {seconds:.1} s",
                found.usage.used, found.usage.perplexity, found.psnr_db, found.sample_entropy
            );
        }
    }
    Ok(())
}
