//! ggml's types on whole models: divergence, importance, the better search, agreement with llama.cpp.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use common::outcome::Outcome;
use common::report::{Table, number};
use common::{data, stats};

use crate::experiment::lab::{Amount, Lab, Scored, Subject};
use crate::ggml::{self, GgmlType};
use crate::llama::{Baseline, BoxError, Config, Hooks, LoadedTensor, Loading, Model, Role, TensorSource};
use crate::model_file::ModelFile;

/// Types on the 256-wide model, by falling size.
const WIDE: [GgmlType; 13] = {
    use GgmlType::*;
    [Q8_0, Q6_K, Q5_1, Q5_K, Q5_0, Q4_1, Q4_K, IQ4_NL, Q4_0, IQ4_XS, Q3_K, Q2_K, TQ2_0]
};
/// Types on the model with narrow rows.
const NARROW: [GgmlType; 6] = {
    use GgmlType::*;
    [Q8_0, Q5_1, Q5_0, Q4_1, IQ4_NL, Q4_0]
};
/// Types that are tried with an importance matrix and with the better search.
const SEARCHED: [GgmlType; 5] = {
    use GgmlType::*;
    [Q2_K, Q3_K, Q4_K, Q5_K, Q6_K]
};

/// How a matrix is encoded.
#[derive(Clone, Copy, PartialEq)]
enum Search {
    Ggml,
    Importance,
    Best,
}

pub(super) fn run(subject: Subject, amount: Amount, root: &Path) -> Result<Outcome> {
    let lab = Lab::open(subject, amount, root)?;
    let baseline = lab.baseline()?;
    let [model, _] = subject.files();
    let folder = data::locate(root, model.0)?.folder;
    let file = ModelFile::open(folder.join(model.1))?;
    let importance = importance(&lab)?;
    let setting = format!("{}-gguf", subject.name());
    let (mut outcome, mut rows, mut losses) = (Outcome::default(), Vec::new(), BTreeMap::new());
    let kinds = if subject == Subject::Shakespeare { &WIDE[..] } else { &NARROW[..] };
    for &kind in kinds {
        let searches = if subject == Subject::Shakespeare && SEARCHED.contains(&kind) {
            &[(Search::Ggml, ""), (Search::Importance, "-imatrix"), (Search::Best, "-best")][..]
        } else {
            &[(Search::Ggml, "")][..]
        };
        for (search, suffix) in searches {
            let source = Requantized {
                file: &file,
                subject,
                kind,
                search: *search,
                importance: &importance,
                embedding: true,
            };
            let (scored, bits) = score(&lab, &baseline, &source)?;
            let arm = format!("{kind}{suffix}");
            rows.push(row(&arm, bits, &baseline, &scored));
            losses.insert(arm.clone(), stats::mean(&scored.nll).unwrap_or_default());
            outcome.put(&setting, &arm, "kl", scored.kl);
            outcome.put(&setting, &arm, "bits_per_weight", vec![bits]);
        }
    }
    if subject == Subject::Shakespeare {
        // The layers alone: GPTQ leaves the embedding as it is too, and the embedding has no importance.
        let layers = [
            ("shakespeare-4", "Q4_K", GgmlType::Q4_K, Search::Ggml),
            ("shakespeare-layers", "Q2_K", GgmlType::Q2_K, Search::Ggml),
            ("shakespeare-layers", "Q2_K-imatrix", GgmlType::Q2_K, Search::Importance),
            ("shakespeare-layers", "Q3_K", GgmlType::Q3_K, Search::Ggml),
            ("shakespeare-layers", "Q3_K-imatrix", GgmlType::Q3_K, Search::Importance),
        ];
        for (setting, arm, kind, search) in layers {
            let source =
                Requantized { file: &file, subject, kind, search, importance: &importance, embedding: false };
            outcome.put(setting, arm, "kl", score(&lab, &baseline, &source)?.0.kl);
        }
    }
    if lab.windows.len() >= if subject == Subject::Shakespeare { 128 } else { 64 } {
        reference(subject, &setting, &losses, &mut outcome)?;
    }
    let columns = ["type", "bits per weight", "KL, mean", "KL, largest window", "loss − unquantized"];
    outcome.tables.insert(
        0,
        Table {
            caption: format!("{setting}: every matrix in one type, activations in 32 bits"),
            columns: columns.map(str::to_owned).into(),
            rows,
        },
    );
    Ok(outcome)
}

fn row(arm: &str, bits: f64, baseline: &Baseline, scored: &Scored) -> Vec<String> {
    let largest = scored.kl.iter().copied().fold(0.0, f64::max);
    vec![
        arm.to_owned(),
        number(bits, 3),
        super::small(stats::mean(&scored.kl).unwrap_or_default()),
        super::small(largest),
        super::small(super::delta(baseline, &scored.nll)),
    ]
}

