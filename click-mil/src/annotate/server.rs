//! The page on which people click, served to this machine only.
//!
//! It answers to the loopback address, to requests that name it as their host and come from its own page: a page of somebody else
//! that is open in the same browser can neither read images nor click.

use std::io::Cursor;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;
use tiny_http::{Header, Method, Request, Response, Server};

use super::{Answer, Next, Session, SessionError, polygon};
use crate::geometry::Point;

/// The page.
const PAGE: &str = include_str!("page.html");
/// Longest request body in bytes.
const MOST_BYTES: u64 = 4096;
/// How often the server looks whether it should stop.
const TICK: Duration = Duration::from_millis(200);

/// A server that cannot be started.
#[derive(Debug, Error)]
#[error("port {port}: {problem}; choose another with --port")]
pub struct ServerError {
    port: u16,
    problem: String,
}

/// A server that listens, with the address of its page.
pub struct Page {
    server: Server,
    address: SocketAddr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    #[serde(default)]
    task: Option<usize>,
    #[serde(default)]
    polygon: Option<usize>,
    #[serde(default)]
    x: f64,
    #[serde(default)]
    y: f64,
    #[serde(default)]
    time_ms: u32,
}

impl Page {
    /// Listens on a port of the loopback address; 0 takes a free one.
    ///
    /// # Errors
    /// [`ServerError`] when the port is taken.
    pub fn open(port: u16) -> Result<Self, ServerError> {
        let wrong = |problem: String| ServerError { port, problem };
        let server = Server::http(("127.0.0.1", port)).map_err(|error| wrong(error.to_string()))?;
        let address = server.server_addr().to_ip().ok_or_else(|| wrong("no address".to_owned()))?;
        Ok(Self { server, address })
    }

