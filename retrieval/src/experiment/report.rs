//! The report: claims, findings, setup, deviations, cost.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use common::claims::{self, Declared, JudgedClaim};
use common::figure::{self, Figure};
use common::outcome::{self, Outcome, Values};
use common::report::{Circumstances, DataFile, Report, Section, Table, number};
use common::{data, stats};

use super::design::{Amount, Arm, DOCUMENT_LENGTH, Job, LINEAR_RATE, POST_WAYS, Preset, Study, WAYS};
use super::pretrained::SETTING;
use super::study::frontiers;
use super::{DATA_SETS, ENCODER};

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
    around: &Circumstances,
    folder: &Path,
) -> Result<Report> {
    let values = Values::collect(finished.jobs.iter().map(|(_, outcome)| outcome));
    let pretrained = finished.jobs.iter().any(|(job, _)| job.study == Study::Pretrained);
    let claims = judge(declared, finished.preset, &values);
    let amount = Amount::of(finished.preset);
    let size = format!(
        "An encoder of {} layers, {} wide, trained from scratch for {} steps; {} questions on JSQuAD.",
        amount.layers, amount.hidden, amount.steps, amount.queries
    );
    let headline = match finished.preset {
        Preset::Quick => {
            format!("Indicative only: few steps, one seed. Run the preset `cpu` for verdicts. {size}")
        }
        _ => size,
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
        data: if around.generated.is_empty() { data_files(&around.data, pretrained)? } else { vec![] },
        determinism: determinism(finished, around),
        limits: limits(),
        ..around.frame("retrieval", finished.preset.name(), &declared.paper)
    };
    report.summary = summary(&report, &values);
    Ok(report)
}

fn judge(declared: &Declared, preset: Preset, values: &Values) -> Vec<JudgedClaim> {
    let judged = |claim: &claims::Claim| {
        let judged = claims::judge(claim, preset != Preset::Quick, |part| values.paired(claim, part));
        let verdict_value =
            "not comparable: a far smaller encoder, other training data, another test set".to_owned();
        JudgedClaim { verdict_value, ..judged }
    };
    declared.claims.iter().map(judged).collect()
}

fn summary(report: &Report, values: &Values) -> Vec<String> {
    let mean = |setting: &str, arm: &str| stats::mean(values.of(setting, arm, "ndcg"));
    let mut found = vec![
        "Scope: the recipe of JaColBERTv2.5, the compression of ColBERTv2 and the search of PLAID, on Japanese questions about Wikipedia paragraphs, with a small encoder trained here from scratch; directions are judged, not values.".to_owned(),
        format!("Result: {}.", report.verdict_counts()),
    ];
    if let (Some(ours), Some(floor)) = (mean("jsquad", "paper"), mean("jsquad", "bm25")) {
        found.push(format!(
            "The floor: BM25 on pairs of characters has nDCG@10 {} on the same questions, the paper's recipe {}.",
            number(floor, 3),
            number(ours, 3)
        ));
    }
    found.push("What differs most from the paper: the encoder is not pretrained, and the teacher is lexical instead of a large reranker.".to_owned());
    found
}

fn sections(finished: &Finished, values: &Values, folder: &Path) -> Result<Vec<Section>> {
    let arms: Vec<&str> = Arm::ALL.iter().map(|arm| arm.name()).chain(["bm25"]).collect();
    let asked = ["none", "fixed-32", "plus-8", "dynamic", "code", "pad-32"];
    let mut training = Section {
        title: "Training".to_owned(),
        text: vec!["Every arm has the same steps, batches and seeds; `single` has one pooled vector per text. BM25 is the floor.".to_owned()],
        tables: vec![table("JSQuAD, mean over seeds", values, &[("", "jsquad")], &arms)],
        figures: vec![],
    };
    training.figures.extend(curves(finished, folder)?);
    let mut asking = Section {
        title: "Asking".to_owned(),
        text: vec!["One trained model under six ways of filling up its queries; `code` is the rule of the released evaluator. Pairs are two questions on one paragraph.".to_owned()],
        tables: vec![
            table("nDCG@10 by augmentation", values, &[("questions", "questions"), ("pairs", "pairs")], &asked),
            table("Trained without `[MASK]` tokens", values, &[("", "never-filled")], &["none", "fixed-32"]),
            table("With and without the projection", values, &[("", "evaluator")], &["projected", "hidden"]),
        ],
        figures: vec![],
    };
    let mut compression = Section {
        title: "Compression and search".to_owned(),
        text: vec!["The same vectors with fewer bits, scored exhaustively; and the 2-bit index searched with fewer candidates.".to_owned()],
        tables: vec![
            table("Bits", values, &[("", "bits")], &["fp32", "bf16", "4-bit", "2-bit", "1-bit"]),
            table("Search of the 2-bit index", values, &[("", "search")], &["exhaustive", "plaid-100", "probe-4", "plaid", "few"]),
        ],
        figures: vec![],
    };
    for drawing in frontiers(values) {
        compression.figures.push(figure::save(&drawing.figure, folder, &drawing.id, &drawing.caption)?);
    }
    for drawing in finished.jobs.iter().flat_map(|(_, outcome)| &outcome.drawings) {
        asking.figures.push(figure::save(&drawing.figure, folder, &drawing.id, &drawing.caption)?);
    }
    let averaging = Section {
        title: "A second domain".to_owned(),
        text: vec!["Post-training on English questions, alone and with a tenth of Japanese ones; `averaged` is the mean of the three sets of weights.".to_owned()],
        tables: vec![table(
            "nDCG@10 by domain",
            values,
            &[("first domain", "first-domain"), ("second domain", "second-domain")],
            &["base", "post", "replay", "averaged"],
        )],
        figures: vec![],
    };
    let mut sections = vec![training, asking, compression, averaging];
    sections.extend(pretrained_section(values));
    Ok(sections)
}

