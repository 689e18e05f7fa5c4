//! Transfer for low-resource NER: a discriminator that cannot be tuned, and a rotation that can be read.
//! :dep common = { path = "../common", default-features = false, features = ["tensor"] }
//! :dep notebooks = { path = ".", default-features = false }
//! :dep tch = "=0.24.0"
//! :dep transfer-ner = { path = "../transfer-ner" }

use anyhow::Result;

pub(crate) fn run() -> Result<()> {
    // %% [markdown]
    // # Named entities with hardly any labels
    //
    // Zhou et al., *Dual Adversarial Neural Transfer for Low-Resource Named Entity Recognition* (DATNet), ACL 2019, with the methods of a survey.
    //
    // A rich source language lends its features to a poor target. A discriminator guesses from the shared features where a sentence comes from,
    // and the encoder is trained to fool it. The paper weights its loss, since the source has many more sentences:
    //
    // $$ \ell_{\mathrm{GRAD}} = -\alpha\,(1 - r)^\gamma \log r \;\;(\text{source}), \qquad
    //    -(1 - \alpha)\, r^\gamma \log(1 - r) \;\;(\text{target}) $$
    //
    // Both published programs compute something else: two terms that are equal for two classes, so that $\alpha$ cancels. The crate has both.
    // %%
    use common::figure::Figure;
    use tch::Tensor;
    use transfer_ner::adversary::Discriminator;
    use transfer_ner::align::{align, dictionary, identical, precision};
    use transfer_ner::dictionary::Dictionary;
    use transfer_ner::vectors::{Vectors, Wanted};
    let mut rows = Vec::new();
    for alpha in [0.1, 0.25, 0.5, 0.9] {
        let mut row = vec![format!("{alpha}")];
        for loss in
            [Discriminator::Grad { alpha, gamma: 2.0 }, Discriminator::GradReleased { alpha, gamma: 2.0 }]
        {
            let logit = Tensor::from_slice(&[0.4_f64]).set_requires_grad(true);
            let value = loss.loss(&logit, true);
            value.backward();
            row.push(format!("{:.6}", value.double_value(&[])));
            row.push(format!("{:+.6}", logit.grad().double_value(&[0])));
        }
        rows.push(row);
    }
    notebooks::table(&["α", "as printed: loss", "gradient", "as released: loss", "gradient"], &rows);
    notebooks::check(
        rows.iter().all(|row| row[3..] == rows[0][3..]),
        "α has no effect in the released form",
    )?;
    // %% [markdown]
    // ## Two languages, one rotation
    //
    // Xie et al. (2018) translate the source's words. Two spaces of word vectors are nearly rotations of one another; words that are written
    // alike in both give the pairs $(x_i, y_i)$, and Procrustes the orthogonal $W = U V^\top$ with $U \Sigma V^\top = \mathrm{SVD}(Y^\top X)$.
    // Half a million tokens of Wikipedia make poor vectors (5,000 words of each), so look at the direction, not at the level.
    // %%
    let folder = notebooks::data_set("wikineural-vec50")?.folder;
    let english = Vectors::read(&folder.join("wikineural.en.50.vec.gz"), Wanted::First(5000), None)?;
    let spanish = Vectors::read(&folder.join("wikineural.es.50.vec.gz"), Wanted::First(5000), None)?;
    let truth = Dictionary::read(&notebooks::data_set("freedict-bilingual")?.folder.join("en-es.tsv"))?;
    let pairs = identical(&english, &spanish);
    println!(
        "{} English words, {} Spanish, {} written alike",
        english.words.len(),
        spanish.words.len(),
        pairs.len()
    );
    let mut line = Vec::new();
    for refinements in 0..4 {
        let aligned = align(&english, &spanish, &pairs, refinements)?;
        let right = precision(&aligned, &english, &spanish, &truth).unwrap_or(0.0);
        println!("{refinements} refinements: {} pairs, precision at 1 {:.3}", aligned.pairs, right);
        line.push([f64::from(refinements as u32), right]);
    }
    notebooks::show(&Figure::Curves {
        title: "Words translated right, against FreeDict".into(),
        x: "refinements on mutual CSLS neighbours".into(),
        y: "precision at 1".into(),
        groups: vec![("English to Spanish".into(), vec![line])],
    })?;
    // %% [markdown]
    // What the rotation says of words that are written differently:
    // %%
    let aligned = align(&english, &spanish, &pairs, 1)?;
    let found = dictionary(&aligned, &english, &spanish);
    let rows: Vec<[String; 2]> =
        ["king", "church", "university", "war", "river", "singer", "album", "season"]
            .iter()
            .map(|word| [(*word).to_owned(), found.translations(word).join(", ")])
            .collect();
    notebooks::table(&["English", "nearest Spanish word"], &rows);
    // %% [markdown]
    // ## What came out
    // %%
    let report = notebooks::report("transfer-ner")?;
    notebooks::claims(&report);
    Ok(())
}
