//! Opening a model directory.

use std::collections::HashMap;
use std::path::Path;

use common::nn::bert::{Config, encoder_name};
use common::nn::checkpoint::{fill, read};
use common::text::pieces::Pieces;
use tch::{Kind, Tensor};

use super::directory::{self, Directory, Source};
use super::error::{EncoderError, content};
use super::projection::DenseConfig;
use super::{ColBert, ENCODER, Options, PROJECTION, save, within};
use crate::tokenizer::{Layout, Tokenizer};

impl ColBert {
    /// The encoder of a model directory, see the table of layouts above.
    ///
    /// # Errors
    /// [`EncoderError`] naming the file, what was found there and what is expected.
    pub fn open(path: &Path, options: Options) -> Result<Self, EncoderError> {
        let Directory { encoder, projections, layout } = directory::read(path)?;
        let file = encoder.join("config.json");
        let config = Config::read(&file).map_err(|source| EncoderError::Config { path: file, source })?;
        let weights = encoder.join("model.safetensors");
        let found = tensors(&encoder)?;
        let (mut maps, mut named) = (Vec::new(), HashMap::new());
        for (i, source) in projections.into_iter().enumerate() {
            let (dense, tensors) = projection(source, &found, &weights)?;
            maps.push(dense);
            named.extend(
                tensors.into_iter().map(|(name, tensor)| (format!("{PROJECTION}.{i}.{name}"), tensor)),
            );
        }
        named.extend(
            found.into_iter().filter_map(|(name, tensor)| Some((encoder_name(&name, ENCODER)?, tensor))),
        );
        let fresh = options.new_projection.filter(|_| maps.is_empty());
        let default = if fresh.is_some() {
            Layout::colbert()
        } else {
            Layout::plain(config.max_position_embeddings as usize)
        };
        let layout = within(layout.unwrap_or(default), config.max_position_embeddings);
        let tokenizer = Tokenizer::new(Pieces::read(&encoder)?, options.segmenter, layout)?;
        if let Some(width) = fresh {
            maps.push(DenseConfig::plain(config.hidden_size, width));
        }
        let mut model = Self::build(&config, maps, tokenizer, options.device, options.seed);
        if fresh.is_some() {
            named.extend(model.new_tensors());
        }
        fill(&model.store, widened(named), &weights)?;
        model.files = save::tokenizer_files(&encoder)?;
        Ok(model)
    }

    /// The random weights of the projections, to stand beside those of a file.
    fn new_tensors(&self) -> Vec<(String, Tensor)> {
        let variables = self.store.variables().into_iter();
        variables
            .filter(|(name, _)| name.starts_with(PROJECTION))
            .map(|(name, tensor)| (name, tensor.detach().copy()))
            .collect()
    }
}

/// The tensors of a folder's safetensors file.
fn tensors(folder: &Path) -> Result<HashMap<String, Tensor>, EncoderError> {
    let path = folder.join("model.safetensors");
    let pickle = folder.join("pytorch_model.bin");
    if !path.exists() && pickle.exists() {
        let problem = "a pickle, which can run code and is not read; expected `model.safetensors` beside \
                       it: convert with `python -c \"import torch; \
                       from safetensors.torch import save_file; w = torch.load('pytorch_model.bin', \
                       map_location='cpu', weights_only=True); \
                       save_file({k: v.contiguous().clone() for k, v in w.items()}, 'model.safetensors')\"`";
        return Err(content(pickle, problem));
    }
    if !path.exists() {
        return Err(content(path, "no such file; expected the weights of the model as safetensors"));
    }
    Ok(read(&path)?)
}

/// Configuration and tensors of a projection, under the names below its path.
fn projection(
    source: Source,
    encoder: &HashMap<String, Tensor>,
    file: &Path,
) -> Result<(DenseConfig, Vec<(String, Tensor)>), EncoderError> {
    match source {
        Source::Inside => {
            let weight = encoder.get("linear.weight").filter(|weight| weight.dim() == 2);
            let weight = weight.ok_or_else(|| {
                content(file, "no matrix `linear.weight`; expected the projection of a ColBERT checkpoint")
            })?;
            let size = weight.size();
            Ok((
                DenseConfig::plain(size[1], size[0]),
                vec![("linear.weight".to_owned(), weight.shallow_clone())],
            ))
        }
        Source::Folder(folder, config) => Ok((config, tensors(&folder)?.into_iter().collect())),
    }
}

/// 16-bit numbers as f32.
fn widened(tensors: HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let half = |tensor: &Tensor| matches!(tensor.kind(), Kind::Half | Kind::BFloat16);
    let widen = |tensor: Tensor| if half(&tensor) { tensor.to_kind(Kind::Float) } else { tensor };
    tensors.into_iter().map(|(name, tensor)| (name, widen(tensor))).collect()
}
