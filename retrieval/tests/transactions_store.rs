//! The store of coded transactions: append-only, whole after a crash, each row once.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use retrieval::transactions::record::{Date, DateOrder, Template, Transaction};
use retrieval::transactions::store::{Imported, Store, StoreError};
use rusqlite::Connection;

fn row(line: u64, merchant: &str, account: &str) -> Transaction {
    let mut fields = vec![String::new(); 8];
    fields[0] = merchant.to_owned();
    Transaction {
        line,
        id: None,
        company: "us".to_owned(),
        date: Some(Date::parse("2016-01-02", DateOrder::Ymd).unwrap()),
        amount: Some(1250),
        fields,
        account: Some(account.to_owned()),
        account_name: None,
    }
}

fn open(path: &Path) -> Store {
    Store::open(path, &Template::standard()).unwrap()
}

#[test]
fn rows_come_back_and_overlapping_files_add_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder.path().join("s"));
    let template = Template::standard();
    // Two equal purchases in one file are two purchases.
    let january = [row(2, "tesco", "K1"), row(3, "tesco", "K1"), row(4, "bp", "K2")];
    assert_eq!(store.import("jan", b"jan", &template, &january).unwrap(), Imported { added: 3, known: 0 });
    let overlapping =
        [row(2, "tesco", "K1"), row(3, "tesco", "K1"), row(4, "tesco", "K1"), row(5, "shell", "K2")];
    assert_eq!(
        store.import("feb", b"feb", &template, &overlapping).unwrap(),
        Imported { added: 2, known: 2 }
    );
    let again = store.import("copy of jan", b"jan", &template, &january).unwrap_err().to_string();
    assert_eq!(again, "`jan` was imported already (3 rows): nothing was changed");
    let (id, name) = store.companies().unwrap().remove(0);
    assert_eq!(name, "us");
    assert_eq!(store.coded(id).unwrap().len(), 5);
    assert_eq!(store.prompts(id).unwrap().len(), 3);
    assert_eq!(store.accounts(id).unwrap().len(), 2);
    store.verify().unwrap();
}

#[test]
fn numbered_rows_are_known_by_their_number_and_companies_are_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder.path().join("s"));
    let template = Template::standard();
    let numbered = |id: &str, company: &str, merchant: &str| Transaction {
        id: Some(id.to_owned()),
        company: company.to_owned(),
        ..row(2, merchant, "K1")
    };
    let first = [numbered("a", "us", "tesco"), numbered("b", "us", "tesco"), numbered("a", "them", "tesco")];
    assert_eq!(store.import("x", b"1", &template, &first).unwrap().added, 3);
    assert_eq!(store.import("x", b"2", &template, &[numbered("a", "us", "tesco stores")]).unwrap().known, 1);
    let companies = store.companies().unwrap();
    let counts: Vec<usize> = companies.iter().map(|(id, _)| store.coded(*id).unwrap().len()).collect();
    assert_eq!(counts, [2, 1]);
    assert_ne!(
        store.accounts(companies[0].0).unwrap().keys().next(),
        store.accounts(companies[1].0).unwrap().keys().next()
    );
}

#[test]
fn an_import_that_fails_leaves_nothing_and_nothing_can_be_changed_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut store = open(&path);
    let template = Template::standard();
    let uncoded = Transaction { account: None, ..row(7, "bp", "") };
    let error = store.import("x", b"x", &template, &[row(2, "tesco", "K1"), uncoded]).unwrap_err();
    assert!(matches!(error, StoreError::NotCoded { line: 7 }));
    assert!(store.companies().unwrap().is_empty());
    store.import("x", b"x", &template, &[row(2, "tesco", "K1")]).unwrap();
    let plain = Connection::open(&path).unwrap();
    for sql in ["DELETE FROM coded", "UPDATE coded SET account = 9", "DELETE FROM import"] {
        assert!(plain.execute(sql, []).unwrap_err().to_string().contains("append-only"), "{sql}");
    }
}

#[test]
fn other_files_layouts_and_templates_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, but longer than a header of one hundred bytes: ".repeat(4))
        .unwrap();
    let error = Store::open(&text, &Template::standard()).unwrap_err().to_string();
    assert!(error.ends_with("notes.txt: not a store of coded transactions; give another place, or a file that this command made"), "{error}");
    let other = folder.path().join("other.sqlite");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t(x)").unwrap();
    assert!(matches!(Store::open(&other, &Template::standard()), Err(StoreError::Foreign(_))));
    let path = folder.path().join("s");
    drop(open(&path));
    let template = Template { fields: vec!["merchant".to_owned()], ..Template::standard() };
    assert!(matches!(Store::open(&path, &template), Err(StoreError::Template { .. })));
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 9").unwrap();
    let error = Store::open(&path, &Template::standard()).unwrap_err().to_string();
    assert!(error.contains("layout 9, this version reads 1"), "{error}");
}

#[test]
fn vectors_are_kept_per_model() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder.path().join("s"));
    store.import("x", b"x", &Template::standard(), &[row(2, "tesco", "K1"), row(3, "bp", "K2")]).unwrap();
    let waiting = store.without_vector("m", 10).unwrap();
    assert_eq!(
        waiting.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(),
        ["merchant tesco | amount 10 to 20", "merchant bp | amount 10 to 20"]
    );
    store.put_vectors("m", [(waiting[0].0, [1.5f32, -2.0].as_slice())].into_iter()).unwrap();
    assert_eq!(store.vectors("m", 2).unwrap()[&waiting[0].0], [1.5, -2.0]);
    assert_eq!(store.without_vector("m", 10).unwrap().len(), 1);
    assert_eq!(store.without_vector("other's", 10).unwrap().len(), 2);
    assert!(matches!(store.vectors("m", 3), Err(StoreError::Damaged { .. })));
}

/// The import of a large ledger in a process of its own, which the test below kills.
#[test]
#[ignore = "started by the test that kills it"]
fn imports_until_it_is_killed() {
    let path = std::env::var("STORE_TO_FILL").unwrap();
    let mut store = open(Path::new(&path));
    for file in 0u64.. {
        let rows: Vec<Transaction> = (0..20_000)
            .map(|i| row(i + 2, &format!("merchant {file} {i}"), &format!("K{}", i % 50)))
            .collect();
        store.import(&file.to_string(), &file.to_le_bytes(), &Template::standard(), &rows).unwrap();
    }
}

#[test]
fn a_killed_import_leaves_whole_files_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["imports_until_it_is_killed", "--exact", "--ignored", "--quiet"])
        .env("STORE_TO_FILL", &path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // Killed at some moment after the second commit, almost surely inside of a later import.
    let started = Instant::now();
    let committed = || {
        let count = |plain: Connection| {
            plain.query_row("SELECT count(*) FROM import", [], |row| row.get::<_, i64>(0))
        };
        Connection::open(&path).and_then(count).unwrap_or(0)
    };
    while committed() < 2 && started.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(50));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut store = open(&path);
    store.verify().unwrap();
    let (id, _) = store.companies().unwrap().remove(0);
    let n = store.coded(id).unwrap().len();
    assert!(n >= 40_000 && n.is_multiple_of(20_000), "{n}");
    assert_eq!(n as i64 / 20_000, committed());
    let next = [row(2, "after the crash", "K1")];
    assert_eq!(store.import("next", b"next", &Template::standard(), &next).unwrap().added, 1);
}
