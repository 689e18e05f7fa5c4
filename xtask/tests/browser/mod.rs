//! A headless Chromium, spoken to in the DevTools protocol over its pipes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Names under which a Chromium is installed.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
/// Longest wait for one answer; a busy machine starts a browser slowly.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one page. It ends when its pipes are closed.
#[derive(Debug)]
pub(crate) struct Browser {
    _process: Child,
    commands: ChildStdin,
    answers: Receiver<Value>,
    session: Option<String>,
    sent: u64,
}

/// The browser that the tests of this program share, one after the other; `None` where none is installed.
pub(crate) fn shared() -> Option<MutexGuard<'static, Browser>> {
    static BROWSER: OnceLock<Option<Mutex<Browser>>> = OnceLock::new();
    let browser = BROWSER.get_or_init(|| Some(Mutex::new(Browser::start(&installed()?))));
    // A failed test leaves the page as it was; the next one loads its own.
    browser.as_ref().map(|browser| browser.lock().unwrap_or_else(|failed| failed.into_inner()))
}

fn installed() -> Option<String> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &&str| std::env::split_paths(&paths).any(|folder| folder.join(name).is_file());
    NAMES.into_iter().find(there).map(str::to_owned)
}

impl Browser {
    fn start(program: &str) -> Self {
        // Chromium reads commands from descriptor 3 and answers on 4.
        let script = "exec \"$0\" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --remote-debugging-pipe about:blank \
                      3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null";
        let mut process = Command::new("sh")
            .args(["-c", script, program])
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
        browser.call("Page.enable", json!({}));
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
            let answer =
                self.answers.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer to {method}"));
            if answer["id"] == json!(self.sent) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Loads a page in a window of this width, without animations, its scripts run or not.
    pub(crate) fn open(&mut self, page: &Path, hash: &str, width: u32, dark: bool, scripts: bool) {
        let size = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", size);
        self.call("Emulation.setScriptExecutionDisabled", json!({"value": !scripts}));
        self.media("screen", dark);
        self.call("Page.navigate", json!({"url": "about:blank"}));
        self.call("Page.navigate", json!({"url": format!("file://{}{hash}", page.display())}));
        let started = Instant::now();
        while self.value("document.readyState + location.protocol") != "completefile:" {
            assert!(started.elapsed() < PATIENCE, "{} does not load", page.display());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Screen or print, light or dark.
    pub(crate) fn media(&mut self, media: &str, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"}
        ]);
        self.call("Emulation.setEmulatedMedia", json!({"media": media, "features": features}));
    }

    /// Presses and releases a key; `text` is what it types, if anything.
    pub(crate) fn press(&mut self, key: &str, text: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            _ => 0,
        };
        let mut event = json!({"type": if text.is_empty() { "rawKeyDown" } else { "keyDown" }, "key": key, "windowsVirtualKeyCode": code});
        if !text.is_empty() {
            event["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", event);
        self.call(
            "Input.dispatchKeyEvent",
            json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}),
        );
    }
}
