//! Sequences of queries and documents.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;

use common::text::pieces::Pieces;
use common::text::segment::Segmenter;
use proptest::prelude::*;
use retrieval::tokenizer::train::{Kind, SPECIAL, train, write};
use retrieval::tokenizer::{Augmentation, Layout, Tokenizer, TokenizerError, punctuation};

const PAD: i64 = 0;
const UNK: i64 = 1;
const CLS: i64 = 2;
const SEP: i64 = 3;
const MASK: i64 = 4;
const QUERY: i64 = 5;
const DOCUMENT: i64 = 6;

fn characters(text: &str) -> Pieces {
    train([text], Kind::Characters { fewest: 1 }).unwrap()
}

fn tokenizer(layout: Layout) -> Tokenizer {
    Tokenizer::new(characters("abcdefghijklmnopqrstuvwxyz.,!"), None, layout).unwrap()
}

fn with(augmentation: &str) -> Tokenizer {
    tokenizer(Layout { augmentation: augmentation.parse().unwrap(), ..Layout::colbert() })
}

#[test]
fn the_dynamic_rules_follow_the_table() {
    // length, by the paper, by the code, [MASK]s by the code
    let table = [
        (8, 32, 16, 8),
        (20, 32, 32, 12),
        (24, 32, 32, 8),
        (30, 38, 32, 2),
        (32, 40, 40, 8),
        (33, 64, 41, 8),
        (40, 64, 48, 8),
        (41, 64, 64, 23),
    ];
    for (length, paper, code, masks) in table {
        let text = "a".repeat(length - 3);
        for (name, total) in [("paper", paper), ("code", code)] {
            let query = with(name).query(&text).unwrap();
            assert_eq!((query.real, query.ids.len()), (length, total), "{name} at {length}");
        }
        let query = with("code").query(&text).unwrap();
        assert_eq!(query.ids.iter().filter(|&&id| id == MASK).count(), masks, "at {length}");
    }
}

#[test]
fn a_query_has_marker_and_masks_and_a_document_its_marker() {
    let query = with("fixed:8").query("ab").unwrap();
    assert_eq!(query.ids[..2], [CLS, QUERY]);
    assert_eq!(query.ids[4..], [SEP, MASK, MASK, MASK]);
    assert_eq!((query.visible, query.real, query.keep.iter().all(|keep| *keep)), (5, 5, true));
    assert_eq!(
        (query.places[0].clone(), query.places[2].clone(), query.places[3].clone()),
        (0..0, 0..1, 1..2)
    );
    let document = with("none").document("a.b").unwrap();
    assert_eq!(
        (document.ids[0], document.ids[1], document.ids[5], document.ids.len()),
        (CLS, DOCUMENT, SEP, 6)
    );
    assert_eq!(document.keep, [true, true, true, false, true, true]);
    assert_eq!(with("pad:8").query("ab").unwrap().ids[5..], [PAD, PAD, PAD]);
    assert_eq!(with("plus:2").query("ab").unwrap().ids.len(), 7);
    assert_eq!(with("min:4").query("abcd").unwrap().ids.len(), 7);
    assert_eq!(with("none").query("ab").unwrap().ids.len(), 5);
    let attended = tokenizer(Layout { attend_to_expansion: true, ..Layout::colbert() });
    assert_eq!(attended.query("ab").unwrap().visible, 32);
}

#[test]
fn long_and_empty_texts_keep_their_frame() {
    let long = "abc".repeat(300);
    let query = with("fixed:8").query(&long).unwrap();
    assert_eq!((query.ids.len(), query.real, query.ids[7]), (8, 8, SEP));
    let document = with("none").document(&long).unwrap();
    assert_eq!((document.ids.len(), document.ids[299]), (300, SEP));
    for name in ["paper", "code", "plus:8", "none"] {
        let query = with(name).query(&long).unwrap();
        assert_eq!(query.ids.len(), 512, "{name}");
    }
    assert_eq!(with("none").query("").unwrap().ids, [CLS, QUERY, SEP]);
    assert_eq!(with("none").document(" \n").unwrap().ids, [CLS, DOCUMENT, SEP]);
}

#[test]
fn unknown_punctuation_does_not_skip_unknown_words() {
    let tokenizer = tokenizer(Layout::colbert()); // knows 3 of the 32 characters
    assert_eq!(tokenizer.skipped().len(), 3);
    let document = tokenizer.document("a漢?").unwrap();
    assert_eq!((document.ids[3], document.keep[3], document.keep[4]), (UNK, true, true));
    assert_eq!(punctuation().len(), 32);
}

