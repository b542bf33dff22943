"""Questions to evaluate with: our own files, and BEIR folders as they are."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import EvaluationDataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question with what is known about its answer."""

    id: str
    question: str
    answers: tuple[str, ...] = ()
    """Accepted short answers."""
    documents: tuple[str, ...] = ()
    """Source ids of all documents that hold the answer."""
    answerable: bool = True
    language: str = ""
    kind: str = ""


def load_questions(path: Path | str) -> list[Question]:
    """Read questions: a JSON object a line, with `question` and the other fields of `Question`.

    Raises:
        EvaluationDataError: A line is not as promised; the message names it.
    """
    path = Path(path)
    questions: dict[str, Question] = {}
    for number, row in _rows(path):
        question = _question(row, number, where := f"{path.name}, line {number}")
        if question.id in questions:
            msg = f"{where}: {question.id!r} is the id of another question"
            raise EvaluationDataError(msg)
        questions[question.id] = question
    if not questions:
        msg = f"{path.name} holds no questions"
        raise EvaluationDataError(msg)
    return list(questions.values())


def load_beir(
    folder: Path | str, *, split: str = "test"
) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    """Queries and judgements of a BEIR folder: `queries.jsonl` and `qrels/test.tsv`.

    `qrels.test.tsv` and `qrels.tsv` are taken too, and each file with `.gz`.

    Returns:
        Query id to text, of the judged queries; and query id to document id to relevance.

    Raises:
        EvaluationDataError: A file is missing or not as promised.
    """
    folder = Path(folder)
    names = (f"qrels/{split}.tsv", f"qrels.{split}.tsv", "qrels.tsv")
    judged = _judgements(_existing(folder, *names))
    queries = {}
    path = _existing(folder, "queries.jsonl")
    for number, row in _rows(path):
        if "_id" not in row or not isinstance(row.get("text"), str):
            msg = f"{path.name}, line {number}: a BEIR query has '_id' and 'text'"
            raise EvaluationDataError(msg)
        if (query := str(row["_id"])) in judged:
            queries[query] = row["text"]
    if not queries:
        msg = f"{folder}: no query of {path.name} is judged in the {split!r} split"
        raise EvaluationDataError(msg)
    return queries, {query: judged[query] for query in queries}


def load_beir_corpus(folder: Path | str) -> Iterator[tuple[str, str, str]]:
    """Id, title and text of each document of a BEIR folder: `corpus.jsonl`, also with `.gz`.

    Raises:
        EvaluationDataError: The file is missing or not as promised.
    """
    path = _existing(Path(folder), "corpus.jsonl")
    for number, row in _rows(path):
        if "_id" not in row or not isinstance(row.get("text"), str):
            msg = f"{path.name}, line {number}: a BEIR document has '_id' and 'text'"
            raise EvaluationDataError(msg)
        yield str(row["_id"]), str(row.get("title") or ""), row["text"]


def _question(row: Mapping[str, Any], number: int, where: str) -> Question:
    question = row.get("question")
    if not isinstance(question, str) or not question.strip():
        msg = f"{where}: 'question' is missing or empty"
        raise EvaluationDataError(msg)
    documents, answers = (_texts(row, name, where) for name in ("documents", "answers"))
    answerable = row.get("answerable", bool(documents or answers))
    if not isinstance(answerable, bool):
        msg = f"{where}: 'answerable' is true or false, not {answerable!r}"
        raise EvaluationDataError(msg)
    return Question(
        id=str(row.get("id", number)),
        question=question,
        answers=answers,
        documents=documents,
        answerable=answerable,
        language=str(row.get("language", "")),
        kind=str(row.get("kind", "")),
    )


def _texts(row: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    given = row.get(name, [])
    if not isinstance(given, list) or not all(isinstance(one, str | int | float) for one in given):
        msg = f"{where}: {name!r} is a list of strings, not {given!r}"
        raise EvaluationDataError(msg)
    return tuple(map(str, given))


def _judgements(path: Path) -> dict[str, dict[str, int]]:
    judged: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        fields = line.rstrip("\n").split("\t")
        try:
            query, document, relevance = fields[0], fields[1], int(float(fields[2]))
        except (IndexError, ValueError, OverflowError) as error:
            if number == 1 or not line.strip():
                continue  # the header
            msg = f"{path.name}, line {number}: expected query, document and relevance by tabs"
            raise EvaluationDataError(msg) from error
        if relevance > 0:
            judged.setdefault(query, {})[document] = relevance
    return judged


def _existing(folder: Path, *names: str) -> Path:
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    msg = f"{str(folder)!r} has none of {', '.join(names)}"
    raise EvaluationDataError(msg)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                yield number, line
    except FileNotFoundError as error:
        msg = f"No such file: {str(path)!r}"
        raise EvaluationDataError(msg) from error
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        msg = f"{str(path)!r} can not be read behind line {number}: {error}"
        raise EvaluationDataError(msg) from error


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            msg = f"{path.name}, line {number}: no JSON ({error})"
            raise EvaluationDataError(msg) from error
        if not isinstance(row, dict):
            msg = f"{path.name}, line {number}: no JSON object"
            raise EvaluationDataError(msg)
        yield number, row
