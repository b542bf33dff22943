"""PEFT's `adapter_config.json` read as data: what can be served is taken, the rest refused."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

QUERY_MAP = "QUERY_MAP"
"""The `peft_type` of our own map of a query's vector; `query_map.py` reads its settings."""
MAX_RANK = 512
"""The highest rank that vLLM serves; a higher one is a full matrix under another name."""
_MAX_ALPHA = 1e6
_MAX_PATTERNS = 100_000
_MAX_EXPRESSIONS = 64
_SERVED = frozenset(
    """peft_type r lora_alpha use_rslora rank_pattern alpha_pattern target_modules bias
    base_model_name_or_path init_lora_weights""".split()
)
_OF_TRAINING = frozenset(
    """task_type peft_version revision inference_mode exclude_modules lora_dropout fan_in_fan_out
    layers_to_transform layers_pattern megatron_core loftq_config eva_config corda_config
    lora_ga_config runtime_config qalora_group_size ensure_weight_tying""".split()
)
"""Read by nobody here: the stored matrices are what training made of them."""
_REASONS = {
    "use_dora": "DoRA scales the base's rows, which is no low-rank product",
    "modules_to_save": "whole copies of the base's layers can not lie beside it",
    "trainable_token_indices": "trained tokens change the base's vocabulary",
    "lora_bias": "biases are not served",
    "layer_replication": "it changes the base's layers",
    "target_parameters": "only linear layers are served",
    "auto_mapping": "it names Python code, which is never run",
    "auto_map": "it names Python code, which is never run",
}
_BASE_CHANGED = ("corda", "loftq", "lora_ga", "olora", "pissa")
_PATTERN = re.compile(r"\^?(?:[A-Za-z0-9_.-]|\\\.|\\d)+")  # without repetition: always fast


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """How a LoRA adapter's matrices are scaled."""

    r: int
    """The rank, where no pattern says another."""
    lora_alpha: float
    """Over the rank (or its root) it is the scaling, where no pattern says another."""
    use_rslora: bool = False
    """Whether alpha is divided by the rank's square root (Kalajdzievski, arXiv 2312.03732)."""
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    """Ranks of the layers whose names end as a key says; the first key that fits holds."""
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    """Alphas, likewise."""
    target_modules: tuple[str, ...] | None = None
    """How the names of its layers end; None: it was said by a pattern, which is not followed."""
    base_model_name_or_path: str | None = None
    """Where it was trained; told, never followed."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The configuration of a JSON object that PEFT wrote, of this or another version.

        Raises:
            ValueError: It asks for what is not served, or a value is not of its type or range.
        """
        _refuse_unserved(values)
        target = values.get("target_modules")
        if not isinstance(target, str | list | None) or not _all_texts(target):
            msg = f"target_modules is {target!r:.80}, expected names"
            raise ValueError(msg)
        base = values.get("base_model_name_or_path")
        return cls(
            r=_rank("r", values.get("r", 8)),
            lora_alpha=_alpha("lora_alpha", values.get("lora_alpha", 8)),
            use_rslora=_flag("use_rslora", values.get("use_rslora", False)),
            rank_pattern=_pattern("rank_pattern", values, _rank),
            alpha_pattern=_pattern("alpha_pattern", values, _alpha),
            target_modules=tuple(target) if isinstance(target, list) else None,
            base_model_name_or_path=base if isinstance(base, str) else None,
        )

    def rank_of(self, layer: str) -> int:
        """The rank of a layer's product."""
        rank: int = self._ranks.of(layer, self.r)
        return rank

    def scaling_of(self, layer: str) -> float:
        """What a layer's product is multiplied with: alpha / r, or alpha / sqrt(r)."""
        alpha: float = self._alphas.of(layer, self.lora_alpha)
        rank = self.rank_of(layer)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)

    def targets(self, layer: str) -> bool:
        """Whether it says that it has matrices for a layer."""
        if self.target_modules is None:
            return True
        return any(layer == one or layer.endswith(f".{one}") for one in self.target_modules)

    @cached_property
    def _ranks(self) -> _LayerPatterns:
        return _LayerPatterns(self.rank_pattern)

    @cached_property
    def _alphas(self) -> _LayerPatterns:
        return _LayerPatterns(self.alpha_pattern)


