//! Scripts for Slurm, and their submission: a job array for each phase, then one job that writes the report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::plan::{Plan, State};

/// Writes `phase-1.sh` … and `report.sh` into the run's folder `sweep`.
pub(super) fn write(root: &Path, run: &Path, plan: &Plan) -> Result<()> {
    let folder = run.join("sweep");
    fs::create_dir_all(folder.join("logs")).with_context(|| format!("making {}", folder.display()))?;
    for phase in 1..=plan.phases {
        let share = format!("--phase {phase} --shard \"$SLURM_ARRAY_TASK_ID/{}\" --quiet", plan.shards);
        let text = script(root, run, plan, &format!("phase-{phase}"), "-%a", &share);
        put(&folder.join(format!("phase-{phase}.sh")), &text)?;
    }
    put(&folder.join("report.sh"), &script(root, run, plan, "report", "", "--collect --quiet"))
}

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn script(root: &Path, run: &Path, plan: &Plan, name: &str, task: &str, share: &str) -> String {
    let folder = run.join("sweep");
    let options: String = plan.sbatch.iter().map(|option| format!("#SBATCH {option}\n")).collect();
    let arguments: Vec<String> = plan.reproduce.iter().map(|argument| quoted(argument)).collect();
    let data = std::env::var("BENKYOKAI_DATA");
    let data = data.map_or(String::new(), |data| format!("export BENKYOKAI_DATA={}\n", quoted(&data)));
    format!(
        "#!/bin/bash\n\
         #SBATCH --job-name={}-{name}\n\
         #SBATCH --output=\"{}/logs/{name}{task}.txt\"\n\
         {options}\
         set -eu\n\
         cd {}\n\
         {data}\
         export LD_LIBRARY_PATH={}\n\
         exec {} {} --resume {} --workers \"${{SLURM_CPUS_PER_TASK:-1}}\" {share}\n",
        plan.experiment,
        folder.display(),
        quoted(&root.display().to_string()),
        quoted(&root.join(".libtorch/lib").display().to_string()),
        quoted(&folder.join(&plan.experiment).display().to_string()),
        arguments.join(" "),
        quoted(&run.display().to_string()),
    )
}

/// A word as the shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Submits the open shards of each phase, each array after the one before, and the report after all. An array that fails
/// does not keep the next one waiting for ever: its shards then say at once what is missing.
pub(super) fn submit(run: &Path, plan: &Plan, open: &[&State], sbatch: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut before: Option<String> = None;
    for phase in 1..=plan.phases {
        let tasks: Vec<usize> =
            open.iter().filter(|state| state.phase == phase).map(|state| state.shard).collect();
        if tasks.is_empty() {
            continue;
        }
        let array = format!("--array={}", ranges(&tasks));
        let id = one(sbatch, before.as_deref(), &[&array], &run.join(format!("sweep/phase-{phase}.sh")))?;
        lines.push(format!("submitted job {id}: phase {phase}, shards {}", ranges(&tasks)));
        before = Some(id);
    }
    let id = one(sbatch, before.as_deref(), &[], &run.join("sweep/report.sh"))?;
    lines.push(format!("submitted job {id}: the report"));
    Ok(lines)
}

