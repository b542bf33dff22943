"""What goes wrong in training without a word: each fault looked for, before and after.

Every check takes plain values and tells what it found, so that it can be asked of any trainer.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_graft.finetune_bridge.adapters.folder import check_folder
from langchain_graft.finetune_bridge.training.rows import EmbeddingRow, question_of_row

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from langchain_graft.finetune_bridge.training.rows import Row

FEWEST_ROWS = 100
"""With fewer a held-out tenth says nothing."""
IGNORED = -100
"""The label of a token that is not learned, as in PyTorch's cross entropy."""
_PROBES = ("one\ntwo", "one\r\ntwo", " one  two ", "one\ttwo", "Cafe\u0301 \ufb01")
"""Line ends, spaces at the border and between, a tab, signs that can be written in two ways."""
_NEAR = 1e-3
_SPACE = re.compile(r"\s+")
_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    ok: bool
    told: str
    """What is so; when it is not ok, also what to do."""


def check_labels(labels: Iterable[Sequence[int]]) -> Finding:
    """Has every row a token that is learned?"""
    rows = list(labels)
    empty = [n for n, row in enumerate(rows) if all(label == IGNORED for label in row)]
    if not empty and rows:
        learned = sum(label != IGNORED for row in rows for label in row)
        return _good("labels", f"{learned} tokens of {len(rows)} rows are learned")
    told = (
        f"{len(empty)} of {len(rows)} rows have no token to learn ({_shown(empty)}): they are cut "
        "before the answer, or the template does not say what the assistant's words are. Raise "
        "max_tokens, or leave the rows out"
    )
    return _bad("labels", told)


def check_eos(labels: Iterable[Sequence[int]], eos_ids: Collection[int]) -> Finding:
    """Is the end of the answer learned? Without it the model does not stop."""
    learned = [[label for label in row if label != IGNORED] for row in labels]
    endless = [
        n
        for n, row in enumerate(learned)
        if row and not any(label in eos_ids for label in row[-2:])
    ]
    told = (
        f"{len(endless)} of {len(learned)} rows do not end with {sorted(eos_ids)} "
        f"({_shown(endless)}): the model would not learn to stop. Put the end of the turn into "
        "what is learned"
        if endless
        else f"each of {len(learned)} rows ends with one of {sorted(eos_ids)}"
    )
    return Finding("eos", not endless, told)


def check_template(trained: Iterable[Sequence[int]], served: Iterable[Sequence[int]]) -> Finding:
    """Does what is trained begin with what will be served?

    Args:
        trained: Token ids of whole rows.
        served: Of each, the ids of its prompt as the serving chat model reads it.
    """
    pairs = list(zip(trained, served, strict=True))
    for n, (row, prompt) in enumerate(pairs):
        differing = [i for i, id_ in enumerate(prompt) if i >= len(row) or row[i] != id_]
        if differing:
            told = (
                f"Row {n} is trained with other tokens than are served, from token {differing[0]} "
                f"on: {list(row[differing[0] :][:8])} for {list(prompt[differing[0] :][:8])}. Use "
                "the serving model's tokenizer and chat template for both"
            )
            return _bad("template", told)
    return _good("template", f"{len(pairs)} prompts are the same in both")


def check_targets(targets: str | Iterable[str], layers: Iterable[str]) -> Finding:
    """Is every target the end of a layer's name?"""
    names = list(layers)
    wanted = [] if isinstance(targets, str) else list(targets)
    missed = [one for one in wanted if not any(f".{name}".endswith(f".{one}") for name in names)]
    if missed or not names:
        ends = sorted({name.rpartition(".")[2] for name in names})
        told = f"No layer is named {missed}: nothing of it is trained. There are: {ends}"
        return _bad("targets", told)
    return _good("targets", f"{len(names)} layers, all targets among them")


def check_moved(changes: Mapping[str, float]) -> Finding:
    """Has training changed what it should?

    Args:
        changes: Of each trained tensor the largest absolute change, or gradient; of a LoRA's `b`,
            which begins at 0, its largest absolute value.
    """
    still = [name for name, change in changes.items() if not change > 0]
    if still or not changes:
        told = (
            f"{len(still)} of {len(changes)} tensors did not move ({_shown(still)}): they got no "
            "gradient. Look at target_modules, frozen layers and the learning rate"
        )
        return _bad("moved", told)
    return _good("moved", f"all {len(changes)} tensors moved")


def check_tensors(shapes: Mapping[str, Sequence[int]]) -> Finding:
    """Has every tensor that was saved numbers in it?"""
    empty = [name for name, shape in shapes.items() if not math.prod(shape)]
    if empty or not shapes:
        told = (
            f"{len(empty)} of {len(shapes)} tensors are empty ({_shown(empty)}): they were saved "
            "while they were spread over processes (ZeRO-3). Gather them before saving"
        )
        return _bad("tensors", told)
    return _good("tensors", f"all {len(shapes)} tensors have numbers")


def check_negatives(batches: Iterable[Sequence[EmbeddingRow]]) -> Finding:
    """Does a batch call a passage wrong that is right?

    In a batch the others' passages are wrong ones: none may be a query's own. `check_answers` asks
    the same of negatives.
    """
    met: list[str] = []
    for batch in batches:
        passages = Counter(_normal(row.positive) for row in batch)
        queries = Counter(_normal(row.query) for row in batch)
        met += [
            row.query
            for row in batch
            if passages[_normal(row.positive)] > 1 or queries[_normal(row.query)] > 1
        ]
    if met:
        told = (
            f"{len(met)} rows meet a passage that answers them as a wrong one, such as "
            f"{met[0]!r:.80}. A batch has to hold each query and each passage once"
        )
        return _bad("false negatives", told)
    return _good("false negatives", "no batch calls a right passage wrong")


