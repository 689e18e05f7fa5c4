//! Tensors, metrics, statistics, file formats and reports shared by the experiments.
//!
//! | half | modules | needs libtorch |
//! |---|---|---|
//! | pure | [`formats`], [`metrics`], [`stats`], [`claims`], [`report`], [`figure`], [`environment`], [`seed`], [`data`], [`files`], [`run`], [`progress`], [`interrupt`], [`pipe`], [`memory`], [`workers`], [`outcome`], [`residual`], [`torch_file`] | no |
//! | text | `text`, `corpora` | no (feature `text`) |
//! | tensor | `device`, `tensor`, `nn`, `crf`, `optim`, `tagging`, `train`, `testing` | yes (feature `tensor`, on by default) |
//! | cli | `cli`: verbs and options that several commands have | yes (feature `cli`) |

pub mod claims;
pub mod data;
pub mod environment;
pub mod figure;
pub mod files;
pub mod formats;
pub mod interrupt;
pub mod memory;
pub mod metrics;
pub mod outcome;
pub mod pipe;
pub mod progress;
pub mod report;
pub mod residual;
pub mod run;
pub mod seed;
pub mod stats;
pub mod torch_file;
pub mod workers;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "text")]
pub mod corpora;
#[cfg(feature = "tensor")]
pub mod crf;
#[cfg(feature = "tensor")]
pub mod device;
#[cfg(feature = "tensor")]
pub mod nn;
#[cfg(feature = "tensor")]
pub mod optim;
#[cfg(feature = "tensor")]
pub mod tagging;
#[cfg(feature = "tensor")]
pub mod tensor;
#[cfg(feature = "tensor")]
pub mod testing;
#[cfg(feature = "text")]
pub mod text;
#[cfg(feature = "tensor")]
pub mod train;
