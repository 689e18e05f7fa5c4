//! What a caller may see and change while a model runs: the inputs of its linear layers.

use super::weights::Projection;

/// An input that one or more linear layers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Input of query, key and value.
    Attention,
    /// Input of one projection, in models that normalize before each.
    Single(Projection),
    /// Input of gate and up.
    FeedForward,
    /// Input of the head; its layer is the number of blocks.
    Head,
}

impl Role {
    /// The linear layers with this input; none for the head.
    ///
    /// ```
    /// use quantization::llama::{Projection, Role};
    /// assert_eq!(Role::FeedForward.projections(), [Projection::Gate, Projection::Up]);
    /// ```
    pub fn projections(self) -> &'static [Projection] {
        match self {
            Self::Attention => &Projection::ALL[..3],
            Self::FeedForward => &Projection::ALL[4..6],
            Self::Single(projection) => &Projection::ALL[projection as usize..][..1],
            Self::Head => &[],
        }
    }
}

/// Sees inputs `[rows, width]` of a layer.
pub type Observe<'a> = &'a mut dyn FnMut(usize, Role, &[f32], usize);
/// Changes inputs `[rows, width]` of a layer.
pub type Replace<'a> = &'a mut dyn FnMut(usize, Role, &mut [f32], usize);

/// Called before each linear layer, once per shared input: first `observe`, then `replace`.
#[derive(Default)]
pub struct Hooks<'a> {
    /// Sees the inputs (for Hessians, importance, calibration), as the model computed them.
    pub observe: Option<Observe<'a>>,
    /// Changes the inputs (for studies of activation quantization).
    pub replace: Option<Replace<'a>>,
}

impl Hooks<'_> {
    /// No hooks.
    pub fn none() -> Self {
        Self::default()
    }

    pub(super) fn call(&mut self, layer: usize, role: Role, inputs: &mut [f32], rows: usize) {
        if let Some(observe) = &mut self.observe {
            observe(layer, role, inputs, rows);
        }
        if let Some(replace) = &mut self.replace {
            replace(layer, role, inputs, rows);
        }
    }
}
