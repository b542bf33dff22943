"""Scanned PDF files, through the extra `ocr`."""

from importlib.util import find_spec

import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from langchain_graft.knowledge_base import IngestSettings, KnowledgeBase
from langchain_graft.testing import HashEmbeddings

LINES = ["The Apple II was sold in 1977.", "It had eight slots."]


@pytest.fixture
def scan(documents):
    """A page that is one picture."""
    picture = Image.new("RGB", (1240, 600), "white")
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(LINES):
        draw.text((80, 80 + 90 * number), line, fill="black", font=ImageFont.load_default(48))
    sheet = Canvas(str(documents / "scan.pdf"))
    sheet.drawImage(ImageReader(picture), 20, 500, width=550, height=266)
    sheet.save()
    return documents / "scan.pdf"


def ingested(tmp_path, path, **settings):
    kb = KnowledgeBase.create(
        tmp_path / "scans", embeddings=HashEmbeddings(), settings=IngestSettings(**settings)
    )
    return kb, kb.ingest(path)


def test_without_ocr_it_says_how_to_read_it(tmp_path, scan):
    kb, report = ingested(tmp_path, scan)
    assert (
        "pip install 'langchain-graft[ocr]', then graft ingest --ocr" in report.failed["scan.pdf"]
    )
    kb.close()


def test_a_page_that_could_not_be_read_is_told_until_the_file_is_another(tmp_path, documents):
    """The rest is found; the unchanged file is not read again."""
    sheet = Canvas(str(documents / "mixed.pdf"))
    sheet.drawString(72, 720, "Cover page of the contract.")
    sheet.showPage()
    sheet.rect(100, 100, 50, 50)
    sheet.save()
    kb, report = ingested(tmp_path, documents)
    assert report.failed["mixed.pdf"].startswith("page 2 has no text: Read it with OCR")
    assert (report.added, kb.status().documents) == (1, {"ready": 1})
    assert [d.page_content for d in kb.retriever("bm25").invoke("contract")] == [
        "Cover page of the contract."
    ]
    read = []
    again = kb.ingest(documents, on_progress=lambda label, _, total: read.append((label, total)))
    assert read == [("read", 0)]
    assert (again.unchanged, again.failed) == (1, report.failed)
    assert kb.status().failures == report.failed
    kb.close()


@pytest.mark.skipif(
    find_spec("rapidocr_onnxruntime") is None,
    reason="the extra ocr is not installed",
)
def test_with_ocr_its_words_are_found(tmp_path, scan):
    kb, report = ingested(tmp_path, scan, ocr=True)
    assert report.failed == {}
    (found,) = kb.retriever("bm25").invoke("eight slots")
    assert "1977" in found.page_content
    assert found.metadata["page"] == 1
    kb.close()


def test_without_the_extra_it_says_what_to_install(tmp_path, scan, monkeypatch):
    """A module of that name which can not be imported stands in the way of the real one."""
    folder = tmp_path / "absent"
    folder.mkdir()
    (folder / "rapidocr_onnxruntime.py").write_text("raise ImportError('absent')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    kb, report = ingested(tmp_path, scan, ocr=True)
    assert "Install it: pip install 'langchain-graft[ocr]'" in report.failed["scan.pdf"]
    kb.close()