#[test]
fn names_of_augmentations_are_read_and_others_refused() {
    for name in ["none", "fixed:32", "min:32", "plus:8", "paper", "code", "pad:32"] {
        assert_eq!(name.parse::<Augmentation>().unwrap().to_string(), name);
    }
    let error = "fixed".parse::<Augmentation>().unwrap_err().to_string();
    assert!(
        error.starts_with("`fixed` is no query length; expected `none`, `paper`, `code`, `fixed:N`"),
        "{error}"
    );
    assert!("fixed:3".parse::<Augmentation>().is_err());
    assert!("plus:0".parse::<Augmentation>().is_err());
}

#[test]
fn what_cannot_make_sequences_is_refused() {
    let error = |layout| Tokenizer::new(characters("a"), None, layout).unwrap_err().to_string();
    let marker = Layout { query_marker: Some("[Q] ".to_owned()), ..Layout::colbert() };
    assert_eq!(
        error(marker),
        "the vocabulary has no `[Q] `; expected the tokenizer that belongs to the checkpoint"
    );
    let short = Layout { document_length: 2, ..Layout::colbert() };
    assert_eq!(error(short), "the document length is 2, expected at least 3: special tokens need 3");
    let mut tokenizer = tokenizer(Layout::colbert());
    let before = tokenizer.layout().clone();
    assert!(matches!(
        tokenizer.set_layout(Layout { query_length: 2, ..before.clone() }),
        Err(TokenizerError::Length { .. })
    ));
    assert_eq!(tokenizer.layout(), &before);
}

#[test]
fn places_of_japanese_words_lead_back_to_the_text_as_given() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["ネコ", "と", "(", "株", ")", "犬"];
    fs::write(
        folder.path().join("vocab.txt"),
        SPECIAL.iter().chain(&words).map(|word| format!("{word}\n")).collect::<String>(),
    )
    .unwrap();
    let settings = r#"{"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab",
        "subword_tokenizer_type": "character"}"#;
    fs::write(folder.path().join("tokenizer_config.json"), settings).unwrap();
    let pieces = Pieces::read(folder.path()).unwrap();
    assert_eq!(pieces.words_apart(), Some("mecab"));
    let tokenizer = Tokenizer::new(pieces, Some(Segmenter::Characters), Layout::colbert()).unwrap();
    let text = "と㈱犬"; // NFKC: と(株)犬
    let document = tokenizer.document(text).unwrap();
    let cut: Vec<&str> = document.places[2..7].iter().map(|place| &text[place.clone()]).collect();
    assert_eq!(cut, ["と", "㈱", "㈱", "㈱", "犬"]);
    let text = "犬 [SEP] と犬"; // a special token in the text is that token, as in `transformers`
    let document = tokenizer.document(text).unwrap();
    assert_eq!(
        (document.ids[3], &text[document.places[3].clone()], &text[document.places[5].clone()]),
        (SEP, "[SEP]", "犬")
    );
}

#[test]
fn own_vocabularies_return_from_their_files() {
    let texts = ["東京都と京都の猫が好き", "京都の犬が好き ABC abc", "東京の猫"];
    for kind in [Kind::Characters { fewest: 1 }, Kind::WordPiece { size: 60 }] {
        let pieces = train(texts, kind).unwrap();
        for (id, token) in (0i64..).zip(SPECIAL) {
            assert_eq!(pieces.id(token), Some(id));
        }
        let folder = tempfile::tempdir().unwrap();
        write(&pieces, folder.path()).unwrap();
        let again = Pieces::read(folder.path()).unwrap();
        for text in texts {
            assert_eq!(pieces.encode(text).unwrap(), again.encode(text).unwrap());
            assert!(pieces.encode(text).unwrap().iter().all(|piece| piece.id != UNK), "{kind:?}");
        }
        assert_eq!(train(texts, kind).unwrap().encode(texts[0]).unwrap(), pieces.encode(texts[0]).unwrap());
        assert_eq!(pieces.encode("が").unwrap().len(), 1, "dakuten stay");
    }
}

proptest! {
    #[test]
    fn sequences_are_framed_and_places_are_inside_the_text(
        text in "\\PC{0,80}",
        name in "none|fixed:16|plus:3|paper|code|pad:16|min:9",
    ) {
        let tokenizer = with(&name);
        for sequence in [tokenizer.query(&text).unwrap(), tokenizer.document(&text).unwrap()] {
            prop_assert_eq!(sequence.ids.len(), sequence.places.len());
            prop_assert_eq!(sequence.ids.len(), sequence.keep.len());
            prop_assert!(sequence.real <= sequence.ids.len() && sequence.visible <= sequence.ids.len());
            prop_assert_eq!((sequence.ids[0], sequence.ids[sequence.real - 1]), (CLS, SEP));
            for place in &sequence.places {
                prop_assert!(text.get(place.clone()).is_some());
            }
        }
    }
}
