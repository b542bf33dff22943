"""A reply of a causal language model, token by token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from langchain_graft.errors import ContextTooLongError, MissingExtraError
from langchain_graft.models.text_stream import TextStream

try:
    import torch
except ImportError as error:
    raise MissingExtraError("hf") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

TOKENS_AHEAD = 16
"""Tokens of a reply that nobody has read yet, after which it stands still."""

Mask = Any
"""A `models.grammar.GrammarMask`."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are chosen, and when to stop."""

    max_tokens: int | None = None
    """None: until the context is full."""
    temperature: float = 0.0
    """0: always the likeliest token."""
    top_p: float = 1.0
    """Least probability of the likeliest tokens among which one is drawn."""
    seed: int | None = None
    """The same seed draws the same tokens on the same machine; None: any."""
    stop: tuple[str, ...] = ()
    """Texts before which the reply ends."""
    top_logprobs: int | None = None
    """Tokens told beside each one with their logprobs, before temperature; None: no logprobs."""

    def __post_init__(self) -> None:
        for name, least in (("max_tokens", 1), ("temperature", 0), ("top_logprobs", 0)):
            value = getattr(self, name)
            whole = isinstance(value, int) or name == "temperature"
            if value is not None and not (whole and value >= least):
                msg = f"{name} must be {least} or more, not {value!r}"
                raise ValueError(msg)
        if self.seed is not None and not -(2**63) <= self.seed < 2**63:
            msg = f"seed must fit into 64 bits, not {self.seed!r}"
            raise ValueError(msg)
        if not 0 < self.top_p <= 1:
            msg = f"top_p must lie above 0 and not above 1, not {self.top_p!r}"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What one token adds to a reply."""

    text: str
    """May be empty: a character, or a stop string, may need further tokens."""
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    """As in OpenAI's `logprobs["content"]`: token, logprob, top_logprobs."""
    finish_reason: Literal["stop", "length"] | None = None
    """Set in the last piece: the reply ended, or there was no room for more."""
    output_tokens: int = 0
    """Tokens of the reply so far, its end among them."""


class Reply:
    """A prompt, and the tokens that it goes on with; it computes nothing.

    `close` and `seen` are called by the reader, the others in the thread that computes.

    Args:
        prompt: Token ids, 1 or more.
        sampling: How tokens are chosen.
        decode: Token ids to text, without special tokens.
        ends: Tokens that end a reply.
        context_tokens: Most tokens of prompt and reply.
        mask: A grammar that the reply follows, or None.
        variant: What the model is computed with for this reply; None: as it is.
        on_end: Called when nothing more is computed for it.

    Raises:
        ContextTooLongError: The prompt leaves no room for a reply.
        ValueError: The prompt is empty.
    """

    def __init__(  # noqa: PLR0913 (plain arguments of the one caller, the engine)
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        decode: Callable[[Sequence[int]], str],
        ends: frozenset[int],
        context_tokens: int,
        mask: Mask | None = None,
        variant: Hashable = None,
        on_end: Callable[[], object] = lambda: None,
    ) -> None:
        if not prompt:
            msg = "A prompt has 1 token or more, not none"
            raise ValueError(msg)
        room = context_tokens - len(prompt)
        if room < 1:
            raise ContextTooLongError(tokens=len(prompt), limit=context_tokens)
        self.ids, self.variant = list(prompt), variant
        self.read = 0
        """How many of `ids` the model has read."""
        self.begun = self.finished = self.closed = False
        self._decode, self._ends, self._mask = decode, ends, mask
        self._sampling = sampling
        self._room = min(room, sampling.max_tokens or room)
        self._text = TextStream(decode, sampling.stop)
        self._random: torch.Generator | None = None
        self._tokens = self._seen = 0
        self._deliver: Callable[[Piece | Exception], object] = lambda _: None
        self._on_end = on_end

    def to(self, deliver: Callable[[Piece | Exception], object]) -> Reply:
        """Give each piece, or an error at the end, to a function."""
        self._deliver = deliver
        return self

    @property
    def is_ahead(self) -> bool:
        """Whether its reader is so far behind that no further token is wanted yet."""
        return self._tokens - self._seen >= TOKENS_AHEAD

    def seen(self) -> None:
        """The reader has taken a piece."""
        self._seen += 1

    def close(self) -> None:
        """No further token is wanted."""
        self.closed = True

    def end(self) -> None:
        """Nothing more is computed."""
        self._on_end()

    def fail(self, error: Exception) -> None:
        """Tell the reader that there will be no more."""
        self.finished = True
        self._deliver(error)

    def take(self, logits: torch.Tensor, likeliest: int | None = None) -> None:
        """Choose the next token and give its piece to the reader.

        Args:
            logits: `float32[vocabulary]`, behind all of `ids`.
            likeliest: The token of the highest, if known.
        """
        allowed = self._mask.allow(logits) if self._mask else logits
        if self._sampling.temperature and self._random is None:
            self._random = _generator(self._sampling.seed, logits.device)
        known = None if self._mask else likeliest
        token = choose_token(allowed, self._sampling, self._random, known)
        self._tokens += 1
        self.ids.append(token)
        ended = token in self._ends or bool(self._mask and self._mask.accept(token))
        text = "" if token in self._ends else self._text.push(token)
        ended = ended or self._text.stopped
        self.finished = ended or self._tokens >= self._room
        piece = Piece(
            text=text + self._text.finish() if self.finished else text,
            logprobs=self._logprobs(logits, token),
            finish_reason=("stop" if ended else "length") if self.finished else None,
            output_tokens=self._tokens,
        )
        self._deliver(piece)

    def _logprobs(self, logits: torch.Tensor, token: int) -> list[dict[str, Any]]:
        top = self._sampling.top_logprobs
        if top is None:
            return []
        logprobs = logits.log_softmax(-1)
        likeliest = logprobs.topk(min(top, len(logprobs))).indices.tolist()
        told = {n: self._told(n, float(logprobs[n])) for n in (token, *likeliest)}
        return [{**told[token], "top_logprobs": [told[n] for n in likeliest]}]

    def _told(self, token: int, logprob: float) -> dict[str, Any]:
        return {"token": self._decode([token]), "logprob": logprob}


def choose_token(
    logits: torch.Tensor,
    sampling: Sampling,
    random: torch.Generator | None = None,
    likeliest: int | None = None,
) -> int:
    """A token: the likeliest one, or one drawn from the likeliest that hold `top_p` together.

    Nucleus sampling: Holtzman et al., The Curious Case of Neural Text Degeneration (ICLR 2020).

    Args:
        logits: `float32[vocabulary]`.
        sampling: Its `temperature` and `top_p`.
        random: Where chance comes from; not used at temperature 0.
        likeliest: The token of the highest logit, if known.
    """
    if not sampling.temperature:
        return int(logits.argmax()) if likeliest is None else likeliest
    chances = (logits / sampling.temperature).softmax(-1)
    ranked, order = chances.sort(descending=True)
    before = ranked.cumsum(-1) - ranked  # the first one is always kept
    kept = ranked.masked_fill(before >= sampling.top_p, 0.0)
    return int(order[torch.multinomial(kept, 1, generator=random)])


def _generator(seed: int | None, device: torch.device) -> torch.Generator:
    generator = torch.Generator(device)
    if seed is None:
        generator.seed()
        return generator
    return generator.manual_seed(seed)
