"""Word documents."""

import zipfile
from datetime import UTC, datetime

import docx
import pytest

from langchain_graft.errors import SourceError
from langchain_graft.knowledge_base.readers import word
from langchain_graft.knowledge_base.readers.word import read_word


def written(path):
    document = docx.Document()
    document.core_properties.title = "Properties' title"
    document.core_properties.created = datetime(1986, 2, 3, tzinfo=UTC)
    document.add_heading("皮克斯 Pixar", level=1)
    document.add_paragraph("Bought for five million dollars.")
    document.add_heading("Films", level=2)
    document.add_paragraph("Toy Story", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(table.rows[0].cells, ("Film", "Year"), strict=True):
        cell.text = text
    for cell, text in zip(table.rows[1].cells, ("Toy Story", "1995"), strict=True):
        cell.text = text
    document.save(path)
    return path


def test_headings_lists_and_tables(tmp_path):
    document = read_word(written(tmp_path / "a.docx"))
    introduction, films = document.sections
    assert (introduction.heading, introduction.text) == (None, "Bought for five million dollars.")
    assert films.heading == "Films"
    assert "* Toy Story" in films.text
    assert "| Toy Story | 1995 |" in films.text


def test_title_from_the_first_heading_and_date_from_the_properties(tmp_path):
    document = read_word(written(tmp_path / "a.docx"))
    assert document.title == "皮克斯 Pixar"
    assert document.date == "1986-02-03T00:00:00Z"


def test_without_a_heading_the_properties_name_it(tmp_path):
    plain = docx.Document()
    plain.core_properties.title = "Minutes"
    plain.add_paragraph("All agreed.")
    plain.save(tmp_path / "a.docx")
    assert read_word(tmp_path / "a.docx").title == "Minutes"


def test_what_is_no_docx_is_refused(tmp_path):
    (tmp_path / "a.docx").write_bytes(b"not a zip")
    with pytest.raises(SourceError, match=r"no readable docx. Open it in Word and save it again"):
        read_word(tmp_path / "a.docx")


def test_a_zip_that_is_no_docx_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(SourceError, match="no readable docx"):
        read_word(tmp_path / "a.docx")


def test_a_password_or_an_old_doc_is_named_as_such(tmp_path):
    (tmp_path / "a.docx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(SourceError, match=r"password or an old .doc"):
        read_word(tmp_path / "a.docx")


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(word, "MOST_UNPACKED_BYTES", 1_000_000)
    with zipfile.ZipFile(tmp_path / "a.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", bytes(1_200_000))
    with pytest.raises(SourceError, match="more than a document does"):
        read_word(tmp_path / "a.docx")
