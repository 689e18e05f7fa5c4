//! `quantize`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use super::shared::{Text, Work, load, read_tokens};
use super::show;
use crate::affine::{Fit, Grid, Shrink};
use crate::convert::{self, Budgeted, GgufOptions, LayoutOptions, Recipe, Search, Summary, calibrate};
use crate::ggml::GgmlType;
use crate::gptq::Order;
use crate::gptq_layout::{Convention, QuantizeConfig};
use crate::imatrix::Imatrix;
use crate::mixture::{Budget, FileType, Reason, Rule};
use crate::model_file::ModelFile;

const EXAMPLES: &str = "\
Examples:
  quantization quantize model-f16.gguf model-Q4_K_M.gguf
  quantization quantize model-folder model-Q6_K.gguf --type Q6_K --tensor-type attn_v=Q8_0
  quantization quantize model-f16.gguf model-Q2_K.gguf --type Q2_K --imatrix model.imatrix --verbose
  quantization quantize model-f16.gguf model-Q3_K_M.gguf --type Q3_K_M --search best
  quantization quantize model-f16.gguf model-4GB.gguf --target-size 4GB
  quantization quantize model-f16.gguf model.gguf --target-bpw 4.2 --imatrix model.imatrix
  quantization quantize model-folder gptq --method gptq --bits 4 --calibration text.txt
  quantization quantize model-folder rtn-folder --method rtn --bits 3 --group 64 --sym
  quantization quantize bitnet-folder bitnet.gguf --method bitnet --type TQ1_0

GGUF files hold every tensor; GPTQ folders hold model.safetensors, config.json and quantize_config.json.
--method bitnet makes weights ternary by BitNet b1.58's absmean, which only models trained that way survive; bitnet.cpp's
I2_S is not written, because its layout depends on how bitnet.cpp was built: TQ2_0 holds the same weights.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Blocks of ggml in a GGUF file
    Gguf,
    /// GPTQ: errors compensated on calibration text, packed safetensors
    Gptq,
    /// Round to nearest on the same grid, packed safetensors
    Rtn,
    /// Absmean ternary in a GGUF file
    Bitnet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SearchName {
    /// As ggml does, byte for byte
    Ggml,
    /// Longer, for less squared error in the same format: Q2_K to Q6_K
    Best,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Zero-points minus 1 (v1), read everywhere
    #[value(name = "gptq")]
    V1,
    /// Zero-points as they are
    #[value(name = "gptq_v2")]
    V2,
}

/// Options of `quantize`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Model: GGUF, safetensors (file, index or folder), llama2.c .bin
    input: PathBuf,
    /// GGUF file to write, or with --method gptq or rtn a folder to make
    output: PathBuf,
    /// How to quantize
    #[arg(long, value_enum, default_value = "gguf")]
    method: Method,
    /// Type or mixture, such as Q4_K_M, Q6_K, Q8_0, IQ4_XS [default: Q4_K_M; TQ2_0 for bitnet]
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Give every matrix the type itself, without the mixture's exceptions
    #[arg(long, requires = "kind")]
    pure: bool,
    /// Type of tensors whose name contains a text or matches a pattern with `*`; the first rule that matches wins
    #[arg(long, value_name = "PATTERN=TYPE")]
    tensor_type: Vec<Rule>,
    /// Importance of columns, from `imatrix` here or in llama.cpp
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,
    /// How codes are searched for
    #[arg(long, value_enum, default_value = "ggml")]
    search: SearchName,
    /// Best mix of types for a file of at most this size, such as 4GB or 700MiB
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["target_bpw", "kind"])]
    target_size: Option<Budget>,
    /// Best mix of types for at most this many bits per weight, all tensors counted
    #[arg(long, value_name = "BITS", conflicts_with = "kind")]
    target_bpw: Option<f64>,
    #[command(flatten)]
    grid: GridArguments,
    /// List every tensor with its error
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    work: Work,
}

