//! What preprocessing makes of photographs.

use std::path::Path;

use anyhow::Result;
use common::files;
use common::report::{Section, Table, number};
use common::stats;

use crate::experiment::tables::columns;
use crate::preprocess::{self, Rules, cropped};

/// Side of a CLIP image.
const SIDE: usize = 224;

/// Counts over the photographs of a folder.
pub(super) fn section(folder: &Path) -> Result<Section> {
    let mut paths = files::names_in(folder)?;
    paths.sort();
    let (mut kept, mut shifted, mut largest, mut sizes) = (Vec::new(), 0, 0, Vec::new());
    for path in &paths {
        let picture = preprocess::read(&folder.join(path))?;
        let (width, height) = (picture.width(), picture.height());
        let (short, long) = (width.min(height), width.max(height));
        kept.push(SIDE as f64 / (SIDE * long / short) as f64);
        sizes.push(format!("{width} × {height}"));
        let [own, other] = [Rules::OpenAi, Rules::HuggingFace].map(|rules| cropped(&picture, SIDE, rules));
        if own != other {
            shifted += 1;
            let differences = own.iter().zip(&other).map(|(a, b)| a.abs_diff(*b));
            largest = largest.max(differences.max().unwrap_or(0));
        }
    }
    sizes.sort();
    sizes.dedup();
    let share = stats::mean(&kept).map_or("—".to_owned(), |mean| number(mean, 3));
    let least = kept.iter().copied().fold(f64::INFINITY, f64::min);
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    Ok(Section {
        title: "Photographs: what preprocessing keeps".to_owned(),
        text: vec!["CLIP sees the middle square of an image: what a long caption says of the rest cannot be found. Two common implementations cut some images one pixel apart, because they round halves differently.".to_owned()],
        tables: vec![Table {
            caption: "Photographs of COCO under CC BY".to_owned(),
            columns: columns(["what", "value"]),
            rows: vec![
                row("photographs", paths.len().to_string()),
                row("different sizes", sizes.len().to_string()),
                row("mean share of the area that is kept", share),
                row("smallest share", if least.is_finite() { number(least, 3) } else { "—".to_owned() }),
                row("cut differently by Hugging Face's rules", shifted.to_string()),
                row("largest difference of a byte there", largest.to_string()),
            ],
        }],
        figures: vec![],
    })
}
