"""An embedder in training: vectors with slopes, in bounded memory, and the contrastive loss."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError

try:
    import torch
    from torch.nn.functional import cosine_similarity, cross_entropy, normalize
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sentence_transformers import SentenceTransformer

    from langchain_graft.finetune_bridge.training.contrastive_batches import ContrastiveBatch


@dataclass(frozen=True, kw_only=True)
class StepSizes:
    """How a step's texts are shared out."""

    max_tokens: int
    """Of a text."""
    mini_batch_tokens: int
    """Embedded at once, padding included; a text that is longer is alone."""
    kept_tokens: int
    """Whose activations are kept until the slopes go back."""


@dataclass(frozen=True)
class _Part:
    """Texts of like length, and where their vectors go."""

    rows: torch.Tensor
    features: dict[str, Any]

    @property
    def tokens(self) -> int:
        return int(self.features["attention_mask"].numel())


class TrainableEmbedder:
    """A sentence-transformers model whose trained parameters get slopes from a batch's vectors.

    Its dropout is off, save LoRA's own: with it, attention has no fast kernel on a processor (a
    fifth of the speed for MiniLM), and a small adapter needs it less than a whole network does.

    Args:
        model: Its network is in training already; its prompts are put before the texts, as when
            it serves.
        sizes: How a step's texts are shared out.
        numbers: Of the products: bfloat16 is computed by autocast.
    """

    def __init__(
        self, model: SentenceTransformer, *, sizes: StepSizes, numbers: torch.dtype
    ) -> None:
        self._model = model
        self._sizes = sizes
        self._numbers = numbers
        model.eval()
        drops = [module for name, module in model.named_modules() if "lora_dropout" in name]
        self._draws = any(isinstance(module, torch.nn.Dropout) for module in drops)
        for module in drops:
            module.train()

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """Those that are trained, by name."""
        return {name: one for name, one in self._model.named_parameters() if one.requires_grad}

    @property
    def vocabulary(self) -> Collection[str]:
        """Of its tokenizer."""
        words: Collection[str] = self._model.tokenizer.get_vocab()
        return words

    @torch.no_grad()
    def vectors(self, texts: Sequence[str], *, prompt_name: str) -> torch.Tensor:
        """Vectors of texts as they are now, `float32[texts, dimension]`."""
        parts = self._parts(texts, prompt_name)
        return _assembled(len(texts), parts, [self._forward(part, 0) for part in parts])

    def base_vectors(self, texts: Sequence[str], *, prompt_name: str) -> torch.Tensor:
        """Vectors of texts as they were before anything was trained, `float32[texts, dimension]`.

        The network is PEFT's, whose adapter is left out for it.
        """
        network: Any = self._model[0].model
        with network.disable_adapter():
            return self.vectors(texts, prompt_name=prompt_name)

    def backward(
        self,
        batch: ContrastiveBatch,
        loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        *,
        seed: int,
        passages: torch.Tensor | None = None,
    ) -> float:
        """The loss of a batch; its slopes are added to the parameters'.

        What does not fit `kept_tokens` is embedded without slopes first and once more when the
        slopes of its vectors are known (GradCache, Gao et al., arXiv 2101.06983): the same slopes,
        in memory that does not grow with the batch.

        Args:
            batch: Queries and passages.
            loss_of: Of the queries' vectors and the passages'.
            seed: Of LoRA's dropout.
            passages: Their vectors, where they stay as they are.
        """
        sides = [self._parts(batch.queries, "query")]
        if passages is None:
            sides.append(self._parts(batch.passages, "document"))
        numbered = list(enumerate(part for side in sides for part in side))
        kept: dict[int, torch.Tensor] = {}
        found: list[torch.Tensor] = []
        room = self._sizes.kept_tokens
        for n, part in numbered:
            room -= part.tokens
            with nullcontext() if room >= 0 else torch.no_grad():
                vectors = self._forward(part, seed + n)
            found.append(vectors.detach())
            if room >= 0:
                kept[n] = vectors
        count = len(sides[0])
        queries = _assembled(len(batch.queries), sides[0], found[:count]).requires_grad_()
        if passages is None:
            passages = _assembled(len(batch.passages), sides[1], found[count:]).requires_grad_()
        loss = loss_of(queries, passages)
        torch.autograd.backward(loss)
        slopes = [queries.grad] * count + [passages.grad] * (len(numbered) - count)
        for (n, part), slope in zip(numbered, slopes, strict=True):
            vectors = kept.pop(n) if n in kept else self._forward(part, seed + n)
            torch.autograd.backward(vectors, slope[part.rows])  # type: ignore[index]
        return float(loss.detach())

    def _parts(self, texts: Sequence[str], prompt_name: str) -> list[_Part]:
        """Texts of like length together, so that little is padded."""
        prompt = self._model.prompts.get(prompt_name) or ""
        limit = {"text": {"max_length": self._sizes.max_tokens}}
        features = self._model.preprocess(list(texts), prompt=prompt, processing_kwargs=limit)
        mask = features["attention_mask"].bool()
        lengths = mask.sum(dim=1)
        order = torch.argsort(lengths, stable=True)
        return [
            _Part(rows, _cut(features, rows, mask[rows].any(dim=0)))
            for rows in _shared_out(order, lengths, self._sizes.mini_batch_tokens)
        ]

    def _forward(self, part: _Part, seed: int) -> torch.Tensor:
        if self._draws:
            torch.manual_seed(seed)  # the second time, the same inputs are left out
        features = {name: _on(value, self._model.device) for name, value in part.features.items()}
        with self._autocast():
            vectors: torch.Tensor = self._model(features)["sentence_embedding"]
        return vectors.float()

    def _autocast(self) -> AbstractContextManager[object]:
        if self._numbers == torch.float32:
            return nullcontext()
        return torch.autocast(self._model.device.type, dtype=self._numbers)


