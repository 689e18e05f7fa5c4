//! `stretch` and `convert`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use rand::Rng;
use tch::Device;

use super::shared::{FormatName, TokenizerOptions, Untold};
use crate::checkpoint;
use crate::model::Clip;
use crate::position::PositionTable;
use crate::stretch::Stretch;

/// Options of `convert`.
#[derive(Debug, Args)]
pub(super) struct ConvertArguments {
    /// Checkpoint: a file, or a directory of Hugging Face or open_clip
    model: PathBuf,
    /// Folder of the new checkpoint
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Layout of the new checkpoint
    #[arg(long, value_enum, default_value = "hf")]
    format: FormatName,
    #[command(flatten)]
    untold: Untold,
    #[command(flatten)]
    tokenizer: TokenizerOptions,
}

/// Options of `stretch`.
#[derive(Debug, Args)]
pub(super) struct StretchArguments {
    #[command(flatten)]
    convert: ConvertArguments,
    /// How the position table becomes longer
    #[arg(long, value_enum, default_value = "preserving")]
    method: Method,
    /// First positions that stay as they are
    #[arg(long, default_value_t = 20)]
    kept: usize,
    /// Positions that each later one becomes
    #[arg(long, default_value_t = 4)]
    ratio: usize,
    /// Positions of the new table [default: kept + ratio · (positions − kept); 248 for the other methods]
    #[arg(long)]
    length: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Method {
    /// The paper's: the first positions stay, the others are interpolated
    Preserving,
    /// All positions are interpolated, for comparison
    Plain,
    /// The same with half-pixel centres, as open_clip does
    HalfPixel,
    /// The formula as the paper prints it, which its code does not follow
    Printed,
}

impl StretchArguments {
    fn stretch(&self) -> Stretch {
        let (kept, ratio) = (self.kept, self.ratio);
        let length = self.length.unwrap_or(248);
        match self.method {
            Method::Preserving => Stretch::Preserving { kept, ratio, length: self.length },
            Method::Plain => Stretch::Plain { length },
            Method::HalfPixel => Stretch::HalfPixel { length },
            Method::Printed => Stretch::Printed { kept, ratio, length },
        }
    }
}

pub(super) fn convert(arguments: &ConvertArguments) -> Result<()> {
    let loaded = arguments.untold.read(&arguments.model, Device::Cpu)?;
    eprintln!("{}: layout of {}", arguments.model.display(), loaded.layout);
    write(arguments, &loaded.model)
}

fn write(arguments: &ConvertArguments, model: &Clip) -> Result<()> {
    // Hugging Face directories hold their tokenizer; without CLIP's merges at hand they hold none.
    let tokenizer = match arguments.format {
        FormatName::Hf => {
            match arguments.tokenizer.open(Some(&arguments.model), Some(model.config.text.vocabulary)) {
                Ok(tokenizer) => Some(tokenizer),
                Err(error) => {
                    eprintln!("written without its tokenizer: {error:#}");
                    None
                }
            }
        }
        FormatName::OpenClip => None,
    };
    checkpoint::write(model, &arguments.out, arguments.format.into(), tokenizer.as_ref())?;
    println!("{}", arguments.out.display());
    Ok(())
}

pub(super) fn stretch(arguments: &StretchArguments) -> Result<()> {
    let convert = &arguments.convert;
    let loaded = convert.untold.read(&convert.model, Device::Cpu)?;
    let (before, stretch) = (loaded.model.positions(), arguments.stretch());
    let after = stretch.apply(&before).with_context(|| convert.model.display().to_string())?;
    let longer = loaded.model.with_positions(&after);
    println!("{}", report(&before, &after));
    let unchanged = stretch.unchanged(before.rows());
    println!(
        "positions 0 to {} are the old ones bit by bit: {}",
        unchanged - 1,
        same_rows(&before, &after, unchanged)
    );
    let checked = same_features(&loaded.model, &longer, unchanged)?;
    println!(
        "features of {checked} random texts of up to {unchanged} tokens are the old ones bit by bit: true"
    );
    write(convert, &longer)
}

fn report(before: &PositionTable, after: &PositionTable) -> String {
    let mut lines = format!("{:28}{:>10}{:>10}", "", "before", "after");
    let mut line = |name: &str, of: &dyn Fn(&PositionTable) -> f64| {
        lines.push_str(&format!("\n{name:28}{:>10.4}{:>10.4}", of(before), of(after)));
    };
    let norms = |table: &PositionTable| (0..table.rows()).map(|row| table.norm(row)).collect::<Vec<_>>();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    line("smallest norm", &|table| norms(table).into_iter().fold(f64::INFINITY, f64::min));
    line("mean norm", &|table| mean(&norms(table)));
    line("largest norm", &|table| norms(table).into_iter().fold(0.0, f64::max));
    line("cosine of neighbours", &|table| mean(&table.neighbour_cosines()));
    line("least cosine of neighbours", &|table| table.neighbour_cosines().into_iter().fold(1.0, f64::min));
    format!("{:28}{:>10}{:>10}\n{lines}", "positions", before.rows(), after.rows())
}

fn same_rows(before: &PositionTable, after: &PositionTable, rows: usize) -> bool {
    (0..rows.min(after.rows())).all(|row| before.row(row) == after.row(row))
}

/// Texts that are checked.
const CHECKED: usize = 32;

/// Texts that end within the unchanged positions must have their old features.
fn same_features(before: &Clip, after: &Clip, unchanged: usize) -> Result<usize> {
    let _guard = tch::no_grad_guard();
    let last = before.config.text.vocabulary - 1;
    let mut rng = common::seed::rng(1, "texts", 0);
    let mut text = || {
        let length = rng.random_range(1..=unchanged.max(1));
        let mut ids: Vec<i64> = (0..length).map(|_| rng.random_range(0..last.max(1))).collect();
        ids[length - 1] = last;
        ids
    };
    let texts: Vec<Vec<i64>> = (0..CHECKED).map(|_| text()).collect();
    ensure!(
        before.encode_text(&texts)? == after.encode_text(&texts)?,
        "features of short texts have changed: this is a bug"
    );
    Ok(CHECKED)
}
