//! The findings beyond the claims: tables and figures of the report.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use common::figure::{self, Figure, Panel};
use common::report::{FigureFile, Section, Table, mean_with_interval, number, p_value};
use common::{seed, stats};
use tch::{Kind, Tensor};

use super::analysis::Finished;
use super::outcome::TestScores;
use crate::loss::{Context, Loss, mom_ce_weights};

/// Resamples of the test sentences. Ours; the papers' usual 10,000 changes no second digit here.
const RESAMPLES: usize = 2000;
/// Overlapping sequences of arms in figures and tables.
const ARMS: [&str; 6] = ["ce", "mom", "wce1", "wce2", "focal", "dice"];

/// All sections; figures are written below `folder`.
///
/// # Errors
/// Figures that cannot be written.
pub(super) fn sections(finished: &Finished, folder: &Path) -> Result<Vec<Section>> {
    Ok(vec![
        all_losses(finished, folder)?,
        identity(finished, folder)?,
        errors(finished, folder)?,
        per_entity(finished),
        sentences(finished),
        tuning(finished, folder)?,
    ])
}

/// Settings with the full set of losses.
fn full_settings(finished: &Finished) -> Vec<String> {
    let settings = finished.settings().into_iter();
    settings
        .filter(|(_, arms)| ARMS.iter().all(|arm| arms.iter().any(|a| a == arm)))
        .map(|(name, _)| name)
        .collect()
}

fn interval(values: &[f64], scale: f64) -> String {
    let values: Vec<f64> = values.iter().map(|value| value * scale).collect();
    match (stats::mean(&values), stats::t_interval(&values)) {
        (Some(mean), Some(ci)) => mean_with_interval(mean, ci),
        (Some(mean), None) => number(mean, 2),
        _ => "—".to_owned(),
    }
}

fn panels(finished: &Finished, settings: &[String], metric: &str, scale: f64) -> Vec<Panel> {
    let row = |setting: &String, arm: &str| {
        (arm.to_owned(), finished.metric(setting, arm, metric).iter().map(|value| value * scale).collect())
    };
    let panel = |setting: &String| Panel {
        title: setting.clone(),
        rows: ARMS.iter().map(|arm| row(setting, arm)).collect(),
    };
    settings.iter().map(panel).collect()
}

fn all_losses(finished: &Finished, folder: &Path) -> Result<Section> {
    let settings = full_settings(finished);
    let overview = Figure::Dots {
        title: "Entity F1 on the test sentences".to_owned(),
        value: "micro-F1, %".to_owned(),
        panels: panels(finished, &settings, "micro_f1", 100.0),
    };
    let caption = "Micro-averaged entity F1 (lenient seqeval reading). Every seed is a dot; above it the mean with its 95 % t-interval over seeds.";
    let ratio = Figure::Dots {
        title: "Predicted over gold entity words".to_owned(),
        value: "ratio; below 1 a model predicts too few".to_owned(),
        panels: panels(finished, &settings, "predicted_gold_ratio", 1.0),
    };
    let ratio_caption = "MoM lowers the ratio, inverse-frequency weights raise it: the two move weight in opposite directions.";
    let columns = [
        "setting",
        "arm",
        "loss",
        "micro-F1 %",
        "precision %",
        "recall %",
        "macro-F1 %",
        "O-class F1 %",
        "predicted/gold",
    ];
    let mut rows = Vec::new();
    for (setting, arms) in finished.settings() {
        for arm in arms {
            let scores = finished.scores(&setting, &arm);
            let of = |value: fn(&TestScores) -> f64| scores.iter().map(|s| value(s)).collect::<Vec<f64>>();
            let loss = finished.compared.iter().find(|(job, _)| job.setting == setting && job.arm == arm);
            rows.push(vec![
                setting.clone(),
                arm,
                loss.map_or(String::new(), |(_, outcome)| outcome.loss.clone()),
                interval(&of(|s| s.micro_f1), 100.0),
                interval(&of(|s| s.precision), 100.0),
                interval(&of(|s| s.recall), 100.0),
                interval(&of(|s| s.macro_f1), 100.0),
                interval(&of(|s| s.outside_f1), 100.0),
                interval(&of(|s| s.predicted_gold_ratio), 1.0),
            ]);
        }
    }
    let table = Table {
        caption: "Mean [95 % t-interval over seeds] on the test sentences".to_owned(),
        columns: columns.map(str::to_owned).into(),
        rows,
    };
    Ok(Section {
        title: "All losses".to_owned(),
        text: vec!["Every arm of a setting was trained on the same seeds: same initial weights, same training sample, same batch order. Intervals cover initialisation, training sample, batch order and dropout; they say nothing about other test sentences (see the section on test sentences).".to_owned()],
        tables: vec![table],
        figures: vec![
            figure::save(&overview, folder, "overview", caption)?,
            figure::save(&ratio, folder, "ratio", ratio_caption)?,
        ],
    })
}

