"""One epoch of flair's SequenceTagger, a BiLSTM-CRF over learned word vectors, on the sentences in WORK/training.jsonl."""
import json
import logging
import sys
import tempfile
import time

import flair
import torch
from flair.data import Corpus, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import OneHotEmbeddings
from flair.models import SequenceTagger
from flair.trainers import ModelTrainer

logging.getLogger("flair").setLevel(logging.ERROR)
torch.set_num_threads(1)
flair.device = torch.device("cpu")
sentences = []
for line in open(f"{sys.argv[2]}/training.jsonl"):
    row = json.loads(line)
    sentence = Sentence(row["words"], use_tokenizer=False)
    for i, tag in enumerate(row["tags"]):
        if tag.startswith("B-"):
            sentence[i : i + 1].add_label("ner", tag[2:])
    sentences.append(sentence)
corpus = Corpus(train=FlairDatapointDataset(sentences), dev=FlairDatapointDataset(sentences[:1]), test=FlairDatapointDataset(sentences[:1]))
labels = corpus.make_label_dictionary("ner", add_unk=False)
words = OneHotEmbeddings.from_corpus(corpus, embedding_length=64, min_freq=1)
tagger = SequenceTagger(embeddings=words, tag_dictionary=labels, tag_type="ner", hidden_size=64, use_crf=True, reproject_embeddings=False)
with tempfile.TemporaryDirectory() as folder:
    start = time.perf_counter()
    ModelTrainer(tagger, corpus).train(folder, max_epochs=1, mini_batch_size=32, save_final_model=False, train_with_dev=False, monitor_test=False)
    seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "items": sum(map(len, sentences)), "values": []}))
