"""Evaluation files: read as they are, and named with their line when they are not as promised."""

import gzip
import json

import pytest

from langchain_graft.errors import EvaluationDataError
from langchain_graft.evaluation import Question, load_beir, load_questions
from langchain_graft.evaluation.datasets import load_beir_corpus

QUERIES = (
    '{"_id": "q1", "text": "Who?"}\n\n{"_id": "q2", "text": "谁？"}\n{"_id": 3, "text": "No"}\n'
)
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td2\t1.0\nq9\td1\t1\n"
CORPUS = '{"_id": "d1", "title": "Apple", "text": "A."}\n{"_id": "d2", "text": "B."}\n'


def write(path, text, *, zipped=False):
    path.parent.mkdir(exist_ok=True)
    data = text.encode()
    if zipped:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(data))
    else:
        path.write_bytes(data)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "queries.jsonl", QUERIES)
    write(tmp_path / "corpus.jsonl", CORPUS)
    write(tmp_path / "qrels/test.tsv", QRELS)
    return tmp_path


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("qrels", ["qrels/test.tsv", "qrels.test.tsv", "qrels.tsv"])
def test_a_beir_folder(tmp_path, qrels, zipped):
    write(tmp_path / "queries.jsonl", QUERIES, zipped=zipped)
    write(tmp_path / "corpus.jsonl", CORPUS, zipped=zipped)
    write(tmp_path / qrels, QRELS, zipped=zipped)
    queries, judged = load_beir(tmp_path)
    assert queries == {"q1": "Who?", "q2": "谁？"}
    assert judged == {"q1": {"d1": 2}, "q2": {"d2": 1}}
    assert list(load_beir_corpus(str(tmp_path))) == [("d1", "Apple", "A."), ("d2", "", "B.")]


def test_another_split(folder):
    write(folder / "qrels/train.tsv", "q2\td1\t1\n")
    assert load_beir(folder, split="train") == ({"q2": "谁？"}, {"q2": {"d1": 1}})


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("qrels/test.tsv", QRELS + "q1 d1 1\n", "test.tsv, line 6"),
        ("qrels/test.tsv", QRELS + "q1\td1\thigh\n", "test.tsv, line 6"),
        ("qrels/test.tsv", QRELS + "q1\td1\t1e999\n", "test.tsv, line 6"),
        ("queries.jsonl", '{"_id": "q1"}\n', "queries.jsonl, line 1"),
        ("queries.jsonl", '{"_id": "q1", "text": null}\n', "queries.jsonl, line 1"),
        ("queries.jsonl", QUERIES + '{"_id": "q4"', "queries.jsonl, line 5"),
        ("queries.jsonl", QUERIES + "[1]\n", "queries.jsonl, line 5"),
        ("queries.jsonl", '{"_id": "q7", "text": "?"}\n', "no query of queries.jsonl is judged"),
        ("queries.jsonl", "", "no query of queries.jsonl is judged"),
    ],
)
def test_a_malformed_query_or_judgement_is_named_with_its_line(folder, name, text, told):
    write(folder / name, text)
    with pytest.raises(EvaluationDataError, match=told):
        load_beir(folder)


@pytest.mark.parametrize("line", ['{"_id": "d3"}', '{"_id": "d3", "text": 3}', "no JSON", '"d3"'])
def test_a_malformed_document_is_named_with_its_line(folder, line):
    write(folder / "corpus.jsonl", CORPUS + line)
    with pytest.raises(EvaluationDataError, match=r"corpus\.jsonl, line 3"):
        list(load_beir_corpus(folder))


@pytest.mark.parametrize("name", ["queries.jsonl", "qrels/test.tsv"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(EvaluationDataError, match=f"has none of .*{name}"):
        load_beir(folder)


@pytest.mark.parametrize("name", ["queries.jsonl", "qrels/test.tsv"])
@pytest.mark.parametrize(
    "data",
    [b"no gzip", gzip.compress(QUERIES.encode())[:-9], gzip.compress(b"\xff\xfe\xff\n" * 9)],
    ids=["no gzip", "cut", "no UTF-8"],
)
def test_a_broken_file_is_named(folder, name, data):
    (folder / name).unlink()
    (folder / f"{name}.gz").write_bytes(data)
    with pytest.raises(EvaluationDataError, match=name.rpartition("/")[2]):
        load_beir(folder)


def questions(tmp_path, *rows):
    path = tmp_path / "questions.jsonl"
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    return load_questions(path)


def test_questions(tmp_path):
    full = {
        "id": "q1",
        "question": "谁？",
        "answers": ["Jobs", 1976],
        "documents": ["a.md"],
        "answerable": True,
        "language": "zh",
        "kind": "fact",
        "note": "passed over",
    }
    assert questions(tmp_path, full, "", {"question": "Who won?"}) == [
        Question(
            id="q1",
            question="谁？",
            answers=("Jobs", "1976"),
            documents=("a.md",),
            language="zh",
            kind="fact",
        ),
        Question(id="3", question="Who won?", answerable=False),
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({}, "'question' is missing or empty"),
        ({"question": " "}, "'question' is missing or empty"),
        ({"question": 7}, "'question' is missing or empty"),
        ({"question": "?", "documents": "a.md"}, "'documents' is a list of strings"),
        ({"question": "?", "documents": None}, "'documents' is a list of strings"),
        ({"question": "?", "answers": [["a"]]}, "'answers' is a list of strings"),
        ({"question": "?", "answerable": "false"}, "'answerable' is true or false"),
        ({"id": "first", "question": "?"}, "'first' is the id of another question"),
        ("{", "no JSON"),
        ("[]", "no JSON object"),
    ],
)
def test_a_malformed_question_is_named_with_its_line(tmp_path, row, told):
    with pytest.raises(EvaluationDataError, match=rf"questions\.jsonl, line 2: {told}"):
        questions(tmp_path, {"id": "first", "question": "Who?"}, row)


def test_no_questions_no_file_and_a_folder_are_errors(tmp_path):
    with pytest.raises(EvaluationDataError, match="holds no questions"):
        questions(tmp_path)
    with pytest.raises(EvaluationDataError, match="missing"):
        load_questions(tmp_path / "missing.jsonl")
    with pytest.raises(EvaluationDataError, match=tmp_path.name):
        load_questions(tmp_path)
