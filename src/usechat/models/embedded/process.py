"""The process of the embedded language model: llama.cpp's HTTP server with SmolLM2, until standard input ends.

This file is run by path and never imported by the package. It imports nothing of the package, so that its start takes
only as long as loading the weights. The server needs a separate process for four reasons. Its destructor waits until
the last client has disconnected. Exiting without the destructor ends in a segmentation fault. Loading holds the
interpreter's lock. On a processor without AVX2 the process dies of an illegal instruction.

It reads one line of JSON (`sys.path`, the file of the weights, the API key) and writes one (``address`` or ``error``).
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
"""Number of answers at the same time. Further requests wait."""
SLOT_TOKENS = 4096
"""Tokens of one answer, its prompt included."""
MODEL_ID = "smollm2-135m-instruct"


def server_parameters(xllamacpp: Any, weights: str, api_key: str) -> Any:
    """Return the settings of llama.cpp's server: on loopback only, with a key, with little memory and no log."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = weights
    parameters.model_alias = {MODEL_ID}
    # Its CORS rules allow any origin: without a key, every web page in the user's browser could use the server.
    parameters.api_keys = [api_key]
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    parameters.n_parallel, parameters.n_ctx = SLOTS, SLOTS * SLOT_TOKENS
    # The server reads a prompt in batches, and notices a disconnected client only between two batches: after 12
    # seconds with the default of 2048 tokens, after 0.3 seconds with 128. Reading is as fast with small batches.
    parameters.n_batch = parameters.n_ubatch = 128
    # When the oldest turns are dropped, the server reuses the cached rest and does not read it again.
    parameters.n_cache_reuse = 64
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.sampling.temp, parameters.sampling.top_p, parameters.sampling.penalty_repeat = 0.2, 0.9, 1.1
    parameters.ui = parameters.endpoint_slots = parameters.fit_params = False
    parameters.cache_ram_mib = 0
    parameters.verbosity = 0
    return parameters


def start_server(order: dict[str, Any]) -> Any:
    """Load the weights, and return a listening server. It runs in its own threads until the object is deleted."""
    sys.path[:] = order["path"]
    # The library reads this at import. Without it, threads spin, and 70 tokens/s become 3 on busy cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    xllamacpp = importlib.import_module("xllamacpp")
    return xllamacpp.Server(server_parameters(xllamacpp, order["weights"], order["api_key"]))


def main() -> None:
    """Serve until standard input ends, which happens whenever and however the parent process ends."""
    # Ctrl-C reaches all processes of a terminal, but only the parent decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Output of the library goes to standard error, so that the parent does not read it as the reply.
    os.dup2(2, 1)
    try:
        server = start_server(json.loads(sys.stdin.buffer.readline()))
    except Exception as error:  # noqa: BLE001 - the parent process reports any error to the user
        replies.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
        replies.close()
        return
    replies.write(json.dumps({"address": server.listening_address}) + "\n")
    replies.close()
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
