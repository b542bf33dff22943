"""Reading processes: in any order, bounded, and none is left behind."""

import sys
from pathlib import Path

import pytest

from langchain_graft.errors import SourceError
from langchain_graft.knowledge_base.reader_pool import ReaderPool
from langchain_graft.knowledge_base.reading import Chunker
from langchain_graft.knowledge_base.settings import IngestSettings
from langchain_graft.knowledge_base.sources import FileSource
from langchain_graft.models.tokens import TokenCounter


def chunker(**settings):
    return Chunker(settings=IngestSettings(**settings), counter=TokenCounter())


def sources(*paths):
    return [FileSource(name=path.name, path=path, root="") for path in paths]


def read(pool, *paths):
    found = pool.read_all(sources(*paths))
    return {
        source.name: read if isinstance(read, SourceError) else read.chunks
        for source, read in found
    }


def children():
    """Command lines of our reading processes."""
    tasks = Path("/proc/self/task").iterdir()
    pids = [pid for task in tasks for pid in (task / "children").read_text("utf-8").split()]
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids]
    return [command for command in commands if b"read_process" in command]


def test_every_file_is_answered_and_no_process_is_left(write):
    paths = [write(f"{number}.md", f"text {number}") for number in range(7)]
    with ReaderPool(chunker(), processes=2) as pool:
        answers = read(pool, *paths)
        assert len(children()) == 2
    assert {name: [c.text for c in chunks] for name, chunks in answers.items()} == {
        f"{number}.md": [f"text {number}"] for number in range(7)
    }
    assert children() == []


def test_no_more_is_read_ahead_than_twice_the_processes(write):
    paths = [write(f"{number}.md", "text") for number in range(9)]
    asked = []

    def watched():
        for source in sources(*paths):
            asked.append(source)
            yield source

    with ReaderPool(chunker(), processes=1) as pool:
        for done, _ in enumerate(pool.read_all(watched()), 1):
            assert len(asked) <= done + 2


def test_a_crash_costs_one_file(write, broken_pdf_library):
    paths = [write(name, "text") for name in ("a.md", "crash1.pdf", "b.md", "crash2.pdf", "c.md")]
    with ReaderPool(chunker(), processes=1) as pool:
        answers = read(pool, *paths)
    for name in ("crash1.pdf", "crash2.pdf"):
        assert str(answers[name]) == (
            "it crashed its reader, or there was not enough memory. Is it damaged?"
        )
    assert [answers[name][0].text for name in ("a.md", "b.md", "c.md")] == ["text"] * 3


def test_a_hang_costs_one_file_and_its_time(write, broken_pdf_library):
    paths = [write(name, "text") for name in ("a.md", "hang.pdf", "b.md")]
    with ReaderPool(chunker(read_timeout_seconds=2), processes=1) as pool:
        answers = read(pool, *paths)
    assert str(answers["hang.pdf"]) == "reading it took more than 2 s and was given up"
    assert answers["b.md"][0].text == "text"


def test_what_a_library_prints_is_no_answer(write, broken_pdf_library):
    paths = [write(name, "text") for name in ("noise.pdf", "a.md")]
    with ReaderPool(chunker(), processes=1) as pool:
        answers = read(pool, *paths)
    assert str(answers["noise.pdf"]) == "its reader failed: RuntimeError: broken"
    assert answers["a.md"][0].text == "text"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not bound it")
def test_the_memory_of_a_reader_is_bounded(write, broken_pdf_library):
    with ReaderPool(chunker(), processes=1) as pool:
        answers = read(pool, write("huge.pdf", "text"))
    assert str(answers["huge.pdf"]) == "there was not enough memory to read it. Split it"


def test_the_users_own_modules_are_not_mistaken_for_pythons(write, tmp_path, monkeypatch):
    """Someone runs `graft` in a folder of programs, one of them called json.py."""
    (tmp_path / "json.py").write_text("raise SystemExit('not me')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with ReaderPool(chunker(), processes=1) as pool:
        answers = read(pool, write("a.md", "text"))
    assert answers["a.md"][0].text == "text"


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        ("max_file_mb", r"it has 1 MB, more than the limit of 1\."),
        ("max_text_mb", r"it holds 2 million"),
    ],
)
def test_a_file_that_is_too_large(write, limit, why):
    path = write("a.txt", "文" * 400_000 if limit == "max_file_mb" else "word " * 480_000)
    with ReaderPool(chunker(**{limit: 1}), processes=1) as pool:
        answers = read(pool, path)
    with pytest.raises(SourceError, match=rf"{why}.*Split it, or .* a larger {limit}"):
        raise answers["a.txt"]
