"""The example corpus with real weights, read again by another process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_graft.knowledge_base import KnowledgeBase

CORPUS = Path(__file__).parents[3] / "examples" / "corpus"
FILES = [
    "companies/apple-timeline.csv",
    "companies/pixar.docx",
    "companies/sinclair.html",
    "companies/xerox-parc.pdf",
    "machines/lisa.md",
    "people/ronald-wayne.md",
    "zh/cec-i.txt",
    "zh/问答.jsonl",
    "zh/五笔字型.md",
]
ASK = """
import json, sys
from langchain_graft.knowledge_base import KnowledgeBase
kb = KnowledgeBase.open(sys.argv[1])
for kind in ("vector", "bm25"):
    found = kb.retriever(kind, k=3).search_many(json.loads(sys.argv[2]))
    print(json.dumps([[d.metadata["source_id"] for d in ranking] for ranking in found]))
"""
ENGLISH = {
    "Who made cheap computers in Britain, the ZX81?": "sinclair.html",
    "Who sold his ten percent of Apple for 800 dollars?": "ronald-wayne.md",
    "What did Steve Jobs see at the research centre in Palo Alto?": "xerox-parc.pdf",
    "Which animation company did Jobs buy from George Lucas?": "pixar.docx",
}
CHINESE = {"五笔字型是谁发明的？": "五笔字型.md", "中华学习机是什么？": "cec-i.txt"}


@pytest.mark.parametrize(
    ("embeddings", "questions"),
    [("minilm", ENGLISH), ("e5-multilingual", {**ENGLISH, **CHINESE})],
)
def test_every_question_finds_its_document_from_another_process(tmp_path, embeddings, questions):
    kb = KnowledgeBase.create(tmp_path / "kb", embeddings=embeddings)
    report = kb.ingest(*(CORPUS / name for name in FILES))
    assert report.failed == {}
    assert report.added == len(FILES)
    assert kb.status().chunks == {"indexed": report.chunks}
    kb.close()
    told = subprocess.run(
        [sys.executable, "-c", ASK, str(kb.folder), json.dumps(list(questions))],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in told.stdout.splitlines():
        rankings = json.loads(line)
        hits = [name in ranking for name, ranking in zip(questions.values(), rankings, strict=True)]
        assert all(hits), dict(zip(questions, rankings, strict=True))
