//! A small search service: JSON over HTTP/1.1, and a plain page to try queries.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the page |
//! | `GET /search?q=TEXT&k=10`, `POST /search` with `{"query": TEXT, "k": 10}` | [`Answer`] |
//! | `GET /health` | what is served |
//!
//! Nothing of the file system is reachable. Connections, bodies, queries and times have [`Limits`]; beyond them a client
//! gets an error in JSON and others go on.

mod request;

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use request::{Problem, Question};

const PAGE: &str = include_str!("page.html");

/// A stretch of a text that a token of the query found: what to highlight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Highlight {
    /// Token of the query.
    pub token: String,
    /// First code point in `text`.
    pub start: usize,
    /// One past the last code point.
    pub end: usize,
    /// Cosine similarity of the two tokens.
    pub similarity: f32,
}

/// A document that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Its score.
    pub score: f32,
    /// Its text, where the index keeps texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The best place in the text for each token of the query.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub highlights: Vec<Highlight>,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The query.
    pub query: String,
    /// Documents, best first.
    pub hits: Vec<Found>,
    /// Time to encode and search, in milliseconds.
    pub took_ms: f64,
}

/// Something that can be searched from many threads.
pub trait Search: Send + Sync + 'static {
    /// The `k` best documents for a query, best first.
    ///
    /// # Errors
    /// What went wrong, for the client.
    fn search(&self, query: &str, k: usize) -> Result<Vec<Found>, String>;

    /// What is served, as JSON.
    fn about(&self) -> serde_json::Value;
}

/// What one client may ask for, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; further ones wait.
    pub connections: usize,
    /// Searches at a time; further ones wait.
    pub searches: usize,
    /// Size of a request's body.
    pub body_bytes: usize,
    /// Length of a query in code points.
    pub query_chars: usize,
    /// Documents per answer.
    pub hits: usize,
    /// Time for a request's head to arrive, and for its body, in milliseconds.
    pub receive_ms: u64,
    /// Time for one answer, waiting included, in milliseconds.
    pub answer_ms: u64,
}

impl Limits {
    /// Limits for a service on one machine.
    pub const LOCAL: Self = Self {
        connections: 256,
        searches: 4,
        body_bytes: 64 << 10,
        query_chars: 4096,
        hits: 1000,
        receive_ms: 10_000,
        answer_ms: 30_000,
    };
}

/// Longest time that open connections get to finish after a stop.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often `stop` is asked.
const LOOK: Duration = Duration::from_millis(100);

/// Serves until `stop` says so; requests under way are answered then.
///
/// # Errors
/// A listener that cannot be used, threads that cannot be started.
pub fn serve(
    listener: TcpListener,
    search: Arc<dyn Search>,
    limits: Limits,
    stop: impl Fn() -> bool,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(limits.searches.max(1))
        .enable_io()
        .enable_time()
        .build()?;
    let service =
        Arc::new(Service { search, limits, searches: Arc::new(Semaphore::new(limits.searches.max(1))) });
    runtime.block_on(accept(listener, service, &stop))?;
    runtime.shutdown_timeout(FAREWELL);
    Ok(())
}

struct Service {
    search: Arc<dyn Search>,
    limits: Limits,
    searches: Arc<Semaphore>,
}

async fn accept(listener: TcpListener, service: Arc<Service>, stop: &impl Fn() -> bool) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let connections = Arc::new(Semaphore::new(service.limits.connections.max(1)));
    let all = u32::try_from(service.limits.connections.max(1)).unwrap_or(u32::MAX);
    while !stop() {
        let Ok(place) = timeout(LOOK, Arc::clone(&connections).acquire_owned()).await else { continue };
        // The semaphore is never closed.
        let Ok(place) = place else { break };
        let stream = match timeout(LOOK, listener.accept()).await {
            Err(_) => continue,
            Ok(Ok((stream, _))) => stream,
            // Too many open files, or a client that is gone already: others may go on.
            Ok(Err(_)) => {
                sleep(LOOK).await;
                continue;
            }
        };
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            let receive = Duration::from_millis(service.limits.receive_ms);
            let answer = service_fn(move |request| respond(Arc::clone(&service), request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(receive)
                .max_buf_size(32 << 10)
                .serve_connection(TokioIo::new(stream), answer);
            let _ = connection.await; // a client that breaks off is its own affair
            drop(place);
        });
    }
    // Open connections finish, or are cut.
    let _ = timeout(FAREWELL, connections.acquire_many(all)).await;
    Ok(())
}

async fn respond(
    service: Arc<Service>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let limit = Duration::from_millis(service.limits.answer_ms);
    let answer = timeout(limit, route(&service, request)).await;
    Ok(answer.unwrap_or(Err(Problem::slow())).unwrap_or_else(|problem| problem.response()))
}

async fn route(service: &Arc<Service>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Problem> {
    let path = request.uri().path().to_owned();
    match (request.method().as_str(), path.as_str()) {
        ("GET" | "HEAD", "/") => Ok(page()),
        ("GET" | "HEAD", "/health") => Ok(json(StatusCode::OK, &service.search.about())),
        ("GET", "/search") => {
            let question = Question::of_query(request.uri().query().unwrap_or_default(), &service.limits)?;
            ask(service, question).await
        }
        ("POST", "/search") => {
            let question = Question::of_body(request.into_body(), &service.limits).await?;
            ask(service, question).await
        }
        (_, "/" | "/health") => Err(Problem::method("GET")),
        (_, "/search") => Err(Problem::method("GET, POST")),
        _ => Err(Problem::path(&path)),
    }
}

async fn ask(service: &Arc<Service>, question: Question) -> Result<Response<Full<Bytes>>, Problem> {
    let place = Arc::clone(&service.searches).acquire_owned().await.map_err(|_| Problem::slow())?;
    let worker = Arc::clone(service);
    let work = move || {
        // A search cannot be called off: its place is free when it is done, not when its client has left.
        let _place = place;
        let started = Instant::now();
        let hits = worker.search.search(&question.query, question.k).map_err(Problem::search)?;
        let took_ms = started.elapsed().as_secs_f64() * 1e3;
        Ok(Answer { query: question.query, hits, took_ms })
    };
    let answer = tokio::task::spawn_blocking(work).await.map_err(|_| Problem::broken())??;
    Ok(json(StatusCode::OK, &answer))
}

fn page() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(PAGE.as_bytes())));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                  base-uri 'none'; form-action 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, hyper::header::HeaderValue::from_static(policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, hyper::header::HeaderValue::from_static("nosniff"));
    response
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    let text = serde_json::to_vec(value).unwrap_or_else(|_| b"{\"error\":\"unspeakable answer\"}".to_vec());
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, hyper::header::HeaderValue::from_static("nosniff"));
    response
}

impl Problem {
    fn response(self) -> Response<Full<Bytes>> {
        let mut response = json(self.status, &serde_json::json!({ "error": self.message }));
        if let Some(methods) = self.allow {
            response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static(methods));
        }
        response
    }
}
