"""Several processes on one store, some of them killed."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from langchain_graft.errors import AdapterInUseError
from langchain_graft.finetune_bridge import AdapterManifest, AdapterRef, AdapterStore
from langchain_graft.finetune_bridge.adapters.lora_weights import read_lora

MANIFEST = AdapterManifest(kind="generator", base="hf:tiny", base_digest="b" * 32)
KILLS = int(os.environ.get("GRAFT_KILLS", "10"))
SCRIPT = Path(__file__).with_name("adapter_process.py")


@contextmanager
def process(deed, store, source):
    command = [sys.executable, str(SCRIPT), deed, str(store.folder), str(source)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as child:
        try:
            yield child
        finally:
            child.kill()


def tell(child):
    child.stdin.write("go\n")
    child.stdin.flush()


@pytest.fixture
def store(tmp_path):
    return AdapterStore(tmp_path / "adapters")


@pytest.fixture(scope="module")
def adapter(make_adapter):
    return make_adapter()


def test_killed_anywhere_it_is_whole(store, adapter):
    """What is listed loads, what is aliased is there, and nothing half-made is seen or stays."""
    store.register(adapter, "legal", manifest=MANIFEST)
    store.promote(AdapterRef("legal", 1))
    chance = random.Random(5)  # noqa: S311
    seen = 1
    with process("churn", store, adapter) as parent:
        for _ in range(KILLS):
            tell(parent)
            child = int(parent.stdout.readline())
            time.sleep(chance.uniform(0, 0.3))
            os.kill(child, signal.SIGKILL)
            seen = check_whole(store, adapter, seen)


def check_whole(store, adapter, seen):
    entries = store.list()
    for entry in entries:
        assert read_lora(store.path(entry.ref), expected=store.manifest(entry.ref).files)
    versions = {entry.ref.version for entry in entries}
    assert set(store.aliases("legal").values()) <= versions
    ref = store.register(adapter, "legal", manifest=MANIFEST)
    assert ref.version > max(seen, *versions), "no number twice"
    left = [one.name for one in (store.folder / "legal").iterdir()]
    assert not [name for name in left if name.startswith((".incoming", ".removed", ".aliases"))]
    return ref.version


def test_processes_that_register_get_numbers_of_their_own(store, adapter):
    with process("register", store, adapter) as one, process("register", store, adapter) as other:
        for child in (one, other):
            assert child.stdout.readline() == "ready\n"
        for child in (one, other):
            tell(child)
        told = [child.stdout.readline().strip() for _ in range(5) for child in (one, other)]
    assert sorted(told) == [f"legal@{number:06}" for number in range(1, 11)]
    assert [str(entry.ref) for entry in store.list()] == sorted(told)


def test_a_lease_holds_across_processes_until_its_process_is_killed(store, adapter):
    ref = store.register(adapter, "legal", manifest=MANIFEST)
    store.promote(ref)
    with process("hold", store, adapter) as child:
        assert child.stdout.readline().strip() == "legal@000001"
        newer = store.register(adapter, "legal", manifest=MANIFEST)
        store.promote(newer)
        with pytest.raises(AdapterInUseError, match="another"):
            store.remove(ref)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        store.remove(ref)
    assert [str(entry.ref) for entry in store.list()] == ["legal@000002"]
