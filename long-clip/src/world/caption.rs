//! Captions: sentences that are true of a scene.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::scene::{Cell, Colour, Direction, Object, Scene, Shape, Size};

/// A sentence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sentence {
    /// What the scene is about.
    Summary(Summary),
    /// One object with its place.
    Object(Object),
    /// Where one object is as seen from another.
    Relation {
        /// Subject.
        subject: (Colour, Shape),
        /// Direction from the reference to the subject.
        direction: Direction,
        /// Reference.
        reference: (Colour, Shape),
    },
    /// A sentence that says nothing, in words that no training caption has.
    Filler,
}

/// The large object, the number of others, and sometimes its cell and one of the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Summary {
    /// Colour and shape of the large object.
    pub large: (Colour, Shape),
    /// Its cell.
    pub cell: Option<Cell>,
    /// Number of small objects, 1 to 8.
    pub others: usize,
    /// One of them.
    pub other: Option<(Colour, Shape)>,
}

/// Sentences; the first is the summary unless it was moved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caption {
    /// Sentences in order.
    pub sentences: Vec<Sentence>,
}

const NUMBERS: [&str; 9] = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight"];

impl Sentence {
    /// Words, each one token; those of a summary without a stop.
    pub fn words(&self) -> Vec<&'static str> {
        match self {
            Self::Summary(summary) => summary.words(),
            Self::Object(object) => {
                let mut words = vec!["a", object.size.word(), object.colour.word(), object.shape.word()];
                words.extend(["is", "at", "the"]);
                words.extend(object.cell.words());
                words
            }
            Self::Relation { subject, direction, reference } => {
                let mut words = vec!["the", subject.0.word(), subject.1.word(), "is"];
                words.extend(direction.words());
                words.extend(["the", reference.0.word(), reference.1.word()]);
                words
            }
            Self::Filler => vec!["this", "picture", "shows", "some", "things"],
        }
    }
}

impl Summary {
    /// Summary of a scene; the cell and another object are named when asked for.
    pub fn of(scene: &Scene, with_cell: bool, other: Option<usize>) -> Self {
        let kind = |object: &Object| (object.colour, object.shape);
        Self {
            large: kind(scene.large()),
            cell: with_cell.then_some(scene.large().cell),
            others: scene.objects.len() - 1,
            other: other.map(|at| kind(&scene.objects[at])),
        }
    }

    /// Summary of a scene that names the cell in half of the cases and another object in half.
    pub fn random(scene: &Scene, rng: &mut ChaCha8Rng) -> Self {
        let with_cell = rng.random_bool(0.5);
        let other = rng.random_bool(0.5).then(|| rng.random_range(1..scene.objects.len()));
        Self::of(scene, with_cell, other)
    }

    fn words(&self) -> Vec<&'static str> {
        let mut words = vec!["a", "large", self.large.0.word(), self.large.1.word()];
        if let Some(cell) = self.cell {
            words.extend(["at", "the"]);
            words.extend(cell.words());
        }
        words.extend(["and", NUMBERS[self.others], "small"]);
        words.push(if self.others == 1 { "object" } else { "objects" });
        if let Some((colour, shape)) = self.other {
            words.extend([",", "one", "a", colour.word(), shape.word()]);
        }
        words
    }
}

impl Caption {
    /// A short caption: one summary.
    pub fn short(summary: Summary) -> Self {
        Self { sentences: vec![Sentence::Summary(summary)] }
    }

    /// A long caption: the summary, then a sentence for each object and relations, in random order. Three relations, or more
    /// until the caption has `fewest_tokens`, start and end included.
    pub fn long(scene: &Scene, summary: Summary, fewest_tokens: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut rest: Vec<Sentence> = scene.objects.iter().map(|object| Sentence::Object(*object)).collect();
        let mut relations = relations(scene);
        relations.shuffle(rng);
        let mut caption = Self::short(summary);
        let mut n_tokens = caption.n_tokens() + rest.iter().map(|s| s.words().len() + 1).sum::<usize>();
        for (at, relation) in relations.into_iter().enumerate() {
            if at >= 3 && n_tokens >= fewest_tokens {
                break;
            }
            n_tokens += relation.words().len() + 1;
            rest.push(relation);
        }
        rest.shuffle(rng);
        caption.sentences.extend(rest);
        caption
    }

