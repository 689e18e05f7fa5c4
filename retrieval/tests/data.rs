//! Collections, judgements and runs: good files and bad ones.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;

use common::metrics::ranking::{Measure, Ranked};
use retrieval::data::{
    Document, Query, Squad, read_collection, read_documents, read_judgements, read_queries, read_run, squad,
    write_run,
};
use tempfile::TempDir;

fn file(name: &str, content: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    (folder, path)
}

fn document(id: &str, title: &str, text: &str) -> Document {
    Document { id: id.into(), title: title.into(), text: text.into() }
}

#[test]
fn documents_are_read_from_json_lines_and_tables() {
    let beir = "{\"_id\": \"1\", \"title\": \"t\", \"text\": \"x\", \"metadata\": {}}\n\n{\"_id\": 7, \"text\": \"東京\"}\n";
    let (_keep, path) = file("corpus.jsonl", beir);
    assert_eq!(read_documents(&path).unwrap(), [document("1", "t", "x"), document("7", "", "東京")]);
    let (_keep, path) = file("collection.tsv", "0\tx\tt\r\n1\ty\n");
    assert_eq!(read_documents(&path).unwrap(), [document("0", "t", "x"), document("1", "", "y")]);
    let (_keep, path) = file("queries.json", "{\"qid\": 3, \"question\": \"wer?\"}\n");
    assert_eq!(read_queries(&path).unwrap(), [Query { id: "3".into(), text: "wer?".into() }]);
}

#[test]
fn broken_rows_are_named_by_line() {
    for (name, content, expected) in [
        (
            "a.tsv",
            "0\tx\nlonely\n",
            "a.tsv:2: 1 column, expected `id⇥text` or `id⇥text⇥title`, found `lonely` (were the tabs",
        ),
        ("a.tsv", "0\tx\n0\ty\n", "a.tsv:2: the id `0` stands in line 1 already; expected each once"),
        ("a.tsv", "\tx\n", "a.tsv:1: an empty id"),
        ("a.tsv", "0\ta\tb\tc\n", "a.tsv:1: more than 3 columns"),
        ("a.tsv", "", "a.tsv:1: no row; expected JSON lines or `id⇥text` (is the file empty?)"),
        (
            "a.jsonl",
            "{\"_id\": \"1\", \"text\": \"x\"}\n{\"_id\": \"2\"}\n",
            "a.jsonl:2: missing field `text`",
        ),
        ("a.jsonl", "{\"_id\": \"1\", \"text\": \"x\"}\n{broken\n", "a.jsonl:2: key must be a string"),
    ] {
        let (_keep, path) = file(name, content);
        let error = read_documents(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin.tsv");
    fs::write(&path, b"0\tcaf\xe9\n").unwrap();
    let error = read_documents(&path).unwrap_err().to_string();
    assert!(error.contains("latin.tsv:1:6: invalid UTF-8"), "{error}");
    let (_keep, path) = file("q.tsv", "0\t \n");
    assert!(read_queries(&path).unwrap_err().to_string().contains("q.tsv:1: query `0` is empty"));
}

#[test]
fn squad_paragraphs_become_documents_and_titles_are_cut_off() {
    let json = r#"{"data": [{"title": "梅雨", "paragraphs": [
        {"context": "梅雨 [SEP] 梅雨は雨季である。", "qas": [{"id": "q1", "question": "何？", "is_impossible": false, "answers": [{"text": "雨季", "answer_start": 3}]}]},
        {"context": "別の段落", "qas": [{"id": "q2", "question": "誰？"}, {"id": "q3", "question": "x", "is_impossible": true}]},
        {"context": "別の段落", "qas": [{"id": "q4", "question": "いつ？"}]}]}]}"#;
    let Squad { collection, articles, answers } = squad(json, false).unwrap();
    assert_eq!(articles, [0, 0]);
    assert_eq!(answers, [vec!["雨季".to_owned()], vec![], vec![]]);
    assert_eq!(
        collection.documents,
        [document("p0", "梅雨", "梅雨は雨季である。"), document("p1", "", "別の段落")]
    );
    let ids: Vec<&str> = collection.queries.iter().map(|query| query.id.as_str()).collect();
    assert_eq!(ids, ["q1", "q2", "q4"]);
    assert_eq!(collection.judgements["q4"]["p1"], 1);
    assert_eq!(squad(json, true).unwrap().collection.documents[1].title, "梅雨");
    let twice = json.replace("q4", "q1");
    assert_eq!(squad(&twice, false).unwrap_err(), "the question id `q1` stands twice; expected each once");
    let (_keep, path) = file("a.json", "{\"data\": [\n{}]}");
    let error = read_collection(&path, "test").unwrap_err().to_string();
    assert!(error.contains("a.json:2: missing field `paragraphs`"), "{error}");
}

