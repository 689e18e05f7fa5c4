//! Late interaction: every word of the question finds its own partner.
//! :dep common = { path = "../common", default-features = false }
//! :dep notebooks = { path = ".", default-features = false }
//! :dep retrieval = { path = "../retrieval", default-features = false }
//! :dep transfer-ner = { path = "../transfer-ner" }

use anyhow::Result;

pub(crate) fn run() -> Result<()> {
    // %% [markdown]
    // # Late interaction, and how to keep a vector for every token
    //
    // Clavié, *JaColBERTv2.5* (2024), with ColBERTv2 (Santhanam et al. 2022) and PLAID (2022).
    //
    // A single vector must say everything about a passage. ColBERT keeps one for each token and scores a question $q$ against a document $d$ by
    //
    // $$ S(q, d) = \sum_{i \in q} \max_{j \in d}\; q_i \cdot d_j \qquad (\text{MaxSim}) $$
    //
    // so that every word of the question looks for its best partner. To see it without a large model, let word vectors be the tokens (50
    // dimensions, skip-gram on WikiNEuRal, the crate's experiments train encoders instead):
    // %%
    use common::figure::Figure;
    use common::residual::{Cells, Codec, CodecConfig, KmeansConfig};
    use retrieval::maxsim;
    use transfer_ner::vectors::{Vectors, Wanted};
    let file = notebooks::data_set("wikineural-vec50")?.folder.join("wikineural.en.50.vec.gz");
    let mut vectors = Vectors::read(&file, Wanted::All, None)?;
    let width = vectors.width;
    for row in vectors.rows.chunks_mut(width) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= length.max(1e-12));
    }
    fn tokens<'a>(text: &'a str, vectors: &Vectors) -> (Vec<&'a str>, Vec<f32>) {
        let places = vectors.index();
        let known: Vec<&str> = text.split(' ').filter(|word| places.contains_key(word)).collect();
        let rows = known.iter().flat_map(|word| vectors.row(places[word]).to_vec()).collect();
        (known, rows)
    }
    {
        let (query, q) = tokens("where did the singer die", &vectors);
        let (document, d) = tokens("the composer moved to vienna and died there in 1827", &vectors);
        let dot = |a: &[f32], b: &[f32]| f64::from(a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>());
        let values: Vec<Vec<f64>> =
            q.chunks(width).map(|a| d.chunks(width).map(|b| dot(a, b)).collect()).collect();
        let framed = values
            .iter()
            .map(|row| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|best| best.0))
            .collect();
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        let by_hand: f64 = values.iter().map(|row| row.iter().copied().fold(f64::MIN, f64::max)).sum();
        let score = f64::from(maxsim::score(&q, &d, width)?);
        println!("MaxSim {score:.4}, the framed cells by hand {by_hand:.4}");
        notebooks::check((score - by_hand).abs() < 1e-4, "MaxSim is the sum of the framed cells")?;
        notebooks::show(&Figure::HeatMap {
            title: "Which word answers which?".into(),
            value: "cosine".into(),
            rows: owned(&query),
            columns: owned(&document),
            values,
            framed,
        })?;
    }
    // %% [markdown]
    // ## Compression: a centroid and two bits
    //
    // A vector per token is a hundred times the text. ColBERTv2 stores the number of the nearest of $2^{n}$ centroids and the *residual*, each
    // dimension rounded to $b$ bits between quantiles. How much of the direction is left?
    // %%
    let mut rows = Vec::new();
    for bits in [1, 2, 4] {
        let kmeans = KmeansConfig { centroids: 256, rounds: 4 };
        let config = CodecConfig { bits, kmeans, held_out: 0.05, cells: Cells::Quantile };
        let sample = &vectors.rows[..8000 * width];
        // The codes of a vector fill whole words: 32 of our 50 dimensions.
        let cut: Vec<f32> = sample.chunks(width).flat_map(|row| row[..32].to_vec()).collect();
        let codec = Codec::train(&cut, 32, &config, 1)?;
        let restored = codec.decompress(&codec.compress(&cut)?)?;
        let cosine = |a: &[f32], b: &[f32]| {
            let [mut ab, mut aa, mut bb] = [0.0_f64; 3];
            for (x, y) in a.iter().zip(b) {
                let (x, y) = (f64::from(*x), f64::from(*y));
                (ab, aa, bb) = (ab + x * y, aa + x * x, bb + y * y);
            }
            ab / (aa * bb).sqrt().max(1e-12)
        };
        let mean = cut.chunks(32).zip(restored.chunks(32)).map(|(a, b)| cosine(a, b)).sum::<f64>() / 8000.0;
        rows.push([
            format!("{bits}"),
            format!("{}", codec.vector_bytes()),
            format!("{}", 32 * 4),
            format!("{mean:.4}"),
        ]);
    }
    notebooks::table(&["bits", "bytes per vector", "bytes in f32", "mean cosine to the original"], &rows);
    // %% [markdown]
    // ## What came out
    //
    // Our encoders are small and trained from scratch on Japanese questions. Some of the paper's recipe holds there, some comes out the other way
    // round; the report traces what it could.
    // %%
    let report = notebooks::report("retrieval")?;
    notebooks::claims(&report);
    Ok(())
}
