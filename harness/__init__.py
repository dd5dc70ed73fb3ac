"""Does batching change a vLLM server's answers because of its kernels? A paired ablation."""

__version__ = "0.1.0"
