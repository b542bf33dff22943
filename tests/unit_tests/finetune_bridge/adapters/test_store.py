"""The store: versions, aliases, leases, imports; several threads on one folder."""

import gc
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest

from langchain_graft.errors import (
    AdapterError,
    AdapterInUseError,
    AdapterMismatchError,
    AdapterNotFoundError,
    AdapterRefusedError,
)
from langchain_graft.finetune_bridge import AdapterManifest, AdapterRef, AdapterStore, QueryMap
from langchain_graft.finetune_bridge.adapters.lora_weights import read_lora
from langchain_graft.finetune_bridge.adapters.query_map import read_query_map

MANIFEST = AdapterManifest(kind="generator", base="hf:tiny", base_digest="b" * 32)


@pytest.fixture(scope="module")
def adapter(make_adapter):
    return make_adapter()


@pytest.fixture
def store(tmp_path):
    return AdapterStore(tmp_path / "adapters")


@pytest.fixture
def legal(store, adapter):
    """A store with `legal@000001`, `legal@000002`."""
    for _ in range(2):
        store.register(adapter, "legal", manifest=MANIFEST)
    return store


ONE, TWO, THREE = (AdapterRef("legal", number) for number in (1, 2, 3))


def test_a_version_is_a_whole_copy(store, adapter):
    ref = store.register(adapter, "legal", manifest=MANIFEST)
    assert str(ref) == "legal@000001"
    assert sorted(one.name for one in store.path(ref).iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
    ]
    manifest = store.manifest(ref)
    assert manifest.created
    assert read_lora(store.path(ref), expected=manifest.files).keys() == (
        read_lora(adapter, expected=None).keys()
    )
    assert (adapter / "README.md").exists(), "the source stays as it is"


def test_lists_what_there_is(legal, adapter):
    legal.register(adapter, "medical", manifest=MANIFEST)
    legal.promote(TWO)
    legal.set_alias(TWO, "canary")
    (legal.folder / "notes.txt").write_text("not ours")
    (legal.folder / "Other Folder").mkdir()
    (legal.folder / "legal" / "000000").mkdir()
    found = [(str(one.ref), one.aliases, one.kind, one.base) for one in legal.list()]
    assert found == [
        ("legal@000001", (), "generator", "hf:tiny"),
        ("legal@000002", ("canary", "current"), "generator", "hf:tiny"),
        ("medical@000001", (), "generator", "hf:tiny"),
    ]
    assert legal.list()[0].size_bytes == (adapter / "adapter_model.safetensors").stat().st_size
    assert AdapterStore(legal.folder / "nowhere").list() == []


def test_resolves_versions_aliases_and_names(legal):
    assert legal.resolve("base") is None
    assert legal.resolve("legal@000001") == ONE
    for missing in ("legal", "legal@canary", "legal@000009", "medical", "medical@000001"):
        with pytest.raises(AdapterNotFoundError, match="legal@000002"):
            legal.resolve(missing)
    legal.promote(TWO)
    legal.set_alias(ONE, "canary")
    assert legal.resolve("legal") == legal.resolve("legal@current") == TWO
    assert legal.resolve("legal@canary") == ONE
    assert legal.aliases("legal") == {"current": 2, "canary": 1}
    with pytest.raises(ValueError, match="An alias"):
        legal.set_alias(ONE, "../escape")
    for wrong in ("../legal", "/etc", "legal@../x", "", "legal@", "LEGAL", "a" * 65):
        with pytest.raises(ValueError, match="a-z"):
            legal.resolve(wrong)


@pytest.mark.parametrize("name", ["base", "../up", "/absolute", "a/b", "", ".hidden", "000001"])
def test_names_are_names_only(store, adapter, name):
    with pytest.raises(ValueError, match="name"):
        store.register(adapter, name, manifest=MANIFEST)
    assert not store.folder.exists()


