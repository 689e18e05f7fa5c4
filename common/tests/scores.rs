//! Entity scores and formats against seqeval, the data sets' published counts, and round trips.
#![expect(clippy::print_stdout, reason = "a skipped test says so")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use common::formats::conll::{self, ConllOptions};
use common::formats::knp::{self, KnpOptions, Tags};
use common::formats::{Scheme, Sentence, Span, jsonl, stockmark};
use common::metrics::entity::{EntityScores, Errors, Scores};
use common::metrics::overlap::{Overlap, Reading};
use proptest::prelude::*;
use serde_json::Value;

/// Both divide integers once: only the last bits of sums over types may differ.
const SAME: f64 = 1e-12;

fn data(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("BENKYOKAI_DATA")
        .map(|root| Path::new(&root).join(name))
        .filter(|path| path.exists());
    if path.is_none() {
        println!("skipped: {name} is not below BENKYOKAI_DATA");
    }
    path
}

#[test]
fn scores_equal_seqeval() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("golden/seqeval.json")).unwrap();
    let tags = |value: &Value| -> Vec<Vec<String>> { serde_json::from_value(value.clone()).unwrap() };
    for case in cases {
        let scores = EntityScores::of_tags(&tags(&case["gold"]), &tags(&case["predicted"]));
        let averages =
            [("micro", scores.micro()), ("macro", scores.macro_average()), ("weighted", scores.weighted())];
        for (name, Scores { precision, recall, f1 }) in averages {
            for (found, expected) in
                [precision, recall, f1].iter().zip(case["averages"][name].as_array().unwrap())
            {
                let expected = expected.as_f64().unwrap();
                assert!((found - expected).abs() < SAME, "{} {name}: {found} {expected}", case["scheme"]);
            }
        }
    }
}

/// The golden script's noise: of all words, number `i` gets another tag when a hash of `i` is below 8 of 100.
fn noisy(gold: &[Vec<String>], prefixes: &str, kinds: &[String]) -> Vec<Vec<String>> {
    let tags = prefixes.chars().flat_map(|p| kinds.iter().map(move |kind| format!("{p}-{kind}")));
    let mut every: Vec<String> = tags.chain(["O".to_owned()]).collect();
    every.sort();
    let mut numbers = 0_u64..;
    let mut other = |tag: &String| {
        let i = numbers.next().unwrap();
        let changes = i * 2_654_435_761 % (1 << 32) % 100 < 8;
        if changes { every[(i * 40_503 % (1 << 16)) as usize % every.len()].clone() } else { tag.clone() }
    };
    gold.iter().map(|tags| tags.iter().map(&mut other).collect()).collect()
}

fn check_scores(found: Scores, expected: &Value, what: &str) {
    let expected: [f64; 3] = serde_json::from_value(expected.clone()).unwrap();
    for (found, expected) in [found.precision, found.recall, found.f1].iter().zip(expected) {
        assert!((found - expected).abs() < SAME, "{what}: {found} {expected}");
    }
}

fn check_averages(scores: &EntityScores, expected: &Value, what: &str) {
    check_scores(scores.micro(), &expected["micro"], what);
    check_scores(scores.macro_average(), &expected["macro"], what);
    check_scores(scores.weighted(), &expected["weighted"], what);
}

#[test]
fn scores_of_noisy_real_tags_equal_seqeval_strict_and_default_and_conlleval() {
    let Some(folder) = data("wnut17") else { return };
    let golden: Value = serde_json::from_str(include_str!("golden/noisy_scores.json")).unwrap();
    let sentences =
        conll::read(&folder.join("emerging.test.annotated"), &ConllOptions::default()).unwrap().sentences;
    let mut kinds: Vec<String> =
        sentences.iter().flat_map(|s| &s.spans).map(|span| span.label.clone()).collect();
    kinds.sort();
    kinds.dedup();
    for (scheme, prefixes) in [
        (Scheme::Iob1, "BI"),
        (Scheme::Iob2, "BI"),
        (Scheme::Ioe1, "EI"),
        (Scheme::Ioe2, "EI"),
        (Scheme::Iobes, "BEIS"),
        (Scheme::Bilou, "BILU"),
    ] {
        let gold: Vec<Vec<String>> =
            sentences.iter().map(|s| scheme.encode(&s.spans, s.words.len())).collect();
        let predicted = noisy(&gold, prefixes, &kinds);
        let case = &golden["schemes"][scheme.to_string().to_uppercase()];
        let strict = EntityScores::of_tags_strict(&gold, &predicted, scheme).unwrap();
        check_averages(&strict, &case["strict"], &format!("{scheme} strict"));
        let lenient = EntityScores::of_tags(&gold, &predicted);
        if !case["default"].is_null() {
            check_averages(&lenient, &case["default"], &format!("{scheme} default"));
        }
        for (kind, expected) in case["conlleval"]["types"].as_object().into_iter().flatten() {
            let three = serde_json::json!([expected["prec"], expected["rec"], expected["f1"]]);
            check_scores(lenient.types[kind].into(), &three, &format!("{scheme} conlleval {kind}"));
        }
        if scheme == Scheme::Iob2 {
            check_overlap(&gold, &predicted, &case["nervaluate"]);
        }
    }
}

