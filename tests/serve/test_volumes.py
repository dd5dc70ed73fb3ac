"""Further mounts of a container, as the spec writes them."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.machine import this_host
from harness.serve import Mount
from harness.serve.container_options import read_mount

HOST = replace(this_host(), working_directory=Path("/home/me"))


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/data:/models:ro", Mount("/data", "/models", read_only=True)),
        ("/data:/models", Mount("/data", "/models")),
        ("./data:/models", Mount("/home/me/data", "/models")),
        ("cache:/root/.cache", Mount("cache", "/root/.cache")),
    ],
)
def test_a_volume_is_a_folder_or_a_name_and_a_target(text, mount):
    assert read_mount(text, HOST) == mount


@pytest.mark.parametrize("text", ["/data", "/data:models", "/a:/b:rw", "/a:/b:ro:x"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match="SOURCE:TARGET"):
        read_mount(text, HOST)
