//! The product `x Wᵀ + b` through the faster of the two matrix libraries inside libtorch.
//!
//! libtorch sends f32 products on the CPU to MKL, which on AMD processors runs at about half the speed of oneDNN from the
//! same library. oneDNN is reached here through the one operator that hands it plain dense tensors without a copy, forward
//! and backward: a 1×1 convolution over the rows, in channels-last order. Its dilation is 2, which means nothing for one
//! tap, but a convolution without any is computed by a slower kernel in the backward pass on one thread.
//!
//! Both give the same results up to the order of the sums. Which one is used is decided once per process, by timing one
//! product, and then depends on nothing but the shape, so that two runs on one machine give the same bits. The variable
//! `BENKYOKAI_GEMM` (`mkl`, `onednn`, `auto`) orders either one.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

/// Name of the environment variable that orders a kernel.
pub const VARIABLE: &str = "BENKYOKAI_GEMM";

/// A matrix library inside libtorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// The default of libtorch.
    Mkl,
    /// oneDNN, for large f32 products on the CPU; the default of libtorch for all others.
    OneDnn,
}

impl fmt::Display for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Mkl => "mkl",
            Self::OneDnn => "onednn",
        })
    }
}

/// What the environment variable orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The faster one, by measurement.
    Auto,
    /// This one.
    Use(Kernel),
}

/// The value of the environment variable is not a kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE} is `{0}`, expected `mkl`, `onednn` or `auto`")]
pub struct UnknownKernel(String);

impl FromStr for Order {
    type Err = UnknownKernel;

    fn from_str(text: &str) -> Result<Self, UnknownKernel> {
        match text {
            "" | "auto" => Ok(Self::Auto),
            "mkl" => Ok(Self::Use(Kernel::Mkl)),
            "onednn" => Ok(Self::Use(Kernel::OneDnn)),
            _ => Err(UnknownKernel(text.to_owned())),
        }
    }
}

static ACTIVE: OnceLock<Kernel> = OnceLock::new();

/// The kernel for large f32 products on the CPU; the first call decides, by the environment variable or in about 20 ms.
pub fn active() -> Kernel {
    *ACTIVE.get_or_init(|| match ordered() {
        Ok(Order::Use(Kernel::OneDnn)) if !tch::utils::has_mkldnn() => Kernel::Mkl,
        Ok(Order::Use(kernel)) => kernel,
        // A spelling error is for `order_from_environment` to report at the start of the program.
        Ok(Order::Auto) | Err(_) => measure(),
    })
}

/// What the environment variable orders; a program calls this first, so that a spelling error ends it.
///
/// # Errors
/// [`UnknownKernel`] with the value.
pub fn ordered() -> Result<Order, UnknownKernel> {
    std::env::var(VARIABLE).unwrap_or_default().parse()
}

/// oneDNN where it is clearly faster, so that noise does not change the answer: the measured ratios are near 1 or near 2.
fn measure() -> Kernel {
    if !tch::utils::has_mkldnn() {
        return Kernel::Mkl;
    }
    let _guard = tch::no_grad_guard();
    let ones = |shape: [i64; 2]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
    let (rows, weight, bias) = (ones([256, 512]), ones([512, 512]), ones([1, 512]).view([512]));
    let mkl = fastest(|| rows.linear(&weight, Some(&bias)));
    let onednn = fastest(|| as_convolution(&rows, &weight, Some(&bias)));
    if onednn.mul_f64(1.2) < mkl { Kernel::OneDnn } else { Kernel::Mkl }
}

/// Shortest of several timings after a first one that compiles and allocates.
fn fastest(product: impl Fn() -> Tensor) -> Duration {
    let time = |_| {
        let start = Instant::now();
        let result = product();
        let elapsed = start.elapsed();
        drop(result);
        elapsed
    };
    (0..6).map(time).skip(1).min().unwrap_or(Duration::MAX)
}

thread_local! {
    static IN_BFLOAT16: Cell<bool> = const { Cell::new(false) };
}

