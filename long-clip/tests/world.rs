//! The drawn world: truth, captions, the oracle.

use common::seed;
use long_clip::tokenizer::{Specials, Tokenizer};
use long_clip::world::{
    Caption, Cell, Claim, Direction, END, Gallery, Look, Object, START, Scene, SceneSizes, Sentence, Shape,
    Size, Summary, draw, families, ids, labelled, oracle, scenes, word_id,
};
use proptest::prelude::*;

const SIZES: SceneSizes = SceneSizes { fewest: 3, most: 7 };
const LOOK: Look = Look { side_px: 48, jitter: 0.06, noise: 12.0 };

fn gallery(n: usize, run_seed: u64) -> Gallery {
    scenes(n, SIZES, LOOK, 70, run_seed, "test")
}

/// Whether a sentence is true, read from the scene graph without [`Claim`].
fn is_true(sentence: &Sentence, scene: &Scene) -> bool {
    let find = |(colour, shape)| {
        scene.objects.iter().find(|object| (object.colour, object.shape) == (colour, shape))
    };
    match sentence {
        Sentence::Filler => true,
        Sentence::Object(object) => scene.objects.contains(object),
        Sentence::Relation { subject, direction, reference } => match (find(*subject), find(*reference)) {
            (Some(a), Some(b)) => direction.holds(a.cell, b.cell),
            _ => false,
        },
        Sentence::Summary(summary) => {
            let large = scene.large();
            (large.colour, large.shape) == summary.large
                && summary.cell.is_none_or(|cell| cell == large.cell)
                && scene.objects.len() == summary.others + 1
                && summary
                    .other
                    .is_none_or(|kind| find(kind).is_some_and(|object| object.size == Size::Small))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_whole_caption_fits_exactly_the_scenes_of_which_each_sentence_is_true(run_seed in 0..1000_u64) {
        let gallery = gallery(12, run_seed);
        for item in &gallery.items {
            for caption in [&item.short, &item.long, &item.long.first_last(), &item.long.without_first()] {
                let claim = Claim::whole(caption);
                for other in &gallery.items {
                    let truth = caption.sentences.iter().all(|sentence| is_true(sentence, &other.scene));
                    prop_assert_eq!(claim.fits(&other.scene), truth);
                }
            }
        }
    }

    #[test]
    fn a_longer_beginning_of_a_true_caption_fits_fewer_scenes_and_always_its_own(run_seed in 0..1000_u64) {
        let similar = families((3, 4), SIZES, LOOK, 70, run_seed, "families");
        for item in &similar.items {
            let mut before: Vec<bool> = vec![true; similar.items.len()];
            for words in 0..=item.long.words().len() {
                let claim = Claim::of(&item.long, words);
                prop_assert!(claim.fits(&item.scene), "{} words of {}", words, item.long.text());
                let now: Vec<bool> = similar.items.iter().map(|other| claim.fits(&other.scene)).collect();
                prop_assert!(now.iter().zip(&before).all(|(now, before)| !now || *before));
                before = now;
            }
        }
    }

    #[test]
    fn every_word_has_an_id_and_lengths_are_those_of_the_world(run_seed in 0..1000_u64) {
        let mut rng = seed::rng(run_seed, "captions", 0);
        for item in &gallery(10, run_seed).items {
            prop_assert!(item.short.n_tokens() <= 20, "{}", item.short.text());
            prop_assert!((60..=130).contains(&item.long.n_tokens()), "{}", item.long.text());
            prop_assert!(item.long.subset(21, &mut rng).n_tokens() <= 21);
            prop_assert!(item.long.tail(77, &mut rng).n_tokens() <= 77);
            let all = ids(&item.long.after_filler(), 248);
            prop_assert_eq!(all.len(), item.long.n_tokens() + 6);
            prop_assert_eq!((all[0], all[all.len() - 1]), (START, END));
            prop_assert_eq!(&item.long.sentences[0], &item.short.sentences[0]);
        }
    }
}

#[test]
fn families_share_their_summary_and_differ_in_small_objects() {
    let similar = families((20, 5), SIZES, LOOK, 70, 3, "families");
    assert_eq!(similar.items.len(), 100);
    for family in similar.items.chunks(5) {
        for (at, item) in family.iter().enumerate() {
            assert_eq!(item.short, family[0].short);
            assert_eq!(item.scene.large(), family[0].scene.large());
            assert!(item.scene.is_valid());
            assert!(family[..at].iter().all(|other| other.scene != item.scene));
        }
    }
}

#[test]
fn the_oracle_is_unsure_after_the_summary_and_sure_at_the_end() {
    let similar = families((20, 5), SIZES, LOOK, 70, 3, "families");
    let captions = || similar.items.iter().map(|item| &item.long);
    let [start, summary, whole] = [2, 21, 248].map(|length| oracle(&similar, captions(), length));
    assert!((start.recall - 0.01).abs() < 1e-12 && start.unique == 0.0);
    assert!(summary.recall > start.recall && summary.recall < 0.6, "{summary:?}");
    assert_eq!((whole.recall, whole.unique), (1.0, 1.0));
}

#[test]
fn a_cell_that_may_go_on_is_open_until_the_next_word() {
    let object = |cell| Object {
        shape: Shape::Star,
        colour: long_clip::world::Colour::Red,
        size: Size::Large,
        cell: Cell(cell),
    };
    let scene = |cell| Scene { objects: vec![object(cell)] };
    let caption = Caption { sentences: vec![Sentence::Object(object(1)), Sentence::Filler] };
    assert_eq!(caption.text(), "a large red star is at the top. this picture shows some things.");
    let fits = |words: usize| [0, 1, 2, 4].map(|cell| Claim::of(&caption, words).fits(&scene(cell)));
    assert_eq!(fits(7), [true, true, true, true]);
    assert_eq!(fits(8), [true, true, true, false]);
    assert_eq!(fits(9), [false, true, false, false]);
}

#[test]
fn relations_follow_rows_and_columns() {
    assert!(Direction::Above.holds(Cell(0), Cell(5)) && !Direction::Above.holds(Cell(3), Cell(5)));
    assert!(Direction::Right.holds(Cell(5), Cell(0)) && !Direction::Left.holds(Cell(5), Cell(0)));
}

#[test]
fn images_differ_by_object_and_repeat_by_seed() {
    let gallery = gallery(2, 7);
    let image = |scene: &Scene| draw(scene, LOOK, &mut seed::rng(1, "image", 0));
    let (first, second) = (&gallery.items[0].scene, &gallery.items[1].scene);
    assert_eq!(image(first), image(first));
    assert_ne!(image(first), image(second));
    assert_eq!(image(first).len(), 3 * 48 * 48);
    // The middle of the large object has its colour, within brightness and noise.
    let large = first.large();
    let middle = |cell: u8| usize::from(cell) * 16 + 8;
    let at = middle(large.cell.row()) * 48 + middle(large.cell.column());
    for (plane, value) in large.colour.rgb().into_iter().enumerate() {
        assert!((f32::from(image(first)[plane * 48 * 48 + at]) - value).abs() < 75.0);
    }
}

#[test]
fn all_classes_have_images_and_as_many_prompts() {
    let set = labelled(2, 3, LOOK, 1, "among");
    assert_eq!((set.images.len(), set.labels.len(), set.prompts.len()), (96, 96, 48));
    assert!(set.prompts.iter().all(|prompts| prompts.len() == set.prompts[0].len()));
    assert!(set.prompts.concat().iter().all(|ids| ids.len() <= 21));
}

#[test]
fn a_caption_is_cut_before_its_end_token() {
    let item = &gallery(1, 2).items[0];
    let cut = ids(&item.long, 12);
    assert_eq!((cut.len(), cut[11]), (12, END));
    assert_eq!(cut[..11], ids(&item.long, 248)[..11]);
    assert_eq!(word_id("zebra"), None);
    let summary = Summary::of(&item.scene, false, None);
    assert!(Caption::short(summary).text().starts_with("a large "));
}

/// Skipped without the data folder, which has CLIP's merges.
#[test]
fn every_word_is_one_token_of_clips_own_tokenizer() {
    let root = std::env::var_os("BENKYOKAI_DATA").map(std::path::PathBuf::from);
    let path = root.map(|root| root.join("clip-bpe/bpe_simple_vocab_16e6.txt.gz"));
    let Some(path) = path.filter(|path| path.exists()) else { return };
    let tokenizer = Tokenizer::open(&path).unwrap();
    for item in &gallery(200, 4).items {
        for caption in
            [item.short.clone(), item.long.clone(), item.long.after_filler(), item.long.first_last()]
        {
            let tokens = tokenizer.tokenize(&caption.text(), 248, Specials::Neutral);
            assert_eq!(tokens.whole, caption.n_tokens(), "{}", caption.text());
        }
    }
}
