"""Train an adapter from files, in one process or in several that a launcher starts.

    python -m langchain_graft.finetune_bridge.training.launch settings.json rows.jsonl
    accelerate launch --num_processes 2 -m langchain_graft.finetune_bridge.training.launch ...

The settings' `task` says what is trained. Progress goes to the standard error; the last line of the
output is a JSON object with the adapter's folder and the report.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import GraftError
from langchain_graft.finetune_bridge.training.row_files import read_rows
from langchain_graft.finetune_bridge.training.rows import (
    EmbeddingRow,
    GeneratorRow,
    PreferenceRow,
)
from langchain_graft.finetune_bridge.training.settings import (
    EmbeddingSettings,
    PreferenceSettings,
    ReflectionSettings,
    settings_from_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_graft.finetune_bridge.training.settings import TrainSettings
    from langchain_graft.finetune_bridge.training.trained_adapter import (
        TrainedAdapter,
        TrainProgress,
    )


def main(given: Sequence[str] | None = None) -> int:
    """Train as the files say; 0 when it is done, 1 when the world failed, 2 for a wrong use."""
    parser = argparse.ArgumentParser(prog="launch", description=__doc__)
    parser.add_argument("settings", type=Path, help="a JSON object, with its task")
    parser.add_argument("rows", type=Path, help="what is learned, a JSON object a line")
    arguments = parser.parse_args(given)
    try:
        settings = settings_from_json(json.loads(arguments.settings.read_text(encoding="utf-8")))
        trained = _train(settings, arguments.rows)
    except (GraftError, OSError) as error:
        return _failed(error, 1)
    except ValueError as error:
        return _failed(error, 2)
    if _is_first():
        told = {"adapter": str(trained.folder), "report": asdict(trained.report)}
        print(json.dumps(told))  # noqa: T201 (its output)
    return 0


def _train(settings: TrainSettings, rows: Path) -> TrainedAdapter:
    if isinstance(settings, EmbeddingSettings):
        if _count() > 1:
            msg = (
                "Embeddings are trained in one process: a query has to tell its passage from all "
                "others of its batch. Start it without a launcher"
            )
            raise ValueError(msg)
        from langchain_graft.finetune_bridge.training.embeddings import (  # noqa: PLC0415
            train_embeddings,
        )

        return train_embeddings(settings, read_rows(rows, EmbeddingRow), on_progress=_tell)
    if isinstance(settings, ReflectionSettings):
        msg = "Self-RAG is trained in one process, by `graft train self-rag`. Start it so"
        raise ValueError(msg)  # noqa: TRY004 (a wrong use)
    if isinstance(settings, PreferenceSettings):
        from langchain_graft.finetune_bridge.training.preferences import (  # noqa: PLC0415
            train_preferences,
        )

        return train_preferences(settings, read_rows(rows, PreferenceRow), on_progress=_tell)
    from langchain_graft.finetune_bridge.training.generator import (  # noqa: PLC0415
        train_generator,
    )

    generator: Any = settings
    return train_generator(generator, read_rows(rows, GeneratorRow), on_progress=_tell)


def _tell(progress: TrainProgress) -> None:
    if _is_first():
        told = f"step {progress.step} of {progress.steps}: loss {progress.loss:.4f}"
        sys.stderr.write(f"{told}, {progress.seconds_left:.0f} s left\n")


def _failed(error: Exception, code: int) -> int:
    sys.stderr.write(f"{error}\n")
    return code


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


if __name__ == "__main__":
    raise SystemExit(main())