/// Options of the methods gptq and rtn.
#[derive(Debug, Args)]
#[command(next_help_heading = "Methods gptq and rtn")]
struct GridArguments {
    /// Bits of a code: 2, 3, 4 or 8 [default: 4]
    #[arg(long)]
    bits: Option<u32>,
    /// Inputs that share a scale; -1 for whole rows [default: 128]
    #[arg(long, value_name = "INPUTS", allow_negative_numbers = true)]
    group: Option<i64>,
    /// Symmetric grids: the zero-point is the middle code
    #[arg(long)]
    sym: bool,
    /// Search the range of least error instead of taking the full one
    #[arg(long)]
    mse: bool,
    /// How zero-points are stored
    #[arg(long, value_enum, default_value = "gptq")]
    checkpoint_format: Format,
    /// rtn: an ordinary model whose weights are rounded to the grid, as F16
    #[arg(long)]
    dequantized: bool,
    /// gptq: text to calibrate on; not the one you evaluate on
    #[arg(long, value_name = "TEXT")]
    calibration: Option<PathBuf>,
    /// gptq: stretches of the text to calibrate on
    #[arg(long, value_name = "COUNT", default_value_t = 128)]
    samples: usize,
    /// gptq: quantize columns by falling importance
    #[arg(long)]
    act_order: bool,
    /// gptq: fit all groups before the sweep
    #[arg(long)]
    static_groups: bool,
    /// gptq: recompute inputs after each step inside a block
    #[arg(long)]
    true_sequential: bool,
    /// gptq: share of the Hessian's mean diagonal added to it
    #[arg(long, default_value_t = 0.01)]
    damp: f64,
    #[command(flatten)]
    text: Text,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    check(arguments)?;
    let file = ModelFile::open(&arguments.input)?;
    warn_of_quantized(&file);
    let summary = match arguments.method {
        Method::Gguf | Method::Bitnet => to_gguf(arguments, &file)?,
        Method::Rtn => rtn(arguments, &file)?,
        Method::Gptq => gptq(arguments, &file)?,
    };
    show::summary(&summary, arguments.verbose);
    Ok(())
}

