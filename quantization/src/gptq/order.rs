//! The order in which columns are quantized, and the group that each belongs to.

use serde::{Deserialize, Serialize};

/// Order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As stored.
    Natural,
    /// By decreasing diagonal of the Hessian, i.e. mean squared input ("act-order", `desc_act`); equals as stored.
    /// Without static groups, groups are formed in this order, so their columns lie scattered in the stored one.
    Activation,
    /// By decreasing diagonal inside each stored group, groups by decreasing largest diagonal
    /// (group-aware reordering, arXiv 2505.14638): every group stays contiguous in the stored order.
    GroupAware,
}

/// Where each column goes.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Stored column of each place in the order of quantization.
    pub(super) order: Vec<usize>,
    /// Group of each place in the order of quantization.
    pub(super) group: Vec<usize>,
}

impl Plan {
    pub(super) fn new(order: Order, diagonal: &[f64], group_size: usize, static_groups: bool) -> Self {
        let columns = diagonal.len();
        let descending = |columns: &mut [usize]| {
            columns.sort_by(|a, b| diagonal[*b].total_cmp(&diagonal[*a])); // stable
        };
        let mut places: Vec<usize> = (0..columns).collect();
        match order {
            Order::Natural => {}
            Order::Activation => descending(&mut places),
            Order::GroupAware => {
                let mut groups: Vec<&mut [usize]> = places.chunks_mut(group_size).collect();
                groups.iter_mut().for_each(|group| descending(group));
                groups.sort_by(|a, b| diagonal[b[0]].total_cmp(&diagonal[a[0]]));
                places = groups.into_iter().flat_map(|group| group.iter().copied()).collect();
            }
        }
        let scattered = order == Order::Activation && !static_groups;
        let group = places
            .iter()
            .enumerate()
            .map(|(place, column)| if scattered { place } else { *column } / group_size);
        Self { group: group.collect(), order: places }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_follow_the_diagonal() {
        let diagonal = [1.0, 5.0, 2.0, 2.0, 9.0];
        let plan = |order, fixed| {
            let plan = Plan::new(order, &diagonal, 2, fixed);
            (plan.order, plan.group)
        };
        assert_eq!(plan(Order::Natural, false), (vec![0, 1, 2, 3, 4], vec![0, 0, 1, 1, 2]));
        assert_eq!(plan(Order::Activation, false), (vec![4, 1, 2, 3, 0], vec![0, 0, 1, 1, 2]));
        assert_eq!(plan(Order::Activation, true), (vec![4, 1, 2, 3, 0], vec![2, 0, 1, 1, 0]));
        assert_eq!(plan(Order::GroupAware, false), (vec![4, 1, 0, 2, 3], vec![2, 0, 0, 1, 1]));
    }
}
