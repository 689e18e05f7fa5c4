//! Vectors, dictionaries, alignment and word adaptation: formats, bad input, and maps that are known.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use common::testing::{max_difference, torch_rng};
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;
use transfer_ner::adapt::map_words;
use transfer_ner::align::{align, dictionary, identical, nearest, of_dictionary, precision, procrustes};
use transfer_ner::dictionary::Dictionary;
use transfer_ner::vectors::{Vectors, Wanted};

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn fails(path: &Path, width: Option<usize>) -> String {
    let error = Vectors::read(path, Wanted::All, width).unwrap_err().to_string();
    error.rsplit_once('/').unwrap().1.to_owned()
}

#[test]
fn vectors_with_and_without_a_header_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "the 0.5 -1 2e-1\nnew york 1 2 3\nthe 9 9 9\ncafé 0 0 1\n";
    let plain = Vectors::read(&file(&folder, "glove.txt", rows), Wanted::All, None).unwrap();
    assert_eq!(plain.words, ["the", "new york", "café"]); // of equal words the first
    assert_eq!(plain.row(0), [0.5, -1.0, 0.2]);
    let header = format!("4 3\n{rows}");
    assert_eq!(Vectors::read(&file(&folder, "w2v.vec", &header), Wanted::All, Some(3)).unwrap(), plain);
    let windows = header.replace('\n', "\r\n");
    assert_eq!(Vectors::read(&file(&folder, "crlf.vec", &windows), Wanted::All, None).unwrap(), plain);
    let path = folder.path().join("w2v.vec.gz");
    let mut out = flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), Default::default());
    out.write_all(header.as_bytes()).unwrap();
    out.finish().unwrap();
    assert_eq!(Vectors::read(&path, Wanted::All, None).unwrap(), plain);
    let written = folder.path().join("again.vec");
    plain.write(&written).unwrap();
    assert_eq!(Vectors::read(&written, Wanted::All, None).unwrap(), plain);
}

#[test]
fn only_wanted_rows_are_kept_whatever_their_piece() {
    let folder = tempfile::tempdir().unwrap();
    // More than one piece of the parallel reader.
    let n = 200_000;
    let text: String =
        (0..n).map(|at| format!("w{at} {} {} 0.123456789 0.5\n", at % 7, -((at % 5) as i64))).collect();
    assert!(text.len() > 4 << 20);
    let path = file(&folder, "large.vec", &format!("{n} 4\n{text}"));
    let words: HashSet<String> = ["w3", "w99999", "w119999", "missing"].map(str::to_owned).into();
    let named = Vectors::read(&path, Wanted::Words(&words), None).unwrap();
    assert_eq!(named.words, ["w3", "w99999", "w119999"]);
    assert_eq!(named.row(1)[0], (99_999 % 7) as f32);
    let both = Vectors::read(&path, Wanted::WordsAndFirst(&words, 2), None).unwrap();
    assert_eq!(both.words, ["w0", "w1", "w3", "w99999", "w119999"]);
    assert_eq!(Vectors::read(&path, Wanted::All, None).unwrap().words.len(), n);
    let broken = text.replace("w199999 2 ", "w199999 two ");
    let error = fails(&file(&folder, "broken.vec", &format!("{n} 4\n{broken}")), None);
    assert_eq!(error, "broken.vec:200001: `two` is not a number; expected one such as -0.25");
}

