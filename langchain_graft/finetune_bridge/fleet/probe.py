"""Whether a server answers a probe as it should."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.errors import FleetError
from langchain_graft.finetune_bridge.adapters.manifest import Probe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROBE = "The three most important words of this text are"
"""What is asked of an adapter that brings no probe of its own."""
Answer = dict[int, float]
"""The log probabilities of the most likely first tokens, by token."""
_SAME = 1e-6
"""Nats: below it two answers are the same computation."""
_UNLIKELY = -6.0
"""Log probability: below it, numbers differ with the machine."""


def check_answers(
    answers: Sequence[tuple[Answer, Answer]],
    probes: Sequence[Probe],
    *,
    tolerance: float,
    who: str,
) -> None:
    """Check that a server answers as it is known, and not as without the adapter.

    Args:
        answers: With the adapter and without it, one for each probe.
        probes: What is known.
        tolerance: Nats by which log probabilities may differ.
        who: The server and the adapter, for the error.

    Raises:
        FleetError: It does not.
    """
    known = [dict(zip(one.token_ids, one.logprobs, strict=True)) for one in probes]
    found = [answer for answer, _ in answers]
    difference = max(map(disagreement, found, known))
    if difference > tolerance:
        msg = (
            f"{who} answers a probe otherwise than it should: {difference:.3f} nats off, "
            f"{tolerance} are allowed (tolerance). Are the adapter's files the same there, and is "
            "it the same base model, in the same numbers?"
        )
        raise FleetError(msg)
    if all(disagreement(answer, base) < _SAME for answer, base in answers):
        msg = (
            f"{who} answers as the base model does: the adapter was loaded, but none of its layers "
            "was found in the model"
        )
        raise FleetError(msg)


def disagreement(one: Mapping[int, float], other: Mapping[int, float]) -> float:
    """The greatest difference of the log probabilities of two probes, in nats.

    Tokens that both hold less likely than e^-6 do not count. Of a token that one does not tell it
    is known only that it is not likelier than the least that it tells.
    """
    shared = [(one[token], other[token]) for token in one.keys() & other.keys()]
    told = [abs(a - b) for a, b in shared if max(a, b) > _UNLIKELY]
    for these, those in ((one, other), (other, one)):
        floor = max(min(those.values()), _UNLIKELY)
        told += [these[token] - floor for token in these.keys() - those.keys()]
    return max(0.0, *told)


def probes_of(
    prompts: Sequence[str], answers: Sequence[tuple[Answer, Answer]]
) -> tuple[Probe, ...]:
    """What a server answered, with the adapter, to be compared with later."""
    return tuple(
        Probe(prompt=prompt, token_ids=tuple(answer), logprobs=tuple(answer.values()))
        for prompt, (answer, _) in zip(prompts, answers, strict=True)
    )