/// Runs `forward` with products in bfloat16: [`linear`] and attention round their inputs to it and give back the kind they
/// were given, so that weights, sums, norms, losses and gradients of the weights stay f32. For training on a GPU, whose
/// bfloat16 products are several times faster. The backward pass of what was computed here is in bfloat16 too.
///
/// ```
/// use tch::Tensor;
/// let (third, one) = (Tensor::from_slice2(&[[1.0f32 / 3.0]]), Tensor::from_slice2(&[[1.0f32]]));
/// let exact = common::nn::gemm::linear(&third, &one, None);
/// let rounded = common::nn::gemm::in_bfloat16(|| common::nn::gemm::linear(&third, &one, None));
/// assert_eq!(rounded.kind(), tch::Kind::Float);
/// assert_eq!((exact.double_value(&[0, 0]) * 1e4).round(), 3333.0);
/// assert_eq!((rounded.double_value(&[0, 0]) * 1e4).round(), 3340.0); // 8 bits of mantissa
/// ```
pub fn in_bfloat16<T>(forward: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IN_BFLOAT16.set(self.0);
        }
    }
    let _restore = Restore(IN_BFLOAT16.replace(true));
    forward()
}

/// The tensor as products take it here: in bfloat16 within [`in_bfloat16`].
pub fn as_factor(tensor: &Tensor) -> Tensor {
    if IN_BFLOAT16.get() { tensor.to_kind(Kind::BFloat16) } else { tensor.shallow_clone() }
}

/// Fewest multiplications for which oneDNN's fixed cost per call (some 20 µs more than MKL's) is repaid forward and backward.
const LARGE: i64 = 1 << 22;
/// Fewest inputs and outputs: narrower ones leave oneDNN's registers empty.
const NARROW: i64 = 32;

/// `x Wᵀ + b` over the last dimension of `input`.
///
/// # Shapes
/// - `input`: `[…, inputs]`; `weight`: `[outputs, inputs]`; `bias`: `[outputs]`
/// - result: `[…, outputs]`
///
/// ```
/// use tch::Tensor;
/// let input = Tensor::from_slice2(&[[1.0f32, 2.0]]);
/// let weight = Tensor::from_slice2(&[[1.0f32, 0.0], [0.5, 0.5], [0.0, -1.0]]);
/// let output = common::nn::gemm::linear(&input, &weight, Some(&Tensor::from_slice(&[10.0f32, 0.0, 0.0])));
/// assert_eq!(Vec::<f32>::try_from(output.view([3])).unwrap(), [11.0, 1.5, -2.0]);
/// ```
///
/// # Panics
/// When the widths disagree; layers check where user data enters.
pub fn linear(input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    if IN_BFLOAT16.get() {
        let bias = bias.map(as_factor);
        as_factor(input).linear(&as_factor(weight), bias.as_ref()).to_kind(input.kind())
    } else if is_large(input, weight) && active() == Kernel::OneDnn {
        as_convolution(input, weight, bias)
    } else {
        input.linear(weight, bias)
    }
}

/// The same through a chosen kernel at any size, for comparisons.
///
/// # Panics
/// When the widths disagree, or for oneDNN when the tensors are not f32 on the CPU.
pub fn linear_by(kernel: Kernel, input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    match kernel {
        Kernel::Mkl => input.linear(weight, bias),
        Kernel::OneDnn => as_convolution(input, weight, bias),
    }
}

/// Whether [`linear`] may hand this product to oneDNN.
fn is_large(input: &Tensor, weight: &Tensor) -> bool {
    let (outputs, inputs) = match weight.size()[..] {
        [outputs, inputs] => (outputs, inputs),
        _ => return false,
    };
    let multiplications = input.numel() as i64 * outputs;
    multiplications >= LARGE
        && inputs.min(outputs) >= NARROW
        && weight.kind() == Kind::Float
        && input.kind() == Kind::Float
        && weight.device() == Device::Cpu
}

