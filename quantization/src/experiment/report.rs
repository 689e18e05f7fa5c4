//! The report: claims, findings, setup, deviations, cost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use common::claims::{self, Declared, JudgedClaim};
use common::figure;
use common::outcome::{self, Outcome, Values};
use common::report::{Circumstances, DataFile, FigureFile, Report, Section, number};
use common::stats;

use super::design::{Job, Preset, Study};
use super::figures::{agreement_figure, clip_figure, frontier};
use super::lab::Amount;
use super::training_section::{bitnet, pictures, qat};
use super::{DATA_SETS, ENCODER, Places, QUESTIONS};

/// All jobs of a preset with their outcomes.
#[derive(Debug)]
pub struct Finished {
    /// What was run.
    pub preset: Preset,
    /// Seeds of what was trained.
    pub seeds: Vec<u64>,
    /// Jobs and outcomes, in the order of the preset.
    pub jobs: Vec<(Job, Outcome)>,
}

/// The report of a finished preset; its figures are written below `folder`.
///
/// # Errors
/// Missing data, figures that cannot be written.
pub fn report(
    declared: &Declared,
    finished: &Finished,
    (around, places): (&Circumstances, &Places),
    folder: &Path,
) -> Result<Report> {
    let values = Values::collect(finished.jobs.iter().map(|(_, outcome)| outcome));
    let claims = judge(declared, finished.preset, &values);
    let seeds = finished.seeds.len();
    let headline = match finished.preset {
        Preset::Quick => {
            "Indicative only: little text, one seed, few steps. Run the preset `cpu` for verdicts.".to_owned()
        }
        _ => format!(
            "{} windows of text per model, {seeds} seeds where something is trained.",
            Amount::of(finished.preset).windows
        ),
    };
    let headline = match around.generated.is_empty() {
        true => headline,
        false => format!(
            "Generated stand-ins, because {} were missing: this shows that everything runs, nothing else. {headline}",
            around.generated.join(", ")
        ),
    };
    let mut report = Report {
        headline,
        claims,
        setup: setup(finished.preset),
        deviations: deviations(),
        sections: sections(finished, &values, folder)?,
        compute: outcome::cost(
            finished.jobs.iter().map(|(_, outcome)| outcome),
            around.workers,
            around.wall_s,
        ),
        data: if around.generated.is_empty() { data_files(places)? } else { vec![] },
        determinism: determinism(finished, around),
        limits: limits(),
        ..around.frame("quantization", finished.preset.name(), &declared.paper)
    };
    report.summary = summary(&report, &values);
    Ok(report)
}

fn judge(declared: &Declared, preset: Preset, values: &Values) -> Vec<JudgedClaim> {
    let runs = |claim: &claims::Claim, part: &claims::Part| {
        let of = |arm: &str| match claim.metric.as_str() {
            "relative_gap" => relative_gap(values, &format!("{}-{arm}", part.setting)),
            metric => values.of(&part.setting, arm, metric).to_vec(),
        };
        let (a, b) = (of(&part.a), of(&part.b));
        (!a.is_empty() && a.len() == b.len()).then_some((a, b))
    };
    let judged = |claim: &claims::Claim| {
        let judged = claims::judge(claim, preset != Preset::Quick, |part| runs(claim, part));
        let verdict_value =
            "not comparable: the published numbers are of models a thousand times larger".to_owned();
        JudgedClaim { verdict_value, ..judged }
    };
    declared.claims.iter().map(judged).collect()
}

/// What BitNet b1.58 loses against full precision by seed, as a share of the latter's loss.
fn relative_gap(values: &Values, setting: &str) -> Vec<f64> {
    let of = |arm: &str| values.of(setting, arm, "nll");
    of("b158").iter().zip(of("fp")).map(|(ternary, full)| (ternary - full) / full).collect()
}

fn summary(report: &Report, values: &Values) -> Vec<String> {
    let mean = |setting: &str, arm: &str| stats::mean(values.of(setting, arm, "kl"));
    let ratio = |setting: &str, a: &str, b: &str| Some(mean(setting, a)? / mean(setting, b)?);
    let mut found = Vec::new();
    if let Some(ratio) = ratio("shakespeare-4", "g128", "gptq-g128") {
        found.push(format!(
            "GPTQ divides the divergence of 4-bit rounding in groups of 128 by {}",
            number(ratio, 1)
        ));
    }
    if let Some(ratio) = ratio("shakespeare-gguf", "Q4_0", "Q4_K") {
        found.push(format!("at 4.5 bits Q4_0 diverges {} times as much as Q4_K", number(ratio, 2)));
    }
    vec![
        "Scope: every method that the guide walks through, on two Llama-architecture models of 3.2 and 0.26 million parameters and on models trained here; no published number is comparable, only directions are judged.".to_owned(),
        format!("Result: {}. {}.", report.verdict_counts(), found.join("; ")),
        "What differs most from the papers: the models are a thousand times smaller, and so is the text they were trained on.".to_owned(),
    ]
}

