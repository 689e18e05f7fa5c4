//! Small sentences for tests of networks and training.
#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use common::formats::Sentence;
use common::formats::conll::{self, ConllOptions};
use tch::Device;
use transfer_ner::config::Config;
use transfer_ner::model::{Model, Training};

fn parse(text: &str) -> Vec<Sentence> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.conll");
    std::fs::write(&path, text).unwrap();
    conll::read(&path, &ConllOptions::default()).unwrap().sentences
}

/// English.
pub(crate) fn source() -> Vec<Sentence> {
    parse(
        "Ann B-PER\nlives O\nin O\nOslo B-LOC\n\nBob B-PER\nLee I-PER\nsleeps O\n\nRome B-LOC\nis O\nold O\n\n\
         we O\nmet O\nCarl B-PER\n\nDora B-PER\nleft O\nNew B-LOC\nYork I-LOC\nCity I-LOC\n\nit O\nrains O\n\n\
         Eve B-PER\nlikes O\nPisa B-LOC\nand O\nBonn B-LOC\n\nnothing O\nhere O\n\n",
    )
}

/// Spanish.
pub(crate) fn target() -> Vec<Sentence> {
    parse(
        "Ana B-PER\nvive O\nen O\nRoma B-LOC\n\nllueve O\n\nJuan B-PER\nLuis I-PER\nduerme O\n\n\
         y O\nNueva B-LOC\nYork I-LOC\nes O\ngrande O\n\n",
    )
}

/// Untrained, on both.
pub(crate) fn model(config: Config) -> Model {
    let (source, target) = (source(), target());
    let training = Training { source: &source, target: &target, ..Training::default() };
    Model::new(config, training, 7, Device::Cpu).unwrap()
}
