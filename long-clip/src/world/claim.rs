//! What the beginning of a caption states, and which scenes it fits.

use super::caption::{Caption, Sentence, Summary};
use super::scene::{Cell, Colour, Direction, Object, Scene, Shape, Size};

/// Objects that a description allows, as sets of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    sizes: u8,
    colours: u8,
    shapes: u8,
    cells: u16,
}

/// One statement about a scene.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Statement {
    /// There is such an object.
    Exists(Pattern),
    /// There are so many objects.
    Count(usize),
    /// The one is in one of these directions (bits) from the other.
    Related(Pattern, Pattern, u8),
}

/// The statements that some words make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    statements: Vec<Statement>,
}

/// Counts down the words that were read.
struct Reader(usize);

impl Reader {
    /// Whether the next word was read.
    fn next(&mut self) -> bool {
        let read = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        read
    }

    fn skip(&mut self, n: usize) {
        self.0 = self.0.saturating_sub(n);
    }

    fn noun(&mut self, (colour, shape): (Colour, Shape), pattern: &mut Pattern) {
        if self.next() {
            pattern.colours = 1 << colour as u8;
        }
        if self.next() {
            pattern.shapes = 1 << shape as u8;
        }
    }

    /// "at the" and a cell; a cell that may go on ("top", then perhaps "left") is open until the next word.
    fn place(&mut self, cell: Cell, pattern: &mut Pattern) {
        self.skip(2);
        let words = cell.words();
        let read = self.0.min(words.len());
        let closed = self.0 > words.len();
        self.skip(words.len());
        let fits = |other: &Cell| {
            let same_start = other.words().len() >= read && other.words()[..read] == words[..read];
            if closed { *other == cell } else { same_start }
        };
        pattern.cells = Cell::ALL.iter().filter(|other| fits(other)).map(|other| 1 << other.0).sum();
    }
}

impl Pattern {
    const ANY: Self = Self { sizes: 0b11, colours: 0xff, shapes: 0b11_1111, cells: 0x1ff };

    /// Whether the object is one of these.
    pub fn fits(&self, object: &Object) -> bool {
        self.sizes >> object.size as u8 & 1 == 1
            && self.colours >> object.colour as u8 & 1 == 1
            && self.shapes >> object.shape as u8 & 1 == 1
            && self.cells >> object.cell.0 & 1 == 1
    }
}

impl Claim {
    /// What the first `n_words` words of a caption state.
    pub fn of(caption: &Caption, n_words: usize) -> Self {
        let mut claim = Self::default();
        let mut left = n_words;
        for sentence in &caption.sentences {
            let length = sentence.words().len();
            // The stop or end after a sentence closes it.
            let read = if left > length { length + 1 } else { left };
            claim.add(sentence, read);
            if left <= length {
                break;
            }
            left -= length + 1;
        }
        claim
    }

    /// What a whole caption states.
    pub fn whole(caption: &Caption) -> Self {
        Self::of(caption, usize::MAX)
    }

    /// Whether it is true of the scene.
    pub fn fits(&self, scene: &Scene) -> bool {
        let objects = &scene.objects;
        self.statements.iter().all(|statement| match statement {
            Statement::Exists(pattern) => objects.iter().any(|object| pattern.fits(object)),
            Statement::Count(n) => objects.len() == *n,
            Statement::Related(a, b, directions) => {
                objects.iter().filter(|object| a.fits(object)).any(|one| {
                    objects.iter().filter(|other| b.fits(other) && *other != one).any(|other| {
                        Direction::ALL
                            .iter()
                            .any(|d| directions >> *d as u8 & 1 == 1 && d.holds(one.cell, other.cell))
                    })
                })
            }
        })
    }

    fn add(&mut self, sentence: &Sentence, read: usize) {
        let mut reader = Reader(read);
        match sentence {
            Sentence::Summary(summary) => self.summary(summary, reader),
            Sentence::Object(object) => {
                let mut pattern = Pattern::ANY;
                reader.skip(1);
                if reader.next() {
                    pattern.sizes = 1 << object.size as u8;
                }
                reader.noun((object.colour, object.shape), &mut pattern);
                reader.skip(1);
                reader.place(object.cell, &mut pattern);
                self.statements.push(Statement::Exists(pattern));
            }
            Sentence::Relation { subject, direction, reference } => {
                let (mut a, mut b) = (Pattern::ANY, Pattern::ANY);
                reader.skip(1);
                reader.noun(*subject, &mut a);
                reader.skip(1);
                let directions = if reader.next() { 1 << *direction as u8 } else { 0b1111 };
                reader.skip(direction.words().len() - 1);
                reader.skip(1);
                reader.noun(*reference, &mut b);
                self.statements.push(Statement::Related(a, b, directions));
            }
            Sentence::Filler => {}
        }
    }

    fn summary(&mut self, summary: &Summary, mut reader: Reader) {
        let mut large = Pattern::ANY;
        reader.skip(1);
        if reader.next() {
            large.sizes = 1 << Size::Large as u8;
        }
        reader.noun(summary.large, &mut large);
        if let Some(cell) = summary.cell {
            reader.place(cell, &mut large);
        }
        self.statements.push(Statement::Exists(large));
        reader.skip(1);
        if reader.next() {
            self.statements.push(Statement::Count(summary.others + 1));
        }
        reader.skip(2);
        if let Some(kind) = summary.other {
            let mut other = Pattern { sizes: 1 << Size::Small as u8, ..Pattern::ANY };
            reader.skip(3);
            reader.noun(kind, &mut other);
            self.statements.push(Statement::Exists(other));
        }
    }
}