fn sections(finished: &Finished, values: &Values, folder: &Path) -> Result<Vec<Section>> {
    let of = |belongs: fn(&Study) -> bool| -> Vec<&Outcome> {
        finished.jobs.iter().filter(|(job, _)| belongs(&job.study)).map(|(_, outcome)| outcome).collect()
    };
    let mut sections = vec![
        section(
            "Memory and number lines",
            "A block format costs its codes and its scales. Every type was written to a file, opened again and weighed.",
            &of(|study| matches!(study, Study::Memory)),
            folder,
        )?,
        section(
            "Rounding to nearest: grids, groups, clipping",
            "Every linear layer is rounded and put back in 32 bits; the embedding stays. SQNR is the mean over matrices, KL the mean divergence from the unquantized model over windows of held-out text.",
            &of(|study| matches!(study, Study::Weights { .. })),
            folder,
        )?,
        section(
            "GPTQ",
            "Calibrated on text that is not scored; blocks in order, each fed with the outputs of the quantized ones before it.",
            &of(|study| matches!(study, Study::Gptq { .. })),
            folder,
        )?,
        section(
            "GGUF types",
            "Blocks are byte for byte ggml's, with the exceptions that the README names. `-imatrix`: with an importance matrix of the calibration text; `-best`: this crate's search in the same format.",
            &of(|study| matches!(study, Study::Gguf { .. })),
            folder,
        )?,
        section(
            "Activations",
            "Inputs of every linear layer are rounded to a symmetric grid, weights stay in 32 bits. Static ranges come from calibration text, dynamic ones from the input itself.",
            &of(|study| matches!(study, Study::Activations { .. })),
            folder,
        )?,
    ];
    let encoder = section(
        "A sentence encoder",
        "all-MiniLM-L6-v2, 6 blocks, rows of 384 and 1536. Agreement is measured between the sentence vectors (mean over tokens, unit length) of the quantized and the unquantized encoder.",
        &of(|study| matches!(study, Study::EncoderWeights { .. } | Study::EncoderTypes)),
        folder,
    )?;
    let mut add = |place: usize, file: Option<FigureFile>| sections[place].figures.extend(file);
    add(1, clip_figure(finished, folder)?);
    add(3, frontier(values, "shakespeare", folder)?);
    add(3, frontier(values, "stories", folder)?);
    sections.extend(qat(values, folder)?);
    sections.extend(bitnet(finished, values, folder)?);
    sections.push(section(
        "Ternary products",
        "A ternary layer needs no multiplication: sums and differences of 8-bit activations in 32-bit integers.",
        &of(|study| matches!(study, Study::Ternary)),
        folder,
    )?);
    sections.push(section(
        "Residual codec",
        "ColBERTv2 keeps a centroid and a few bits per dimension of each token vector. The vectors here are the language model's last hidden states.",
        &of(|study| matches!(study, Study::Residual)),
        folder,
    )?);
    sections.extend(pictures(values, folder)?);
    sections.retain(|section| !section.tables.is_empty() || !section.figures.is_empty());
    if !encoder.tables.is_empty() {
        let figures = agreement_figure(values, folder)?.into_iter().collect();
        sections.push(Section { figures, ..encoder });
    }
    Ok(sections)
}

fn section(title: &str, intro: &str, outcomes: &[&Outcome], folder: &Path) -> Result<Section> {
    let mut section =
        Section { title: title.to_owned(), text: vec![intro.to_owned()], tables: vec![], figures: vec![] };
    for outcome in outcomes {
        section.text.extend(outcome.text.iter().cloned());
        section.tables.extend(outcome.tables.iter().cloned());
        for drawing in &outcome.drawings {
            section.figures.push(figure::save(&drawing.figure, folder, &drawing.id, &drawing.caption)?);
        }
    }
    Ok(section)
}