    /// The first sentences, at least three, a random number of them within `most_tokens`: the long tail of web captions.
    pub fn tail(&self, most_tokens: usize, rng: &mut ChaCha8Rng) -> Self {
        let cut = |n: usize| Self { sentences: self.sentences[..n].to_vec() };
        let most = (3..=self.sentences.len()).rev().find(|&n| cut(n).n_tokens() <= most_tokens).unwrap_or(3);
        cut(rng.random_range(3..=most))
    }

    /// Sentences drawn at random, in their order, as many as fit into `most_tokens`, at least one.
    pub fn subset(&self, most_tokens: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut order: Vec<usize> = (0..self.sentences.len()).collect();
        order.shuffle(rng);
        let mut taken = vec![order[0]];
        for &at in &order[1..] {
            let mut more = taken.clone();
            more.push(at);
            more.sort_unstable();
            if self.pick(&more).n_tokens() > most_tokens {
                break;
            }
            taken = more;
        }
        self.pick(&taken)
    }

    fn pick(&self, sentences: &[usize]) -> Self {
        Self { sentences: sentences.iter().map(|&at| self.sentences[at].clone()).collect() }
    }

    /// Without the first sentence.
    pub fn without_first(&self) -> Self {
        Self { sentences: self.sentences[1..].to_vec() }
    }

    /// The first sentence moved to the end.
    pub fn first_last(&self) -> Self {
        let mut sentences = self.sentences[1..].to_vec();
        sentences.push(self.sentences[0].clone());
        Self { sentences }
    }

    /// A sentence that says nothing comes first.
    pub fn after_filler(&self) -> Self {
        let mut sentences = vec![Sentence::Filler];
        sentences.extend(self.sentences.iter().cloned());
        Self { sentences }
    }

    /// All sentences in random order.
    pub fn shuffled(&self, rng: &mut ChaCha8Rng) -> Self {
        let mut sentences = self.sentences.clone();
        sentences.shuffle(rng);
        Self { sentences }
    }

    /// Words; sentences are joined by stops, and a single sentence has none.
    pub fn words(&self) -> Vec<&'static str> {
        let mut words = Vec::new();
        for sentence in &self.sentences {
            words.extend(sentence.words());
            words.push(".");
        }
        if self.sentences.len() == 1 {
            words.pop();
        }
        words
    }

    /// Tokens with start and end.
    pub fn n_tokens(&self) -> usize {
        self.words().len() + 2
    }

    /// As it would be typed.
    pub fn text(&self) -> String {
        self.words().join(" ").replace(" .", ".").replace(" ,", ",")
    }
}

/// All true relations between two objects, each pair in one of its two orders.
fn relations(scene: &Scene) -> Vec<Sentence> {
    let mut all = Vec::new();
    for (i, subject) in scene.objects.iter().enumerate() {
        for (j, reference) in scene.objects.iter().enumerate() {
            for direction in Direction::ALL {
                // "a above b" and "b below a" say the same; which of them depends on the order of the objects.
                let first = matches!(direction, Direction::Above | Direction::Left) == ((i + j) % 2 == 0);
                if first && direction.holds(subject.cell, reference.cell) {
                    let kind = |object: &Object| (object.colour, object.shape);
                    all.push(Sentence::Relation {
                        subject: kind(subject),
                        direction,
                        reference: kind(reference),
                    });
                }
            }
        }
    }
    all
}

/// One object alone, of any size: an image for classification.
pub(super) fn single(shape: Shape, colour: Colour, size: Size, cell: Cell) -> Scene {
    Scene { objects: vec![Object { shape, colour, size, cell }] }
}
