//! Stand-ins for data sets that are missing: questions on generated paragraphs, to see that everything runs.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use common::{data, files, seed};
use flate2::Compression;
use flate2::write::GzEncoder;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::DATA_SETS;

/// Articles of a file, paragraphs of an article, questions on a paragraph.
const ARTICLES: usize = 4;
const PARAGRAPHS: usize = 10;
const QUESTIONS: usize = 2;
/// Characters that words are made of.
const SYLLABLES: [&str; 16] =
    ["東", "京", "奈", "良", "寺", "山", "川", "海", "花", "鳥", "風", "月", "人", "国", "学", "生"];

/// Writes every file of the experiment's data sets below `root`, as SQuAD JSON.
///
/// # Errors
/// Files that cannot be written.
pub fn generate(root: &Path) -> Result<()> {
    for (number, name) in DATA_SETS.into_iter().enumerate() {
        for (file, path) in data::file_names(name).into_iter().enumerate() {
            let place = root.join(name).join(&path);
            files::make_folder(place.parent().context("a file without a folder")?)?;
            let mut rng = seed::rng(number as u64, "stand-in", file as u64);
            let text = json!({ "data": articles(&mut rng, &path) }).to_string();
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(text.as_bytes())?;
            files::write_atomic(&place, &packed.finish()?)?;
        }
    }
    Ok(())
}

fn articles(rng: &mut ChaCha8Rng, file: &str) -> Vec<Value> {
    let article = |number: usize, rng: &mut ChaCha8Rng| {
        let paragraphs: Vec<Value> =
            (0..PARAGRAPHS).map(|i| paragraph(rng, &format!("{file}-{number}-{i}"))).collect();
        json!({ "title": word(rng), "paragraphs": paragraphs })
    };
    (0..ARTICLES).map(|number| article(number, rng)).collect()
}

/// Words, and questions that repeat some of them.
fn paragraph(rng: &mut ChaCha8Rng, id: &str) -> Value {
    let words: Vec<String> = (0..30).map(|_| word(rng)).collect();
    let question = |number: usize, rng: &mut ChaCha8Rng| {
        let at = rng.random_range(0..words.len() - 3);
        let asked = words[at..at + 3].join("は");
        json!({ "id": format!("{id}-{number}"), "question": asked, "answers": [{ "text": words[at] }] })
    };
    let questions: Vec<Value> = (0..QUESTIONS).map(|number| question(number, rng)).collect();
    json!({ "context": words.join("の"), "qas": questions })
}

fn word(rng: &mut ChaCha8Rng) -> String {
    (0..rng.random_range(2..4)).map(|_| SYLLABLES[rng.random_range(0..SYLLABLES.len())]).collect()
}
