"""Virtual environments of packages that can not be beside our own, each made once."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from langchain_graft.models.cache_folder import cache_folder
from langchain_graft.models.registry import index_url

ROOT = Path(__file__).parents[3]


def run(command, **settings):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **settings)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def python_with(name, requirements):
    """The Python of an environment with these packages, and with ours as it is here."""
    folder = cache_folder() / "test-environments" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    stamp = folder / "made-of"
    made_of = "\n".join(
        [sys.version, str(ROOT), *requirements, (ROOT / "pyproject.toml").read_text()]
    )
    made_of = hashlib.sha256(made_of.encode()).hexdigest()
    python = folder / "bin" / "python"
    with filelock.FileLock(f"{folder}.lock"):
        if not stamp.exists() or stamp.read_text() != made_of:
            shutil.rmtree(folder, ignore_errors=True)
            uv = [str(Path(sys.executable).with_name("uv")), "--quiet"]
            known = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1", "UV_DEFAULT_INDEX": index_url()}
            settings = {"env": {**os.environ, **known}, "cwd": folder.parent}
            run([*uv, "venv", "--python", sys.executable, str(folder)], **settings)
            run([*uv, "pip", "install", "--python", str(python), *requirements], **settings)
            stamp.write_text(made_of)
    return python


@pytest.fixture(scope="session")
def told_by(tmp_path_factory):
    """What a script beside the tests prints as JSON in an environment of these packages."""

    def told_by(script, *requirements, ours=""):
        python = python_with(Path(script).stem, [*requirements, "-e", f"{ROOT}{ours}"])
        path = Path(__file__).with_name(script)
        told = run([str(python), str(path)], cwd=tmp_path_factory.mktemp(path.stem))
        return json.loads(told.splitlines()[-1])

    return told_by
