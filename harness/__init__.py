"""Does batching change a vLLM server's answers because of its kernels? A paired ablation."""

import os

if os.name == "nt":
    raise SystemExit("harness needs Linux or macOS: on Windows use WSL 2 (wsl --install)")

__version__ = "0.1.0"
