//! The command on files: what it does with good ones, and what it says of bad ones.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![cfg(feature = "tensor")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::nn::bert::Config;
use retrieval::encoder::ColBert;
use retrieval::tokenizer::Layout;
use retrieval::tokenizer::train::{Kind, train};
use serde_json::Value;
use tempfile::TempDir;

const TEXTS: [&str; 4] = [
    "東大寺は奈良にある寺だ。",
    "金閣寺は京都にある寺だ。",
    "鹿は奈良公園にいる。",
    "大阪城は大阪にある城だ。",
];

struct Place {
    folder: TempDir,
}

impl Place {
    /// A folder with a tiny model and a collection in BEIR's layout.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pieces = train(TEXTS, Kind::Characters { fewest: 1 }).unwrap();
        let config = Config::new(pieces.len() as i64, 32, 1, 2);
        let layout = Layout { document_length: 40, ..Layout::colbert() };
        let model = ColBert::new(&config, pieces, layout, 16, tch::Device::Cpu, 1).unwrap();
        model.save_stanford(&folder.path().join("model")).unwrap();
        let place = Self { folder };
        let documents = TEXTS.iter().enumerate();
        let lines: String =
            documents.map(|(i, text)| format!("{{\"_id\": \"d{i}\", \"text\": \"{text}\"}}\n")).collect();
        fs::create_dir_all(place.path("beir/qrels")).unwrap();
        place.write("beir/corpus.jsonl", &lines);
        place.write(
            "beir/queries.jsonl",
            &TEXTS
                .iter()
                .enumerate()
                .map(|(i, text)| format!("{{\"_id\": \"q{i}\", \"text\": \"{text}\"}}\n"))
                .collect::<String>(),
        );
        place.write(
            "beir/qrels/test.tsv",
            "query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td1\t1\nq2\td2\t1\nq3\td3\t1\n",
        );
        place.write(
            "beir/qrels/train.tsv",
            "query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td1\t1\nq2\td2\t1\nq3\td3\t1\n",
        );
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retrieval"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert_eq!(error.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{error}");
        error
    }

    fn index(&self) {
        self.ok(&["index", "model", "beir/corpus.jsonl", "index", "--quiet"]);
    }
}

#[test]
fn documents_are_indexed_found_added_and_deleted() {
    let place = Place::new();
    let said = place.ok(&["index", "model", "beir/corpus.jsonl", "index", "--quiet"]);
    assert!(said.contains("index: 4 documents") && said.contains("recall@10"), "{said}");
    let hits: Value = serde_json::from_str(&place.ok(&[
        "search",
        "index",
        TEXTS[2],
        "-k",
        "2",
        "--format",
        "jsonl",
        "--explain",
    ]))
    .unwrap();
    assert_eq!(hits["hits"][0]["id"], "d2");
    assert_eq!(hits["hits"][0]["text"], TEXTS[2]);
    assert_eq!(hits["hits"][0]["highlights"][0]["token"], "鹿");
    let text = place.ok(&["search", "index", TEXTS[2], "-k", "1"]);
    assert!(text.contains("d2") && text.contains('['), "{text}");
    place.write("more.tsv", "d9\t姫路城は兵庫にある城だ。\n");
    assert!(place.ok(&["add", "index", "more.tsv", "--quiet"]).contains("5 documents"));
    assert!(
        place
            .ok(&["search", "index", "姫路城は兵庫にある城だ。", "--format", "trec"])
            .starts_with("1 Q0 d9 1 ")
    );
    assert!(place.ok(&["delete", "index", "d9", "d2"]).contains("2 deleted documents"));
    assert!(!place.ok(&["search", "index", TEXTS[2], "--format", "trec"]).contains(" d2 "));
    assert!(place.ok(&["compact", "index"]).contains("0 deleted documents"));
    assert!(place.ok(&["verify", "index"]).contains("every file has its checksum"));
}

