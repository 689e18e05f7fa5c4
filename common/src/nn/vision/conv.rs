//! Convolution and batch normalisation with PyTorch's names and initial values.

use tch::Tensor;
use tch::nn::{Init, Path};

/// Added to the variance. PyTorch's.
const EPSILON: f64 = 1e-5;

/// A convolution; with `bias` as `nn.Conv2d`, else as ResNets have it.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    padding: i64,
}

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Channels in.
    pub from: i64,
    /// Channels out.
    pub to: i64,
    /// Side of the square kernel.
    pub kernel: i64,
    /// Step.
    pub stride: i64,
    /// Zeros on each side.
    pub padding: i64,
}

impl Shape {
    /// Of this kernel, with the padding that keeps the size at stride 1.
    pub fn same(from: i64, to: i64, kernel: i64, stride: i64) -> Self {
        Self { from, to, kernel, stride, padding: kernel / 2 }
    }
}

impl Conv {
    /// Uniform in ±1/√(inputs), weight and bias: PyTorch's `nn.Conv2d`.
    pub fn biased(path: &Path, shape: Shape) -> Self {
        let bound = 1.0 / ((shape.from * shape.kernel * shape.kernel) as f64).sqrt();
        let init = Init::Uniform { lo: -bound, up: bound };
        let bias = Some(path.var("bias", &[shape.to], init));
        Self { bias, ..Self::with(path, shape, init) }
    }

    /// Without bias, He's normal values by the outputs: torchvision's ResNets.
    pub fn plain(path: &Path, shape: Shape) -> Self {
        let deviation = (2.0 / (shape.to * shape.kernel * shape.kernel) as f64).sqrt();
        Self::with(path, shape, Init::Randn { mean: 0.0, stdev: deviation })
    }

    fn with(path: &Path, shape: Shape, init: Init) -> Self {
        let sizes = [shape.to, shape.from, shape.kernel, shape.kernel];
        let weight = path.var("weight", &sizes, init);
        Self { weight, bias: None, stride: shape.stride, padding: shape.padding }
    }

    /// `[batch, from, height, width]` to `[batch, to, ..]`.
    pub fn forward(&self, input: &Tensor) -> Tensor {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        input.conv2d(&self.weight, self.bias.as_ref(), stride, padding, [1, 1], 1)
    }

    /// The same followed by a batch normalisation with its running statistics, as one convolution:
    /// `w' = w γ / √(σ² + ε)`, `b' = β - μ γ / √(σ² + ε)`. For a convolution without bias.
    pub fn forward_normalised(&self, input: &Tensor, norm: &BatchNorm) -> Tensor {
        let factor = &norm.weight / (&norm.running_var + EPSILON).sqrt();
        let bias = &norm.bias - &norm.running_mean * &factor;
        let weight = &self.weight * factor.view([-1, 1, 1, 1]);
        input.conv2d(&weight, Some(&bias), [self.stride; 2], [self.padding; 2], [1, 1], 1)
    }
}

/// Normalises each channel over batch and place; weight 1 and bias 0 at the start.
#[derive(Debug)]
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
}

impl BatchNorm {
    /// New layer over `width` channels.
    pub fn new(path: &Path, width: i64) -> Self {
        Self {
            weight: path.var("weight", &[width], Init::Const(1.0)),
            bias: path.var("bias", &[width], Init::Const(0.0)),
            running_mean: path.zeros_no_train("running_mean", &[width]),
            running_var: path.ones_no_train("running_var", &[width]),
        }
    }

    /// Any shape with the channels second, to the same shape.
    pub fn forward(&self, input: &Tensor, train: bool) -> Tensor {
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        let running = (Some(&self.running_mean), Some(&self.running_var));
        input.batch_norm(weight, bias, running.0, running.1, train, 0.1, EPSILON, false)
    }
}