fn check_overlap(gold: &[Vec<String>], predicted: &[Vec<String>], expected: &Value) {
    for (name, reading) in Reading::ALL {
        let mut overlap = Overlap::default();
        for (gold, predicted) in gold.iter().zip(predicted) {
            let spans = |tags: &[String]| Scheme::Iob2.decode_strict(tags).unwrap();
            overlap.add(&spans(gold), &spans(predicted), reading);
        }
        let Overlap { correct, incorrect, partial, missed, spurious } = overlap;
        let found = [correct, incorrect, partial, missed, spurious].map(|count| count as f64);
        let scores = [overlap.precision(), overlap.recall(), overlap.f1()].map(Option::unwrap);
        let key = if name == "type" { "ent_type" } else { name };
        let expected: Vec<f64> = serde_json::from_value(expected[key].clone()).unwrap();
        for (found, expected) in found.iter().chain(&scores).zip(expected) {
            assert!((found - expected).abs() < SAME, "{name}: {found} {expected}");
        }
    }
}

#[test]
fn a_tag_of_another_scheme_is_refused_by_the_strict_reading() {
    let error = Scheme::Iob2.decode_strict(&["S-PER"]).unwrap_err().to_string();
    assert!(error.starts_with("tag `S-PER` is not of the scheme iob2; expected prefixes IOB"), "{error}");
}

fn span(start: usize, end: usize, label: &str) -> Span {
    Span { start, end, label: label.to_owned() }
}

#[test]
fn errors_are_split_by_kind() {
    let gold =
        [span(0, 2, "PER"), span(3, 4, "LOC"), span(5, 6, "ORG"), span(7, 9, "PER"), span(11, 12, "LOC")];
    let predicted =
        [span(0, 1, "PER"), span(3, 4, "ORG"), span(5, 6, "ORG"), span(8, 9, "LOC"), span(9, 10, "LOC")];
    let mut errors = Errors::default();
    errors.add(&gold, &predicted, 12);
    assert_eq!(
        (errors.border, errors.kind, errors.border_and_kind, errors.spurious, errors.missed),
        (1, 1, 1, 1, 1)
    );
    assert_eq!((errors.minority_to_majority(), errors.majority_to_minority()), (3, 1));
    assert_eq!(errors.predicted_gold_ratio(), Some(5.0 / 7.0));
}

#[test]
fn knp_counts_are_the_published_ones() {
    let Some(folder) = data("wac-knp") else { return };
    for (file, units, words, by_morpheme, by_phrase) in [
        ("train.knp.gz", 14684, 211262, 14563, 15036),
        ("dev.knp", 443, 6353, 423, 430),
        ("test.knp", 775, 11123, 798, 814),
    ] {
        let read = |tags| knp::read(&folder.join(file), &KnpOptions { tags, optional: true }).unwrap();
        let entities = |sentences: &[Sentence]| sentences.iter().map(|s| s.spans.len()).sum::<usize>();
        let sentences = read(Tags::Morphemes).sentences;
        assert_eq!((sentences.len(), entities(&sentences)), (units, by_morpheme), "{file}");
        assert_eq!(sentences.iter().map(|s| s.words.len()).sum::<usize>(), words);
        let phrases = read(Tags::Phrases);
        let overlapping = by_phrase - phrases.unplaced - entities(&phrases.sentences);
        assert!(
            (overlapping + phrases.unplaced) * 200 < by_phrase,
            "{file}: {overlapping} overlap, {} unplaced",
            phrases.unplaced
        );
    }
}

#[test]
fn column_counts_are_the_published_ones() {
    for (set, file, sentences, words, entities) in [
        ("broad-twitter", "b.conll", 2000, 30825, 1610),
        ("wnut17", "wnut17train.conll", 3394, 62730, 1975),
        ("wnut17", "emerging.test.annotated", 1287, 23394, 1079),
        ("uner-en-pt", "pt_bosque-ud-train.iob2", 7018, 171776, 8101),
        ("wikigold", "wikigold.conll.txt", 1696, 39007, 3558),
    ] {
        let Some(folder) = data(set) else { continue };
        let corpus = conll::read(&folder.join(file), &ConllOptions::default()).unwrap();
        let count = |f: fn(&Sentence) -> usize| corpus.sentences.iter().map(f).sum::<usize>();
        assert_eq!(
            (corpus.sentences.len(), count(|s| s.words.len()), count(|s| s.spans.len())),
            (sentences, words, entities),
            "{file}"
        );
        let expected = if set == "wikigold" { Scheme::Iob1 } else { Scheme::Iob2 };
        assert_eq!((corpus.scheme, corpus.repaired_tags), (expected, 0), "{file}");
    }
}

#[test]
fn stockmark_counts_are_the_published_ones() {
    let Some(folder) = data("stockmark-ner-wikipedia") else { return };
    let texts = stockmark::read(&folder.join("ner.json")).unwrap();
    assert_eq!((texts.len(), texts.iter().map(|t| t.spans.len()).sum::<usize>()), (5343, 13185));
    assert_eq!(texts.iter().map(|t| t.text.chars().count()).sum::<usize>(), 308_374);
    assert!(texts.iter().all(|text| jsonl::parse(&jsonl::to_line(text)).as_ref() == Ok(text)));
}