/// The pretrained encoder's tables, when it was there.
fn pretrained_section(values: &Values) -> Option<Section> {
    let arms = ["tokens", "4-bit", "2-bit", "1-bit", "pooled", "bm25"];
    let found = !values.of(SETTING, "tokens", "ndcg").is_empty();
    found.then(|| Section {
        title: "A pretrained encoder".to_owned(),
        text: vec!["all-MiniLM-L6-v2 without any training of ours on XQuAD's English questions: `tokens` scores its hidden states by MaxSim, the bits are an index of these, `pooled` is their mean. The intervals of its claims are over questions.".to_owned()],
        tables: vec![table("XQuAD-en, mean over questions", values, &[("", SETTING)], &arms)],
        figures: vec![],
    })
}

/// Means over seeds of one or more settings by arm; a single setting is shown with all its metrics.
fn table(caption: &str, values: &Values, settings: &[(&str, &str)], arms: &[&str]) -> Table {
    let cells: Vec<(String, &str, &str, usize)> = match settings {
        [(_, setting)] => {
            let metrics = [
                ("nDCG@10", "ndcg", 4),
                ("MRR@10", "mrr", 4),
                ("MRR", "reciprocal_rank", 4),
                ("Recall@3", "recall_3", 4),
                ("bytes", "bytes", 0),
                ("times smaller than 16 bits", "shrink", 2),
                ("ms per query", "latency_ms", 2),
            ];
            let here = |metric: &str| values.with(metric).any(|measured| measured.setting == *setting);
            let known = metrics.into_iter().filter(|(_, metric, _)| here(metric));
            known.map(|(head, metric, digits)| (head.to_owned(), *setting, metric, digits)).collect()
        }
        _ => settings.iter().map(|(head, setting)| ((*head).to_owned(), *setting, "ndcg", 4)).collect(),
    };
    let row = |arm: &&str| {
        let mut row = vec![(*arm).to_owned()];
        row.extend(cells.iter().map(|(_, setting, metric, digits)| {
            stats::mean(values.of(setting, arm, metric))
                .map_or("–".to_owned(), |mean| number(mean, *digits))
        }));
        row
    };
    let mut columns = vec!["arm".to_owned()];
    columns.extend(cells.iter().map(|(head, ..)| head.clone()));
    Table { caption: caption.to_owned(), columns, rows: arms.iter().map(row).collect() }
}

/// Quality on JaQuAD's development questions over training, for both schedules.
fn curves(finished: &Finished, folder: &Path) -> Result<Option<common::report::FigureFile>> {
    let mut groups: BTreeMap<&str, Vec<Vec<[f64; 2]>>> = BTreeMap::new();
    for (job, outcome) in &finished.jobs {
        match job.study {
            Study::Train { arm, .. } if Arm::DRAWN.contains(&arm) => {
                groups.entry(arm.name()).or_default().push(outcome.curve.clone());
            }
            _ => {}
        }
    }
    if groups.values().flatten().all(|curve| curve.len() < 2) {
        return Ok(None);
    }
    let figure = Figure::Curves {
        title: "Quality over training".to_owned(),
        x: "step".to_owned(),
        y: "nDCG@10, development questions".to_owned(),
        groups: groups.into_iter().map(|(name, runs)| (name.to_owned(), runs)).collect(),
    };
    let caption = "Thin lines are seeds. `paper` is the schedule-free optimiser at three times the rate of `linear`, `free-1x` and `free-5x` at once and five times; it needs no end in advance, `linear` decays to 0 at the last step.";
    Ok(Some(figure::save(&figure, folder, "curves", caption)?))
}

