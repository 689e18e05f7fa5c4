//! A divided run against an undivided one, and seeds from the command line.

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Clone, Serialize, Deserialize)]
struct Double(u32);

impl Job for Double {
    type Outcome = u32;

    fn describe(&self) -> String {
        format!("double {}", self.0)
    }
}

fn conduct(folder: &Path, part: Part) -> Conduct {
    let script = "while read n; do echo \"{\\\"done\\\":$((n * 2))}\"; done";
    let command = ["sh", "-c", script].map(str::to_owned).into();
    let workers = Workers { command, variables: vec![], count: 1, store: folder.join("jobs") };
    Conduct {
        workers,
        folder: folder.to_owned(),
        data: PathBuf::new(),
        started: Instant::now(),
        limit_s: f64::INFINITY,
        quiet: true,
        part,
        begun: Cell::new(0),
    }
}

/// Two phases, the second made of what the first gave; the sum of the second.
fn body(conduct: &Conduct) -> Result<Option<u32>> {
    let Some(first) = conduct.phase("first", &[1, 2, 3, 4, 5].map(Double), |_, _| String::new())? else {
        return Ok(None);
    };
    let jobs: Vec<Double> = first.iter().map(|(_, outcome)| Double(10 * outcome)).collect();
    let second = conduct.phase("second", &jobs, |_, _| String::new())?;
    Ok(second.map(|second| second.iter().map(|(_, outcome)| outcome).sum()))
}

#[test]
fn shards_of_two_phases_and_a_report_do_what_one_run_does() {
    let (alone, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sum = body(&conduct(alone.path(), Part::All)).unwrap();
    assert_eq!(sum, Some(600));
    let run = |part| body(&conduct(shared.path(), part));
    let shard = |text: &str, phase| Part::Shard { shard: text.parse().unwrap(), phase };
    let stored = || std::fs::read_dir(shared.path().join("jobs")).unwrap().count();
    assert_eq!(run(shard("1/2", 1)).unwrap(), None);
    assert_eq!(stored(), 3);
    let error = run(shard("1/2", 2)).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "phase `first`: 2 of 5 jobs are missing, the first is double 2; none of its shards has"
        ),
        "{error}"
    );
    assert!(run(Part::Report { divided: 2 }).is_err());
    assert_eq!(stored(), 3);
    assert_eq!(run(shard("2/2", 1)).unwrap(), None);
    for text in ["2/2", "1/2"] {
        assert_eq!(run(shard(text, 2)).unwrap(), None);
    }
    assert_eq!(stored(), 10);
    assert_eq!(run(Part::Report { divided: 2 }).unwrap(), sum);
}

#[test]
fn other_seeds_are_in_the_command_and_those_of_the_candidates_are_refused() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }
    let options = |words: &[&str]| {
        <Line as clap::Parser>::try_parse_from([&["x"], words].concat()).map(|line| line.options)
    };
    let experiment = || Experiment::of("toy", "/w/toy", "cpu");
    let mut same = experiment();
    assert_eq!(same.seeded(&options(&["--seeds", "1,2"]).unwrap(), &[1, 2], &[]).unwrap(), [1, 2]);
    assert!(!same.command().contains("--seeds"));
    let mut other = experiment();
    assert_eq!(other.seeded(&options(&["--seeds", "7..=8"]).unwrap(), &[1, 2], &[]).unwrap(), [7, 8]);
    assert!(other.command().ends_with("--preset cpu --seeds 7,8"));
    assert_eq!(experiment().seeded(&options(&[]).unwrap(), &[1], &[]).unwrap(), [1]);
    let error =
        experiment().seeded(&options(&["--seeds", "5,9"]).unwrap(), &[1], &[9]).unwrap_err().to_string();
    assert_eq!(error, "--seeds 5,9: seed 9 chooses settings in this preset; expected others than [9]");
    for words in
        [&["--shard", "1/2"][..], &["--shard", "1/2", "--phase", "1"], &["--collect"], &["--prepare"]]
    {
        assert!(options(words).is_err(), "{words:?} without --resume");
    }
    let sharing = options(&["--resume", "r", "--shard", "1/2", "--phase", "3"]).unwrap().sharing;
    let error = sharing.part(&experiment().in_phases(2)).unwrap_err().to_string();
    assert_eq!(error, "--phase 3: toy has phases 1 to 2");
}
