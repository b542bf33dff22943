"""What every benchmark ends with: a table for people, one JSON line for machines."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

DATA = "GRAFT_BENCH_DATA"
RESULTS = Path(__file__).with_name("results")


def data_folder(name: str) -> Path:
    """The folder of a data set below GRAFT_BENCH_DATA (benchmarks/README.md says which)."""
    root = os.environ.get(DATA)
    if not root or not (Path(root) / name).is_dir():
        msg = f"{DATA} names no folder with the data set {name!r}: see benchmarks/README.md"
        raise SystemExit(msg)
    return Path(root) / name


def print_table(title: str, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A plain table on stdout."""
    cells = [names, *[[_cell(value) for value in row] for row in rows]]
    widths = [max(len(str(row[n])) for row in cells) for n in range(len(names))]
    print(f"\n{title}")
    for row in cells:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)))


def finish(benchmark: str, figures: Mapping[str, object], *, packages: Sequence[str]) -> None:
    """Print the JSON line, and keep it in benchmarks/results."""
    line = json.dumps(
        {
            "benchmark": benchmark,
            "figures": figures,
            "commit": _git("rev-parse", "--short", "HEAD"),
            "dirty": bool(_git("status", "--porcelain", "--", "langchain_graft")),
            "versions": {name: metadata.version(name) for name in packages},
            "python": platform.python_version(),
            "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "system": platform.platform()},
        },
        ensure_ascii=False,
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{benchmark}.json").write_text(line + "\n", encoding="utf-8")
    print(f"\n{line}")


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _git(*arguments: str) -> str:
    run = subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return run.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), "?"
    )
