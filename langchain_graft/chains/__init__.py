"""Chains: Runnables that answer from documents, with citations that are checked."""

from typing import TYPE_CHECKING

from langchain_graft._lazy import lazy_exports

__all__ = [
    "ALONE_PROMPT",
    "ANSWERABLE_PROMPT",
    "COMMUNITY_POINTS_PROMPT",
    "CONDENSE_PROMPT",
    "PLAIN_RAG_PROMPT",
    "PRINCIPLE_PROMPT",
    "RAG_PROMPT",
    "ROUTE_PROMPT",
    "ROWS_ANSWER_PROMPT",
    "SELF_RAG_ALONE_PROMPT",
    "SELF_RAG_RELEVANCE_PROMPT",
    "SELF_RAG_RETRIEVE_PROMPT",
    "SELF_RAG_SEGMENT_PROMPT",
    "SELF_RAG_SUPPORT_PROMPT",
    "SELF_RAG_UTILITY_PROMPT",
    "STEPS_ANSWER_PROMPT",
    "STEPS_PROMPT",
    "STEP_BACK_ANSWER_PROMPT",
    "STEP_PROMPT",
    "TALK_PROMPT",
    "Citation",
    "Critic",
    "Draft",
    "GraphPath",
    "Judged",
    "Judgement",
    "LeftOut",
    "PromptedCritic",
    "RagInput",
    "RagOutput",
    "RagSettings",
    "ReflectionModel",
    "RetrievalCorrection",
    "Route",
    "SegmentCandidate",
    "SelfRagDecision",
    "SelfRagSegment",
    "SelfRagSettings",
    "Step",
    "Triple",
    "Writer",
    "Written",
    "create_answerable_check",
    "create_conversational_chain",
    "create_conversational_rag_chain",
    "create_default_router",
    "create_embedding_decider",
    "create_graph_overview_chain",
    "create_graph_rag_chain",
    "create_model_decider",
    "create_multi_step_chain",
    "create_plain_chain",
    "create_rag_chain",
    "create_rag_fusion_chain",
    "create_refusing_chain",
    "create_router",
    "create_rule_decider",
    "create_self_rag_chain",
    "create_self_rag_decider",
    "create_self_rag_router",
    "create_step_back_chain",
    "create_text2cypher_chain",
    "default_routes",
    "find_citations",
    "is_refusal",
    "label_rows",
    "train_self_rag",
]

