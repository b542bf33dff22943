"""`graft ask`, `graft chat`, `graft eval`: answers with their sources."""

import json

import pytest

MODEL = ("--model", "smollm2-135m")


def sources(output):
    return [document["metadata"]["source_id"] for document in output["context"]]


def test_ask_gives_one_json_document_with_the_keys_of_the_contract(filled):
    question = "Who founded Apple in April 1976?"
    output = filled.json("ask", question, "--kb", "kb", "-k", 2, *MODEL)
    assert set(output) == {"input", "context", "left_out", "warnings", "answer", "citations"}
    assert output["input"] == question
    assert sources(output)[0] == "apple.md"
    assert len(output["context"]) == 2
    assert output["answer"]
    for citation in output["citations"]:
        text = output["context"][citation["marker"] - 1]["page_content"]
        cited = text[citation["document_start"] : citation["document_end"]]
        assert cited == citation["cited_text"]
        marked = output["answer"][citation["start_index"] : citation["end_index"]]
        assert f"[{citation['marker']}]" in marked


@pytest.mark.parametrize(
    ("chain", "question", "more"),
    [
        ("rag-fusion", "Who founded Apple?", {"queries"}),
        ("step-back", "Who founded Apple?", {"step_back_question"}),
        ("multi-step", "Who founded Apple?", {"steps"}),
        ("auto", "Hello!", {"route"}),
    ],
)
def test_every_chain_can_be_asked(filled, chain, question, more):
    told = ("ask", question, "--kb", "kb", "--chain", chain, "--retriever", "hybrid", *MODEL)
    output = filled.json(*told)
    keys = {"input", "context", "left_out", "warnings", "answer", "citations"}
    assert set(output) == keys | more
    assert output["answer"]


def test_what_had_no_room_is_told(filled):
    told = ("ask", "Who founded Apple?", "--kb", "kb", "--context-tokens", 40, *MODEL)
    assert "Left out," in filled(*told).stdout
    assert filled.json(*told)["left_out"][0]["tokens"] > 0


def test_a_question_in_chinese_finds_the_document_in_chinese(filled):
    output = filled.json("ask", "四通打字机是谁设计的？", "--kb", "kb", *MODEL)
    assert sources(output)[0] == "四通.md"
    assert output["answer"]


def test_filter_and_retriever_hold_and_an_answer_is_shown_with_its_sources(filled):
    where = json.dumps({"language": "zh"})
    done = filled(
        "ask", "Apple MITS", "--kb", "kb", "--retriever", "bm25", "--filter", where, *MODEL
    )
    assert done.stdout == "The documents do not contain the answer.\nNo sources cited.\n"


def test_chat_answers_line_by_line_and_forgets_at_new(filled):
    too_long = "Who? " * 3_000
    lines = (
        f"Who designed the Altair 8800?\n{too_long}\n\n/new\nWho founded Apple?\n/exit\nnot asked\n"
    )
    done = filled("chat", "--kb", "kb", *MODEL, stdin=lines)
    assert "Ask a shorter one" in done.stderr
    assert done.stdout.count("Sources") + done.stdout.count("No sources cited.") == 2


QUESTIONS = [
    {
        "id": "en",
        "question": "Who founded Apple?",
        "answers": ["Steve Jobs"],
        "documents": ["apple.md"],
    },
    {
        "id": "zh",
        "question": "四通打字机是谁设计的？",
        "answers": ["王缉志"],
        "documents": ["四通.md"],
    },
    {"id": "no", "question": "Who won the World Cup in 2018?", "answerable": False},
]


@pytest.fixture
def questions(filled):
    path = filled.folder / "questions.jsonl"
    lines = (json.dumps(question, ensure_ascii=False) for question in QUESTIONS)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_eval_measures_answers_and_keeps_replies(filled, questions):
    told = ("eval", "--kb", "kb", "--questions", questions, *MODEL, "--rows", "rows.jsonl")
    figures = filled.json(*told)
    assert figures["questions"] == 3
    assert figures["model"] == "smollm2-135m"
    assert figures["metrics"]["recall@5"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert {"exact_match", "f1", "refused_unanswerable"} <= set(figures["metrics"])
    rows = (filled.folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(row)["id"] for row in rows] == ["en", "zh", "no"]
    assert (filled.folder / "cache/replies.sqlite").stat().st_size > 0
    assert filled.json(*told) == figures  # from the replies that were kept


def test_eval_of_retrieval_alone_prints_a_table(filled, questions):
    done = filled("eval", "--kb", "kb", "--questions", questions, "--retrieval-only", "--limit", 2)
    assert "2 questions" in done.stdout
    assert "ndcg@5" in done.stdout
    assert "exact_match" not in done.stdout