/// Largest difference, over loss and gradient, between MoM-CE(λ) and the re-weighted cross-entropy on random scores.
pub fn identity_error(lambda: f64) -> f64 {
    tch::manual_seed(seed::derive(0, "identity", 0) as i64);
    let options = (Kind::Double, tch::Device::Cpu);
    let scores = Tensor::randn([200, 9], options) * 3.0;
    let labels =
        Tensor::randint(9, [200], (Kind::Int64, tch::Device::Cpu)) * Tensor::rand([200], options).gt(0.8);
    let context = Context::new(&Tensor::ones([9], options), &[200]);
    let mom: Loss = format!("mom:ce:{lambda}").parse().expect("a loss of this crate");
    let run = |loss: &dyn Fn(&Tensor) -> Tensor| {
        let leaf = scores.copy().set_requires_grad(true);
        let value = loss(&leaf);
        value.backward();
        (value.double_value(&[]), leaf.grad())
    };
    let (value, gradient) = run(&|leaf| mom.forward(leaf, &labels, &context));
    let weights = Tensor::from_slice(&mom_ce_weights(lambda, 9)).index_select(0, &labels);
    let (other, other_gradient) = run(&|leaf| {
        let log_probs = leaf.log_softmax(-1, Kind::Double);
        -(log_probs.gather(1, &labels.unsqueeze(-1), false).squeeze_dim(-1) * &weights).mean(Kind::Double)
    });
    (value - other).abs().max((gradient - other_gradient).abs().max().double_value(&[]))
}

fn identity(finished: &Finished, folder: &Path) -> Result<Section> {
    let mut groups: BTreeMap<String, Vec<[f64; 2]>> = BTreeMap::new();
    for (setting, arms) in finished.settings() {
        for base in &arms {
            let mom = if base == "ce" && arms.iter().any(|arm| arm == "mom") {
                "mom".to_owned()
            } else {
                format!("{base}+mom")
            };
            let ratios = finished.metric(&setting, base, "predicted_gold_ratio");
            if arms.contains(&mom) {
                let gains = finished.gains(&setting, &mom, base);
                let points = ratios.into_iter().zip(gains).map(|(ratio, gain)| [ratio, gain * 100.0]);
                let name = if base == "ce" { "cross-entropy" } else { base };
                groups.entry(name.to_owned()).or_default().extend(points);
            }
        }
    }
    let (ratios, gains): (Vec<f64>, Vec<f64>) = groups.values().flatten().map(|&[x, y]| (x, y)).unzip();
    let over = finished.settings().into_iter().filter(|(setting, _)| setting.ends_with("-over")).map(
        |(setting, _)| {
            let ratio = |arm: &str| {
                let mean = stats::mean(&finished.metric(&setting, arm, "predicted_gold_ratio"));
                mean.map_or("not run".to_owned(), |ratio| number(ratio, 2))
            };
            format!(
                "{setting}: oversampled {}, recall {}, ce {}",
                ratio("oversampled"),
                ratio("recall"),
                ratio("ce")
            )
        },
    );
    let over: Vec<String> = over.collect();
    let correlation = stats::spearman(&ratios, &gains).map_or("undefined".to_owned(), |rho| number(rho, 2));
    let error = identity_error(0.3);
    let scatter = Figure::Scatter {
        title: "Gain of MoM against how much its baseline predicts".to_owned(),
        x: "baseline's predicted over gold entity words".to_owned(),
        y: "micro-F1 of MoM − baseline, points".to_owned(),
        fitted: true,
        groups: groups.into_iter().collect(),
    };
    let caption = "One dot per setting and seed, coloured by the baseline: the gain of MoM over it against its predicted-to-gold ratio; line: least squares over all dots. Above 1 the baseline predicts too many entity words.";
    let text = vec![
        "With cross-entropy and one shared normaliser, λ·(1/N) Σ ce + (1−λ)·(1/N) Σ over O of ce equals (1/N) Σ w·ce with w = 1 for O and w = λ for every entity class. MoM over cross-entropy is therefore weighted cross-entropy that moves weight towards the majority class, opposite to inverse class frequency.".to_owned(),
        format!("Checked by running both on 200 random words in f64 (λ = 0.3): loss and gradient differ by at most {error:.1e}."),
        "So MoM must make a model predict fewer entity words: precision rises, recall falls. It can raise F1 only where the baseline predicts too many. That is a prediction about when MoM helps: the gain should grow with the baseline's predicted-to-gold ratio. The settings named `over` test it with baselines that were made to over-predict: sentences drawn by their share of entity words (`oversampled`), and cross-entropy with a light O (`recall`).".to_owned(),
        match over.is_empty() {
            true => "They are not part of this preset.".to_owned(),
            false => format!("Mean predicted-to-gold ratios of the baselines there: {}. Where a ratio is below 1 the baseline was not made to over-predict after all, and the pair does not test the prediction.", over.join("; ")),
        },
        format!("Over all {} pairs of runs the rank correlation between the baseline's ratio and the gain is {correlation}.", ratios.len()),
    ];
    Ok(Section {
        title: "MoM over cross-entropy is a re-weighted cross-entropy: when does it help?".to_owned(),
        text,
        tables: vec![],
        figures: vec![figure::save(&scatter, folder, "gain-by-ratio", caption)?],
    })
}

