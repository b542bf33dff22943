"""Causal language models on torch: replies token by token, and the scores of given texts."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from weakref import WeakValueDictionary

from langchain_core.runnables.config import run_in_executor

from langchain_graft.errors import ContextTooLongError, MissingExtraError, ModelError
from langchain_graft.models.compute import compute_pool
from langchain_graft.models.engine_thread import EngineThread
from langchain_graft.models.model_tokenizer import ModelTokenizer
from langchain_graft.models.reply import Mask, Piece, Reply, Sampling
from langchain_graft.models.reply_batch import Computing, ReplyBatch
from langchain_graft.models.token_scores import (
    Row,
    batches,
    head_is_plain,
    score_batch,
    score_windows,
)
from langchain_graft.models.torch_device import best_device, choose_dtype
from langchain_graft.models.transformers_weights import Weights, find_weights, load_weights

try:
    import numpy as np
    import torch
except ImportError as error:
    raise MissingExtraError("hf") from error

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Callable,
        Generator,
        Hashable,
        Mapping,
        Sequence,
    )
    from concurrent.futures import Future

    from langchain_graft.models.pull import OnProgress

T = TypeVar("T")
CONTEXT_TOKENS = 4096
WAITING_PER_PLACE = 64


@dataclass(frozen=True, kw_only=True)
class TransformersSettings:
    """How torch runs a model."""

    device: str | None = None
    """"cpu", "cuda", "cuda:0", "mps"; None: the fastest there is."""
    dtype: str | None = None
    """"float32", "bfloat16" or "float16"; None: the fastest that is safe on the device."""
    quantization: Literal["nf4"] | None = None
    """"nf4": weights of linear layers in 4 bits (Dettmers et al., QLoRA, 2023), computed in
    `dtype`; for what would not fit otherwise: a processor takes several times as long for it."""
    context_tokens: int | None = None
    """Most tokens of prompt and reply; None: 4096, or what the model was made for if less."""
    batch_tokens: int = 2048
    """Most tokens of one forward: parts of a prompt, or texts that are scored together. A text that
    is scored is not parted: a longer one has a forward to itself."""
    threads: int | None = None
    """Threads that compute on a processor; None: one less than torch would take, 1 at least. They
    wait for each other: where others keep the cores busy, one thread is several times as fast."""
    parallel: int = 16
    """Replies that are computed together, a token of each in one forward; others wait in a line."""
    prefix_tokens: int = 4096
    """Tokens of ended replies whose states are kept, so that a prompt that begins alike is read
    from where it differs: 24 kB a token with smollm2-135m in bfloat16. 0: none."""
    timeout_seconds: float = 600.0
    """Most time in that line."""

    def __post_init__(self) -> None:
        least = {"context_tokens": 2, "batch_tokens": 1, "threads": 1, "parallel": 1}
        least["prefix_tokens"] = 0
        for name, fewest in least.items():
            value = getattr(self, name)
            if value is not None and value < fewest:
                msg = f"{name} must be {fewest} or more, not {value!r}"
                raise ValueError(msg)
        if self.quantization not in (None, "nf4"):
            msg = f"quantization is None or 'nf4', not {self.quantization!r}"
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

    Every forward runs in one thread of the engine's own, one after the other. Replies that are
    under way share them, so that each forward gives all of them a token; a reply that is not read
    stands still after 16 tokens. May be used by any number of threads and event loops at once. It
    is a `TokenScorer`.

    A model may be computed in several variants, such as with one adapter or another: what is given
    as `variant` to a method is handed to `computing`, which makes the context of each forward, in
    the engine's thread. What changes the model itself goes through `run`.

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
        self._batch = ReplyBatch(
            self.model,
            parallel=self.settings.parallel,
            batch_tokens=self.settings.batch_tokens,
            prefix_tokens=self.settings.prefix_tokens,
        )
        threads = self.settings.threads or max(1, torch.get_num_threads() - 1)
        self._thread = EngineThread(self._batch, threads=threads)
        self._begun = 0
        self._counting = threading.Lock()
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
            weights,
            device=str(chosen.device),
            dtype=getattr(torch, str(chosen.dtype)),
            quantization=chosen.quantization,
        )
        return cls(model, tokenizer, name=weights.name, digest=digest, settings=chosen)

    @property
    def vocabulary(self) -> int:
        """Number of the model's logits."""
        size: int = self.model.config.get_text_config().vocab_size
        return size

    @property
    def computing(self) -> Computing:
        """What variants mean: makes the context of each forward; set by whoever brings them."""
        return self._batch.computing

    @computing.setter
    def computing(self, computing: Computing) -> None:
        self._batch.computing = computing

    def run(self, work: Callable[[], T]) -> Future[T]:
        """Do something in the engine's thread, between two forwards.

        Args:
            work: Runs in inference mode, which ends with it.

        Raises:
            ModelError: This process was forked from the one that made the engine.
        """
        self._require_ours()
        return self._thread.submit(work)

    def _require_ours(self) -> None:
        if not self._thread.is_ours:
            msg = f"{self.name!r} was loaded before this process was forked. Load it here again"
            raise ModelError(msg)

    def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling | None = None,
        *,
        grammar: Mapping[str, Any] | None = None,
        variant: Hashable = None,
        on_end: Callable[[], object] | None = None,
    ) -> Generator[Piece, None, None]:
        """A reply, token by token; closing the generator stops it after the current token.

        Args:
            prompt: Token ids.
            sampling: How tokens are chosen.
            grammar: What the reply follows: `{"json_schema": dict}` or `{"grammar": gbnf}`.
            variant: What the model is computed with, for `computing`.
            on_end: Called once, when nothing more is computed for the reply, however it ended, in
                the engine's thread; if the reply could not begin, in the caller's.

        Raises:
            ContextTooLongError: The prompt does not fit.
            ModelError: No reply could begin within `timeout_seconds`, or too many wait already.
            ValueError: The prompt is empty, or the grammar can not be compiled.
        """
        reply = self._reply(prompt, sampling, grammar, variant, _once(on_end))
        pieces: SimpleQueue[Piece | Exception] = SimpleQueue()
        try:
            self._begin(reply.to(pieces.put))
            piece = self._taken(reply, _first(reply, pieces, self.settings.timeout_seconds))
            yield piece
            while piece.finish_reason is None:
                piece = self._taken(reply, pieces.get())
                yield piece
        finally:
            self._stop(reply)

    async def agenerate(
        self,
        prompt: Sequence[int],
        sampling: Sampling | None = None,
        *,
        grammar: Mapping[str, Any] | None = None,
        variant: Hashable = None,
        on_end: Callable[[], object] | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """Like `generate`; a task that is cancelled stops it after the current token."""
        ended = _once(on_end)
        made = partial(self._reply, prompt, sampling, grammar, variant, ended)
        try:
            reply = await run_in_executor(compute_pool(), made)
        except BaseException:
            ended()
            raise
        pieces: asyncio.Queue[Piece | Exception] = asyncio.Queue()
        put = partial(_put_soon, asyncio.get_running_loop(), pieces, reply)
        try:
            self._begin(reply.to(put))
            first = _afirst(reply, pieces, self.settings.timeout_seconds)
            piece = self._taken(reply, await first)
            yield piece
            while piece.finish_reason is None:
                piece = self._taken(reply, await pieces.get())
                yield piece
        finally:
            self._stop(reply)

    def forget(self, variant: Hashable) -> None:
        """Drop what is kept of ended replies of a variant; in the engine's thread (`run`)."""
        self._batch.forget(variant)

    def logprobs(
        self,
        prompts: Sequence[str],
        continuations: Sequence[str],
        *,
        variant: Hashable = None,
    ) -> list[np.ndarray]:
        """Natural logarithm of the probability of each token of each continuation.

        Prompt and continuation are tokenised apart, the prompt by `ModelTokenizer.prompt_ids`. What
        is longer than the context is read in windows (`score_windows`): each token sees half a
        context before it, or more.

        Args:
            prompts: What stands before; one per continuation.
            continuations: What is scored; may be empty.
            variant: What the model is computed with, for `computing`.

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
        for (n, place), values in zip(places, self._score(rows, None, variant), strict=True):
            found[n][place] = values[:, 0]
        return found

    def next_logprobs(
        self, prompts: Sequence[str], token_ids: Sequence[int], *, variant: Hashable = None
    ) -> np.ndarray:
        """Natural logarithm of the probability that each prompt goes on with each token.

        Args:
            prompts: Tokenised as in `logprobs`.
            token_ids: Of the model's vocabulary.
            variant: What the model is computed with, for `computing`.

        Returns:
            `float32[prompts, token_ids]`.

        Raises:
            ContextTooLongError: A prompt does not fit.
            ValueError: There is no such token.
        """
        if wrong := [n for n in token_ids if not 0 <= n < self.vocabulary]:
            msg = f"Token ids must lie from 0 to {self.vocabulary - 1}, not {wrong!r}"
            raise ValueError(msg)
        rows = []
        for prompt in prompts:
            ids = self.tokenizer.prompt_ids(prompt)
            if len(ids) > self.context_tokens:
                raise ContextTooLongError(tokens=len(ids), limit=self.context_tokens)
            rows.append((ids, range(len(ids) - 1, len(ids))))
        values = np.zeros((len(rows), len(token_ids)), dtype=np.float32)
        if len(token_ids):
            for n, some in enumerate(self._score(rows, token_ids, variant)):
                values[n] = some[0]
        return values

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Start and end, in characters, of each token that `logprobs` scores in a continuation."""
        return self.tokenizer.spans(text)

    def _score(
        self, rows: Sequence[Row], token_ids: Sequence[int] | None, variant: Hashable
    ) -> list[np.ndarray]:
        def score(some: list[Row]) -> list[np.ndarray]:
            with self.computing([variant]):
                return score_batch(self.model, some, token_ids, plain_head=self._head_is_plain)

        found: dict[int, np.ndarray] = {}
        for batch in batches(rows, self.settings.batch_tokens):
            work = partial(score, [rows[n] for n in batch])
            found.update(zip(batch, self.run(work).result(), strict=True))
        return [found[n] for n in range(len(rows))]

    def _reply(
        self,
        prompt: Sequence[int],
        sampling: Sampling | None,
        grammar: Mapping[str, Any] | None,
        variant: Hashable,
        on_end: Callable[[], object],
    ) -> Reply:
        try:
            return Reply(
                prompt,
                sampling or Sampling(),
                decode=self.tokenizer.decode,
                ends=self.ends,
                context_tokens=self.context_tokens,
                mask=self._mask(grammar) if grammar else None,
                variant=variant,
                on_end=on_end,
            )
        except BaseException:
            on_end()
            raise

    def _begin(self, reply: Reply) -> None:
        try:
            self._require_ours()
            self._count_in()
        except BaseException:
            reply.end()
            raise
        self._thread.add(reply)

    def _count_in(self) -> None:
        """Take one more into the line, which is bounded; those that have ended are counted out."""
        most = (1 + WAITING_PER_PLACE) * self.settings.parallel
        with self._counting:
            if self._begun - self._batch.ended >= most:
                msg = (
                    f"{self.name!r} has {most} requests under way or waiting, no more are taken. "
                    "Ask again later, or load it with a larger `parallel`"
                )
                raise ModelError(msg)
            self._begun += 1

    def _taken(self, reply: Reply, piece: Piece | Exception | None) -> Piece:
        if piece is None:
            msg = (
                f"{self.name!r} was busy with other replies for {self.settings.timeout_seconds:g} "
                "seconds. Are there streams that nobody reads or closes?"
            )
            raise ModelError(msg)
        if isinstance(piece, Exception):
            raise piece
        waited = reply.is_ahead
        reply.seen()
        if waited:
            self._thread.wake()
        return piece

    def _stop(self, reply: Reply) -> None:
        """No more is wanted; neither waits nor takes a lock: Python may be collecting garbage."""
        reply.close()
        self._thread.wake()

    def _mask(self, grammar: Mapping[str, Any]) -> Mask:
        from langchain_graft.models.grammar import GrammarCompiler  # noqa: PLC0415

        with self.tokenizer.lock:
            if self._grammars is None:
                self._grammars = GrammarCompiler(
                    self.tokenizer.fast, vocabulary=self.vocabulary, ends=self.ends
                )
        return self._grammars.mask(grammar)


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


def _once(call: Callable[[], object] | None) -> Callable[[], None]:
    """The call, which nothing does when it is called again; any thread may."""
    calls = [call] if call else []

    def once() -> None:
        with suppress(IndexError):
            calls.pop()()

    return once


def _first(
    reply: Reply, pieces: SimpleQueue[Piece | Exception], seconds: float
) -> Piece | Exception | None:
    """The first piece; None: the reply has not even begun by then."""
    try:
        return pieces.get(timeout=seconds)
    except Empty:
        return pieces.get() if reply.begun else None


async def _afirst(
    reply: Reply, pieces: asyncio.Queue[Piece | Exception], seconds: float
) -> Piece | Exception | None:
    try:
        async with asyncio.timeout(seconds):  # `wait_for` can swallow a cancellation
            return await pieces.get()
    except TimeoutError:
        return await pieces.get() if reply.begun else None


def _put_soon(
    loop: asyncio.AbstractEventLoop,
    pieces: asyncio.Queue[Piece | Exception],
    reply: Reply,
    piece: Piece | Exception,
) -> None:
    try:
        loop.call_soon_threadsafe(pieces.put_nowait, piece)
    except RuntimeError:  # the loop was closed: nobody reads
        reply.close()


def _context_tokens(config: Any, asked: int | None) -> int:
    most = getattr(config.get_text_config(), "max_position_embeddings", None) or CONTEXT_TOKENS
    if asked is not None and asked > most:
        msg = f"The model was made for {most} tokens, context_tokens={asked!r} were asked for"
        raise ValueError(msg)
    return asked or min(most, CONTEXT_TOKENS)