#[test]
fn a_beir_folder_is_read_and_its_contradictions_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let error = read_collection(folder.path(), "test").unwrap_err().to_string();
    assert!(error.contains("no collection; expected a folder or file of one"), "{error}");
    let write = |name: &str, text: &str| {
        fs::create_dir_all(folder.path().join("qrels")).unwrap();
        fs::write(folder.path().join(name), text).unwrap();
    };
    write("corpus.jsonl", "{\"_id\": \"d\", \"text\": \"x\"}\n");
    write(
        "queries.jsonl",
        "{\"_id\": \"q\", \"text\": \"x\"}\n{\"_id\": \"other split\", \"text\": \"y\"}\n",
    );
    write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq\td\t1\n");
    let collection = read_collection(folder.path(), "test").unwrap();
    assert_eq!((collection.documents.len(), collection.queries.len()), (1, 1));
    write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq\td\t1\nz\td\t1\n");
    let error = read_collection(folder.path(), "test").unwrap_err().to_string();
    assert!(error.contains("judges the query `z`, which queries.jsonl does not have"), "{error}");
    let error = read_collection(folder.path(), "dev").unwrap_err().to_string();
    assert!(error.contains("dev.tsv:0: is not there; expected beside corpus.jsonl"), "{error}");
}

#[test]
fn judgements_and_runs_are_read_written_and_scored() {
    let (_keep, path) = file("qrels.txt", "q1 0 a 2\nq1 0 b 0\nq2 0 a -1\n");
    let judgements = read_judgements(&path).unwrap();
    assert_eq!((judgements["q1"]["a"], judgements["q2"]["a"]), (2, -1));
    let mut lines = Vec::new();
    write_run(&mut lines, "q1", &[("b".into(), 1.5), ("a".into(), 0.25)], "ours").unwrap();
    assert_eq!(String::from_utf8(lines.clone()).unwrap(), "q1 Q0 b 1 1.5 ours\nq1 Q0 a 2 0.25 ours\n");
    let (_keep, path) = file("run.txt", &String::from_utf8(lines).unwrap());
    let run = read_run(&path).unwrap();
    let hits: Vec<(&str, f64)> = run["q1"].iter().map(|(id, score)| (id.as_str(), *score)).collect();
    assert_eq!(Measure::Mrr(10).of(&Ranked::new(&hits, &judgements["q1"])), 0.5);
    for (content, expected) in [
        ("q Q0 d 1 x t\n", "run.txt:1: score `x`, expected a number"),
        ("q Q0 d 1 NaN t\n", "run.txt:1: score `NaN`, expected a number"),
        ("q d 1\n", "run.txt:1: `q d 1`, expected `query Q0 document rank score tag`"),
        ("q Q0 d 1 1 t\nq Q0 d 2 0 t\n", "run.txt:2: query `q` has document `d` twice"),
    ] {
        let (_keep, path) = file("run.txt", content);
        let error = read_run(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    for (content, expected) in [
        ("q 0 d x\nq 0 d 1.5\n", "qrels.txt:2: grade `1.5`, expected an integer"),
        ("q 0 d 1\nq 0 d 1\n", "qrels.txt:2: query `q` and document `d` are judged twice"),
        ("q d\n", "no judgement"),
        ("q 0 d 1\nq d\n", "qrels.txt:2: 2 columns, expected"),
    ] {
        let (_keep, path) = file("qrels.txt", content);
        let error = read_judgements(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
