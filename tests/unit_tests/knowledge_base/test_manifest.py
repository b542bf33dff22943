"""`kb.json`, and the settings in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_graft.errors import FormatVersionError, KnowledgeBaseError, NotAKnowledgeBaseError
from langchain_graft.knowledge_base.manifest import Manifest, generation_folder, read_manifest
from langchain_graft.knowledge_base.release import Release
from langchain_graft.knowledge_base.settings import IngestSettings
from langchain_graft.knowledge_base.thresholds import write_weakness
from langchain_graft.retrievers.weakness import Weakness

REPLACE = """
import sys
from pathlib import Path
from langchain_graft.knowledge_base.manifest import Manifest
for n in range(1, 100):
    Manifest(embeddings="e5", embeddings_digest="d", generation=n).write(Path(sys.argv[1]))
"""


def written(folder, **changes):
    Manifest(embeddings="e5", embeddings_digest="d").write(folder)
    path = folder / "kb.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def test_what_is_written_is_read(tmp_path):
    manifest = Manifest(
        embeddings="e5",
        embeddings_digest="d",
        generation=7,
        settings=IngestSettings(chunk_tokens=99, ocr=True),
    )
    manifest.write(tmp_path)
    assert read_manifest(tmp_path) == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["kb.json"]


def test_a_folder_without_one(tmp_path):
    with pytest.raises(NotAKnowledgeBaseError, match=r"No knowledge base in .*graft ingest PATH"):
        read_manifest(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(NotAKnowledgeBaseError):
        read_manifest(tmp_path / "file")


def test_a_newer_version_is_refused_with_the_version_to_install(tmp_path):
    written(tmp_path, format=3, written_by="9.1.0", settings={"unheard": "of"})
    with pytest.raises(FormatVersionError, match=r"pip install 'langchain-graft>=9.1.0'") as caught:
        read_manifest(tmp_path)
    assert (caught.value.found, caught.value.supported) == (3, 2)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b"{}", b'{"format": "one"}', b"null"],
)
def test_a_damaged_one_says_what_to_do(tmp_path, content):
    (tmp_path / "kb.json").write_bytes(content)
    with pytest.raises(KnowledgeBaseError, match=r"is damaged .*Restore it from a backup"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [{"generation": "7"}, {"generation": -1}, {"settings": {"chunk_tokens": "x"}}, {"settings": 1}],
)
def test_a_value_of_the_wrong_kind_is_damage(tmp_path, changes):
    written(tmp_path, **changes)
    with pytest.raises(KnowledgeBaseError, match="is damaged"):
        read_manifest(tmp_path)


def test_settings_that_this_version_does_not_know_are_passed_over(tmp_path):
    written(tmp_path, settings={"chunk_tokens": 80, "colour": "blue"})
    assert read_manifest(tmp_path).settings == IngestSettings(chunk_tokens=80)


def test_a_reader_sees_the_old_one_or_the_new_one(tmp_path):
    """Another process replaces it without end while it is read here."""
    Manifest(embeddings="e5", embeddings_digest="d").write(tmp_path)
    seen = [0]
    with subprocess.Popen([sys.executable, "-c", REPLACE, str(tmp_path)]) as writer:
        while writer.poll() is None:
            seen.append(read_manifest(tmp_path).generation)
    assert writer.returncode == 0
    assert seen == sorted(seen)
    assert read_manifest(tmp_path).generation == 99


def test_generations_lie_in_order(tmp_path):
    assert generation_folder(tmp_path, 7) == tmp_path / "generations" / "000007"


@pytest.mark.parametrize(
    "wrong",
    [{"chunk_tokens": 15}, {"chunk_tokens": 0}, {"max_file_mb": 0}, {"read_timeout_seconds": 1.5}],
)
def test_settings_are_checked(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        IngestSettings(**wrong)


def test_settings_survive_json():
    settings = IngestSettings(chunk_tokens=99, ocr=True, max_file_mb=1)
    assert IngestSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_one_that_can_not_be_read_is_not_called_damaged(tmp_path):
    (tmp_path / "kb.json").mkdir()
    with pytest.raises(KnowledgeBaseError, match=r"Can not read .*: Is a directory"):
        read_manifest(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="files are told by their handles")
@pytest.mark.parametrize("what", ["kb.json", "release", "thresholds"])
def test_a_crash_of_the_machine_takes_nothing_that_was_written(tmp_path, monkeypatch, what):
    release = Release(number=1, embeddings="e5", embeddings_digest="d", generation=0)
    release.write(tmp_path)
    write = {
        "kb.json": lambda: Manifest(embeddings="e5", embeddings_digest="d").write(tmp_path),
        "release": lambda: release.write(tmp_path),
        "thresholds": lambda: write_weakness(tmp_path, release, Weakness()),
    }[what]
    synced, fsync = [], os.fsync

    def note(handle):
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    write()
    folder = tmp_path if what == "kb.json" else tmp_path / "releases"
    file, *_, last = synced if what != "release" else synced[1:]  # and what holds `releases`
    assert (file.parent, last) == (folder, folder)
    assert not list(folder.glob(".*"))


def test_what_a_killed_writer_began_is_written_over(tmp_path):
    (tmp_path / ".kb.json-new").write_text("{")
    Manifest(embeddings="e5", embeddings_digest="d").write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kb.json"]
