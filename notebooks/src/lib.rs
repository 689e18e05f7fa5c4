//! What the notebooks show things with: figures, pictures, tables, and the reports of the experiments.
//!
//! A notebook is a file of `cells/`: a program whose parts between `// %%` lines are the cells. `cargo run -p notebooks -- NAME`
//! runs it as a program, `cargo xtask notebooks` as a notebook in evcxr, and keeps what its cells show. Under evcxr a figure is a
//! picture and a table is a table; elsewhere both are lines of text.
#![expect(clippy::print_stdout, reason = "cells talk to their reader")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::data::{self, DataSet};
use common::figure::{self, Figure};
use common::report::Report;
use image::RgbImage;

/// Shows a figure.
///
/// # Errors
/// A figure that cannot be drawn.
pub fn show(figure: &Figure) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = figure::save(figure, folder.path(), "figure", "")?;
    let png = std::fs::read(folder.path().join(file.png))?;
    match figure {
        // Pixels need no second one beside them, and photographs are most of a notebook's size.
        Figure::Pictures { .. } => {
            let drawn = image::load_from_memory(&png).context("a PNG of our own")?.to_rgb8();
            let (width, height) = (drawn.width() / 2, drawn.height() / 2);
            let filter = image::imageops::FilterType::Triangle;
            show_picture(&image::imageops::resize(&drawn, width, height, filter), 1)
        }
        _ => show_png(&png, "figure"),
    }
}

/// Shows a picture, each pixel as a square of `scale` pixels.
///
/// # Errors
/// A picture that cannot be written as PNG.
pub fn show_picture(picture: &RgbImage, scale: u32) -> Result<()> {
    let scale = scale.max(1);
    let large = image::imageops::resize(
        picture,
        picture.width() * scale,
        picture.height() * scale,
        image::imageops::FilterType::Nearest,
    );
    let mut png = std::io::Cursor::new(Vec::new());
    large.write_to(&mut png, image::ImageFormat::Png)?;
    show_png(png.get_ref(), "picture")
}

fn show_png(png: &[u8], what: &str) -> Result<()> {
    if in_notebook() {
        block("image/png", &STANDARD.encode(png));
    } else {
        let size = image::load_from_memory(png).context("a PNG of our own")?;
        println!("[{what}, {} x {} pixels]", size.width(), size.height());
    }
    Ok(())
}

/// Shows a table; the first row of `rows` stands under `head`.
pub fn table<R: AsRef<[String]>>(head: &[&str], rows: &[R]) {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    if in_notebook() {
        let cells = |tag: &str, texts: &mut dyn Iterator<Item = &str>| {
            texts.fold(String::new(), |mut row, text| {
                let _ = write!(row, "<{tag} style=\"text-align:left\">{}</{tag}>", escaped(text));
                row
            })
        };
        let mut html =
            format!("<table><thead><tr>{}</tr></thead><tbody>", cells("th", &mut head.iter().copied()));
        for row in rows {
            let _ = write!(html, "<tr>{}</tr>", cells("td", &mut row.as_ref().iter().map(String::as_str)));
        }
        block("text/html", &(html + "</tbody></table>"));
        return;
    }
    println!("{}", head.join(" | "));
    rows.iter().for_each(|row| println!("{}", row.as_ref().join(" | ")));
}

/// Ends the program when `holds` is false. A panic or an error in a cell would not end `nbconvert`.
///
/// # Errors
/// The message, outside of a notebook.
pub fn check(holds: bool, message: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    println!("CHECK FAILED: {message}");
    if std::env::var_os("NOTEBOOK_CI").is_some() {
        std::process::exit(1);
    }
    bail!("check failed: {message}")
}

/// A public data set below `$BENKYOKAI_DATA`, or else `data/` of the workspace.
///
/// # Errors
/// A set that is not there, with the command that fetches it.
pub fn data_set(name: &str) -> Result<DataSet> {
    let typed = std::env::var("BENKYOKAI_DATA").ok();
    Ok(data::locate(&data::root(None, typed.as_deref(), &workspace()), name)?)
}

/// The committed report of an experiment.
///
/// # Errors
/// A report that is missing or cannot be read.
pub fn report(name: &str) -> Result<Report> {
    Ok(Report::read(&workspace().join("reports").join(name).join("report.json"))?)
}

/// Experiments with a committed report.
///
/// # Errors
/// A folder that cannot be read.
pub fn report_names() -> Result<Vec<String>> {
    let folder = workspace().join("reports");
    let names = common::files::names_in(&folder)?;
    let with_report = names.iter().filter(|name| folder.join(name).join("report.json").exists());
    Ok(with_report.map(|name| name.display().to_string()).collect())
}

/// Shows the claims of a report: what the paper says, what came out, and the verdict.
pub fn claims(report: &Report) {
    let rows: Vec<[String; 4]> = report
        .claims
        .iter()
        .map(|judged| {
            let claim = &judged.claim;
            [
                claim.id.clone(),
                claim.text.clone(),
                judged.verdict_direction.label().to_owned(),
                judged.why.clone(),
            ]
        })
        .collect();
    table(&["", "claim", "verdict", "parts"], &rows);
}

/// The workspace's folder: notebooks run in `notebooks/`.
fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// evcxr sets this variable for the process that runs cells.
fn in_notebook() -> bool {
    std::env::var_os("EVCXR_IS_RUNTIME").is_some()
}

/// One `println!`, so that nothing comes between its lines.
fn block(kind: &str, content: &str) {
    println!("EVCXR_BEGIN_CONTENT {kind}\n{content}\nEVCXR_END_CONTENT");
}
