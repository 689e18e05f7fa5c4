//! `evaluate` of encoders: agreement on sentences.

use anyhow::{Result, bail};

use super::evaluate::Arguments;
use crate::model_file::ModelFile;

/// Refuses options that mean nothing for encoders.
fn check(file: &ModelFile, arguments: &Arguments) -> Result<()> {
    let of_language_models = [
        ("--windows", arguments.windows.is_some()),
        ("--tail", arguments.tail < 1.0),
        ("--decoded", arguments.decoded),
        ("--context", arguments.reading.context.is_some()),
    ];
    if let Some((option, _)) = of_language_models.into_iter().find(|(_, given)| *given) {
        bail!("{option} has no meaning for an encoder; leave it out");
    }
    if arguments.base.is_none() {
        bail!(
            "{}: is an encoder, which predicts no text; give the unquantized one with --base to compare their sentence vectors",
            file.path().display()
        );
    }
    Ok(())
}

#[cfg(not(feature = "tensor"))]
pub(super) fn run(file: &ModelFile, arguments: &Arguments) -> Result<()> {
    check(file, arguments)?;
    bail!(
        "{}: encoders are computed with libtorch, which this program was built without; build it with the feature `tensor`",
        file.path().display()
    )
}

#[cfg(feature = "tensor")]
pub(super) fn run(file: &ModelFile, arguments: &Arguments) -> Result<()> {
    use common::files::read_text;

    use crate::encoder::{Agreement, Encoder};

    check(file, arguments)?;
    let Some(path) = &arguments.base else { return Ok(()) };
    let base_file = ModelFile::open(path)?;
    let text = read_text(&arguments.text)?;
    let sentences: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if sentences.is_empty() {
        bail!("{}: no sentence, expected one per line", arguments.text.display());
    }
    tch::set_num_threads(i32::try_from(arguments.work.threads()).unwrap_or(1));
    let base = Encoder::load(&base_file, tch::Device::Cpu)?;
    let model = Encoder::load(file, tch::Device::Cpu)?;
    let sizes = [&base, &model].map(|encoder| (encoder.config().vocab, encoder.config().width));
    if sizes[0] != sizes[1] {
        let told = |(vocab, width)| format!("{vocab} tokens and vectors of {width}");
        bail!(
            "{}: {}, {} has {}; compare models of the same vocabulary and width",
            path.display(),
            told(sizes[0]),
            file.path().display(),
            told(sizes[1])
        );
    }
    let pieces = pieces(file, &base_file, arguments)?;
    let agreement = Agreement::of(&base.vectors(&sentences, &pieces)?, &model.vectors(&sentences, &pieces)?);
    report(&agreement, arguments.json);
    Ok(())
}

/// The tokenizer that was asked for, else the model's, else the base's: both read the same tokens. A folder's files come before
/// the vocabulary of a GGUF file, which does not tell all of them.
#[cfg(feature = "tensor")]
fn pieces(file: &ModelFile, base: &ModelFile, arguments: &Arguments) -> Result<common::text::pieces::Pieces> {
    use crate::encoder::vocabulary;

    let asked = arguments.reading.tokenizer.as_deref().map(ModelFile::open).transpose()?;
    let mut places: Vec<&ModelFile> = match &asked {
        Some(asked) => vec![asked],
        None => vec![file, base],
    };
    places.sort_by_key(|place| place.folder().is_none());
    for place in places {
        if let Some(pieces) = vocabulary(place)? {
            return Ok(pieces);
        }
    }
    let place = asked.as_ref().unwrap_or(file);
    bail!(
        "{}: has no word pieces; give a folder with tokenizer.json or vocab.txt with --tokenizer",
        place.path().display()
    )
}

#[cfg(feature = "tensor")]
fn report(agreement: &crate::encoder::Agreement, json: bool) {
    let rows = [
        ("mean cosine", agreement.mean_cosine()),
        ("least cosine", agreement.least_cosine()),
        ("Spearman of similarities", agreement.spearman),
        ("same nearest neighbour", agreement.same_nearest),
        ("overlap of the 10 nearest", agreement.overlap()),
    ];
    if json {
        let mut object = serde_json::json!({
            "sentences": agreement.cosines.len(),
            "paired": agreement.paired,
        });
        for (name, value) in rows {
            object[name.replace(' ', "_").to_lowercase()] = serde_json::json!(value);
        }
        println!("{object}");
        return;
    }
    println!("{} sentences, {} of them compared in pairs", agreement.cosines.len(), agreement.paired);
    for (name, value) in rows {
        let value = value.map_or("undefined".to_owned(), |value| format!("{value:.6}"));
        println!("{name:<32}{value:>14}");
    }
}
