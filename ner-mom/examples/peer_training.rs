//! Our side of the peer cases `training` and `flair`: one epoch of the BiLSTM tagger, timed; writes the inputs.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::PathBuf;

use anyhow::{Result, bail};
use common::formats::{Scheme, Sentence};
use common::testing::zipf_sentences;
use ner_mom::config::{HeadKind, TrainConfig};
use ner_mom::model::Model;
use ner_mom::train::{Checkpoints, train};
use serde_json::json;
use tch::Device;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (crf, work) = match &arguments[..] {
        [work] => (false, PathBuf::from(work)),
        [head, work] if head == "crf" => (true, PathBuf::from(work)),
        _ => bail!("usage: peer_training [crf] WORK"),
    };
    tch::set_num_threads(1);
    let data = zipf_sentences();
    let line = |s: &Sentence| {
        format!("{}\n", json!({"words": s.words, "tags": Scheme::Iob2.encode(&s.spans, s.words.len())}))
    };
    std::fs::write(work.join("training.jsonl"), data.iter().map(line).collect::<String>())?;
    let head = if crf { HeadKind::Crf } else { HeadKind::Softmax };
    let config = TrainConfig { epochs: 1, head, ..TrainConfig::bilstm("ce".parse()?) };
    let run = || {
        let mut model = Model::new(config.clone(), &data, 1, Device::Cpu)?;
        anyhow::Ok(train(&mut model, &data, &data[..1], 1, &Checkpoints::default(), |_| true)?)
    };
    run()?; // warm-up
    let history = run()?;
    println!("{}", json!({"seconds": history.steps_s, "items": history.words, "values": []}));
    Ok(())
}
