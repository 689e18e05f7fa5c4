//! Chromium without a window, driven by its DevTools protocol over a pair of pipes: messages of JSON that end with a zero byte. Tests of
//! several crates include this file and add what they do with a page.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// Names under which it is installed; `$CHROMIUM` comes before them.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
/// Longest wait for one answer; a busy machine starts a browser slowly.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one page. It ends when its pipes are closed.
#[derive(Debug)]
pub(crate) struct Browser {
    _process: Child,
    commands: ChildStdin,
    answers: Receiver<Value>,
    session: Option<String>,
    sent: u64,
}

/// The program, where there is one.
fn installed() -> Option<String> {
    let runs = |name: &String| {
        let output = Command::new(name).arg("--version").stderr(Stdio::null()).output();
        output.is_ok_and(|output| output.status.success())
    };
    std::env::var("CHROMIUM").into_iter().chain(NAMES.map(str::to_owned)).find(runs)
}

impl Browser {
    /// The browser that the tests of this program share, one after the other; `None`, with a message, where none is installed.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub(crate) fn shared() -> Option<MutexGuard<'static, Self>> {
        static BROWSER: OnceLock<Option<Mutex<Browser>>> = OnceLock::new();
        let browser = BROWSER.get_or_init(|| Some(Mutex::new(Self::run(&installed()?))));
        if browser.is_none() {
            eprintln!("skipped: no Chromium; install it or name it in $CHROMIUM");
        }
        // A failed test leaves the page as it was; the next one loads its own.
        browser.as_ref().map(|browser| browser.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn run(program: &str) -> Self {
        let profile = concat!(env!("CARGO_TARGET_TMPDIR"), "/chromium-", env!("CARGO_PKG_NAME"));
        // The browser reads from descriptor 3 and writes to 4. It sees pages of this machine only, so it may do without a sandbox,
        // which containers do not allow.
        let script = "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null";
        let mut process = Command::new("sh")
            .args(["-c", script, program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox"])
            .args(["--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
            .args(["--disable-background-networking", "--window-size=1000,800"])
            .arg(format!("--user-data-dir={profile}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let commands = process.stdin.take().expect("the input is piped");
        let output = BufReader::new(process.stdout.take().expect("the output is piped"));
        let (sender, answers) = channel();
        thread::spawn(move || {
            for message in output.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("Chromium speaks JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self { _process: process, commands, answers, session: None, sent: 0 };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        browser
    }

    /// The result of a method of the protocol.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.sent += 1;
        let mut message = json!({"id": self.sent, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).expect("Chromium listens");
        loop {
            let mut answer =
                self.answers.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer to {method}"));
            if answer["id"] == json!(self.sent) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
        }
    }

    /// The value of an expression in the page, null where it has none.
    ///
    /// # Errors
    /// What the expression threw.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Result<Value, String> {
        let parameters = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", parameters);
        match &answer["exceptionDetails"] {
            Value::Null => Ok(answer["result"]["value"].take()),
            thrown => Err(format!("{expression}: {thrown}")),
        }
    }
}
