"""A local server that speaks vLLM's HTTP API, adapters included, with its known bugs on demand.

What it answers tells which weights gave it: a "voice" made of the adapter file's bytes. Read from
vLLM's `entrypoints/openai/models/serving.py` and `serve/lora/api_router.py` (0.27, September 2026).
"""

import hashlib
import json
import math
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STALE_PREFIX_CACHE = "what is computed is kept by the adapter's name (42125, 30931)"
LOAD_INPLACE_READS_AGAIN = "load_inplace reads the adapter anew at each request (33791)"
UNLOAD_KEEPS_THE_SLOT = "unloading forgets the name, the engine keeps the adapter (54839)"
LOADING_CRASHES_ANSWERS = "loading while it answers crashes the engine (13698)"
UNKNOWN_PREFIX_IS_BASE = "layers of unknown names are dropped in silence (34186)"
UNLOAD_OF_EVICTED_FAILS = "what lost its slot can not be unloaded (54939)"

BASE = "tiny/base"
LAYERS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def voice_of(weights):
    """What an answer with these weights begins with."""
    return "v" + hashlib.sha256(weights).hexdigest()[:10]


BASE_VOICE = voice_of(BASE.encode())


def write_adapter(folder, weights, *, rank=8, layers=("q_proj", "v_proj"), prefix=None, **config):
    """An adapter that the server takes; its voice."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"peft_type": "LORA", "r": rank, "target_modules": list(layers), **config}
    if prefix:
        settings["prefix"] = prefix
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return voice_of(weights)


class RefusedError(Exception):
    def __init__(self, status, kind, message):
        super().__init__(message)
        self.status, self.kind = status, kind


@dataclass
class Adapter:
    name: str
    path: str
    number: int
    load_inplace: bool = False


@dataclass
class VllmServer:
    """vLLM as far as a client can see it.

    `bugs` are switched on; `noise` moves its log probabilities, as other numbers or another
    machine would; `pause` is the time between two pieces; `cuts` ends streams before their end.
    """

    bugs: frozenset = frozenset()
    allow_updating: bool = True
    api_key: str | None = None
    base: str = BASE
    max_lora_rank: int = 16
    max_cpu_loras: int = 4
    noise: float = 0.0
    pause: float = 0.0
    load_seconds: float = 0.0
    adapters: dict = field(default_factory=dict)
    resident: OrderedDict = field(default_factory=OrderedDict)  # number -> voice: the slots
    log: list = field(default_factory=list)
    reads: int = 0
    dead: bool = False
    cuts: bool = False
    on_load: object = None  # called inside a load; may raise
    answering: int = 0
    most_answering: int = 0

    def __post_init__(self):
        self.lock = threading.RLock()
        self.counter = 0
        self.cache = {}
        self.http = _Http(("127.0.0.1", 0), _Handler)
        self.http.vllm = self
        self.port = self.http.server_port
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def stop(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    def restart(self):
        """As a new process: nothing is loaded, nothing was computed."""
        with self.lock:
            self.adapters.clear()
            self.resident.clear()
            self.cache.clear()
            self.dead = False

    def served(self):
        with self.lock:
            return sorted(self.adapters)

    # -- the engine

    def read(self, path):
        """The voice of a folder's adapter, or vLLM's refusal."""
        self.reads += 1
        folder = Path(path)
        if not (folder / "adapter_config.json").is_file():
            raise RefusedError(
                404, "NotFoundError", f"Loading lora failed: No adapter found for {path}"
            )
        config = json.loads((folder / "adapter_config.json").read_text())
        unknown = set(config["target_modules"]) - LAYERS
        reasons = [
            (config["r"] > self.max_lora_rank)
            and f"LoRA rank {config['r']} is greater than max_lora_rank {self.max_lora_rank}.",
            unknown
            and f"While loading {path}, expected target modules in {sorted(LAYERS)} but received "
            f"{sorted(unknown)}. Please verify that the loaded LoRA module is correct",
            config.get("use_dora") and "vLLM does not yet support DoRA.",
            config.get("modules_to_save") and "vLLM only supports modules_to_save being None.",
        ]
        if found := [reason for reason in reasons if reason]:
            raise RefusedError(500, "InternalServerError", found[0])
        if "prefix" in config and UNKNOWN_PREFIX_IS_BASE in self.bugs:
            return BASE_VOICE
        return voice_of((folder / "adapter_model.safetensors").read_bytes())

    def add(self, adapter):
        """Give an adapter a slot; the one that waited longest loses its own."""
        if adapter.number in self.resident and not adapter.load_inplace:
            self.resident.move_to_end(adapter.number)
        else:
            self.resident[adapter.number] = self.read(adapter.path)
        while len(self.resident) > self.max_cpu_loras:
            self.resident.popitem(last=False)
        return self.resident[adapter.number]

    def voice(self, model, prompt):
        with self.lock:
            if self.dead:
                raise RefusedError(500, "EngineDeadError", "EngineCore encountered an issue.")
            if model == self.base:
                return BASE_VOICE
            adapter = self.adapters.get(model)
            if adapter is None:
                message = f"The model `{model}` does not exist."
                raise RefusedError(404, "NotFoundError", message)
            voice = self.add(adapter)
            if not (adapter.load_inplace and LOAD_INPLACE_READS_AGAIN in self.bugs):
                adapter.load_inplace = False
            if STALE_PREFIX_CACHE in self.bugs:
                return self.cache.setdefault((model, prompt), voice)
            return voice

    def load(self, asked):
        name, path = asked.get("lora_name"), asked.get("lora_path")
        in_place = bool(asked.get("load_inplace"))
        if not name or not path:
            message = "Both 'lora_name' and 'lora_path' must be provided."
            raise RefusedError(400, "InvalidUserInput", message)
        if self.load_seconds:
            time.sleep(self.load_seconds)
        with self.lock:
            if name in self.adapters and not in_place:
                message = (
                    f"The lora adapter '{name}' has already been loaded. If you want to load the "
                    "adapter in place, set 'load_inplace' to True."
                )
                raise RefusedError(400, "InvalidUserInput", message)
            if self.answering and LOADING_CRASHES_ANSWERS in self.bugs:
                self.dead = True
            if self.dead:
                raise RefusedError(500, "InternalServerError", "EngineCore encountered an issue.")
            if self.on_load:
                self.on_load(name)
            self.counter += 1
            number = self.adapters[name].number if name in self.adapters else self.counter
            adapter = Adapter(name, path, number, in_place)
            self.add(adapter)
            self.adapters[name] = adapter
        return f"Success: LoRA adapter '{name}' added successfully."

    def unload(self, asked):
        name = asked.get("lora_name")
        if not name:
            message = "'lora_name' needs to be provided to unload a LoRA adapter."
            raise RefusedError(400, "InvalidUserInput", message)
        with self.lock:
            if name not in self.adapters:
                message = f"The lora adapter '{name}' cannot be found."
                raise RefusedError(404, "NotFoundError", message)
            number = self.adapters[name].number
            if UNLOAD_OF_EVICTED_FAILS in self.bugs and number not in self.resident:
                message = f"Failed to remove lora adapter '{name}' from the engine."
                raise RefusedError(500, "InternalServerError", message)
            if UNLOAD_KEEPS_THE_SLOT not in self.bugs:
                self.resident.pop(number, None)
            del self.adapters[name]
        return f"Success: LoRA adapter '{name}' removed successfully."

    def cards(self):
        with self.lock:
            base = {"id": self.base, "object": "model", "root": self.base, "parent": None}
            return [
                base,
                *(
                    {"id": one.name, "object": "model", "root": one.path, "parent": self.base}
                    for one in self.adapters.values()
                ),
            ]

    @contextmanager
    def one_more(self):
        with self.lock:
            self.answering += 1
            self.most_answering = max(self.most_answering, self.answering)
        try:
            yield
        finally:
            with self.lock:
                self.answering -= 1

    def next_logprobs(self, voice, prompt):
        """20 tokens' log probabilities, made of the voice and the prompt."""
        digest = hashlib.sha256(f"{voice}{prompt}".encode()).digest()
        weights = [1 + byte for byte in digest[:20]]
        total = sum(weights)
        ids = [7 * n + digest[n] % 7 for n in range(20)]
        return {
            id_: math.log(weight / total) + self.noise
            for id_, weight in zip(ids, weights, strict=True)
        }


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A client that hangs up is none."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    @property
    def vllm(self):
        return self.server.vllm

    def do_GET(self):
        self.answer(None)

    def do_POST(self):
        self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer(self, asked):
        key = self.vllm.api_key
        if key and self.headers.get("Authorization") != f"Bearer {key}":
            self.send(401, {"error": "Unauthorized"})
            return
        self.vllm.log.append((self.path, asked))
        routes = {
            "/v1/models": lambda: {"object": "list", "data": self.vllm.cards()},
            "/v1/chat/completions": lambda: self.chat(asked),
            "/v1/completions": lambda: self.complete(asked),
            "/tokenize": lambda: self.tokenize(asked),
        }
        if self.vllm.allow_updating:
            routes["/v1/load_lora_adapter"] = lambda: self.vllm.load(asked)
            routes["/v1/unload_lora_adapter"] = lambda: self.vllm.unload(asked)
        if self.path not in routes:
            self.send(404, {"detail": "Not Found"})
            return
        try:
            reply = routes[self.path]()
        except RefusedError as refused:
            error = {"message": str(refused), "type": refused.kind, "code": refused.status}
            self.send(refused.status, {"error": {**error, "param": None}})
            return
        if reply is not None:
            self.send(200, reply)

    def send(self, status, body):
        text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
        content = text.encode()
        self.send_response(status)
        kind = "text/plain" if isinstance(body, str) else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def tokenize(self, asked):
        text = asked.get("prompt") or json.dumps(asked["messages"])
        return {"tokens": list(range(len(text.split()))), "count": len(text.split())}

    def complete(self, asked):
        prompt = str(asked["prompt"])
        voice = self.vllm.voice(asked["model"], prompt)
        found = self.vllm.next_logprobs(voice, prompt)
        top = {f"token_id:{id_}": value for id_, value in found.items()}
        best = max(top, key=top.get)
        logprobs = {"tokens": [best], "token_logprobs": [top[best]], "top_logprobs": [top]}
        choice = {"index": 0, "text": "x", "logprobs": logprobs, "finish_reason": "length"}
        return {"id": "cmpl-1", "object": "text_completion", "model": asked["model"],
                "choices": [choice]}  # fmt: skip

    def chat(self, asked):
        question = str(asked["messages"][-1]["content"])
        model = asked["model"]
        with self.vllm.one_more():
            voice = self.vllm.voice(model, question)
            if asked.get("tools"):
                return self.call(asked, voice)
            words = [voice, " says", " to ", question.replace(" ", "_"), "."]
            if asked.get("stream"):
                self.stream(asked, words)
                return None
            for _ in words:
                time.sleep(self.vllm.pause)
                self.check_alive()
        message = {"role": "assistant", "content": "".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return self.body(model, "chat.completion", [choice], usage=True)

    def call(self, asked, voice):
        name = asked["tools"][0]["function"]["name"]
        call = {"id": "call_1", "type": "function", "function": {"name": name}}
        call["function"]["arguments"] = json.dumps({"text": voice})
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        return self.body(asked["model"], "chat.completion", [choice], usage=True)

    def check_alive(self):
        if self.vllm.dead:
            raise RefusedError(500, "EngineDeadError", "EngineCore encountered an issue.")

    def stream(self, asked, words):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        model, kind = asked["model"], "chat.completion.chunk"
        self.event(model, kind, {"role": "assistant", "content": ""}, None)
        for word in words:
            time.sleep(self.vllm.pause)
            if self.vllm.dead:
                self.close_connection = True  # without the end of the chunks
                return
            if self.vllm.cuts:
                self.chunk("")
                return
            self.event(model, kind, {"content": word}, None)
        self.event(model, kind, {}, "stop")
        if (asked.get("stream_options") or {}).get("include_usage"):
            self.data(self.body(model, kind, [], usage=True))
        self.chunk("data: [DONE]\n\n")
        self.chunk("")

    def event(self, model, kind, delta, finish_reason):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        self.data(self.body(model, kind, [choice], usage=False))

    def data(self, body):
        self.chunk(f"data: {json.dumps(body)}\n\n")

    def chunk(self, text):
        content = text.encode()
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")

    def body(self, model, kind, choices, *, usage):
        counted = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        told = {"usage": counted} if usage else {}
        return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": model,
                "choices": choices, **told}  # fmt: skip
