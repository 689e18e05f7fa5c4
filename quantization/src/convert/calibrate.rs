//! Running a model over calibration text: Hessians for GPTQ block by block, importance of columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pieces::Squares;
use super::{ConvertError, LayoutOptions, Packing, Progress};
use crate::gptq::{self, Hessian, Order};
use crate::gptq_layout::Packed;
use crate::imatrix::{Entry, Imatrix};
use crate::llama::{Hooks, Matrix, Model, Projection, Role, Window};
use crate::model_file::{ModelFile, RowOrder};

/// Solved layers by their place in the model, with the squares of weights and errors.
pub type Layers = BTreeMap<usize, (Packed, Squares)>;

/// How GPTQ runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GptqOptions {
    /// Order of the columns.
    pub order: Order,
    /// Whether groups are fitted before the sweep.
    pub static_groups: bool,
    /// Whether inputs are recomputed after each step inside a block, so that they see the quantized layers before.
    pub true_sequential: bool,
    /// Share of the mean diagonal added to the diagonal.
    pub damping: f64,
}

/// The layers of a block that share an input, in the order of computation.
const STEPS: [Role; 4] =
    [Role::Attention, Role::Single(Projection::Output), Role::FeedForward, Role::Single(Projection::Down)];

/// What happened to one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Solved {
    /// GGUF name of its weight.
    pub name: String,
    /// Squared output error per calibration input.
    pub loss: f64,
    /// Damping that was needed.
    pub damping: f64,
    /// Columns without any input.
    pub dead_columns: usize,
}

/// Quantizes the linear layers of `model` one block after the other, each fed with the outputs of the quantized ones before.
///
/// `model` holds floats and is changed: in the end it is the quantized model. Layers whose sides are no multiples of 32 stay.
///
/// # Errors
/// [`ConvertError`] when the model cannot be run on the text, or a layer cannot be solved.
pub fn gptq_layers(
    file: &ModelFile,
    model: &mut Model,
    windows: &[Vec<u32>],
    layout: &LayoutOptions,
    options: &GptqOptions,
    progress: Progress,
) -> Result<(Layers, Vec<Solved>), ConvertError> {
    let longest = windows.iter().map(Vec::len).max().unwrap_or(0);
    let mut run = Run {
        file,
        layout,
        options,
        state: model.state(longest, rayon::current_num_threads())?,
        layers: Layers::new(),
        solved: Vec::new(),
    };
    let mut hidden = Vec::with_capacity(windows.len());
    for window in windows {
        let mut states = Vec::new();
        model.embed(window, &mut states)?;
        hidden.push(states);
    }
    for layer in 0..model.config().layers {
        for step in run.steps(model) {
            if !progress(layer, &format!("block {layer}")) {
                return Err(ConvertError::Stopped);
            }
            let hessians = run.hessians(model, layer, &step, &hidden)?;
            for (role, hessian) in hessians {
                for &projection in role.projections() {
                    run.solve(model, layer, projection, &hessian)?;
                }
            }
        }
        for states in &mut hidden {
            model.block(layer, states, 0, &mut run.state, &mut Hooks::none())?;
        }
    }
    Ok((run.layers, run.solved))
}

struct Run<'a> {
    file: &'a ModelFile,
    layout: &'a LayoutOptions,
    options: &'a GptqOptions,
    state: crate::llama::State,
    layers: Layers,
    solved: Vec<Solved>,
}

