//! Majority-or-Minority learning: what a loss does to the word nobody cares about.
//! :dep common = { path = "../common", default-features = false, features = ["tensor"] }
//! :dep ner-mom = { path = "../ner-mom" }
//! :dep notebooks = { path = ".", default-features = false }
//! :dep tch = "=0.24.0"

use anyhow::Result;

pub(crate) fn run() -> Result<()> {
    // %% [markdown]
    // # Majority-or-Minority learning for named entities
    //
    // Nemoto, Kitada, Iyatomi, *Majority or Minority: Data Imbalance Learning Method for Named Entity Recognition* (2024).
    //
    // Most words are no entity: they have the class **O**. Losses against imbalance raise the weight of the rare classes. This paper goes the
    // other way: it adds the loss of the *majority*, so that words of O that are taken for an entity cost more:
    //
    // $$ L = \lambda\, L_{\mathrm{CE}} + (1 - \lambda)\, L_{\mathrm{MoM}}, \qquad
    //    L_{\mathrm{MoM}} = \frac1M \sum_{i:\, y_i = \mathrm O} \ell_i $$
    //
    // First: how rare are entities?
    // %%
    use common::corpora::CorpusName;
    use common::figure::Figure;
    use ner_mom::loss::{Context, Loss, Normaliser, mom_ce_weights, weights_tensor};
    use std::collections::BTreeMap;
    use tch::{Kind, Tensor};
    let sentences = CorpusName::Wikigold.read(&notebooks::data_set("wikigold")?)?.train;
    let words: usize = sentences.iter().map(|sentence| sentence.words.len()).sum();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for span in sentences.iter().flat_map(|sentence| &sentence.spans) {
        *counts.entry(span.label.clone()).or_default() += span.end - span.start;
    }
    let inside: usize = counts.values().sum();
    counts.insert("O".into(), words - inside);
    println!(
        "{} sentences, {words} words, {:.1} % of them O",
        sentences.len(),
        100.0 * (words - inside) as f64 / words as f64
    );
    notebooks::show(&Figure::Bars {
        title: "Wikigold: words by class".into(),
        value: "words".into(),
        parts: vec!["words".into()],
        bars: counts.iter().map(|(class, n)| (class.clone(), vec![*n as f64])).collect(),
    })?;
    // %% [markdown]
    // ## What the loss of one word looks like
    //
    // A word whose gold class has the probability $p$. With cross-entropy as its base and $M$ = the words of the batch, an O word costs
    // $\lambda(-\log p) + (1-\lambda)(-\log p) = -\log p$, an entity word $\lambda(-\log p)$. So **MoM over cross-entropy is nothing but
    // cross-entropy with the weight $\lambda$ on all entities**: it lowers the minority instead of raising it.
    // %%
    let alone = Context { class_weights: weights_tensor(&[1.0, 1.0]), sentences: 1, longest: 1 };
    let losses = ["ce", "focal:2", "mom:ce:0.5"];
    let mut groups = Vec::new();
    for name in losses {
        let loss: Loss = name.parse()?;
        for (label, class) in [(0_i64, "O"), (1, "entity")] {
            if label == 1 && name != "mom:ce:0.5" {
                continue; // the same as of O
            }
            let line: Vec<[f64; 2]> = (1..100)
                .map(|percent| {
                    let p = f64::from(percent) / 100.0;
                    let both = if label == 0 { [p.ln(), (1.0 - p).ln()] } else { [(1.0 - p).ln(), p.ln()] };
                    let log_probs = Tensor::from_slice(&both).view([1, 2]);
                    [
                        p,
                        loss.of_log_probs(&log_probs, &Tensor::from_slice(&[label]), &alone)
                            .double_value(&[]),
                    ]
                })
                .collect();
            let heading = if name == "mom:ce:0.5" { format!("{name}, {class}") } else { name.to_owned() };
            groups.push((heading, vec![line]));
        }
    }
    notebooks::show(&Figure::Curves {
        title: "Loss of one word".into(),
        x: "probability of the gold class".into(),
        y: "loss".into(),
        groups,
    })?;
    // %% [markdown]
    // The same, checked on a batch of random logits with the crate's own functions: the weighted sum equals MoM.
    // %%
    tch::manual_seed(1);
    let logits = Tensor::randn([200, 5], (Kind::Double, tch::Device::Cpu));
    let labels = Tensor::randint(5, [200], (Kind::Int64, tch::Device::Cpu));
    let context = Context { class_weights: weights_tensor(&[1.0; 5]), sentences: 10, longest: 25 };
    let mom = Loss::Mom { base: Box::new(Loss::CrossEntropy), lambda: 0.3, normaliser: Normaliser::Words };
    let as_mom = mom.forward(&logits, &labels, &context).double_value(&[]);
    let weights = Tensor::from_slice(&mom_ce_weights(0.3, 5)).index_select(0, &labels);
    let per_word =
        -logits.log_softmax(-1, Kind::Double).gather(1, &labels.unsqueeze(-1), false).squeeze_dim(-1);
    let as_weights = (weights * per_word).mean(Kind::Double).double_value(&[]);
    println!("MoM over cross-entropy  {as_mom:.12}\nweighted cross-entropy  {as_weights:.12}");
    notebooks::check(
        (as_mom - as_weights).abs() < 1e-12,
        "MoM over cross-entropy is weighted cross-entropy",
    )?;
    // %% [markdown]
    // ## What came out
    //
    // The paper reports the best F1 among all losses on five corpora. Our experiment trains six losses on open corpora, five seeds each,
    // with every setting chosen on development data.
    // %%
    let report = notebooks::report("ner-mom")?;
    notebooks::claims(&report);
    Ok(())
}
