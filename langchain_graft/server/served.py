"""What a server answers by: chains, adapters and an embedder, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from langchain_graft.chains.answer import INSTRUCTIONS
from langchain_graft.finetune_bridge.adapters.ref import CURRENT
from langchain_graft.server.error_reply import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from langchain_core.embeddings import Embeddings
    from langchain_core.runnables import Runnable

    from langchain_graft.knowledge_base import KnowledgeBase

Kind = Literal["chain", "adapter", "embeddings"]


@dataclass(frozen=True, kw_only=True)
class Served:
    """The models of a server."""

    chains: Mapping[str, Runnable[Any, Any]]
    """They take `{"input", "chat_history"}`."""
    default: str
    """The chain that answers where an adapter's name is the model."""
    adapters: Callable[[], Sequence[str]] = tuple
    """Which adapters can be asked for now."""
    fixed: Collection[str] = ()
    """Chains that write their answers in a way of their own: asked to follow a system message or a
    temperature, they refuse."""
    unfiltered: Collection[str] = ()
    """Chains that may read what a call's `filter` does not reach: asked with one, they refuse."""
    embeddings_name: str = "embeddings"
    embeddings: Callable[[], Embeddings] | None = None
    """The embedder of now; None: there is none to ask."""

    def __post_init__(self) -> None:
        if self.default not in self.chains:
            msg = f"No chain {self.default!r} among {list(self.chains)}: name one of them"
            raise ValueError(msg)

    def models(self) -> dict[str, Kind]:
        """Every name that can be asked for now."""
        names: dict[str, Kind] = {self.default: "chain"}
        names |= dict.fromkeys(self.chains, "chain")
        names |= dict.fromkeys(self.adapters(), "adapter")
        return {**names, self.embeddings_name: "embeddings"} if self.embeddings else names

    def chain(self, model: str, adapter: str | None) -> tuple[Runnable[Any, Any], dict[str, str]]:
        """The chain of a model's name, and the settings that go with it.

        Args:
            model: A chain's name or an adapter's.
            adapter: One that is asked for beside it.

        Raises:
            RefusedRequest: There is no such model, or no such adapter.
        """
        named = None if model in self.chains else model
        if asked := adapter or named:
            if asked not in ("base", *self.adapters()):
                raise _unknown(asked, self.models(), "graft.adapter" if adapter else "model")
            return self.chains[model if named is None else self.default], {"adapter": asked}
        return self.chains[model], {}

    def check_answering(self, model: str, asked: Mapping[str, Any]) -> None:
        """Make sure that the chain of a model's name can answer in the way that is asked for.

        Args:
            model: A chain's name or an adapter's.
            asked: Such as `temperature` and `instructions`.

        Raises:
            RefusedRequest: It can not.
        """
        name = model if model in self.chains else self.default
        if asked and name in self.fixed:
            param = next(iter(asked))
            what, param = (
                ("a system message", "messages") if param == INSTRUCTIONS else (param,) * 2
            )
            others = ", ".join(one for one in self.chains if one not in self.fixed)
            message = f"The model {name!r} can not follow {what}: leave it out, or ask {others}"
            raise refuse(message, param=param)

    def check_filter(self, model: str, settings: Mapping[str, Any]) -> None:
        """Make sure that a call's filter holds for all that the chain of a model's name reads.

        Raises:
            RefusedRequest: It does not.
        """
        name = model if model in self.chains else self.default
        if "filter" in settings and name in self.unfiltered:
            others = ", ".join(one for one in self.chains if one not in self.unfiltered)
            message = f"The model {name!r} reads more than a filter reaches: ask {others}"
            raise refuse(message, param="graft.filter")

    def embedder(self, model: str) -> Embeddings:
        """The embedder of a model's name.

        Raises:
            RefusedRequest: There is none of that name.
        """
        if self.embeddings is None or model != self.embeddings_name:
            names = {self.embeddings_name: "embeddings"} if self.embeddings else {}
            raise _unknown(model, names, "model")
        return self.embeddings()


def adapter_names(kb: KnowledgeBase, model: Any) -> list[str]:
    """The adapters of a knowledge base that fit a chat model of its own, by all their names.

    Args:
        kb: It is read anew: what was promoted or imported meanwhile is there.
        model: Made by `kb.chat_model`; one that can not have adapters has none.
    """
    engine = getattr(getattr(model, "adapters", None), "engine", None)
    if engine is None:
        return []
    names = []
    for entry in kb.adapters.list():
        manifest = kb.adapters.manifest(entry.ref)
        if manifest.kind == "generator" and manifest.base_digest == engine.digest:
            names += [entry.ref.name] if CURRENT in entry.aliases else []
            names += [f"{entry.ref.name}@{alias}" for alias in entry.aliases]
            names.append(str(entry.ref))
    return names


def _unknown(model: str, known: Mapping[str, Any], param: str) -> Exception:
    message = f"The model {model!r:.200} does not exist; there are {', '.join(known) or 'none'}"
    return refuse(message, status=404, code="model_not_found", param=param)
