//! Tokens per second; printed, not judged.

use std::time::Instant;

use quantization::llama::{Hooks, Model};

use crate::sources::{shakespeare, stories};

/// Positions that are read as a prompt, and then singly.
const TOKENS: usize = 128;

/// `cargo test -p quantization --no-default-features --test llama speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement of the machine"]
fn speed_of_prompts_and_of_single_tokens() {
    for (name, source) in [("stories260K", stories()), ("shakespeare-llama-256", shakespeare())] {
        let Some(source) = source else { return };
        let model = source.model();
        for threads in [1, 2] {
            let [prompt, single] =
                [(0, TOKENS), (TOKENS, 1)].map(|(from, batch)| speed(&model, threads, from, batch));
            println!("{name}, {threads} threads: prompt {prompt:.0}, then singly {single:.0} tokens/s");
        }
    }
}

/// Tokens per second after `from`, `batch` at a time, over half a second. Alone, the time on the processor counts:
/// neighbours of a busy machine do not.
fn speed(model: &Model, threads: usize, from: usize, batch: usize) -> f64 {
    let mut state = model.state(2 * TOKENS, threads).unwrap();
    let tokens: Vec<u32> = (0..2 * TOKENS as u32).map(|i| (i * 37 + 5) % 250).collect();
    let mut hooks = Hooks::none();
    if from > 0 {
        model.forward(&tokens[..from], &mut state, &mut hooks).unwrap();
    }
    let (start, before, mut done) = (Instant::now(), on_processor(), 0);
    while start.elapsed().as_secs_f64() < 0.5 {
        state.truncate(from);
        for tokens in tokens[from..from + TOKENS].chunks(batch) {
            model.forward(tokens, &mut state, &mut hooks).unwrap();
        }
        done += TOKENS;
    }
    let wall = start.elapsed().as_secs_f64();
    let alone = before.zip(on_processor()).filter(|_| threads == 1).map(|(before, after)| after - before);
    done as f64 / alone.unwrap_or(wall)
}

/// Seconds that this thread has run, where the system tells.
fn on_processor() -> Option<f64> {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? * 1e-9)
}