/// The rows become the pixels of one image, the inputs its channels: `[rows, inputs]` is `[1, rows, 1, inputs]` is, without
/// moving a number, `[1, inputs, rows, 1]` in channels-last order.
fn as_convolution(input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let mut shape = input.size();
    let inputs = shape.pop().unwrap_or(1);
    let outputs = weight.size()[0];
    let image = input.reshape([1, -1, 1, inputs]).permute([0, 3, 1, 2]);
    let taps = weight.view([outputs, inputs, 1, 1]);
    let result = image.mkldnn_convolution(&taps, bias, [0, 0], [1, 1], [2, 2], 1); // [1, outputs, rows, 1]
    shape.push(outputs);
    result.permute([0, 2, 3, 1]).reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{max_difference, torch_rng};

    /// f32 sums of up to 600 products in another order, relative to the largest.
    const SUMS: f64 = 2e-5;

    fn relative(actual: &Tensor, expected: &Tensor) -> f64 {
        max_difference(actual, expected) / expected.abs().max().double_value(&[]).max(1.0)
    }

    fn run(kernel: Kernel, shape: &[i64], outputs: i64, with_bias: bool) -> [Option<Tensor>; 4] {
        tch::manual_seed(5);
        let draw = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let input = draw(shape);
        let weight = draw(&[outputs, shape[shape.len() - 1]]);
        let bias = with_bias.then(|| draw(&[outputs]));
        let output = linear_by(kernel, &input, &weight, bias.as_ref());
        let ramp = Tensor::linspace(-1.0, 1.0, outputs, (Kind::Float, Device::Cpu));
        (&output * ramp).sum(Kind::Float).backward();
        [Some(output), Some(input.grad()), Some(weight.grad()), bias.map(|b| b.grad())]
    }

    #[test]
    fn both_kernels_agree_forward_and_backward() {
        let _rng = torch_rng(6);
        let shapes: [(&[i64], i64, bool); 7] = [
            (&[600, 256], 96, true),
            (&[600, 256], 96, false),
            (&[7, 13, 40], 33, true),
            (&[1, 64], 64, true),
            (&[64, 1], 5, true),
            (&[64, 33], 1, true),
            (&[16, 3, 2, 8], 7, true),
        ];
        for (shape, outputs, with_bias) in shapes {
            let names = ["output", "input's gradient", "weight's gradient", "bias' gradient"];
            let pairs = run(Kernel::OneDnn, shape, outputs, with_bias).into_iter().zip(run(
                Kernel::Mkl,
                shape,
                outputs,
                with_bias,
            ));
            for (name, pair) in names.into_iter().zip(pairs) {
                if let (Some(actual), Some(expected)) = pair {
                    let difference = relative(&actual, &expected);
                    assert!(difference < SUMS, "{name} at {shape:?} → {outputs}: {difference}");
                }
            }
        }
    }

    #[test]
    fn a_transposed_input_gives_the_same_product() {
        let _rng = torch_rng(6);
        let input = Tensor::randn([96, 300], (Kind::Float, Device::Cpu)).tr();
        let weight = Tensor::randn([64, 96], (Kind::Float, Device::Cpu));
        let by = |kernel| linear_by(kernel, &input, &weight, None);
        assert!(relative(&by(Kernel::OneDnn), &by(Kernel::Mkl)) < SUMS);
    }

    #[test]
    fn only_large_f32_products_may_leave_the_default() {
        let make = |rows, inputs, kind| Tensor::zeros([rows, inputs], (kind, Device::Cpu));
        assert!(is_large(&make(600, 256, Kind::Float), &make(256, 256, Kind::Float)));
        assert!(!is_large(&make(600, 256, Kind::Double), &make(256, 256, Kind::Double)));
        assert!(!is_large(&make(32, 100, Kind::Float), &make(60, 100, Kind::Float)));
        assert!(!is_large(&make(100_000, 256, Kind::Float), &make(9, 256, Kind::Float)));
        assert!(!is_large(&make(0, 256, Kind::Float), &make(256, 256, Kind::Float)));
    }

    #[test]
    fn the_order_is_read_and_a_spelling_error_is_named() {
        assert_eq!("onednn".parse(), Ok(Order::Use(Kernel::OneDnn)));
        assert_eq!("mkl".parse(), Ok(Order::Use(Kernel::Mkl)));
        assert_eq!("".parse(), Ok(Order::Auto));
        let message = "MKL".parse::<Order>().unwrap_err().to_string();
        assert_eq!(message, "BENKYOKAI_GEMM is `MKL`, expected `mkl`, `onednn` or `auto`");
    }

    #[test]
    fn the_decision_does_not_change_within_a_process() {
        assert_eq!(active(), active());
    }
}
