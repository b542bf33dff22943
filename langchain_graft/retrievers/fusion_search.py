"""One search by fusion: what is still to be asked, what was found, what comes of it. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.retrievers.fusion import CONSTANT, Ranking, fuse_documents
from langchain_graft.retrievers.query import Query, as_query
from langchain_graft.retrievers.warned import failure, with_warnings
from langchain_graft.retrievers.weakness import Signals, signals_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document
    from langchain_core.retrievers import RetrieverLike

NO_REWRITE = "the rewriter gave no other query: only the question itself was searched"


class FusionSearch:
    """The state of one search for several questions.

    Args:
        questions: Each with the weight that it has beside its rewrites.
        names: Of the retrievers.
    """

    def __init__(self, questions: Sequence[Query], *, names: Sequence[str]) -> None:
        self._names = names
        self._queries = [[question] for question in questions]
        self._warnings: list[list[str]] = [[] for _ in questions]
        self._found: dict[Query, dict[int, list[Document]]] = {}

    def __len__(self) -> int:
        """How many questions."""
        return len(self._queries)

    def pending(self) -> list[Query]:
        """The queries that have not been asked yet, each once."""
        wanted = (_unweighted(query) for of in self._queries for query in of)
        return [query for query in dict.fromkeys(wanted) if query not in self._found]

    def take(
        self,
        queries: Sequence[Query],
        results: Sequence[list[list[Document] | Exception] | Exception],
    ) -> None:
        """Keep what the retrievers found.

        Args:
            queries: What was asked.
            results: Per retriever a ranking or an error for each query, or one error for all.
        """
        self._found |= {query: {} for query in queries}
        for number, result in enumerate(results):
            rankings = [result] * len(queries) if isinstance(result, Exception) else result
            for query, ranking in zip(queries, rankings, strict=True):
                if isinstance(ranking, Exception):
                    self._warn(query, failure(f"{self._names[number]} failed", ranking))
                else:
                    self._found[query][number] = ranking

    def signals(self) -> list[Signals]:
        """What the search for each question itself looks like."""
        found = (self._found[_unweighted(queries[0])] for queries in self._queries)
        return [signals_of([of.get(n, []) for n in range(len(self._names))]) for of in found]

    def rewrite(self, number: int, rewrites: object) -> None:
        """Add the rewrites of a question; one with its very text takes its place (HyDE).

        An error, or what is no list of queries, adds a warning.
        """
        try:
            given = _read(rewrites)
        except Exception as error:  # noqa: BLE001 (the question alone is good enough)
            self._warnings[number].append(failure("the rewriter failed", error))
            return
        question, *_ = queries = self._queries[number]
        known = {question.text.casefold()}
        for rewrite in given:
            if rewrite.text == question.text:
                queries[0] = Query(question.text, question.weight, rewrite.passages)
            elif rewrite.text.strip() and rewrite.text.casefold() not in known:
                known.add(rewrite.text.casefold())
                queries.append(rewrite)
        if queries == [question]:
            self._warnings[number].append(NO_REWRITE)

    @property
    def warnings(self) -> list[str]:
        """Every warning, once."""
        return list(dict.fromkeys(warning for of in self._warnings for warning in of))

    @property
    def is_unanswered(self) -> bool:
        """Whether something was asked and no retriever answered."""
        return bool(self._found) and not any(self._found.values())

    def fused(
        self, weights: Sequence[float], *, constant: float = CONSTANT, id_key: str | None = None
    ) -> list[list[Document]]:
        """Each question's documents, best first, with what its search has to warn of."""
        return [
            [
                with_warnings(document, self._warnings[number])
                for document in fuse_documents(
                    self._rankings(queries, weights), constant=constant, id_key=id_key
                )
            ]
            for number, queries in enumerate(self._queries)
        ]

    def _rankings(self, queries: Sequence[Query], weights: Sequence[float]) -> list[Ranking]:
        """A question of weight 0 that has no rewrites counts all the same."""
        is_weighted = any(query.weight for query in queries)
        return [
            Ranking(
                documents=documents,
                weight=(query.weight if is_weighted else 1.0) * weights[number],
                query=query.text,
                retriever=self._names[number],
            )
            for query in queries
            for number, documents in self._found[_unweighted(query)].items()
        ]

    def _warn(self, asked: Query, warning: str) -> None:
        """Tell the questions that are searched with this query."""
        for queries, warnings in zip(self._queries, self._warnings, strict=True):
            if asked in map(_unweighted, queries):
                warnings.append(warning)


def names_of(retrievers: Sequence[RetrieverLike]) -> list[str]:
    """A name for each retriever, no two the same."""
    names = [getattr(one, "name", None) or type(one).__name__ for one in retrievers]
    return [
        name if names.count(name) == 1 else f"{name} {names[: n + 1].count(name)}"
        for n, name in enumerate(names)
    ]


def _read(rewrites: object) -> list[Query]:
    """What a rewriter gave, as queries."""
    if isinstance(rewrites, Exception):
        raise rewrites
    if not isinstance(rewrites, list | tuple):
        msg = f"it gave {rewrites!r:.80}, not a list of queries"
        raise TypeError(msg)
    return [as_query(one) for one in rewrites]


def _unweighted(query: Query) -> Query:
    return Query(query.text, passages=query.passages)
