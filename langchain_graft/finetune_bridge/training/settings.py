"""How an adapter is trained: plain data, JSON in and JSON out."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

from langchain_graft.finetune_bridge.adapters.config import MAX_RANK
from langchain_graft.finetune_bridge.adapters.manifest import AdapterSide

if TYPE_CHECKING:
    from collections.abc import Mapping

Method = Literal["lora", "qlora", "full", "query-map"]
Packing = Literal["none", "bfd"]
_DTYPES = (None, "float32", "bfloat16", "float16")
_ELSEWHERE = ("out", "checkpoint_every", "threads")
"""Where a run lies, how often it is kept and how it is shared out change nothing of what comes
out."""


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """Which low-rank products are trained (Hu et al., arXiv 2106.09685)."""

    r: int = 16
    """The rank; of a query map too."""
    alpha: float = 32
    """Over the rank (or its root) it scales the products."""
    dropout: float = 0.0
    """Share of a product's inputs that are left out, at random, in training."""
    target_modules: str | tuple[str, ...] = "all-linear"
    """How the names of the layers end, or `all-linear`: all but the head."""
    use_rslora: bool = False
    """Divide alpha by the rank's root (Kalajdzievski, arXiv 2312.03732)."""
    use_dora: bool = False
    """Train the lengths of the rows too (Liu et al., arXiv 2402.09353); not servable hot."""
    token_rows: tuple[tuple[int, str], ...] = ()
    """Tokens whose own rows, in the embeddings and in the head, are trained too, and the words
    whose mean rows they begin as: tokens of the base that nothing else says (`token_rows.py`)."""

    def __post_init__(self) -> None:
        _whole("r", self.r, least=1, most=MAX_RANK)
        _number("alpha", self.alpha, above=0)
        _share("dropout", self.dropout)
        rows = tuple((token, words) for token, words in self.token_rows)
        object.__setattr__(self, "token_rows", rows)
        for token, words in rows:
            _whole("token_rows", token, least=0)
            if not words or not isinstance(words, str):
                msg = f"token_rows has {words!r} for {token}, expected words"
                raise ValueError(msg)
        if len({token for token, _ in rows}) < len(rows) or (rows and self.use_dora):
            msg = f"token_rows is {rows!r}: each token has to be there once, without use_dora"
            raise ValueError(msg)
        targets = self.target_modules
        if isinstance(targets, list):  # JSON has no tuples
            object.__setattr__(self, "target_modules", tuple(targets))
        if not targets or not isinstance(targets, str | list | tuple):
            msg = f"target_modules is {targets!r}, expected 'all-linear' or names of layers"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """What embedding adapters and generator adapters have in common."""

    task: ClassVar[str] = ""

    base: str
    """The base model's name, as `load_embeddings` or `load_chat_model` take it."""
    out: str
    """The run's folder: settings, checkpoints, the loss's curve, the adapter."""
    method: Method = "lora"
    """`qlora`: over a base in 4 bits; `full`: all weights; `query-map`: embedders only."""
    lora: LoraSettings = field(default_factory=LoraSettings)
    """Of the methods `lora`, `qlora`, and the rank of `query-map`."""
    epochs: int = 2
    """How often each row is read, at most."""
    batch_size: int = 32
    """Rows a step."""
    learning_rate: float = 1e-4
    """The highest: it rises in the warm-up and falls to 0 at the end."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = 0.0
    """Of AdamW."""
    max_gradient: float = 1.0
    """The gradient's norm is cut to it."""
    max_tokens: int = 1024
    """A longer text, or conversation, is cut."""
    seed: int = 0
    """Of everything drawn at random."""
    eval_share: float = 0.1
    """Share of the rows that are not learned from: they say when to stop, and what is best."""
    patience: int = 3
    """It stops after so many evaluations without a better one."""
    checkpoint_every: int = 50
    """Steps from one checkpoint, and evaluation, to the next."""
    max_steps: int | None = None
    """It ends there, if the epochs have more."""
    device: str | None = None
    """"cpu", "cuda", "mps"; None: the fastest there is."""
    dtype: str | None = None
    """In what is computed: `bfloat16` (autocast), `float32`; None: the faster one."""
    threads: int | None = None
    """Of the processor; None: those that torch has, one for each core. Where others keep the cores
    busy, one thread is faster than two."""

    def __post_init__(self) -> None:
        if isinstance(self.lora, dict):
            object.__setattr__(self, "lora", _build(LoraSettings, self.lora))
        object.__setattr__(self, "out", str(self.out))
        if not self.base or not self.out:
            msg = f"base is {self.base!r} and out is {self.out!r}; name a model and a folder"
            raise ValueError(msg)
        _one_of("method", self.method, get_args(Method))
        _one_of("dtype", self.dtype, _DTYPES)
        for name in ("epochs", "batch_size", "patience", "checkpoint_every"):
            _whole(name, getattr(self, name), least=1)
        _whole("max_tokens", self.max_tokens, least=8)
        for name in ("max_steps", "threads"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), least=1)
        _whole("seed", self.seed, least=0)
        _number("learning_rate", self.learning_rate, above=0)
        _number("max_gradient", self.max_gradient, above=0)
        _share("warmup", self.warmup)
        _share("weight_decay", self.weight_decay)
        _share("eval_share", self.eval_share)

    def to_json(self) -> dict[str, Any]:
        """As `settings_from_json` takes it."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))  # lists, as JSON has them
        return {"task": self.task, **values}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The settings of a JSON object; what it leaves out has its default.

        Raises:
            ValueError: A setting is not known, or out of range.
        """
        given = dict(values)
        task = given.pop("task", cls.task)
        if task != cls.task:
            msg = f"These are settings for {task!r}, expected {cls.task!r}"
            raise ValueError(msg)
        settings: Self = _build(cls, given)
        return settings

    def differences(self, other: TrainSettings) -> dict[str, tuple[Any, Any]]:
        """What would come out otherwise: by name, the values of these settings and the others."""
        mine, others = self.to_json(), other.to_json()
        names = sorted((mine.keys() | others.keys()) - set(_ELSEWHERE))
        pairs = {name: (mine.get(name), others.get(name)) for name in names}
        return {name: (one, two) for name, (one, two) in pairs.items() if one != two}


