"""Every claim has a script, and every script a result that was committed."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"report"}
RESULTS = {path.stem: path for path in (ROOT / "benchmarks/results").glob("*.json")}


def test_every_benchmark_has_a_result_with_its_commit_and_machine():
    assert set(RESULTS) == SCRIPTS
    for name, path in RESULTS.items():
        result = json.loads(path.read_text(encoding="utf-8"))
        assert result["benchmark"] == name
        assert result["figures"]
        assert re.fullmatch("[0-9a-f]{7,}", result["commit"])
        assert result["machine"]["cores"]


def test_every_benchmark_is_explained():
    told = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    assert {name for name in SCRIPTS if f"`{name}.py`" in told} == SCRIPTS


def test_the_readme_shows_figures():
    shown = (ROOT / "README.md").read_text(encoding="utf-8").split("## Figures")[1]
    assert re.search(r"\d\.\d+", shown.split("\n## ")[0])