fn one(sbatch: &Path, before: Option<&str>, options: &[&str], script: &PathBuf) -> Result<String> {
    let mut command = Command::new(sbatch);
    command.arg("--parsable").args(options);
    if let Some(id) = before {
        command.arg(format!("--dependency=afterany:{id}"));
    }
    let output = command.arg(script).output().with_context(|| {
        format!(
            "starting `{}`; is this a machine of a Slurm cluster? The scripts are written, see {}",
            sbatch.display(),
            script.display()
        )
    })?;
    if !output.status.success() {
        bail!("{}: {}", script.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    // `ID` or `ID;CLUSTER`.
    let text = String::from_utf8_lossy(&output.stdout);
    let id = text.trim().split(';').next().unwrap_or_default().to_owned();
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_digit()) {
        bail!("{}: sbatch answered `{}`, expected a job's number", script.display(), text.trim());
    }
    Ok(id)
}

/// Ascending numbers as Slurm writes them: `1-4,7`.
fn ranges(numbers: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let word = |(first, last): &(usize, usize)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(word).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn plan() -> Plan {
        Plan {
            experiment: "toy".into(),
            reproduce: vec![
                "reproduce".into(),
                "--preset".into(),
                "cpu".into(),
                "--seeds".into(),
                "1..=3".into(),
            ],
            shards: 3,
            phases: 2,
            sbatch: vec!["--cpus-per-task=2".into()],
        }
    }

    fn program(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Like `sbatch`, at once: runs every task of an array, keeps going when one fails, prints a number, and logs its arguments.
    const SBATCH: &str = "#!/bin/bash\n\
        here=$(dirname \"$0\"); echo \"$*\" >> \"$here/log\"; script=\"${@: -1}\"; tasks=0\n\
        for option in \"$@\"; do case $option in --array=*) tasks=$(echo \"${option#--array=}\" | tr , '\\n' | \
        while IFS=- read -r a b; do seq \"$a\" \"${b:-$a}\"; done);; esac; done\n\
        for task in $tasks; do SLURM_ARRAY_TASK_ID=$task SLURM_CPUS_PER_TASK=2 bash \"$script\" >/dev/null 2>&1; done\n\
        wc -l < \"$here/log\"\n";

    /// A program that leaves records as shards do; shard 2 of phase 1 fails while a file `broken` is there.
    const TOY: &str = "#!/bin/bash\n\
        run=$(dirname \"$(dirname \"$0\")\"); echo \"$*\" >> \"$run/calls\"; mkdir -p \"$run/shards\"\n\
        while [ $# -gt 0 ]; do case $1 in --phase) phase=$2;; --shard) shard=${2%/*}; of=${2#*/};; --collect) touch \"$run/report.json\"; exit;; esac; shift; done\n\
        status=complete; problem=null\n\
        if [ \"$phase$shard\" = 12 ] && [ -e \"$run/broken\" ]; then status=failed; problem='\"no memory\"'; fi\n\
        echo \"{\\\"status\\\":\\\"$status\\\",\\\"host\\\":\\\"h\\\",\\\"problem\\\":$problem}\" > \"$run/shards/phase-$phase-shard-$shard-of-$of.json\"\n";

    fn submit_open(run: &Path, sbatch: &Path) -> Vec<String> {
        let states = plan().states(run).unwrap();
        let open: Vec<&State> = states.iter().filter(|state| !state.is_complete()).collect();
        submit(run, &plan(), &open, sbatch).unwrap()
    }

    #[test]
    fn a_failed_shard_is_named_and_only_it_is_submitted_again() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("a run's");
        write(folder.path(), &run, &plan()).unwrap();
        plan().write(&run).unwrap();
        assert_eq!(Plan::read(&run).unwrap(), plan());
        let sbatch = folder.path().join("sbatch");
        program(&sbatch, SBATCH);
        program(&run.join("sweep/toy"), TOY);
        fs::write(run.join("broken"), "").unwrap();
        let lines = submit_open(&run, &sbatch);
        assert_eq!(
            lines[..2],
            ["submitted job 1: phase 1, shards 1-3", "submitted job 2: phase 2, shards 1-3"]
        );
        let states: Vec<String> = plan().states(&run).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(states[1], "phase 1 shard 2/3: failed on h: no memory");
        fs::remove_file(run.join("broken")).unwrap();
        assert_eq!(
            submit_open(&run, &sbatch),
            ["submitted job 4: phase 1, shards 2", "submitted job 5: the report"]
        );
        assert!(plan().states(&run).unwrap().iter().all(State::is_complete));
        assert!(run.join("report.json").exists());
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        let scripts = format!("{}/sweep", run.display());
        assert!(
            log.contains(&format!("--parsable --array=1-3 --dependency=afterany:1 {scripts}/phase-2.sh\n")),
            "{log}"
        );
        assert!(log.contains(&format!("--parsable --dependency=afterany:4 {scripts}/report.sh\n")), "{log}");
        let calls = fs::read_to_string(run.join("calls")).unwrap();
        let run = run.display();
        assert!(calls.starts_with(&format!("reproduce --preset cpu --seeds 1..=3 --resume {run} --workers 2 --phase 1 --shard 1/3 --quiet\n")), "{calls}");
    }

    #[test]
    fn without_sbatch_the_message_says_where_the_scripts_are() {
        let folder = tempfile::tempdir().unwrap();
        let error = submit(folder.path(), &plan(), &[], Path::new("no-such-sbatch")).unwrap_err().to_string();
        assert!(
            error.contains("is this a machine of a Slurm cluster") && error.contains("sweep/report.sh"),
            "{error}"
        );
        let sbatch = folder.path().join("sbatch");
        program(&sbatch, "#!/bin/sh\necho 'invalid partition' >&2; exit 1\n");
        let error = submit(folder.path(), &plan(), &[], &sbatch).unwrap_err().to_string();
        assert!(error.ends_with("report.sh: invalid partition"), "{error}");
    }

    #[test]
    fn words_survive_the_shell_and_numbers_become_ranges() {
        assert_eq!(quoted("a/b-1..=3"), "a/b-1..=3");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(ranges(&[1, 2, 3, 5, 7, 8]), "1-3,5,7-8");
        let error = Plan::read(Path::new("nowhere")).unwrap_err().to_string();
        assert_eq!(error, "nowhere: not the run of a sweep: no sweep/plan.json");
    }
}