fn setup(preset: Preset) -> Vec<[String; 4]> {
    let amount = Amount::of(preset);
    let row = |what: &str, paper: &str, ours: String, why: &str| {
        [what.to_owned(), paper.to_owned(), ours, why.to_owned()]
    };
    vec![
        row(
            "models",
            "OPT, BLOOM, LLaMA up to 176 B (GPTQ); Llama-3-8B (llama.cpp)",
            "shakespeare-llama-256 (3.2 M), stories260K (0.26 M)".to_owned(),
            "what two CPU cores measure in minutes",
        ),
        row(
            "scored text",
            "WikiText-2, C4",
            format!("{} windows of 256 bytes of Shakespeare; up to 64 stories", amount.windows),
            "the models' own domain, not seen in training (stories: probably seen)",
        ),
        row(
            "calibration",
            "128 segments of 2048 tokens of C4",
            format!("{} segments of 256 bytes of Shakespeare; up to 32 stories", amount.calibration),
            "never scored",
        ),
        row("GPTQ damping, block", "0.01, 128", "0.01, 128".to_owned(), "the paper's"),
        row("scales", "16 bits", "16 bits, rounded before codes are chosen".to_owned(), "what files store"),
        row(
            "BitNet training",
            "100 B tokens of RedPajama",
            "600 steps of 16 × 128 bytes, AdamW 2e-3, decay 0.05 (preset `cpu`)".to_owned(),
            "minutes",
        ),
        row(
            "fine-tuning of QAT and its baseline",
            "not one paper's",
            "120 steps of 8 × 128 bytes, AdamW 3e-4, LSQ per row (preset `cpu`)".to_owned(),
            "the same steps and seeds on both sides",
        ),
        row(
            "LFQ",
            "video tokenizer, 2^18 codes",
            "patches of 8 × 8 pixels of 20 photographs, two hidden layers of 128".to_owned(),
            "minutes",
        ),
    ]
}

fn deviations() -> Vec<String> {
    [
        "D1 Models of 0.1 to 3.2 million parameters where the papers use up to 176 billion. Affects all values and, for B1 and B2, the direction: b1.58 is said to match full precision from 3 billion on.",
        "D2 Scored and calibration text are of one author or one data set; calibration on foreign text could help GPTQ and importance matrices less. Affects Q1 to Q5, I1, I2, K1 to K3, A1.",
        "D3 The measure is divergence from the unquantized model (KL) where the papers print perplexity: differences of loss between 4-bit types are below their own error on these models. Affects F1, Q1 to Q5.",
        "D4 Windows of one text are not independent samples of a language; the intervals cover this text only. Affects every claim replicated over windows.",
        "D5 Retrieval in R1 is nearest-neighbour recall among hidden states of a language model, not document ranking with ColBERT embeddings. Affects R1, R2.",
        "D6 LFQ is trained on image patches with a small perceptron, without adversarial or perceptual loss and without video; the temperature of the entropy is 0.1, chosen on other photographs, where 0.01 is usual. Affects L1, L2.",
        "D7 One encoder of 22.7 million parameters, where it was among the data sets; its training mix holds questions like those it reads here, so that agreement on foreign text may be lower. Affects G4 to G6 and F3 in scope only.",
    ]
    .map(str::to_owned)
    .into()
}

fn limits() -> Vec<String> {
    [
        "With n = 128 windows a difference of a few percent is significant; read the size of the difference beside the verdict.",
        "The verdict `opposite` follows from the interval of the difference, which is not adjusted for the number of parts; the column p (Holm) is.",
        "K3 and C1 to C2 depend on how heavy the tails of these models are; large models have far larger outliers.",
        "Times in N2 are of one machine and one thread.",
        "A run of the preset `full`, larger models and foreign calibration text could change the verdicts on Q2, Q4, I1, B1, B2 and T1.",
    ]
    .map(str::to_owned)
    .into()
}

fn determinism(finished: &Finished, around: &Circumstances) -> BTreeMap<String, String> {
    let seeds: Vec<String> = finished.seeds.iter().map(u64::to_string).collect();
    let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    BTreeMap::from([
        fact("seeds", &seeds.join(", ")),
        fact(
            "streams",
            "initial weights, text windows, patches and dropout each derive from the run seed; quantizers draw nothing",
        ),
        fact("threads", "1 per worker process"),
        fact("repeat check", &around.repeat_check),
        fact(
            "not fixed",
            "the processor's instruction set: other machines agree within tolerance, not bit by bit; times of N2",
        ),
    ])
}

fn data_files(places: &Places) -> Result<Vec<DataFile>> {
    let mut sets = BTreeSet::from(DATA_SETS);
    // An encoder that was typed can be any: its folder is told in the command, not here.
    let listed = places.encoder.as_ref().is_some_and(|folder| *folder == places.root.join(ENCODER));
    sets.extend(places.encoder.as_ref().map(|_| QUESTIONS));
    sets.extend(listed.then_some(ENCODER));
    Ok(DataFile::all_of(&places.root, sets)?)
}
