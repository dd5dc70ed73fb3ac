"""Inventories made by hand, for what two real images would not show at once."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from harness.images.inventory.contents import (
    Contents,
    Effect,
    ImageConfig,
    InvariantModule,
    Inventory,
    KernelFile,
    Layer,
    OsPackages,
    PythonFacts,
    ServerArgument,
    ServerArguments,
    TorchFacts,
    VllmFacts,
)

SHA_A, SHA_B = "a" * 64, "b" * 64


def inventory(image: str = "vllm/vllm-openai:v0.19.1", **contents: Any) -> Inventory:
    """A GPU image with vLLM 0.19.1; ``contents`` replaces parts of what is inside."""
    inside = Contents(
        python=PythonFacts("3.12.3", "/usr/bin/python3", "Ubuntu 22.04"),
        os_packages=OsPackages("dpkg", {"bash": "5.1"}),
        python_packages={"torch": "2.10.0", "vllm": "0.19.1"},
        torch=TorchFacts("2.10.0", cuda="12.9"),
        vllm=VllmFacts("0.19.1", "vllm", source_files=1, source_sha256=SHA_A),
        batch_invariant=InvariantModule(
            "vllm/b.py", SHA_A, 10, (Effect("operator", "aten::bmm", "CUDA"),)
        ),
        kernels=(KernelFile("vllm/_C.abi3.so", SHA_A, 100),),
        arguments=arguments(),
    )
    config = ImageConfig(
        id=f"sha256:{image.encode().hex():0<64}"[:71],
        platform="linux/amd64",
        size_bytes=1000,
        layers=(Layer("sha256:1"), Layer("sha256:2")),
        environment={"PATH": "/bin"},
        entrypoint=("vllm", "serve"),
        user="root",
    )
    return Inventory(image=image, config=config, contents=replace(inside, **contents))


def arguments(source: str = "parser", **defaults: Any) -> ServerArguments:
    """``--port`` and whatever else is named, with its default."""
    named = {"port": 8000, **defaults}
    return ServerArguments(
        source,
        tuple(
            ServerArgument((f"--{name.replace('_', '-')}",), default, kind="StoreAction")
            for name, default in named.items()
        ),
    )