fn read(content: &[u8]) -> Result<conll::Corpus, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.conll");
    std::fs::write(&path, content).unwrap();
    let told = |error: common::formats::ParseError| {
        error.to_string().replace(&format!("{}/", folder.path().display()), "")
    };
    conll::read(&path, &ConllOptions::default()).map_err(told)
}

#[test]
fn a_byte_order_mark_crlf_and_lines_of_a_lone_tab_are_read() {
    let corpus = read("\u{feff}Ann\tB-PER\r\n\t\r\nruns\tO\r\n".as_bytes()).unwrap();
    assert_eq!(corpus.sentences.len(), 2);
    assert_eq!(corpus.sentences[0].words, ["Ann"]);
    assert_eq!(corpus.sentences[0].spans, [span(0, 1, "PER")]);
}

#[test]
fn bad_columns_are_named_with_line_and_remedy() {
    for (content, message) in [
        (
            &b"a O\nb O x\n"[..],
            "x.conll:2: 3 columns, expected 2 as before (columns are split at spaces: are separators mixed?)",
        ),
        (
            b"a\tO\nb O\n",
            "x.conll:2: 1 columns, expected 2 as before (columns are split at tabs: are separators mixed?)",
        ),
        (
            b"a B_PER\n",
            "x.conll:1: `B_PER` is not a tag; expected `O` or `B-TYPE`, `I-TYPE` … (choose another tag column?)",
        ),
        (b"", "x.conll:1: no sentence; expected one word per line (is the file empty?)"),
        (
            b"a O\nb\xff O\n",
            "x.conll:2:2: invalid UTF-8; expected UTF-8 text (convert it, for example with `iconv -t UTF-8`)",
        ),
        (b"alone\n", "x.conll:1: no tag column -1 among 1 columns (is the file tagged?)"),
    ] {
        assert_eq!(read(content).unwrap_err(), message);
    }
}

#[test]
fn a_line_of_a_megabyte_is_a_word_like_any_other() {
    let long = "x".repeat(1 << 20);
    let corpus = read(format!("{long} O\n").as_bytes()).unwrap();
    assert_eq!(corpus.sentences[0].words[0].len(), 1 << 20);
}

#[test]
fn bad_spans_in_json_lines_are_refused() {
    for (line, message) in [
        (r#"{"text": "ab", "label": [[0, 3, "X"]]}"#, "span [0, 3) does not fit a text of 2 characters"),
        (
            r#"{"text": "abc", "label": [[0, 2, "X"], [1, 3, "Y"]]}"#,
            "entities `X` [0, 2) and `Y` [1, 3) overlap; expected flat entities",
        ),
        (r#"{"label": []}"#, r#"no string `text`; expected {"text": …, "label": [[start, end, type]]}"#),
    ] {
        assert_eq!(jsonl::parse(line).unwrap_err(), message);
    }
}

fn spans() -> impl Strategy<Value = (Vec<Span>, usize)> {
    proptest::collection::vec((0..3_usize, 1..4_usize, 0..2_usize), 0..6).prop_map(|pieces| {
        let mut at = 0;
        let mut spans = Vec::new();
        for (gap, length, kind) in pieces {
            spans.push(span(at + gap, at + gap + length, ["PER", "LOC"][kind]));
            at += gap + length;
        }
        (spans, at + 1)
    })
}

proptest! {
    #[test]
    fn every_scheme_gives_back_the_spans_it_was_given((spans, n) in spans()) {
        for scheme in [Scheme::Iob1, Scheme::Iob2, Scheme::Ioe1, Scheme::Ioe2, Scheme::Iobes, Scheme::Bilou] {
            let decoded = scheme.decode(&scheme.encode(&spans, n));
            prop_assert_eq!(&decoded.spans, &spans, "{}", scheme);
            prop_assert_eq!(decoded.repaired, 0);
        }
    }

    #[test]
    fn a_prediction_equal_to_gold_is_perfect((spans, n) in spans()) {
        let tags = vec![Scheme::Iob2.encode(&spans, n)];
        let total = EntityScores::of_tags(&tags, &tags).total();
        prop_assert_eq!(total.correct, spans.len() as u64);
        prop_assert_eq!(total.predicted, total.gold);
    }
}

#[test]
fn a_running_index_from_0_or_1_is_no_word() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.conll");
    for first in 0..2 {
        let text = format!("{first}\tRoma\tB-LOC\n{}\ncae\tO\n", first + 1).replace("\ncae", "\tcae");
        std::fs::write(&path, text).unwrap();
        let sentence = conll::read(&path, &ConllOptions::default()).unwrap().sentences.remove(0);
        assert_eq!(sentence.words, ["Roma", "cae"]);
        assert_eq!(sentence.spans, [Span { start: 0, end: 1, label: "LOC".to_owned() }]);
    }
}
