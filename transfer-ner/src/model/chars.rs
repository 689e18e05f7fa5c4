//! Character CNN of DATNet: several widths of filters, tanh, maximum over a word, highway layers.
//!
//! A convolution is linear in the embeddings, so the table of embeddings is multiplied with the filters once and words gather rows of
//! the products; what a filter sees in a window is the sum of one row per place. [`super::places`] does without a graph what must be
//! done for each place on its own.

use common::nn::linear::Linear;
use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

/// What a filter sees at a place that takes no part in the maximum.
const NEVER: f64 = -1e6;

/// Character embeddings, filters and highway layers.
#[derive(Debug)]
pub struct Characters {
    embedding: Tensor,
    filters: Vec<Filters>,
    highways: Vec<[Linear; 2]>,
    widest: i64,
}

#[derive(Debug)]
struct Filters {
    width: i64,
    weight: Tensor,
    bias: Tensor,
}

impl Characters {
    /// New network at `path`: `n_filters` filters of each width of `kernels`.
    pub fn new(
        path: &Path,
        n_characters: i64,
        width: i64,
        kernels: &[i64],
        n_filters: i64,
        highways: i64,
    ) -> Self {
        let filters = |&kernel: &i64| {
            let bound = 1.0 / ((width * kernel) as f64).sqrt();
            let uniform = Init::Uniform { lo: -bound, up: bound };
            let path = path / "convolution" / kernel;
            let weight = path.var("weight", &[n_filters, width, kernel], uniform);
            Filters { width: kernel, weight, bias: path.var("bias", &[n_filters], uniform) }
        };
        let out = n_filters * kernels.len() as i64;
        let highway = |layer: i64| {
            ["transform", "gate"].map(|name| Linear::new(&(path / "highway" / layer / name), out, out))
        };
        Self {
            embedding: path.var(
                "embedding",
                &[n_characters, width],
                Init::Randn { mean: 0.0, stdev: 1.0 / (width as f64).sqrt() },
            ),
            filters: kernels.iter().map(filters).collect(),
            highways: (0..highways).map(highway).collect(),
            widest: kernels.iter().copied().max().unwrap_or(1),
        }
    }

    /// Width of a word's vector.
    pub fn width(&self) -> i64 {
        self.filters.iter().map(|filters| filters.weight.size()[0]).sum()
    }

    /// Table of embeddings, `[characters, character_width]`; row 0 stands for padding and counts as 0.
    pub fn embedding(&self) -> &Tensor {
        &self.embedding
    }

    /// Widths of the filters with their weights, `[filters, character_width, width]`.
    pub fn filters(&self) -> impl Iterator<Item = (i64, &Tensor)> {
        self.filters.iter().map(|filters| (filters.width, &filters.weight))
    }

    /// Largest value of each filter over the windows of words, `[words, filters]`, from ids `[words, characters]`; id 0 is padding.
    /// Words are padded to the widest filter with embeddings of 0; windows that reach further beyond a word do not count.
    pub fn maxima(&self, ids: &Tensor) -> Tensor {
        let ids = ids.constant_pad_nd([0, (self.widest - ids.size()[1]).max(0)]);
        let n = self.embedding.size()[0];
        let places = Tensor::arange(ids.size()[1], (Kind::Int64, ids.device()));
        let behind = ids.eq(0).logical_and(&places.ge(self.widest));
        let ids = ids.masked_fill(&behind, n);
        let real = Tensor::arange(n, (Kind::Int64, ids.device())).not_equal(0).unsqueeze(-1);
        let embedding = &self.embedding * real;
        let of_width = |filters: &Filters| {
            let windows = ids.size()[1] - filters.width + 1;
            let never =
                Tensor::full([1, filters.weight.size()[0]], NEVER, (embedding.kind(), embedding.device()));
            let seen = (0..filters.width).map(|place| {
                let table = embedding.matmul(&filters.weight.select(2, place).tr());
                let table = Tensor::cat(&[&table, &never], 0);
                table.index_select(0, &ids.narrow(1, place, windows).flatten(0, 1))
            });
            let sum = seen.reduce(|sum, next| sum + next).expect("a filter sees a character");
            sum.view([ids.size()[0], windows, -1]).max_dim(1, false).0
        };
        Tensor::cat(&self.filters.iter().map(of_width).collect::<Vec<_>>(), -1)
    }

    /// Vectors of words, `[words, width]`, from the maxima of their windows. A word's vector depends on nothing but its characters.
    pub fn pool(&self, maxima: &Tensor) -> Tensor {
        let biases: Vec<&Tensor> = self.filters.iter().map(|filters| &filters.bias).collect();
        let pooled = (maxima + Tensor::cat(&biases, 0)).tanh();
        self.highways.iter().fold(pooled, |words, [transform, gate]| {
            let gate = gate.forward(&words).sigmoid();
            let changed = transform.forward(&words).tanh();
            &words + gate * (changed - &words)
        })
    }
}