class _LayerPatterns:
    """The first key that fits a layer holds: its name, how it ends behind a dot, or an expression.

    As in PEFT, save that a dot is a dot. Names are looked up, however many there are.
    """

    def __init__(self, patterns: Mapping[str, Any]) -> None:
        self._names: dict[str, tuple[int, Any]] = {}
        self._expressions: list[tuple[int, re.Pattern[str], Any]] = []
        for order, (key, value) in enumerate(patterns.items()):
            name = key.replace("\\.", ".")
            if name.startswith("^") or "\\" in name:
                self._expressions.append((order, re.compile(rf"(.*\.)?({key})$"), value))
            else:
                self._names.setdefault(name, (order, value))

    def of(self, layer: str, default: Any) -> Any:
        if not (self._names or self._expressions):
            return default
        parts = layer.split(".")
        endings = (".".join(parts[first:]) for first in range(len(parts)))
        fits = [self._names[ending] for ending in endings if ending in self._names]
        fits += [(order, value) for order, key, value in self._expressions if key.match(layer)]
        return min(fits, key=itemgetter(0))[1] if fits else default


def _refuse_unserved(values: Mapping[str, Any]) -> None:
    kind = values.get("peft_type")
    if kind != "LORA":
        msg = f"its peft_type is {kind!r}; only 'LORA' is served. Convert it (peft: save_as_lora)"
        raise ValueError(msg)
    if values.get("bias", "none") != "none":
        msg = f"its bias is {values['bias']!r}; only 'none' is served"
        raise ValueError(msg)
    for key, value in values.items():
        if key in _SERVED | _OF_TRAINING or value in (None, False, [], {}):
            continue  # a key that a newer PEFT has, left empty, changes nothing
        reason = _REASONS.get(key, "this setting is not known here")
        msg = f"it sets {key!r:.80} to {value!r:.80}: {reason}"
        raise ValueError(msg)
    start = values.get("init_lora_weights")
    if isinstance(start, str) and start.startswith(_BASE_CHANGED):
        msg = (
            f"it was trained with init_lora_weights={start!r:.40}, which changes the base. Save it "
            "with path_initial_model_for_weight_conversion, which makes a plain LoRA of it"
        )
        raise ValueError(msg)


def _all_texts(target: str | list[Any] | None) -> bool:
    return not isinstance(target, list) or all(isinstance(one, str) for one in target)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        msg = f"{name} is {value!r:.80}, expected true or false"
        raise ValueError(msg)  # noqa: TRY004 (a file's content)
    return value


def _rank(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_RANK:
        msg = f"{name} is {value!r:.80}, expected a rank from 1 to {MAX_RANK}"
        raise ValueError(msg)
    return value


def _alpha(name: str, value: Any) -> float:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits or not 0 < value <= _MAX_ALPHA:
        msg = f"{name} is {value!r:.80}, expected a number above 0, at most {_MAX_ALPHA:g}"
        raise ValueError(msg)
    return float(value)


def _pattern(name: str, values: Mapping[str, Any], check: Any) -> dict[str, Any]:
    found = values.get(name) or {}
    if not isinstance(found, dict) or len(found) > _MAX_PATTERNS:
        msg = f"{name} is {found!r:.80}, expected at most {_MAX_PATTERNS} values by layer"
        raise ValueError(msg)
    for key in found:
        if not _PATTERN.fullmatch(key):
            msg = f"{name} has the key {key!r:.80}; expected a layer's name, or how one ends"
            raise ValueError(msg)
    if sum(key.startswith("^") or "\\d" in key for key in found) > _MAX_EXPRESSIONS:
        msg = f"{name} has more than {_MAX_EXPRESSIONS} expressions; write the layers' names"
        raise ValueError(msg)
    return {key: check(f"{name}[{key!r:.80}]", value) for key, value in found.items()}
