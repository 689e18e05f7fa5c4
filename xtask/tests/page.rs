//! `reports/index.html` as a reader meets it, in a headless Chromium. Without one these tests say so and pass.

mod browser;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use browser::{Browser, PATIENCE};
use serde_json::{Value, json};

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../reports/index.html")
        .canonicalize()
        .expect("there is a page")
}

impl Browser {
    /// The value of an expression in the page.
    fn value(&mut self, expression: &str) -> Value {
        self.evaluate(expression).expect("an expression with a value")
    }

    /// Loads a page in a window of this width, without animations, its scripts run or not.
    fn open(&mut self, page: &Path, hash: &str, width: u32, dark: bool, scripts: bool) {
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
    fn media(&mut self, media: &str, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"}
        ]);
        self.call("Emulation.setEmulatedMedia", json!({"media": media, "features": features}));
    }

    /// Presses and releases a key; `text` is what it types, if anything.
    fn press(&mut self, key: &str, text: &str) {
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

/// Rows that are shown.
const SHOWN: &str = "[...document.querySelectorAll('.claim')].filter((row) => !row.hidden)";

fn shown(browser: &mut Browser, what: &str) -> Value {
    browser.value(&format!("{SHOWN}{what}"))
}

#[test]
fn the_document_is_well_made_and_its_links_lead_somewhere() {
    let Some(mut browser) = Browser::shared() else { return };
    browser.open(&page(), "", 1300, false, true);
    let ids = "(() => { const ids = [...document.querySelectorAll('[id]')].map((e) => e.id); \
               return ids.filter((id, at) => ids.indexOf(id) !== at); })()";
    assert_eq!(browser.value(ids), json!([]), "ids that stand twice");
    let dead = "[...document.querySelectorAll('a[href^=\"#\"]')].map((a) => decodeURIComponent(a.getAttribute('href').slice(1)))\
                .filter((id) => !id.startsWith('?') && !document.getElementById(id))";
    assert_eq!(browser.value(dead), json!([]), "links to nowhere in the page");
    assert_eq!(browser.value("document.querySelectorAll('h1').length"), 1);
    let jumps = "(() => { const levels = [...document.querySelectorAll('main :is(h1,h2,h3,h4,h5)')].map((h) => +h.tagName[1]); \
                 return levels.filter((level, at) => at && level > levels[at - 1] + 1); })()";
    assert_eq!(browser.value(jumps), json!([]), "headings that leave a level out");
    assert_eq!(browser.value("document.querySelectorAll('img:not([alt])').length"), 0);
    let unnamed = "[...document.querySelectorAll('button, input, [role=region], nav, dialog')].filter((e) => \
                   !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length)).length";
    assert_eq!(browser.value(unnamed), 0, "controls and regions without a name");
    let files = "[...document.querySelectorAll('a[href], img[src]')].map((e) => e.getAttribute('href') ?? e.getAttribute('src'))\
                 .filter((address) => !/^(#|https?:|data:)/.test(address)).map((address) => decodeURIComponent(address.split('#')[0]))";
    let folder = page().parent().expect("a page lies in a folder").to_owned();
    let files = browser.value(files);
    for file in files.as_array().expect("a list").iter().filter_map(Value::as_str) {
        assert!(folder.join(file).is_file(), "{file} is linked and not there");
    }
}

#[test]
fn without_scripts_everything_can_be_read() {
    let Some(mut browser) = Browser::shared() else { return };
    browser.open(&page(), "", 1300, false, false);
    assert_eq!(browser.value("document.documentElement.className"), "");
    let visible = |what: &str| {
        format!("[...document.querySelectorAll('{what}')].filter((e) => e.checkVisibility()).length")
    };
    assert_eq!(
        browser.value(&visible(".claim")),
        browser.value("document.querySelectorAll('.claim').length")
    );
    assert_eq!(browser.value(&visible("#tools, #theme, #help")), 0);
    browser.value("document.querySelector('.claim details').open = true");
    assert_ne!(browser.value(&visible(".claim .parts")), 0);
}

#[test]
fn filters_and_search_narrow_the_ledger_and_stand_in_the_address() {
    let Some(mut browser) = Browser::shared() else { return };
    browser.open(&page(), "", 1300, false, true);
    let total = browser.value("document.querySelectorAll('.claim').length").as_u64().expect("a count");
    for group in ["v", "p"] {
        let filter = format!("document.querySelector('.filter[data-f={group}]')");
        let value = browser.value(&format!("{filter}.dataset.x"));
        let count = browser.value(&format!("+{filter}.querySelector('.n').textContent"));
        browser.value(&format!("{filter}.click()"));
        assert_eq!(shown(&mut browser, ".length"), count);
        assert_eq!(shown(&mut browser, &format!(".every((row) => row.dataset.{group} === {value})")), true);
        let said = format!("{count} of {total} claims");
        assert_eq!(browser.value("document.querySelector('#count').textContent"), said);
        assert_eq!(
            browser.value("location.hash"),
            format!("#?{group}={}", value.as_str().unwrap_or_default())
        );
        browser.value("document.querySelector('#clear').click()");
        assert_eq!(shown(&mut browser, ".length"), total);
    }
    let word = browser.value("document.querySelector('.claim .what p').textContent.split(' ').at(-1)");
    browser.value(&format!(
        "{{ const q = document.querySelector('#q'); q.value = {word}; q.dispatchEvent(new Event('input')); }}"
    ));
    let found = shown(&mut browser, ".length").as_u64().expect("a count");
    assert!((1..total).contains(&found), "{found} of {total} hold {word}");
    assert_eq!(browser.value("CSS.highlights.get('found').size > 0"), true);
    browser.value("{ const q = document.querySelector('#q'); q.value = 'no such word at all'; q.dispatchEvent(new Event('input')); }");
    assert_eq!(shown(&mut browser, ".length"), 0);
    assert_eq!(browser.value("document.querySelector('#nothing').checkVisibility()"), true);
    browser.value("document.querySelector('#clear-too').click()");
    assert_eq!(shown(&mut browser, ".length"), total);
    browser.value("{ const q = document.querySelector('#q'); q.value = 'deviations limits'; q.value = 'affects'; q.dispatchEvent(new Event('input')); }");
    assert_eq!(browser.value("document.querySelectorAll('#hits a').length > 0"), true);
}

#[test]
fn an_address_restores_what_was_seen() {
    let Some(mut browser) = Browser::shared() else { return };
    browser.open(&page(), "#?q=the&v=inconclusive,nonsense&s=-r", 1300, false, true);
    assert_eq!(browser.value("document.querySelector('#q').value"), "the");
    assert_eq!(
        browser.value("[...document.querySelectorAll('.filter[aria-pressed=true]')].map((f) => f.dataset.x)"),
        json!(["inconclusive"])
    );
    assert_eq!(
        browser.value("document.querySelector('[aria-sort]').getAttribute('aria-sort')"),
        "descending"
    );
    let last = browser.value("[...document.querySelectorAll('.claim')].at(-1).id");
    let id = last.as_str().expect("an id");
    browser.open(&page(), &format!("#{id}"), 1300, false, true);
    assert_eq!(
        browser.value(&format!("document.getElementById('{id}').querySelector('details').open")),
        true
    );
    assert_eq!(browser.value("document.activeElement.closest('.claim').id"), id);
    // A claim that the filters hide is shown when it is asked for.
    browser.value("document.querySelector('#q').value = 'no such word'; document.querySelector('#q').dispatchEvent(new Event('input'))");
    browser.value(&format!("new Promise((done) => {{ addEventListener('hashchange', () => setTimeout(done)); location.hash = '{id}'; }})"));
    assert_eq!(browser.value(&format!("document.getElementById('{id}').checkVisibility()")), true);
}

#[test]
fn columns_sort_both_ways_and_back() {
    let Some(mut browser) = Browser::shared() else { return };
    browser.open(&page(), "", 1300, false, true);
    let order = "[...document.querySelectorAll('.claim')].map((row) => row.dataset.o).join()";
    let first = browser.value(order);
    let ascending = |key: &str, sign: i32| {
        format!(
            "[...document.querySelectorAll('.claim')].map((row) => row.dataset.{key}).filter((v) => v !== '').map(Number)\
                 .every((v, at, all) => !at || {sign} * (v - all[at - 1]) >= 0)"
        )
    };
    for (key, sign) in [("r", 1), ("r", -1), ("e", -1), ("c", 1)] {
        browser.value(&format!("document.querySelector('thead button[data-s={key}]').click()"));
        assert_eq!(browser.value(&ascending(key, sign)), true, "{key} {sign}");
        let said = if sign > 0 { "ascending" } else { "descending" };
        assert_eq!(
            browser.value(&format!(
                "document.querySelector('[data-s={key}]').closest('th').getAttribute('aria-sort')"
            )),
            said
        );
    }
    browser.value("document.querySelector('thead button[data-s=o]').click()");
    assert_eq!(browser.value(order), first);
    assert_eq!(browser.value("document.querySelectorAll('.ledger.sorted').length"), 0);
}

#[test]
fn the_keyboard_is_enough() {
    let Some(mut browser) = Browser::shared() else { return };
    browser.open(&page(), "", 1300, false, true);
    browser.press("/", "/");
    assert_eq!(browser.value("document.activeElement.id"), "q");
    browser.press("m", "m");
    assert_eq!(browser.value("document.activeElement.value"), "m");
    browser.press("Escape", "");
    assert_eq!(browser.value("document.activeElement.value"), "");
    browser.press("Escape", "");
    let at = "document.activeElement.closest('.claim')?.dataset.o ?? null";
    assert_eq!(browser.value(at), Value::Null);
    browser.press("j", "j");
    assert_eq!(browser.value(at), "0");
    browser.press("j", "j");
    browser.press("k", "k");
    browser.press("j", "j");
    assert_eq!(browser.value(at), "1");
    let open = "document.querySelectorAll('.claim')[1].querySelector('details').open";
    browser.press("Enter", "\r");
    assert_eq!(browser.value(open), true);
    browser.press("Escape", "");
    assert_eq!(browser.value(open), false);
    assert_eq!(browser.value(at), "1");
    browser.press("?", "?");
    assert_eq!(browser.value("document.querySelector('#help').open"), true);
    browser.press("j", "j");
    browser.press("Escape", "");
    assert_eq!(browser.value("document.querySelector('#help').open"), false);
}

#[test]
fn texts_have_contrast_in_both_colour_schemes() {
    let Some(mut browser) = Browser::shared() else { return };
    let contrast = include_str!("browser/contrast.js");
    let mut grounds = Vec::new();
    for dark in [false, true] {
        browser.open(&page(), "", 1300, dark, true);
        browser.value("for (const details of document.querySelectorAll('details')) details.open = true");
        assert_eq!(browser.value(contrast), json!([]), "dark: {dark}");
        grounds.push(browser.value("getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(grounds[0], grounds[1]);
    // The button overrides the system.
    browser.value("document.querySelector('#theme').click(); document.querySelector('#theme').click()");
    assert_eq!(browser.value("getComputedStyle(document.body).backgroundColor"), grounds[0]);
    browser.value("document.querySelector('#theme').click()");
}

#[test]
fn a_phone_scrolls_in_one_direction() {
    let Some(mut browser) = Browser::shared() else { return };
    for width in [360, 320] {
        browser.open(&page(), "", width, false, true);
        assert_eq!(browser.value("document.documentElement.scrollWidth"), width);
        browser.value("for (const details of document.querySelectorAll('details')) details.open = true");
        assert_eq!(browser.value("document.documentElement.scrollWidth"), width, "with everything unfolded");
    }
}

#[test]
fn paper_gets_everything_but_the_controls() {
    let Some(mut browser) = Browser::shared() else { return };
    browser.open(&page(), "", 1300, true, true);
    browser.value("dispatchEvent(new Event('beforeprint'))");
    browser.media("print", true);
    assert_eq!(browser.value("document.querySelectorAll('details:not([open])').length"), 0);
    assert_eq!(browser.value("document.querySelector('#tools').checkVisibility()"), false);
    assert_eq!(browser.value("document.querySelector('.claim .parts').checkVisibility()"), true);
    let empty = "[...document.images].filter((image) => !image.complete || !image.naturalWidth).length";
    assert_eq!(browser.value(empty), 0, "pictures that are not there");
    // A sheet of A4 has 700 pixels between its margins.
    let size = json!({"width": 700, "height": 1000, "deviceScaleFactor": 1, "mobile": false});
    browser.call("Emulation.setDeviceMetricsOverride", size);
    let cut = "[...document.querySelectorAll('.wide')].filter((e) => e.scrollWidth > e.clientWidth + 1)\
               .map((e) => e.getAttribute('aria-label'))";
    assert_eq!(browser.value(cut), json!([]), "tables that are cut off");
    let ink = "getComputedStyle(document.body).color";
    assert_eq!(browser.value(ink), "rgb(26, 30, 34)", "dark ink although the screen is dark");
    browser.value("dispatchEvent(new Event('afterprint'))");
    browser.media("screen", true);
    assert_ne!(browser.value("document.querySelectorAll('details:not([open])').length"), 0);
}
