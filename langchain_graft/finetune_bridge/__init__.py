"""Adapters: kept, trained, and served from one base model that is already running."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "AdapterChatModel",
    "AdapterEmbeddings",
    "AdapterEngine",
    "AdapterEntry",
    "AdapterLease",
    "AdapterManifest",
    "AdapterRef",
    "AdapterStore",
    "EmbeddingSettings",
    "Fleet",
    "FleetChatModel",
    "GeneratorSettings",
    "LoraSettings",
    "Probe",
    "Promotion",
    "QueryMap",
    "Servability",
    "TrainProgress",
    "TrainReport",
    "TrainedAdapter",
    "VllmReplica",
    "export_merged",
    "export_peft",
    "export_vllm",
]

if TYPE_CHECKING:
    from langchain_graft.finetune_bridge.adapter_chat import AdapterChatModel
    from langchain_graft.finetune_bridge.adapter_embeddings import AdapterEmbeddings
    from langchain_graft.finetune_bridge.adapter_engine import AdapterEngine
    from langchain_graft.finetune_bridge.adapter_export import (
        export_merged,
        export_peft,
        export_vllm,
    )
    from langchain_graft.finetune_bridge.adapter_manifest import AdapterManifest, Probe
    from langchain_graft.finetune_bridge.adapter_ref import AdapterRef
    from langchain_graft.finetune_bridge.adapter_store import (
        AdapterEntry,
        AdapterLease,
        AdapterStore,
    )
    from langchain_graft.finetune_bridge.fleet import Fleet, Promotion
    from langchain_graft.finetune_bridge.fleet_chat import FleetChatModel
    from langchain_graft.finetune_bridge.query_map import QueryMap
    from langchain_graft.finetune_bridge.servability import Servability
    from langchain_graft.finetune_bridge.train_settings import (
        EmbeddingSettings,
        GeneratorSettings,
        LoraSettings,
    )
    from langchain_graft.finetune_bridge.trained_adapter import (
        TrainedAdapter,
        TrainProgress,
        TrainReport,
    )
    from langchain_graft.finetune_bridge.vllm_replica import VllmReplica
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "AdapterChatModel": "adapter_chat",
            "AdapterEmbeddings": "adapter_embeddings",
            "AdapterEngine": "adapter_engine",
            "AdapterEntry": "adapter_store",
            "AdapterLease": "adapter_store",
            "AdapterManifest": "adapter_manifest",
            "AdapterRef": "adapter_ref",
            "AdapterStore": "adapter_store",
            "EmbeddingSettings": "train_settings",
            "Fleet": "fleet",
            "FleetChatModel": "fleet_chat",
            "GeneratorSettings": "train_settings",
            "LoraSettings": "train_settings",
            "Probe": "adapter_manifest",
            "Promotion": "fleet",
            "QueryMap": "query_map",
            "Servability": "servability",
            "TrainProgress": "trained_adapter",
            "TrainReport": "trained_adapter",
            "TrainedAdapter": "trained_adapter",
            "VllmReplica": "vllm_replica",
            "export_merged": "adapter_export",
            "export_peft": "adapter_export",
            "export_vllm": "adapter_export",
        },
    )
