//! Sets of scenes with captions to evaluate on, and what a perfect reader would reach on them.

use common::seed;
use rand::Rng;

use super::caption::{Caption, Summary, single};
use super::claim::Claim;
use super::draw::{Look, draw};
use super::scene::{Cell, Colour, Scene, SceneSizes, Shape, Size};
use super::vocabulary::of_words;

/// A scene with its image and captions.
#[derive(Clone, Debug)]
pub struct Item {
    /// The truth.
    pub scene: Scene,
    /// Its image, see [`draw`].
    pub image: Vec<u8>,
    /// The summary, which is the long caption's first sentence.
    pub short: Caption,
    /// The long caption.
    pub long: Caption,
}

/// Scenes that are searched together.
#[derive(Clone, Debug)]
pub struct Gallery {
    /// The scenes.
    pub items: Vec<Item>,
}

/// Images of known class with the prompts of each class.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// Images, see [`draw`].
    pub images: Vec<Vec<u8>>,
    /// Class of each image.
    pub labels: Vec<usize>,
    /// Token ids of the prompts, by class.
    pub prompts: Vec<Vec<Vec<i64>>>,
}

/// What a reader that knows the scene graphs reaches with truncated captions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Oracle {
    /// Expected R@1 when it picks uniformly among the scenes that the text fits.
    pub recall: f64,
    /// Share of the captions that fit one scene only.
    pub unique: f64,
}

/// `n` scenes drawn one by one; `stream` keeps training, validation and test apart.
pub fn scenes(
    n: usize,
    sizes: SceneSizes,
    look: Look,
    fewest_tokens: usize,
    run_seed: u64,
    stream: &str,
) -> Gallery {
    let item = |at: usize| {
        let mut rng = seed::rng(run_seed, stream, at as u64);
        let scene = Scene::random(sizes, &mut rng);
        let summary = Summary::random(&scene, &mut rng);
        described(scene, summary, look, fewest_tokens, &mut rng)
    };
    Gallery { items: (0..n).map(item).collect() }
}

/// `n` families of `members` scenes that share their summary and differ in a small object that it does not name.
pub fn families(
    (n, members): (usize, usize),
    sizes: SceneSizes,
    look: Look,
    fewest_tokens: usize,
    run_seed: u64,
    stream: &str,
) -> Gallery {
    let sizes = SceneSizes { fewest: sizes.fewest.max(3), ..sizes };
    let mut items = Vec::new();
    for family in 0..n {
        let mut rng = seed::rng(run_seed, stream, family as u64);
        let first = Scene::random(sizes, &mut rng);
        let named = rng.random_bool(0.5).then(|| rng.random_range(1..first.objects.len()));
        let summary = Summary::of(&first, rng.random_bool(0.5), named);
        let mut scenes = vec![first];
        while scenes.len() < members {
            let of = rng.random_range(0..scenes.len());
            if let Some(other) = scenes[of].with_a_change(named, &mut rng)
                && !scenes.contains(&other)
            {
                scenes.push(other);
            }
        }
        for scene in scenes {
            items.push(described(scene, summary.clone(), look, fewest_tokens, &mut rng));
        }
    }
    Gallery { items }
}

fn described(
    scene: Scene,
    summary: Summary,
    look: Look,
    fewest_tokens: usize,
    rng: &mut rand_chacha::ChaCha8Rng,
) -> Item {
    let image = draw(&scene, look, rng);
    let short = Caption::short(summary.clone());
    let long = Caption::long(&scene, summary, fewest_tokens, rng);
    Item { scene, image, short, long }
}

/// Images of the 48 classes shape × colour, `per_class` of each: the object alone when `distractors` is 0, else large among up to
/// so many small ones.
pub fn labelled(per_class: usize, distractors: usize, look: Look, run_seed: u64, stream: &str) -> Labelled {
    let (mut images, mut labels, mut prompts) = (Vec::new(), Vec::new(), Vec::new());
    for (class, (shape, colour)) in classes().into_iter().enumerate() {
        for at in 0..per_class {
            let mut rng = seed::rng(run_seed, stream, (class * per_class + at) as u64);
            let scene = if distractors == 0 {
                let size = if rng.random_bool(0.5) { Size::Large } else { Size::Small };
                single(shape, colour, size, Cell::ALL[rng.random_range(0..Cell::ALL.len())])
            } else {
                Scene::about((shape, colour), SceneSizes { fewest: 2, most: distractors + 1 }, &mut rng)
            };
            images.push(draw(&scene, look, &mut rng));
            labels.push(class);
        }
        prompts.push(templates(shape, colour).iter().map(|words| of_words(words, usize::MAX)).collect());
    }
    Labelled { images, labels, prompts }
}

/// Shapes and colours in the order of their class.
fn classes() -> Vec<(Shape, Colour)> {
    Colour::ALL.into_iter().flat_map(|colour| Shape::ALL.map(|shape| (shape, colour))).collect()
}

fn templates(shape: Shape, colour: Colour) -> Vec<Vec<&'static str>> {
    let (colour, shape) = (colour.word(), shape.word());
    let mut all = vec![vec!["a", colour, shape], vec!["a", "large", colour, shape]];
    for number in ["two", "three", "four"] {
        all.push(vec!["a", "large", colour, shape, "and", number, "small", "objects"]);
    }
    all
}

/// The oracle's expectation over a gallery when each long caption is cut to `n_tokens`, start and end included.
pub fn oracle<'a>(
    gallery: &Gallery,
    captions: impl IntoIterator<Item = &'a Caption>,
    n_tokens: usize,
) -> Oracle {
    let (mut recall, mut unique, mut n) = (0.0, 0.0, 0.0);
    for caption in captions {
        let claim = Claim::of(caption, n_tokens.saturating_sub(2));
        let fitting = gallery.items.iter().filter(|item| claim.fits(&item.scene)).count();
        recall += 1.0 / fitting.max(1) as f64;
        unique += if fitting == 1 { 1.0 } else { 0.0 };
        n += 1.0;
    }
    let n = f64::max(n, 1.0);
    Oracle { recall: recall / n, unique: unique / n }
}
