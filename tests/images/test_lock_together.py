"""Two who add to one lock file at once."""

from concurrent.futures import ThreadPoolExecutor

from harness.images import ImageLock, LockEntry


def test_no_entry_is_lost_when_several_add_to_a_lock_file_at_once(tmp_path):
    path = tmp_path / "docker/images.lock.yaml"
    entries = [LockEntry(image=f"example/a:v{number}", digest="sha256:0") for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda entry: ImageLock.add(path, entry), entries))
    assert set(ImageLock.load(path).entries) == {entry.image for entry in entries}
