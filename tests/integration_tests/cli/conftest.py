"""The `graft` command as its user runs it: a process of its own, with real models."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_graft.models.pull import models_folder

APPLE = (
    "# Apple\n\nApple was founded by Steve Jobs and Steve Wozniak in April 1976. Its first machine "
    "cost 666.66 dollars.\n"
)
ALTAIR = "The Altair 8800 was sold as a kit by MITS in Albuquerque. Ed Roberts designed it.\n"
ZH = "# 四通\n\n四通打字机由王缉志设计。王缉志是语言学家王力的儿子。四通公司在北京中关村。\n"


class Graft:
    """Runs `graft` in a folder; the models are those of this machine, kept replies are not."""

    graft = str(Path(sys.executable).with_name("graft"))

    def __init__(self, folder):
        self.folder = folder
        cache = folder / "cache"
        cache.mkdir()
        models_folder().mkdir(parents=True, exist_ok=True)
        (cache / "models").symlink_to(models_folder())
        self.environment = {
            **os.environ,
            "LANGCHAIN_GRAFT_CACHE": str(cache),
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }

    def __call__(self, *arguments, code=0, stdin=""):
        done = subprocess.run(
            [self.graft, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def start(self, *arguments, **settings):
        """The same, without waiting for it."""
        return subprocess.Popen(
            [self.graft, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            text=True,
            **settings,
        )

    def json(self, *arguments, **settings):
        """What it prints with `--json`: one document, and nothing beside it."""
        return json.loads(self(*arguments, "--json", **settings).stdout)


@pytest.fixture(scope="session")
def documents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    (folder / "apple.md").write_text(APPLE, encoding="utf-8")
    (folder / "altair.txt").write_text(ALTAIR, encoding="utf-8")
    (folder / "四通.md").write_text(ZH, encoding="utf-8")
    return folder


@pytest.fixture
def graft(tmp_path):
    return Graft(tmp_path)


@pytest.fixture(scope="session")
def filled(tmp_path_factory, documents):
    """A command in a folder with a knowledge base `kb`, which no test changes."""
    graft = Graft(tmp_path_factory.mktemp("filled"))
    graft("ingest", documents, "--kb", "kb")
    return graft
