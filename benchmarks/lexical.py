"""Lexical search: ours on tantivy against bm25s and SQLite FTS5; and how to index Chinese.

All systems get the same text: the title once, then also the title twice. nDCG@10, and the interval
of ours - each over the same queries; then the time per query on scifact twenty times over (about
104,000 documents), all in one run.

    GRAFT_BENCH_DATA=... python benchmarks/lexical.py
"""

import re
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import bm25s
import rjieba
import Stemmer
import tantivy
from langchain_core.documents import Document
from report import data_folder, finish, print_table

from langchain_graft.evaluation.bootstrap import paired_bootstrap
from langchain_graft.evaluation.datasets import load_beir, load_beir_corpus
from langchain_graft.evaluation.ranking import ranking_metrics
from langchain_graft.retrievers import words
from langchain_graft.retrievers.bm25 import BM25Index
from langchain_graft.retrievers.query import Query

K = 10
DATA = (
    ("scifact", "test"),
    ("cmrc2018", "dev"),
    ("zh_medical_dialogue", "dev"),
    ("nq_open_oracle", ""),
    ("musique_train100", ""),
)
COPIES = 20
TIMED_QUERIES = 300
HAN = re.compile(r"[\u3400-\u9fff]+")

Corpus = Mapping[str, tuple[str, str]]
"""Id to title and text."""
Search = Callable[[str], list[str]]


def ours(corpus: Corpus, *, knows_titles: bool = True) -> Search:
    """Our index; it is told the same text as the others, and which words of it are the title."""
    index = BM25Index(tempfile.mkdtemp())
    documents = [
        Document(id=id_, page_content=text, metadata={"title": title} if knows_titles else {})
        for id_, (title, text) in corpus.items()
    ]
    texts = [f"{title}\n{text}" for title, text in corpus.values()]
    for start in range(0, len(documents), 10_000):
        part = slice(start, start + 10_000)
        index.add(documents[part], texts=texts[part])
    index.close()
    return lambda query: [str(d.id) for d in index.search_many([Query(query)], k=K)[0]]


def ours_untitled(corpus: Corpus) -> Search:
    return ours(corpus, knows_titles=False)


def bm25s_search(corpus: Corpus) -> Search:
    ids = list(corpus)
    stemmer = Stemmer.Stemmer("english")

    def tokenize(texts: Sequence[str]) -> object:
        spread = [words.spread_han(text) for text in texts]
        return bm25s.tokenize(
            spread,
            stopwords="en",
            stemmer=stemmer,
            show_progress=False,
            token_pattern=r"(?u)\b\w+\b",  # noqa: S106 (no password)
        )

    index = bm25s.BM25()
    texts = [f"{title}\n{text}" for title, text in corpus.values()]
    index.index(tokenize(texts), show_progress=False)

    def search(query: str) -> list[str]:
        found, _ = index.retrieve(tokenize([query]), k=K, show_progress=False)
        return [ids[n] for n in found[0]]

    return search


def fts5_search(corpus: Corpus) -> Search:
    database = sqlite3.connect(tempfile.mkdtemp() + "/fts.sqlite")
    database.execute("CREATE VIRTUAL TABLE t USING fts5(id UNINDEXED, text, tokenize='porter')")
    database.executemany(
        "INSERT INTO t VALUES (?, ?)",
        ((id_, words.spread_han(f"{title}\n{text}")) for id_, (title, text) in corpus.items()),
    )
    database.commit()

    def search(query: str) -> list[str]:
        asked = " OR ".join(f'"{word}"' for word in words.query_words(query))
        rows = database.execute(
            "SELECT id FROM t WHERE t MATCH ? ORDER BY rank LIMIT ?", (asked, K)
        )
        return [row[0] for row in rows]

    return search


def measure(search: Search, queries: Mapping[str, str]) -> tuple[dict[str, list[str]], float]:
    """Rankings, and milliseconds per query."""
    for query in list(queries.values())[:5]:
        search(query)
    started = time.perf_counter()
    rankings = {id_: search(query) for id_, query in queries.items()}
    return rankings, (time.perf_counter() - started) / len(queries) * 1e3


def corpus_of(name: str) -> dict[str, tuple[str, str]]:
    return {id_: (title, text) for id_, title, text in load_beir_corpus(data_folder(name))}


