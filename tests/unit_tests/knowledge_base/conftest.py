"""A PDF library that breaks."""

import pytest

BROKEN_LIBRARY = """
import os, signal, time
import pypdfium2

def read(path, *_, **__):
    if "crash" in path.name:
        os.kill(os.getpid(), signal.SIGKILL)
    if "noise" in path.name:
        os.write(1, b"a C library prints\\n")
        raise RuntimeError("broken")
    if "huge" in path.name:
        bytearray(6 << 30)
    time.sleep(600)

pypdfium2.PdfDocument = read
"""


@pytest.fixture
def broken_pdf_library(tmp_path, monkeypatch):
    """In reading processes the PDF library dies of a "crash*.pdf", and never ends on most."""
    folder = tmp_path / "startup"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BROKEN_LIBRARY, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))
