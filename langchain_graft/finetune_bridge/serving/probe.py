"""Golden prompts: what an adapter answers is looked at before anybody is served by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.errors import AdapterError, MissingExtraError
from langchain_graft.finetune_bridge.adapters.manifest import Probe

try:
    import numpy as np
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from langchain_graft.models.transformers import TransformersEngine

PROMPT = "The"
"""What an adapter without recorded probes has to answer with finite scores."""
TOLERANCE = 0.5
"""Nats between a recorded score and one in other numbers: bfloat16 is off by tenths."""
_TOKENS = 5


def record_probes(
    engine: TransformersEngine, prompts: Sequence[str], *, variant: Hashable = None
) -> tuple[Probe, ...]:
    """What a model answers to prompts, for an adapter's manifest.

    Args:
        engine: The base model.
        prompts: As the model reads them, its chat template filled in.
        variant: The adapter's, while it is loaded.

    Returns:
        The five most probable first tokens of each.
    """
    every = range(engine.vocabulary)
    probes = []
    for prompt, scores in zip(
        prompts, engine.next_logprobs(prompts, every, variant=variant), strict=True
    ):
        best = np.argsort(-scores)[:_TOKENS]
        logprobs = tuple(map(float, scores[best]))
        probes.append(Probe(prompt=prompt, token_ids=tuple(map(int, best)), logprobs=logprobs))
    return tuple(probes)


def check_probes(
    engine: TransformersEngine, adapter: str, probes: Sequence[Probe], *, variant: Hashable
) -> None:
    """Ask the prompts again, of the adapter as it would be served.

    Args:
        engine: The base model.
        adapter: What it is called in errors.
        probes: Those of its manifest; none: only that its scores are finite is looked at.
        variant: The adapter's.

    Raises:
        AdapterError: It answers otherwise than where it was made.
    """
    if not probes:
        scores = engine.next_logprobs(
            [PROMPT], [0], variant=variant
        )  # one that is none makes all so
        if not np.isfinite(scores).all():
            msg = f"The adapter {adapter!r} gives scores that are no numbers. Train it again"
            raise AdapterError(msg, adapter=adapter)
    for one in probes:
        if not one.token_ids or max(one.token_ids) >= engine.vocabulary or min(one.token_ids) < 0:
            msg = f"The adapter {adapter!r} has a probe of tokens that this model does not have"
            raise AdapterError(msg, adapter=adapter)
        found = engine.next_logprobs([one.prompt], one.token_ids, variant=variant)[0]
        off = float(np.abs(found - np.asarray(one.logprobs)).max())
        if not off <= TOLERANCE:
            msg = (
                f"The adapter {adapter!r} is {off:.2f} nats off at the prompt {one.prompt!r} from "
                "where it was made. Was it made on the same base model, in numbers as fine as "
                "these (dtype)?"
            )
            raise AdapterError(msg, adapter=adapter)
