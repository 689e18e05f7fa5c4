//! GPTQ and its options against rounding to nearest on the same grids.

use std::path::Path;

use anyhow::Result;
use common::report::{Table, number};
use common::stats;

use crate::affine::{Fit, Grid, Shrink};
use crate::experiment::lab::{Amount, Lab, Subject};
use crate::gptq::{Options, Order, gptq};
use crate::memory::Groups;
use crate::sequential::{Layer, Measuring, quantize_blocks};
use common::outcome::Outcome;

struct Way {
    name: &'static str,
    order: Order,
    measuring: Measuring,
    fit: Fit,
}

const WAYS: [Way; 5] = [
    Way { name: "gptq", order: Order::Natural, measuring: Measuring::PerBlock, fit: Fit::MinMax },
    Way { name: "gptq-act", order: Order::Activation, measuring: Measuring::PerBlock, fit: Fit::MinMax },
    Way { name: "gptq-seq", order: Order::Natural, measuring: Measuring::PerInput, fit: Fit::MinMax },
    Way {
        name: "gptq-clipped",
        order: Order::Natural,
        measuring: Measuring::PerBlock,
        fit: Fit::Mse(Shrink::gptq()),
    },
    Way {
        name: "gptq-all",
        order: Order::Activation,
        measuring: Measuring::PerInput,
        fit: Fit::Mse(Shrink::gptq()),
    },
];

/// Groups of columns; `None` for whole rows.
const GROUPS: [(&str, Option<usize>); 3] = [("row", None), ("g128", Some(128)), ("g32", Some(32))];

pub(super) fn run(subject: Subject, bits: u32, amount: Amount, root: &Path) -> Result<Outcome> {
    let lab = Lab::open(subject, amount, root)?;
    let baseline = lab.baseline()?;
    let setting = format!("{}-{bits}", subject.name());
    let mut outcome = Outcome::default();
    let mut rows = Vec::new();
    for (group_name, group_size) in GROUPS {
        let too_wide = group_size.is_some_and(|size| size >= lab.model.config().dim);
        for way in WAYS.iter().filter(|_| !too_wide) {
            let mut model = lab.model.clone();
            let (mut loss, mut cost, mut weights) = (0.0, 0.0, 0.0);
            let options = Options {
                grid: Grid::asymmetric(bits).with_half_scales(),
                fit: way.fit,
                order: way.order,
                static_groups: way.order != Order::Natural,
                group_size,
                ..Options::paper(bits)
            };
            quantize_blocks(&mut model, &lab.calibration, way.measuring, &mut |layer: &Layer| {
                let solution = gptq(layer.weights, layer.hessian, &options)?;
                let groups = Groups {
                    bits,
                    group_size: group_size.unwrap_or(layer.columns),
                    scale_bits: 16,
                    zero_bits: bits,
                };
                loss += solution.loss;
                cost += groups.bits_per_weight() * layer.weights.len() as f64;
                weights += layer.weights.len() as f64;
                Ok::<_, crate::gptq::GptqError>(solution.weights)
            })?;
            let scored = lab.score(&baseline, &model)?;
            let arm = format!("{}-{group_name}", way.name);
            rows.push(vec![
                arm.clone(),
                number(cost / weights, 3),
                number(loss, 3),
                super::small(stats::mean(&scored.kl).unwrap_or_default()),
                super::small(super::delta(&baseline, &scored.nll)),
            ]);
            outcome.put(&setting, &arm, "kl", scored.kl);
            outcome.put(&setting, &arm, "bits_per_weight", vec![cost / weights]);
        }
    }
    let columns = ["method", "bits per weight", "loss of all layers", "KL, mean", "loss − unquantized"];
    outcome.tables.push(Table {
        caption: format!("{setting} bits: GPTQ, asymmetric grids; `act`: act-order with static groups, `seq`: true-sequential, `clipped`: range search with norm 2.4, `all`: the three together"),
        columns: columns.map(str::to_owned).into(),
        rows,
    });
    Ok(outcome)
}
