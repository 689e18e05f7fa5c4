//! The report: claims, findings, setup, deviations, cost.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use common::claims::Declared;
use common::report::{Circumstances, DataFile, Report, number};
use common::{data, outcome};

use super::analysis::{Finished, judge};
use super::corpora::{DICTIONARIES, VECTORS};
use super::design::{Preset, Work};
use super::pair::Pair;
use super::tables;
use crate::config::Config;

/// The report of a finished design; its figures are written below `folder`.
///
/// # Errors
/// Missing data, figures that cannot be written.
pub fn report(
    declared: &Declared,
    finished: &Finished,
    around: &Circumstances,
    folder: &Path,
) -> Result<Report> {
    let design = &finished.design;
    let headline = match design.preset {
        Preset::Quick => format!(
            "Indicative only: {} seeds, two pairs, a short schedule. Run the preset `cpu` for verdicts.",
            design.seeds.len()
        ),
        _ => format!(
            "{} seeds with {} random samples of the target each; ε chosen on development data.",
            design.seeds.len(),
            design.samples
        ),
    };
    let headline = match around.generated.is_empty() {
        true => headline,
        false => format!(
            "Generated text instead of {}: this shows that everything runs, nothing else. {headline}",
            around.generated.join(", ")
        ),
    };
    let outcomes = finished.candidates.iter().chain(&finished.compared).map(|(_, outcome)| outcome);
    let mut report = Report {
        headline,
        claims: judge(declared, finished),
        setup: setup(finished),
        deviations: deviations(),
        sections: tables::sections(finished, folder)?,
        compute: outcome::cost(outcomes, around.workers, around.wall_s),
        data: data_files(finished, around)?,
        determinism: determinism(finished, around),
        limits: limits(),
        ..around.frame("transfer-ner", design.preset.name(), &declared.paper)
    };
    report.summary = summary(&report, finished);
    Ok(report)
}

fn summary(report: &Report, finished: &Finished) -> Vec<String> {
    vec![
        "Scope: does transfer from a rich source raise the F1 of named entities in a target with few sentences, which part of DATNet carries it, and how do the other methods of the survey stand beside it? The published result tables were not available to us, so only directions are judged.".to_owned(),
        format!("Result: {}. Mean gain over the target alone in points of F1: F-Transfer {}; DATNet-F {}.", report.verdict_counts(), tables::gains(finished, "f").join(", "), tables::gains(finished, "datnet-f").join(", ")),
        "What differs most from the papers: small networks, short schedules, open corpora, and small or no pre-trained word vectors.".to_owned(),
    ]
}

fn setup(finished: &Finished) -> Vec<[String; 4]> {
    let mut rows: Vec<[String; 4]> = Vec::new();
    for (job, outcome) in &finished.compared {
        let Work::Train(config) = &job.work else { continue };
        if rows.iter().any(|row| row[0] == job.arm) {
            continue;
        }
        let parameters = outcome.measured.iter().find(|measured| measured.metric == "parameters");
        let parameters = parameters.map_or("—".to_owned(), |p| number(p.values[0], 0));
        rows.push([
            job.arm.clone(),
            papers(config).to_owned(),
            ours(config, &parameters),
            "two CPU cores".to_owned(),
        ]);
    }
    let design = &finished.design;
    let shared = format!(
        "{} source, {} development and {} test sentences",
        design.sizes.source, design.sizes.dev, design.sizes.test
    );
    rows.push(["sentences".into(), "all".into(), shared, "time; drawn once for all runs".into()]);
    rows.push([
        "target updates".into(),
        "50 epochs".into(),
        format!("{}, three times as many above 200 target sentences; as many of the source where both are taken in turn or one first", design.scale.updates),
        "time; the base has as many target updates as the transfer methods, hence half of their total".into(),
    ]);
    rows.push([
        "selection".into(),
        "best test F1 (release A), best development F1 (release B)".into(),
        format!("best development F1 of {} rounds", design.scale.rounds),
        "the test set must not choose".into(),
    ]);
    let epsilons: Vec<String> = design.epsilons.iter().map(f64::to_string).collect();
    rows.push([
        "ε".into(),
        "5".into(),
        format!("one of {}, on development data", epsilons.join(", ")),
        "5 is large against these vectors".into(),
    ]);
    rows
}

fn papers(config: &Config) -> &'static str {
    use crate::config::Method::*;
    match config.method {
        Base | DatnetF | DatnetP => {
            "release A: characters 50, filters 20 of widths 2, 3, 4, two highways, BiLSTM 200 (F) or 100+100 (P) per direction, Adam 1e-3"
        }
        Direct | Cheap => "any monolingual tagger",
        Align => "character BiLSTM 25 to 100, words 100, BiLSTM 200, self-attention, SGD 0.015",
        Init | Mult => "other tasks and networks",
        Adapt => "details not known to us",
        CwsAdv => "BiLSTM 120, 8 heads",
    }
}

fn ours(config: &Config, parameters: &str) -> String {
    let (n, s) = (&config.network, &config.schedule);
    format!(
        "{parameters} trained parameters; characters {}, {} filters of each width, BiLSTM {} shared{} per direction; discriminator {}, AT {}; Adam {} with decay {} per round; batches of {}; dropout {} and {}",
        n.character_width,
        n.filters,
        n.shared_hidden,
        if n.private_hidden > 0 { format!(" and {} private", n.private_hidden) } else { String::new() },
        config.discriminator,
        config.adversarial,
        s.learning_rate,
        s.decay,
        s.batch_sentences,
        n.dropout_input,
        n.dropout_output
    )
}