    /// Address of the page.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Serves a session until it is done and its page was told so, or until `stop` says so. Returns whether it is done.
    ///
    /// # Errors
    /// [`SessionError::File`] when answers can no longer be written: the page is told first.
    pub fn serve(&self, session: &mut Session, mut stop: impl FnMut() -> bool) -> Result<bool, SessionError> {
        while !stop() {
            // A broken connection is the browser's affair.
            let Ok(Some(mut request)) = self.server.recv_timeout(TICK) else { continue };
            let reply = match self.is_own(&request) {
                true => reply(session, &mut request),
                false => Reply::refused(403, "this page answers to its own address only"),
            };
            let over = reply.over;
            let failed = reply.failed;
            let _ = request.respond(reply.response); // likewise
            if let Some(error) = failed {
                return Err(error);
            }
            if over {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_own(&self, request: &Request) -> bool {
        let header = |name: &'static str| {
            let found = request.headers().iter().find(|header| header.field.equiv(name));
            found.map(|header| header.value.as_str().to_owned())
        };
        let port = self.address.port();
        let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        let host = header("Host").is_some_and(|host| hosts.contains(&host));
        let origin =
            header("Origin").is_none_or(|origin| hosts.iter().any(|host| origin == format!("http://{host}")));
        host && origin
    }
}

struct Reply {
    response: Response<Cursor<Vec<u8>>>,
    over: bool,
    failed: Option<SessionError>,
}

impl Reply {
    fn of(kind: &str, status: u16, bytes: Vec<u8>) -> Self {
        let header = |name: &str, value: &str| {
            Header::from_bytes(name.as_bytes(), value.as_bytes()).expect("a header of plain letters")
        };
        let response = Response::from_data(bytes)
            .with_status_code(status)
            .with_header(header("Content-Type", kind))
            .with_header(header("Cache-Control", "no-store"))
            .with_header(header("X-Content-Type-Options", "nosniff"));
        Self { response, over: false, failed: None }
    }

    fn json(status: u16, value: &impl Serialize) -> Self {
        Self::of("application/json", status, serde_json::to_vec(value).expect("finite numbers and strings"))
    }

    fn refused(status: u16, problem: &str) -> Self {
        Self::json(status, &json!({ "error": problem }))
    }
}

fn reply(session: &mut Session, request: &mut Request) -> Reply {
    let url = request.url().to_owned();
    match (request.method(), url.as_str()) {
        (Method::Get, "/") => Reply::of("text/html; charset=utf-8", 200, PAGE.as_bytes().to_vec()),
        (Method::Get, "/next") => {
            let next = session.next();
            let over = next == Next::Done;
            Reply { over, ..Reply::json(200, &described(session, &next)) }
        }
        (Method::Get, url) => match url.strip_prefix("/image/").and_then(|number| number.parse().ok()) {
            Some(number) => image(session, number),
            None => Reply::refused(404, "there is nothing here"),
        },
        (Method::Post, "/click" | "/absent" | "/undo") => said(session, request, &url),
        _ => Reply::refused(405, "expected GET, or POST to /click, /absent or /undo"),
    }
}

/// What the page shows.
fn described(session: &Session, next: &Next) -> Value {
    let [answered, all] = session.progress();
    let mut value = match next {
        Next::Done => json!({ "kind": "done" }),
        Next::Polygon(number, shape) => {
            let corners: Vec<[f64; 2]> = shape.corners.iter().map(|corner| [corner.x, corner.y]).collect();
            json!({
                "kind": "polygon", "polygon": number, "corners": corners,
                "width": polygon::WIDTH, "height": polygon::HEIGHT, "last_round": session.ended_round(),
            })
        }
        Next::Task(place) => {
            let task = session.task(*place);
            let image = &session.images()[task.image];
            json!({
                "kind": "task", "task": place, "class": task.class, "image": task.image, "name": image.id,
                "width": image.width, "height": image.height,
            })
        }
    };
    (value["answered"], value["all"]) = (answered.into(), all.into());
    value
}

fn image(session: &Session, number: usize) -> Reply {
    let Some(image) = session.images().get(number) else { return Reply::refused(404, "no such image") };
    match common::files::read(&image.file) {
        Ok(bytes) => {
            let kind = match image::guess_format(&bytes) {
                Ok(image::ImageFormat::Png) => "image/png",
                _ => "image/jpeg",
            };
            Reply::of(kind, 200, bytes)
        }
        Err(error) => Reply::refused(500, &error.to_string()),
    }
}

fn said(session: &mut Session, request: &mut Request, url: &str) -> Reply {
    let mut body = String::new();
    let read =
        std::io::Read::read_to_string(&mut std::io::Read::take(request.as_reader(), MOST_BYTES), &mut body);
    let said: Said = match read
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_str(&body).map_err(|error| error.to_string()))
    {
        Ok(said) => said,
        Err(problem) => {
            return Reply::refused(400, &format!("{problem}; expected task or polygon, x, y and time_ms"));
        }
    };
    let Said { task, polygon, x, y, time_ms } = said;
    let done = match (url, task, polygon) {
        ("/undo", ..) => session.undo().map(|undone| json!({ "undone": undone })),
        ("/click", _, Some(number)) => session
            .try_out(number, Point { x, y }, time_ms)
            .map(|centre| json!({ "centre": [centre.x, centre.y] })),
        ("/click", Some(task), _) => {
            session.answer(task, Answer::Click { x, y, time_ms }).map(|()| json!({}))
        }
        ("/absent", Some(task), _) => session.answer(task, Answer::Absent { time_ms }).map(|()| json!({})),
        _ => return Reply::refused(400, "expected the number of a task or of a polygon"),
    };
    match done {
        Ok(value) => Reply::json(200, &value),
        Err(error @ (SessionError::File(_) | SessionError::Format(_))) => Reply {
            failed: Some(error),
            ..Reply::refused(500, "the answer could not be written; see the terminal")
        },
        Err(error) => Reply::refused(409, &error.to_string()),
    }
}
