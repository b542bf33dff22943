"""A reader by the file's ending."""

import subprocess
import sys

import pytest

from langchain_graft.errors import SourceError
from langchain_graft.knowledge_base.readers import SUFFIXES, read_file

CONTENTS = {
    ".txt": "kiwi",
    ".log": "kiwi",
    ".rst": "kiwi",
    ".text": "kiwi",
    ".md": "# T\n\nkiwi",
    ".markdown": "kiwi",
    ".mdx": "kiwi",
    ".html": "<p>kiwi</p>",
    ".htm": "<p>kiwi</p>",
    ".xhtml": "<p>kiwi</p>",
    ".csv": "fruit\nkiwi",
    ".tsv": "fruit\nkiwi",
    ".jsonl": '{"fruit": "kiwi"}',
    ".ndjson": '{"fruit": "kiwi"}',
    ".json": '[{"fruit": "kiwi"}]',
}


def test_every_ending_is_tested_here_or_has_a_file_of_its_own():
    assert set(CONTENTS) | {".pdf", ".docx"} == SUFFIXES


@pytest.mark.parametrize("suffix", CONTENTS)
def test_the_ending_in_any_case_chooses_the_reader(suffix, tmp_path):
    path = tmp_path / f"a b 水果{suffix.upper()}"
    path.write_text(CONTENTS[suffix], encoding="utf-8")
    (section,) = read_file(path).sections
    assert "kiwi" in section.text


def test_other_endings_are_refused_with_those_that_work(tmp_path):
    with pytest.raises(SourceError, match=r"'.exe' can not be read; there are .*\.pdf"):
        read_file(tmp_path / "a.exe")


def test_a_file_that_is_gone_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "gone.txt")


def test_reading_text_loads_no_library_of_other_kinds(tmp_path):
    (tmp_path / "a.txt").write_text("kiwi", encoding="utf-8")
    script = (
        "import sys; from pathlib import Path; "
        "from langchain_graft.knowledge_base.readers import read_file; "
        "read_file(Path(sys.argv[1])); "
        "print({'pypdfium2', 'mammoth', 'bs4', 'yaml'} & set(sys.modules))"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.txt")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "set()"
