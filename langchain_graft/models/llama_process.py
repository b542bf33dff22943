"""The child process of `LlamaServer`: one order on stdin, the port on stdout, then serve.

It ends when stdin is closed or its parent is gone, whichever is seen first.
"""

import json
import os
import sys
import threading

import xllamacpp


def main() -> None:
    """Serve the ordered model until the parent goes."""
    parent = os.getppid()
    order = json.loads(sys.stdin.readline())
    server = xllamacpp.Server(_parameters(order))
    sys.stdout.write(f"port {server.listening_address.rsplit(':', 1)[-1]}\n")
    sys.stdout.flush()
    watcher = threading.Thread(target=sys.stdin.read, daemon=True)
    watcher.start()
    while watcher.is_alive() and os.getppid() == parent:
        watcher.join(1.0)
    os._exit(0)


def _parameters(order: dict[str, object]) -> xllamacpp.CommonParams:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = order["model"]
    parameters.model_alias = {order["name"]}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [order["api_key"]]
    parameters.n_parallel = order["parallel"]
    parameters.n_ctx = order["context_tokens"] * order["parallel"]  # type: ignore[operator]
    parameters.n_gpu_layers = order["gpu_layers"]
    if order["threads"]:
        parameters.cpuparams.n_threads = order["threads"]
        parameters.cpuparams_batch.n_threads = order["threads"]
    parameters.ctx_shift = False  # a prompt that does not fit is an error, never cut
    parameters.cache_ram_mib = 512
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.verbosity = 1
    return parameters


if __name__ == "__main__":
    main()
