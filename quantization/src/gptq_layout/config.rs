//! `quantize_config.json`, also found as `quantization_config` in `config.json`.

use std::collections::BTreeMap;
use std::path::Path;

use common::files::{FileError, read_text, write_atomic};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Convention;

/// A configuration that could not be read or written.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct ConfigError(#[from] FileError);

/// How a model was quantized. Fields of other programs are kept in `rest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantizeConfig {
    /// Bits of a code: 2, 3, 4 or 8.
    pub bits: u32,
    /// Inputs that share a scale; −1 for all of them.
    pub group_size: i64,
    /// Share of the Hessian's mean diagonal added to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damp_percent: Option<f64>,
    /// Whether inputs were quantized by falling importance.
    #[serde(default)]
    pub desc_act: bool,
    /// Whether scales were fixed before the order.
    #[serde(default)]
    pub static_groups: bool,
    /// Whether zero-points are the middle code; missing means yes.
    #[serde(default = "yes")]
    pub sym: bool,
    /// Whether layers inside a block were quantized one after the other.
    #[serde(default = "yes")]
    pub true_sequential: bool,
    /// Name of the model.
    #[serde(default)]
    pub model_name_or_path: Option<String>,
    /// Name of the file without extension.
    #[serde(default)]
    pub model_file_base_name: Option<String>,
    /// Always `gptq`.
    #[serde(default = "gptq")]
    pub quant_method: String,
    /// `gptq`, `gptq_v2` or `marlin`; missing means `gptq`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_format: Option<String>,
    /// Whatever else the file holds.
    #[serde(flatten)]
    pub rest: BTreeMap<String, serde_json::Value>,
}

fn yes() -> bool {
    true
}

fn gptq() -> String {
    "gptq".to_owned()
}

impl QuantizeConfig {
    /// A configuration with the usual settings: asymmetric, in order, damping 0.01.
    pub fn new(bits: u32, group_size: i64, convention: Convention) -> Self {
        Self {
            bits,
            group_size,
            damp_percent: Some(0.01),
            desc_act: false,
            static_groups: false,
            sym: false,
            true_sequential: true,
            model_name_or_path: None,
            model_file_base_name: None,
            quant_method: gptq(),
            checkpoint_format: Some(convention.name().to_owned()),
            rest: BTreeMap::new(),
        }
    }

    /// Reads `quantize_config.json`, or `config.json` with a `quantization_config`.
    ///
    /// # Errors
    /// [`ConfigError`] when the file is missing, no JSON, or lacks `bits` or `group_size`.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path)?;
        let wrong = |error: serde_json::Error| {
            let problem = format!(
                "{error}; expected an object with `bits` and `group_size`, or one in `quantization_config`"
            );
            ConfigError(FileError::content(path, problem))
        };
        let mut json: serde_json::Value = serde_json::from_str(&text).map_err(wrong)?;
        if let Some(inner) = json.get_mut("quantization_config") {
            json = inner.take();
        }
        let config: Self = serde_json::from_value(json).map_err(wrong)?;
        if ![2, 3, 4, 8].contains(&config.bits) || (config.group_size < 1 && config.group_size != -1) {
            let (bits, group) = (config.bits, config.group_size);
            let problem = format!(
                "`bits` {bits} with `group_size` {group}, expected 2, 3, 4 or 8 bits and a positive group or -1"
            );
            return Err(ConfigError(FileError::content(path, problem)));
        }
        Ok(config)
    }

    /// Writes the configuration.
    ///
    /// # Errors
    /// [`ConfigError`] when the disk refuses; an older file stays.
    pub fn write(&self, path: &Path) -> Result<(), ConfigError> {
        let text = serde_json::to_string_pretty(self).expect("the fields have text for keys");
        Ok(write_atomic(path, format!("{text}\n").as_bytes())?)
    }

    /// What the configuration says about zero-points, `None` when it does not say.
    pub fn convention(&self) -> Option<Convention> {
        match self.checkpoint_format.as_deref() {
            Some("gptq") => Some(Convention::V1),
            Some("gptq_v2") => Some(Convention::V2),
            _ => None,
        }
    }
}
