//! SQuAD JSON: paragraphs with questions, read as a retrieval collection.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::path::Path;

use common::formats::ParseError;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use super::{Collection, Document, Query};

#[derive(Deserialize)]
struct File {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    #[serde(default)]
    title: String,
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    #[serde(default)]
    qas: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    id: String,
    question: String,
    #[serde(default)]
    is_impossible: bool,
    #[serde(default)]
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
}

/// SQuAD files as a collection, and what they say beyond it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Squad {
    /// Documents, queries, judgements.
    pub collection: Collection,
    /// Number of the article that each document is from.
    pub articles: Vec<usize>,
    /// Texts that answer each query, in the order of the queries.
    pub answers: Vec<Vec<String>>,
}

/// The collection in SQuAD files: documents are the distinct paragraphs, queries the questions that have an answer, and
/// the paragraph a question was written for is its one relevant document. Ids of documents are `p0`, `p1`, … in the
/// order of first appearance. JSQuAD's `title [SEP] paragraph` is cut at its first mark into title and text; other
/// files have their article's title in the document where `titles` says so.
///
/// # Errors
/// [`ParseError`] with file and line of broken JSON, missing keys, ids that stand twice, files without a question.
pub fn read_squad(paths: &[impl AsRef<Path>], titles: bool) -> Result<Squad, ParseError> {
    let mut builder = Builder { titles, ..Builder::default() };
    for path in paths {
        let path = path.as_ref();
        let fail = |line: usize, problem: String| ParseError::new(path, line, problem, "");
        let file: File = serde_json::from_str(&text(path)?).map_err(|error| {
            fail(error.line(), format!("{error}; expected SQuAD's `data`, `paragraphs`, `qas`"))
        })?;
        builder.add(file).map_err(|problem| fail(1, problem))?;
    }
    Ok(builder.squad)
}

/// The collection in the text of one SQuAD file, see [`read_squad`].
///
/// # Errors
/// What is wrong, for a message.
pub fn squad(json: &str, titles: bool) -> Result<Squad, String> {
    let mut builder = Builder { titles, ..Builder::default() };
    builder.add(serde_json::from_str(json).map_err(|error| error.to_string())?)?;
    Ok(builder.squad)
}

fn text(path: &Path) -> Result<String, ParseError> {
    let fail = |error: std::io::Error| ParseError::new(path, 0, format!("cannot be read: {error}"), "");
    let file = std::fs::File::open(path).map_err(fail)?;
    let mut text = String::new();
    match path.extension().is_some_and(|end| end == "gz") {
        true => MultiGzDecoder::new(file).read_to_string(&mut text),
        false => std::io::BufReader::new(file).read_to_string(&mut text),
    }
    .map_err(fail)?;
    Ok(text)
}

/// Between title and paragraph in JSQuAD's contexts.
const TITLE_END: &str = " [SEP] ";

#[derive(Default)]
struct Builder {
    titles: bool,
    squad: Squad,
    known: HashMap<String, usize>,
    questions: HashSet<String>,
    n_articles: usize,
}

impl Builder {
    fn add(&mut self, file: File) -> Result<(), String> {
        let before = self.squad.answers.len();
        for article in file.data {
            for paragraph in article.paragraphs {
                let document = self.document(&article.title, &paragraph.context);
                for question in paragraph.qas.into_iter().filter(|question| !question.is_impossible) {
                    self.question(question, &document)?;
                }
            }
            self.n_articles += 1;
        }
        match self.squad.answers.len() > before {
            true => Ok(()),
            false => Err("no question with an answer".to_owned()),
        }
    }

    fn document(&mut self, article: &str, context: &str) -> String {
        let Squad { collection: Collection { documents, .. }, articles, .. } = &mut self.squad;
        let place = *self.known.entry(context.to_owned()).or_insert_with(|| {
            let (title, text) = match context.split_once(TITLE_END) {
                Some((title, text)) => (title, text),
                None if self.titles => (article, context),
                None => ("", context),
            };
            let id = format!("p{}", documents.len());
            documents.push(Document { id, title: title.to_owned(), text: text.to_owned() });
            articles.push(self.n_articles);
            documents.len() - 1
        });
        documents[place].id.clone()
    }

    fn question(&mut self, question: Question, document: &str) -> Result<(), String> {
        let Question { id, question: text, answers, .. } = question;
        if !self.questions.insert(id.clone()) {
            return Err(format!("the question id `{id}` stands twice; expected each once"));
        }
        let Collection { queries, judgements, .. } = &mut self.squad.collection;
        judgements.insert(id.clone(), BTreeMap::from([(document.to_owned(), 1)]));
        queries.push(Query { id, text });
        self.squad.answers.push(answers.into_iter().map(|answer| answer.text).collect());
        Ok(())
    }
}