fn score(lab: &Lab, baseline: &Baseline, source: &Requantized) -> Result<(Scored, f64)> {
    let decode = |kind, bytes: &[u8], out: &mut [f32]| ggml::decode(kind, bytes, out).map_err(BoxError::from);
    let model = Model::load(source, &Loading::Decoded(&decode))?;
    let (mut bits, mut weights) = (0.0, 0.0);
    for entry in source.file.tensors().iter().filter(|entry| entry.dims.len() > 1) {
        let kind = source.kind_of(entry.gguf(), entry.row_len());
        bits += kind.bits_per_weight() * entry.weights() as f64;
        weights += entry.weights() as f64;
    }
    Ok((lab.score(baseline, &model)?, bits / weights))
}

/// A model file whose matrices are quantized as they are read.
struct Requantized<'a> {
    file: &'a ModelFile,
    subject: Subject,
    kind: GgmlType,
    search: Search,
    importance: &'a BTreeMap<String, Vec<f32>>,
    /// Whether the tied embedding is quantized too.
    embedding: bool,
}

impl Requantized<'_> {
    /// Type of a matrix: rows that the type does not divide stay in 16 bits, as in llama.cpp; its embedding of the
    /// narrow model is in 8.
    fn kind_of(&self, name: &str, row_len: usize) -> GgmlType {
        match name {
            "token_embd.weight" if !self.embedding => GgmlType::F16,
            "token_embd.weight" if self.subject == Subject::Stories => GgmlType::Q8_0,
            _ if row_len.is_multiple_of(self.kind.block_len()) => self.kind,
            _ => GgmlType::F16,
        }
    }
}

impl TensorSource for Requantized<'_> {
    fn config(&self) -> Result<Config, BoxError> {
        TensorSource::config(self.file)
    }

    fn has_tensor(&self, name: &str) -> bool {
        self.file.has_tensor(name)
    }

    fn tensor(&self, name: &str) -> Result<LoadedTensor<'_>, BoxError> {
        let tensor = TensorSource::tensor(self.file, name)?;
        if tensor.dims.len() < 2 {
            return Ok(tensor);
        }
        let (row_len, kind) = (tensor.dims[0], self.kind_of(name, tensor.dims[0]));
        let mut weights = vec![0.0; tensor.dims.iter().product()];
        ggml::decode(tensor.kind, &tensor.bytes, &mut weights)?;
        let mut bytes = vec![0; kind.bytes(weights.len()).ok_or("rows of broken blocks")?];
        let importance =
            self.importance.get(name).map(Vec::as_slice).filter(|_| self.search == Search::Importance);
        match self.search {
            Search::Best if SEARCHED.contains(&kind) => {
                ggml::encode_best(kind, &weights, row_len, None, &mut bytes)?;
            }
            _ => ggml::encode(kind, &weights, row_len, importance, &mut bytes)?,
        }
        Ok(LoadedTensor { kind, dims: tensor.dims, bytes: bytes.into() })
    }
}

/// Mean squared input per column of every linear layer over the calibration text, as llama.cpp collects it.
fn importance(lab: &Lab) -> Result<BTreeMap<String, Vec<f32>>> {
    let mut sums: BTreeMap<(usize, Role), (Vec<f64>, usize)> = BTreeMap::new();
    let longest = lab.calibration.iter().map(Vec::len).max().unwrap_or(0);
    let mut state = lab.model.state(longest, 1)?;
    for tokens in &lab.calibration {
        let mut observe = |layer: usize, role: Role, inputs: &[f32], rows: usize| {
            let width = inputs.len() / rows.max(1);
            let (sum, count) = sums.entry((layer, role)).or_insert_with(|| (vec![0.0; width], 0));
            *count += rows;
            for row in inputs.chunks_exact(width) {
                sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x).powi(2));
            }
        };
        state.truncate(0);
        lab.model.forward(tokens, &mut state, &mut Hooks { observe: Some(&mut observe), replace: None })?;
    }
    let mut named = BTreeMap::new();
    for ((layer, role), (sum, count)) in sums {
        let values: Vec<f32> = sum.iter().map(|sum| (sum / count.max(1) as f64) as f32).collect();
        for projection in role.projections() {
            named.insert(projection.tensor(layer), values.clone());
        }
    }
    Ok(named)
}

/// Losses beside those that llama.cpp measured with its own quantizer and kernels.
fn reference(
    subject: Subject,
    setting: &str,
    losses: &BTreeMap<String, f64>,
    outcome: &mut Outcome,
) -> Result<()> {
    let measured: BTreeMap<String, BTreeMap<String, f64>> =
        toml::from_str(include_str!("../llama_cpp.toml"))?;
    let (mut ours, mut theirs, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, &loss) in losses {
        let Some(&other) = measured[subject.name()].get(kind) else { continue };
        ours.push(loss);
        theirs.push(other);
        rows.push(vec![kind.clone(), number(loss, 5), number(other, 5), number(loss - other, 5)]);
    }
    outcome.put(setting, "ours", "reference_nll", ours);
    outcome.put(setting, "llama.cpp", "reference_nll", theirs);
    let columns = ["type", "ours", "llama.cpp", "difference"];
    outcome.tables.push(Table {
        caption: format!("{setting}: mean loss in nats per token beside llama.cpp's own quantizer and kernels, which also round activations to 8 bits"),
        columns: columns.map(str::to_owned).into(),
        rows,
    });
    Ok(())
}
