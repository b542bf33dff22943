"""The reading process: a line of JSON with a path in, a line with its chunks out.

Files are read in processes of their own, so that one that crashes or hangs a parser is one failed
document and nothing more. It ends when its stdin is closed.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from langchain_graft.errors import GraftError
from langchain_graft.knowledge_base.reading import Chunker
from langchain_graft.knowledge_base.settings import IngestSettings
from langchain_graft.models.tokens import TokenCounter


def main() -> None:
    """Answer orders until there are no more."""
    answers, sys.stdout = sys.stdout, sys.stderr  # a parser's prints are no answers
    chunker: Chunker | None = None
    for line in sys.stdin:
        order = json.loads(line)
        if chunker is None:
            chunker = Chunker(
                settings=IngestSettings.from_json(order["settings"]),
                counter=TokenCounter(**order["counter"]),
            )
        answers.write(json.dumps(_answer(chunker, Path(order["path"])), ensure_ascii=True) + "\n")
        answers.flush()


def _answer(chunker: Chunker, path: Path) -> dict[str, object]:
    try:
        digest, chunks = chunker.read(path)
    except Exception as error:  # noqa: BLE001
        return {"error": _explain(error)}
    return {"digest": digest, "chunks": [asdict(chunk) for chunk in chunks]}


def _explain(error: Exception) -> str:
    reasons: dict[type[Exception], str] = {
        FileNotFoundError: "it disappeared while it was being read",
        PermissionError: "reading it is not permitted. Change its permissions, or run as its owner",
        MemoryError: "there was not enough memory to read it. Split it",
    }
    known = next((reason for kind, reason in reasons.items() if isinstance(error, kind)), None)
    if known or isinstance(error, GraftError | OSError):
        return known or str(error)
    return f"its reader failed: {type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