impl Run<'_> {
    /// Inputs that are seen in one run: each on its own, or all at once.
    fn steps(&self, model: &Model) -> Vec<Vec<Role>> {
        let roles: Vec<Role> = if model.config().norms.projection {
            Projection::ALL.into_iter().map(Role::Single).collect()
        } else {
            STEPS.into()
        };
        if self.options.true_sequential {
            roles.into_iter().map(|role| vec![role]).collect()
        } else {
            vec![roles]
        }
    }

    fn hessians(
        &mut self,
        model: &Model,
        layer: usize,
        roles: &[Role],
        hidden: &[Vec<f32>],
    ) -> Result<Vec<(Role, Hessian)>, ConvertError> {
        let width = |role: &Role| role.projections()[0].shape(model.config()).1;
        let mut hessians: Vec<(Role, Hessian)> =
            roles.iter().map(|role| (*role, Hessian::new(width(role)))).collect();
        let mut failed = None;
        let mut copy = Vec::new();
        for states in hidden {
            copy.clone_from(states);
            let mut observe = |_: usize, role: Role, inputs: &[f32], _: usize| {
                let found = hessians.iter_mut().find(|(wanted, _)| *wanted == role);
                if let Some(Err(problem)) = found.map(|(_, hessian)| hessian.add(inputs)) {
                    failed.get_or_insert(problem);
                }
            };
            let mut hooks = Hooks { observe: Some(&mut observe), replace: None };
            model.block(layer, &mut copy, 0, &mut self.state, &mut hooks)?;
        }
        match failed {
            Some(problem) => Err(ConvertError::Gptq { name: format!("inputs of block {layer}"), problem }),
            None => Ok(hessians),
        }
    }

    fn solve(
        &mut self,
        model: &mut Model,
        layer: usize,
        projection: Projection,
        hessian: &Hessian,
    ) -> Result<(), ConvertError> {
        let name = projection.tensor(layer);
        let matrix = model.weights().matrix(layer, projection);
        let (rows, columns) = (matrix.rows(), matrix.columns());
        if !super::packing::fits(columns, rows) {
            return Ok(());
        }
        let weights = matrix.to_f32()?;
        let options = gptq::Options {
            grid: self.layout.grid,
            fit: self.layout.fit,
            group_size: self.layout.group_size,
            order: self.options.order,
            static_groups: self.options.static_groups,
            damping: self.options.damping,
            ..gptq::Options::paper(self.layout.grid.bits)
        };
        let solution = gptq::gptq(&weights, hessian, &options)
            .map_err(|problem| ConvertError::Gptq { name: name.clone(), problem })?;
        let squares = Squares::of(&weights, &solution.weights);
        let place = self.file.find(&name);
        let place = place.ok_or_else(|| ConvertError::Request(format!("the model lacks `{name}`")))?;
        let packed = self.pack(place, &name, &solution, rows, columns)?;
        self.layers.insert(place, (packed, squares));
        self.solved.push(Solved {
            name,
            loss: solution.loss,
            damping: solution.damping,
            dead_columns: solution.dead_columns.len(),
        });
        model.weights_mut().replace(layer, projection, Matrix::from_f32(solution.weights, rows, columns)?)?;
        Ok(())
    }

    /// The layer in the layout, rows in Hugging Face's order: the model computes with GGUF's.
    fn pack(
        &self,
        place: usize,
        name: &str,
        solution: &gptq::Solution,
        rows: usize,
        columns: usize,
    ) -> Result<Packed, ConvertError> {
        let fail = |problem| ConvertError::Layout { name: name.to_owned(), problem };
        let groups = solution.scales.len() / rows.max(1);
        let bits = self.layout.grid.bits;
        let mut packing =
            Packing::new(bits, columns, rows, &solution.group_of_column, self.layout.convention)
                .map_err(fail)?;
        let heads = self.file.tensors()[place].heads;
        for row in 0..rows {
            let from = heads.map_or(row, |heads| RowOrder::Pairs.source_row(row, rows / heads));
            let codes = &solution.codes[from * columns..][..columns];
            let at = from * groups..(from + 1) * groups;
            packing.put(row, codes, &solution.scales[at.clone()], &solution.zero_points[at]);
        }
        Ok(packing.finish())
    }
}

/// Mean squared inputs of the linear layers of the blocks over chunks of text, as llama.cpp's tool collects them (without the head).
///
/// # Errors
/// [`ConvertError`] when the model cannot be run on the text.
pub fn importance(
    model: &Model,
    windows: &[Window],
    dataset: &str,
    progress: Progress,
) -> Result<Imatrix, ConvertError> {
    let longest = windows.iter().map(|window| window.tokens.len()).max().unwrap_or(0);
    let mut state = model.state(longest, rayon::current_num_threads())?;
    let mut sums: BTreeMap<(usize, Role), Entry> = BTreeMap::new();
    for (number, window) in windows.iter().enumerate() {
        if !progress(number, dataset) {
            return Err(ConvertError::Stopped);
        }
        let mut observe = |layer: usize, role: Role, inputs: &[f32], rows: usize| {
            if role == Role::Head || rows == 0 {
                return;
            }
            let width = inputs.len() / rows;
            let entry = sums
                .entry((layer, role))
                .or_insert_with(|| Entry { sums: vec![0.0; width], counts: vec![0.0] });
            for row in inputs.chunks_exact(width) {
                entry.sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x * x);
            }
            entry.counts[0] += rows as f32;
        };
        state.truncate(0);
        let mut hooks = Hooks { observe: Some(&mut observe), replace: None };
        model.forward(&window.tokens, &mut state, &mut hooks)?;
    }
    let mut entries = BTreeMap::new();
    for ((layer, role), entry) in sums {
        for projection in role.projections() {
            entries.insert(projection.tensor(layer), entry.clone());
        }
    }
    Ok(Imatrix {
        datasets: vec![dataset.to_owned()],
        chunk_count: windows.len() as u32,
        chunk_size: longest as u32,
        entries,
    })
}

/// Products of quantized weights by this crate's kernels, for models that run as they are stored.
pub fn kernels() -> Arc<dyn crate::llama::Kernels> {
    Arc::new(OwnKernels)
}

struct OwnKernels;

impl crate::llama::Kernels for OwnKernels {
    fn decode(
        &self,
        kind: crate::ggml::GgmlType,
        bytes: &[u8],
        out: &mut [f32],
    ) -> Result<(), crate::llama::BoxError> {
        Ok(crate::ggml::decode(kind, bytes, out)?)
    }

    fn matmul(
        &self,
        kind: crate::ggml::GgmlType,
        weights: &[u8],
        rows: usize,
        columns: usize,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), crate::llama::BoxError> {
        Ok(crate::kernel::matmul(kind, weights, rows, columns, x, y, 1)?)
    }
}
