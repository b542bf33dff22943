"""A low-rank change of queries' vectors: learned, kept, and read from folders of any origin."""

import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from langchain_graft.errors import AdapterRefusedError
from langchain_graft.finetune_bridge import QueryMap
from langchain_graft.finetune_bridge.adapters.query_map import read_query_map
from langchain_graft.finetune_bridge.adapters.query_map_fit import _loss

DIMENSIONS = 24


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def some_map(rank=3, seed=0):
    random = np.random.default_rng(seed)
    parts = random.standard_normal((2, DIMENSIONS, rank)).astype(np.float32)
    return QueryMap(u=parts[0], v=parts[1])


@pytest.fixture(scope="module")
def world():
    """Documents, and queries that lie where they do but for two directions that are turned."""
    random = np.random.default_rng(1)
    documents = unit(random.standard_normal((400, DIMENSIONS)))
    turned = documents.copy()
    turned[:, :4] = -2 * documents[:, :4]
    queries = unit(turned + 0.1 * random.standard_normal(documents.shape))
    return queries.astype(np.float32), documents.astype(np.float32)


def found_first(queries, documents):
    return float((np.argmax(queries @ documents.T, axis=1) == np.arange(len(queries))).mean())


def test_a_vector_is_moved_by_a_product_of_low_rank():
    change = some_map()
    vector = np.arange(DIMENSIONS, dtype=np.float32)
    expected = vector + change.u @ (change.v.T @ vector)
    [found] = change([vector.tolist()])
    assert found == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    assert found.dtype == np.float32


def test_another_embedders_vectors_are_refused():
    with pytest.raises(ValueError, match="24 numbers"):
        some_map()(np.ones((2, 7)))


def test_a_fitted_map_finds_documents_of_pairs_that_it_has_not_seen(world):
    queries, documents = world
    change = QueryMap.fit(queries[:300], documents[:300], rank=8)
    before = found_first(queries[300:], documents[300:])
    after = found_first(change(queries[300:]), documents[300:])
    assert before < 0.9
    assert after > before + 0.1
    assert change.u.shape == (DIMENSIONS, 8)


def test_a_seed_gives_the_same_map(world):
    queries, documents = world
    first, again, other = (
        QueryMap.fit(queries[:60], documents[:60], rank=2, seed=seed) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.u, again.u)
    assert not np.array_equal(first.u, other.u)


def test_nothing_to_learn_leaves_the_vectors(world):
    _, documents = world
    random = np.random.default_rng(5)
    noise = unit(random.standard_normal(documents.shape)).astype(np.float32)
    change = QueryMap.fit(noise, documents, rank=2)
    assert np.sum(change(noise) * noise, axis=1).min() > 0.8


def test_the_slopes_are_those_of_the_loss(world):
    queries, documents = (part[:30].astype(np.float64) for part in world)
    random = np.random.default_rng(6)
    change = [0.1 * random.standard_normal((DIMENSIONS, 2)) for _ in "uv"]
    own = np.arange(30)
    _, slopes = _loss(change, queries, documents, own, 20.0)
    for n, place in ((0, (3, 1)), (1, (7, 0))):
        losses = []
        for step in (1e-6, -1e-6):
            moved = [part.copy() for part in change]
            moved[n][place] += step
            losses.append(_loss(moved, queries, documents, own, 20.0)[0])
        assert slopes[n][place] == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4)


def test_documents_that_nobody_asks_for_are_negatives(world, monkeypatch):
    from langchain_graft.finetune_bridge.adapters import query_map_fit  # noqa: PLC0415

    queries, documents = world
    monkeypatch.setattr(query_map_fit, "_CANDIDATES", 50)
    change = QueryMap.fit(queries[:200], documents[:200], rank=8, negatives=documents[200:])
    assert found_first(change(queries), documents) > found_first(queries, documents)


