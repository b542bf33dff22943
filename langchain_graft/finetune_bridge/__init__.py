"""Adapters: kept, trained, and served from one base model that is already running."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "AdapterChatModel",
    "AdapterEmbeddings",
    "AdapterEngine",
    "AdapterManifest",
    "AdapterRef",
    "AdapterStore",
    "Fleet",
    "FleetChatModel",
    "Promotion",
    "QueryMap",
    "VllmReplica",
]

if TYPE_CHECKING:
    from langchain_graft.finetune_bridge.adapter_chat import AdapterChatModel
    from langchain_graft.finetune_bridge.adapter_embeddings import AdapterEmbeddings
    from langchain_graft.finetune_bridge.adapter_engine import AdapterEngine
    from langchain_graft.finetune_bridge.adapter_manifest import AdapterManifest
    from langchain_graft.finetune_bridge.adapter_ref import AdapterRef
    from langchain_graft.finetune_bridge.adapter_store import AdapterStore
    from langchain_graft.finetune_bridge.fleet import Fleet, Promotion
    from langchain_graft.finetune_bridge.fleet_chat import FleetChatModel
    from langchain_graft.finetune_bridge.query_map import QueryMap
    from langchain_graft.finetune_bridge.vllm_replica import VllmReplica
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "AdapterChatModel": "adapter_chat",
            "AdapterEmbeddings": "adapter_embeddings",
            "AdapterEngine": "adapter_engine",
            "AdapterManifest": "adapter_manifest",
            "AdapterRef": "adapter_ref",
            "AdapterStore": "adapter_store",
            "Fleet": "fleet",
            "FleetChatModel": "fleet_chat",
            "Promotion": "fleet",
            "QueryMap": "query_map",
            "VllmReplica": "vllm_replica",
        },
    )