def test_rolls_back_as_often_as_it_was_promoted(legal, adapter):
    with pytest.raises(AdapterNotFoundError, match="before its first promotion"):
        legal.rollback("legal")
    legal.register(adapter, "legal", manifest=MANIFEST)
    for ref in (ONE, TWO, TWO, THREE):
        legal.promote(ref)
    assert [legal.rollback("legal"), legal.resolve("legal")] == [TWO, TWO]
    assert legal.rollback("legal") == ONE
    with pytest.raises(AdapterNotFoundError):
        legal.rollback("legal")
    with pytest.raises(AdapterNotFoundError):
        legal.rollback("medical")


def test_rollback_passes_over_what_was_removed(legal, adapter):
    legal.register(adapter, "legal", manifest=MANIFEST)
    for ref in (ONE, TWO, THREE):
        legal.promote(ref)
    legal.remove(TWO)
    assert legal.rollback("legal") == ONE


def test_what_is_used_is_not_removed(legal):
    legal.promote(ONE)
    with pytest.raises(AdapterInUseError, match="legal@current"):
        legal.remove(ONE)
    other = AdapterStore(legal.folder)
    with other.lease(TWO) as lease, pytest.raises(AdapterInUseError, match="serves requests"):
        legal.remove(TWO)
    lease.release()
    legal.remove(TWO)
    for use in (legal.lease, legal.path, legal.remove, legal.promote, other.manifest):
        with pytest.raises(AdapterNotFoundError):
            use(TWO)
    legal.drop_alias("legal", "current")
    legal.remove(ONE)
    assert legal.list() == []
    with pytest.raises(AdapterNotFoundError):
        legal.drop_alias("legal", "current")


def test_what_others_keep_is_not_removed(legal):
    store = AdapterStore(legal.folder, keeps=lambda ref: f"release 3 names {ref}")
    with pytest.raises(AdapterInUseError, match="release 3 names legal@000001"):
        store.remove(ONE)


def test_a_number_is_never_given_twice(legal, adapter):
    legal.remove(TWO)
    assert legal.register(adapter, "legal", manifest=MANIFEST) == THREE
    legal.remove(ONE)
    legal.remove(THREE)
    assert legal.register(adapter, "legal", manifest=MANIFEST).version == 4


def test_leases_are_counted_and_freed_when_forgotten(legal):
    leases = [legal.lease(ONE) for _ in range(10_000)]
    assert len(legal._leases._held) == 1, "one open file for all of them"
    for lease in leases[1:]:
        lease.release()
        lease.release()
    del lease, leases[1:]
    with pytest.raises(AdapterInUseError):
        legal.remove(ONE)
    leases.clear()
    gc.collect()
    legal.remove(ONE)
    assert not legal._leases._held


def leased_and_whole(store, ref):
    """Whether a leased version is there; None: it could not be leased."""
    try:
        with store.lease(ref):
            return (store.path(ref) / "manifest.json").exists()
    except AdapterNotFoundError:
        return None


def test_threads_lease_while_versions_go(store, adapter):
    """A lease either holds, files and all, or is refused: never a version that goes away."""
    refs = [store.register(adapter, "legal", manifest=MANIFEST) for _ in range(4)]
    seen, stop = set(), threading.Event()

    def use():
        while not stop.is_set():
            seen.update((ref, leased_and_whole(store, ref)) for ref in refs)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    there = refs[:3]
    while there:
        with suppress(AdapterInUseError):
            store.remove(there[0])
            del there[0]
    stop.set()
    for thread in threads:
        thread.join()
    assert {whole for _, whole in seen} <= {True, None}
    assert (refs[3], None) not in seen
    assert not store._leases._held


