"""llama.cpp's own server, as the package xllamacpp brings it; runs in the servers' environment until it is killed.

python serve_llama_cpp.py <weights.gguf> <port> <slots>
"""

import signal
import sys

import xllamacpp


def serve(weights: str, port: int, slots: int) -> None:
    """Serve the weights on loopback, `slots` requests at a time."""
    options = xllamacpp.CommonParams()
    options.model.path = weights
    options.model_alias = {"SmolLM2-135M-Instruct"}
    options.port = port  # on loopback, which is the default
    options.n_parallel, options.n_ctx = slots, 1024 * slots
    options.cpuparams.n_threads = 2
    server = xllamacpp.Server(options)  # kept, as the server ends with it
    signal.pause()
    del server


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
