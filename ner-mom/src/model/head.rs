//! What turns a word's state into entities: tag scores, a CRF over them, or answers to one query per entity type.

use common::crf::Crf;
use common::formats::{Sentence, Span};
use common::nn::linear::Linear;
use tch::nn::Path;
use tch::{Device, Kind, Tensor};

use crate::batch::{Batch, Row};
use crate::config::HeadKind;
use crate::loss::{Context, Loss, inverse_frequency, weights_tensor};
use common::tagging::label::{LabelSet, UnknownType, class_counts};

/// Weight of the span classifier beside the start and end classifiers. Released scripts of Li et al. 2020: 0.1.
const SPAN_WEIGHT: f64 = 0.1;

/// The last layers of a tagger.
#[derive(Debug)]
pub(super) enum Head {
    Tags(Linear),
    Crf { emissions: Linear, crf: Crf },
    Queries(Queries),
}

/// Start, end and span classifiers of the reading-comprehension formulation, each with the classes no and yes.
#[derive(Debug)]
pub(super) struct Queries {
    start: Linear,
    end: Linear,
    span_from: Linear,
    span_to: Linear,
    span: Linear,
}

/// Gold annotation of the training sentences in the form that a head learns.
#[derive(Debug)]
pub struct Gold {
    classes: Vec<Vec<i64>>,
    /// Start, last word and type of each entity.
    entities: Vec<Vec<(usize, usize, usize)>>,
    /// Inverse-frequency weights of the head's classes, `[classes]`.
    class_weights: Tensor,
}

impl Gold {
    /// Gold annotation of `sentences` for a model with these labels.
    ///
    /// # Errors
    /// [`UnknownType`] for an entity type that the model lacks.
    pub fn new(
        head: HeadKind,
        labels: &LabelSet,
        sentences: &[Sentence],
        device: Device,
    ) -> Result<Self, UnknownType> {
        let entity = |span: &Span| Ok((span.start, span.end - 1, labels.index(&span.label)?));
        let entities: Vec<Vec<_>> = sentences
            .iter()
            .map(|sentence| sentence.spans.iter().map(entity).collect::<Result<_, _>>())
            .collect::<Result<_, _>>()?;
        let counts = match head {
            HeadKind::Softmax | HeadKind::Crf => class_counts(labels, sentences)?,
            HeadKind::Mrc => {
                let words: usize = sentences.iter().map(|sentence| sentence.words.len()).sum();
                let yes: usize = entities.iter().map(Vec::len).sum();
                [words * labels.types().len() - yes, yes].map(|count| count as u64).into()
            }
        };
        Ok(Self {
            classes: sentences
                .iter()
                .map(|s| labels.encode(&s.spans, s.words.len()))
                .collect::<Result<_, _>>()?,
            entities,
            class_weights: weights_tensor(&inverse_frequency(&counts)).to_device(device),
        })
    }

    /// First and last words of a row's entities.
    fn answers(&self, row: &Row) -> impl Iterator<Item = (usize, usize)> {
        let query = row.query;
        let entities = self.entities[row.sentence].iter();
        entities.filter(move |(_, _, kind)| Some(*kind) == query).map(|&(first, last, _)| (first, last))
    }
}

impl Head {
    pub(super) fn new(path: &Path, kind: HeadKind, width: i64, n_classes: i64) -> Self {
        match kind {
            HeadKind::Softmax => Self::Tags(Linear::new(path, width, n_classes)),
            HeadKind::Crf => Self::Crf {
                emissions: Linear::new(path, width, n_classes),
                crf: Crf::new(&(path / "crf"), n_classes),
            },
            HeadKind::Mrc => Self::Queries(Queries {
                start: Linear::new(&(path / "start"), width, 2),
                end: Linear::new(&(path / "end"), width, 2),
                span_from: Linear::new(&(path / "span_from"), width, width),
                span_to: Linear::new(&(path / "span_to"), width, width),
                span: Linear::new(&(path / "span"), width, 2),
            }),
        }
    }

    /// Loss of a batch, a scalar, from the states of its words, `[words, width]`.
    pub(super) fn loss(
        &self,
        states: &Tensor,
        batch: &Batch,
        rows: &[Row],
        gold: &Gold,
        loss: &Loss,
    ) -> Tensor {
        let context = Context::new(&gold.class_weights, &batch.words);
        match self {
            Self::Tags(linear) => {
                loss.forward(&linear.forward(states), &classes(rows, gold, states.device()), &context)
            }
            Self::Crf { emissions, crf } => {
                let emissions = padded(&emissions.forward(states), &batch.words);
                let labels = classes(rows, gold, states.device());
                crf_loss(crf, &emissions, batch, rows, gold, loss, &labels, &context)
            }
            Self::Queries(queries) => queries.loss(states, batch, rows, gold, loss, &context),
        }
    }

