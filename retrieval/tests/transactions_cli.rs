//! The `transactions` command on files: what it does with good ones, and what it says of bad ones.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![cfg(feature = "tensor")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

const COLUMNS: [&str; 14] = [
    "--merchant",
    "supplier",
    "--location",
    "centre",
    "--amount",
    "sum",
    "--own",
    "vat=vat",
    "--account",
    "code",
    "--date",
    "day",
    "--account-name",
    "name",
];
const SIZE: [&str; 13] = [
    "--steps",
    "30",
    "--layers",
    "1",
    "--hidden",
    "32",
    "--width",
    "16",
    "--vocabulary",
    "300",
    "--quiet",
    "--held-out",
    "0.2",
];

/// Rows `from..to` of a ledger whose accounts follow from the merchant's word.
fn ledger(from: usize, to: usize) -> String {
    let kinds =
        [("rail", "K1", "Travel"), ("cafe", "K2", "Meals"), ("pens", "K3", "Office"), ("fuel", "K4", "Fuel")];
    let mut text = "day,supplier,centre,sum,vat,code,name\n".to_owned();
    for i in from..to {
        let (word, code, name) = kinds[i % 4];
        text += &format!(
            "2016-{:02}-{:02},{word} {},c{},{}.50,VR,{code},{name}\n",
            i / 40 % 12 + 1,
            i % 28 + 1,
            i % 7,
            i % 5,
            i % 90
        );
    }
    text
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with a trained model, copied from one that is trained once.
    fn trained() -> Self {
        static MODEL: OnceLock<Place> = OnceLock::new();
        let model = MODEL.get_or_init(|| {
            let place = Self::new();
            fs::write(place.path("coded.csv"), ledger(0, 400)).unwrap();
            let output = place.run(&[&["train", "coded.csv", "model"], &COLUMNS[..], &SIZE[..]].concat());
            assert!(output.status.success(), "{}", text(&output.stderr));
            let said = text(&output.stdout);
            assert!(
                said.starts_with("model: 320 transactions,") && said.contains("filled in automatically: "),
                "{said}"
            );
            place
        });
        let place = Self::new();
        copy(&model.path("model"), &place.path("model"));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transactions"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command.output().unwrap()
    }

    fn fails(&self, arguments: &[&str], message: &str) {
        let output = self.run(arguments);
        let found = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{found}");
        assert!(found.contains(message), "{found}");
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => _ = fs::copy(entry.path(), target).unwrap(),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn suggestions_name_an_account_a_confidence_and_similar_transactions() {
    let place = Place::trained();
    fs::write(place.path("new.csv"), "day,supplier,centre,sum,vat\n2017-01-01,Fuel 3,c1,-20,VR\n2017-01-01,=cafe 9,c2,1e9,VR\n2017-01-02,\"pens 1\",c9,99999999.99,XX\n").unwrap();
    let output = place.run(&["suggest", "model", "new.csv"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(
        lines[0],
        "line,id,company,action,account,confidence,suggestion_1,share_1,suggestion_2,share_2,suggestion_3,share_3,evidence"
    );
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[1].starts_with("2,,company,fill,K4,") && lines[1].contains("K4 merchant fuel "), "{table}");
    assert!(lines[2].starts_with("4,,company,") && lines[2].contains("K3"), "{table}");
    let said = text(&output.stderr);
    assert!(said.contains("warning: new.csv:3: `1e9` is no amount"), "{said}");
    assert!(said.contains("warning: new.csv: 1 of 3 rows were left out"), "{said}");
    let output = place.run(&["suggest", "model", "new.csv", "--out", "out.csv"]);
    assert!(output.status.success() && fs::read_to_string(place.path("out.csv")).unwrap() == table);
}

#[test]
fn added_transactions_teach_a_new_account_and_a_new_company_without_training() {
    let place = Place::trained();
    let head = "day,supplier,centre,sum,vat,code,name\n";
    let rows = |code: &str| {
        (0..8)
            .map(|i| format!("2016-12-{:02},zebra hire,c{i},5,VR,{code},Animals\n", i + 1))
            .collect::<String>()
    };
    fs::write(place.path("more.csv"), format!("{head}{}", rows("=K9"))).unwrap();
    let output = place.run(&["add", "model", "more.csv"]);
    assert_eq!(
        text(&output.stdout),
        "more.csv: 8 transactions added, 0 were there already, 8 new strings\n",
        "{}",
        text(&output.stderr)
    );
    place.fails(
        &["add", "model", "more.csv"],
        "error: `more.csv` was imported already (8 rows): nothing was changed",
    );
    fs::write(place.path("theirs.csv"), format!("{head}{}", rows("77"))).unwrap();
    assert!(place.run(&["add", "model", "theirs.csv", "--company", "theirs"]).status.success());
    fs::write(place.path("new.csv"), "day,supplier,centre,sum,vat\n2017-01-01,Zebra Hire,c1,5,VR\n").unwrap();
    let first = |company: &str| {
        let output = place.run(&["suggest", "model", "new.csv", "--company", company]);
        text(&output.stdout).lines().nth(1).unwrap().split(',').nth(6).unwrap().to_owned()
    };
    // A code that a spreadsheet would take for a formula is written inert.
    assert_eq!([first("company"), first("theirs"), first("nobody")], ["'=K9", "77", ""]);
    let status = text(&place.run(&["status", "model"]).stdout);
    assert!(status.contains("theirs: 8 coded transactions, 8 distinct strings, 1 accounts\n"), "{status}");
    assert!(status.ends_with("the store is whole; 0 strings wait to be encoded\n"), "{status}");
}

#[test]
fn an_evaluation_counts_what_is_right() {
    let place = Place::trained();
    fs::write(place.path("later.csv"), ledger(400, 480)).unwrap();
    let output = place.run(&["evaluate", "model", "later.csv"]);
    let said = text(&output.stdout);
    let value = |name: &str| -> f64 {
        let line = said.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().last().unwrap().parse().unwrap()
    };
    assert_eq!(value("transactions"), 80.0);
    assert!(value("first suggestion right") > 0.95 && value("exact values alone") > 0.95, "{said}");
    assert!(value("right among these") > 0.9, "{said}");
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_half_written() {
    let place = Place::new();
    fs::write(place.path("coded.csv"), ledger(0, 400)).unwrap();
    let train = |extra: &[&'static str]| [&["train", "coded.csv", "model"], extra, &SIZE[..]].concat();
    place.fails(
        &train(&["--merchant", "supplier"]),
        "say which column holds the account code: --account COLUMN",
    );
    place.fails(&train(&["--account", "code"]), "no column was named; say at least --merchant COLUMN");
    place.fails(
        &train(&["--merchant", "vendor", "--account", "code"]),
        "coded.csv: no column `vendor`; its columns are `day`, `supplier`",
    );
    place.fails(
        &train(&["--merchant", "supplier", "--account", "code", "--own", "x"]),
        "expected --own NAME=COLUMN",
    );
    place.fails(
        &train(&["--merchant", "supplier", "--account", "code", "--encoding", "klingon"]),
        "`klingon` is no encoding",
    );
    place.fails(
        &train(&["--merchant", "supplier", "--account", "code", "--delimiter", "ab"]),
        "`ab` is no delimiter",
    );
    fs::write(place.path("few.csv"), ledger(0, 20)).unwrap();
    let few = [&["train", "few.csv", "model"], &COLUMNS[..], &SIZE[..]].concat();
    place.fails(&few, "4 held-out transactions, expected at least 30");
    assert!(!place.path("model").exists());
    place.fails(&["suggest", "nowhere", "coded.csv"], "nowhere/transactions.json");
    let trained = Place::trained();
    fs::write(trained.path("new.csv"), "day,supplier,centre,sum,vat,memo\n").unwrap();
    trained.fails(
        &["suggest", "model", "new.csv", "--memo", "memo"],
        "the model was trained without the field `memo`",
    );
    fs::write(trained.path("coded.csv"), ledger(0, 400)).unwrap();
    let weights = || fs::read(trained.path("model/model.safetensors")).unwrap();
    let before = weights();
    let other =
        [&["train", "coded.csv", "model", "--merchant", "supplier", "--account", "code"], &SIZE[..]].concat();
    trained.fails(
        &other,
        "ledger.sqlite: its strings were made with other fields (merchant, location, amount, vat)",
    );
    assert!(weights() == before);
    fs::write(trained.path("bad.csv"), "day,supplier,centre,sum,vat,code,name\nx,a,b,1,VR,K1,n\n").unwrap();
    trained.fails(&["add", "model", "bad.csv"], "no row that can be used; nothing was changed");
    trained.fails(&["evaluate", "model", "bad.csv"], "no row that can be used");
}

#[test]
fn two_trainings_give_the_same_model() {
    let weights = || {
        let place = Place::new();
        fs::write(place.path("coded.csv"), ledger(0, 400)).unwrap();
        let output = place.run(&[&["train", "coded.csv", "model"], &COLUMNS[..], &SIZE[..]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let read = |name: &str| fs::read(place.path("model").join(name)).unwrap();
        (read("model.safetensors"), read("tokenizer.json"), read("transactions.json"))
    };
    assert!(weights() == weights());
}
