"""Knowledge bases: one folder that is ingested, asked and measured."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "Comparison",
    "IngestReport",
    "IngestSettings",
    "KnowledgeBase",
    "Status",
    "calibrate",
    "compare_rewriting",
    "read_status",
]

if TYPE_CHECKING:
    from langchain_graft.knowledge_base.calibration import (
        Comparison,
        calibrate,
        compare_rewriting,
    )
    from langchain_graft.knowledge_base.ingest_report import IngestReport
    from langchain_graft.knowledge_base.knowledge_base import KnowledgeBase
    from langchain_graft.knowledge_base.settings import IngestSettings
    from langchain_graft.knowledge_base.status import Status, read_status
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "Comparison": "calibration",
            "IngestReport": "ingest_report",
            "IngestSettings": "settings",
            "KnowledgeBase": "knowledge_base",
            "Status": "status",
            "calibrate": "calibration",
            "compare_rewriting": "calibration",
            "read_status": "status",
        },
    )
