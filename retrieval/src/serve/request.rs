//! What a client asked, checked.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::StatusCode;
use hyper::body::Body;
use serde::Deserialize;
use tokio::time::timeout;

use super::Limits;

/// Documents per answer when the client does not say.
const DEFAULT_HITS: usize = 10;

/// A checked query.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) query: String,
    pub(super) k: usize,
}

/// A request that gets no answer, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) message: String,
    pub(super) allow: Option<&'static str>,
}

impl Problem {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), allow: None }
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn slow() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too many searches at a time; try again later")
    }

    pub(super) fn broken() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the search failed; see the service's log")
    }

    pub(super) fn search(message: String) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    pub(super) fn method(allow: &'static str) -> Self {
        let message = format!("method not allowed; expected {allow}");
        Self { status: StatusCode::METHOD_NOT_ALLOWED, message, allow: Some(allow) }
    }

    pub(super) fn path(path: &str) -> Self {
        let path: String = path.chars().take(80).collect();
        Self::new(StatusCode::NOT_FOUND, format!("nothing at `{path}`; expected `/`, `/search` or `/health`"))
    }
}

/// The body of a `POST /search`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    query: String,
    #[serde(default)]
    k: Option<usize>,
}

impl Question {
    /// The question in the part of an address after `?`.
    pub(super) fn of_query(text: &str, limits: &Limits) -> Result<Self, Problem> {
        let (mut query, mut k) = (None, None);
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value)
                .ok_or_else(|| Problem::bad(format!("`{name}` is not percent-encoded UTF-8")))?;
            match name {
                "q" => query = Some(value),
                "k" => {
                    let number = value.parse();
                    k = Some(number.map_err(|_| Problem::bad("`k` is not a number; expected `k=10`"))?);
                }
                _ => return Err(Problem::bad(format!("`{name}` is no parameter; expected `q` and `k`"))),
            }
        }
        let query = query.ok_or_else(|| Problem::bad("no query; expected `/search?q=TEXT`"))?;
        Self::checked(Typed { query, k }, limits)
    }

    /// The question in a body, which is read no further than the limits allow.
    pub(super) async fn of_body<B>(body: B, limits: &Limits) -> Result<Self, Problem>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let receive = timeout(
            Duration::from_millis(limits.receive_ms),
            Limited::new(body, limits.body_bytes).collect(),
        );
        let slow = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
        let body = receive.await.map_err(slow)?.map_err(|error| {
            match error.is::<http_body_util::LengthLimitError>() {
                true => Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("a body of more than {} bytes", limits.body_bytes),
                ),
                false => Problem::bad("the body broke off"),
            }
        })?;
        let typed = serde_json::from_slice(&body.to_bytes());
        let typed = typed
            .map_err(|error| Problem::bad(format!("{error}; expected {{\"query\": \"TEXT\", \"k\": 10}}")))?;
        Self::checked(typed, limits)
    }

    fn checked(Typed { query, k }: Typed, limits: &Limits) -> Result<Self, Problem> {
        let k = k.unwrap_or(DEFAULT_HITS);
        let length = query.chars().count();
        if query.trim().is_empty() {
            return Err(Problem::bad("the query is empty; expected text"));
        }
        if length > limits.query_chars {
            let limit = limits.query_chars;
            return Err(Problem::bad(format!("a query of {length} characters; expected at most {limit}")));
        }
        if !(1..=limits.hits).contains(&k) {
            return Err(Problem::bad(format!("`k` is {k}; expected 1 to {}", limits.hits)));
        }
        Ok(Self { query, k })
    }
}

/// Text of a percent-encoded form value; `None` when it is malformed or not UTF-8.
fn decoded(value: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(value.len()), value.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (code, after) = rest.split_at_checked(2)?;
                rest = after;
                let code = code.iter().all(u8::is_ascii_hexdigit).then_some(code)?;
                u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_questions() {
        let question = |text| Question::of_query(text, &Limits::LOCAL);
        let good = question("q=%E6%9D%B1%E4%BA%AC+to+%26&k=3").unwrap();
        assert_eq!(good, Question { query: "東京 to &".into(), k: 3 });
        for (text, expected) in [
            ("", "no query"),
            ("q=", "the query is empty"),
            ("q=%E6", "`q` is not percent-encoded UTF-8"),
            ("q=%zz", "`q` is not percent-encoded UTF-8"),
            ("q=%+1", "`q` is not percent-encoded UTF-8"),
            ("q=a&k=0", "`k` is 0; expected 1 to 1000"),
            ("q=a&k=99999999999999999999", "`k` is not a number"),
            ("q=a&x=1", "`x` is no parameter"),
        ] {
            let problem = question(text).unwrap_err();
            assert_eq!(problem.status, StatusCode::BAD_REQUEST);
            assert!(problem.message.contains(expected), "{}", problem.message);
        }
    }
}
