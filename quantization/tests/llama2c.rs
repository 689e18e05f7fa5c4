//! llama2.c files: the published checkpoint, what is written, what is refused and how.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;

use quantization::gguf;
use quantization::llama2c::{Checkpoint, Config, Tensor, Tokenizer};

/// Data folder, `None` (said on stderr) when there is none.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("BENKYOKAI_DATA").map(PathBuf::from).filter(|folder| folder.is_dir());
    if folder.is_none() {
        eprintln!("skipped: BENKYOKAI_DATA names no folder");
    }
    folder
}

const TINY: Config =
    Config { dim: 8, hidden_dim: 6, layers: 2, heads: 4, kv_heads: 2, vocab: 5, context: 3, tied: false };

fn counted(tensor: Tensor) -> Vec<f32> {
    let [rows, columns] = TINY.shape(tensor).unwrap();
    let start = TINY.range(tensor).unwrap().start as f32;
    (0..rows * columns).map(|place| start + place as f32).collect()
}

#[test]
fn the_published_checkpoint_holds_the_weights_of_its_gguf_copy() {
    let Some(data) = data() else { return };
    let checkpoint = Checkpoint::open(data.join("stories260k/stories260K.bin")).unwrap();
    let copy = gguf::File::open(data.join("stories260k/stories260K-f32.gguf")).unwrap();
    let config = *checkpoint.config();
    assert_eq!((config.dim, config.hidden_dim, config.layers, config.heads), (64, 172, 5, 8));
    assert_eq!((config.kv_heads, config.vocab, config.context, config.tied), (4, 512, 512, true));
    assert_eq!(checkpoint.read(Tensor::Output).unwrap(), None);
    let mut pairs = vec![
        (Tensor::TokenEmbedding, "token_embd.weight".to_owned()),
        (Tensor::FinalNorm, "output_norm.weight".to_owned()),
    ];
    for layer in 0..config.layers {
        for (tensor, name) in [
            (Tensor::AttentionNorm(layer), "attn_norm"),
            (Tensor::Query(layer), "attn_q"),
            (Tensor::Key(layer), "attn_k"),
            (Tensor::Value(layer), "attn_v"),
            (Tensor::AttentionOutput(layer), "attn_output"),
            (Tensor::FeedForwardNorm(layer), "ffn_norm"),
            (Tensor::Gate(layer), "ffn_gate"),
            (Tensor::Down(layer), "ffn_down"),
            (Tensor::Up(layer), "ffn_up"),
        ] {
            pairs.push((tensor, format!("blk.{layer}.{name}.weight")));
        }
    }
    for (tensor, name) in pairs {
        let weights = checkpoint.read(tensor).unwrap().unwrap();
        let bytes: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        assert!(bytes == copy.read_tensor(&name).unwrap(), "{name}");
        let [rows, columns] = config.shape(tensor).unwrap();
        let dims = if rows == 1 { vec![columns as u64] } else { vec![columns as u64, rows as u64] };
        assert_eq!(copy.tensor(&name).unwrap().dims, dims, "{name}");
    }
}

#[test]
fn the_published_files_come_back_byte_for_byte() {
    let Some(data) = data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (source, copy) = (data.join("stories260k/stories260K.bin"), folder.path().join("copy.bin"));
    let checkpoint = Checkpoint::open(&source).unwrap();
    Checkpoint::write(&copy, checkpoint.config(), |tensor| checkpoint.read(tensor).unwrap().unwrap())
        .unwrap();
    assert!(fs::read(&copy).unwrap() == fs::read(&source).unwrap());
    let source = data.join("stories260k/tok512.bin");
    let tokenizer = Tokenizer::read(&source, Some(512)).unwrap();
    tokenizer.write(&copy).unwrap();
    assert!(fs::read(&copy).unwrap() == fs::read(&source).unwrap());
    assert_eq!(tokenizer.pieces[0].bytes, b"<unk>");
    let error = Tokenizer::read(&source, Some(511)).unwrap_err().to_string();
    assert!(error.contains("has 512 pieces, the model's vocabulary 511"), "{error}");
}

#[test]
fn an_untied_checkpoint_is_read_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    Checkpoint::write(&path, &TINY, counted).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(checkpoint.config(), &TINY);
    for tensor in TINY.tensors() {
        assert_eq!(checkpoint.read(tensor).unwrap().unwrap(), counted(tensor), "{tensor:?}");
    }
    assert_eq!(checkpoint.read(Tensor::Up(2)).unwrap(), None);
    let error = Checkpoint::write(&path, &TINY, |_| vec![0.0]).unwrap_err().to_string();
    assert!(error.ends_with("TokenEmbedding comes with 1 weights, expected 40"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn other_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    let says = |bytes: &[u8], message: &str| {
        fs::write(&path, bytes).unwrap();
        let error = Checkpoint::open(&path).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    };
    Checkpoint::write(&path, &TINY, counted).unwrap();
    let good = fs::read(&path).unwrap();
    says(&good[..20], "has 20 bytes, its header takes 28");
    says(&good[..good.len() - 1], "the file is truncated or of another format");
    says(
        &[&0x616b_3432_u32.to_le_bytes()[..], &[0; 300]].concat(),
        "starts with `ak42`: this is version 1 or 2",
    );
    let spoiled = |field: usize, value: i32| {
        let mut bytes = good.clone();
        bytes[4 * field..4 * field + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    says(&spoiled(0, 0), "byte 0: the width is 0, expected 1 to 4194304");
    says(&spoiled(2, i32::MAX), "byte 8: the number of layers is 2147483647, expected 1 to 4096");
    says(&spoiled(3, 3), "byte 12: the number of heads is 3, expected a divisor of half the width 8");
    says(&spoiled(4, 3), "byte 16: the number of key heads is 3, expected a divisor of 4 heads");
    says(&spoiled(5, i32::MIN), "byte 20: the vocabulary is -2147483648, expected ±1 to ±4194304");
    says(&spoiled(1, 4_000_000), "the file is truncated or of another format");
    let error = Checkpoint::open("no/such.bin").unwrap_err().to_string();
    assert!(error.starts_with("no/such.bin: No such file"), "{error}");
}

#[test]
fn broken_tokenizers_are_named() {
    let says = |bytes: &[u8], message: &str| {
        let error = Tokenizer::decode(bytes).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    };
    says(&[1, 0], "byte 0: piece 0 is incomplete: this is not a llama2.c tokenizer, or it is truncated");
    says(&[3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 65], "byte 4: piece 0 is incomplete");
    says(
        &[3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 65],
        "byte 4: piece 0 has 4 bytes, expected at most the 3 of the longest",
    );
}
