"""Causal language models on torch: replies token by token, and the scores of given texts."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from langchain_core.runnables.config import run_in_executor

from langchain_graft.errors import ContextTooLongError, MissingExtraError, ModelError
from langchain_graft.models.compute import compute_pool
from langchain_graft.models.slots import Slots
from langchain_graft.models.token_loop import Mask, Piece, Sampling, TokenLoop
from langchain_graft.models.token_scores import (
    Row,
    batches,
    head_is_plain,
    score_batch,
    score_windows,
)
from langchain_graft.models.torch_device import best_device, best_dtype
from langchain_graft.models.transformers_weights import Weights, find_weights, load_weights

try:
    import numpy as np
    import torch
except ImportError as error:
    raise MissingExtraError("hf") from error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence

    from langchain_graft.models.pull import OnProgress

T = TypeVar("T")
Around = Callable[[], AbstractContextManager[object]]
"""Makes the context in which one forward runs, in the engine's own thread."""

CONTEXT_TOKENS = 4096
WAITING_PER_SLOT = 64
_END_OF_TEXT = "<|endoftext|>"
_DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, kw_only=True)
class TransformersSettings:
    """How torch runs a model."""

    device: str | None = None
    """"cpu", "cuda", "cuda:0", "mps"; None: the fastest there is."""
    dtype: str | None = None
    """"float32", "bfloat16" or "float16"; None: the fastest that is safe on the device."""
    context_tokens: int | None = None
    """Most tokens of prompt and reply; None: 4096, or what the model was made for if less."""
    batch_tokens: int = 2048
    """Most tokens of one forward: parts of a prompt, or texts that are scored together."""
    parallel: int = 4
    """Replies that are under way at once, token by token in turn; others wait in a line."""
    timeout_seconds: float = 600.0
    """Most time in that line."""

    def __post_init__(self) -> None:
        for name, least in (("context_tokens", 2), ("batch_tokens", 1), ("parallel", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                msg = f"{name} must be {least} or more, not {value!r}"
                raise ValueError(msg)
        if self.dtype not in (None, *_DTYPES):
            msg = f"dtype must be one of {', '.join(_DTYPES)}, not {self.dtype!r}"
            raise ValueError(msg)


class TransformersEngine:
    """A causal language model of transformers, its tokenizer, and the thread that runs it.

    Every forward runs in one thread of the engine's own, one after the other; a reply is a row of
    them, each asked for by whoever reads it, so that replies take turns and one that is not read
    costs nothing. May be used by any number of threads and event loops at once. It is a
    `TokenScorer`.

    Whatever has to hold during a forward, such as which adapter answers, is given to `generate`,
    `agenerate`, `logprobs` and `next_logprobs` as `around`: it makes a context that is entered in
    the engine's thread before each forward of that call and left after it. What changes the model
    itself goes through `run`.

    Make one with `TransformersEngine.load`, or share one with `shared_engine`.

    Args:
        model: A causal language model, on its device.
        tokenizer: Its fast tokenizer.
        name: What it is called in replies.
        digest: What tells its weights and tokenizer from others.
        settings: How it runs; `device` and `dtype` are those of the model.

    Raises:
        ValueError: The model was not made for `context_tokens`.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str,
        digest: str,
        settings: TransformersSettings | None = None,
    ) -> None:
        self.settings = settings or TransformersSettings()
        self.model, self.tokenizer = model.eval(), tokenizer
        self.name, self.digest = name, digest
        self.device, self.dtype = str(model.device), str(model.dtype).rpartition(".")[2]
        self.context_tokens = _context_tokens(model.config, self.settings.context_tokens)
        self.ends = _end_tokens(model, tokenizer)
        self._start = _start_tokens(tokenizer)
        self._owner = os.getpid()
        self._slots = Slots(
            self.settings.parallel, waiting=WAITING_PER_SLOT * self.settings.parallel
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="graft-transformers")
        self._tokenizing = threading.Lock()
        self._grammars: Any = None
        self._head_is_plain = self.run(partial(head_is_plain, self.model)).result()

    @classmethod
    def load(
        cls,
        name: str,
        settings: TransformersSettings | None = None,
        *,
        on_progress: OnProgress | None = None,
    ) -> TransformersEngine:
        """The model of that name, with safetensors weights and without code of its own.

        Args:
            name: A GGUF model of the catalogue, a `.gguf` file, a folder, or a hub repository.
            settings: How it runs.
            on_progress: Told about a download.

        Raises:
            UnknownModelError: Nothing goes by that name.
            DownloadError: The model is not here and can not be fetched.
            ModelError: It can not be loaded.
        """
        return cls.of_weights(find_weights(name, on_progress=on_progress), settings)

    @classmethod
    def of_weights(
        cls, weights: Weights, settings: TransformersSettings | None
    ) -> TransformersEngine:
        """Like `load`, of weights that were found."""
        settings = settings or TransformersSettings()
        device = settings.device or best_device()
        dtype = getattr(torch, settings.dtype) if settings.dtype else best_dtype(device)
        model, tokenizer, digest = load_weights(weights, device=device, dtype=dtype)
        return cls(model, tokenizer, name=weights.name, digest=digest, settings=settings)

    def run(self, work: Callable[[], T], around: Around = nullcontext) -> Future[T]:
        """Do something in the engine's thread, between two forwards.

        Args:
            work: Runs in inference mode, which ends with it.
            around: Makes the context in which it runs.

        Raises:
            ModelError: This process was forked from the one that made the engine.
        """
        if os.getpid() != self._owner:
            msg = f"{self.name!r} was loaded before this process was forked. Load it here again"
            raise ModelError(msg)

        def run() -> T:
            with torch.inference_mode(), around():
                return work()

        return self._thread.submit(run)

    def token_ids(self, text: str) -> list[int]:
        """The tokens of a text, none put before or behind it; special tokens in it are read."""
        ids: list[int] = self._encode(text)["input_ids"]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens, special ones left out."""
        with self._tokenizing:
            text: str = self.tokenizer.decode(
                ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        return text

    def chat_prompt(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """The prompt that the model's chat template makes of messages.

        Args:
            messages: With `role` and `content`, as for OpenAI.

        Raises:
            ModelError: There is no template, or it refuses these messages.
        """
        if not self.tokenizer.chat_template:
            msg = (
                f"{self.name!r} has no chat template: it was not made for conversations. Name one "
                "that was (often called Instruct or Chat)"
            )
            raise ModelError(msg)
        try:
            prompt: str = self.tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True
            )
        except Exception as error:
            msg = f"The chat template of {self.name!r} refuses these messages: {error}"
            raise ModelError(msg) from error
        return prompt

    def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling | None = None,
        *,
        grammar: Mapping[str, Any] | None = None,
        around: Around = nullcontext,
    ) -> Generator[Piece, None, None]:
        """A reply, token by token; closing the generator stops it after the current token.

        Args:
            prompt: Token ids.
            sampling: How tokens are chosen.
            grammar: What the reply follows: `{"json_schema": dict}` or `{"grammar": gbnf}`.
            around: Makes the context of each forward.

        Raises:
            ContextTooLongError: The prompt does not fit.
            ModelError: No reply could begin within `timeout_seconds`.
            ValueError: The grammar can not be compiled.
        """
        loop = self._loop(prompt, sampling, grammar)
        place = self._slots.take()
        try:
            with self._told_when_busy():
                place.result(self.settings.timeout_seconds)
            while not loop.finished:
                if piece := self.run(loop.step, around).result():
                    yield piece
        finally:
            self._slots.give_up(place)

    async def agenerate(
        self,
        prompt: Sequence[int],
        sampling: Sampling | None = None,
        *,
        grammar: Mapping[str, Any] | None = None,
        around: Around = nullcontext,
    ) -> AsyncGenerator[Piece, None]:
        """Like `generate`; a task that is cancelled stops it after the current token."""
        loop = await run_in_executor(compute_pool(), self._loop, prompt, sampling, grammar)
        place = self._slots.take()
        try:
            with self._told_when_busy():
                await asyncio.wait_for(asyncio.wrap_future(place), self.settings.timeout_seconds)
            while not loop.finished:
                if piece := await asyncio.wrap_future(self.run(loop.step, around)):
                    yield piece
        finally:
            self._slots.give_up(place)

    def logprobs(
        self,
        prompts: Sequence[str],
        continuations: Sequence[str],
        *,
        around: Around = nullcontext,
    ) -> list[np.ndarray]:
        """Natural logarithm of the probability of each token of each continuation.

        Prompt and continuation are tokenised apart, the prompt with what the tokenizer puts before
        a text. An empty prompt is that alone, else `<|endoftext|>` (as in Li et al., Selective
        Context, 2023), else the tokenizer's BOS or EOS. What is longer than the context is read in
        windows (`score_windows`): each token sees half a context before it, or more.

        Args:
            prompts: What stands before; one per continuation.
            continuations: What is scored; may be empty.
            around: Makes the context of each forward.

        Returns:
            One `float32[tokens of that continuation]` each. Computed in bfloat16 they differ from
            those of float32 by some hundredths, and the very first token of a text by more (2.7
            seen): where small differences count, load the model with dtype="float32".

        Raises:
            ValueError: There are not as many prompts as continuations.
        """
        rows: list[Row] = []
        places, found = [], []
        for n, (prompt, text) in enumerate(zip(prompts, continuations, strict=True)):
            before, ids = self._prompt_ids(prompt), self.token_ids(text)
            found.append(np.zeros(len(ids), dtype=np.float32))
            row = before + ids
            for begin, end, first in score_windows(len(row), len(before), self.context_tokens):
                rows.append((row[begin:end], range(first - begin - 1, end - begin - 1)))
                places.append((n, slice(first - len(before), end - len(before))))
        for (n, place), values in zip(places, self._score(rows, None, around), strict=True):
            found[n][place] = values[:, 0]
        return found

    def next_logprobs(
        self, prompts: Sequence[str], token_ids: Sequence[int], *, around: Around = nullcontext
    ) -> np.ndarray:
        """Natural logarithm of the probability that each prompt goes on with each token.

        Args:
            prompts: Tokenised as in `logprobs`.
            token_ids: Of the model's vocabulary.
            around: Makes the context of each forward.

        Returns:
            `float32[prompts, token_ids]`.

        Raises:
            ContextTooLongError: A prompt does not fit.
            ValueError: There is no such token.
        """
        vocabulary = _vocabulary(self.model)
        if wrong := [n for n in token_ids if not 0 <= n < vocabulary]:
            msg = f"Token ids must lie from 0 to {vocabulary - 1}, not {wrong!r}"
            raise ValueError(msg)
        rows = []
        for prompt in prompts:
            ids = self._prompt_ids(prompt)
            if len(ids) > self.context_tokens:
                raise ContextTooLongError(tokens=len(ids), limit=self.context_tokens)
            rows.append((ids, range(len(ids) - 1, len(ids))))
        values = np.zeros((len(rows), len(token_ids)), dtype=np.float32)
        if len(token_ids):
            for n, some in enumerate(self._score(rows, token_ids, around)):
                values[n] = some[0]
        return values

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Start and end, in characters, of each token that `logprobs` scores in a continuation."""
        return [(start, end) for start, end in self._encode(text, offsets=True)["offset_mapping"]]

    def _score(
        self, rows: Sequence[Row], token_ids: Sequence[int] | None, around: Around
    ) -> list[np.ndarray]:
        found: dict[int, np.ndarray] = {}
        for batch in batches(rows, self.settings.batch_tokens):
            work = partial(
                score_batch,
                self.model,
                [rows[n] for n in batch],
                token_ids,
                plain_head=self._head_is_plain,
            )
            found.update(zip(batch, self.run(work, around).result(), strict=True))
        return [found[n] for n in range(len(rows))]

    def _prompt_ids(self, prompt: str) -> list[int]:
        before, alone = self._start
        return [*before, *self.token_ids(prompt)] or alone

    def _encode(self, text: str, *, offsets: bool = False) -> Any:
        with self._tokenizing:  # a fast tokenizer is not to be entered twice
            return self.tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=offsets, verbose=False
            )

    def _loop(
        self, prompt: Sequence[int], sampling: Sampling | None, grammar: Mapping[str, Any] | None
    ) -> TokenLoop:
        return TokenLoop(
            self.model,
            decode=self.decode,
            ends=self.ends,
            prompt=prompt,
            sampling=sampling or Sampling(),
            context_tokens=self.context_tokens,
            batch_tokens=self.settings.batch_tokens,
            mask=self._mask(grammar) if grammar else None,
        )

    def _mask(self, grammar: Mapping[str, Any]) -> Mask:
        from langchain_graft.models.grammar import GrammarCompiler  # noqa: PLC0415

        with self._tokenizing:
            if self._grammars is None:
                self._grammars = GrammarCompiler(
                    self.tokenizer, vocabulary=_vocabulary(self.model), ends=self.ends
                )
        return self._grammars.mask(grammar)

    @contextmanager
    def _told_when_busy(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            msg = (
                f"{self.name!r} was busy with other replies for {self.settings.timeout_seconds:g} "
                "seconds. Are there streams that nobody reads or closes?"
            )
            raise ModelError(msg) from error


_engines: WeakValueDictionary[Any, TransformersEngine] = WeakValueDictionary()
_loading = threading.Lock()


def shared_engine(
    name: str,
    settings: TransformersSettings | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> TransformersEngine:
    """This process's engine for that model and settings, as long as somebody holds it.

    Arguments and errors are those of `TransformersEngine.load`.
    """
    settings = settings or TransformersSettings()
    weights = find_weights(name, on_progress=on_progress)
    with _loading:
        key = (os.getpid(), weights, weights.changed(), settings)
        engine = _engines.get(key)
        if engine is None:
            engine = _engines[key] = TransformersEngine.of_weights(weights, settings)
        return engine


def _vocabulary(model: Any) -> int:
    """Number of the model's logits."""
    size: int = model.config.get_text_config().vocab_size
    return size


def _context_tokens(config: Any, asked: int | None) -> int:
    most = getattr(config.get_text_config(), "max_position_embeddings", None) or CONTEXT_TOKENS
    if asked is not None and asked > most:
        msg = f"The model was made for {most} tokens, context_tokens={asked!r} were asked for"
        raise ValueError(msg)
    return asked or min(most, CONTEXT_TOKENS)


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end a reply: by the configuration, the tokenizer, and the chat template."""
    told = [
        model.generation_config.eos_token_id,
        model.config.get_text_config().eos_token_id,
        tokenizer.eos_token_id,
        tokenizer.get_vocab().get(_END_OF_TEXT),
        _end_of_turn(tokenizer),
    ]
    ids = (id_ for some in told for id_ in (some if isinstance(some, list) else [some]))
    return frozenset(id_ for id_ in ids if id_ is not None)


def _end_of_turn(tokenizer: Any) -> int | None:
    """The special token that a chat template puts behind a reply; None where there is none."""
    if not tokenizer.chat_template:
        return None
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "REPLY"}]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False)
    except Exception:  # noqa: BLE001 (a template may refuse anything; asked for a reply, it tells)
        return None
    ids = tokenizer(text.rpartition("REPLY")[2], add_special_tokens=False)["input_ids"]
    return ids[0] if ids and ids[0] in tokenizer.all_special_ids else None


def _start_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before a text, and what stands for an empty one."""
    whole: list[int] = tokenizer("a")["input_ids"]
    plain: list[int] = tokenizer("a", add_special_tokens=False)["input_ids"]
    before = whole[: whole.index(plain[0])] if plain and plain[0] in whole else []
    known = (
        tokenizer.get_vocab().get(_END_OF_TEXT),
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
    )
    alone = next(([id_] for id_ in known if id_ is not None), None)
    if alone is None:
        msg = "The tokenizer has no <|endoftext|>, BOS or EOS to stand for an empty prompt"
        raise ModelError(msg)
    return before, alone
