//! Pictures of what was found: position tables and retrieved images.

use std::path::Path;

use anyhow::Result;
use common::figure::{self, Figure, Tile, TileGroup};
use common::report::{Section, Table, number};

use super::analysis::Finished;
use super::arm::KEPT;
use super::tables::columns;
use super::{TABLE_ROWS, TABLE_STEP, TEST};
use crate::world::{Gallery, Item};

/// Arms whose tables are drawn.
const DRAWN: [(&str, &str); 4] = [
    ("A0", "the base, 77 rows"),
    ("A1", "knowledge-preserved stretching, 248 rows"),
    ("A2", "plain interpolation, 248 rows"),
    ("A7", "Long-CLIP after training, 248 rows"),
];

/// Rows that are named in a heat map: every so many of those drawn.
const NAMED: usize = 4;

/// Heat maps of the position tables of the first seed.
pub(super) fn positions(finished: &Finished, folder: &Path) -> Result<Option<Section>> {
    let (mut figures, mut rows) = (Vec::new(), Vec::new());
    for (arm, title) in DRAWN {
        let table = table(finished, arm);
        if table.is_empty() {
            continue;
        }
        let name =
            |at: usize| if at.is_multiple_of(NAMED) { (at * TABLE_STEP).to_string() } else { String::new() };
        let names: Vec<String> = (0..table.len()).map(name).collect();
        let next: Vec<f64> = table.windows(2).enumerate().map(|(at, pair)| pair[0][at + 1]).collect();
        let (first, rest) = next.split_at((KEPT / TABLE_STEP).min(next.len()));
        let mean =
            |values: &[f64]| common::stats::mean(values).map_or("—".to_owned(), |mean| number(mean, 2));
        rows.push(vec![arm.to_owned(), title.to_owned(), mean(first), mean(rest)]);
        let map = Figure::HeatMap {
            title: format!("Cosines of position rows, {arm}"),
            value: format!("{title}; every second of the first rows"),
            rows: names.clone(),
            columns: names,
            framed: vec![None; table.len()],
            values: table,
        };
        let caption = format!(
            "{arm}: {title}. Cosines between every second of the first rows of the first seed's table."
        );
        figures.push(figure::save(&map, folder, &format!("positions-{}", arm.to_lowercase()), &caption)?);
    }
    if figures.is_empty() {
        return Ok(None);
    }
    Ok(Some(Section {
        title: "Position tables".to_owned(),
        text: vec!["Knowledge-preserved stretching makes four similar rows of each row from 20 on and leaves the first ones alone; plain interpolation makes about three similar rows of each of them, so that the first words of a text, which every caption has, stand on positions the model did not learn.".to_owned()],
        tables: vec![Table {
            caption: format!("Mean cosine of a row with the one {TABLE_STEP} rows later, first seed"),
            columns: columns(["arm", "table", "rows 0 to 20", "rows 20 to 46"]),
            rows,
        }],
        figures,
    }))
}

/// Cosines by row; the first seed's.
fn table(finished: &Finished, arm: &str) -> Vec<Vec<f64>> {
    let row = |at: usize| finished.values.of("position-table", arm, &format!("row-{}", at * TABLE_STEP));
    let n_rows = (0..TABLE_ROWS / TABLE_STEP).take_while(|&at| !row(at).is_empty()).count();
    // Seeds follow each other within a row.
    (0..n_rows).map(|at| row(at)[..n_rows].to_vec()).collect()
}

const SEARCHED: [&str; 3] = ["A0", "A3", "A7"];
const QUERIES: usize = 3;
const FOUND: usize = 4;
/// Characters of a line of a query.
const LINE: usize = 105;

/// Images found by long captions, of the first seed.
pub(super) fn retrieved(finished: &Finished, folder: &Path) -> Result<Option<Section>> {
    let found = |arm: &str, query: usize| -> Vec<usize> {
        let all = finished.values.of("examples", arm, &format!("found-{query}"));
        all.iter().take(FOUND).map(|image| *image as usize).collect()
    };
    let (Some(&run_seed), false) = (finished.design.seeds.first(), found("A7", 0).is_empty()) else {
        return Ok(None);
    };
    let scale = &finished.design.scale;
    let gallery = scale.world.gallery(scale.sets.random, run_seed, &format!("{TEST}/random"));
    let group = |query: usize| TileGroup {
        text: wrapped(&gallery.items[query].long.text()),
        rows: SEARCHED
            .into_iter()
            .filter(|arm| !found(arm, query).is_empty())
            .map(|arm| {
                (
                    arm.to_owned(),
                    found(arm, query)
                        .into_iter()
                        .map(|image| tile(&gallery, image, query, scale.world.look.side_px))
                        .collect(),
                )
            })
            .collect(),
    };
    let tiles = Figure::Tiles {
        title: "Images found by long captions".to_owned(),
        groups: (0..QUERIES.min(gallery.items.len())).map(group).collect(),
    };
    let caption = "The first long captions of the first seed's test scenes, as they come, with the best images from left to right; the described one is framed.";
    Ok(Some(Section {
        title: "Retrieval examples".to_owned(),
        text: vec![format!("The best {FOUND} of {} images.", gallery.items.len())],
        tables: vec![],
        figures: vec![figure::save(&tiles, folder, "retrieved", caption)?],
    }))
}

fn tile(gallery: &Gallery, image: usize, query: usize, side: usize) -> Tile {
    let Item { image: planes, .. } = &gallery.items[image];
    let rgb =
        (0..side * side).flat_map(|at| [0, 1, 2].map(|plane| planes[plane * side * side + at])).collect();
    Tile { name: image.to_string(), side_px: side as u32, rgb, framed: image == query }
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("one is there from the start");
        if !line.is_empty() && line.len() + word.len() >= LINE {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
