"""A user's examples: questions with the statements that answer them, found by likeness."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.literals import plain
from langchain_graft.wording import content_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.embeddings import Embeddings

DEFAULT_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class CypherExample:
    """A question, and a statement that answers it."""

    question: str
    cypher: str


class CypherExamples:
    """Examples for text2cypher; the ones most like a question go into its prompt.

    Likeness is the cosine of the questions' vectors, or, without `embeddings`, the share of common
    content words (Jaccard). May be used by several threads.

    Args:
        examples: Questions with their statements; of the same question twice the last one counts.
        embeddings: Finds them by meaning; None: by words.
        leave_out_same: Leave out an example whose question is the one that is asked (case and
            punctuation do not count), so that a test set can serve as examples for itself.

    Example:
        >>> examples = CypherExamples.load("examples.jsonl")
        >>> chain = create_text2cypher_chain(model, graph, examples=examples)
    """

    def __init__(
        self,
        examples: Iterable[CypherExample],
        *,
        embeddings: Embeddings | None = None,
        leave_out_same: bool = False,
    ) -> None:
        self._examples = list({plain(one.question): one for one in examples}.values())
        self._embeddings = embeddings
        self._leave_out_same = leave_out_same
        self._vectors: list[list[float]] | None = None
        self._lock = Lock()

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        embeddings: Embeddings | None = None,
        leave_out_same: bool = False,
    ) -> CypherExamples:
        """Examples of a file: `{"question": ..., "cypher": ...}`, one a line.

        Raises:
            ValueError: A line is not like that; the message names it.
        """
        found = []
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                found.append(CypherExample(question=row["question"], cypher=row["cypher"]))
            except (ValueError, KeyError, TypeError) as error:
                msg = (
                    f"{str(path)!r}, line {number}: expected "
                    f'{{"question": "...", "cypher": "..."}}, not {line!r:.120}'
                )
                raise ValueError(msg) from error
        return cls(found, embeddings=embeddings, leave_out_same=leave_out_same)

    def save(self, path: Path | str) -> None:
        """Write them, one a line."""
        lines = [json.dumps(asdict(one), ensure_ascii=False) for one in self._examples]
        Path(path).write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    def __len__(self) -> int:
        return len(self._examples)

    def select(self, question: str, *, k: int = DEFAULT_EXAMPLES) -> list[CypherExample]:
        """The `k` examples most like the question, the most alike one last."""
        if not self._examples or k < 1:
            return []
        asked = plain(question)
        likeness = self._likeness(question)
        order = sorted(range(len(self._examples)), key=lambda n: -likeness[n])
        kept = [
            self._examples[n]
            for n in order
            if not (self._leave_out_same and plain(self._examples[n].question) == asked)
        ]
        return kept[:k][::-1]

    def _likeness(self, question: str) -> list[float]:
        if self._embeddings is None:
            asked = content_words(question)
            told = [content_words(one.question) for one in self._examples]
            return [len(asked & words) / max(len(asked | words), 1) for words in told]
        with self._lock:
            if self._vectors is None:
                questions = [one.question for one in self._examples]
                self._vectors = self._embeddings.embed_documents(questions)
        vector = self._embeddings.embed_query(question)
        lengths = [sum(x * x for x in one) ** 0.5 or 1.0 for one in self._vectors]
        products = [sum(map(float.__mul__, vector, one)) for one in self._vectors]
        return [product / length for product, length in zip(products, lengths, strict=True)]
