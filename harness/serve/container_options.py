"""What only a container needs: image, mounts, port, GPU request, labels.

The values are Docker's words, not the SDK's; `harness.serve.docker` turns them into calls.
"""

from dataclasses import dataclass

from harness.errors import UsageError
from harness.machine import GpuAccess, Host

LABEL_PREFIX = "harness."


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount; ``source`` is a volume name or, if it starts with ``/``, a host folder."""

    source: str
    target: str
    read_only: bool = False

    @property
    def is_volume(self) -> bool:
        """Whether the engine keeps it as a named volume."""
        return not self.source.startswith("/")


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """Which GPUs a container gets and through what; ``device_ids`` ``None`` means all."""

    access: GpuAccess
    device_ids: tuple[str, ...] | None = None

    @property
    def cdi_devices(self) -> tuple[str, ...]:
        """The CDI names; empty unless access is through CDI."""
        if self.access is not GpuAccess.CDI:
            return ()
        return tuple(f"nvidia.com/gpu={device}" for device in self.device_ids or ("all",))


@dataclass(frozen=True, slots=True)
class ContainerOptions:
    """One container, before the SDK.

    Attributes:
        image: reference, by digest where one is known.
        publish: ``(host address, host port, container port)``.
        labels: who owns it: run id, mode, model, process id and host.
        mounts: Hugging Face cache, compile cache of the mode, a local model folder.
        shm_size: size of ``/dev/shm``, such as ``16g``; 64 MiB, the default, is too small.
        ulimits: ``(name, limit)`` for soft and hard; -1 is unlimited.
    """

    image: str
    publish: tuple[str, int, int]
    labels: dict[str, str]
    mounts: tuple[Mount, ...]
    gpu: GpuRequest
    shm_size: str
    ulimits: tuple[tuple[str, int], ...] = (("nofile", 65535), ("memlock", -1), ("stack", 67108864))

    def to_json(self) -> dict[str, object]:
        """The container as JSON values."""
        return {
            "image": self.image,
            "publish": "{}:{}:{}".format(*self.publish),
            "labels": dict(self.labels),
            "mounts": [
                f"{mount.source}:{mount.target}{':ro' if mount.read_only else ''}"
                for mount in self.mounts
            ],
            "gpu": {
                "access": self.gpu.access.value,
                "device_ids": list(self.gpu.device_ids) if self.gpu.device_ids else None,
            },
            "shm_size": self.shm_size,
            "ulimits": dict(self.ulimits),
        }


def read_mount(text: str, host: Host) -> Mount:
    """``SOURCE:TARGET[:ro]``; a source with a slash is a host folder, made absolute.

    Raises:
        UsageError: not of that form, or the target is not absolute.
    """
    parts = text.split(":")
    writable = len(parts) == 2
    if not (writable or (len(parts) == 3 and parts[2] == "ro")) or not parts[1].startswith("/"):
        raise UsageError(
            f"server.volumes: '{text}' is not SOURCE:TARGET or SOURCE:TARGET:ro",
            hint="for example --volumes /data/models:/models:ro",
        )
    source = str(host.working_directory / parts[0]) if "/" in parts[0] else parts[0]
    return Mount(source, parts[1], read_only=not writable)