/// Refuses options that the method would ignore.
fn check(arguments: &Arguments) -> Result<()> {
    let grid = &arguments.grid;
    let packed = matches!(arguments.method, Method::Gptq | Method::Rtn);
    let of_gguf = [
        ("--type", arguments.kind.is_some()),
        ("--tensor-type", !arguments.tensor_type.is_empty()),
        ("--imatrix", arguments.imatrix.is_some()),
        ("--target-size", arguments.target_size.is_some()),
        ("--target-bpw", arguments.target_bpw.is_some()),
        ("--search", arguments.search == SearchName::Best),
    ];
    let of_packed = [
        ("--bits", grid.bits.is_some()),
        ("--group", grid.group.is_some()),
        ("--sym", grid.sym),
        ("--mse", grid.mse),
    ];
    let of_gptq = [
        ("--calibration", grid.calibration.is_some()),
        ("--act-order", grid.act_order),
        ("--static-groups", grid.static_groups),
        ("--true-sequential", grid.true_sequential),
    ];
    let given =
        |options: &[(&'static str, bool)]| options.iter().find(|option| option.1).map(|option| option.0);
    let refused = if packed { given(&of_gguf) } else { given(&of_packed) };
    let refused = refused.or(given(&of_gptq).filter(|_| arguments.method != Method::Gptq));
    if let Some(option) = refused {
        let method = arguments.method.to_possible_value().map_or(String::new(), |v| v.get_name().to_owned());
        bail!("{option} has no meaning with --method {method}; leave it out or choose another method");
    }
    if grid.dequantized && arguments.method != Method::Rtn {
        bail!("--dequantized goes with --method rtn; for other methods use `dequantize` on the result");
    }
    if arguments.target_bpw.is_some_and(|bits| !(bits > 0.0 && bits.is_finite())) {
        bail!("--target-bpw expects a positive number of bits, such as 4.2");
    }
    if arguments.target_size.is_some_and(|size| matches!(size, Budget::BitsPerWeight(_))) {
        bail!("--target-size expects bytes, such as 4GB; for bits per weight use --target-bpw");
    }
    Ok(())
}

fn warn_of_quantized(file: &ModelFile) {
    let quantized =
        |entry: &&crate::model_file::Entry| entry.kind.block_len() > 1 || entry.stored.starts_with("GPTQ");
    let count = file.tensors().iter().filter(quantized).count();
    if count > 0 {
        eprintln!(
            "warning: {count} tensors are quantized already; their errors stay and new ones come on top: start from the original"
        );
    }
}

fn to_gguf(arguments: &Arguments, file: &ModelFile) -> Result<Summary> {
    let bitnet = arguments.method == Method::Bitnet;
    let imatrix = arguments.imatrix.as_deref().map(Imatrix::read).transpose()?;
    let recipe = recipe(arguments, bitnet, imatrix)?;
    let count = file.tensors().len();
    let budget = match (arguments.target_size, arguments.target_bpw) {
        (Some(Budget::Bytes(bytes)), _) => Some(Budgeted::File(bytes)),
        (_, Some(bits)) => Some(Budgeted::BitsPerWeight(bits)),
        _ => None,
    };
    let plan = match budget {
        None => convert::plan(file, &recipe)?,
        Some(budget) => {
            let header = convert::plan(file, &recipe)?.header_bytes(file)?;
            arguments.work.with_bar("measuring", count, |progress| {
                convert::plan_under_budget(file, &recipe, budget, header, progress)
            })?
        }
    };
    warn_of_rules(arguments, &plan);
    if let Some(note) = file.vocabulary_note()? {
        eprintln!("warning: {note}");
    }
    let options = GgufOptions {
        imatrix: recipe.imatrix.as_ref(),
        search: recipe.search,
        absmean: bitnet,
        measure: arguments.verbose,
    };
    arguments.work.with_bar("quantizing", count, |progress| {
        convert::write_gguf(file, &plan, &options, &arguments.output, progress)
    })
}

fn recipe(arguments: &Arguments, bitnet: bool, imatrix: Option<Imatrix>) -> Result<Recipe> {
    let default = if bitnet { "TQ2_0" } else { "Q4_K_M" };
    let name = arguments.kind.as_deref().unwrap_or(default);
    let mut rules = arguments.tensor_type.clone();
    let budgeted = arguments.target_size.is_some() || arguments.target_bpw.is_some();
    let file_type: FileType = match (name.parse(), arguments.pure) {
        (Ok(file_type), false) => file_type,
        (_, true) => {
            let kind: GgmlType = name.parse()?;
            rules.push(Rule { pattern: String::new(), kind }); // matches every name
            let named = FileType::all().find(|file_type| file_type.default_type().ok() == Some(kind));
            named.with_context(|| format!("`{name}` is not a type that a whole file can have"))?
        }
        (Err(problem), _) => return Err(problem.into()),
    };
    if bitnet && !matches!(file_type, FileType::TQ1_0 | FileType::TQ2_0) {
        bail!("--method bitnet with --type {name}, expected TQ2_0 or TQ1_0, the types for ternary weights");
    }
    if bitnet {
        // The embedding and the head stay as they are trained: only the blocks' layers are ternary.
        let as_trained = |pattern: &str| Rule { pattern: pattern.to_owned(), kind: GgmlType::F16 };
        rules.extend(["token_embd.weight", "output.weight*"].map(as_trained));
    }
    let file_type = if budgeted { FileType::Q4_K_M } else { file_type };
    let search = if arguments.search == SearchName::Best { Search::Best } else { Search::Ggml };
    Ok(Recipe { file_type, rules, imatrix, search })
}

fn warn_of_rules(arguments: &Arguments, plan: &convert::Plan) {
    for (number, rule) in arguments.tensor_type.iter().enumerate() {
        let used = plan.tensors.iter().any(|planned| planned.assignment.reason == Reason::Rule(number));
        if !used {
            eprintln!(
                "warning: --tensor-type {}={} matches no tensor; list the names with `inspect`",
                rule.pattern, rule.kind
            );
        }
    }
}

/// Grid and storage of the packed methods.
fn layout(grid: &GridArguments) -> Result<LayoutOptions> {
    let bits = grid.bits.unwrap_or(4);
    if ![2, 3, 4, 8].contains(&bits) {
        bail!("--bits is {bits}, expected 2, 3, 4 or 8, which the GPTQ layout can store");
    }
    let group_size = match grid.group.unwrap_or(128) {
        -1 => None,
        group if group > 0 => Some(group as usize),
        group => bail!("--group is {group}, expected a positive number of inputs, or -1 for whole rows"),
    };
    let scheme = if grid.sym { Grid::full_symmetric(bits) } else { Grid::asymmetric(bits) };
    let convention = match grid.checkpoint_format {
        Format::V1 => Convention::V1,
        Format::V2 => Convention::V2,
    };
    let fit = if grid.mse { Fit::Mse(Shrink::gptq()) } else { Fit::MinMax };
    Ok(LayoutOptions { grid: scheme.with_half_scales(), fit, group_size, convention })
}

fn quantize_config(arguments: &Arguments, layout: &LayoutOptions) -> QuantizeConfig {
    let grid = &arguments.grid;
    let group = layout.group_size.map_or(-1, |size| size as i64);
    let gptq = arguments.method == Method::Gptq;
    QuantizeConfig {
        sym: grid.sym,
        desc_act: grid.act_order,
        static_groups: grid.static_groups,
        true_sequential: grid.true_sequential,
        damp_percent: gptq.then_some(grid.damp),
        model_file_base_name: Some("model".to_owned()),
        ..QuantizeConfig::new(layout.grid.bits, group, layout.convention)
    }
}

fn rtn(arguments: &Arguments, file: &ModelFile) -> Result<Summary> {
    let layout = layout(&arguments.grid)?;
    let (count, out) = (file.tensors().len(), arguments.output.as_path());
    arguments.work.with_bar("rounding", count, |progress| {
        if arguments.grid.dequantized {
            return convert::write_rounded(file, &layout, GgmlType::F16, out, progress);
        }
        let config = quantize_config(arguments, &layout);
        convert::write_layout(file, &layout, None, &config, out, progress)
    })
}

fn gptq(arguments: &Arguments, file: &ModelFile) -> Result<Summary> {
    let (grid, layout) = (&arguments.grid, layout(&arguments.grid)?);
    let Some(text) = grid.calibration.as_deref() else {
        bail!("--method gptq needs --calibration TEXT; without a text use --method rtn");
    };
    refuse_taken(&arguments.output)?;
    let mut model = load(file, true)?;
    let windows = calibration_windows(file, &model, grid, text)?;
    let options = calibrate::GptqOptions {
        order: if grid.act_order { Order::Activation } else { Order::Natural },
        static_groups: grid.static_groups,
        true_sequential: grid.true_sequential,
        damping: grid.damp,
    };
    let layers = model.config().layers;
    let (solved, about) = arguments.work.with_bar("solving", layers, |progress| {
        calibrate::gptq_layers(file, &mut model, &windows, &layout, &options, progress)
    })?;
    drop(model);
    for layer in about.iter().filter(|layer| layer.damping > grid.damp || layer.dead_columns > 0) {
        eprintln!(
            "note: {}: damping {:.4}, {} inputs without any signal; more calibration text would help",
            layer.name, layer.damping, layer.dead_columns
        );
    }
    let config = quantize_config(arguments, &layout);
    arguments.work.with_bar("writing", file.tensors().len(), |progress| {
        convert::write_layout(file, &layout, Some(solved), &config, &arguments.output, progress)
    })
}

/// Before hours of work, not after.
fn refuse_taken(out: &Path) -> Result<()> {
    let taken = std::fs::read_dir(out).map_or_else(|_| out.exists(), |mut entries| entries.next().is_some());
    if taken {
        bail!("{} exists and is not an empty folder; choose another place or remove it", out.display());
    }
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        bail!("{}: writing: no such folder as {}", out.display(), parent.display());
    }
    Ok(())
}

fn calibration_windows(
    file: &ModelFile,
    model: &crate::llama::Model,
    grid: &GridArguments,
    text: &Path,
) -> Result<Vec<Vec<u32>>> {
    let tokenizer = file.tokenizer(grid.text.tokenizer.as_deref())?;
    let context = grid.text.context(model)?;
    let tokens = read_tokens(text, &tokenizer, 1.0)?;
    if tokens.is_empty() {
        bail!("{}: no text to calibrate on", text.display());
    }
    let all: Vec<&[u32]> = tokens.chunks(context).collect();
    let count = grid.samples.clamp(1, all.len());
    let windows: Vec<Vec<u32>> = (0..count).map(|i| all[i * all.len() / count].to_vec()).collect();
    let used: usize = windows.iter().map(Vec::len).sum();
    let widest = model.config().dim.max(model.config().ffn);
    if used < widest {
        eprintln!(
            "warning: {}: {used} tokens to calibrate on, fewer than the {widest} inputs of the widest layer; \
             damping makes up for it, more text would do better",
            text.display()
        );
    }
    Ok(windows)
}
