"""The reading process: a line of JSON with a path in, a line with its chunks out.

Files are read in processes of their own, so that one that crashes or hangs a parser is one failed
document and nothing more. It ends when its stdin is closed.
"""

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from langchain_graft.errors import GraftError
from langchain_graft.knowledge_base.reading import Chunker
from langchain_graft.knowledge_base.settings import IngestSettings
from langchain_graft.models.tokens import TokenCounter

MOST_BYTES = 4 << 30


def main() -> None:
    """Answer orders until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what a parser prints, in Python or in C, is no answer
    _bound_memory()
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
        read = chunker.read(path)
    except Exception as error:  # noqa: BLE001
        return {"error": _explain(error)}
    return {**read._asdict(), "chunks": [asdict(chunk) for chunk in read.chunks]}


def _bound_memory() -> None:
    """A document that unpacks to more than that is one failed document, not a full machine.

    What is written to counts, not what is reserved: threads reserve much on large machines.
    """
    with suppress(ImportError, ValueError, OSError):  # not on Windows; not everywhere on macOS
        import resource  # noqa: PLC0415

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        most = MOST_BYTES if most == resource.RLIM_INFINITY else min(MOST_BYTES, most)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


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
