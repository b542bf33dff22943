"""Every bad file is one clear failure in report and status; the rest of the run goes on."""

import os

from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from langchain_graft.knowledge_base import IngestSettings, KnowledgeBase
from langchain_graft.testing import HashEmbeddings


def encrypted(path):
    sheet = Canvas(str(path), encrypt=StandardEncryption("secret"))
    sheet.drawString(50, 700, "secret")
    sheet.save()


def test_all_at_once(tmp_path, documents, write, broken_pdf_library, texts_of):
    """Names with spaces and Chinese among them; each says what, where and what to do."""
    write("good.md", "apple")
    write("also good 好.md", "banana")
    (documents / "empty.txt").touch()
    (documents / "only spaces 空.txt").write_text(" \n\t\n", encoding="utf-8")
    (documents / "zero.pdf").touch()
    (documents / "program.txt").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 40)
    (documents / "half.txt").write_bytes(b"\xff\xfea\x00b\x00\x00\xd8")
    (documents / "broken.docx").write_bytes(b"PK\x03\x04 no zip")
    (documents / "broken.jsonl").write_text('{"text": "one"}\n{"text"\n', encoding="utf-8")
    (documents / "crash.pdf").write_bytes(b"%PDF-1.7")
    (documents / "hang.pdf").write_bytes(b"%PDF-1.7 2")
    (documents / "link.md").symlink_to(documents / "gone")
    (documents / "loop").symlink_to(documents)
    os.mkfifo(documents / "pipe.md")
    expected = {
        "empty.txt": "it holds no text. Remove it, or put something in it",
        "only spaces 空.txt": "it holds no text. Remove it",
        "zero.pdf": "it is empty (0 bytes). Download or export it again",
        "program.txt": "it is no text (a program",
        "half.txt": "it looks like utf-16, but byte 6 does not fit. Save it as UTF-8",
        "broken.docx": "it is no readable docx. Open it in Word and save it again",
        "broken.jsonl": "line 2 is no JSON",
        "crash.pdf": "it crashed its reader",
        "hang.pdf": "reading it took more than 8 s and was given up",
        "link.md": "it is a link to nothing",
        "pipe.md": "it is a pipe or device",
    }
    settings = IngestSettings(read_timeout_seconds=8)
    kb = KnowledgeBase.create(tmp_path / "own", embeddings=HashEmbeddings(), settings=settings)
    report = kb.ingest(documents)
    assert {name: why[: len(expected[name])] for name, why in report.failed.items()} == expected
    assert kb.status().failures == report.failed
    assert kb.status().documents == {"ready": 2, "failed": len(expected)}
    assert texts_of(kb) == {"good.md": ["apple"], "also good 好.md": ["banana"]}
    kb.close()


def test_a_password(kb, documents):
    encrypted(documents / "a.pdf")
    report = kb.ingest(documents)
    assert report.failed == {
        "a.pdf": "it is protected by a password. Save it without one and ingest it again"
    }


def test_what_was_indexed_of_a_file_stays_while_it_can_not_be_read(kb, documents, write, texts):
    path = write("a.md", "apple")
    kb.ingest(documents)
    path.write_bytes(b"\x00\x01\x02" * 100)
    assert set(kb.ingest(documents).failed) == {"a.md"}
    assert texts() == {"a.md": ["apple"]}
    write("a.md", "apricot")
    assert kb.ingest(documents).failed == {}
    assert texts() == {"a.md": ["apricot"]}
    assert kb.status().failures == {}


def test_a_failed_file_that_is_removed_is_no_failure_any_more(kb, documents):
    (documents / "a.txt").touch()
    kb.ingest(documents)
    (documents / "a.txt").unlink()
    assert kb.ingest(documents).removed == 1
    assert kb.status().documents == {}


def test_a_file_that_disappears_while_others_are_read(kb, documents, write, texts):
    for number in range(12):
        write(f"{number:02}.md", f"text {number}")

    def remove_the_last(label, done, _):
        if label == "read" and done == 1:
            (documents / "11.md").unlink()

    report = kb.ingest(documents, on_progress=remove_the_last)
    assert report.failed == {"11.md": "it disappeared while it was being read"}
    assert len(texts()) == 11


def test_a_name_that_is_no_text(kb, documents, write, texts):
    write("a.md", "apple")
    (documents / os.fsdecode("报告.md".encode("gbk"))).write_text("x", encoding="utf-8")
    report = kb.ingest(documents)
    assert report.failed == {r"\xb1\xa8\xb8\xe6.md": "its name is not UTF-8. Rename it"}
    assert kb.status().failures == report.failed
    assert texts() == {"a.md": ["apple"]}
