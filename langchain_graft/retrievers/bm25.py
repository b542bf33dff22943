"""Lexical search: BM25 on tantivy, on disk, incremental."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_graft.errors import MissingExtraError
from langchain_graft.retrievers.filters import (
    Filter,
    comparable_kind,
    compares_alike,
    conditions,
    indexable,
)
from langchain_graft.retrievers.index import (
    DEFAULT_K,
    IndexRetriever,
    check_search,
    document_ids,
    filtered,
)
from langchain_graft.retrievers.words import query_words, spread_han, word_analyzer

try:
    import tantivy
    from tantivy import Occur
    from tantivy import Query as TantivyQuery
except ImportError as error:
    raise MissingExtraError("words") from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tantivy import Searcher

    from langchain_graft.retrievers.query import Query

WRITER_BYTES = 64_000_000
TITLE_WEIGHT = 0.3
"""How much a word of the title counts, besides what it counts as one of the text.

With more, the questions of scifact (train) find less, while others still gain.
"""
_LONGEST_VALUE = 200
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_RANGES = {"$gt": "{{{} TO *]", "$gte": "[{} TO *]", "$lt": "[* TO {}}}", "$lte": "[* TO {}]"}


class BM25Index:
    """Documents ranked by their words (Robertson and Zaragoza 2009; k1 1.2, b 0.75).

    English is stemmed; Chinese is indexed by characters and pairs of them. A word that a query
    repeats counts once, and "the", "of" and their like do not where it has others. A word that
    is in the title (`metadata["title"]`) counts more: the two fields are scored apart and added
    (benchmarks/lexical.py has the figures).

    What is written is seen by every reader, in this and other processes.

    May be used by several threads at once; one process writes.

    Args:
        folder: Where the index lies; None keeps it in memory.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self._schema = _schema()
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
        self._meta = None if folder is None else Path(folder) / "meta.json"
        self._index = tantivy.Index(self._schema, path=None if folder is None else str(folder))
        self._index.register_tokenizer("words", word_analyzer())
        self._index.config_reader(reload_policy="manual")
        self._lock = threading.Lock()
        self._writer: tantivy.IndexWriter | None = None
        self._seen: bytes | None = None

    def add(self, documents: Sequence[Document], *, texts: Sequence[str] | None = None) -> None:
        """Put documents into the index; one whose id is there already is replaced.

        Args:
            documents: With ids, each once. Metadata of any JSON kind is kept; str, int, float and
                bool can be filtered by.
            texts: What is indexed for each; None: its title and its `page_content`.
        """
        ids = document_ids(documents)
        texts = [_titled(document) for document in documents] if texts is None else texts
        stored = [_stored(document, text) for document, text in zip(documents, texts, strict=True)]
        with self._commit() as writer:
            for id_, document in zip(ids, stored, strict=True):
                writer.delete_documents_by_term("id", id_)
                writer.add_document(document)

    def delete(self, ids: Iterable[str]) -> None:
        """Take documents out; ids that are not there are passed over."""
        wanted = list(ids)
        with self._commit() as writer:
            for id_ in wanted:
                writer.delete_documents_by_term("id", id_)

    def close(self) -> None:
        """Let another process write."""
        with self._lock:
            if self._writer:
                self._writer.wait_merging_threads()
            self._writer = None

    def ids(self) -> set[str]:
        """Ids of all documents."""
        searcher = self._searcher()
        hits = searcher.search(TantivyQuery.all_query(), limit=max(searcher.num_docs, 1)).hits
        return {searcher.doc(address)["id"][0] for _, address in hits}

    def __len__(self) -> int:
        return self._searcher().num_docs

    def search_many(
        self,
        queries: Sequence[Query],
        *,
        k: int = DEFAULT_K,
        filter: Filter | None = None,  # noqa: A002
    ) -> list[list[Document]]:
        """Up to `k` documents per query, best first; `metadata["score"]` is BM25's."""
        check_search(k, filter)
        searcher = self._searcher()
        allowed = self._to_tantivy(filter)
        return [self._search(searcher, query.text, allowed, k, filter) for query in queries]

    def as_retriever(
        self,
        *,
        k: int = DEFAULT_K,
        filter: Filter | None = None,  # noqa: A002
    ) -> IndexRetriever:
        """A LangChain retriever over this index."""
        return IndexRetriever(index=self, k=k, filter=dict(filter) if filter else None)

    def _search(
        self,
        searcher: Searcher,
        text: str,
        allowed: TantivyQuery | None,
        k: int,
        where: Filter | None,
    ) -> list[Document]:
        words = query_words(text)
        if not words:
            return []
        query = TantivyQuery.boolean_query([term for word in words for term in self._terms(word)])
        if allowed:
            border = TantivyQuery.const_score_query(allowed, 0.0)
            query = TantivyQuery.boolean_query([(Occur.Must, query), (Occur.Must, border)])

        def search(wanted: int) -> list[tuple[Document, float]]:
            limit = min(wanted, max(searcher.num_docs, 1))  # tantivy allocates as much
            hits = searcher.search(query, limit=limit, count=False).hits
            return [(_document(searcher.doc(address)), score) for score, address in hits]

        return filtered(search, k=k, where=where)

    def _terms(self, word: str) -> Iterator[tuple[Occur, TantivyQuery]]:
        for field, weight in (("text", 1.0), ("title", TITLE_WEIGHT)):
            term = TantivyQuery.term_query(self._schema, field, word, "freq")
            yield Occur.Should, TantivyQuery.boost_query(term, weight)

    def _to_tantivy(self, where: Filter | None) -> TantivyQuery | None:
        """The filter as a query; None lets all pass. What it can not say lets more through."""
        parts: list[TantivyQuery] = []
        for key, value in (where or {}).items():
            if key == "$and":
                parts += filter(None, map(self._to_tantivy, value))
            elif key == "$or":
                parts += filter(None, [_any_of([self._to_tantivy(part) for part in value])])
            elif _PLAIN_KEY.fullmatch(key):
                found = (self._term(key, name, given) for name, given in conditions(value))
                parts += filter(None, found)
        if not parts:
            return None
        return TantivyQuery.boolean_query([(Occur.Must, part) for part in parts])

    def _term(self, key: str, name: str, given: Any) -> TantivyQuery | None:
        if name == "$in":
            return _any_of([self._term(key, "$eq", one) for one in given])
        if not compares_alike(given):
            return None
        field = f"metadata.{key}"
        if name == "$eq":
            return TantivyQuery.term_query(self._schema, field, _value(given))
        if name in _RANGES and comparable_kind(given) is float:
            number = f"{Decimal(given):f}"  # the query's grammar knows no exponents
            return self._index.parse_query(f"{field}:{_RANGES[name].format(number)}")
        return None

    def _searcher(self) -> Searcher:
        """A view of the newest commit, which may be another process's."""
        with self._lock:
            now = self._meta.read_bytes() if self._meta and self._meta.exists() else None
            if now is None or now != self._seen:  # its times tell no two quick commits apart
                self._index.reload()
                self._seen = now
            return self._index.searcher()

    @contextmanager
    def _commit(self) -> Iterator[tantivy.IndexWriter]:
        """Commit all that is written inside, or nothing of it when that fails."""
        with self._lock:
            if self._writer is None:
                self._writer = self._index.writer(heap_size=WRITER_BYTES, num_threads=1)
            try:
                yield self._writer
                self._writer.commit()
            except BaseException:
                self._writer.rollback()
                raise
            self._index.reload()


