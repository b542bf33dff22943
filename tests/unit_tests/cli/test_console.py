"""What people see: any text as it is, and JSON for machines."""

import json

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from langchain_core.runnables.utils import AddableDict

from langchain_graft.chains import create_rag_chain
from langchain_graft.cli.ask_command import output_as_json, print_answer
from langchain_graft.cli.console import print_json, print_sources, print_table, print_told
from langchain_graft.cli.ingest_command import print_report
from langchain_graft.knowledge_base import IngestReport
from langchain_graft.testing import ScriptedChatModel

STRANGE = ["[/INST] a", "[bold]b[/bold]", "[link=x]", ":smile:", "苹果 [1]", "a\\[b]"]


@pytest.mark.parametrize("text", STRANGE)
def test_text_is_shown_as_it_is(text, capsys):
    print_table(text, ("", "why"), [("x", text)])
    told = capsys.readouterr().out
    assert told.count(text) == 2


@pytest.mark.parametrize("text", STRANGE)
def test_an_answer_and_its_sources_are_shown_as_they_are(text, capsys):
    document = Document(id="1", page_content=text, metadata={"source_id": f"{text}.md", "page": 3})
    citation = {"marker": 1, "cited_text": text, "verified": False}
    print_sources([document], [citation])
    told = capsys.readouterr().out
    assert told.count(text) == 2
    assert ".md, page 3" in told
    assert "not verified" in told


@pytest.mark.parametrize("text", STRANGE)
def test_an_answer_is_shown_while_it_is_written(text, capsys):
    found = RunnableLambda(lambda _: [Document(page_content="Nothing like it.")])
    chain = create_rag_chain(ScriptedChatModel(script=[text]), found, attribute=False)
    output = print_answer(chain, "Who?")
    assert capsys.readouterr().out == output["answer"] + "\n"
    assert output["answer"] == text


def test_what_steers_a_terminal_is_not_shown(capsys):
    steering = "\x1b]0;title\x07\x1b[2Jred\r\x9b31m"
    document = Document(id="1", page_content=steering, metadata={"source_id": steering})
    print_sources([document], [{"marker": 1, "cited_text": steering, "verified": True}])
    found = RunnableLambda(lambda _: [document])
    print_answer(create_rag_chain(ScriptedChatModel(script=[steering]), found), "Who?")
    told = capsys.readouterr().out
    assert told.count("red") == 3
    assert not [letter for letter in told if ord(letter) < 32 and letter != "\n"]
    assert "\x9b" not in told


def test_nothing_cited_is_said(capsys):
    print_sources([], [])
    assert capsys.readouterr().out == "No sources cited.\n"


def test_a_report_tells_what_was_done(capsys):
    report = IngestReport(
        added=2,
        chunks=5,
        failed={"[/a].pdf": "0 bytes"},
        skipped={".exe": 3},
        seconds={"read": 1.5},
    )
    print_report(report)
    told = capsys.readouterr().out
    assert "2 added; 5 passages embedded (read 1.5 s)" in told
    assert "3 .exe" in told
    assert "1 could not be read" in told
    assert "[/a].pdf" in told


def test_json_is_one_document_in_plain_characters(capsys):
    print_json({"answer": "苹果", "other": {1}})
    told = capsys.readouterr().out
    assert json.loads(told)["answer"] == "苹果"
    assert "苹果" in told


def test_an_output_as_json_has_the_keys_of_the_contract():
    document = Document(id="1", page_content="A", metadata={"page": 1})
    output = {
        "input": "?",
        "chat_history": [],
        "context": [document],
        "answer": "A",
        "citations": [],
        "steps": [{"question": "?", "answer": "A", "documents": [document]}],
    }
    plain = {"id": "1", "page_content": "A", "metadata": {"page": 1}}
    assert output_as_json(output) == {
        "input": "?",
        "context": [plain],
        "answer": "A",
        "citations": [],
        "steps": [{"question": "?", "answer": "A", "documents": [plain]}],
    }


def test_how_an_answer_was_come_by_is_shown_before_it(capsys):
    chunks = [
        {"route": "multi-step"},
        {"queries": ["Who?", "Which?"]},
        {"step_back_question": "Why\x1b[2J?"},
        {"steps": [{"question": "Who is #1?", "answer": "", "documents": []}]},
        {"answer": "Jobs."},
    ]

    def stream(given):
        yield from map(AddableDict, chunks)

    print_answer(RunnableGenerator(stream), "?")
    assert capsys.readouterr().out.splitlines() == [
        "Route: multi-step",
        "Searched: Who? | Which?",
        "Step back: Why[2J?",
        "Step: Who is #1? -",
        "Jobs.",
    ]


def test_what_had_no_room_and_what_failed_is_told_in_a_line_each(capsys):
    left_out = [
        {"document_id": "1", "source_id": "a.md", "reason": "cut", "tokens": 20},
        {"document_id": "2", "source_id": "a.md", "reason": "budget", "tokens": 100},
        {"document_id": "3", "source_id": None, "reason": "budget", "tokens": 3},
    ]
    warnings = ["bm25 failed: OSError"]
    print_told({"context": [], "citations": [], "left_out": left_out, "warnings": warnings})
    told = capsys.readouterr()
    assert told.out == "No sources cited.\nLeft out, 123 tokens over --context-tokens: a.md, 3\n"
    assert told.err == "Warning: bm25 failed: OSError\n"
