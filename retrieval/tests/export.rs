//! What distributed engines are given.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::borrow::Cow;

use retrieval::export::{Engine, ExportError, Exported, export};
use serde_json::Value;

const ROWS: [f32; 6] = [1.0, 0.0, 0.6, 0.8, 0.0, 1.0];

fn documents() -> [Exported<'static>; 3] {
    [
        Exported { id: "奈良", text: Some("寺"), rows: ROWS[..2].into() },
        Exported { id: "empty", text: None, rows: Cow::Borrowed(&[]) },
        Exported { id: "b", text: None, rows: ROWS[2..].into() },
    ]
}

fn read(path: std::path::PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn qdrant_gets_a_multivector_collection_and_its_points() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(export(Engine::Qdrant, 2, documents(), folder.path()).unwrap(), 2);
    let collection: Value = serde_json::from_str(&read(folder.path().join("collection.json"))).unwrap();
    assert_eq!(collection["vectors"]["size"], 2);
    assert_eq!(collection["vectors"]["multivector_config"]["comparator"], "max_sim");
    let points: Value = serde_json::from_str(&read(folder.path().join("points-00000.json"))).unwrap();
    assert_eq!(points["points"][1]["payload"]["id"], "b");
    assert_eq!(points["points"][1]["vector"].as_array().unwrap().len(), 2);
    let error = export(Engine::Qdrant, 2, documents(), folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("is not empty; choose another folder or empty it"), "{error}");
}

#[test]
fn vespa_gets_a_schema_and_a_feed() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(export(Engine::Vespa, 2, documents(), folder.path()).unwrap(), 2);
    assert!(read(folder.path().join("document.sd")).contains("tensor<bfloat16>(token{}, x[2])"));
    let feed = read(folder.path().join("feed.jsonl"));
    let lines: Vec<Value> = feed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["put"], "id:retrieval:document::奈良");
    assert_eq!(lines[1]["fields"]["colbert"]["blocks"]["1"], serde_json::json!([0.0, 1.0]));
}

#[test]
fn rows_of_another_width_are_refused() {
    for engine in [Engine::Qdrant, Engine::Vespa] {
        let folder = tempfile::tempdir().unwrap();
        let error = export(engine, 4, documents(), folder.path()).unwrap_err();
        assert!(matches!(&error, ExportError::Width { id, values: 2, width: 4 } if id == "奈良"), "{error}");
        assert!(!folder.path().join("feed.jsonl").exists());
    }
}
