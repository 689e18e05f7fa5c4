//! The page: what it answers, what it refuses, and that nothing is lost when it is killed.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod page;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use page::Page;
use serde_json::{Value, json};

impl Page {
    /// Status and body of a request.
    fn ask(&self, method: &str, path: &str, body: &str, host: &str) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        let split = reply.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&reply[..split]).into_owned();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), reply[split + 4..].to_vec())
    }

    fn json(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (status, reply) = self.ask(method, path, &body.to_string(), &self.address);
        (status, serde_json::from_slice(&reply).unwrap())
    }

    fn next(&self) -> Value {
        self.json("GET", "/next", &Value::Null).1
    }
}

#[test]
fn a_session_survives_being_killed_and_ends_when_all_is_answered() {
    let folder = page::world(40, 30);
    let page = Page::open(folder.path(), &["--practice", "0"]);
    let first = page.next();
    assert_eq!((first["class"].as_str(), first["all"].as_u64()), (Some("cat"), Some(4)));
    assert_eq!(page.json("POST", "/click", &json!({"task": 0, "x": 12.5, "y": 3, "time_ms": 900})).0, 200);
    assert_eq!(page.json("POST", "/absent", &json!({"task": 1, "time_ms": 500})).0, 200);
    drop(page); // killed
    let clicks = fs::read_to_string(folder.path().join("clicks.csv")).unwrap();
    assert_eq!(clicks, "image,class,annotator,x,y,time_ms\na,cat,0,12.5,3.0,900\n");
    let mut page = Page::open(folder.path(), &["--practice", "0"]);
    let next = page.next();
    assert_eq!(
        (next["task"].as_u64(), next["answered"].as_u64(), next["name"].as_str()),
        (Some(2), Some(2), Some("b"))
    );
    assert_eq!(page.json("POST", "/undo", &json!({})).1, json!({"undone": true}));
    assert_eq!(page.next()["task"].as_u64(), Some(1));
    for task in 1..4 {
        assert_eq!(page.json("POST", "/click", &json!({"task": task, "x": 1, "y": 2, "time_ms": 5})).0, 200);
    }
    assert_eq!(page.next()["kind"].as_str(), Some("done"));
    assert!(page.child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(folder.path().join("clicks.csv")).unwrap().lines().count(), 5);
}

#[test]
fn practice_shows_the_centre_and_comes_before_the_images() {
    let folder = page::world(40, 30);
    let page = Page::open(folder.path(), &["--practice", "1", "--limit", "3"]);
    let next = page.next();
    assert_eq!(next["kind"].as_str(), Some("polygon"));
    let click = |number: u64, x: f64, y: f64| {
        let body = json!({"polygon": number, "x": x, "y": y, "time_ms": 700});
        let (_, value) = page.json("POST", "/click", &body);
        [0, 1].map(|axis| value["centre"][axis].as_f64().unwrap())
    };
    click(0, 0.0, 0.0);
    let second = page.next();
    assert!(second["polygon"].as_u64() == Some(1) && second["last_round"].as_f64().unwrap() > 3.0);
    let side = |pick: fn(f64, f64) -> f64, axis: usize| {
        let corners = second["corners"].as_array().unwrap().iter();
        corners.map(|corner| corner[axis].as_f64().unwrap()).reduce(pick).unwrap()
    };
    let middle = |axis: usize| (side(f64::min, axis) + side(f64::max, axis)) / 2.0;
    assert_eq!(click(1, middle(0), middle(1)), [middle(0), middle(1)]);
    assert_eq!(page.next()["kind"].as_str(), Some("task"));
}

#[test]
fn the_page_is_for_this_machine_and_its_own_requests() {
    let folder = page::world(40, 30);
    let page = Page::open(folder.path(), &["--practice", "0"]);
    assert!(page.address.starts_with("127.0.0.1:"));
    assert_eq!(page.ask("GET", "/", "", &page.address).0, 200);
    assert_eq!(page.ask("GET", "/image/1", "", &page.address).1[..4], *b"\x89PNG");
    for (method, path, body, host, status) in [
        ("GET", "/next", "", "evil.example", 403),
        ("GET", "/image/2", "", "", 404),
        ("GET", "/image/../clicks.csv", "", "", 404),
        ("DELETE", "/next", "", "", 405),
        ("POST", "/click", "no JSON", "", 400),
        ("POST", "/click", r#"{"x": 1, "y": 1}"#, "", 400),
        ("POST", "/click", r#"{"task": 3, "x": 1, "y": 1}"#, "", 409),
        ("POST", "/click", r#"{"task": 0, "x": 41, "y": 1}"#, "", 409),
    ] {
        let host = if host.is_empty() { &page.address } else { host };
        assert_eq!(page.ask(method, path, body, host).0, status, "{method} {path} {body}");
    }
    assert!(!folder.path().join("clicks.csv").exists());
}
