"""Pinning and checking against a real engine and a real registry on loopback."""

from __future__ import annotations

import httpx
import pytest

from harness.errors import EnvironmentError_, ImageMismatch
from harness.images import (
    ImageLock,
    ImageReference,
    Source,
    pin_image,
    read_digests,
    resolve,
    verify_unchanged,
)

pytestmark = pytest.mark.docker


def _pinned(image: str, engine) -> ImageLock:
    return ImageLock().with_entry(pin_image(image, engine))


def test_a_pinned_tag_has_the_registrys_digest(engine, push, name):
    digest = push(f"{name}:v1", "one")
    entry = pin_image(f"{name}:v1", engine)
    assert (entry.digest, entry.platform_digest) == (digest, digest)
    assert entry.source is Source.REGISTRY


def test_what_is_not_here_is_pulled_by_the_pinned_digest(engine, push, name):
    digest = push(f"{name}:v1", "one")
    lock = _pinned(f"{name}:v1", engine)
    push(f"{name}:v1", "two")
    engine.images.remove(f"{name}:v1", force=True)
    resolved = resolve(f"{name}:v1", lock, engine)
    assert resolved.reference == f"{name}@{digest}"
    assert engine.images.get(resolved.reference).labels["planted"] == "one"


def test_a_tag_that_means_another_image_is_refused_with_both_digests(engine, push, name):
    first = push(f"{name}:v1", "one")
    lock = _pinned(f"{name}:v1", engine)
    second = push(f"{name}:v1", "two")
    with pytest.raises(ImageMismatch) as caught:
        resolve(f"{name}:v1", lock, engine)
    assert caught.value.exit_code == 3
    assert first in str(caught.value)
    assert second in str(caught.value)
    assert f"harness pin {name}:v1" in str(caught.value)


def test_a_local_build_under_a_pinned_name_is_refused(engine, push, build, name):
    push(f"{name}:v1", "one")
    lock = _pinned(f"{name}:v1", engine)
    impostor = build(f"{name}:v1", "impostor")
    with pytest.raises(ImageMismatch, match=impostor):
        resolve(f"{name}:v1", lock, engine)


def test_a_lock_with_a_digest_that_no_registry_has_is_refused(engine, push, name):
    push(f"{name}:v1", "one")
    engine.images.remove(f"{name}:v1", force=True)
    missing = f"{name}@sha256:{'0' * 64}"
    with pytest.raises(EnvironmentError_, match="cannot be pulled"):
        resolve(missing, ImageLock(), engine)


def test_a_name_that_the_lock_does_not_know_is_pinned_at_its_first_use(engine, push, name):
    digest = push(f"{name}:v1", "one")
    resolved = resolve(f"{name}:v1", ImageLock(), engine)
    assert resolved.newly_pinned
    assert resolved.belongs_in_lock
    assert resolved.entry.digest == digest


def test_an_image_without_a_registry_is_pinned_by_its_id_and_marked_local(engine, build):
    image_id = build("harness-test-local:v1", "one")
    entry = pin_image("harness-test-local:v1", engine)
    assert (entry.source, entry.status) == (Source.LOCAL, "local")
    assert (entry.image_id, entry.digest) == (image_id, None)


def test_a_rebuilt_local_image_is_refused(engine, build):
    first = build("harness-test-local:v1", "one")
    lock = _pinned("harness-test-local:v1", engine)
    second = build("harness-test-local:v1", "two")
    with pytest.raises(ImageMismatch) as caught:
        resolve("harness-test-local:v1", lock, engine)
    assert first in str(caught.value)
    assert second in str(caught.value)


def test_an_unchanged_image_passes_the_check_after_the_run(engine, push, name):
    push(f"{name}:v1", "one")
    verify_unchanged(resolve(f"{name}:v1", ImageLock(), engine), engine)


def test_an_image_retagged_during_the_run_fails_the_check_after_it(engine, push, build, name):
    push(f"{name}:v1", "one")
    resolved = resolve(f"{name}:v1", ImageLock(), engine)
    build(f"{name}:v1", "swapped in the middle")
    with pytest.raises(ImageMismatch, match="changed during the run"):
        verify_unchanged(resolved, engine)


def test_an_image_that_is_nowhere_is_an_environment_error(engine, name):
    with pytest.raises(EnvironmentError_, match="cannot be pulled"):
        resolve(f"{name}:v1", ImageLock(), engine)


def test_a_multi_platform_index_is_pinned_with_both_digests(engine, push, name, registry):
    platform_digest = push(f"{name}:amd64", "one")
    index_digest = _push_index(registry, name, platform_digest)
    engine.images.remove(f"{name}:amd64", force=True)
    entry = pin_image(f"{name}:multi", engine)
    assert (entry.digest, entry.platform_digest) == (index_digest, platform_digest)
    assert read_digests(ImageReference.parse(f"{name}:multi")).digest == index_digest
    verify_unchanged(resolve(f"{name}:multi", ImageLock().with_entry(entry), engine), engine)
    engine.images.remove(f"{name}:multi", force=True)


def _push_index(registry: str, name: str, platform_digest: str) -> str:
    repository = name.removeprefix(f"{registry}/")
    base = f"http://{registry}/v2/{repository}/manifests"
    kind = "application/vnd.docker.distribution.manifest"
    manifest = httpx.get(f"{base}/{platform_digest}", headers={"Accept": f"{kind}.v2+json"})
    body = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.list.v2+json",
        "manifests": [
            {
                "mediaType": f"{kind}.v2+json",
                "digest": platform_digest,
                "size": len(manifest.content),
                "platform": {"os": "linux", "architecture": "amd64"},
            }
        ],
    }
    answer = httpx.put(f"{base}/multi", json=body, headers={"Content-Type": f"{kind}.list.v2+json"})
    assert answer.status_code == 201, answer.text
    return str(answer.headers["Docker-Content-Digest"])
