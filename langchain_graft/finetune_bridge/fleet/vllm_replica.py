"""One vLLM server: its adapters loaded, listed, probed and unloaded over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import FleetError, MissingExtraError

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("models") from error

if TYPE_CHECKING:
    from collections.abc import Mapping

_OK, _NOT_FOUND = 200, 404
_MOST_LOGPROBS = 20
"""vLLM's own limit, unless it is started with another `--max-logprobs`."""
_SAID = 500
"""Characters of a server's reply that go into an error."""


@dataclass(frozen=True)
class ServedModel:
    """A line of `/v1/models`: the base model, or an adapter."""

    name: str
    path: str
    """Where its files lie, as the server sees it."""
    base: str | None
    """What it was added to; None: it is a base model."""


class VllmReplica:
    """A vLLM server that was started with `--enable-lora` and may load adapters while it runs.

    Every call waits `timeout_seconds` at most, and raises `FleetError`, which names the server.

    Args:
        url: Where it listens, as `http://10.0.0.5:8000`, with or without `/v1`.
        api_key: What it was started with as `--api-key`, if it was.
        timeout_seconds: A load may take half a minute.

    Raises:
        ValueError: The address is none.
    """

    def __init__(
        self, url: str, *, api_key: str | None = None, timeout_seconds: float = 120.0
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        if not self.url.startswith(("http://", "https://")):
            msg = f"A replica's address begins with http:// or https://, not {url!r}"
            raise ValueError(msg)
        self.api_key = api_key
        # No connection is kept: the server may be another one next time.
        self._client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=timeout_seconds,
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
        )

    def models(self) -> dict[str, ServedModel]:
        """What it serves now, by name."""
        reply = self._ask("GET", "/v1/models")
        try:
            cards = [
                ServedModel(card["id"], card.get("root") or "", card.get("parent"))
                for card in _json(reply)["data"]
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise _unlike_vllm(reply) from error
        return {card.name: card for card in cards}

    def base(self) -> str:
        """The name of the base model."""
        for model in self.models().values():
            if model.base is None:
                return model.name
        msg = f"{self.url} serves no base model. Start it with: vllm serve BASE --enable-lora"
        raise FleetError(msg)

    def load(self, name: str, path: str) -> bool:
        """Load an adapter; False: it was there already, from the same path.

        A name stands for the same weights for ever: nothing is ever loaded over it, since vLLM
        keeps what it has computed by the name.

        Args:
            name: Free, or taken by the same files.
            path: Absolute, as the server sees it.
        """
        reply = self._post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
        found = self.models().get(name)
        if reply.status_code != _OK and (found is None or "already" not in reply.text):
            msg = f"{self.url} does not load {name!r} from {path!r}: {_reason(reply)}"
            raise FleetError(msg)
        if found is None or found.base is None or found.path.rstrip("/") != path.rstrip("/"):
            msg = (
                f"{self.url} should serve the adapter {name!r} from {path!r}, and serves {found}. "
                "A name is never used twice: unload the other one, or restart that server"
            )
            raise FleetError(msg)
        return reply.status_code == _OK

    def unload(self, name: str) -> None:
        """Unload an adapter; that it was not there is no error, that it still is, is one.

        Its memory may be freed only when another adapter needs the slot.
        """
        body = {"lora_name": name}
        reply = self._post("/v1/unload_lora_adapter", body)
        if reply.status_code not in {_OK, _NOT_FOUND}:
            # An adapter that gave up its slot can be unloaded only when it has one again.
            self.next_logprobs(name, "a")
            reply = self._post("/v1/unload_lora_adapter", body)
        if name in self.models():
            msg = f"{self.url} still serves {name!r} after unloading: {_reason(reply)}"
            raise FleetError(msg)

    def next_logprobs(self, name: str, prompt: str) -> dict[int, float]:
        """The most likely next tokens, 20 at most, and their log probabilities.

        Args:
            name: An adapter's or the base model's.
            prompt: As the model reads it; nothing is put before it.
        """
        body = {
            "model": name,
            "prompt": prompt,
            "add_special_tokens": False,
            "max_tokens": 1,
            "temperature": 0,
            "seed": 0,
            "logprobs": _MOST_LOGPROBS,
            "return_tokens_as_token_ids": True,
        }
        reply = self._post("/v1/completions", body)
        if reply.status_code != _OK:
            msg = f"{self.url} does not answer a probe of {name!r}: {_reason(reply)}"
            raise FleetError(msg)
        try:
            (choice,) = reply.json()["choices"]
            (top,) = choice["logprobs"]["top_logprobs"]
            return {int(token.removeprefix("token_id:")): value for token, value in top.items()}
        except (KeyError, TypeError, ValueError) as error:
            msg = f"{self.url} answers a probe of {name!r} unlike vLLM: {reply.text[:_SAID]!r}"
            raise FleetError(msg) from error

    def tokens(self, asked: Mapping[str, Any]) -> list[int]:
        """The tokens of `{"model", "prompt"}` or `{"model", "messages"}`."""
        reply = self._post("/tokenize", asked)
        if reply.status_code != _OK:
            msg = f"{self.url} does not tokenize: {_reason(reply)}"
            raise FleetError(msg)
        try:
            tokens: list[int] = _json(reply)["tokens"]
        except (KeyError, TypeError) as error:
            raise _unlike_vllm(reply) from error
        return tokens

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __repr__(self) -> str:
        return f"VllmReplica({self.url!r})"

    def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **given)
        except httpx.HTTPError as error:
            msg = f"{self.url} can not be reached ({path}): {error!r}. Is vLLM running there?"
            raise FleetError(msg) from error


def _json(reply: httpx.Response) -> Any:
    if reply.status_code != _OK:
        msg = f"{reply.request.url} answers {_reason(reply)}"
        raise FleetError(msg)
    try:
        return reply.json()
    except ValueError as error:
        raise _unlike_vllm(reply) from error


def _unlike_vllm(reply: httpx.Response) -> FleetError:
    return FleetError(f"{reply.request.url} does not answer as vLLM does: {reply.text[:_SAID]!r}")


def _reason(reply: httpx.Response) -> str:
    """What a refusal says, and what to do about it where that is known."""
    said = reply.text[:_SAID]
    hints = {
        '"detail":"Not Found"': "Start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True",
        "max_lora_rank": "Start it with a higher --max-lora-rank, or train with a lower rank",
        "expected target modules": "This adapter's layers are not served by vLLM for this model",
        "Unauthorized": "Give the api_key that it was started with",
    }
    squeezed = said.replace(" ", "")
    known = [hint for words, hint in hints.items() if words in said or words in squeezed]
    return f"{reply.status_code} {said!r}{'. ' if known else ''}{'; '.join(known)}"