fn errors(finished: &Finished, folder: &Path) -> Result<Section> {
    let settings = full_settings(finished);
    let parts = ["missed", "spurious", "border", "type", "border and type"].map(str::to_owned);
    let mean = |setting: &str, arm: &str, value: &dyn Fn(&TestScores) -> f64| {
        let values: Vec<f64> = finished.scores(setting, arm).iter().map(|scores| value(scores)).collect();
        stats::mean(&values).unwrap_or_default()
    };
    let (mut bars, mut rows) = (Vec::new(), Vec::new());
    for setting in &settings {
        for arm in ARMS {
            let share = |count: fn(&TestScores) -> u64| {
                mean(setting, arm, &|scores| count(scores) as f64 / scores.errors.gold as f64)
            };
            let shares = [
                share(|s| s.errors.missed),
                share(|s| s.errors.spurious),
                share(|s| s.errors.border),
                share(|s| s.errors.kind),
                share(|s| s.errors.border_and_kind),
            ];
            let tokens: [fn(&TestScores) -> u64; 3] = [
                |s| s.tokens.minority_to_majority,
                |s| s.tokens.majority_to_minority,
                |s| s.tokens.minority_to_minority,
            ];
            let tokens = tokens.map(|count| number(mean(setting, arm, &|scores| count(scores) as f64), 0));
            let cells = shares.iter().map(|share| number(share * 100.0, 1)).chain(tokens);
            rows.push([setting.clone(), arm.to_owned()].into_iter().chain(cells).collect());
            if setting == &settings[0] || setting.starts_with("btc-b") {
                bars.push((format!("{setting} {arm}"), shares.into()));
            }
        }
    }
    let figure = Figure::Bars {
        title: "Wrong entities by kind".to_owned(),
        value: "share of the gold entities, mean over seeds".to_owned(),
        parts: parts.into(),
        bars,
    };
    let columns = [
        "setting",
        "arm",
        "missed %",
        "spurious %",
        "border %",
        "type %",
        "border+type %",
        "minority→majority words",
        "majority→minority words",
        "minority→minority words",
    ];
    let table = Table {
        caption: "Error split, means over seeds; per cent of the gold entities, then words".to_owned(),
        columns: columns.map(str::to_owned).into(),
        rows,
    };
    let caption = "Missed: no prediction touches the gold entity. Spurious: the prediction touches none. Border, type: what of a touching prediction is wrong.";
    Ok(Section {
        title: "Where the errors go".to_owned(),
        text: vec![],
        tables: vec![table],
        figures: vec![figure::save(&figure, folder, "errors", caption)?],
    })
}

fn per_entity(finished: &Finished) -> Section {
    let mut rows = Vec::new();
    for setting in full_settings(finished) {
        let first = finished.scores(&setting, "ce");
        let Some(scores) = first.first() else { continue };
        for (label, score) in scores.types.iter().filter(|(_, score)| score.support > 0) {
            let f1 = |arm: &str| {
                let values = finished
                    .scores(&setting, arm)
                    .iter()
                    .map(|s| s.types.get(label).map_or(0.0, |t| t.f1))
                    .collect::<Vec<_>>();
                interval(&values, 100.0)
            };
            let cells = ARMS.iter().map(|arm| f1(arm));
            rows.push(
                [setting.clone(), label.clone(), score.support.to_string()]
                    .into_iter()
                    .chain(cells)
                    .collect(),
            );
        }
    }
    let columns = ["setting", "type", "gold"].into_iter().chain(ARMS).map(str::to_owned).collect();
    let table = Table {
        caption: "F1 % per entity type, mean [95 % t-interval over seeds]".to_owned(),
        columns,
        rows,
    };
    Section { title: "Per entity type".to_owned(), text: vec![], tables: vec![table], figures: vec![] }
}

