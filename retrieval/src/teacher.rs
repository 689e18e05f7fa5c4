//! Training examples from a labelled collection: hard negatives by BM25, and a lexical teacher's scores.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;

use crate::bm25::Bm25;
use crate::data::{Collection, Document, Squad};
use crate::training::data::{Example, TrainingData};

/// Examples of a collection: for each query and each document relevant to it, that document and the best `negatives`
/// others by BM25, without scores: for a cross-entropy, or for a teacher to score.
pub fn hard_negatives(collection: &Collection, bm25: &Bm25, negatives: usize) -> TrainingData {
    let place: HashMap<&str, usize> = collection
        .documents
        .iter()
        .enumerate()
        .map(|(place, document)| (document.id.as_str(), place))
        .collect();
    let example = |(query, asked): (usize, &crate::data::Query)| {
        let grades = collection.judgements.get(&asked.id);
        let judged = grades.into_iter().flatten().filter(|(_, grade)| **grade > 0);
        let relevant: BTreeSet<usize> =
            judged.filter_map(|(id, _)| place.get(id.as_str()).copied()).collect();
        let found = bm25.search(&asked.text, negatives + relevant.len());
        let others = found.into_iter().map(|(document, _)| document as usize);
        let others: Vec<usize> =
            others.filter(|document| !relevant.contains(document)).take(negatives).collect();
        let with = |positive: &usize| {
            let documents = std::iter::once(*positive).chain(others.iter().copied()).collect();
            Example { query, documents, scores: Vec::new() }
        };
        relevant.iter().map(with).collect::<Vec<_>>()
    };
    let examples: Vec<Vec<Example>> = collection.queries.par_iter().enumerate().map(example).collect();
    TrainingData { examples: examples.into_iter().flatten().collect(), ..texts(collection) }
}

/// Examples among neighbours: the other documents of a question are the paragraphs of its article, `ways - 1` at most, the
/// best by BM25 first, those without a common term last. The teacher's score of a document is its BM25 score over that of the best one, plus 1 when the
/// document contains an answer, plus 1 when the question was written for it. Ours: a stand-in for the paper's cross-encoder,
/// which is not there to be run.
pub fn within_articles(squad: &Squad, bm25: &Bm25, ways: usize) -> TrainingData {
    let Squad { collection, articles, answers } = squad;
    let n = collection.documents.len();
    let positive: HashMap<&str, usize> = collection
        .documents
        .iter()
        .enumerate()
        .map(|(place, document)| (document.id.as_str(), place))
        .collect();
    let example = |(query, asked): (usize, &crate::data::Query)| {
        let gold = collection.judgements.get(&asked.id)?.keys().next()?;
        let gold = *positive.get(gold.as_str())?;
        let hits = bm25.search(&asked.text, n);
        let best = hits.first().map_or(1.0, |hit| hit.1);
        let near = hits.iter().map(|&(document, score)| (document as usize, score / best));
        let near = near.filter(|(document, _)| articles[*document] == articles[gold]);
        let mut candidates: Vec<(usize, f32)> = vec![(gold, 0.0)];
        let mut left: BTreeSet<usize> =
            (0..n).filter(|&document| articles[document] == articles[gold]).collect();
        for (document, score) in near {
            left.remove(&document);
            match document == gold {
                true => candidates[0].1 = score,
                false => candidates.push((document, score)),
            }
        }
        left.remove(&gold);
        candidates.extend(left.into_iter().map(|document| (document, 0.0)));
        candidates.truncate(ways);
        for (document, score) in &mut candidates {
            let text = &collection.documents[*document].text;
            let contains = answers[query].iter().any(|answer| text.contains(answer.as_str()));
            *score += f32::from(u8::from(contains)) + f32::from(u8::from(*document == gold));
        }
        let (documents, scores) = candidates.into_iter().unzip();
        Some(Example { query, documents, scores })
    };
    let examples: Vec<Option<Example>> = collection.queries.par_iter().enumerate().map(example).collect();
    TrainingData { examples: examples.into_iter().flatten().collect(), ..texts(collection) }
}

fn texts(collection: &Collection) -> TrainingData {
    TrainingData {
        queries: collection.queries.iter().map(|query| query.text.clone()).collect(),
        documents: collection.documents.iter().map(Document::full_text).collect(),
        examples: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bm25::{Analyzer, Parameters};
    use crate::data::squad;

    fn collection() -> Squad {
        let json = r#"{"data": [
            {"paragraphs": [
                {"context": "東大寺は奈良にある。大仏が有名だ。", "qas": [{"id": "1", "question": "東大寺はどこにある？", "answers": [{"text": "奈良"}]}]},
                {"context": "奈良には鹿が多い。", "qas": []},
                {"context": "寺の歴史は長い。", "qas": []}]},
            {"paragraphs": [{"context": "東大寺とは別の記事。東大寺はここでも話題だ。", "qas": []}]}]}"#;
        squad(json, false).unwrap()
    }

    fn bm25(squad: &Squad) -> Bm25 {
        let texts: Vec<&str> =
            squad.collection.documents.iter().map(|document| document.text.as_str()).collect();
        Bm25::new(&texts, Analyzer::Bigrams, Parameters::PASSAGES)
    }

    #[test]
    fn hard_negatives_are_the_best_other_documents() {
        let squad = collection();
        let data = hard_negatives(&squad.collection, &bm25(&squad), 1);
        assert_eq!(data.examples, [Example { query: 0, documents: vec![0, 3], scores: vec![] }]);
    }

    #[test]
    fn the_teacher_prefers_answers_and_the_labelled_paragraph_of_the_same_article() {
        let squad = collection();
        let data = within_articles(&squad, &bm25(&squad), 8);
        let Example { documents, scores, .. } = &data.examples[0];
        assert!(documents[0] == 0 && !documents.contains(&3), "{documents:?}");
        assert!(scores[0] > 2.0, "{scores:?}");
        let deer = documents.iter().position(|document| *document == 1);
        assert!(deer.is_none_or(|place| (1.0..2.0).contains(&scores[place])), "{scores:?}");
    }
}