@dataclass(frozen=True, kw_only=True)
class EmbeddingSettings(TrainSettings):
    """How an embedder's adapter is trained: to find each query's passage among a batch's."""

    task: ClassVar[str] = "embeddings"

    batch_size: int = 64
    """Queries a step; the passages of the others are what a query has to tell its own from."""
    learning_rate: float = 5e-4
    """The highest: it rises in the warm-up and falls to 0 at the end."""
    max_tokens: int = 256
    """A longer passage is cut, in training only; never more than the model's window."""
    side: AdapterSide = "both"
    """`query`: passages stay as the base embeds them, so that nothing is embedded anew."""
    scale: float = 20.0
    """Cosines are multiplied by it: one over the softmax's temperature."""
    keep: float = 0.0
    """Weight of how far the vectors of random words went from the base's (1 - cosine), beside the
    contrastive loss: so what the base knows of other texts is kept (Li and Hoiem, 1606.09282)."""
    strength: float | None = None
    """What is served of the change that was learned (WiSE-FT, Wortsman et al., arXiv 2109.01903):
    1 is all of it, less forgets less; None: 1, 0.75 or 0.5, as 100 held-out rows or more rank best;
    1 with fewer."""
    negatives: int = 4
    """Given hard negatives of a row that are read, at most."""
    group_rows: int = 1
    """Rows of a group that are put into a batch together, at most: the other passages of its
    document are the hardest to tell from its own."""
    matryoshka: tuple[int, ...] = ()
    """Vectors cut to these lengths are trained too (Kusupati et al., arXiv 2205.13147)."""
    mini_batch_tokens: int = 2048
    """Tokens embedded at once: texts of like length, so that little is padded."""
    kept_tokens: int = 8192
    """Tokens of a step whose activations are kept; the rest is computed twice (GradCache, Gao et
    al., arXiv 2101.06983), so that a batch of any size fits into memory."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("side", self.side, get_args(AdapterSide))
        object.__setattr__(self, "matryoshka", tuple(self.matryoshka))
        _number("scale", self.scale, above=0)
        _whole("batch_size", self.batch_size, least=2)
        _weight("keep", self.keep)
        if self.strength is not None:
            _number("strength", self.strength, above=0)
        _whole("negatives", self.negatives, least=0)
        _whole("group_rows", self.group_rows, least=1)
        _whole("mini_batch_tokens", self.mini_batch_tokens, least=1)
        _whole("kept_tokens", self.kept_tokens, least=0)
        for size in self.matryoshka:
            _whole("matryoshka", size, least=1)
        if self.lora.use_dora:
            msg = "An embedder's adapter with use_dora is not served: DoRA is no low-rank product"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings(TrainSettings):
    """How a chat model's adapter is trained on conversations."""

    task: ClassVar[str] = "generator"

    batch_size: int = 8
    """Conversations a step."""
    learning_rate: float = 2e-4
    """The highest: it rises in the warm-up and falls to 0 at the end."""
    assistant_only: bool = True
    """Only what the assistant says is learned; the rest is read."""
    packing: Packing = "none"
    """`bfd`: short conversations share a sequence, each seeing itself only."""
    dpo_beta: float = 0.1
    """Of preferences: how near the base they keep it (Rafailov et al., arXiv 2305.18290)."""
    start: str | None = None
    """The folder of a LoRA that is trained further: it has its rank, alpha and layers, not those
    of `lora`."""
    gradient_checkpointing: bool = False
    """Compute activations twice, for less memory."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("packing", self.packing, get_args(Packing))
        _number("dpo_beta", self.dpo_beta, above=0)
        if self.method == "query-map":
            msg = "The method 'query-map' is for embedders; a generator has 'lora', 'qlora', 'full'"
            raise ValueError(msg)
        if self.start and (self.method == "full" or self.lora.use_dora):
            msg = (
                f"start is {self.start!r}: a LoRA is trained further by the methods 'lora' and "
                "'qlora', without use_dora"
            )
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class ReflectionSettings(GeneratorSettings):
    """How a chat model's adapter is trained to write and judge by reflection tokens (Self-RAG)."""

    task: ClassVar[str] = "self-rag"

    learns: Literal["critic", "generator"] = "generator"
    """`critic`: the judgements alone; `generator`: these and the answers."""
    judgement_weight: float = 1.0
    """How much a judgement counts, where a token of an answer counts 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("learns", self.learns, ("critic", "generator"))
        _number("judgement_weight", self.judgement_weight, above=0)
        if self.packing != "none" or not self.assistant_only or self.start:
            msg = (
                f"packing is {self.packing!r}, assistant_only {self.assistant_only!r} and start "
                f"{self.start!r}: a task 'self-rag' has none of them. Leave them out"
            )
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class PreferenceSettings(GeneratorSettings):
    """How a chat model's adapter is trained to prefer one answer to another."""

    task: ClassVar[str] = "preferences"

    learning_rate: float = 5e-5
    """The highest: it rises in the warm-up and falls to 0 at the end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.packing != "none" or not self.assistant_only:
            msg = (
                f"packing is {self.packing!r} and assistant_only {self.assistant_only!r}: of "
                "preferences only the answers are learned, and nothing is packed. Leave them out"
            )
            raise ValueError(msg)


def settings_from_json(
    values: Mapping[str, Any],
) -> EmbeddingSettings | GeneratorSettings | PreferenceSettings | ReflectionSettings:
    """The settings of a JSON object, by its `task`.

    Raises:
        ValueError: There is no such task, or a setting is not known or out of range.
    """
    kinds = (EmbeddingSettings, GeneratorSettings, PreferenceSettings, ReflectionSettings)
    for kind in kinds:
        if values.get("task") == kind.task:
            return kind.from_json(values)
    msg = f"task is {values.get('task')!r}, expected {', '.join(one.task for one in kinds)}"
    raise ValueError(msg)


def _build(kind: Any, values: Mapping[str, Any]) -> Any:
    known = {part.name for part in fields(kind)}
    if unknown := sorted(values.keys() - known):
        msg = f"No such settings: {', '.join(unknown)}. There are: {', '.join(sorted(known))}"
        raise ValueError(msg)
    try:
        return kind(**values)
    except TypeError as error:
        msg = f"The settings can not be used: {error}"
        raise ValueError(msg) from error


def _one_of(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        msg = f"{name} is {value!r}, expected one of {', '.join(map(repr, choices))}"
        raise ValueError(msg)


def _whole(name: str, value: object, *, least: int, most: float = math.inf) -> None:
    if type(value) is not int or not least <= value <= most:
        upper = "" if most == math.inf else f" to {most}"
        msg = f"{name} is {value!r}, expected a whole number from {least}{upper}"
        raise ValueError(msg)


def _number(name: str, value: object, *, above: float) -> None:
    if type(value) not in (int, float) or not above < value < math.inf:  # type: ignore[operator]
        msg = f"{name} is {value!r}, expected a number above {above:g}"
        raise ValueError(msg)


def _weight(name: str, value: object) -> None:
    if type(value) not in (int, float) or not 0 <= value < math.inf:  # type: ignore[operator]
        msg = f"{name} is {value!r}, expected a number from 0"
        raise ValueError(msg)


def _share(name: str, value: object) -> None:
    if type(value) not in (int, float) or not 0 <= value < 1:  # type: ignore[operator]
        msg = f"{name} is {value!r}, expected a share from 0, below 1"
        raise ValueError(msg)