def contrastive_loss(
    queries: torch.Tensor,
    passages: torch.Tensor,
    batch: ContrastiveBatch,
    *,
    scale: float,
    sizes: Sequence[int] = (),
) -> torch.Tensor:
    """How little each query chooses its own passage among the batch's: the softmax's loss.

    -log softmax(scale * cosine), the mean over the queries (van den Oord et al., arXiv 1807.03748;
    sentence-transformers' MultipleNegativesRankingLoss). Passages that are right too are left out.

    Args:
        queries: `float32[queries, dimension]`.
        passages: `float32[passages, dimension]`.
        batch: Whose vectors they are.
        scale: One over the temperature.
        sizes: Lengths to which vectors are cut, besides; the mean over all is taken (Matryoshka,
            Kusupati et al., arXiv 2205.13147).
    """
    own = torch.tensor(batch.own, device=queries.device)
    losses = []
    for size in {queries.shape[1], *sizes}:
        unit = normalize(queries[:, :size], dim=1), normalize(passages[:, :size], dim=1)
        scores = scale * unit[0] @ unit[1].T
        if batch.right_too:
            asked, found = torch.tensor(batch.right_too, device=scores.device).T
            scores = scores.index_put((asked, found), scores.new_tensor(-torch.inf))
        losses.append(cross_entropy(scores, own))
    return torch.stack(losses).mean()


def drift(vectors: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """How far vectors are from the base's of the same texts: the mean of 1 - cosine."""
    return (1 - cosine_similarity(vectors, base, dim=1)).mean()


def _shared_out(order: torch.Tensor, lengths: torch.Tensor, most: int) -> Iterator[torch.Tensor]:
    """Places in rising order of their lengths, cut where padded tokens would be too many."""
    start = 0
    for end in range(1, len(order) + 1):
        is_last = end == len(order)
        if is_last or (end + 1 - start) * int(lengths[order[end]]) > most:
            yield order[start:end]
            start = end


def _cut(features: dict[str, Any], rows: torch.Tensor, columns: torch.Tensor) -> dict[str, Any]:
    """Some texts' features, without columns that are padding in all of them."""
    cut = {}
    for name, value in features.items():
        is_tokens = isinstance(value, torch.Tensor) and value.dim() == 2  # noqa: PLR2004
        cut[name] = value[rows][:, columns] if is_tokens else value
    return cut


def _assembled(count: int, parts: Sequence[_Part], vectors: Sequence[torch.Tensor]) -> torch.Tensor:
    found = vectors[0].new_empty(count, vectors[0].shape[1])
    for part, some in zip(parts, vectors, strict=True):
        found[part.rows] = some
    return found


def _on(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, torch.Tensor) else value