/// MoM against cross-entropy over test sentences, counts summed over seeds.
fn sentences(finished: &Finished) -> Section {
    let mut rows = Vec::new();
    for setting in full_settings(finished) {
        let sum = |arm: &str| {
            let runs = finished.scores(&setting, arm);
            let n = runs.first().map_or(0, |run| run.sentences.len());
            (0..n)
                .map(|row| {
                    runs.iter().fold([0.0; 3], |sum: [f64; 3], run| {
                        std::array::from_fn(|k| sum[k] + f64::from(run.sentences[row][k]))
                    })
                })
                .collect::<Vec<_>>()
        };
        let (mom, ce) = (sum("mom"), sum("ce"));
        let f1 = |counts: [f64; 3]| {
            if counts[1] + counts[2] > 0.0 { 2.0 * counts[0] / (counts[1] + counts[2]) } else { 0.0 }
        };
        let add = |total: &mut [f64; 3], one: &[f64; 3]| (0..3).for_each(|k| total[k] += one[k]);
        let mut rng = seed::rng(0, "bootstrap", 0);
        let interval = stats::paired_bootstrap(ce.len(), RESAMPLES, &mut rng, |rows| {
            let (mut a, mut b) = ([0.0; 3], [0.0; 3]);
            rows.iter().for_each(|&row| (add(&mut a, &mom[row]), add(&mut b, &ce[row])).0);
            (f1(a) - f1(b)) * 100.0
        });
        let mut observed = 0.0;
        let p = stats::approximate_randomisation(ce.len(), RESAMPLES, &mut rng, |swapped| {
            let (mut a, mut b) = ([0.0; 3], [0.0; 3]);
            for (row, swap) in swapped.iter().enumerate() {
                let (x, y) = if *swap { (&ce[row], &mom[row]) } else { (&mom[row], &ce[row]) };
                add(&mut a, x);
                add(&mut b, y);
            }
            let difference = f1(a) - f1(b);
            if !swapped.iter().any(|swap| *swap) {
                observed = difference * 100.0;
            }
            difference
        });
        if let Some(interval) = interval {
            rows.push(vec![
                setting,
                ce.len().to_string(),
                mean_with_interval(observed, interval),
                p_value(p),
            ]);
        }
    }
    let columns =
        ["setting", "test sentences", "MoM − CE, points [95 % bootstrap]", "p (approximate randomisation)"];
    let table = Table {
        caption: format!(
            "Paired bootstrap and approximate randomisation over test sentences, {RESAMPLES} rounds"
        ),
        columns: columns.map(str::to_owned).into(),
        rows,
    };
    let text = "Intervals over test sentences on counts summed over seeds: they say how the difference would vary with other test sentences, not with other training runs.";
    Section {
        title: "Test sentences".to_owned(),
        text: vec![text.to_owned()],
        tables: vec![table],
        figures: vec![],
    }
}

fn tuning(finished: &Finished, folder: &Path) -> Result<Section> {
    let mut rows = Vec::new();
    for (job, outcome) in &finished.candidates {
        let chosen = finished.chosen.get(&(job.setting.clone(), job.arm.clone())) == Some(&job.config.loss);
        let f1 = number(outcome.dev_micro_f1 * 100.0, 2);
        rows.push(vec![
            job.setting.clone(),
            outcome.loss.clone(),
            f1,
            if chosen { "chosen" } else { "" }.to_owned(),
        ]);
    }
    let table = Table {
        caption: "Candidates by development micro-F1 %, one run each on a seed of their own".to_owned(),
        columns: ["setting", "loss", "development F1 %", ""].map(str::to_owned).into(),
        rows,
    };
    let mut figures: Vec<FigureFile> = Vec::new();
    for setting in full_settings(finished).into_iter().take(1) {
        let runs = |arm: &str| {
            let runs = finished.compared.iter().filter(|(job, _)| job.setting == setting && job.arm == arm);
            runs.map(|(_, o)| o.curve.iter().map(|p| [p.step as f64, p.dev_f1 * 100.0]).collect()).collect()
        };
        let curves = Figure::Curves {
            title: format!("Development F1 over training, {setting}"),
            x: "optimiser step".to_owned(),
            y: "micro-F1, %".to_owned(),
            groups: ARMS.iter().map(|arm| ((*arm).to_owned(), runs(arm))).collect(),
        };
        let caption = "One thin line per seed, bold median. The epoch with the best development F1 is kept.";
        figures.push(figure::save(&curves, folder, "curves", caption)?);
    }
    let text = "λ, γ, the weight of O and the form of dice were chosen on development data from three candidates each: equal budgets. Cross-entropy and WCE-1 have nothing to choose. The test sentences were scored once, after the choice.";
    Ok(Section {
        title: "Choice of settings".to_owned(),
        text: vec![text.to_owned()],
        tables: vec![table],
        figures,
    })
}
