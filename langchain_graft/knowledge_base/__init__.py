"""Knowledge bases: one folder that is ingested, asked and measured."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "Candidate",
    "Comparison",
    "GateFinding",
    "GateSettings",
    "IngestReport",
    "IngestSettings",
    "KnowledgeBase",
    "ReembedEstimate",
    "Release",
    "Status",
    "calibrate",
    "compare_rewriting",
    "create_gate",
    "list_releases",
    "read_status",
]

if TYPE_CHECKING:
    from langchain_graft.knowledge_base.calibration import (
        Comparison,
        calibrate,
        compare_rewriting,
    )
    from langchain_graft.knowledge_base.gate import GateFinding, GateSettings, create_gate
    from langchain_graft.knowledge_base.ingest_report import IngestReport
    from langchain_graft.knowledge_base.knowledge_base import KnowledgeBase
    from langchain_graft.knowledge_base.promotion import Candidate
    from langchain_graft.knowledge_base.reembedding import ReembedEstimate
    from langchain_graft.knowledge_base.release import Release, list_releases
    from langchain_graft.knowledge_base.settings import IngestSettings
    from langchain_graft.knowledge_base.status import Status, read_status
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "Candidate": "promotion",
            "Comparison": "calibration",
            "GateFinding": "gate",
            "GateSettings": "gate",
            "IngestReport": "ingest_report",
            "IngestSettings": "settings",
            "KnowledgeBase": "knowledge_base",
            "ReembedEstimate": "reembedding",
            "Release": "release",
            "Status": "status",
            "calibrate": "calibration",
            "compare_rewriting": "calibration",
            "create_gate": "gate",
            "list_releases": "release",
            "read_status": "status",
        },
    )
