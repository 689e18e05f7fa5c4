//! Stand-ins for missing data sets, so that the preset `quick` runs everywhere: random models and text of random words.

use std::path::Path;

use anyhow::Result;
use common::{files, seed};
use image::RgbImage;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::lab::Subject;
use super::study::PHOTOGRAPHS;
use crate::ggml::GgmlType;
use crate::gguf;
use crate::llama2c::{Checkpoint, Config, Piece, Tokenizer};
use crate::lm::export::{Layout, Weights, tensors, write_hugging_face};
use crate::lm::{LmConfig, Model, ProjectionKind};
use crate::model_file::ModelFile;

/// Fills `root` with stand-ins for every data set of the experiment, under the names and in the formats of the real
/// ones. What is measured on them shows that everything runs, nothing else.
///
/// # Errors
/// Files that cannot be written.
pub fn generate(root: &Path) -> Result<()> {
    let mut rng = seed::rng(0, "stand-in", 0);
    let [(wide, model), (plays, text)] = Subject::Shakespeare.files();
    let [(narrow, checkpoint), (tales, sequences)] = Subject::Stories.files();
    for name in [wide, plays, narrow, tales] {
        files::make_folder(&root.join(name))?;
    }
    wide_model(&root.join(wide), model)?;
    files::write_atomic(&root.join(plays).join(text), words(&mut rng, 60_000).as_bytes())?;
    narrow_model(&root.join(narrow), checkpoint, &mut rng)?;
    let ids: Vec<Vec<u32>> = (0..100).map(|_| (0..120).map(|_| rng.random_range(3..512)).collect()).collect();
    files::write_atomic(&root.join(tales).join(sequences), serde_json::to_string(&ids)?.as_bytes())?;
    files::write_atomic(&root.join(tales).join("sample.txt"), words(&mut rng, 4_000).as_bytes())?;
    photographs(&root.join(PHOTOGRAPHS).join("images"), &mut rng)
}

/// Sentences of random words from a small vocabulary.
fn words(rng: &mut ChaCha8Rng, bytes: usize) -> String {
    let vocabulary: Vec<String> = (0..200)
        .map(|_| (0..rng.random_range(2..8)).map(|_| char::from(rng.random_range(b'a'..=b'z'))).collect())
        .collect();
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        text.push_str(&vocabulary[(rng.random::<f32>().powi(2) * 200.0) as usize]);
        text.push(if rng.random_ratio(1, 9) { '\n' } else { ' ' });
    }
    text
}

/// An untrained byte model with rows of 256 and 768, as safetensors and as GGUF.
fn wide_model(folder: &Path, gguf_name: &str) -> Result<()> {
    let model = Model::new(&LmConfig::bytes(1, 256, ProjectionKind::FullPrecision), 0)?;
    write_hugging_face(&model, folder, Weights::Latent)?;
    let mut writer = gguf::Writer::create(folder.join(gguf_name))?;
    writer.set_all(&ModelFile::open(folder)?.gguf_metadata()?)?;
    let tensors = tensors(&model, Layout::Gguf, Weights::Latent)?;
    for tensor in &tensors {
        let dims: Vec<u64> = tensor.shape.iter().rev().map(|&size| size as u64).collect();
        writer.declare(&tensor.name, &dims, GgmlType::F32)?;
    }
    for tensor in &tensors {
        let bytes: Vec<u8> = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        writer.write_tensor(&tensor.name, &bytes)?;
    }
    Ok(writer.finish()?)
}

/// An untrained model with rows of 64 and 172 and a vocabulary of bytes and numbered pieces.
fn narrow_model(folder: &Path, checkpoint: &str, rng: &mut ChaCha8Rng) -> Result<()> {
    let config = Config {
        dim: 64,
        hidden_dim: 172,
        layers: 1,
        heads: 8,
        kv_heads: 4,
        vocab: 512,
        context: 512,
        tied: true,
    };
    Checkpoint::write(folder.join(checkpoint), &config, |tensor| {
        let [rows, columns] = config.shape(tensor).unwrap_or([0, 0]);
        let spread = if rows == 1 || columns == 1 { 0.0 } else { 0.2 };
        (0..rows * columns)
            .map(|_| if spread == 0.0 { 1.0 } else { rng.random_range(-spread..spread) })
            .collect()
    })?;
    let piece = |id: usize| {
        let bytes = match id {
            0..=2 => format!("<{id}>").into_bytes(),
            3..=258 => vec![(id - 3) as u8],
            _ => format!("{id}").into_bytes(),
        };
        Piece { score: -(id as f32), bytes }
    };
    let tokenizer = Tokenizer { longest: 3, pieces: (0..512).map(piece).collect() };
    Ok(tokenizer.write(folder.join("tok512.bin"))?)
}

/// As many pictures as the real set has: soft gradients with noise.
fn photographs(folder: &Path, rng: &mut ChaCha8Rng) -> Result<()> {
    files::make_folder(folder)?;
    for name in common::data::file_names(PHOTOGRAPHS) {
        let [a, b, c]: [f32; 3] = rng.random();
        let picture = RgbImage::from_fn(48, 48, |x, y| {
            let noise = rng.random_range(0..24) as f32;
            let shade = |k: f32| (k * 4.0 * x as f32 + (1.0 - k) * 4.0 * y as f32 + noise).min(255.0) as u8;
            image::Rgb([shade(a), shade(b), shade(c)])
        });
        let path = folder.parent().unwrap_or(folder).join(&name);
        picture.save_with_format(path, image::ImageFormat::Jpeg)?;
    }
    Ok(())
}
