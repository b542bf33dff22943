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
    "EmbeddingRow",
    "EmbeddingSettings",
    "Finding",
    "Fleet",
    "FleetChatModel",
    "GeneratorRow",
    "GeneratorSettings",
    "LoraSettings",
    "PreferenceRow",
    "Probe",
    "Promotion",
    "QueryMap",
    "RowReport",
    "Servability",
    "TrainProgress",
    "TrainReport",
    "TrainedAdapter",
    "VllmReplica",
    "examine_adapter",
    "examine_rows",
    "export_merged",
    "export_peft",
    "export_vllm",
    "read_rows",
    "report_of",
    "split_rows",
    "write_rows",
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
    from langchain_graft.finetune_bridge.doctor import Finding, examine_adapter, examine_rows
    from langchain_graft.finetune_bridge.fleet import Fleet, Promotion
    from langchain_graft.finetune_bridge.fleet_chat import FleetChatModel
    from langchain_graft.finetune_bridge.query_map import QueryMap
    from langchain_graft.finetune_bridge.row_files import read_rows, write_rows
    from langchain_graft.finetune_bridge.row_report import RowReport, report_of
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
    from langchain_graft.finetune_bridge.training_rows import (
        EmbeddingRow,
        GeneratorRow,
        PreferenceRow,
        split_rows,
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
            "EmbeddingRow": "training_rows",
            "EmbeddingSettings": "train_settings",
            "Finding": "doctor",
            "Fleet": "fleet",
            "FleetChatModel": "fleet_chat",
            "GeneratorRow": "training_rows",
            "GeneratorSettings": "train_settings",
            "LoraSettings": "train_settings",
            "PreferenceRow": "training_rows",
            "Probe": "adapter_manifest",
            "Promotion": "fleet",
            "QueryMap": "query_map",
            "RowReport": "row_report",
            "Servability": "servability",
            "TrainProgress": "trained_adapter",
            "TrainReport": "trained_adapter",
            "TrainedAdapter": "trained_adapter",
            "VllmReplica": "vllm_replica",
            "examine_adapter": "doctor",
            "examine_rows": "doctor",
            "export_merged": "adapter_export",
            "export_peft": "adapter_export",
            "export_vllm": "adapter_export",
            "read_rows": "row_files",
            "report_of": "row_report",
            "split_rows": "training_rows",
            "write_rows": "row_files",
        },
    )
