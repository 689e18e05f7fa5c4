//! A small report, rendered.

use super::*;
use crate::claims::{self, Part};

fn report() -> Report {
    let declared = claims::parse(
        "[paper]\ntitle='A & B'\nauthors='X'\nvenue='V'\nurl='https://example.org'\nsections_used=[]\n\
         [[claim]]\nid='C1'\ntext='a beats b'\nsource='Table 1'\nmetric='f1'\nunit='fraction'\nhigher_is_better=true\n\
         replication='seed'\ntest='paired-t'\nneeds=1\npart=[{id='C1-x',setting='x',a='a',b='b'}]\n",
    )
    .unwrap();
    let runs = |_: &Part| Some((vec![0.51, 0.52, 0.53, 0.52, 0.51], vec![0.41, 0.42, 0.42, 0.43, 0.40]));
    let judged = declared.claims.iter().map(|claim| claims::judge(claim, true, runs)).collect();
    Report {
        schema: SCHEMA,
        experiment: "x".into(),
        preset: "cpu".into(),
        headline: "five seeds".into(),
        paper: declared.paper,
        summary: vec!["One <line>.".into()],
        claims: judged,
        setup: vec![["epochs".into(), "—".into(), "8".into(), "time".into()]],
        deviations: vec!["smaller".into()],
        sections: vec![],
        compute: BTreeMap::new(),
        environment: BTreeMap::from([("commit".to_owned(), "abc*".to_owned())]),
        data: vec![],
        determinism: BTreeMap::new(),
        command: "cargo run".into(),
        limits: vec![],
    }
}

#[test]
fn the_json_reads_back_and_renders_the_same() {
    let folder = tempfile::tempdir().unwrap();
    report().write(folder.path()).unwrap();
    let back = Report::read(&folder.path().join("report.json")).unwrap();
    assert_eq!(markdown(&back), std::fs::read_to_string(folder.path().join("report.md")).unwrap());
}

#[test]
fn a_number_that_is_not_finite_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut bad = report();
    bad.claims[0].parts[0].a[0] = f64::NAN;
    let error = bad.write(folder.path()).unwrap_err().to_string();
    assert!(error.contains("a number is not finite"), "{error}");
    assert!(!folder.path().join("report.json").exists());
}

#[test]
fn the_page_escapes_text_and_carries_the_verdict() {
    let page = html(&report(), |_| Ok(String::new())).unwrap();
    assert!(page.contains("One &lt;line&gt;.") && page.contains("A &amp; B"));
    assert!(page.contains("✔ reproduced") && page.contains("1 claims · 1 reproduced"));
    assert_eq!(page.matches("<table>").count(), page.matches("</table>").count());
}

#[test]
fn the_markdown_shows_the_difference_with_its_interval() {
    let text = markdown(&report());
    assert!(
        text.contains(
            "| C1-x | a | b | 0.518 [0.508, 0.528] | 0.416 [0.402, 0.430] | 5 | 0.102 [0.092, 0.112] |"
        ),
        "{text}"
    );
}

#[test]
fn the_checklist_notices_a_dirty_commit() {
    let row = report().checklist().into_iter().find(|(what, ..)| *what == "commit clean").unwrap();
    assert_eq!(row, ("commit clean", false, "abc*".to_owned()));
}

#[test]
fn the_checklist_recomputes_corrections_and_numbers() {
    let row = |report: &Report, name: &str| {
        report.checklist().into_iter().find(|(what, ..)| *what == name).unwrap()
    };
    assert_eq!(report().unsupported_numbers(), Vec::<String>::new());
    assert!(row(&report(), "several tests corrected").1 && row(&report(), "no figure is shown twice").1);
    let mut typed = report();
    typed.claims[0].parts[0].p_holm = Some(0.5);
    assert_eq!(row(&typed, "several tests corrected").2, "not Holm's value: C1");
}