#[test]
fn vectors_that_are_none_are_told_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let of = |text: &str| fails(&file(&folder, "v.vec", text), None);
    assert_eq!(
        of("a 1 2\nb 1\n"),
        "v.vec:2: 1 numbers, expected 2 as in the lines before; a header `words width` may be missing or wrong"
    );
    assert_eq!(of("a 1 2\nb 1 2 3\n"), "v.vec:2: 3 numbers after `b`, expected 2 as in the lines before");
    assert_eq!(of("a 1 2\nb 1 two\n"), "v.vec:2: `two` is not a number; expected one such as -0.25");
    assert_eq!(of("a 1 nan\n"), "v.vec:1: `nan` is not a number; expected one such as -0.25");
    assert_eq!(
        of("3 2\na 1 2\nb 3 4\n"),
        "v.vec:1: the header says 3 words, the file has 2: was it cut off?"
    );
    assert!(of("").starts_with("v.vec:1: no vector; expected `word number number …`"));
    assert!(of("word\n").starts_with("v.vec:1: no vector"));
    let path = file(&folder, "v.vec", "a 1 2\n");
    assert_eq!(fails(&path, Some(50)), "v.vec:1: vectors of 2 dimensions, expected 50 as of the other file");
}

#[test]
fn dictionaries_of_both_forms_keep_many_translations_and_many_headwords() {
    let folder = tempfile::tempdir().unwrap();
    let muse = Dictionary::read(&file(&folder, "muse.txt", "house casa\nhouse lar\nhome casa\nhouse casa\n"))
        .unwrap();
    assert_eq!(muse.translations("house"), ["casa", "lar"]);
    assert_eq!(muse.pairs().len(), 3);
    let tabs =
        Dictionary::read(&file(&folder, "d.tsv", "United States\tEstados Unidos\ncafe\u{301}\tcafé\n"))
            .unwrap();
    assert_eq!(tabs.translations("united states"), ["Estados Unidos"]);
    assert_eq!(tabs.translations("café"), ["café"]);
    let error = |text: &str| Dictionary::read(&file(&folder, "d.txt", text)).unwrap_err().to_string();
    let message = error("a b\nunited states of\n");
    assert!(
        message.contains("d.txt:2: `united states of` is no pair; expected `headword TAB translation`"),
        "{message}"
    );
    assert!(error("alone\n").contains("d.txt:1:"));
    assert!(error("").contains("no pair of words"));
}

#[test]
fn procrustes_recovers_a_rotation() {
    let _rng = torch_rng(1);
    let x = Tensor::randn([40, 6], (Kind::Double, Device::Cpu));
    let (rotation, _) = Tensor::linalg_qr(&Tensor::randn([6, 6], (Kind::Double, Device::Cpu)), "reduced");
    let found = procrustes(&x, &x.matmul(&rotation.tr()));
    assert!(max_difference(&found, &rotation) < 1e-8);
    // Of noisy pairs it is still orthogonal.
    let noisy =
        procrustes(&x, &(x.matmul(&rotation.tr()) + Tensor::randn([40, 6], (Kind::Double, Device::Cpu))));
    assert!(max_difference(&noisy.matmul(&noisy.tr()), &Tensor::eye(6, (Kind::Double, Device::Cpu))) < 1e-8);
}

/// Random vectors, their rotated copy under other names but for the first `same`, and the true dictionary.
fn spaces(same: usize) -> (Vectors, Vectors, Dictionary) {
    let (n, width) = (300, 8);
    let rows = Tensor::randn([n, width], (Kind::Float, Device::Cpu));
    let (rotation, _) =
        Tensor::linalg_qr(&Tensor::randn([width, width], (Kind::Float, Device::Cpu)), "reduced");
    let noise = Tensor::randn([n, width], (Kind::Float, Device::Cpu)) * 0.02;
    let rotated = rows.matmul(&rotation) + noise;
    let vectors = |rows: &Tensor, prefix: &str| Vectors {
        width: width as usize,
        words: (0..n as usize)
            .map(|at| if at < same { format!("same{at}") } else { format!("{prefix}{at}") })
            .collect(),
        rows: Vec::<f32>::try_from(rows.flatten(0, -1)).unwrap(),
    };
    let pairs = (same..n as usize).map(|at| (format!("s{at}"), format!("t{at}")));
    (vectors(&rows, "s"), vectors(&rotated, "t"), Dictionary::of(pairs))
}

