//! Thinning out of detections: of boxes of one class that overlap, the best stays.

use crate::geometry::BoundingBox;

/// Places of the boxes that stay, best first: one is dropped if it overlaps a better one that stays by more than `overlap`.
///
/// ```
/// use click_mil::geometry::BoundingBox;
/// use click_mil::nms::thin_out;
/// let boxes = [0.0, 1.0, 9.0].map(|x| BoundingBox::new(x, 0.0, x + 10.0, 10.0));
/// assert_eq!(thin_out(&boxes, &[0.5, 0.9, 0.1], 0.3), [1, 2]);
/// ```
pub fn thin_out(boxes: &[BoundingBox], scores: &[f64], overlap: f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let mut kept: Vec<usize> = Vec::new();
    for place in order {
        if kept.iter().all(|&better| boxes[better].iou(&boxes[place]) <= overlap) {
            kept.push(place);
        }
    }
    kept
}
