//! What a reader must know beside the numbers: setup, deviations, limits, determinism.

use std::collections::BTreeMap;

use common::report::{Circumstances, number};

use super::Finished;
use crate::transactions::experiment::design::{Amount, FAST_RATE, Preset, RATE};
use crate::transactions::experiment::generated::{N_COMPANIES, NOISE};
use crate::transactions::train::MARGIN;

pub(super) fn setup(preset: Preset) -> Vec<[String; 4]> {
    let amount = Amount::of(preset);
    let row = |what: &str, paper: &str, ours: String, why: &str| {
        [what.to_owned(), paper.to_owned(), ours, why.to_owned()]
    };
    let size = amount.size;
    vec![
        row("encoder", "a pre-trained sentence-transformers model, not named", format!("BERT, {} layers, {} wide, from scratch, mean-pooled", size.layers, size.hidden), "minutes on two cores, nothing to download"),
        row("vector", "smaller than usual, not said", format!("{} values", size.width), "a search of a million in milliseconds"),
        row("string", "merchant, category, department, location, amount, memo, programme, trip", "the same in this order, missing ones left out; purchase cards: merchant, directorate, cost centre, VAT code".to_owned(), "what the data have"),
        row("loss", "triplet with margin, not said", format!("triplet, cosine distance, margin {MARGIN}"), "ours"),
        row("batch", "not said", "16 accounts, 4 strings of each".to_owned(), "ours"),
        row("steps", "not said", format!("{}; {} on all rows", amount.steps, amount.whole_steps), "minutes"),
        row("step size", "not said", format!("AdamW, {RATE} ({FAST_RATE} for `softmax` and `supervised`), a tenth warm-up, linear decay"), "chosen on held-out months"),
        row("data", "customers' transactions", format!("birmingham-pcard, one row in {} (losses, mining, width), one in {} (suggestions); {} generated transactions of each of {N_COMPANIES} companies", amount.stride, amount.whole_stride, amount.generated), "public"),
        row("confusable", "fine distinctions, by example", "rows of merchants with three accounts or more before the test; generated: rows that need more than the merchant".to_owned(), "declared before the run"),
    ]
}

pub(super) fn deviations() -> Vec<String> {
    [
        "D1 The encoder is trained from scratch for minutes; the article starts from a pre-trained one, which knows words that the ledger does not have. Affects all claims.",
        "D2 Margin, batch, mining and the rule that turns neighbours into a suggestion are ours: the article does not print them. Affects T1 to T4.",
        "D3 Contrastive loss sees all pairs of a batch, positive and negative ones of equal weight in sum. Margins of triplets (0.2 or 0.5) and of pairs (0.3 or 0.5) and step sizes (three) were chosen on held-out months with the same effort, for the others the step size alone. Affects T1, T2, T14.",
        "D4 Purchase cards have no memo, trip, programme or merchant category. The amount is left out of their string, so that equal purchases share a vector. Affects the purchase-card parts.",
        "D5 The generated ledger is as hard as its rules make it. Affects the ledger parts.",
        "D6 Hard mining and the narrow widths take the step size and margin of the triplet arm, which were not chosen for them; at these hard mining draws all vectors to one point. Affects T4, T7.",
        "D7 Test accuracies were seen while the method was developed, and fifteen jobs of an earlier run before it was started anew with more columns for new accounts; claims and amounts stayed as declared. Affects all claims.",
    ]
    .map(str::to_owned)
    .into()
}

pub(super) fn limits() -> Vec<String> {
    [
        "The intervals are over training seeds; rows and split are the same in all runs, so they say nothing of another ledger.".to_owned(),
        "Floors have no seed; their one value stands beside each seed's.".to_owned(),
        "One council, four test months: codes drift over time, and a council is no company.".to_owned(),
        format!("The generated ledger has {} of its labels wrong on purpose; `best-possible` is what its rules allow.", number(NOISE, 2)),
        "Times are of one process that shares its machine with another worker.".to_owned(),
    ]
    .into()
}

pub(super) fn determinism(finished: &Finished, around: &Circumstances) -> BTreeMap<String, String> {
    let seeds: Vec<String> = finished.seeds.iter().map(u64::to_string).collect();
    let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    BTreeMap::from([
        fact("seeds", &seeds.join(", ")),
        fact(
            "streams",
            "initial weights, batches and random negatives each derive from the run seed; the sample of rows and the generated ledger have seeds of their own",
        ),
        fact("threads", "1 per worker process"),
        fact("repeat check", &around.repeat_check),
        fact("not fixed", "the processor's instruction set: other machines agree within tolerance; times"),
    ])
}
