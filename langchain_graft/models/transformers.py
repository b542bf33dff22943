"""Causal language models on torch: replies token by token, and the scores of given texts."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from langchain_core.runnables.config import run_in_executor

from langchain_graft.errors import ContextTooLongError, MissingExtraError, ModelError
from langchain_graft.models.compute import compute_pool
from langchain_graft.models.model_tokenizer import ModelTokenizer
from langchain_graft.models.slots import Slots
from langchain_graft.models.token_loop import Mask, Piece, Sampling, TokenLoop
from langchain_graft.models.token_scores import (
    Row,
    batches,
    head_is_plain,
    score_batch,
    score_windows,
)
from langchain_graft.models.torch_device import best_device, choose_dtype, compute_with
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
    """Most tokens of one forward: parts of a prompt, or texts that are scored together. A text that
    is scored is not parted: a longer one has a forward to itself."""
    threads: int | None = None
    """Threads that compute on a processor; None: one less than torch would take, 1 at least. They
    wait for each other: where others keep the cores busy, one thread is several times as fast."""
    parallel: int = 4
    """Replies that are under way at once, token by token in turn; others wait in a line."""
    timeout_seconds: float = 600.0
    """Most time in that line."""

    def __post_init__(self) -> None:
        least = {"context_tokens": 2, "batch_tokens": 1, "threads": 1, "parallel": 1}
        for name, fewest in least.items():
            value = getattr(self, name)
            if value is not None and value < fewest:
                msg = f"{name} must be {fewest} or more, not {value!r}"
                raise ValueError(msg)
        if not self.timeout_seconds > 0:
            msg = f"timeout_seconds must be above 0, not {self.timeout_seconds!r}"
            raise ValueError(msg)
        choose_dtype(self.dtype, "cpu")

    def on_this_machine(self) -> TransformersSettings:
        """The same, with the device and the numbers that None stands for."""
        device = self.device or best_device()
        dtype = str(choose_dtype(self.dtype, device)).rpartition(".")[2]
        return replace(self, device=device, dtype=dtype)


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
        self.model, self.tokenizer = model.eval(), ModelTokenizer(tokenizer, name=name)
        self.name, self.digest = name, digest
        self.device, self.dtype = str(model.device), str(model.dtype).rpartition(".")[2]
        self.context_tokens = _context_tokens(model.config, self.settings.context_tokens)
        self.ends = self.tokenizer.ends(
            model.generation_config.eos_token_id, model.config.get_text_config().eos_token_id
        )
        self._owner = os.getpid()
        self._slots = Slots(
            self.settings.parallel, waiting=WAITING_PER_SLOT * self.settings.parallel
        )
        threads = self.settings.threads or max(1, torch.get_num_threads() - 1)
        self._thread = ThreadPoolExecutor(
            1,
            thread_name_prefix="graft-transformers",
            initializer=partial(compute_with, threads),
        )
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
        chosen = (settings or TransformersSettings()).on_this_machine()
        model, tokenizer, digest = load_weights(
            weights, device=str(chosen.device), dtype=getattr(torch, str(chosen.dtype))
        )
        return cls(model, tokenizer, name=weights.name, digest=digest, settings=chosen)

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
            ValueError: The prompt is empty, or the grammar can not be compiled.
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

        Prompt and continuation are tokenised apart, the prompt by `ModelTokenizer.prompt_ids`. What
        is longer than the context is read in windows (`score_windows`): each token sees half a
        context before it, or more.

        Args:
            prompts: What stands before; one per continuation.
            continuations: What is scored; may be empty.
            around: Makes the context of each forward.

        Returns:
            One `float32[tokens of that continuation]` each. A model in bfloat16 gives those of
            float32 to a tenth or three of a nat, but not what follows a prompt of a single token,
            the empty one among them: 2.7 off was seen with smollm2-135m. The state at the first
            token grows to tens of thousands and cancels (Sun et al., Massive Activations in Large
            Language Models, 2024), for which 8 bits are too few. `load_token_scorer` takes float32.

        Raises:
            ValueError: There are not as many prompts as continuations.
        """
        rows: list[Row] = []
        places, found = [], []
        for n, (prompt, text) in enumerate(zip(prompts, continuations, strict=True)):
            before, ids = self.tokenizer.prompt_ids(prompt), self.tokenizer.ids(text)
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
            ids = self.tokenizer.prompt_ids(prompt)
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
        return self.tokenizer.spans(text)

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

    def _loop(
        self, prompt: Sequence[int], sampling: Sampling | None, grammar: Mapping[str, Any] | None
    ) -> TokenLoop:
        return TokenLoop(
            self.model,
            decode=self.tokenizer.decode,
            ends=self.ends,
            prompt=prompt,
            sampling=sampling or Sampling(),
            context_tokens=self.context_tokens,
            batch_tokens=self.settings.batch_tokens,
            mask=self._mask(grammar) if grammar else None,
        )

    def _mask(self, grammar: Mapping[str, Any]) -> Mask:
        from langchain_graft.models.grammar import GrammarCompiler  # noqa: PLC0415

        with self.tokenizer.lock:
            if self._grammars is None:
                self._grammars = GrammarCompiler(
                    self.tokenizer.fast, vocabulary=_vocabulary(self.model), ends=self.ends
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
    settings = (settings or TransformersSettings()).on_this_machine()
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
