//! How annotated files are read.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::corpora::{Reading, read_files};
use crate::formats::conll::ConllOptions;
use crate::formats::{Scheme, Sentence};
use crate::text::segment::{CHARACTERS, Segmenter};

/// Options of every verb that reads annotated files.
#[derive(Clone, Debug, Args)]
pub struct Columns {
    /// Column of the word, from 0; negative counts from the end [default: found out]
    #[arg(long, value_name = "COLUMN", allow_negative_numbers = true)]
    pub word_column: Option<isize>,
    /// Column of the tag [default: found out]
    #[arg(long, value_name = "COLUMN", allow_negative_numbers = true)]
    pub tag_column: Option<isize>,
    /// Tag scheme: iob1, iob2, ioe1, ioe2, iobes or bilou [default: found out]
    #[arg(long)]
    pub scheme: Option<Scheme>,
    /// Count only entities that are well formed in the scheme, as seqeval's strict mode; else tags are read leniently
    #[arg(long)]
    pub strict: bool,
    /// Names of tags that are numbers in `ner_tags`, in their order
    #[arg(long, value_name = "O,B-TYPE,…", value_delimiter = ',')]
    pub tag_names: Vec<String>,
    /// Words of texts that come without: `characters`, `spaces`, a dictionary of the verb `dictionary`, or the folder of
    /// a compiled MeCab dictionary [default: characters]
    #[arg(long, value_name = "NAME|PATH")]
    pub segmenter: Option<String>,
}

impl Columns {
    /// Sentences of annotated files; says what their entities lost by the cut into words.
    ///
    /// # Errors
    /// Missing, malformed or empty files, an unknown segmenter.
    pub fn read(&self, paths: &[PathBuf]) -> Result<Vec<Sentence>> {
        let columns = ConllOptions {
            word: self.word_column,
            tag: self.tag_column,
            scheme: self.scheme,
            tagged: true,
            strict: self.strict,
        };
        let segmenter = Segmenter::open(self.segmenter.as_deref().unwrap_or(CHARACTERS))?;
        let read = read_files(paths, &Reading { columns, segmenter, tag_names: self.tag_names.clone() })?;
        if read.straddling + read.lost > 0 {
            eprintln!(
                "warning: {} entities begin or end within a word and take in all of it, {} share their word with \
                 another and are left out; another --segmenter may fit better",
                read.straddling, read.lost
            );
        }
        Ok(read.sentences)
    }
}
