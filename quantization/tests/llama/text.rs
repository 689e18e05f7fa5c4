//! Tokenizers and generated text against other programs' (golden/llama).

use std::ops::ControlFlow;

use quantization::llama::{Hooks, Sampling, Stop, Tokenizer, TokenizerParts, generate};
use serde::Deserialize;

use crate::sources::{self, data};
use crate::vocabulary;

#[derive(Deserialize)]
struct Golden {
    stories: Stories,
    gpt2: Gpt2,
}

#[derive(Deserialize)]
struct Stories {
    prompt: String,
    prompt_tokens: Vec<u32>,
    continuation: Vec<u32>,
    text: String,
    first_logits: Vec<f32>,
    encoded: Vec<(String, Vec<u32>)>,
}

#[derive(Deserialize)]
struct Gpt2 {
    encoded: Vec<(String, Vec<u32>)>,
    play_characters: usize,
    play: Vec<u32>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/llama/reference.json")).unwrap()
}

#[test]
fn pieces_of_the_stories_model_are_those_of_the_exhaustive_search() {
    for tokenizer in [vocabulary::stories(), vocabulary::stories_gguf()].into_iter().flatten() {
        for (text, expected) in golden().stories.encoded {
            // A literal U+2581 is a space to llama.cpp and three bytes to llama2.c.
            if !text.contains('\u{2581}') {
                let tokens = tokenizer.encode(&text);
                assert_eq!(tokens, expected, "{text:?}");
                assert_eq!(String::from_utf8(tokenizer.decode(&tokens)).unwrap(), text);
            }
        }
        assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.len()), (Some(1), Some(2), 512));
    }
}

#[test]
fn sequences_of_the_story_sample_decode_and_encode_to_themselves() {
    let (Some(tokenizer), Some(sequences)) = (vocabulary::stories(), sources::story_sequences()) else {
        return;
    };
    for sequence in sequences.iter().filter(|sequence| sequence.len() < 448) {
        let text = String::from_utf8(tokenizer.decode(sequence)).unwrap();
        assert_eq!(&tokenizer.encode(&text), sequence, "{text:?}");
    }
}

#[test]
fn tokens_of_gpt_2_are_those_of_the_tokenizers_package() {
    let Some(tokenizer) = vocabulary::gpt2() else { return };
    let golden = golden().gpt2;
    for (text, expected) in golden.encoded {
        assert_eq!(tokenizer.encode(&text), expected, "{text:?}");
        assert_eq!(tokenizer.decode(&expected), text.as_bytes());
    }
    let Some(folder) = data("tinyshakespeare") else { return };
    let play = std::fs::read_to_string(folder.join("input.txt")).unwrap();
    let play = &play[..golden.play_characters];
    assert_eq!(tokenizer.encode(play), golden.play);
}

#[test]
fn greedy_story_is_that_of_llama2_c() {
    let (Some(source), Some(tokenizer)) = (sources::stories(), vocabulary::stories()) else { return };
    let (golden, model) = (golden().stories, source.model());
    assert_eq!(tokenizer.encode(&golden.prompt), golden.prompt_tokens);
    let mut state = model.state(512, 1).unwrap();
    let logits = model.forward(&golden.prompt_tokens, &mut state, &mut Hooks::none()).unwrap();
    assert!(logits.iter().zip(&golden.first_logits).all(|(a, b)| (a - b).abs() < 2e-5));

    state.truncate(0);
    let mut text = String::new();
    let mut each = |part: &str| {
        text.push_str(part);
        ControlFlow::Continue(())
    };
    let greedy = Sampling::greedy();
    let generated =
        generate(&model, &tokenizer, &golden.prompt_tokens, 200, greedy, &mut state, &mut each).unwrap();
    assert_eq!((generated.tokens, generated.stop), (golden.continuation, Stop::Tokens));
    assert_eq!(text, golden.text);
    assert!(text.starts_with(", there was a little girl named Lily. She loved to play outside in the park."));
}

#[test]
fn generation_ends_at_the_state_s_end_and_at_the_caller_s_word_and_repeats_with_its_seed() {
    let (Some(source), Some(tokenizer)) = (sources::stories(), vocabulary::stories()) else { return };
    let model = source.model();
    let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 0.9, min_p: 0.0, seed: 7 };
    let prompt = tokenizer.encode("Tom");
    let run = |capacity: usize, enough: usize| {
        let (mut state, mut calls) = (model.state(capacity, 2).unwrap(), 0);
        let mut each = |_: &str| {
            calls += 1;
            if calls == enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        generate(&model, &tokenizer, &prompt, 60, sampling, &mut state, &mut each).unwrap()
    };
    let whole = run(100, 1000);
    assert_eq!(whole, run(100, 1000));
    let short = run(20, 1000);
    assert_eq!((short.stop, &short.tokens[..]), (Stop::Context, &whole.tokens[..21 - prompt.len()]));
    let broken_off = run(100, 3);
    assert_eq!((broken_off.stop, &broken_off.tokens[..]), (Stop::Caller, &whole.tokens[..3]));
}

#[test]
fn tokenizers_that_cannot_be_made_are_refused_in_words() {
    let refused = |parts| Tokenizer::new(parts).unwrap_err().to_string();
    let parts = |model: &str| TokenizerParts { model: model.into(), ..TokenizerParts::default() };
    assert_eq!(
        refused(parts("bert")),
        "`tokenizer.ggml.model` is `bert`, expected `llama`, `gpt2` or `no_vocab` with 256 tokens"
    );
    assert_eq!(
        refused(TokenizerParts { pre: Some("tekken".into()), ..parts("gpt2") }),
        "`tokenizer.ggml.pre` is `tekken`, expected `gpt-2`, `llama-bpe`, `qwen2` or `smollm`"
    );
    let merges = vec!["a b".to_owned()];
    assert_eq!(
        refused(TokenizerParts { merges, pieces: vec![b"a".to_vec(), b"b".to_vec()], ..parts("gpt2") }),
        "merge 0 is `a b`, expected two tokens with a space between whose concatenation is a token"
    );
    assert_eq!(
        refused(TokenizerParts { pieces: vec![b"a".to_vec()], ..parts("llama") }),
        "the tokenizer has 0 scores for 1 tokens; expected one each"
    );
}
