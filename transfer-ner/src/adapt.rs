//! Word adaptation (Lin and Lu 2018): a linear map of the target's word vectors into the source's space, fitted on the words that both
//! have. The other two adaptations, of sentences and of outputs, are layers of the network.

use std::collections::HashMap;

use tch::{Kind, Tensor};

use crate::vectors::Vectors;

/// Weight of the identity in the normal equations, per dimension. Ours: it keeps them solvable with few pivots.
const RIDGE: f64 = 1e-3;

/// Target vectors mapped by `Z`, and the number of pivot words,
///
/// ```text
/// Z = argmin Σ_i c_i ‖Z x_i − y_i‖²,      c = 2 f_S f_T / (f_S + f_T)
/// ```
/// over words `i` with vectors `x` in the target and `y` in the source; `f` are relative frequencies, so that a pivot counts when it
/// is frequent in both domains. The paper's exact weights are not known to us. Without a pivot the vectors stay as they are.
pub fn map_words(target: &Vectors, source: &Vectors, counts: [&HashMap<String, u64>; 2]) -> (Vectors, usize) {
    let _guard = tch::no_grad_guard();
    let width = target.width as i64;
    let totals = counts.map(|counts| counts.values().sum::<u64>().max(1) as f64);
    let places = source.index();
    let (mut x, mut y, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for (place, word) in target.words.iter().enumerate() {
        let Some(&other) = places.get(&**word) else { continue };
        let share = |side: usize| counts[side].get(word).copied().unwrap_or(0) as f64 / totals[side];
        let (in_source, in_target) = (share(0), share(1));
        if in_source > 0.0 && in_target > 0.0 {
            weights.push(2.0 * in_source * in_target / (in_source + in_target));
            x.extend(target.row(place).iter().map(|&value| f64::from(value)));
            y.extend(source.row(other).iter().map(|&value| f64::from(value)));
        }
    }
    if weights.is_empty() {
        return (target.clone(), 0);
    }
    let total: f64 = weights.iter().sum();
    let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
    let weight = Tensor::from_slice(&shares).unsqueeze(-1);
    let (x, y) = (Tensor::from_slice(&x).view([-1, width]), Tensor::from_slice(&y).view([-1, width]));
    let weighted = (&x * &weight).tr();
    let identity = Tensor::eye(width, (Kind::Double, tch::Device::Cpu)) * RIDGE;
    // The ridge draws towards the identity, not towards 0: a pivot that is never seen stays where it is.
    let (normal, right) = (weighted.matmul(&x) + &identity, weighted.matmul(&y) + &identity);
    let map = Tensor::linalg_solve(&normal, &right, true);
    let rows = Tensor::from_slice(&target.rows).view([-1, width]).matmul(&map.to_kind(Kind::Float));
    let rows = Vec::<f32>::try_from(rows.flatten(0, -1)).expect("f32 in one dimension");
    (Vectors { rows, ..target.clone() }, shares.len())
}
