"""The `graft` command without a knowledge base: help, wrong use, exit codes."""

import json
import re
import shlex
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import httpx
import openai
import pytest

from langchain_graft.cli.main import COMMANDS, EXAMPLES, build_parser, exit_code, main
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings

GRAFT = Path(sys.executable).with_name("graft")


def run(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as stop:  # argparse's own way out
        return int(stop.code or 0)


def test_help_lists_every_command(capsys):
    assert run("--help") == 0
    told = capsys.readouterr().out
    assert all(f"    {name} " in told for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(command, capsys):
    assert run(command, "--help") == 0
    told = capsys.readouterr().out
    assert f"graft {command}" in told
    assert "examples:" in told


def examples():
    """Every line that the README and the help texts show."""
    readme = Path(__file__).parents[3].joinpath("README.md").read_text(encoding="utf-8")
    helps = (import_module(f"langchain_graft.cli.{name}_command").EXAMPLES for name in COMMANDS)
    lines = "\n".join([readme, EXAMPLES, *helps]).splitlines()
    return [line.strip() for line in lines if re.match(r" +(printf .*\| )?graft ", line)]


@pytest.mark.parametrize("line", sorted({*examples()}))
def test_every_example_can_be_typed(line):
    _, *arguments = shlex.split(line.rpartition("| ")[2])
    assert build_parser().parse_args(arguments).run


def test_help_loads_no_library():
    code = (
        "import sys; from langchain_graft.cli import main\n"
        "try: main(['ask', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'langchain_core', 'rich', 'torch', 'chromadb', 'numpy', 'pydantic'}\n"
        "print('loaded', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded []"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("ask", "Who?"),
        ("ask", "Who?", "--kb", "x", "-k", "0"),
        ("ask", "Who?", "--kb", "x", "--chain", "graph-rag"),
        ("chat", "--kb", "x", "--retriever", "words"),
        ("ask", "Who?", "--kb", "x", "--filter", "{lang: zh}"),
        ("ask", "Who?", "--kb", "x", "--filter", '{"lang": {"$like": "z"}}'),
        ("ask", "  ", "--kb", "x"),
        ("ingest", "--kb", "x"),
        ("ingest", "no-such-file", "--kb", "x", "--embeddings", "minilm"),
        ("ingest", ".", "--kb", "x", "--beir", "."),
        ("eval", "--kb", "x"),
        ("eval", "--kb", "x", "--questions", "q", "--limit", "0"),
        ("eval", "--kb", "x", "--questions", "q", "--beir", "b"),
        ("eval", "--kb", "x", "--questions", "q", "--calibrate", "--retriever", "bm25"),
        ("eval", "--kb", "x", "--questions", "q", "--calibrate", "--retrieval-only"),
        ("eval", "--kb", "x", "--questions", "q", "--calibrate", "--rows", "r"),
        ("ask", "Who?", "--kb", "x", "--retriever", "fusion"),
        ("models", "pull"),
        ("models", "fly"),
    ],
)
def test_wrong_use_is_2_with_a_reason(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err) > 20
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_number_that_is_none_is_told_in_plain_words(value, capsys):
    assert run("ask", "Who?", "--kb", "x", "-k", value) == 2
    assert f"must be a whole number of 1 or more, not {value!r}" in capsys.readouterr().err


def test_help_comes_in_less_than_300_milliseconds():
    def seconds():
        started = time.perf_counter()
        subprocess.run([GRAFT, "--help"], capture_output=True, check=True)
        return time.perf_counter() - started

    assert min(seconds() for _ in range(5)) < 0.3


def test_a_fault_of_ours_is_shown_in_full(monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("langchain_graft.knowledge_base.status.read_status", broken)
    with pytest.raises(ZeroDivisionError):
        run("status", "--kb", "anything")


@pytest.mark.parametrize("command", ["status", "ask", "chat", "eval", "remove"])
def test_no_knowledge_base_is_2_and_says_how_to_make_one(command, capsys, tmp_path):
    folder = str(tmp_path / "none")
    more = {
        "ask": ["Who?"],
        "remove": ["a.md"],
        "eval": ["--questions", str(tmp_path / "questions.jsonl")],
    }
    assert run(command, *more.get(command, []), "--kb", folder) == 2
    assert "graft ingest" in capsys.readouterr().err


def test_status_needs_no_embedder(capsys, tmp_path):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents/a.md").write_text("# A\n\nAltair was a kit.", encoding="utf-8")
    (tmp_path / "documents/b.pdf").write_bytes(b"")
    kb = KnowledgeBase.create(tmp_path / "kb", embeddings=HashEmbeddings())
    kb.ingest(tmp_path / "documents")

    assert run("status", "--kb", str(tmp_path / "kb"), "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert status["documents"] == {"ready": 1, "failed": 1}
    assert "0 bytes" in status["failures"]["b.pdf"]

    assert run("status", "--kb", str(tmp_path / "kb")) == 0
    assert "b.pdf" in capsys.readouterr().out


def test_an_unknown_model_names_those_that_there_are(capsys, tmp_path):
    folder = tmp_path / "kb"
    assert run("ingest", str(tmp_path), "--kb", str(folder), "--embeddings", "bge") == 2
    told = capsys.readouterr().err
    assert "'bge'" in told
    assert "minilm" in told


def test_interrupting_is_130_and_says_that_nothing_is_lost(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("langchain_graft.knowledge_base.status.read_status", interrupted)
    assert run("status", "--kb", "anything") == 130
    assert "run it again" in capsys.readouterr().err


def test_a_service_that_fails_is_1_and_a_fault_of_ours_is_shown_in_full():
    request = httpx.Request("POST", "http://127.0.0.1")
    assert exit_code(openai.APIConnectionError(request=request)) == 1
    assert exit_code(httpx.ConnectError("refused")) == 1
    assert exit_code(TypeError("of ours")) is None
