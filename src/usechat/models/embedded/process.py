"""The embedded language model's own process: llama.cpp's HTTP server with SmolLM2, until standard input ends.

Run by path, never imported by the package; it must import nothing of it, so that it starts in the time the weights
take. A process of its own, because the server cannot share one with Python: its destructor waits until the last client
has hung up, leaving without it ends in a segmentation fault, loading holds the interpreter's lock, and on a processor
without AVX2 it dies of an illegal instruction.

One line of JSON comes in (`sys.path`, the file of the weights, the API key), one goes out (``address`` or ``error``).
Written for ``xllamacpp`` 2026.10.11549.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import Any

SLOTS = 2
"""Answers at a time; further requests wait."""
SLOT_TOKENS = 4096
"""Tokens one answer has for its prompt and itself."""
MODEL_ID = "smollm2-135m-instruct"


def server_parameters(xllamacpp: Any, weights: str, api_key: str) -> Any:
    """Settings of llama.cpp's server: loopback only, with a key, small and quiet."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = weights
    parameters.model_alias = {MODEL_ID}
    # Its CORS answers any origin, so that without a key every web page in the user's browser could use it.
    parameters.api_keys = [api_key]
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    parameters.n_parallel, parameters.n_ctx = SLOTS, SLOTS * SLOT_TOKENS
    # A prompt is read in batches, and only between two of them does the server notice that the client left: with
    # the usual 2048 tokens that is after 12 seconds, with 128 after 0.3, and reading takes no longer.
    parameters.n_batch = parameters.n_ubatch = 128
    # When the oldest turns are dropped the rest is found again in the slot's cache and not read anew.
    parameters.n_cache_reuse = 64
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.sampling.temp, parameters.sampling.top_p, parameters.sampling.penalty_repeat = 0.2, 0.9, 1.1
    parameters.ui = parameters.endpoint_slots = parameters.fit_params = False
    parameters.cache_ram_mib = 0
    parameters.verbosity = 0
    return parameters


def start_server(order: dict[str, Any]) -> Any:
    """Load the weights and listen. The server runs on threads of its own for as long as the object lives."""
    sys.path[:] = order["path"]
    # Read when the library is loaded: without it the threads spin, and 70 tokens/s become 3 when the cores are busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    xllamacpp = importlib.import_module("xllamacpp")
    return xllamacpp.Server(server_parameters(xllamacpp, order["weights"], order["api_key"]))


def main() -> None:
    """Serve until standard input ends, which it does however the parent process ends."""
    # Ctrl-C in a terminal reaches every process in it; when to end is the parent's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Whatever the library prints must not be taken for the reply.
    os.dup2(2, 1)
    try:
        server = start_server(json.loads(sys.stdin.buffer.readline()))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent process says it to the user
        replies.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
        replies.close()
        return
    replies.write(json.dumps({"address": server.listening_address}) + "\n")
    replies.close()
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
