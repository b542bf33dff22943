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
    "MadeRows",
    "ReembedEstimate",
    "Release",
    "Status",
    "calibrate",
    "compare_rewriting",
    "create_gate",
    "generate_rows",
    "list_releases",
    "mine_negatives",
    "read_status",
    "rows_from_pairs",
    "text2cypher_rows",
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
    from langchain_graft.knowledge_base.training_data import (
        MadeRows,
        generate_rows,
        mine_negatives,
        rows_from_pairs,
        text2cypher_rows,
    )
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
            "MadeRows": "training_data",
            "ReembedEstimate": "reembedding",
            "Release": "release",
            "Status": "status",
            "calibrate": "calibration",
            "compare_rewriting": "calibration",
            "create_gate": "gate",
            "generate_rows": "training_data",
            "list_releases": "release",
            "mine_negatives": "training_data",
            "read_status": "status",
            "rows_from_pairs": "training_data",
            "text2cypher_rows": "training_data",
        },
    )
