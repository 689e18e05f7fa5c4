//! Character CNN of DATNet: several widths of filters, tanh, maximum over a word, highway layers.
//!
//! A convolution is linear in the embeddings, so the table of embeddings is multiplied with all filters once and words gather
//! rows of the product; the windows are sums of shifted rows. A perturbation of embeddings is one more product.

use common::nn::linear::Linear;
use tch::Tensor;
use tch::nn::{Init, Path};

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

    /// Embeddings to filter responses, `[character_width, responses]`: for each filter width one block per place in its window.
    pub fn projection(&self) -> Tensor {
        let blocks: Vec<Tensor> = self
            .filters
            .iter()
            .flat_map(|filters| (0..filters.width).map(|place| filters.weight.select(2, place).tr()))
            .collect();
        Tensor::cat(&blocks, 1)
    }

    /// Responses of the characters of words, `[words, characters, responses]`, from ids `[words, characters]`; id 0 is padding,
    /// whose response is 0. Words are padded to the widest filter.
    pub fn responses(&self, ids: &Tensor) -> Tensor {
        let missing = (self.widest - ids.size()[1]).max(0);
        let ids = ids.constant_pad_nd([0, missing]);
        let table = self.embedding.matmul(&self.projection());
        let rows = table.index_select(0, &ids.flatten(0, 1));
        rows.view([ids.size()[0], ids.size()[1], -1]) * ids.not_equal(0).unsqueeze(-1)
    }

    /// Vectors of words, `[words, width]`, from their responses and the number of characters of each, `[words]`. A word's vector
    /// depends on nothing but its characters: a word shorter than the widest filter is padded to it, and windows beyond do not
    /// take part in the maximum.
    pub fn pool(&self, responses: &Tensor, lengths: &Tensor) -> Tensor {
        let places = responses.size()[1];
        let lengths = lengths.clamp_min(self.widest);
        let mut start = 0;
        let mut pooled = Vec::new();
        for filters in &self.filters {
            let (kernel, n) = (filters.width, filters.weight.size()[0]);
            let windows = places - kernel + 1;
            let shifted = |place: i64| responses.narrow(1, place, windows).narrow(2, start + place * n, n);
            let sums = (1..kernel).fold(shifted(0), |sums, place| sums + shifted(place));
            start += kernel * n;
            let ends = Tensor::arange(windows, (tch::Kind::Int64, responses.device())) + kernel;
            let beyond = ends.unsqueeze(0).gt_tensor(&lengths.unsqueeze(-1)); // [words, windows]
            let masked = sums.masked_fill(&beyond.unsqueeze(-1), f64::NEG_INFINITY);
            pooled.push((masked.amax([1], false) + &filters.bias).tanh());
        }
        self.highways.iter().fold(Tensor::cat(&pooled, -1), |words, [transform, gate]| {
            let gate = gate.forward(&words).sigmoid();
            let changed = transform.forward(&words).tanh();
            &words + gate * (changed - &words)
        })
    }
}
