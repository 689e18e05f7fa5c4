//! Scene graphs: what stands where.

use std::ops::RangeInclusive;

use rand::Rng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

/// Outline of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// A disc.
    Circle,
    /// A square with horizontal sides.
    Square,
    /// A triangle that stands on a side.
    Triangle,
    /// A star with five points.
    Star,
    /// An upright cross.
    Cross,
    /// A square that stands on a corner.
    Diamond,
}

/// Colour of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Colour {
    /// Red.
    Red,
    /// Green.
    Green,
    /// Blue.
    Blue,
    /// Yellow.
    Yellow,
    /// Purple.
    Purple,
    /// Orange.
    Orange,
    /// White.
    White,
    /// Black.
    Black,
}

/// Size of an object; exactly one object of a scene is large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Size {
    /// One of the others.
    Small,
    /// The important object.
    Large,
}

/// Cell of the 3 × 3 grid, 0 to 8, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell(pub u8);

/// Where one object is as seen from another, by rows or columns of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// In a row nearer to the top.
    Above,
    /// In a row nearer to the bottom.
    Below,
    /// In a column nearer to the left.
    Left,
    /// In a column nearer to the right.
    Right,
}

/// One object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    /// Outline.
    pub shape: Shape,
    /// Colour.
    pub colour: Colour,
    /// Size.
    pub size: Size,
    /// Place.
    pub cell: Cell,
}

/// Objects in distinct cells, the large one first; no two have both shape and colour in common, so that "the red circle" is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scene {
    /// The objects.
    pub objects: Vec<Object>,
}

/// Fewest and most objects of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SceneSizes {
    /// At least two.
    pub fewest: usize,
    /// At most nine.
    pub most: usize,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Self; 6] =
        [Self::Circle, Self::Square, Self::Triangle, Self::Star, Self::Cross, Self::Diamond];

    /// Its word.
    pub fn word(self) -> &'static str {
        ["circle", "square", "triangle", "star", "cross", "diamond"][self as usize]
    }
}

impl Colour {
    /// All colours.
    pub const ALL: [Self; 8] = [
        Self::Red,
        Self::Green,
        Self::Blue,
        Self::Yellow,
        Self::Purple,
        Self::Orange,
        Self::White,
        Self::Black,
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        ["red", "green", "blue", "yellow", "purple", "orange", "white", "black"][self as usize]
    }

    /// Its red, green and blue, 0 to 255.
    pub fn rgb(self) -> [f32; 3] {
        [
            [215.0, 45.0, 45.0],
            [45.0, 165.0, 65.0],
            [50.0, 85.0, 220.0],
            [235.0, 220.0, 55.0],
            [145.0, 55.0, 175.0],
            [245.0, 145.0, 35.0],
            [245.0, 245.0, 245.0],
            [20.0, 20.0, 20.0],
        ][self as usize]
    }
}

impl Size {
    /// Its word.
    pub fn word(self) -> &'static str {
        ["small", "large"][self as usize]
    }
}

impl Cell {
    /// All cells.
    pub const ALL: [Self; 9] =
        [Self(0), Self(1), Self(2), Self(3), Self(4), Self(5), Self(6), Self(7), Self(8)];

    /// Row from the top, 0 to 2.
    pub fn row(self) -> u8 {
        self.0 / 3
    }

    /// Column from the left, 0 to 2.
    pub fn column(self) -> u8 {
        self.0 % 3
    }

    /// Its words, after "at the".
    pub fn words(self) -> &'static [&'static str] {
        const WORDS: [&[&str]; 9] = [
            &["top", "left"],
            &["top"],
            &["top", "right"],
            &["left"],
            &["center"],
            &["right"],
            &["bottom", "left"],
            &["bottom"],
            &["bottom", "right"],
        ];
        WORDS[usize::from(self.0)]
    }
}

impl Direction {
    /// All directions.
    pub const ALL: [Self; 4] = [Self::Above, Self::Below, Self::Left, Self::Right];

    /// Its words.
    pub fn words(self) -> &'static [&'static str] {
        const WORDS: [&[&str]; 4] = [&["above"], &["below"], &["left", "of"], &["right", "of"]];
        WORDS[self as usize]
    }

    /// Whether `a` is in this direction from `b`.
    pub fn holds(self, a: Cell, b: Cell) -> bool {
        match self {
            Self::Above => a.row() < b.row(),
            Self::Below => a.row() > b.row(),
            Self::Left => a.column() < b.column(),
            Self::Right => a.column() > b.column(),
        }
    }
}

impl Scene {
    /// A scene drawn at random.
    pub fn random(sizes: SceneSizes, rng: &mut ChaCha8Rng) -> Self {
        let n = rng.random_range(RangeInclusive::new(sizes.fewest, sizes.most));
        let cells = index::sample(rng, Cell::ALL.len(), n);
        let kinds = index::sample(rng, Shape::ALL.len() * Colour::ALL.len(), n);
        let object = |(at, (cell, kind)): (usize, (usize, usize))| Object {
            shape: Shape::ALL[kind % Shape::ALL.len()],
            colour: Colour::ALL[kind / Shape::ALL.len()],
            size: if at == 0 { Size::Large } else { Size::Small },
            cell: Cell::ALL[cell],
        };
        Self { objects: cells.iter().zip(kinds.iter()).enumerate().map(object).collect() }
    }

    /// A scene whose large object is of this kind.
    pub fn about((shape, colour): (Shape, Colour), sizes: SceneSizes, rng: &mut ChaCha8Rng) -> Self {
        loop {
            let mut scene = Self::random(sizes, rng);
            scene.objects[0] = Object { shape, colour, ..scene.objects[0] };
            if scene.is_valid() {
                return scene;
            }
        }
    }

    /// The large object.
    pub fn large(&self) -> &Object {
        &self.objects[0]
    }

    /// Another scene: one small object, not `kept`, has another shape, colour or cell. `None` where there is none to change.
    pub fn with_a_change(&self, kept: Option<usize>, rng: &mut ChaCha8Rng) -> Option<Self> {
        let free: Vec<usize> = (1..self.objects.len()).filter(|&at| Some(at) != kept).collect();
        let mut changed = self.clone();
        let at = *free.get(rng.random_range(0..free.len().max(1)))?;
        // Taken kinds and cells are drawn again: fewer than nine objects leave room.
        for _ in 0..64 {
            let object = &mut changed.objects[at];
            *object = self.objects[at];
            match rng.random_range(0..3) {
                0 => object.shape = Shape::ALL[rng.random_range(0..Shape::ALL.len())],
                1 => object.colour = Colour::ALL[rng.random_range(0..Colour::ALL.len())],
                _ => object.cell = Cell::ALL[rng.random_range(0..Cell::ALL.len())],
            }
            if changed != *self && changed.is_valid() {
                return Some(changed);
            }
        }
        None
    }

    /// Whether cells and kinds are distinct and exactly the first object is large.
    pub fn is_valid(&self) -> bool {
        let objects = &self.objects;
        let distinct = (0..objects.len()).all(|i| {
            objects[..i].iter().all(|other| {
                let same_kind = other.shape == objects[i].shape && other.colour == objects[i].colour;
                other.cell != objects[i].cell && !same_kind
            })
        });
        distinct && objects.iter().enumerate().all(|(at, object)| (object.size == Size::Large) == (at == 0))
    }
}
