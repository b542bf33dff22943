"""Knowledge bases: one folder that is ingested, asked and measured."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = ["IngestReport", "IngestSettings", "KnowledgeBase", "Status", "read_status"]

if TYPE_CHECKING:
    from langchain_graft.knowledge_base.ingest_report import IngestReport
    from langchain_graft.knowledge_base.knowledge_base import KnowledgeBase
    from langchain_graft.knowledge_base.settings import IngestSettings
    from langchain_graft.knowledge_base.status import Status, read_status
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "IngestReport": "ingest_report",
            "IngestSettings": "settings",
            "KnowledgeBase": "knowledge_base",
            "Status": "status",
            "read_status": "status",
        },
    )