def check_answers(rows: Sequence[EmbeddingRow]) -> Finding:
    """Is no row's negative what another row gives as right for the same query?"""
    right: dict[str, set[str]] = {}
    for row in rows:
        right.setdefault(_normal(row.query), set()).add(_normal(row.positive))
    wrong = [row for row in rows if right[_normal(row.query)] & set(map(_normal, row.negatives))]
    if wrong:
        told = (
            f"{len(wrong)} rows have a negative that is right for the same query, such as "
            f"{wrong[0].query!r:.80}. Mine the negatives again, or take them out"
        )
        return _bad("false negatives", told)
    return _good("false negatives", "no negative is another row's right passage")


def check_normalisation(
    trained: Callable[[str], Sequence[float]], served: Callable[[str], Sequence[float]]
) -> Finding:
    """Does the serving embedder read line ends and spaces as the trained one did?

    Args:
        trained: A text's vector, or token ids, as in training.
        served: The same where it is served.
    """
    for text in _PROBES:
        one, other = trained(text), served(text)
        if len(one) != len(other) or any(
            not abs(a - b) <= _NEAR for a, b in zip(one, other, strict=True)
        ):
            told = (
                f"{text!r} is read otherwise where it is served than in training. Clean texts the "
                "same way in both: some wrappers put a space for each line end"
            )
            return _bad("normalisation", told)
    return _good("normalisation", f"{len(_PROBES)} texts are read alike")


def check_loss(losses: Sequence[float]) -> Finding:
    """Is the loss a number at every step, and lower in the end?"""
    bad = [n for n, loss in enumerate(losses, 1) if not math.isfinite(loss)]
    if bad or not losses:
        told = (
            f"The loss is no number at step {bad[0]}. Lower learning_rate, or take float32"
            if bad
            else "No step was made. Give more rows or epochs"
        )
        return _bad("loss", told)
    tenth = max(1, len(losses) // 10)
    first, last = sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
    fell = last < first or len(losses) == 1
    what_to_do = "" if fell else ": it learned nothing. Try another learning_rate or more epochs"
    told = f"from {first:.4f} to {last:.4f} in {len(losses)} steps{what_to_do}"
    return Finding("loss", fell, told)


def check_held_out(metrics: Mapping[str, float]) -> Finding:
    """Are the held-out rows better off than by the base?

    Args:
        metrics: `base_loss` and `loss` on them.
    """
    before, after = metrics["base_loss"], metrics["loss"]
    if not after < before:
        told = (
            f"The held-out rows' loss was never below the base's {before:.4f}: what came out is "
            "the base. Lower learning_rate, or give more rows"
        )
        return _bad("held out", told)
    return _good("held out", f"their loss fell from {before:.4f} to {after:.4f}")


def check_size(rows: Sequence[Row], *, fewest: int = FEWEST_ROWS) -> Finding:
    """Are there enough different questions?"""
    count = len({_normal(question_of_row(row)) for row in rows})
    if count < fewest:
        told = f"{count} different questions are few: give {fewest} or more, or generate them"
        return _bad("size", told)
    return _good("size", f"{count} different questions")


def check_guard(rows: Sequence[Row], questions: Iterable[str]) -> Finding:
    """Is a question learned that the result is judged by?"""
    judged = {_normal(question) for question in questions}
    leaked = [row for row in rows if _normal(question_of_row(row)) in judged]
    if leaked:
        told = (
            f"{len(leaked)} rows ask what the result is judged by, such as "
            f"{question_of_row(leaked[0])!r:.80}. Take them out, or the figures flatter"
        )
        return _bad("guard", told)
    return _good("guard", f"none of {len(judged)} questions is learned")


def examine_rows(rows: Sequence[Row], *, judged: Iterable[str] = ()) -> list[Finding]:
    """The checks before training that need the rows alone.

    Args:
        rows: What is going to be learned.
        judged: Questions of the target and guard sets.
    """
    asked = list(judged)
    found = [check_size(rows), *([check_guard(rows, asked)] if asked else [])]
    if pairs := [row for row in rows if isinstance(row, EmbeddingRow)]:
        found.append(check_answers(pairs))
    return found


def examine_adapter(folder: Path, losses: Sequence[float]) -> list[Finding]:
    """The checks after training that need the folder and the losses alone.

    Raises:
        AdapterRefusedError: The folder is not what may be loaded.
    """
    if check_folder(folder).config is None:  # a query map, which is fitted as a whole
        return [check_loss(losses)] if losses else []
    from langchain_graft.finetune_bridge.adapters.lora_weights import read_lora  # noqa: PLC0415

    pairs = read_lora(folder, expected=None)
    shapes = {f"{name}.{part}": getattr(pairs[name], part).shape for name in pairs for part in "ab"}
    changes = {name: float(abs(pair.b).max()) for name, pair in pairs.items()}
    return [check_loss(losses), check_tensors(shapes), check_moved(changes)]


def _good(check: str, told: str) -> Finding:
    return Finding(check, True, told)  # noqa: FBT003 (its field)


def _bad(check: str, told: str) -> Finding:
    return Finding(check, False, told)  # noqa: FBT003 (its field)


def _normal(text: str) -> str:
    return _SPACE.sub(" ", text).strip().casefold()


def _shown(these: Sequence[object]) -> str:
    named = ", ".join(map(str, these[:_SHOWN]))
    return f"{named}, ..." if len(these) > _SHOWN else named or "there are none"