    /// Entities of the sentences of a batch whose rows are complete: every query of each sentence, in order.
    pub(super) fn decode(&self, states: &Tensor, batch: &Batch, labels: &LabelSet) -> Vec<Vec<Span>> {
        match self {
            Self::Tags(linear) => {
                let best = linear.forward(states).argmax(-1, false);
                let classes = Vec::<i64>::try_from(&best).expect("argmax gives i64 in one dimension");
                cut(&classes, &batch.words).map(|own| labels.decode(own)).collect()
            }
            Self::Crf { emissions, crf } => {
                let emissions = padded(&emissions.forward(states), &batch.words);
                let decoded = crf.decode(&emissions, &batch.words);
                let classes = |tags: Vec<usize>| tags.into_iter().map(|tag| tag as i64).collect::<Vec<_>>();
                decoded.into_iter().map(|tags| labels.decode(&classes(tags))).collect()
            }
            Self::Queries(queries) => queries.decode(states, batch, labels),
        }
    }
}

/// Gold classes of a batch's words, `[words]`.
fn classes(rows: &[Row], gold: &Gold, device: Device) -> Tensor {
    let classes: Vec<i64> = rows.iter().flat_map(|row| &gold.classes[row.sentence]).copied().collect();
    Tensor::from_slice(&classes).to_device(device)
}

/// `[words, width]` as `[rows, longest, width]` with zeros behind shorter rows.
fn padded(flat: &Tensor, words: &[usize]) -> Tensor {
    let longest = words.iter().copied().max().unwrap_or(0).max(1);
    let places =
        words.iter().enumerate().flat_map(|(row, &n)| (0..n).map(move |i| (row * longest + i) as i64));
    let places = Tensor::from_slice(&places.collect::<Vec<_>>()).to_device(flat.device());
    let (rows, width) = (words.len() as i64, flat.size()[1]);
    let empty = Tensor::zeros([rows * longest as i64, width], (flat.kind(), flat.device()));
    empty.index_copy(0, &places, flat).view([rows, longest as i64, width])
}

/// Consecutive pieces of `flat` of the given lengths.
fn cut<'a, T>(flat: &'a [T], lengths: &'a [usize]) -> impl Iterator<Item = &'a [T]> {
    let mut rest = flat;
    lengths.iter().map(move |&length| {
        let (own, after) = rest.split_at(length);
        rest = after;
        own
    })
}

/// Cross-entropy is the likelihood of the whole sequence, per word; every other loss acts on the words' marginals
/// `log P(yᵢ)` as it would on a softmax. MoM over cross-entropy keeps the sequence's likelihood as the conventional
/// loss and takes the marginals of the O words as its second term.
#[expect(clippy::too_many_arguments, reason = "one batch in all its forms, for one caller")]
fn crf_loss(
    crf: &Crf,
    emissions: &Tensor,
    batch: &Batch,
    rows: &[Row],
    gold: &Gold,
    loss: &Loss,
    labels: &Tensor,
    context: &Context,
) -> Tensor {
    let of_sequences = || {
        let tags = |row: &Row| gold.classes[row.sentence].iter().map(|&class| class as usize).collect();
        let per_word = rows.len() as f64 / batch.words.iter().sum::<usize>() as f64;
        crf.loss(emissions, &rows.iter().map(tags).collect::<Vec<Vec<usize>>>()) * per_word
    };
    let of_marginals = |term: &dyn Fn(&Tensor) -> Tensor| {
        crf.marginal_loss(emissions, &batch.words, |log_probs| term(log_probs))
    };
    match loss {
        Loss::CrossEntropy => of_sequences(),
        Loss::Mom { base, lambda, .. } if **base == Loss::CrossEntropy => {
            let majority = of_marginals(&|log_probs| loss.majority(log_probs, labels, context));
            of_sequences() * *lambda + majority * (1.0 - lambda)
        }
        _ => of_marginals(&|log_probs| loss.of_log_probs(log_probs, labels, context)),
    }
}

