//! Long-CLIP: how to read past the 77th token.
//! :dep common = { path = "../common", default-features = false }
//! :dep long-clip = { path = "../long-clip" }
//! :dep notebooks = { path = ".", default-features = false }
//! :dep serde_json = "1"
//! :dep tch = "=0.24.0"

use anyhow::Result;

pub(crate) fn run() -> Result<()> {
    // %% [markdown]
    // # Long-CLIP: unlocking the long-text capability of CLIP
    //
    // Zhang, Zhang, Dong, Zang, Wang, *Long-CLIP*, ECCV 2024.
    //
    // CLIP's text tower has 77 positions. How many captions of people who describe a picture in full fit? (ImageInWords, Google, CC BY 4.0.)
    // %%
    use common::figure::{Distribution, Figure};
    use long_clip::pcm::{AxesGradient, coarse};
    use long_clip::position::PositionTable;
    use long_clip::stretch::Stretch;
    use long_clip::tokenizer::{Specials, Tokenizer};
    use tch::{Device, Kind, Tensor};
    let tokenizer =
        Tokenizer::open(&notebooks::data_set("clip-bpe")?.folder.join("bpe_simple_vocab_16e6.txt.gz"))?;
    let captions =
        std::fs::read_to_string(notebooks::data_set("imageinwords")?.folder.join("long_captions.jsonl"))?;
    let lengths = captions
        .lines()
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line)?;
            let ids = tokenizer.encode(value["caption"].as_str().unwrap_or_default(), Specials::Meant);
            Ok((ids.len() + 2) as f32)
        })
        .collect::<Result<Vec<f32>, serde_json::Error>>()?;
    for limit in [77.0_f32, 248.0] {
        let cut = lengths.iter().filter(|length| **length > limit).count();
        println!(
            "{:.1} % of {} captions are longer than {limit} tokens",
            100.0 * cut as f64 / lengths.len() as f64,
            lengths.len()
        );
    }
    notebooks::show(&Figure::Distributions {
        title: "Tokens of captions; marks: 77 and 248".into(),
        x: "tokens, start and end included".into(),
        panels: vec![Distribution::of(
            &lengths,
            [0.0, 500.0],
            50,
            format!("{} captions", lengths.len()),
            vec![77.0, 248.0],
        )],
    })?;
    // %% [markdown]
    // ## Stretching the position table
    //
    // The last positions were hardly ever trained: most captions are short. So the paper keeps the first 20 rows as they are and stretches only
    // the rest by four, which makes 248 rows. The code and the formula printed in the paper differ: the printed one jumps back to rows that
    // were used already. Source row of each new row:
    // %%
    let table = PositionTable::new((0..77).map(|row| row as f32).collect(), 1)?;
    let mut groups = Vec::new();
    for (name, stretch) in [
        ("official code: 20 kept", Stretch::paper()),
        ("all rows spread", Stretch::Plain { length: 248 }),
        ("formula as printed", Stretch::Printed { kept: 20, ratio: 4, length: 248 }),
    ] {
        let longer = stretch.apply(&table)?;
        let line = longer
            .values()
            .iter()
            .enumerate()
            .map(|(row, source)| [row as f64, f64::from(*source)])
            .collect();
        println!("{name}: {} rows, the first {} unchanged", longer.rows(), stretch.unchanged(77));
        groups.push((name.to_owned(), vec![line]));
    }
    notebooks::show(&Figure::Curves {
        title: "Where each row of the longer table comes from".into(),
        x: "row of the new table".into(),
        y: "row of CLIP's table".into(),
        groups,
    })?;
    // %% [markdown]
    // ## Primary component matching
    //
    // Fine-tuned on long captions alone, CLIP forgets short ones. The paper aligns a long caption with the image's feature and a short caption
    // with a *coarse* one, which keeps only the main axes of the batch:
    //
    // $$ X_c = (X - \mu)\, V_k V_k^\top + \mu, \qquad k = 32. $$
    //
    // What is left of the features depends on the batch, not only on $k$. With at most 33 rows nothing is dropped at all:
    // %%
    tch::manual_seed(0);
    let mut rows = Vec::new();
    for batch in [32_i64, 64, 256, 1024] {
        let mut row = vec![batch.to_string()];
        // Features whose axes fall off as 1/i, of length 1, as an encoder's do.
        let scale = Tensor::arange_start(1, 513, (Kind::Float, Device::Cpu)).reciprocal();
        let raw = Tensor::randn([batch, 512], (Kind::Float, Device::Cpu)) * scale;
        let features = &raw / raw.norm_scalaropt_dim(2.0, [1].as_slice(), true);
        for components in [8, 32, 128] {
            let kept = coarse(&features, components, AxesGradient::Full);
            let cosine =
                Tensor::cosine_similarity(&features, &kept, 1, 1e-8).mean(Kind::Double).double_value(&[]);
            row.push(format!("{cosine:.4}"));
        }
        rows.push(row);
    }
    notebooks::table(&["batch", "cosine to its coarse feature, k = 8", "k = 32", "k = 128"], &rows);
    // %% [markdown]
    // ## What came out
    //
    // In a drawn world whose captions are true by construction, so that a model's reading can be tested sentence by sentence.
    // %%
    let report = notebooks::report("long-clip")?;
    notebooks::claims(&report);
    Ok(())
}
