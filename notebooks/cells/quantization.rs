//! Quantization: how few bits does a weight need?
//! :dep common = { path = "../common", default-features = false }
//! :dep notebooks = { path = ".", default-features = false }
//! :dep quantization = { path = "../quantization", default-features = false }

use anyhow::Result;

pub(crate) fn run() -> Result<()> {
    // %% [markdown]
    // # A visual guide to quantization, re-measured
    //
    // Grootendorst, *A Visual Guide to Quantization* (2024), with the methods that it walks through.
    //
    // A weight $x$ becomes a code $q$ of $b$ bits and comes back as $\hat x = s\,(q - z)$. **Absmax** takes $z = 0$ and
    // $s = \max|x| / (2^{b-1} - 1)$; **zero-point** spends all codes on $[\min x, \max x]$. Our model is a story teller of
    // 260,000 weights (`stories260K`, MIT), small enough to see every weight.
    // %%
    use common::figure::{Distribution, Figure, Named};
    use quantization::affine::{Fit, Granularity, Grid, fake_quantize, measure, quantize};
    use quantization::ggml::{self, GgmlType};
    use quantization::gptq::{Hessian, Options, gptq};
    use quantization::model_file::{ModelFile, RowOrder};
    let model = ModelFile::open(notebooks::data_set("stories260k")?.folder.join("stories260K-f32.gguf"))?;
    let at = model.find("blk.2.ffn_down.weight").expect("a tensor of the model");
    let columns = model.tensors()[at].row_len();
    let weights = model.weights(at, RowOrder::Pairs)?;
    println!("{} x {columns} weights of `{}`", weights.len() / columns, model.tensors()[at].name);
    let mut panels = Vec::new();
    for bits in [2, 3, 4] {
        let grid = Grid::absmax(bits);
        let one = quantize(&weights, columns, &grid, Granularity::Tensor, &Fit::MinMax)?.parameters[0];
        let marks: Vec<f64> = (grid.lowest_code()..=grid.highest_code())
            .map(|code| f64::from(one.scale) * (f64::from(code) - f64::from(one.zero_point)))
            .collect();
        panels.push(Distribution::of(
            &weights,
            [-1.0, 1.0],
            80,
            format!("{bits} bits, one scale for all: {} values", marks.len()),
            marks,
        ));
    }
    notebooks::show(&Figure::Distributions {
        title: "Weights, and the values that they may keep".into(),
        x: "weight".into(),
        panels,
    })?;
    // %% [markdown]
    // ## Who shares a scale?
    //
    // One outlier stretches the grid of everybody who shares its scale. The fewer share, the less is lost, and the more scales are stored.
    // %%
    let mut rows = Vec::new();
    for bits in [8, 4, 3, 2] {
        let mut row = vec![format!("{bits}")];
        for grid in [Grid::absmax(bits), Grid::asymmetric(bits)] {
            for granularity in [Granularity::Tensor, Granularity::Channel, Granularity::Group(32)] {
                let restored = fake_quantize(&weights, columns, &grid, granularity, &Fit::MinMax)?;
                row.push(format!("{:.1}", measure(&weights, &restored).sqnr_db.unwrap_or(f64::INFINITY)));
            }
        }
        rows.push(row);
    }
    notebooks::table(
        &["bits", "absmax, tensor", "row", "group of 32", "zero-point, tensor", "row", "group of 32"],
        &rows,
    );
    println!("signal to noise in dB: 6 dB is one bit");
    // %% [markdown]
    // ## The block types of GGUF
    //
    // llama.cpp's types are grids with two levels of scales, searched rather than computed. Error against size, on the same tensor (padded
    // to rows of 256 where a type asks for it):
    // %%
    let tensor: Vec<f32> = weights.iter().copied().take(weights.len() / 256 * 256).collect();
    let mut points = Vec::new();
    for kind in GgmlType::all().filter(|kind| kind.bits_per_weight() < 9.0 && 256 % kind.block_len() == 0) {
        let mut bytes = vec![0; kind.bytes(tensor.len()).expect("whole blocks")];
        if ggml::encode(kind, &tensor, 256, None, &mut bytes).is_err() {
            continue; // a type that is read but not written
        }
        let mut restored = vec![0.0; tensor.len()];
        ggml::decode(kind, &bytes, &mut restored)?;
        let error = measure(&tensor, &restored).relative_rmse.unwrap_or(0.0);
        points.push(Named { at: [kind.bits_per_weight(), error], name: kind.name().to_owned() });
    }
    points.sort_by(|a, b| a.at[0].total_cmp(&b.at[0]));
    notebooks::show(&Figure::Frontier {
        title: "Error of the block types".into(),
        x: "bits per weight".into(),
        y: "relative error".into(),
        groups: vec![("GGUF".into(), points)],
    })?;
    // %% [markdown]
    // ## GPTQ: the error that matters
    //
    // Rounding to nearest keeps the *weights*; what counts are the layer's *outputs*. GPTQ quantizes column after column and lets the later
    // ones make up for the error of the earlier ones, $\delta_F = -\frac{w_q - \mathrm{quant}(w_q)}{[H^{-1}]_{qq}}\,(H^{-1})_{:,q}$ with
    // $H = X X^\top$. Inputs here are sums of neighbours, so that columns know something of one another:
    // %%
    fn noise(state: &mut u32) -> f32 {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from((*state >> 16) as u16) / 32768.0 - 1.0
    }
    let mut state = 1_u32;
    let mut hessian = Hessian::new(columns);
    for _ in 0..2000 {
        let raw: Vec<f32> = (0..columns + 8).map(|_| noise(&mut state)).collect();
        let smooth: Vec<f32> = raw.windows(9).map(|window| window.iter().sum()).collect();
        hessian.add(&smooth)?;
    }
    let mut rows = Vec::new();
    for bits in [4, 3, 2] {
        let options = Options::paper(bits);
        let nearest = fake_quantize(&weights, columns, &options.grid, Granularity::Channel, &Fit::MinMax)?;
        let solved = gptq(&weights, &hessian, &options)?;
        let [of_nearest, of_solved] =
            [hessian.layer_error(&weights, &nearest)?, hessian.layer_error(&weights, &solved.weights)?];
        rows.push([
            format!("{bits}"),
            format!("{of_nearest:.4}"),
            format!("{of_solved:.4}"),
            format!("{:.1}", of_nearest / of_solved),
        ]);
        notebooks::check(of_solved < of_nearest, "GPTQ keeps the outputs better than rounding to nearest")?;
    }
    notebooks::table(&["bits", "output error, nearest", "output error, GPTQ", "ratio"], &rows);
    // %% [markdown]
    // ## What came out
    // %%
    let report = notebooks::report("quantization")?;
    notebooks::claims(&report);
    Ok(())
}
