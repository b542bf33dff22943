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
    "PreferenceSettings",
    "Probe",
    "Promotion",
    "QueryMap",
    "ReflectionRow",
    "ReflectionSettings",
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
    "train_embeddings",
    "train_generator",
    "train_preferences",
    "write_rows",
]

if TYPE_CHECKING:
    from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest, Probe
    from langchain_graft.finetune_bridge.adapters.query_map import QueryMap
    from langchain_graft.finetune_bridge.adapters.ref import AdapterRef
    from langchain_graft.finetune_bridge.adapters.servability import Servability
    from langchain_graft.finetune_bridge.adapters.store import (
        AdapterEntry,
        AdapterLease,
        AdapterStore,
    )
    from langchain_graft.finetune_bridge.fleet.chat import FleetChatModel
    from langchain_graft.finetune_bridge.fleet.fleet import Fleet, Promotion
    from langchain_graft.finetune_bridge.fleet.vllm_replica import VllmReplica
    from langchain_graft.finetune_bridge.serving.chat import AdapterChatModel
    from langchain_graft.finetune_bridge.serving.embeddings import AdapterEmbeddings
    from langchain_graft.finetune_bridge.serving.engine import AdapterEngine
    from langchain_graft.finetune_bridge.serving.export import (
        export_merged,
        export_peft,
        export_vllm,
    )
    from langchain_graft.finetune_bridge.training.doctor import (
        Finding,
        examine_adapter,
        examine_rows,
    )
    from langchain_graft.finetune_bridge.training.embeddings import train_embeddings
    from langchain_graft.finetune_bridge.training.generator import train_generator
    from langchain_graft.finetune_bridge.training.preferences import train_preferences
    from langchain_graft.finetune_bridge.training.row_files import read_rows, write_rows
    from langchain_graft.finetune_bridge.training.row_report import RowReport, report_of
    from langchain_graft.finetune_bridge.training.rows import (
        EmbeddingRow,
        GeneratorRow,
        PreferenceRow,
        ReflectionRow,
        split_rows,
    )
    from langchain_graft.finetune_bridge.training.settings import (
        EmbeddingSettings,
        GeneratorSettings,
        LoraSettings,
        PreferenceSettings,
        ReflectionSettings,
    )
    from langchain_graft.finetune_bridge.training.trained_adapter import (
        TrainedAdapter,
        TrainProgress,
        TrainReport,
    )
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "AdapterChatModel": "serving.chat",
            "AdapterEmbeddings": "serving.embeddings",
            "AdapterEngine": "serving.engine",
            "AdapterEntry": "adapters.store",
            "AdapterLease": "adapters.store",
            "AdapterManifest": "adapters.manifest",
            "AdapterRef": "adapters.ref",
            "AdapterStore": "adapters.store",
            "EmbeddingRow": "training.rows",
            "EmbeddingSettings": "training.settings",
            "Finding": "training.doctor",
            "Fleet": "fleet.fleet",
            "FleetChatModel": "fleet.chat",
            "GeneratorRow": "training.rows",
            "GeneratorSettings": "training.settings",
            "LoraSettings": "training.settings",
            "PreferenceRow": "training.rows",
            "PreferenceSettings": "training.settings",
            "Probe": "adapters.manifest",
            "Promotion": "fleet.fleet",
            "QueryMap": "adapters.query_map",
            "ReflectionRow": "training.rows",
            "ReflectionSettings": "training.settings",
            "RowReport": "training.row_report",
            "Servability": "adapters.servability",
            "TrainProgress": "training.trained_adapter",
            "TrainReport": "training.trained_adapter",
            "TrainedAdapter": "training.trained_adapter",
            "VllmReplica": "fleet.vllm_replica",
            "examine_adapter": "training.doctor",
            "examine_rows": "training.doctor",
            "export_merged": "serving.export",
            "export_peft": "serving.export",
            "export_vllm": "serving.export",
            "read_rows": "training.row_files",
            "report_of": "training.row_report",
            "split_rows": "training.rows",
            "train_embeddings": "training.embeddings",
            "train_generator": "training.generator",
            "train_preferences": "training.preferences",
            "write_rows": "training.row_files",
        },
    )
