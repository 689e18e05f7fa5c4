//! The `ner-mom` command.
use ner_mom::{experiment::design::*, experiment::workers::*, experiment::*};
fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let data: std::path::PathBuf = std::env::var("BENKYOKAI_DATA").unwrap().into();
    if args[1] == "worker" {
        tch::set_num_threads(1);
        let mut c = Corpora::below(data);
        return serve(|job| carry_out(job, &mut c, tch::Device::Cpu));
    }
    let design = if args[1] == "quick" { Design::quick() } else { Design::cpu() };
    let workers =
        Workers { command: vec![args[0].clone(), "worker".into()], count: 2, store: args[2].clone().into() };
    let t = std::time::Instant::now();
    let mut n = 0;
    let cands = design.candidates();
    println!("{} candidates", cands.len());
    let outs = workers
        .run(&cands, |j, o| {
            n += 1;
            println!(
                "{n} {:.0}s {} {} {} dev {:.4}",
                t.elapsed().as_secs_f64(),
                j.setting,
                o.loss,
                j.seed,
                o.dev_micro_f1
            );
            true
        })?
        .unwrap();
    let mut chosen = Chosen::new();
    let mut best: std::collections::BTreeMap<(String, String), f64> = Default::default();
    for (j, o) in cands.iter().zip(&outs) {
        let key = (j.setting.clone(), j.arm.clone());
        if best.get(&key).is_none_or(|b| o.dev_micro_f1 > *b) {
            best.insert(key.clone(), o.dev_micro_f1);
            chosen.insert(key, j.config.loss.clone());
        }
    }
    let jobs = design.compared(&chosen);
    println!("{} jobs", jobs.len());
    workers.run(&jobs, |j, o| {
        n += 1;
        println!(
            "{n} {:.0}s {} {} {} {} dev {:.4} test {:.4}",
            t.elapsed().as_secs_f64(),
            j.setting,
            j.arm,
            o.loss,
            j.seed,
            o.dev_micro_f1,
            o.scores().micro_f1
        );
        true
    })?;
    Ok(())
}