@pytest.mark.parametrize(
    ("queries", "documents", "rank", "reason"),
    [
        (np.ones((30, 8)), np.ones((29, 8)), 2, "do not fit"),
        (np.ones((30, 8)), np.ones((30, 9)), 2, "do not fit"),
        (np.ones((3, 8)), np.ones((3, 8)), 2, "3 pairs"),
        (np.ones((30, 8)), np.ones((30, 8)), 9, "rank"),
        (np.ones((30, 8)), np.ones((30, 8)), 0, "rank"),
        (np.ones((30, 8)), np.ones((30, 8)), 2, "documents"),
        (np.full((30, 8), np.nan), np.ones((30, 8)), 2, "finite"),
    ],
)
def test_what_can_not_be_learned_from(queries, documents, rank, reason):
    with pytest.raises(ValueError, match=reason):
        QueryMap.fit(queries, documents, rank=rank)


@pytest.fixture
def folder(tmp_path):
    some_map().save(tmp_path / "map")
    return tmp_path / "map"


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_saved_map_is_read_again(folder):
    read = read_query_map(folder, expected=digests(folder))
    assert np.array_equal(read.u, some_map().u)
    assert np.array_equal(read.v, some_map().v)
    assert set(digests(folder)) == {"adapter_config.json", "adapter_model.safetensors"}


def weights(folder, **arrays):
    good = {"u": some_map().u, "v": some_map().v}
    kept = {name: array for name, array in (good | arrays).items() if array is not None}
    save_file(kept, folder / "adapter_model.safetensors")


def config(folder, **values):
    good = {"peft_type": "QUERY_MAP", "dimensions": DIMENSIONS, "rank": 3}
    (folder / "adapter_config.json").write_text(json.dumps(good | values))


def link(folder):
    real = folder.parent / "elsewhere"
    (folder / "adapter_model.safetensors").rename(real)
    (folder / "adapter_model.safetensors").symlink_to(real)


NAN = np.full((DIMENSIONS, 3), np.nan, np.float32)
WIDE = np.ones((DIMENSIONS, 4), np.float32)
HOSTILE = {
    "NaN": lambda folder: weights(folder, u=NAN),
    "huge numbers": lambda folder: weights(folder, v=np.full_like(NAN, 1e30)),
    "another rank": lambda folder: weights(folder, u=WIDE, v=WIDE),
    "another rank in one": lambda folder: weights(folder, v=WIDE),
    "float64": lambda folder: weights(folder, u=np.ones((DIMENSIONS, 3))),
    "one missing": lambda folder: weights(folder, v=None),
    "one more": lambda folder: weights(folder, w=NAN),
    "rank above dimensions": lambda folder: config(folder, rank=DIMENSIONS + 1),
    "no rank": lambda folder: config(folder, rank=0),
    "a truth as rank": lambda folder: config(folder, rank=True),
    "huge dimensions": lambda folder: config(folder, dimensions=10**9),
    "other keys": lambda folder: config(folder, auto_mapping={"a": "b"}),
    "LoRA": lambda folder: config(folder, peft_type="LORA"),
    "no JSON": lambda folder: (folder / "adapter_config.json").write_text("{"),
    "no object": lambda folder: (folder / "adapter_config.json").write_text("[]"),
    "long JSON": lambda folder: (folder / "adapter_config.json").write_text(" " * 10_000),
    "no weights": lambda folder: (folder / "adapter_model.safetensors").unlink(),
    "no safetensors": lambda folder: (folder / "adapter_model.safetensors").write_bytes(
        b"\x80\x04"
    ),
    "long header": lambda folder: (folder / "adapter_model.safetensors").write_bytes(
        b"\xff" * 9000
    ),
    "a link": link,
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_a_folder_that_is_no_map_is_refused(folder, spoil):
    spoil(folder)
    with pytest.raises(AdapterRefusedError, match="refused: it"):
        read_query_map(folder)


def test_files_that_are_not_the_ones_registered_are_refused(folder):
    expected = digests(folder)
    some_map(seed=1).save(folder)
    with pytest.raises(AdapterRefusedError, match="sha256"):
        read_query_map(folder, expected=expected)
