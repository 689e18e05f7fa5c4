//! Word pieces against transformers.
#![cfg(feature = "text")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use common::text::pieces::Pieces;
use serde_json::Value;

const UNKNOWN: i64 = 1;

fn recorded() -> Value {
    serde_json::from_str(include_str!("golden/pieces.json")).unwrap()
}

fn directory(folder: &Path, settings: &Value) {
    let vocabulary: Vec<String> = serde_json::from_value(recorded()["vocabulary"].clone()).unwrap();
    fs::write(folder.join("vocab.txt"), vocabulary.join("\n") + "\n").unwrap();
    fs::write(folder.join("tokenizer_config.json"), settings.to_string()).unwrap();
}

#[test]
fn pieces_of_words_equal_those_of_transformers_before_and_after_saving() {
    let golden = recorded();
    let words: Vec<String> = serde_json::from_value(golden["words"].clone()).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let folder = tempfile::tempdir().unwrap();
        directory(folder.path(), &case["settings"]);
        let pieces = Pieces::read(folder.path()).unwrap();
        let saved = tempfile::tempdir().unwrap();
        pieces.write(saved.path()).unwrap();
        let again = Pieces::read(saved.path()).unwrap();
        let expected: Vec<Vec<i64>> = serde_json::from_value(case["ids"].clone()).unwrap();
        for (word, mut expected) in words.iter().zip(expected) {
            if expected.is_empty() {
                expected.push(UNKNOWN); // ours: a word always has a piece to carry its label
            }
            assert_eq!(pieces.ids(word), expected, "{word:?} under {}", case["settings"]);
            assert_eq!(again.ids(word), expected, "{word:?} read back under {}", case["settings"]);
        }
    }
}

#[test]
fn unusable_directories_are_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let error = || Pieces::read(folder.path()).unwrap_err().to_string();
    assert!(error().ends_with("vocab.txt: reading: no such file or folder"), "{}", error());
    fs::write(folder.path().join("vocab.txt"), "[UNK]\na\n").unwrap();
    assert!(
        error().ends_with("vocab.txt: no `[CLS]` in the vocabulary; expected a BERT tokenizer"),
        "{}",
        error()
    );
    fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
    assert!(error().contains("tokenizer.json: "), "{}", error());
    directory(
        folder.path(),
        &serde_json::json!({
            "tokenizer_class": "BertJapaneseTokenizer", "subword_tokenizer_type": "sentencepiece"
        }),
    );
    assert!(
        error().contains("`subword_tokenizer_type` is `sentencepiece`, expected `wordpiece` or `character`")
    );
}

#[test]
fn pieces_of_a_text_have_their_places_and_special_and_added_tokens_are_found_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "é", "e"];
    fs::write(folder.path().join("vocab.txt"), vocabulary.join("\n") + "\n").unwrap();
    fs::write(folder.path().join("added_tokens.json"), r#"{"[Q] ": 10}"#).unwrap();
    let pieces = Pieces::read(folder.path()).unwrap();
    let text = "The cats [SEP] é";
    let found = pieces.encode(text).unwrap();
    let spelled: Vec<(i64, &str)> =
        found.iter().map(|piece| (piece.id, &text[piece.place.clone()])).collect();
    assert_eq!(spelled, [(5, "The"), (6, "cat"), (7, "s"), (3, "[SEP]"), (9, "é")]);
    assert_eq!((pieces.id("[Q] "), pieces.id("[D] "), pieces.unknown()), (Some(10), None, UNKNOWN));
    assert_eq!(pieces.encode("  ").unwrap(), []);
    fs::write(folder.path().join("added_tokens.json"), r#"{"[Q] ": 12}"#).unwrap();
    let error = Pieces::read(folder.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("added_tokens.json: `[Q] ` has id 12, expected the next one behind the vocabulary"),
        "{error}"
    );
}
