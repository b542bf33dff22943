"""What all requests of the API have in common."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class ApiRequest(BaseModel):
    """A request; what is not known here is taken and not used, as other servers of this API do."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, given: Any) -> Any:
        """JSON can hold half of a character; no tokenizer, index or reply can."""
        try:
            json.dumps(given, ensure_ascii=False, default=str).encode("utf-8")
        except UnicodeEncodeError as error:
            msg = "a text holds half of a character, a lone surrogate"
            raise ValueError(msg) from error
        return given
