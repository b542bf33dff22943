"""A causal language model in training: the loss of given tokens, and its slopes, unpadded."""

from __future__ import annotations

from bisect import bisect
from contextlib import nullcontext
from itertools import accumulate
from types import MethodType
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError
from langchain_graft.finetune_bridge.training.chat_rows import dealt, joined
from langchain_graft.finetune_bridge.training.processes import Processes

try:
    import torch
    from peft.tuners.lora.layer import Linear as LoraLinear
    from peft.tuners.lora.layer import LoraLayer
    from torch.nn.functional import cross_entropy, linear
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from langchain_graft.finetune_bridge.training.chat_rows import ChatTokens

HEAD_ROWS = 512
"""Tokens whose logits over the whole vocabulary are in memory at once."""
_UNPADDED = "langchain_graft_unpadded"
_ALIKE = 0.05
_TRIED = (3, 5)


class TrainableGenerator:
    """A chat model whose trained parameters get slopes from conversations.

    A forward has one row, in which conversations stand one behind the other; each attends to itself
    (`_attention_of_each`), so that nothing is padded. The head is computed for the learned tokens
    only, some at a time, and its slopes at once: the logits of a large vocabulary, most of what
    others keep, are never there as a whole (as in Liger Kernel, Hsu et al., arXiv 2410.10989).

    Args:
        model: PEFT's, or all of whose weights are trained.
        numbers: Of the products; the model's own, or computed by autocast.
        most_tokens: Of a forward; a longer conversation is alone.
        processes: Share the forwards of a step; each makes equally many, for those of a base that
            is spread over them can only be made by all at once.
    """

    def __init__(
        self,
        model: Any,
        *,
        numbers: torch.dtype,
        most_tokens: int,
        processes: Processes = Processes(),  # noqa: B008 (frozen)
    ) -> None:
        self.model = model
        causal = model.get_base_model() if hasattr(model, "peft_config") else model
        self._body, self._head = causal.base_model, causal.get_output_embeddings()
        self.device = next(model.parameters()).device
        is_other = any(p.dtype != numbers for p in causal.parameters() if p.is_floating_point())
        self._autocasts = is_other and not hasattr(model, "peft_config")
        self._numbers, self._most_tokens = numbers, most_tokens
        self.processes = processes
        for layer in filter(_is_plain, model.modules()):
            layer.forward = MethodType(_lean_forward, layer)
        self._in_four_bits = [one for one in model.modules() if _is_in_four_bits(one)]
        self._stop_dropping()
        self.is_unpadded = _make_unpadded(causal, self._body, self.device)

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """Those that are trained, by name."""
        return {name: one for name, one in self.model.named_parameters() if one.requires_grad}

    def backward(self, sequences: Sequence[ChatTokens]) -> float:
        """The mean loss of a step's learned tokens, by weight; slopes are added."""
        self.model.train()
        total = sum(sum(one.weights) for one in sequences)
        loss = 0.0
        for part, _, share in self._parts(sequences):
            hidden, targets, weights = self._states(part)
            loss += self._head_backward(hidden, targets, weights * share / total)
        return self._together(loss)

    def backward_by(
        self,
        sequences: Sequence[ChatTokens],
        loss_of: Callable[[torch.Tensor, Sequence[int]], torch.Tensor],
    ) -> float:
        """A loss that is a function of how probable replies are; slopes are added.

        Args:
            sequences: Of a step, each with equally many conversations.
            loss_of: Of some of them, given their `logprobs` and places, its share of the step's.
        """
        self.model.train()
        loss = 0.0
        for part, places, share in self._parts(sequences):
            hidden, targets, _ = self._states(part)
            told = self._told(hidden, targets, part, len(places)).requires_grad_()
            of_part = loss_of(told, places) * share
            [slopes] = torch.autograd.grad(of_part, told)
            weights = -slopes.flatten()[_owners(part)]
            self._head_backward(hidden, targets, weights)
            loss += float(of_part.detach())
        return self._together(loss)

    @torch.no_grad()
    def loss(self, sequences: Sequence[ChatTokens]) -> float:
        """The mean loss of learned tokens, by weight."""
        self._stop_dropping()
        total = sum(sum(one.weights) for one in sequences)
        loss = 0.0
        for part, _, share in self._parts(sequences):
            hidden, targets, weights = self._states(part)
            loss += float(self._losses(hidden, targets) @ weights) * share / total
        return self.processes.sum(loss)

    @torch.no_grad()
    def logprobs(self, sequences: Sequence[ChatTokens]) -> torch.Tensor:
        """How probable replies are, as natural logarithms, `float32[sequence, conversation]`.

        Args:
            sequences: Each with equally many conversations.
        """
        self._stop_dropping()
        found = torch.zeros(len(sequences), len(sequences[0].lengths))
        for part, places, share in self._parts(sequences):
            hidden, targets, _ = self._states(part)
            found[list(places)] += self._told(hidden, targets, part, len(places)).cpu() * share
        self.processes.add_up([found])
        return found

    @torch.no_grad()
    def next_logprobs(self, ids: Sequence[int]) -> torch.Tensor:
        """Natural logarithms of the probabilities of what follows, `float32[vocabulary]`."""
        self._stop_dropping()
        given = torch.tensor([list(ids)], device=self.device)
        with self._autocast():
            hidden = self._body(given, use_cache=False).last_hidden_state[0, -1:]
            scores: torch.Tensor = self._head(hidden).float().log_softmax(-1)[0].cpu()
        return scores

    def _stop_dropping(self) -> None:
        """Dropout off; layers in 4 bits stay as they are.

        On a processor `eval` would pack their weights anew, in coarser numbers.
        """
        self.model.eval()
        for layer in self._in_four_bits:
            layer.train()

    def _parts(self, sequences: Sequence[ChatTokens]) -> list[tuple[ChatTokens, list[int], float]]:
        """What this process computes together, its places, and how much it counts.

        It counts 0 where the others have one forward more to make.
        """
        sizes = [len(one.ids) for one in sequences]
        count, rank = self.processes.count, self.processes.rank
        dealt_out = dealt(sizes, most_tokens=self._most_tokens, processes=count)
        mine = [(places, 1.0) for places in dealt_out[rank]]
        missing = max(map(len, dealt_out)) - len(mine)
        mine += [([sizes.index(min(sizes))], 0.0)] * missing
        return [
            (joined([sequences[place] for place in places]), places, share)
            for places, share in mine
        ]

    def _states(self, part: ChatTokens) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Last hidden states before the learned tokens, these, and their weights."""
        ids = torch.tensor(part.ids, device=self.device)
        with self._autocast():
            if self.is_unpadded:
                hidden = _hidden(self._body, ids, part.lengths)
            else:
                alone = torch.split(ids, list(part.lengths))
                hidden = torch.cat([_hidden(self._body, one, ()) for one in alone])
        places = torch.tensor(part.learned, device=self.device, dtype=torch.long)
        weights = torch.tensor(part.weights, device=self.device)
        return hidden[places - 1], ids[places], weights

    @torch.no_grad()
    def _told(
        self, hidden: torch.Tensor, targets: torch.Tensor, part: ChatTokens, count: int
    ) -> torch.Tensor:
        """How probable each conversation's learned tokens are, `float32[count, conversation]`."""
        owners = torch.tensor(_owners(part), device=self.device)
        told = torch.zeros(len(part.lengths), device=self.device)
        told.index_add_(0, owners, -self._losses(hidden, targets))
        return told.view(count, -1)

    def _together(self, loss: float) -> float:
        """The loss and slopes of all processes."""
        self.processes.add_up(
            one.grad for one in self.parameters().values() if one.grad is not None
        )
        return self.processes.sum(loss)

    @torch.no_grad()
    def _losses(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Of each token; some at a time."""
        every = [self._token_losses(hidden[rows], targets[rows]) for rows in _slices(len(targets))]
        return torch.cat(every)

    def _head_backward(
        self, hidden: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> float:
        """Slopes go from the head to the states some tokens at a time, then on as a whole."""
        states = hidden.detach().requires_grad_()
        loss = 0.0
        for rows in _slices(len(targets)):
            part: Any = self._token_losses(states[rows], targets[rows]) @ weights[rows]
            part.backward()
            loss += float(part.detach())
        torch.autograd.backward(hidden, states.grad)
        return loss

    def _token_losses(self, states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with self._autocast():
            logits = self._head(states)
        return cross_entropy(logits.float(), targets, reduction="none")

    def _autocast(self) -> AbstractContextManager[object]:
        if not self._autocasts:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self._numbers)


def _slices(count: int) -> list[slice]:
    return [slice(first, first + HEAD_ROWS) for first in range(0, count, HEAD_ROWS)]


def _owners(part: ChatTokens) -> list[int]:
    """Of each learned token the conversation that it stands in."""
    ends = list(accumulate(part.lengths))
    return [bisect(ends, place) for place in part.learned]


def _hidden(body: Any, ids: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """Last hidden states of one row of tokens; of several conversations where they have lengths."""
    more = {}
    if lengths:
        places = torch.cat([torch.arange(length) for length in lengths])
        more = {"position_ids": places[None].to(ids.device), "graft_lengths": tuple(lengths)}
    hidden: torch.Tensor = body(ids[None], use_cache=False, **more).last_hidden_state[0]
    return hidden


def _attention_of_each(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001 (transformers' signature)
    *,
    graft_lengths: Sequence[int] = (),
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention of each conversation of a row to itself."""
    settings.pop("is_causal", None)
    lengths = list(graft_lengths) or [query.shape[2]]
    parts = [torch.split(one, lengths, dim=2) for one in (query, key, value)]
    attend: Any = sdpa_attention_forward
    found = [
        attend(module, *some, None, is_causal=True, **settings)[0]
        for some in zip(*parts, strict=True)
    ]
    return torch.cat(found, dim=1), None


def _make_unpadded(causal: Any, body: Any, device: torch.device) -> bool:
    """Whether several conversations in a row have the states that each has alone; it is tried.

    Windowed attention is not: the model then reads one conversation at a time.
    """
    config = causal.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    windowed = getattr(config, "sliding_window", None) and getattr(
        config, "use_sliding_window", "layer_types" not in config.to_dict()
    )
    if kinds != {"full_attention"} or windowed:
        return False
    ids = torch.arange(sum(_TRIED), device=device) % config.vocab_size
    before = config._attn_implementation  # noqa: SLF001 (it has no public name)
    with torch.no_grad():
        alone = torch.cat([_hidden(body, part, ()) for part in ids.split(_TRIED)])
        AttentionInterface.register(_UNPADDED, _attention_of_each)
        causal.set_attn_implementation(_UNPADDED)
        try:
            together = _hidden(body, ids, _TRIED)
        except (RuntimeError, TypeError, ValueError):
            together = torch.zeros_like(alone)
    if torch.linalg.vector_norm((together - alone).float()) < _ALIKE * torch.linalg.vector_norm(
        alone.float()
    ):
        return True
    causal.set_attn_implementation(before)
    return False


def _is_plain(layer: Any) -> bool:
    """Whether it is a linear layer with one low-rank product, nothing else."""
    if not isinstance(layer, LoraLayer):
        return False
    is_linear = isinstance(layer, LoraLinear) or _is_in_four_bits(layer.get_base_layer())
    others = getattr(layer, "lora_variant", None) or any(getattr(layer, "lora_bias", {}).values())
    return is_linear and not others


def _is_in_four_bits(layer: Any) -> bool:
    return type(layer).__name__ == "Linear4bit" and not isinstance(layer, LoraLayer)


def _lean_forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """PEFT's forward without its casts: it keeps a layer's input in float32, once per product."""
    out = layer.base_layer(x)
    for name in layer.active_adapters:
        if name in layer.lora_A:
            a = layer.lora_A[name].weight.to(x.dtype)
            b = (layer.lora_B[name].weight * layer.scaling[name]).to(x.dtype)
            out = out + linear(linear(layer.lora_dropout[name](x), a), b)
    return out  # type: ignore[no-any-return]