fn deviations() -> Vec<String> {
    [
        "D1 Other corpora: CoNLL-2002/2003 may not be redistributed and WNUT-2016 has no clear licence. WikiNEuRal (silver) and Universal NER stand in for English to Spanish, the Broad Twitter Corpus and WNUT-2017 for social media. Affects all claims.",
        "D2 Word vectors: 50 dimensions from half a million words for es (unlabelled development and test sentences were part of their text), none for the other pairs, where they are learned from the training sentences. Affects C1, C3, C8.",
        "D3 Networks of a third to a half of the published widths and short schedules: the taggers are under-trained by the papers' standards. Affects all claims.",
        "D4 Target samples are random and differ between runs; the releases take the first n sentences. Wider intervals. Affects all claims.",
        "D5 One optimiser for both resources; source and target batches in turn, one to one. The releases use two optimisers and a schedule of their own. Affects C1 to C4.",
        "D6 The source of the cross-domain pairs is WikiGold with EWT, its MISC entities dropped. Output layers are separate, so that WNUT's types need no mapping. Affects C1, C4.",
        "D7 INIT, MULT and adaptation layers on named entities only; Mou et al. transfer between other tasks. The sentence adaptation is added to its input. MULT is layout F without a discriminator: arms of both names in one setting are the same runs. Affects C6o, C6h, C6m, C9.",
        "D8 Translation with FreeDict instead of the papers' lexicons, without Wikipedia features; the frequencies of translations come from the target's training text without its annotation. Without target sentences the round is still chosen on target development sentences, for all methods alike. Affects C7, C8.",
        "D9 The tagger of the method `align` is the base with self-attention, not the character BiLSTM of Xie et al.; padding takes no part in its soft-max. Affects C8.",
        "D10 Cao et al. segment Chinese; here Japanese words of one half of the Wikipedia Annotated Corpus serve its entities on characters of the other half, with networks of 32 units per direction instead of 120 and 80 batches (240 from 1,000 sentences) instead of 140 passes. Affects C10, C10a.",
        "D11 Sizes and learning rate were set in pilot runs on WikiNEuRal's development sentences, with other seeds than the compared runs.",
        "D12 The pre-trained encoder is all-MiniLM-L6-v2, a sentence encoder of six layers, frozen; most taggers today tune a larger one. It reads English, so that only the pairs within English have it. Affects P2, P3.",
    ]
    .map(str::to_owned)
    .into()
}

fn limits() -> Vec<String> {
    [
        "The verdict `opposite` follows from the interval of the difference, which is not adjusted for the number of parts; the column p (Holm) is.",
        "Runs of one seed share nothing but the order of magnitude of their random streams: a unit of replication is a seed with a sample, so that with few target sentences most of the variation is the sample's.",
        "The base sees as many target batches as the transfer methods but no source batches: with equal totals it would see twice as many, which at these sizes it mostly does not need.",
        "With 50 to 200 target sentences the development set of 150 sentences is as large as the training set; a low-resource setting in earnest would not have it.",
        "ε is chosen on two seeds of 50 target sentences. Where two lengths are close, the larger one can win there and break down with other seeds (see the choice of ε): arms with AT of such a pair show a bad ε more than AT. More seeds for the choice could change C1d, C2a, C4, P2 and P3.",
        "On WNUT-2017 all arms stay at a few points of F1 and on Portuguese without target sentences near 0: the schedule is too short and the pair too far for these networks. Claims judged there (C1, C1d, C4, C7) rest on differences between weak taggers.",
        "The sources of the random samples and of the shared parts are small: 2,000 source and 400 test sentences for all runs. Another draw of them would move all arms of a pair together.",
        "WikiNEuRal's annotation is made by a machine: scores there are agreement with another system.",
        "Longer schedules, better word vectors or a larger encoder that is tuned could change every verdict.",
    ]
    .map(str::to_owned)
    .into()
}

fn determinism(finished: &Finished, around: &Circumstances) -> BTreeMap<String, String> {
    let text = |seeds: &[u64]| seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let design = &finished.design;
    BTreeMap::from([
        ("seeds".to_owned(), format!("{} (candidates: {})", text(&design.seeds), text(&design.tuning_seeds))),
        ("streams".to_owned(), "initial weights, target sample, batch order of each resource, unknown words and dropout each derive from the run's seed and sample".to_owned()),
        ("threads".to_owned(), "1 per worker process".to_owned()),
        ("repeat check".to_owned(), around.repeat_check.clone()),
        ("not fixed".to_owned(), "the processor's instruction set: other machines agree within tolerance, not bit by bit".to_owned()),
    ])
}

fn data_files(finished: &Finished, around: &Circumstances) -> Result<Vec<DataFile>> {
    let mut wanted: Vec<(&'static str, &'static str)> = Vec::new();
    for pair in finished.design.pairs() {
        for corpus in pair.sources().iter().chain([&pair.target()]) {
            wanted.extend(corpus.files().iter().map(|file| (corpus.data_set(), *file)));
        }
        wanted.extend(pair.vectors().into_iter().flatten().map(|file| (VECTORS, file)));
        wanted.extend(pair.dictionary().map(|file| (DICTIONARIES, file)));
    }
    wanted.sort_unstable();
    wanted.dedup();
    let mut files = Vec::new();
    for (set, path) in wanted {
        if around.generated.iter().any(|name| name == set) {
            continue;
        }
        let set = data::locate(&around.data, set)?;
        if let Some(entry) = set.entry.files.iter().find(|file| file.path == path) {
            files.push(DataFile::of(&set, entry)?);
        }
    }
    let encoder = finished.design.pairs().into_iter().find_map(Pair::encoder);
    files.extend(DataFile::all_of(&around.data, encoder)?);
    Ok(files)
}
