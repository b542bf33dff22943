"""Other processes on a store, for tests: `python adapter_process.py DEED STORE SOURCE`."""

import os
import sys
from itertools import count
from pathlib import Path

from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest
from langchain_graft.finetune_bridge.adapters.store import AdapterStore

MANIFEST = AdapterManifest(kind="generator", base="hf:tiny", base_digest="b" * 32)


def say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def churn(store, source):
    """For each line, a child that changes the store without end; each begins with torch loaded."""
    import torch  # noqa: F401, PLC0415

    while sys.stdin.readline():
        if child := os.fork():
            say(child)
            os.waitpid(child, 0)
        else:
            change_without_end(store, source)


def change_without_end(store, source):
    for number in count():
        ref = store.register(source, "legal", manifest=MANIFEST)
        store.set_alias(ref, f"alias{number % 3}")
        store.promote(ref)
        if number % 5 == 4:
            store.rollback("legal")
        aliased = set(store.aliases("legal").values())
        for entry in store.list():
            if entry.ref.version not in aliased:
                store.remove(entry.ref)


def register(store, source):
    """Register five times, when told to."""
    import torch  # noqa: F401, PLC0415

    say("ready")
    sys.stdin.readline()
    for _ in range(5):
        say(store.register(source, "legal", manifest=MANIFEST))


def hold(store, source):
    """Lease what is current until killed."""
    lease = store.lease(store.resolve("legal"))
    say(lease.ref)
    sys.stdin.readline()


if __name__ == "__main__":
    deeds = {one.__name__: one for one in (churn, register, hold)}
    deeds[sys.argv[1]](AdapterStore(sys.argv[2]), Path(sys.argv[3]))
