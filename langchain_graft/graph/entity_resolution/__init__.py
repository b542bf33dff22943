"""Entity resolution: one node for one thing, however it is written; every merge can be undone."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = ["Merge", "Resolution", "ResolutionSettings", "resolve_entities"]

if TYPE_CHECKING:
    from langchain_graft.graph.entity_resolution.resolution import Merge, Resolution
    from langchain_graft.graph.entity_resolution.resolver import (
        ResolutionSettings,
        resolve_entities,
    )
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "Merge": "resolution",
            "Resolution": "resolution",
            "ResolutionSettings": "resolver",
            "resolve_entities": "resolver",
        },
    )
