//! The search service with well-behaved clients and others.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use retrieval::serve::{Answer, Found, Highlight, Limits, Search, serve};

/// Finds the query itself; some queries are slow, fail or panic.
#[derive(Default)]
struct Echo {
    at_once: AtomicUsize,
    most: AtomicUsize,
}

impl Search for Echo {
    fn search(&self, query: &str, k: usize) -> Result<Vec<Found>, String> {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        if query == "slow" {
            thread::sleep(Duration::from_millis(300));
        }
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        assert!(query != "panic", "asked for");
        if query == "fail" {
            return Err("the model does not know this".to_owned());
        }
        let highlights = vec![Highlight { token: query.to_owned(), start: 0, end: 1, similarity: 1.0 }];
        let found = |i| Found {
            id: format!("d{i}"),
            score: 1.0,
            text: Some(query.to_owned()),
            highlights: highlights.clone(),
        };
        Ok((0..k.min(3)).map(found).collect())
    }

    fn about(&self) -> serde_json::Value {
        serde_json::json!({ "documents": 3 })
    }
}

struct Running {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    echo: Arc<Echo>,
    server: Option<JoinHandle<std::io::Result<()>>>,
}

impl Running {
    fn new(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, echo) = (Arc::new(AtomicBool::new(false)), Arc::new(Echo::default()));
        let (flag, search) = (Arc::clone(&stop), Arc::clone(&echo));
        let server = thread::spawn(move || serve(listener, search, limits, || flag.load(Ordering::SeqCst)));
        Self { address, stop, echo, server: Some(server) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Status and body of the answer to raw bytes.
    fn say(&self, bytes: &[u8]) -> (u16, String) {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes); // the server may have answered and closed already
        read(&mut stream)
    }

    fn post(&self, body: &str) -> (u16, String) {
        self.say(
            format!(
                "POST /search HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        )
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.say(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let ended = self.server.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(Ok(())))), "the service did not end in peace");
    }
}

fn read(stream: &mut TcpStream) -> (u16, String) {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text); // a reset after the answer is as good as an end
    let text = String::from_utf8(text).unwrap();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

#[test]
fn queries_are_answered_by_address_and_body() {
    let service = Running::new(Limits::LOCAL);
    let (status, body) = service.get("/search?q=%E5%A5%88%E8%89%AF+x&k=2");
    assert_eq!(status, 200, "{body}");
    let answer: Answer = serde_json::from_str(&body).unwrap();
    assert_eq!((answer.query.as_str(), answer.hits.len()), ("奈良 x", 2));
    assert_eq!(answer.hits[0].highlights[0].token, "奈良 x");
    let (status, body) = service.post("{\"query\": \"奈良\"}");
    assert_eq!((status, serde_json::from_str::<Answer>(&body).unwrap().hits.len()), (200, 3));
    assert_eq!(service.get("/health"), (200, "{\"documents\":3}".to_owned()));
    let (status, page) = service.get("/");
    assert!(status == 200 && page.contains("<form>"), "{page}");
}

#[test]
fn bad_requests_get_one_clear_error_each() {
    let service = Running::new(Limits::LOCAL);
    for ((status, body), expected, message) in [
        (service.post("{"), 400, "expected {\\\"query\\\""),
        (service.post("{\"query\": \"a\", \"path\": \"/\"}"), 400, "unknown field `path`"),
        (service.post("{\"query\": 3}"), 400, "invalid type"),
        (service.post("{\"query\": \" \"}"), 400, "the query is empty"),
        (service.post("{\"query\": \"a\", \"k\": 100000}"), 400, "`k` is 100000; expected 1 to 1000"),
        (service.post("{\"query\": \"fail\"}"), 422, "the model does not know this"),
        (service.get("/../../etc/passwd"), 404, "nothing at `/../../etc/passwd`"),
        (service.get("/%2e%2e/%2e%2e/etc/passwd"), 404, "nothing at"),
        (service.get("//etc/passwd"), 404, "nothing at"),
        (
            service.say(b"DELETE /search HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            405,
            "expected GET, POST",
        ),
    ] {
        assert_eq!(status, expected, "{body}");
        assert!(body.contains(message), "{body}\nexpected {message}");
    }
    let long = "あ".repeat(5000);
    let (status, body) = service.post(&format!("{{\"query\": \"{long}\"}}"));
    assert!(status == 400 && body.contains("a query of 5000 characters; expected at most 4096"), "{body}");
    assert_eq!(service.say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n").0, 400);
    assert_eq!(service.get("/search?q=a").0, 200);
}

#[test]
fn huge_bodies_and_heads_are_refused_early() {
    let service = Running::new(Limits::LOCAL);
    let (status, body) = service.post(&format!("{{\"query\": \"{}\"}}", "a".repeat(1 << 20)));
    assert!(status == 413 && body.contains("a body of more than 65536 bytes"), "{status} {body}");
    let endless = format!(
        "POST /search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        "8000\r\n".to_owned() + &"x".repeat(0x8000) + "\r\n"
    );
    let more = "8000\r\n".to_owned() + &"x".repeat(0x8000) + "\r\n";
    let (status, _) = service.say((endless + &more.repeat(20)).as_bytes());
    assert_eq!(status, 413);
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(1 << 20));
    assert_eq!(service.say(head.as_bytes()).0, 431);
    assert_eq!(service.get("/search?q=a").0, 200);
}

#[test]
fn a_search_that_panics_is_told_and_others_go_on() {
    let service = Running::new(Limits::LOCAL);
    let (status, body) = service.post("{\"query\": \"panic\"}");
    assert!(status == 500 && body.contains("the search failed"), "{body}");
    assert_eq!(service.post("{\"query\": \"a\"}").0, 200);
}

#[test]
fn clients_that_send_nothing_are_cut_off_and_free_their_place() {
    let service = Running::new(Limits { connections: 2, receive_ms: 300, ..Limits::LOCAL });
    let mut silent: Vec<TcpStream> = (0..2).map(|_| service.connect()).collect();
    silent[1].write_all(b"POST /search HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").unwrap();
    let started = Instant::now();
    assert_eq!(service.get("/search?q=a").0, 200);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(read(&mut silent[1]).0, 408);
}

#[test]
fn many_clients_share_few_searches_and_the_slow_are_told() {
    let service = Running::new(Limits { searches: 2, answer_ms: 900, ..Limits::LOCAL });
    let statuses: Vec<u16> = thread::scope(|scope| {
        let clients: Vec<_> = (0..24).map(|_| scope.spawn(|| service.get("/search?q=slow").0)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    let answered = statuses.iter().filter(|status| **status == 200).count();
    assert!((2..24).contains(&answered), "{statuses:?}");
    assert!(service.echo.most.load(Ordering::SeqCst) <= 2);
    assert_eq!(service.get("/search?q=a").0, 200);
}