fn setup(preset: Preset) -> Vec<[String; 4]> {
    let amount = Amount::of(preset);
    let row = |what: &str, paper: &str, ours: String, why: &str| {
        [what.to_owned(), paper.to_owned(), ours, why.to_owned()]
    };
    vec![
        row(
            "encoder",
            "BERT base, 111 M parameters, pretrained; 128 values per token",
            format!(
                "{} layers, {} wide, from scratch; {} values per token",
                amount.layers, amount.hidden, amount.width
            ),
            "minutes on two cores, nothing to download",
        ),
        row(
            "tokens",
            "MeCab and WordPiece, 32,768",
            format!("WordPiece in runs of one script, {}", amount.vocabulary),
            "trained on the training part",
        ),
        row(
            "training data",
            "MMarco Japanese, 3.2 M examples",
            format!("JaQuAD, {} articles", amount.articles),
            "human-written and open",
        ),
        row("teacher", "BGE-M3 reranker", "BM25, the answer, the label".to_owned(), "no large model here"),
        row("documents per query", "32", WAYS.to_string(), "an article has about fourteen paragraphs"),
        row(
            "batch",
            "16 per GPU, 4 GPUs",
            "16, of two articles".to_owned(),
            "shared documents are encoded once",
        ),
        row("steps", "50,000", amount.steps.to_string(), "minutes"),
        row(
            "query, document length",
            "32, 300",
            format!("32, {DOCUMENT_LENGTH}"),
            "JSQuAD's paragraphs are shorter",
        ),
        row(
            "learning rate",
            "1e-5 linear, 3e-5 schedule-free",
            format!("{LINEAR_RATE} linear, {} schedule-free", 3.0 * LINEAR_RATE),
            "from scratch; the paper's ratio",
        ),
        row(
            "post-training",
            "180,000 Japanese examples",
            format!("{} steps on half of XQuAD-en, {POST_WAYS} documents per query", amount.post_steps),
            "another language is another domain",
        ),
        row(
            "test",
            "JSQuAD, 4,420 questions on 1,145 paragraphs, and four more",
            format!("{} of 4,442 questions on JSQuAD's 1,145 validation paragraphs", amount.queries),
            "fixed sample",
        ),
    ]
}

fn deviations() -> Vec<String> {
    [
        "D1 The encoder is trained from scratch for minutes. A pretrained one is far from its start in fewer steps: the size of every training effect can differ. Affects N1 to S2, A1, A2, M1.",
        "D2 The teacher is lexical and knows the label. Its scores are not those of a reranker: KL and MarginMSE could rank differently; as they are they are far apart, and after min-max the sharpest target for eight documents is e/(e+7) = 0.28. Affects N1, N2, L1, L2.",
        "D3 Other documents of a question are of its own article, so that all negatives are hard. Affects I1, I2.",
        "D4 The second domain is English, which the vocabulary hardly covers. Affects A1, A2.",
        "D5 With 1,145 documents PLAID has little to prune, and centroids and ids weigh more in the bytes. Affects R3, P1.",
        "D6 PLAID's thresholds are those of ColBERTv2, whose scores have another range. Affects P1.",
        "D7 The learning rate of `linear` is the best of seven on JaQuAD's development questions with two seeds of their own (`cargo run --example learning_rate`, 3e-5 to 4e-3: best 5e-4); all other arms take it or a multiple of it, none was tuned by itself. No test question was read for it. Affects N1 to S3.",
        "D8 Min-max makes two scores 0 and 1 whatever they are, so that `two-ways` gets no gradient at all and ends below an untrained encoder: I2 compares in-batch negatives with nothing. Found in the run, which its declaration did not foresee. Affects I2.",
        "D9 Without the projection a token vector has twice as many values here (768 and 128 in the paper). Affects E1.",
    ]
    .map(str::to_owned)
    .into()
}

fn limits() -> Vec<String> {
    [
        "The intervals are over training seeds; the questions are the same in all runs, so they say nothing of other questions.",
        "Absolute numbers of the paper cannot be tested at this size: no MIRACL, no ESCI, no teacher with billions of parameters.",
        "Times per query are of one process that shares its machine with another worker.",
        "A run of the preset `full`, or a pretrained encoder, could change the verdicts on training.",
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
            "initial weights, order of examples, documents of each query and replay each derive from the run seed; centroids have a seed of their own",
        ),
        fact("threads", "1 per worker process"),
        fact("repeat check", &around.repeat_check),
        fact(
            "not fixed",
            "the processor's instruction set: other machines agree within tolerance; times per query",
        ),
    ])
}

fn data_files(root: &Path, encoder: bool) -> Result<Vec<DataFile>> {
    // An encoder that the user typed the folder of is none of the data sets.
    let listed = encoder && data::locate(root, ENCODER).is_ok();
    Ok(DataFile::all_of(root, DATA_SETS.into_iter().chain(listed.then_some(ENCODER)))?)
}
