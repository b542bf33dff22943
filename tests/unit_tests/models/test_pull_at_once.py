"""Several pulls of one model at the same time: one of them downloads, the others wait."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest

from langchain_graft.models.catalogue import HubFile
from langchain_graft.models.pull import pull_model

WEIGHTS = bytes(range(256)) * 40
HUB_PATH = "/team/tiny/resolve/main/weights.bin"
PULL = """
import json, sys
from langchain_graft.models.catalogue import CATALOGUE, CatalogueModel, HubFile, ModelFile
from langchain_graft.models.pull import pull_model
size, sha256 = json.loads(sys.argv[1])
hub = HubFile(repo="team/tiny", path="weights.bin")
file = ModelFile(path="weights.bin", size=size, sha256=sha256, sources=(hub,))
CATALOGUE["tiny"] = CatalogueModel(name="tiny", kind="chat", engine="llama.cpp", licence="",
                                   languages="", description="", files=(file,))
print("ready", flush=True)
sys.stdin.readline()
print(pull_model("tiny").read_bytes() == bytes(range(256)) * 40)
"""


@pytest.fixture(autouse=True)
def tiny(sources, list_model):
    sources.files[HUB_PATH] = WEIGHTS
    sources.delay_seconds = 0.05
    list_model(weights_bin=(WEIGHTS, HubFile(repo="team/tiny", path="weights.bin")))


def test_threads(server):
    with ThreadPoolExecutor(4) as pool:
        pulls = [pool.submit(pull_model, "tiny") for _ in range(4)]
        assert {pull.result().read_bytes() for pull in pulls} == {WEIGHTS}
    assert server.paths() == [HUB_PATH]


def test_processes(server):
    about = json.dumps([len(WEIGHTS), sha256(WEIGHTS).hexdigest()])
    pulls = [
        subprocess.Popen(
            [sys.executable, "-c", PULL, about],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    assert [pull.stdout.readline() for pull in pulls] == ["ready\n"] * 3
    for pull in pulls:
        pull.stdin.write("go\n")
        pull.stdin.flush()
    assert [pull.communicate(timeout=60)[0] for pull in pulls] == ["True\n"] * 3
    assert server.paths() == [HUB_PATH]
