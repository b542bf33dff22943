"""Structured output by constrained decoding, for servers that take a JSON schema."""

from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.output_parsers import (
    BaseOutputParser,
    JsonOutputParser,
    PydanticOutputParser,
)
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass


def create_json_output(
    model: BaseChatModel, schema: dict[str, Any] | type, *, include_raw: bool = False
) -> Runnable[LanguageModelInput, Any]:
    """A model bound to a JSON schema, and the parser behind it.

    Args:
        model: One whose server takes `json_schema` in the request's body, as llama.cpp's does.
        schema: A JSON schema, a pydantic class or a TypedDict.
        include_raw: Give `{"raw", "parsed", "parsing_error"}` instead of the parsed value.
    """
    constrained = model.bind(
        extra_body={"json_schema": convert_to_json_schema(schema)},
        ls_structured_output_format={
            "kwargs": {"method": "json_schema"},
            "schema": convert_to_json_schema(schema),
        },
    )
    parser: BaseOutputParser[Any] = (
        PydanticOutputParser(pydantic_object=schema)
        if isinstance(schema, type) and is_basemodel_subclass(schema)
        else JsonOutputParser()
    )
    if not include_raw:
        return constrained | parser
    parsed = RunnablePassthrough.assign(
        parsed=RunnableLambda(lambda given: given["raw"]) | parser,
        parsing_error=lambda _: None,
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=constrained) | parsed.with_fallbacks(
        [failed], exception_key="parsing_error"
    )
