//! Sorting with the order of equal scores that GNU's C++ library gives.
//!
//! Refined boxes often have equal scores, and thinning out keeps the first of them: only with this order are the kept boxes
//! those of OpenCV. It is introsort (Musser 1997): quicksort around the median of three down to stretches of 16, then insertion.

const SMALL: usize = 16;

/// Sorts so that the greatest key comes first. The order is that of `std::sort` over reversed iterators, which sorts the
/// mirrored slice by growing keys.
pub(super) fn sort_descending<T: Copy>(items: &mut [T], key: impl Fn(&T) -> f32) {
    items.reverse();
    let less = |a: &T, b: &T| key(a) < key(b);
    let n = items.len();
    if n > 1 {
        let depth = 2 * n.ilog2();
        quick(items, depth, &less);
        let (first, rest) = (n.min(SMALL), SMALL);
        insertion(&mut items[..first], &less);
        for place in rest..n {
            sink(items, place, &less);
        }
    }
    items.reverse();
}

fn quick<T: Copy>(mut items: &mut [T], mut depth: u32, less: &impl Fn(&T, &T) -> bool) {
    while items.len() > SMALL {
        if depth == 0 {
            heap_sort(items, less);
            return;
        }
        depth -= 1;
        let cut = partition(items, less);
        let whole = items;
        let (low, high) = whole.split_at_mut(cut);
        quick(high, depth, less);
        items = low;
    }
}

/// Moves the median of the second, middle and last item to the front and parts the rest around it.
fn partition<T: Copy>(items: &mut [T], less: &impl Fn(&T, &T) -> bool) -> usize {
    let (a, b, c) = (1, items.len() / 2, items.len() - 1);
    let before = |x: usize, y: usize, items: &[T]| less(&items[x], &items[y]);
    let median = if before(a, b, items) {
        if before(b, c, items) {
            b
        } else if before(a, c, items) {
            c
        } else {
            a
        }
    } else if before(a, c, items) {
        a
    } else if before(b, c, items) {
        c
    } else {
        b
    };
    items.swap(0, median);
    let pivot = items[0];
    let (mut first, mut last) = (1, items.len());
    loop {
        while less(&items[first], &pivot) {
            first += 1;
        }
        last -= 1;
        while less(&pivot, &items[last]) {
            last -= 1;
        }
        if first >= last {
            return first;
        }
        items.swap(first, last);
        first += 1;
    }
}

fn insertion<T: Copy>(items: &mut [T], less: &impl Fn(&T, &T) -> bool) {
    for place in 1..items.len() {
        if less(&items[place], &items[0]) {
            items[..=place].rotate_right(1);
        } else {
            sink(items, place, less);
        }
    }
}

/// Moves an item down to its place among those before it, one of which is not greater.
fn sink<T: Copy>(items: &mut [T], mut place: usize, less: &impl Fn(&T, &T) -> bool) {
    let value = items[place];
    while less(&value, &items[place - 1]) {
        items[place] = items[place - 1];
        place -= 1;
    }
    items[place] = value;
}

fn heap_sort<T: Copy>(items: &mut [T], less: &impl Fn(&T, &T) -> bool) {
    let n = items.len();
    for parent in (0..n / 2).rev() {
        let value = items[parent];
        sift(items, parent, value, less);
    }
    for end in (1..n).rev() {
        let value = items[end];
        items[end] = items[0];
        sift(&mut items[..end], 0, value, less);
    }
}

/// Lets the hole at `hole` fall to a leaf along the greater children, then lets `value` rise from there.
fn sift<T: Copy>(items: &mut [T], mut hole: usize, value: T, less: &impl Fn(&T, &T) -> bool) {
    let (top, n) = (hole, items.len());
    let mut child = hole;
    while n > 0 && child < (n - 1) / 2 {
        child = 2 * (child + 1);
        if less(&items[child], &items[child - 1]) {
            child -= 1;
        }
        items[hole] = items[child];
        hole = child;
    }
    if n % 2 == 0 && n >= 2 && child == (n - 2) / 2 {
        child = 2 * (child + 1);
        items[hole] = items[child - 1];
        hole = child - 1;
    }
    while hole > top {
        let parent = (hole - 1) / 2;
        if !less(&items[parent], &value) {
            break;
        }
        items[hole] = items[parent];
        hole = parent;
    }
    if n > 0 {
        items[hole] = value;
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn keys_fall_and_nothing_is_lost() {
        let mut rng = common::seed::rng(1, "sort", 0);
        for n in [0, 1, 2, 15, 16, 17, 100, 3000] {
            let mut items: Vec<(u32, usize)> = (0..n).map(|at| (rng.random_range(0..50), at)).collect();
            let mut stable = items.clone();
            sort_descending(&mut items, |item| item.0 as f32);
            assert!(items.is_sorted_by(|a, b| a.0 >= b.0));
            items.sort_unstable();
            stable.sort_unstable();
            assert_eq!(items, stable);
        }
    }

    #[test]
    fn a_heap_sorts_what_quicksort_gives_up() {
        let mut items: Vec<u32> = (0..200).map(|at| (at * 7919) % 211).collect();
        let mut sorted = items.clone();
        sorted.sort_unstable();
        heap_sort(&mut items, &|a, b| a < b);
        assert_eq!(items, sorted);
    }
}
