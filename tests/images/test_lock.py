"""The lock file and image references: pure."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.errors import UsageError
from harness.images import ImageLock, ImageReference, ImageVersions, LockEntry, Source

DIGEST = "sha256:" + "ab" * 32
ENTRY = LockEntry(
    image="vllm/vllm-openai:v0.20.2",
    digest=DIGEST,
    platform_digest="sha256:" + "cd" * 32,
    platform="linux/amd64",
    image_id="sha256:" + "ef" * 32,
    versions=ImageVersions(vllm="0.20.2", torch="2.11.0", cuda="13.0", python="3.12.3"),
    pinned_at="2026-11-24T05:00:00+00:00",
)


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest", "key"),
    [
        ("ubuntu", "docker.io", "library/ubuntu", "latest", None, "ubuntu:latest"),
        (
            "vllm/vllm-openai:v0.19.1",
            "docker.io",
            "vllm/vllm-openai",
            "v0.19.1",
            None,
            "vllm/vllm-openai:v0.19.1",
        ),
        (
            "localhost:5000/a/b:1",
            "localhost:5000",
            "a/b",
            "1",
            None,
            "localhost:5000/a/b:1",
        ),
        (f"a/b@{DIGEST}", "docker.io", "a/b", None, DIGEST, "a/b"),
        (f"a/b:1@{DIGEST}", "docker.io", "a/b", "1", DIGEST, "a/b:1"),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(text, registry, repository, tag, digest, key):
    reference = ImageReference.parse(text)
    assert (reference.registry, reference.repository) == (registry, repository)
    assert (reference.tag, reference.digest, reference.key) == (tag, digest, key)


@pytest.mark.parametrize("text", ["", "UPPER/case", "a b", "name@sha256:short", "name:"])
def test_what_is_no_reference_is_a_usage_error(text):
    with pytest.raises(UsageError):
        ImageReference.parse(text)


def test_a_lock_is_read_back_as_it_was_written(tmp_path):
    path = tmp_path / "docker/images.lock.yaml"
    local = replace(ENTRY, image="harness-vllm-cpu:0.32.0", digest=None, source=Source.LOCAL)
    lock = ImageLock().with_entry(ENTRY).with_entry(local)
    lock.save(path)
    assert ImageLock.load(path) == lock


def test_saving_leaves_no_second_file(tmp_path):
    path = tmp_path / "images.lock.yaml"
    ImageLock().with_entry(ENTRY).save(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_lock_is_empty(tmp_path):
    assert ImageLock.load(tmp_path / "none.yaml").entries == {}


@pytest.mark.parametrize(
    "text", ["images: {}", "schema_version: 2\nimages: {}", "- a", "a: [", "schema_version: 1"]
)
def test_a_file_that_is_no_lock_is_named(tmp_path, text):
    path = tmp_path / "images.lock.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=str(path)):
        ImageLock.load(path)


def test_the_shipped_lock_waits_for_its_first_use_of_v0_19_1():
    lock = ImageLock.load(Path(__file__).parents[2] / "docker/images.lock.yaml")
    entry = lock.get("vllm/vllm-openai:v0.19.1")
    assert entry is not None
    assert entry.status == "unpinned"


def test_a_local_entry_is_identified_by_its_image_id():
    local = replace(ENTRY, source=Source.LOCAL)
    assert (local.identity, local.status) == (ENTRY.image_id, "local")