#[test]
fn rotated_spaces_are_aligned_from_words_written_alike() {
    let _rng = torch_rng(2);
    let (source, target, truth) = spaces(20);
    let pairs = identical(&source, &target);
    assert_eq!(pairs.len(), 20);
    let aligned = align(&source, &target, &pairs, 3).unwrap();
    assert!(aligned.pairs > 250, "{}", aligned.pairs);
    let precision = precision(&aligned, &source, &target, &truth).unwrap();
    assert!(precision > 0.97, "{precision}");
    let found = dictionary(&aligned, &source, &target);
    assert_eq!(found.translations("same3"), ["same3"]);
    assert_eq!(of_dictionary(&truth, &source, &target).len(), 280);
}

#[test]
fn too_few_pairs_and_other_widths_are_errors() {
    let _rng = torch_rng(2);
    let (source, target, _) = spaces(3);
    let error = align(&source, &target, &identical(&source, &target), 1).unwrap_err().to_string();
    assert!(error.starts_with("3 pairs of words to begin with, 8 dimensions need"), "{error}");
    let narrow = Vectors { width: 4, ..target.clone() };
    assert!(
        align(&source, &narrow, &[], 1)
            .unwrap_err()
            .to_string()
            .contains("8 dimensions, those of the target 4")
    );
}

#[test]
fn nearest_words_are_those_of_the_double_loop() {
    let _rng = torch_rng(5);
    let unit = |n: i64| {
        let rows = Tensor::randn([n, 5], (Kind::Float, Device::Cpu));
        let norms = rows.norm_scalaropt_dim(2.0, [1].as_slice(), true);
        rows / norms
    };
    let (from, to) = (unit(1100), unit(60)); // more than one block of rows
    let rows = |tensor: &Tensor| -> Vec<Vec<f64>> {
        Vec::<f32>::try_from(tensor.flatten(0, -1))
            .unwrap()
            .chunks(5)
            .map(|row| row.iter().map(|&v| v.into()).collect())
            .collect()
    };
    let (x, y) = (rows(&from), rows(&to));
    let cos = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let density = |of: &[f64], others: &[Vec<f64>]| {
        let mut all: Vec<f64> = others.iter().map(|other| cos(of, other)).collect();
        all.sort_by(|a, b| b.total_cmp(a));
        all[..10].iter().sum::<f64>() / 10.0
    };
    let r_y: Vec<f64> = y.iter().map(|row| density(row, &x)).collect();
    let found = nearest(&from, &to);
    for (row, found) in x.iter().zip(found) {
        let r_x = density(row, &y);
        let csls = |at: usize| 2.0 * cos(row, &y[at]) - r_x - r_y[at];
        let best = (0..y.len()).max_by(|&a, &b| csls(a).total_cmp(&csls(b))).unwrap();
        assert!((csls(found as usize) - csls(best)).abs() < 1e-5);
    }
}

#[test]
fn word_adaptation_finds_the_map_of_its_pivots_and_leaves_words_without_any() {
    let _rng = torch_rng(4);
    let (n, width) = (200_i64, 4);
    let y = Tensor::randn([n, width], (Kind::Float, Device::Cpu));
    let map = Tensor::eye(width, (Kind::Float, Device::Cpu))
        + Tensor::randn([width, width], (Kind::Float, Device::Cpu)) * 0.3;
    let x = y.matmul(&map);
    let vectors = |rows: &Tensor| Vectors {
        width: width as usize,
        words: (0..n).map(|at| format!("w{at}")).collect(),
        rows: Vec::<f32>::try_from(rows.flatten(0, -1)).unwrap(),
    };
    let counts: HashMap<String, u64> = (0..100).map(|at| (format!("w{at}"), 5)).collect();
    let (mapped, pivots) = map_words(&vectors(&x), &vectors(&y), [&counts, &counts]);
    assert_eq!(pivots, 100);
    let worst = mapped.rows.iter().zip(&vectors(&y).rows).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 0.05, "{worst}");
    let none = HashMap::new();
    assert_eq!(map_words(&vectors(&x), &vectors(&y), [&none, &counts]), (vectors(&x), 0));
}