#[test]
fn rankings_are_scored_by_run_index_model_and_words() {
    let place = Place::new();
    place.index();
    let run =
        place.ok(&["search", "index", "--queries", "beir/queries.jsonl", "--format", "trec", "--tag", "t"]);
    assert_eq!(run.lines().count(), 16);
    place.write("run.txt", &run);
    let by_run = place.ok(&["evaluate", "beir", "--run", "run.txt"]);
    assert!(by_run.contains("4 documents, 4 queries with judgements, 4 in the run"), "{by_run}");
    assert_eq!(by_run, place.ok(&["evaluate", "beir", "--index", "index"]));
    assert!(place.ok(&["evaluate", "beir", "--model", "model"]).contains("ndcg@10         1.0000"));
    assert!(
        place
            .ok(&["evaluate", "beir", "--bm25", "bigrams", "--measure", "mrr@1", "--per-query"])
            .contains("q3\tmrr@1\t1.000000")
    );
}

#[test]
fn queries_come_from_standard_input_too() {
    let place = Place::new();
    place.index();
    let mut child = place.command(&["search", "index", "--format", "trec", "-k", "1"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    write!(child.stdin.take().unwrap(), "{}\n\n{}\n", TEXTS[0], TEXTS[3]).unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let lines: Vec<&str> = output.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].starts_with("1 Q0 d0") && lines[1].starts_with("3 Q0 d3"),
        "{output}"
    );
}

#[test]
fn a_new_encoder_is_trained_saved_and_averaged() {
    let place = Place::new();
    let train = |out: &str, seed: &str| {
        place.ok(&[
            "train",
            "beir",
            out,
            "--new",
            "--layers",
            "1",
            "--hidden",
            "64",
            "--width",
            "16",
            "--vocabulary",
            "60",
            "--steps",
            "3",
            "--batch",
            "2",
            "--ways",
            "2",
            "--negatives",
            "1",
            "--seed",
            seed,
            "--quiet",
        ])
    };
    assert!(train("a", "1").contains("a: 4 examples, 3 steps"));
    train("b", "1");
    let weights = |model: &str| fs::read(place.path(model).join("model.safetensors")).unwrap();
    assert_eq!(weights("a"), weights("b"), "same seed, same bits");
    assert!(place.ok(&["average", "a", "b", "--out", "mean"]).contains("the mean of 2 models"));
    place.ok(&[
        "train",
        "beir",
        "c",
        "--from",
        "mean",
        "--teacher",
        "model",
        "--steps",
        "2",
        "--ways",
        "2",
        "--quiet",
        "--save",
        "pylate",
    ]);
    assert!(place.path("c/1_Dense/model.safetensors").exists());
    place.write("examples.jsonl", "[\"q0\", [\"d0\", 0.9], [\"d1\", 0.1]]\n");
    place.ok(&[
        "train",
        "beir",
        "d",
        "--from",
        "c",
        "--examples",
        "examples.jsonl",
        "--steps",
        "1",
        "--ways",
        "2",
        "--batch",
        "1",
        "--quiet",
    ]);
    place.write("examples.jsonl", "[\"q0\", [\"d0\", 0.9], [\"d7\", 0.1]]\n");
    let error = place.fails(&[
        "train",
        "beir",
        "e",
        "--from",
        "c",
        "--examples",
        "examples.jsonl",
        "--steps",
        "1",
        "--ways",
        "2",
        "--quiet",
    ]);
    assert!(error.contains("examples.jsonl:1: document `d7` is not in the collection"), "{error}");
}

#[test]
fn vectors_go_to_numpy_and_to_other_engines() {
    let place = Place::new();
    place.index();
    assert!(place.ok(&["encode", "model", "beir/corpus.jsonl", "vectors"]).contains("4 texts"));
    let header = fs::read(place.path("vectors/vectors.npy")).unwrap();
    assert!(header.starts_with(b"\x93NUMPY") && String::from_utf8_lossy(&header[..80]).contains("<f4"));
    assert_eq!(fs::read_to_string(place.path("vectors/ids.txt")).unwrap(), "d0\nd1\nd2\nd3\n");
    place.ok(&["delete", "index", "d1"]);
    assert!(place.ok(&["export", "index", "qdrant", "--engine", "qdrant"]).contains("3 documents"));
    assert!(
        place
            .ok(&["export", "index", "vespa", "--engine", "vespa", "--documents", "beir/corpus.jsonl"])
            .contains("4 documents")
    );
}