def test_threads_that_register_get_numbers_of_their_own(store, adapter):
    stores = [AdapterStore(store.folder) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        refs = list(
            pool.map(lambda one: one.register(adapter, "legal", manifest=MANIFEST), stores * 3)
        )
    assert sorted(ref.version for ref in refs) == list(range(1, 13))


def test_what_is_refused_leaves_nothing(store, adapter, tmp_path):
    source = shutil.copytree(adapter, tmp_path / "bad")
    (source / "adapter_model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(AdapterRefusedError, match="bad"):
        store.register(source, "legal", manifest=MANIFEST)
    with pytest.raises(AdapterMismatchError):
        store.register(adapter, "legal", manifest=MANIFEST, shapes=lambda layer: (1, 1))
    other = AdapterManifest(kind="query-map", base="minilm", base_digest="b")
    with pytest.raises(AdapterRefusedError, match="query-map"):
        store.register(adapter, "legal", manifest=other)
    assert not store.folder.exists()


def test_takes_in_what_peft_saved_elsewhere(store, adapter):
    config = json.loads((adapter / "adapter_config.json").read_text())
    shapes = {"q_proj": (32, 32), "v_proj": (16, 32), "down_proj": (32, 64)}
    ref = store.import_peft(
        adapter,
        "legal",
        base="hf:tiny",
        base_digest="b" * 32,
        shapes=lambda layer: shapes[layer.rpartition(".")[2]],
    )
    manifest = store.manifest(ref)
    told = manifest.settings["imported"]
    assert told["base_model_name_or_path"] == config["base_model_name_or_path"]
    assert manifest.base == "hf:tiny"
    assert manifest.versions == {"peft": config["peft_version"]}


def test_damage_is_told_of_and_can_be_removed(legal):
    (legal.path(ONE) / "manifest.json").write_text("{")
    with pytest.raises(AdapterRefusedError, match=r"manifest\.json"):
        legal.manifest(ONE)
    legal.remove(ONE)
    (legal.path(TWO) / "manifest.json").unlink()
    with pytest.raises(AdapterRefusedError):
        legal.manifest(TWO)
    legal.remove(TWO)
    (legal.folder / "legal" / "aliases.json").write_text('{"format": 2}')
    with pytest.raises(AdapterError, match=r"aliases\.json"):
        legal.resolve("legal")


def test_links_in_the_store_are_not_followed(legal, tmp_path):
    (legal.folder / "legal" / "000007").symlink_to(legal.path(ONE))
    (legal.folder / "linked").symlink_to(legal.folder / "legal")
    assert {str(one.ref) for one in legal.list()} == {"legal@000001", "legal@000002"}
    for linked in ("legal@000007", "linked@000001"):
        with pytest.raises(AdapterNotFoundError):
            legal.resolve(linked)


def test_keeps_query_maps_as_well(store, tmp_path):
    parts = np.random.default_rng(0).normal(size=(2, 16, 4)).astype(np.float32)
    (tmp_path / "map").mkdir()
    QueryMap(u=parts[0], v=parts[1]).save(tmp_path / "map")
    manifest = AdapterManifest(kind="query-map", base="e5", base_digest="b", side="query")
    ref = store.register(tmp_path / "map", "medical", manifest=manifest)
    again = read_query_map(store.path(ref), expected=store.manifest(ref).files)
    assert np.array_equal(again.u, parts[0])
    with pytest.raises(AdapterRefusedError, match="a map of a query's vector"):
        read_lora(store.path(ref), expected=None)
    config = tmp_path / "map" / "adapter_config.json"
    config.write_text(config.read_text().replace("4", "5"))
    with pytest.raises(AdapterRefusedError, match="no query map"):
        store.register(tmp_path / "map", "medical", manifest=manifest)
    assert len(store.list()) == 1


@pytest.mark.parametrize("current", [0, -1, 1_000_000, True, "1"])
def test_an_alias_of_no_version_is_told_by_its_file(legal, current):
    legal.promote(ONE)
    path = legal.folder / "legal" / "aliases.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "aliases": {"current": current}}))
    with pytest.raises(AdapterError, match=r"aliases.json' can not be read"):
        legal.resolve("legal")


def test_one_damaged_adapter_does_not_hide_what_is_wrong_with_another(legal, adapter):
    legal.promote(legal.register(adapter, "other", manifest=MANIFEST))
    (legal.folder / "other" / "aliases.json").write_text("{")
    with pytest.raises(AdapterNotFoundError, match=r"'nobody'.*legal@000001"):
        legal.resolve("nobody")


def test_the_last_version_of_a_name_goes_with_its_alias(legal):
    legal.promote(ONE)
    legal.promote(TWO)
    with pytest.raises(AdapterInUseError, match=r"legal@current stands for.*--drop-alias"):
        legal.remove(TWO)
    legal.remove(TWO, drop_aliases=True)
    assert (legal.aliases("legal"), [one.ref for one in legal.list()]) == ({}, [ONE])
