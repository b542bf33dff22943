"""Each check of the doctor, with its fault planted and without."""

import math

import numpy as np
import pytest

from langchain_graft.finetune_bridge import QueryMap
from langchain_graft.finetune_bridge.training.doctor import (
    check_answers,
    check_eos,
    check_guard,
    check_held_out,
    check_labels,
    check_loss,
    check_moved,
    check_negatives,
    check_normalisation,
    check_size,
    check_targets,
    check_template,
    check_tensors,
    examine_adapter,
    examine_rows,
)
from langchain_graft.finetune_bridge.training.rows import EmbeddingRow, GeneratorRow

LAYERS = [f"layers.{n}.{part}" for n in range(2) for part in ("q_proj", "mlp.up_proj")]
ROWS = [EmbeddingRow(f"q{n}", f"p{n}", (f"n{n}",)) for n in range(4)]


def letters(text):
    return [float(ord(letter)) for letter in text]


FAULTS = {
    "all labels masked": (check_labels, ([[-100, -100], [-100, 5]],), "1 of 2 rows"),
    "no labels": (check_labels, ([],), "0 of 0 rows"),
    "no end": (check_eos, ([[-100, 5, 2], [-100, 5, 6]], {2}), "would not learn to stop"),
    "another template": (check_template, ([[1, 2, 3]], [[1, 9]]), "from token 1 on: [2, 3] for"),
    "cut prompt": (check_template, ([[1]], [[1, 9]]), "from token 1 on"),
    "no such target": (check_targets, (["q_proj", "q_prj"], LAYERS), "No layer is named ['q_prj']"),
    "half a name": (check_targets, (["proj"], LAYERS), "There are: ['q_proj', 'up_proj']"),
    "no layers": (check_targets, ("all-linear", []), "No layer"),
    "a still tensor": (check_moved, ({"a": 0.1, "b": 0.0},), "1 of 2 tensors did not move (b)"),
    "not a number": (check_moved, ({"a": math.nan},), "did not move"),
    "an empty tensor": (
        check_tensors,
        ({"a": (2, 3), "b": (0, 3)},),
        "1 of 2 tensors are empty (b)",
    ),
    "a passage twice in a batch": (
        check_negatives,
        ([[EmbeddingRow("q1", "p"), EmbeddingRow("q2", " P ")]],),
        "2 rows meet a passage that answers them",
    ),
    "a query twice in a batch": (
        check_negatives,
        ([[EmbeddingRow("q", "p1"), EmbeddingRow("q", "p2")]],),
        "such as 'q'",
    ),
    "a right negative": (
        check_answers,
        ([EmbeddingRow("q", "p1", ("p2",)), EmbeddingRow("q", "p2")],),
        "1 rows have a negative that is right",
    ),
    "line ends": (
        check_normalisation,
        (letters, lambda text: letters(text.replace("\n", " "))),
        "'one\\ntwo' is read otherwise",
    ),
    "composed signs": (
        check_normalisation,
        (letters, lambda text: letters(text.replace("\u0301", ""))),
        "is read otherwise",
    ),
    "loss not a number": (check_loss, ([1.0, math.nan],), "no number at step 2"),
    "no step": (check_loss, ([],), "No step"),
    "loss rises": (check_loss, ([1.0, 2.0],), "it learned nothing"),
    "no better than the base": (
        check_held_out,
        ({"base_loss": 1.5, "loss": 1.5},),
        "never below the base's 1.5000",
    ),
    "few rows": (check_size, (ROWS,), "4 different questions are few"),
    "judged by what is learned": (check_guard, (ROWS, [" Q2 "]), "1 rows ask"),
}
SOUND = [
    (check_labels, ([[-100, 5]],)),
    (check_eos, ([[-100, 5, 2, 7]], {2})),
    (check_template, ([[1, 2, 3]], [[1, 2]])),
    (check_targets, (["q_proj", "mlp.up_proj"], LAYERS)),
    (check_targets, ("all-linear", LAYERS)),
    (check_moved, ({"a": 0.1},)),
    (check_tensors, ({"a": (2, 3)},)),
    (check_negatives, ([ROWS],)),
    (check_answers, (ROWS,)),
    (check_normalisation, (letters, letters)),
    (check_loss, ([2.0, 1.0],)),
    (check_size, ([EmbeddingRow(str(n), "p") for n in range(100)],)),
    (check_guard, (ROWS, ["else"])),
    (check_held_out, ({"base_loss": 1.5, "loss": 1.4},)),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named(fault):
    check, arguments, told = FAULTS[fault]
    finding = check(*arguments)
    assert not finding.ok
    assert told in finding.told


@pytest.mark.parametrize(("check", "arguments"), SOUND)
def test_what_is_sound_passes(check, arguments):
    finding = check(*arguments)
    assert finding.ok, finding.told


def test_rows_are_examined():
    found = examine_rows([*ROWS, EmbeddingRow("q0", "n0")], judged=["q1"])
    assert {one.check: one.ok for one in found} == dict.fromkeys(
        ("size", "guard", "false negatives"), False
    )
    chats = [GeneratorRow([{"role": "assistant", "content": str(n)}]) for n in range(100)]
    assert all(one.ok for one in examine_rows(chats))


def test_an_adapter_is_examined(make_adapter, tmp_path):
    trained, untrained = make_adapter(), make_adapter(init_lora_weights=True)
    assert all(one.ok for one in examine_adapter(trained, [2.0, 1.0]))
    found = {one.check: one for one in examine_adapter(untrained, [1.0, 2.0])}
    assert found["tensors"].ok
    assert not found["moved"].ok
    assert not found["loss"].ok
    assert "6 of 6 tensors did not move" in found["moved"].told


def test_a_query_map_has_its_loss_examined(tmp_path):
    u, v = np.ones((2, 8, 2), np.float32)
    QueryMap(u=u, v=v).save(tmp_path / "map")
    assert [one.check for one in examine_adapter(tmp_path / "map", [2.0, 1.0])] == ["loss"]
    assert examine_adapter(tmp_path / "map", []) == []