#[test]
fn bad_input_is_told_once_and_changes_nothing() {
    let place = Place::new();
    place.index();
    let manifest = || fs::read(place.path("index/manifest.json")).unwrap();
    let before = manifest();
    for (name, text, arguments, expected) in [
        ("x.tsv", "d0\tx\n", vec!["add", "index", "x.tsv", "--quiet"], "`d0`"),
        ("x.tsv", "lonely\n", vec!["add", "index", "x.tsv", "--quiet"], "x.tsv:1: 1 column"),
        (
            "x.jsonl",
            "{\"_id\": \"n\", \"text\": \"x\"}\n{\n",
            vec!["add", "index", "x.jsonl", "--quiet"],
            "x.jsonl:2:",
        ),
        ("x.tsv", "", vec!["index", "model", "x.tsv", "index", "--quiet"], "x.tsv:1: no row"),
        ("x", "", vec!["delete", "index", "nobody"], "`nobody`"),
        ("x", "", vec!["delete", "index"], "no id to delete"),
        ("x", "", vec!["index", "nowhere", "beir/corpus.jsonl", "index"], "nowhere"),
        (
            "x",
            "",
            vec!["index", "model", "beir/corpus.jsonl", "index", "--bits", "3", "--quiet"],
            "1, 2 or 4",
        ),
        ("x", "", vec!["search", "nowhere", "x"], "nowhere"),
        ("x.txt", "q9 Q0 d0 1 1 t\n", vec!["evaluate", "beir", "--run", "x.txt"], "no query in common"),
        ("x", "", vec!["evaluate", "beir", "--split", "dev", "--index", "index"], "dev.tsv"),
        ("x", "", vec!["export", "index", "beir", "--engine", "vespa"], "is not empty"),
    ] {
        place.write(name, text);
        let error = place.fails(&arguments);
        assert!(error.contains(expected), "{error}\nexpected {expected}");
        assert_eq!(manifest(), before, "{arguments:?}");
    }
}

#[test]
fn an_index_knows_its_model() {
    let place = Place::new();
    place.index();
    let error = |arguments: &[&str]| place.fails(arguments);
    fs::rename(place.path("model"), place.path("moved")).unwrap();
    assert!(error(&["search", "index", "x"]).contains("name its place now with --model"));
    place.ok(&["search", "index", "x", "--model", "moved"]);
    let weights = place.path("moved/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).unwrap();
    let said = error(&["search", "index", "x", "--model", "moved"]);
    assert!(said.contains("whose weights differ from those of moved"), "{said}");
}

#[test]
fn a_corrupt_file_is_named() {
    let place = Place::new();
    place.index();
    let segment = segment(&place.path("index"));
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(&segment, bytes).unwrap();
    let error = place.fails(&["verify", "index"]);
    assert!(error.contains(segment.file_name().unwrap().to_str().unwrap()), "{error}");
}

fn segment(index: &Path) -> PathBuf {
    let mut names = fs::read_dir(index).unwrap().map(|entry| entry.unwrap().path());
    names.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("segment-")).unwrap()
}

#[test]
fn an_index_is_served_on_the_loopback_address() {
    let place = Place::new();
    place.index();
    let mut child = place.command(&["serve", "index", "--port", "0"]);
    let mut child = child.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let address = said.trim_start_matches("http://").split('/').next().unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{said}");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /search?q=%E9%B9%BF&k=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"hits\":[{\"id\":\"d"), "{answer}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_experiment_runs_on_stand_ins_and_its_report_is_rendered_again() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    let said = place.ok(&[
        "reproduce",
        "--data",
        "empty",
        "--runs",
        "runs",
        "--out",
        "report",
        "--quiet",
        "--workers",
        "2",
    ]);
    assert!(said.contains("Generated stand-ins, because jaquad, jsquad, xquad-en were missing"), "{said}");
    assert!(said.contains("28 claims · 28 not evaluated"), "{said}");
    let markdown = fs::read(place.path("report/report.md")).unwrap();
    fs::remove_file(place.path("report/report.md")).unwrap();
    place.ok(&["report", "report"]);
    assert_eq!(fs::read(place.path("report/report.md")).unwrap(), markdown);
    assert!(place.path("report/figures/maxsim.png").exists());
    let error = place.fails(&["reproduce", "--preset", "cpu", "--data", "empty"]);
    assert!(error.contains("data set `jaquad` is not in empty"), "{error}");
}
