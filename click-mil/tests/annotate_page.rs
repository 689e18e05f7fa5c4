//! The page in a browser: a person clicks, uses the keyboard, takes back, loses the server and goes on. Left out, with a message,
//! where there is no Chromium.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../xtask/tests/browser/mod.rs"]
mod browser;
mod page;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use browser::{Browser, PATIENCE};
use click_mil::formats::clicks::{self, Click};
use page::Page;
use serde_json::{Value, json};

const ASKED: &str = "document.getElementById('ask').textContent";
const COUNT: &str = "document.getElementById('count').textContent";
const WORD: &str = "document.getElementById('word').textContent";
/// Images are twice as wide as high; the page shows them whole.
const SIZE: [u32; 2] = [400, 200];

impl Browser {
    fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
    }

    /// Value of an expression on the page; null while it cannot be had.
    fn value(&mut self, expression: &str) -> Value {
        self.evaluate(expression).unwrap_or_default()
    }

    /// Waits until an expression has a value.
    fn wait(&mut self, expression: &str, expected: impl Into<Value>) {
        let (started, expected) = (Instant::now(), expected.into());
        loop {
            let found = self.value(expression);
            if found == expected {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "`{expression}` is {found}; expected {expected}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A click of the left button at a place of the window.
    fn click(&mut self, x: f64, y: f64) {
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// A key that is pressed and let go.
    fn key(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", json!({"type": kind, "key": key}));
        }
    }
}

/// Clicks on a place of the picture shown, in its own pixels.
fn click(browser: &mut Browser, x: f64, y: f64) {
    // What is asked is seen before its picture.
    let there = "!busy && document.querySelector('#stage > *') !== null
        && (shown.kind === 'polygon' || document.querySelector(`#stage img[src='/image/${shown.image}']`) !== null)";
    browser.wait(there, true);
    let script = "(() => { const r = document.querySelector('#stage > *').getBoundingClientRect();
        return [r.left + 1, r.top + 1, (r.width - 2) / shown.width, (r.height - 2) / shown.height]; })()";
    let frame = browser.value(script);
    let of = |place: usize| frame[place].as_f64().unwrap();
    browser.click(of(0) + x * of(2), of(1) + y * of(3));
}

fn written(folder: &Path) -> Vec<Click> {
    clicks::read(&folder.join("clicks.csv")).unwrap()
}

fn assert_near(click: &Click, image: &str, class: &str, x: f64, y: f64) {
    assert_eq!((&*click.image, &*click.class), (image, class));
    // The browser's mouse stands on whole pixels of the window.
    assert!((click.x - x).abs() < 1.0 && (click.y - y).abs() < 1.0, "{click:?}, expected ({x}, {y})");
    assert!(click.time_ms.is_some());
}

#[test]
fn a_person_clicks_takes_back_loses_the_server_and_ends_with_every_answer() {
    let Some(mut browser) = Browser::shared() else { return };
    let folder = page::world(SIZE[0], SIZE[1]);
    let page = Page::open(folder.path(), &["--practice", "0"]);
    let address = page.address.clone();
    browser.open(&format!("http://{address}/"));
    browser.wait(ASKED, "Click on the centre of: cat");
    click(&mut browser, 100.0, 50.0);
    browser.wait(ASKED, "Click on the centre of: dog");
    assert_near(&written(folder.path())[0], "a", "cat", 100.0, 50.0);
    browser.key("n");
    browser.wait(COUNT, "2 of 4");
    click(&mut browser, 399.0, 199.0);
    browser.wait(COUNT, "3 of 4");
    browser.key("u");
    browser.wait(WORD, "the last answer was taken back");
    browser.wait(COUNT, "2 of 4");
    assert_eq!(written(folder.path()).len(), 1);
    drop(page); // killed in the middle
    click(&mut browser, 10.0, 10.0);
    browser.wait("document.getElementById('word').className", "error");
    assert_eq!(written(folder.path()).len(), 1);
    let port = address.rsplit(':').next().unwrap();
    let mut page = Page::open(folder.path(), &["--practice", "0", "--port", port]);
    // The page that was left open goes on with its next answer.
    browser.wait(COUNT, "2 of 4");
    click(&mut browser, 20.0, 150.0);
    browser.wait(COUNT, "3 of 4");
    browser.open(&format!("http://{address}/"));
    browser.wait(COUNT, "3 of 4");
    browser.wait(ASKED, "Click on the centre of: dog");
    click(&mut browser, 300.0, 120.0);
    browser.wait(ASKED, "All done. Thank you; you can close this page.");
    assert!(page.child.wait().unwrap().success());
    let written = written(folder.path());
    assert_eq!(written.len(), 3);
    assert_near(&written[0], "a", "cat", 100.0, 50.0);
    assert_near(&written[1], "b", "cat", 20.0, 150.0);
    assert_near(&written[2], "b", "dog", 300.0, 120.0);
    let session = fs::read_to_string(folder.path().join("clicks.session.json")).unwrap();
    assert_eq!(session.matches("absent").count(), 1);
}

#[test]
fn practice_says_how_far_off_a_click_was() {
    let Some(mut browser) = Browser::shared() else { return };
    let folder = page::world(SIZE[0], SIZE[1]);
    let page = Page::open(folder.path(), &["--practice", "2", "--limit", "12"]);
    browser.open(&format!("http://{}/", page.address));
    let centre = "[0, 1].map(axis => { const c = shown.corners.map(corner => corner[axis]);
        return (Math.min(...c) + Math.max(...c)) / 2; })";
    for (number, off) in [40.0, 40.0, 0.0, 0.0].into_iter().enumerate() {
        browser.wait(COUNT, format!("practice {}", number + 1));
        let at = browser.value(centre);
        click(&mut browser, at[0].as_f64().unwrap() + off, at[1].as_f64().unwrap());
        browser.wait(&format!("{COUNT} === 'practice {}'", number + 1), false);
        match number {
            1 => browser.wait(&format!("/last round: (39|40|41)\\.\\d px off/.test({WORD})"), true),
            _ => browser.wait(&format!("/^\\d+\\.\\d px from the centre$/.test({WORD})"), true),
        }
    }
    browser.wait(ASKED, "Click on the centre of: cat");
    assert_eq!(browser.value("shown.kind"), json!("task"));
}
