//! Every reader on arbitrary bytes: `cargo +nightly fuzz run containers` in the folder `quantization`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quantization::imatrix::Imatrix;
use quantization::llama2c::{Config, Tokenizer};
use quantization::{gguf, safetensors};

fuzz_target!(|bytes: &[u8]| {
    let _ = gguf::Header::read(bytes, bytes.len() as u64);
    let _ = safetensors::Header::from_bytes(bytes);
    let _ = Tokenizer::decode(bytes);
    let _ = Imatrix::decode_legacy(bytes);
    if let Some((header, _)) = bytes.split_first_chunk::<28>() {
        let _ = Config::from_header(header).map(|config| config.file_bytes());
    }
});
