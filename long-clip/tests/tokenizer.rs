//! Ids of OpenAI's tokenizer. Skipped without the data folder, which has its merges.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::PathBuf;

use common::testing::golden;
use long_clip::tokenizer::{Specials, Tokenizer};
use proptest::prelude::*;

fn tokenizer() -> Option<Tokenizer> {
    let root = std::env::var_os("BENKYOKAI_DATA").map(PathBuf::from);
    let path =
        root.map(|root| root.join("clip-bpe/bpe_simple_vocab_16e6.txt.gz")).filter(|path| path.exists());
    path.map(|path| Tokenizer::open(&path).unwrap())
}

#[test]
fn ids_are_openais_for_hard_cases_and_many_languages() {
    let Some(tokenizer) = tokenizer() else { return };
    let cases: Vec<(String, Vec<i64>)> =
        serde_json::from_value(golden(env!("CARGO_MANIFEST_DIR"), "tokens.json")).unwrap();
    let wrong: Vec<&str> = (cases.iter())
        .filter(|(text, ids)| tokenizer.encode(text, Specials::Meant) != *ids)
        .map(|(text, _)| text.as_str())
        .collect();
    assert!(cases.len() > 500);
    assert!(wrong.is_empty(), "{} of {}: {:?}", wrong.len(), cases.len(), &wrong[..wrong.len().min(12)]);
}

#[test]
fn a_cut_text_keeps_its_end_token() {
    let Some(tokenizer) = tokenizer() else { return };
    let long = "a red cat ".repeat(40);
    let encoded = tokenizer.tokenize(&long, 77, Specials::Neutral);
    assert_eq!((encoded.ids.len(), encoded.whole, encoded.is_cut()), (77, 122, true));
    assert_eq!((encoded.ids[0], encoded.ids[76]), (49_406, 49_407));
    let short = tokenizer.tokenize("a red cat", 77, Specials::Neutral);
    assert_eq!((short.ids.len(), short.is_cut()), (5, false));
    assert_eq!(tokenizer.tokenize("", 77, Specials::Neutral).ids, [49_406, 49_407]);
}

#[test]
fn special_tokens_in_a_text_mean_something_only_when_asked_for() {
    let Some(tokenizer) = tokenizer() else { return };
    let text = "a cat <|endoftext|> hidden";
    assert_eq!(tokenizer.tokenize(text, 77, Specials::Meant).ids.len(), 4);
    let neutral = tokenizer.tokenize(text, 77, Specials::Neutral).ids;
    assert!(neutral.len() > 6 && neutral.iter().filter(|&&id| id == 49_407).count() == 1, "{neutral:?}");
}

#[test]
fn a_word_of_ten_thousand_letters_is_cut_quickly() {
    let Some(tokenizer) = tokenizer() else { return };
    let word: String = (0..10_000).map(|i| char::from(b'a' + (i * i % 23) as u8)).collect();
    let started = cpu_time::ThreadTime::now();
    assert!(tokenizer.encode(&word, Specials::Neutral).len() > 1000);
    assert!(started.elapsed().as_millis() < 200, "{:?}", started.elapsed());
}

#[test]
fn files_of_a_hugging_face_directory_give_the_same_tokenizer() {
    let Some(tokenizer) = tokenizer() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("merges.txt");
    std::fs::write(&path, tokenizer.merges_text()).unwrap();
    let again = Tokenizer::open(&path).unwrap();
    assert_eq!(again.vocabulary(), 49_408);
    let text = "Two dogs (one brown) ran past 12 cars; it's late!";
    assert_eq!(again.encode(text, Specials::Neutral), tokenizer.encode(text, Specials::Neutral));
    let vocabulary: serde_json::Value = serde_json::from_str(&tokenizer.vocabulary_json()).unwrap();
    assert_eq!((&vocabulary["cat</w>"], &vocabulary["<|endoftext|>"]), (&2368.into(), &49_407.into()));
}

#[test]
fn merges_out_of_order_and_cut_files_are_refused_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("merges.txt");
    let problem = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        Tokenizer::open(&path).unwrap_err().to_string()
    };
    let error = problem(b"#version\ni n\nin g\nabc d\n");
    assert!(
        error.ends_with("merges.txt:4: `abc` is no symbol yet; lines of a merges file stand in their order"),
        "{error}"
    );
    assert!(problem(b"#version\ni n t\n").ends_with("merges.txt:2: `i n t` is no pair of symbols"));
    assert!(problem(&[0x1f, 0x8b, 8, 0, 1]).contains("not whole gzip"));
    assert!(problem(&[b'a', 0xff]).contains("not UTF-8"));
}

proptest! {
    #[test]
    fn any_text_is_cut_and_ascii_returns(text in "[ -~]{0,60}", any in "\\PC{0,40}") {
        let Some(tokenizer) = tokenizer_once() else { return Ok(()) };
        let ids = tokenizer.tokenize(&any, 20, Specials::Neutral).ids;
        prop_assert!(ids.len() <= 20 && ids.last() == Some(&49_407));
        let plain = text.replace('&', "");
        let returned = tokenizer.decode(&tokenizer.encode(&plain, Specials::Neutral));
        let letters = |text: &str| text.to_lowercase().split_whitespace().collect::<String>();
        prop_assert_eq!(letters(&returned), letters(&plain));
    }
}

fn tokenizer_once() -> Option<&'static Tokenizer> {
    static TOKENIZER: std::sync::OnceLock<Option<Tokenizer>> = std::sync::OnceLock::new();
    TOKENIZER.get_or_init(tokenizer).as_ref()
}
