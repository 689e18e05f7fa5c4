//! Spoiled files: no reader panics or takes memory that the file does not warrant. Deterministic, a few seconds.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use quantization::gguf;
use quantization::imatrix::Imatrix;
use quantization::llama2c::{Checkpoint, Config, Tensor, Tokenizer};
use quantization::safetensors;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Cases per reader; the five together are beyond 200 000.
const CASES: usize = 45_000;
/// Ours: a reader may take this many times the file, and a little for small files.
const MOST_MEMORY: usize = 40;
const SMALL: usize = 16_384;

/// The system's allocator, with the largest single request written down.
struct Watched;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator that only counts; each call is handed on as it came")]
// SAFETY: every method hands its arguments on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system's.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read(path).unwrap()
}

/// The first `most` bytes of a file of the data folder, nothing when there is none.
fn from_data(name: &str, most: usize) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(PathBuf::from(std::env::var_os("BENKYOKAI_DATA")?).join(name)).ok()?;
    bytes.truncate(most);
    Some(bytes)
}

/// Numbers that break careless arithmetic.
const EXTREMES: [u64; 14] = [
    0,
    1,
    2,
    31,
    255,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    1 << 40,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_fff0,
    u64::MAX,
];

/// One to four changes: bits, extreme numbers, cuts, pieces moved or doubled, bytes of another file.
fn spoil(good: &[u8], other: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..random.random_range(1..=4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..8) {
            0 | 1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 | 3 => {
                let number = EXTREMES[random.random_range(0..EXTREMES.len())].to_le_bytes();
                let width = [1, 4, 8][random.random_range(0..3)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number[..width]);
            }
            4 => bytes.truncate(at),
            5 => {
                let end = (at + random.random_range(1..64)).min(bytes.len());
                bytes.drain(at..end);
            }
            6 => {
                let end = (at + random.random_range(1..64)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let place = random.random_range(0..=bytes.len());
                bytes.splice(place..place, piece);
            }
            _ => {
                let from = random.random_range(0..other.len());
                let piece = &other[from..(from + random.random_range(1..64)).min(other.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

/// Runs `read` on spoiled copies; returns how many of a round were still accepted at most.
fn attack(seeds: &[Vec<u8>], read: impl Fn(&[u8]) -> bool) -> usize {
    (0..rounds()).map(|round| attack_from(42 + round, seeds, &read)).max().unwrap_or(0)
}

/// Rounds of cases, each from another seed: 1, or what `BENKYOKAI_FUZZ_ROUNDS` says for a long run.
fn rounds() -> u64 {
    std::env::var("BENKYOKAI_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

fn attack_from(seed: u64, seeds: &[Vec<u8>], read: &impl Fn(&[u8]) -> bool) -> usize {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut accepted = 0;
    for case in 0..CASES {
        let (good, other) = (&seeds[case % seeds.len()], &seeds[random.random_range(0..seeds.len())]);
        let bytes = spoil(good, other, &mut random);
        LARGEST.store(0, Ordering::Relaxed);
        accepted += usize::from(read(&bytes));
        let largest = LARGEST.load(Ordering::Relaxed);
        assert!(
            largest <= SMALL + MOST_MEMORY * bytes.len(),
            "seed {seed}, case {case}: {largest} bytes for a file of {}",
            bytes.len()
        );
    }
    accepted
}

/// Every accessor of a header that was accepted must hold.
fn read_gguf(bytes: &[u8]) -> bool {
    let Ok(header) = gguf::Header::read(bytes, bytes.len() as u64) else { return false };
    for tensor in &header.tensors {
        let start = header.data_start + tensor.offset;
        assert!(start.is_multiple_of(header.alignment) && start + tensor.bytes <= bytes.len() as u64);
        assert!(tensor.weights() > 0 && tensor.weights().is_multiple_of(tensor.row_len()));
        assert_eq!(header.tensor(&tensor.name), Some(tensor));
    }
    for (key, value) in header.metadata.iter() {
        assert_eq!(header.metadata.get(key).map(gguf::Value::type_id), Some(value.type_id()));
        if let gguf::Value::Array(gguf::Array::String(strings)) = value {
            assert!(strings.iter().map(<[u8]>::len).sum::<usize>() <= bytes.len());
        }
    }
    true
}

fn read_safetensors(bytes: &[u8]) -> bool {
    let Ok(header) = safetensors::Header::from_bytes(bytes) else { return false };
    let most = bytes.len() as u64;
    header.tensors.iter().all(|tensor| tensor.end <= most && tensor.elements() as u64 <= most)
}

fn read_llama2c(bytes: &[u8]) -> bool {
    let Some((header, _)) = bytes.split_first_chunk::<28>() else { return false };
    let Ok(config) = Config::from_header(header) else { return false };
    let size = config.file_bytes();
    let last = if config.tied { Tensor::RotarySine } else { Tensor::Output };
    assert_eq!(config.range(last).unwrap().end, size);
    size == bytes.len() as u64
}

/// One test, so that the largest request is that of the reader under attack.
#[test]
fn spoiled_files_neither_panic_nor_take_memory() {
    let folder = tempfile::tempdir().unwrap();
    let tiny =
        Config { dim: 8, hidden_dim: 6, layers: 2, heads: 4, kv_heads: 2, vocab: 5, context: 3, tied: false };
    let path = folder.path().join("tiny.bin");
    Checkpoint::write(&path, &tiny, |tensor| {
        let [rows, columns] = tiny.shape(tensor).unwrap();
        vec![0.5; rows * columns]
    })
    .unwrap();
    let mut ggufs = vec![golden("containers.gguf"), golden("imatrix.gguf")];
    ggufs.extend(from_data("shakespeare-llama-256/model-f16.gguf", 6000));
    let mut tensors = vec![golden("containers.safetensors")];
    tensors.extend(from_data("shakespeare-llama-256/model.safetensors", 3000));
    let tokenizer = from_data("stories260k/tok512.bin", 2000)
        .unwrap_or_else(|| vec![3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 65]);
    let start = std::time::Instant::now();
    let accepted = [
        attack(&ggufs, read_gguf),
        attack(&tensors, read_safetensors),
        attack(&[std::fs::read(&path).unwrap()], read_llama2c),
        attack(&[tokenizer], |bytes| Tokenizer::decode(bytes).is_ok()),
        attack(&[golden("imatrix.dat")], |bytes| Imatrix::decode_legacy(bytes).is_ok()),
    ];
    println!(
        "{} × {} cases each, accepted {accepted:?}, {:.1} s",
        rounds(),
        CASES,
        start.elapsed().as_secs_f64()
    );
    assert!(accepted.iter().all(|&count| count < CASES / 2));
}
