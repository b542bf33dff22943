"""Which files a folder gives, and what a loader's documents become."""

import gc
import os
import weakref
from datetime import date

import pytest
from langchain_core.documents import Document

from langchain_graft.errors import SourceError
from langchain_graft.knowledge_base.sources import document_sources, find_files


def names(found):
    return [source.name for source in found.files]


def test_files_below_a_folder_in_order(documents, write):
    for name in ("b.md", "a b 水果.txt", "sub/deep/c.MD", "z.pdf"):
        write(name, "x")
    found = find_files([documents])
    assert names(found) == ["a b 水果.txt", "b.md", "sub/deep/c.MD", "z.pdf"]
    assert {source.root for source in found.files} == {str(documents)}
    assert found.roots == {str(documents)}


def test_hidden_files_and_other_kinds_are_passed_over(documents, write):
    for name in (
        ".git/a.md",
        ".a.md",
        "~$a.docx",
        "node_modules/a.md",
        "x.exe",
        "y.exe",
        "Makefile",
    ):
        write(name, "x")
    found = find_files([documents])
    assert found.files == []
    assert found.skipped == {".exe": 2, "(none)": 1}


def test_a_file_that_is_named_itself_may_be_hidden(documents, write):
    found = find_files([write(".a.md", "x")])
    assert (names(found), found.files[0].root, found.roots) == ([".a.md"], "", set())


def test_each_file_once_however_often_it_is_named(documents, write):
    write("sub/a.md", "x")
    found = find_files([documents, documents / "sub", documents / "sub" / "a.md"])
    assert names(found) == ["sub/a.md"]


def test_a_path_that_does_not_exist_is_named(documents):
    with pytest.raises(FileNotFoundError, match=r"No such file or folder: .*gone"):
        find_files([documents / "gone"])


def test_a_loop_of_links_ends(documents, write):
    write("sub/a.md", "x")
    (documents / "sub" / "loop").symlink_to(documents)
    (documents / "again").symlink_to(documents / "sub")
    assert len(find_files([documents]).files) == 1


def test_a_link_to_a_file_is_that_file_under_the_links_name(documents, write):
    (documents / "b.md").symlink_to(write("a.md", "x"))
    assert names(find_files([documents])) == ["a.md", "b.md"]


def test_a_link_to_nothing_is_told(documents):
    (documents / "a.md").symlink_to(documents / "gone.md")
    (documents / "b.md").symlink_to(documents / "b.md")
    found = find_files([documents])
    assert found.files == []
    assert [(source.name, why) for source, why in found.unreadable] == [
        ("a.md", "it is a link to nothing. Mend or remove it"),
        ("b.md", "it is a link to nothing. Mend or remove it"),
    ]


def test_a_pipe_is_told_and_not_waited_for(documents):
    os.mkfifo(documents / "a.txt")
    for found in (find_files([documents]), find_files([documents / "a.txt"])):
        assert found.files == []
        ((source, why),) = found.unreadable
        assert source.name == "a.txt"
        assert why == "it is a pipe or device, no file. Remove it"


def test_a_name_that_is_no_text_is_told(documents):
    (documents / os.fsdecode("报告.md".encode("gbk"))).write_text("x", encoding="utf-8")
    found = find_files([documents])
    assert found.files == []
    ((source, why),) = found.unreadable
    assert source.name.encode("utf-8") == rb"\xb1\xa8\xb8\xe6.md"
    assert why == "its name is not UTF-8. Rename it"


def loaded(*rows):
    return list(document_sources([Document(text, metadata=meta) for text, meta in rows]))


def test_documents_with_the_same_source_are_one():
    first, second = loaded(
        ("one", {"source": "a"}), ("two", {"source": "b"}), ("three", {"source": "a"})
    )
    assert [section.text for section in first.document.sections] == ["one", "three"]
    assert (first.name, second.name) == ("a", "b")


def test_each_part_keeps_its_own_metadata():
    (source,) = loaded(
        ("one", {"source": "a", "title": "T", "by": "me", "page": 0, "tags": ["x"]}),
        ("two", {"source": "a", "title": "T", "by": "you", "page": 1, "year": 1984}),
    )
    assert source.document.title == "T"
    assert [section.metadata for section in source.document.sections] == [
        {"by": "me"},
        {"by": "you", "year": 1984},
    ]
    assert [section.pages for section in source.document.sections] == [((0, 1),), ((0, 2),)]


def test_rows_stay_rows_and_questions_are_kept():
    (source,) = loaded(
        ("fruit: kiwi", {"source": "a", "row": 0}),
        ("Woz.", {"source": "a", "row": 1, "question": "Who built it?"}),
    )
    assert [(s.row, s.question) for s in source.document.sections] == [
        (1, None),
        (2, "Who built it?"),
    ]


def test_a_date_of_any_kind_is_text():
    (source,) = loaded(("one", {"source": "a", "date": date(1984, 1, 24), "title": 7}))
    assert (source.document.date, source.document.title) == ("1984-01-24", "7")


def test_the_id_stands_in_for_a_source():
    (source,) = document_sources([Document("one", id="x")])
    assert source.name == "x"


def test_a_document_without_source_and_id_can_not_be_known_again():
    with pytest.raises(SourceError, match=r"needs metadata\['source'\] or an id"):
        list(document_sources([Document("one")]))


def test_a_loader_is_never_held_in_memory_as_a_whole():
    alive = weakref.WeakSet()
    most = 0

    class Watched(Document):
        __hash__ = object.__hash__

    def lazy_load():
        nonlocal most
        for number in range(300):
            document = Watched("text", metadata={"source": str(number % 100)})
            alive.add(document)
            yield document
            del document
            gc.collect(0)
            most = max(most, len(alive))

    sources = document_sources(lazy_load())
    assert sum(len(source.document.sections) for source in sources) == 300
    assert most < 10


def test_the_digest_changes_with_all_that_a_document_says():
    digests = [
        source.digest
        for row in (
            ("one", {"source": "a"}),
            ("two", {"source": "a"}),
            ("one", {"source": "a", "title": "T"}),
            ("one", {"source": "a", "date": "1984"}),
            ("one", {"source": "a", "language": "de"}),
            ("one", {"source": "a", "by": "me"}),
            ("one", {"source": "a", "page": 3}),
            ("one", {"source": "a", "question": "Q"}),
        )
        for source in loaded(row)
    ]
    assert len(set(digests)) == len(digests)