impl Queries {
    /// `L_start + L_end + 0.1·L_span` (Li et al. 2020). The span classifier is trained on the pairs of a gold or
    /// predicted start with a gold or predicted end at or after it, without class weights: their frequencies change as
    /// the model learns.
    fn loss(
        &self,
        states: &Tensor,
        batch: &Batch,
        rows: &[Row],
        gold: &Gold,
        loss: &Loss,
        context: &Context,
    ) -> Tensor {
        let n_words: usize = batch.words.iter().sum();
        let (mut starts, mut ends) = (vec![0_i64; n_words], vec![0_i64; n_words]);
        let mut offset = 0;
        for (row, words) in rows.iter().zip(&batch.words) {
            for (first, last) in gold.answers(row) {
                (starts[offset + first], ends[offset + last]) = (1, 1);
            }
            offset += words;
        }
        let (start, end) = (self.start.forward(states), self.end.forward(states)); // [words, 2]
        let to = |values: &[i64]| Tensor::from_slice(values).to_device(states.device());
        let borders = loss.forward(&start, &to(&starts), context) + loss.forward(&end, &to(&ends), context);
        let wanted = |logits: &Tensor, gold: &[i64]| {
            let mut wanted = positive(logits);
            wanted.iter_mut().zip(gold).for_each(|(wanted, &gold)| *wanted |= gold == 1);
            wanted
        };
        let (start_words, end_words) = (wanted(&start, &starts), wanted(&end, &ends));
        let (mut pairs, mut labels, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        let mut offset = 0;
        for (row, &words) in rows.iter().zip(&batch.words) {
            let answers: Vec<_> = gold.answers(row).collect();
            let before = pairs.len();
            for first in (0..words).filter(|&i| start_words[offset + i]) {
                for last in (first..words).filter(|&i| end_words[offset + i]) {
                    pairs.push((offset + first, offset + last));
                    labels.push(i64::from(answers.contains(&(first, last))));
                }
            }
            counts.push(pairs.len() - before);
            offset += words;
        }
        if pairs.is_empty() {
            return borders;
        }
        let even = Context::new(&context.class_weights.ones_like(), &counts);
        borders + loss.forward(&self.spans(states, &pairs), &to(&labels), &even) * SPAN_WEIGHT
    }

    /// Scores of no and yes for pairs of first and last words, `[pairs, 2]`.
    fn spans(&self, states: &Tensor, pairs: &[(usize, usize)]) -> Tensor {
        let places = |place: &dyn Fn(&(usize, usize)) -> usize| {
            let places: Vec<i64> = pairs.iter().map(|pair| place(pair) as i64).collect();
            Tensor::from_slice(&places).to_device(states.device())
        };
        let first = self.span_from.forward(&states.index_select(0, &places(&|pair| pair.0)));
        let last = self.span_to.forward(&states.index_select(0, &places(&|pair| pair.1)));
        self.span.forward(&(first + last).gelu("none"))
    }

    /// Each start takes the nearest end at or after it; the pair stands when its span score is positive. Where
    /// entities overlap, the one of the highest summed score stays.
    fn decode(&self, states: &Tensor, batch: &Batch, labels: &LabelSet) -> Vec<Vec<Span>> {
        let (start, end) = (self.start.forward(states), self.end.forward(states));
        let (start, end) = (log_odds(&start), log_odds(&end));
        let n_types = labels.types().len();
        if n_types == 0 {
            return vec![Vec::new(); batch.words.len()];
        }
        let mut pairs = Vec::new(); // (first, last) among all words
        let mut owners = Vec::new(); // (sentence, type, offset)
        let mut offset = 0;
        for (row, &words) in batch.words.iter().enumerate() {
            for first in (offset..offset + words).filter(|&i| start[i] > 0.0) {
                if let Some(last) = (first..offset + words).find(|&i| end[i] > 0.0) {
                    pairs.push((first, last));
                    owners.push((row / n_types, row % n_types, offset));
                }
            }
            offset += words;
        }
        let mut found: Vec<Vec<(f32, Span)>> = vec![Vec::new(); batch.words.len() / n_types];
        if pairs.is_empty() {
            return vec![Vec::new(); found.len()];
        }
        let spans = log_odds(&self.spans(states, &pairs));
        for ((&(first, last), &(sentence, kind, offset)), span) in pairs.iter().zip(&owners).zip(spans) {
            if span > 0.0 {
                let label = labels.types()[kind].clone();
                let entity = Span { start: first - offset, end: last + 1 - offset, label };
                found[sentence].push((start[first] + end[last] + span, entity));
            }
        }
        found.into_iter().map(without_overlaps).collect()
    }
}

/// Entities by falling score, each kept when it touches none before it; in the order of the text.
fn without_overlaps(mut scored: Vec<(f32, Span)>) -> Vec<Span> {
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut kept: Vec<Span> = Vec::new();
    for (_, span) in scored {
        if kept.iter().all(|other| span.end <= other.start || other.end <= span.start) {
            kept.push(span);
        }
    }
    kept.sort();
    kept
}

/// `z_yes − z_no` of scores `[n, 2]`.
fn log_odds(logits: &Tensor) -> Vec<f32> {
    let difference = (logits.select(1, 1) - logits.select(1, 0)).detach().to_kind(Kind::Float);
    Vec::<f32>::try_from(&difference).expect("f32 in one dimension")
}

fn positive(logits: &Tensor) -> Vec<bool> {
    log_odds(logits).into_iter().map(|odds| odds > 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_overlapping_entities_the_highest_score_stays() {
        let span = |start, end, label: &str| Span { start, end, label: label.to_owned() };
        let kept = without_overlaps(vec![
            (1.0, span(0, 3, "LOC")),
            (3.0, span(2, 4, "PER")),
            (0.5, span(4, 5, "LOC")),
            (0.7, span(0, 2, "ORG")),
        ]);
        assert_eq!(kept, [span(0, 2, "ORG"), span(2, 4, "PER"), span(4, 5, "LOC")]);
    }
}