def _any_of(choices: Sequence[TantivyQuery | None]) -> TantivyQuery | None:
    """What passes one of them; None, which lets all pass, if one of them does so."""
    either = [(Occur.Should, choice) for choice in choices if choice]
    return TantivyQuery.boolean_query(either) if len(either) == len(choices) else None


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    for field in ("text", "title"):
        builder.add_text_field(field, tokenizer_name="words", index_option="freq")
    builder.add_bytes_field("content", stored=True)
    builder.add_bytes_field("details", stored=True)
    builder.add_json_field("metadata", fast=True, tokenizer_name="raw", index_option="basic")
    return builder.build()


def _stored(document: Document, text: str) -> tantivy.Document:
    details = json.dumps(document.metadata, ensure_ascii=False, default=str)
    stored = tantivy.Document()
    stored.add_text("id", str(document.id))
    stored.add_text("text", spread_han(text))
    stored.add_text("title", spread_han(_title(document)))
    stored.add_bytes("content", document.page_content.encode())
    stored.add_bytes("details", details.encode())
    stored.add_json("metadata", _values(document.metadata))
    return stored


def _title(document: Document) -> str:
    title = document.metadata.get("title")
    return title if isinstance(title, str) else ""


def _titled(document: Document) -> str:
    return f"{_title(document)}\n{document.page_content}"


def _values(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _value(value) for key, value in indexable(metadata).items()}


def _value(value: Any) -> Any:
    """A value as it is indexed: a bare string would be taken for a date where it looks like one."""
    return f"={value[:_LONGEST_VALUE]}" if isinstance(value, str) else value


def _document(stored: tantivy.Document) -> Document:
    return Document(
        id=stored["id"][0],
        page_content=bytes(stored["content"][0]).decode(),
        metadata=json.loads(bytes(stored["details"][0])),
    )