if TYPE_CHECKING:
    from langchain_graft.chains.answerable import (
        create_answerable_check,
    )
    from langchain_graft.chains.citations import (
        find_citations,
    )
    from langchain_graft.chains.conversation import (
        create_conversational_chain,
        create_conversational_rag_chain,
    )
    from langchain_graft.chains.deciders import (
        create_embedding_decider,
        create_model_decider,
        create_rule_decider,
    )
    from langchain_graft.chains.default_router import (
        create_default_router,
        default_routes,
    )
    from langchain_graft.chains.graph_overview import create_graph_overview_chain
    from langchain_graft.chains.graph_rag import (
        create_graph_rag_chain,
    )
    from langchain_graft.chains.multi_step import (
        create_multi_step_chain,
    )
    from langchain_graft.chains.plain import (
        create_plain_chain,
        create_refusing_chain,
    )
    from langchain_graft.chains.prompts import (
        ALONE_PROMPT,
        ANSWERABLE_PROMPT,
        COMMUNITY_POINTS_PROMPT,
        CONDENSE_PROMPT,
        PLAIN_RAG_PROMPT,
        PRINCIPLE_PROMPT,
        RAG_PROMPT,
        ROUTE_PROMPT,
        ROWS_ANSWER_PROMPT,
        SELF_RAG_ALONE_PROMPT,
        SELF_RAG_RELEVANCE_PROMPT,
        SELF_RAG_RETRIEVE_PROMPT,
        SELF_RAG_SEGMENT_PROMPT,
        SELF_RAG_SUPPORT_PROMPT,
        SELF_RAG_UTILITY_PROMPT,
        STEP_BACK_ANSWER_PROMPT,
        STEP_PROMPT,
        STEPS_ANSWER_PROMPT,
        STEPS_PROMPT,
        TALK_PROMPT,
    )
    from langchain_graft.chains.rag import (
        RagSettings,
        create_rag_chain,
    )
    from langchain_graft.chains.rag_fusion import (
        create_rag_fusion_chain,
    )
    from langchain_graft.chains.refusal import (
        is_refusal,
    )
    from langchain_graft.chains.router import (
        Route,
        create_router,
    )
    from langchain_graft.chains.self_rag.chain import create_self_rag_chain
    from langchain_graft.chains.self_rag.correction import RetrievalCorrection
    from langchain_graft.chains.self_rag.critic_prompted import PromptedCritic
    from langchain_graft.chains.self_rag.labelling import label_rows
    from langchain_graft.chains.self_rag.reflection_model import ReflectionModel
    from langchain_graft.chains.self_rag.roles import (
        Critic,
        Draft,
        Judged,
        Judgement,
        Writer,
        Written,
    )
    from langchain_graft.chains.self_rag.router import (
        create_self_rag_decider,
        create_self_rag_router,
    )
    from langchain_graft.chains.self_rag.settings import SelfRagSettings
    from langchain_graft.chains.self_rag.training import train_self_rag
    from langchain_graft.chains.step_back import (
        create_step_back_chain,
    )
    from langchain_graft.chains.text2cypher import create_text2cypher_chain
    from langchain_graft.chains.types import (
        Citation,
        GraphPath,
        LeftOut,
        RagInput,
        RagOutput,
        SegmentCandidate,
        SelfRagDecision,
        SelfRagSegment,
        Step,
        Triple,
    )
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "ALONE_PROMPT": "prompts",
            "ANSWERABLE_PROMPT": "prompts",
            "COMMUNITY_POINTS_PROMPT": "prompts",
            "CONDENSE_PROMPT": "prompts",
            "PLAIN_RAG_PROMPT": "prompts",
            "PRINCIPLE_PROMPT": "prompts",
            "RAG_PROMPT": "prompts",
            "ROUTE_PROMPT": "prompts",
            "ROWS_ANSWER_PROMPT": "prompts",
            "SELF_RAG_ALONE_PROMPT": "prompts",
            "SELF_RAG_RELEVANCE_PROMPT": "prompts",
            "SELF_RAG_RETRIEVE_PROMPT": "prompts",
            "SELF_RAG_SEGMENT_PROMPT": "prompts",
            "SELF_RAG_SUPPORT_PROMPT": "prompts",
            "SELF_RAG_UTILITY_PROMPT": "prompts",
            "STEPS_ANSWER_PROMPT": "prompts",
            "STEPS_PROMPT": "prompts",
            "STEP_BACK_ANSWER_PROMPT": "prompts",
            "STEP_PROMPT": "prompts",
            "TALK_PROMPT": "prompts",
            "Citation": "types",
            "Critic": "self_rag.roles",
            "Draft": "self_rag.roles",
            "GraphPath": "types",
            "Judged": "self_rag.roles",
            "Judgement": "self_rag.roles",
            "LeftOut": "types",
            "PromptedCritic": "self_rag.critic_prompted",
            "RagInput": "types",
            "RagOutput": "types",
            "RagSettings": "rag",
            "ReflectionModel": "self_rag.reflection_model",
            "RetrievalCorrection": "self_rag.correction",
            "Route": "router",
            "SegmentCandidate": "types",
            "SelfRagDecision": "types",
            "SelfRagSegment": "types",
            "SelfRagSettings": "self_rag.settings",
            "Step": "types",
            "Triple": "types",
            "Writer": "self_rag.roles",
            "Written": "self_rag.roles",
            "create_answerable_check": "answerable",
            "create_conversational_chain": "conversation",
            "create_conversational_rag_chain": "conversation",
            "create_default_router": "default_router",
            "create_embedding_decider": "deciders",
            "create_graph_overview_chain": "graph_overview",
            "create_graph_rag_chain": "graph_rag",
            "create_model_decider": "deciders",
            "create_multi_step_chain": "multi_step",
            "create_plain_chain": "plain",
            "create_rag_chain": "rag",
            "create_rag_fusion_chain": "rag_fusion",
            "create_refusing_chain": "plain",
            "create_router": "router",
            "create_rule_decider": "deciders",
            "create_self_rag_chain": "self_rag.chain",
            "create_self_rag_decider": "self_rag.router",
            "create_self_rag_router": "self_rag.router",
            "create_step_back_chain": "step_back",
            "create_text2cypher_chain": "text2cypher",
            "default_routes": "default_router",
            "find_citations": "citations",
            "is_refusal": "refusal",
            "label_rows": "self_rag.labelling",
            "train_self_rag": "self_rag.training",
        },
    )