def segmenters() -> dict[str, Callable[[str], str]]:
    """Ways to put spaces into Chinese text."""

    def pairs(text: str) -> str:
        return HAN.sub(
            lambda run: f" {' '.join(a + b for a, b in pairwise(run[0])) or run[0]} ", text
        )

    def jieba(text: str) -> str:
        return HAN.sub(lambda run: f" {' '.join(rjieba.cut(run[0]))} ", text)

    return {
        "characters and pairs (ours)": words.spread_han,
        "pairs": pairs,
        "jieba": jieba,
        "jieba and pairs": lambda text: f"{jieba(text)} {pairs(text)}",
    }


def segmented_search(corpus: Corpus, segment: Callable[[str], str]) -> Search:
    """Tantivy as our index uses it, with another segmenter."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw")
    builder.add_text_field("text", tokenizer_name="words", index_option="freq")
    schema = builder.build()
    index = tantivy.Index(schema)
    analyzer = words.word_analyzer()
    index.register_tokenizer("words", analyzer)
    writer = index.writer(num_threads=1)
    for id_, (title, text) in corpus.items():
        writer.add_document(tantivy.Document(id=[id_], text=[segment(f"{title}\n{text}")]))
    writer.commit()
    index.reload()
    searcher = index.searcher()

    def search(query: str) -> list[str]:
        terms = dict.fromkeys(analyzer.analyze(segment(query)))
        asked = tantivy.Query.boolean_query(
            [
                (tantivy.Occur.Should, tantivy.Query.term_query(schema, "text", term, "freq"))
                for term in terms
            ]
        )
        hits = searcher.search(asked, limit=K, count=False).hits
        return [searcher.doc(address)["id"][0] for _, address in hits]

    return search


def chinese() -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name in ("cmrc2018", "zh_medical_dialogue"):
        corpus = corpus_of(name)
        queries, judged = load_beir(data_folder(name), split="dev")
        for label, segment in segmenters().items():
            rankings, ms = measure(segmented_search(corpus, segment), queries)
            ndcg = ranking_metrics(rankings, judged, k=K)[f"ndcg@{K}"]
            rows.append((name, label, sum(ndcg.values()) / len(ndcg), ms))
    print_table("Chinese, four ways", ("data", "indexed as", "nDCG@10", "ms a query"), rows)
    return rows


def quality(name: str, split: str) -> list[tuple[object, ...]]:
    """A row a system: its nDCG@10, ours - it with its 95 % interval, and its times."""
    queries, judged = load_beir(data_folder(name), split=split)
    once = corpus_of(name)
    twice = {id_: (f"{title}\n{title}", text) for id_, (title, text) in once.items()}
    rows: list[tuple[object, ...]] = []
    for titles, corpus in (("once", once), ("twice", twice)):
        mine: list[float] = []
        for label, build in SYSTEMS.items():
            started = time.perf_counter()
            search = build(corpus)
            seconds = time.perf_counter() - started
            rankings, ms = measure(search, queries)
            by_query = ranking_metrics(rankings, judged, k=K)[f"ndcg@{K}"]
            theirs = [by_query[id_] for id_ in queries]
            mine = mine or theirs
            ahead = paired_bootstrap(mine, theirs)
            mean = sum(theirs) / len(theirs)
            rows.append((name, split, titles, label, mean, *ahead, ms, seconds))
    return rows


def scale() -> dict[str, float]:
    """Milliseconds a query, among twenty copies of scifact."""
    corpus = corpus_of("scifact")
    many = {f"{n}:{id_}": value for n in range(COPIES) for id_, value in corpus.items()}
    queries, _ = load_beir(data_folder("scifact"))
    timed = dict(list(queries.items())[:TIMED_QUERIES])
    times = {label: measure(build(many), timed)[1] for label, build in SYSTEMS.items()}
    rows = [(label, len(many), ms, times["ours"] / ms) for label, ms in times.items()]
    print_table("At scale", ("system", "documents", "ms a query", "ours / this"), rows)
    return times


def main() -> None:
    rows = [row for name, split in DATA for row in quality(name, split)]
    names = ("data", "split", "title", "system", "nDCG@10", "ours - this", "from", "to")
    print_table("Quality and time", (*names, "ms a query", "build s"), rows)
    figures = {"quality": [list(row) for row in rows], "scale": scale(), "chinese": chinese()}
    finish("lexical", figures, packages=("tantivy", "bm25s", "rjieba"))


SYSTEMS = {
    "ours": ours,
    "ours, not told the title": ours_untitled,
    "bm25s": bm25s_search,
    "SQLite FTS5": fts5_search,
}

if __name__ == "__main__":
    main()
