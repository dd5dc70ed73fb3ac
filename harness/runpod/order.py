"""What is asked of RunPod: a template file, and a pod made of it, priced before it starts."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import EnvironmentError_, UsageError, nearest
from harness.files import read_json
from harness.hostile import shaped
from harness.runpod.account import Gpu, NotPlaced, Pod, told
from harness.secrets import names_a_secret, redact_environment, redact_text

TOKEN = "HARNESS_FETCH_TOKEN"
"""The variable with the word that opens the pod's own server; made for each pod."""
PORT = 18900
"""The port of that server, behind RunPod's HTTP proxy."""
_SECRET = re.compile(r"\{\{\s*RUNPOD_SECRET_\w+\s*\}\}")
_NOBODY = "YOU/"
_PREFIX = "harness-"
_MOST_SHOWN, _DEAREST = 3, 1000.0
_ENDS_ITSELF = ("stop", "terminate")


class _Disk(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    size: int
    path: str


class _Mounts(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    persistent: _Disk


class Template(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The body of ``POST /v2/templates``: a pod's image, command, disks, ports and variables.

    ``disk`` and the volume's ``size`` are in GB; ``args`` is the command, for an image without an
    entry point.
    """

    name: str
    image: str
    args: str = ""
    disk: int = 40
    mounts: _Mounts
    ports: list[str]
    env: dict[str, str]
    category: str = "NVIDIA"
    public: bool = False
    serverless: bool = False
    start_ssh: bool = False
    start_jupyter: bool = False
    registry: str | None = None
    allowed_cuda_versions: list[str] = []

    def body(self) -> dict[str, Any]:
        """As RunPod takes it; what is not set is not sent."""
        built = msgspec.to_builtins(self)
        return {name: value for name, value in built.items() if value not in (None, [])}


def read_template(path: Path, image: str | None, variables: Mapping[str, str]) -> Template:
    """The template of a file, with an image and variables that take precedence.

    Raises:
        UsageError: the file is none, names no image of yours, or holds a secret.
    """
    try:
        template = shaped(read_json(path), Template)
    except msgspec.ValidationError as error:
        hint = "the fields are those of https://docs.runpod.io/api-reference-v2/templates"
        raise UsageError(f"no RunPod template: {told(str(error))}", file=path, hint=hint) from error
    template.image = image or template.image
    template.env = {**template.env, **variables}
    if template.image.startswith(_NOBODY):
        hint = "--image NAME@sha256:… of yours, made as docs/runpod.md shows"
        message = f"the template names no image of yours: {told(template.image)}"
        raise UsageError(message, hint=hint)
    if f"{PORT}/http" not in template.ports:
        hint = f'"ports": ["{PORT}/http"]; the run is fetched over it'
        raise UsageError(f"the template does not expose {PORT}/http", file=path, hint=hint)
    for name, value in template.env.items():
        telling = names_a_secret(name) or redact_text(value) != value
        if telling and value and not _SECRET.fullmatch(value):
            hint = f"store it under RunPod's secrets, then {name}='{{{{ RUNPOD_SECRET_name }}}}'"
            raise UsageError(f"{name} holds a secret in the clear", hint=hint)
    return template


def read_variables(given: list[str]) -> dict[str, str]:
    """``NAME=VALUE`` of the command line.

    Raises:
        UsageError: one is none.
    """
    pairs = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise UsageError(
                "a variable is given as NAME=VALUE", hint="--env HARNESS_PROFILE=smoke"
            )
        pairs[name] = value
    return pairs


@dataclass(frozen=True, slots=True)
class Order:
    """A pod to start.

    Attributes:
        gpu: its kind, as RunPod's catalogue calls it.
        count: of GPUs.
        cloud: ``SECURE`` or ``COMMUNITY``.
        min_cuda: lowest CUDA version of the machine's driver, such as ``12.9``.
        delete: whether the volume goes too, once the run was fetched whole.
    """

    template: Template
    gpu: str
    count: int = 1
    cloud: str = "SECURE"
    min_cuda: str | None = None
    delete: bool = True

    @property
    def hours(self) -> float:
        """How long the pod may run, by its own clock: the run, and the time to fetch it."""
        end = self.template.env.get("HARNESS_AT_END", "exit")
        if end not in _ENDS_ITSELF:
            hint = "--env HARNESS_AT_END=stop; should nobody watch it, it must end by itself"
            raise UsageError(f"with HARNESS_AT_END={told(end)} the pod would never end", hint=hint)
        minutes = self._number("HARNESS_SERVE_MINUTES", "30")
        return self._number("HARNESS_MAX_HOURS") + minutes / 60

    def _number(self, name: str, default: str = "") -> float:
        text = self.template.env.get(name, default)
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < 10_000:
            hint = f"--env {name}=4; without a limit nobody can say what a pod costs"
            raise UsageError(f"{name} is no limit: {told(text) or 'not set'}", hint=hint)
        return value

    def body(self) -> dict[str, Any]:
        """The body of ``POST /v2/pods``, with a name and a token of its own."""
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        cuda: dict[str, Any] = {"minCudaVersion": self.min_cuda} if self.min_cuda else {}
        fields = ("image", "args", "disk", "mounts", "ports", "env", "registry", "startSsh")
        body = {name: value for name, value in self.template.body().items() if name in fields}
        if self.template.allowed_cuda_versions and not cuda:
            cuda = {"allowedCudaVersions": self.template.allowed_cuda_versions}
        return body | {
            "name": f"{_PREFIX}{stamp}-{secrets.token_hex(3)}",
            "env": {**self.template.env, TOKEN: secrets.token_urlsafe(32)},
            "gpu": {"id": self.gpu, "count": self.count, **cuda},
            "cloud": self.cloud,
        }

    @classmethod
    def of(cls, pod: Pod) -> Order:
        """A pod that is there, to be started again.

        Raises:
            UsageError: it has no GPU or no volume disk.
        """
        try:
            mounts = shaped(pod.mounts, _Mounts)
        except msgspec.ValidationError:
            mounts = None
        if pod.gpu is None or mounts is None:
            hint = "start it in RunPod's console, then `harness runpod fetch`"
            raise UsageError(f"pod {told(pod.id)} has no GPU or no volume disk", hint=hint)
        env = {name: value for name, value in pod.env.items() if name != TOKEN}
        template = Template(
            name=pod.name,
            image=pod.image,
            disk=pod.disk,
            mounts=mounts,
            ports=pod.ports,
            env=env,
        )
        return cls(template, pod.gpu.id, pod.gpu.count, pod.cloud)

    def offer(self, gpus: list[Gpu], *, placed: bool = False) -> Offer:
        """What RunPod asks for it; ``placed`` says that the pod has its machine.

        Raises:
            UsageError: there is no such kind of GPU.
            NotPlaced: none is free.
            EnvironmentError_: nobody says what it costs.
        """
        known = {gpu.id: gpu for gpu in gpus}
        free = [gpu for gpu in gpus if gpu.availability not in (None, "NONE") and self._price(gpu)]
        free.sort(key=lambda gpu: self._price(gpu) or 0.0)
        others = [
            f"{told(gpu.id)}: ${self._price(gpu):.2f} an hour, stock {gpu.availability}"
            for gpu in free
            if (gpu.memory or 0) >= 24
        ][:_MOST_SHOWN]
        if self.gpu not in known:
            hint = nearest(self.gpu, known) or f"free now: {'; '.join(others) or 'nothing'}"
            raise UsageError(f"RunPod has no GPU {told(self.gpu)!r}", hint=hint)
        gpu = known[self.gpu]
        if gpu.availability == "NONE" and not placed:
            raise NotPlaced(
                f"no {told(gpu.id)} is free in the {self.cloud.lower()} cloud; nothing was started",
                hint="another --gpu or --cloud, or later",
                detail=tuple(f"free now: {other}" for other in others),
            )
        price = self._price(gpu)
        if price is None:
            hint = "another --gpu, or --cloud community"
            message = f"RunPod tells no price of {told(gpu.id)} in the {self.cloud.lower()} cloud"
            raise EnvironmentError_(f"{message}; nothing was started", hint=hint)
        return Offer(self, gpu, price * self.count)

    def _price(self, gpu: Gpu) -> float | None:
        listed = gpu.price.secure if self.cloud == "SECURE" else gpu.price.community
        return listed if listed and 0 < listed < _DEAREST else None


@dataclass(frozen=True, slots=True)
class Offer:
    """A priced order; ``per_hour`` in USD for all its GPUs."""

    order: Order
    gpu: Gpu
    per_hour: float

    def lines(self) -> Iterator[str]:
        """What a person agrees to."""
        order, template = self.order, self.order.template
        memory = f", {self.gpu.memory} GB each" if self.gpu.memory else ""
        yield (
            f"GPU        {order.count} x {told(self.gpu.id)}{memory}, {order.cloud.lower()} cloud, "
            f"stock {told(self.gpu.availability or 'not told')}"
        )
        yield (
            f"cost       ${self.per_hour:.2f} an hour; ${self.per_hour * order.hours:.2f} for "
            f"{order.hours:g} h, its limit, and what it takes to start"
        )
        volume = template.mounts.persistent
        yield (
            f"disks      {volume.size} GB at {volume.path}, {template.disk} GB of the container; "
            "billed by RunPod as well, the first one also while the pod is stopped"
        )
        moves = "" if "@sha256:" in template.image else " (a tag can move; name@sha256:… cannot)"
        yield f"image      {told(template.image)}{moves}"
        shown = redact_environment(template.env).items()
        yield f"variables  {' '.join(f'{name}={told(value)}' for name, value in shown)}"
        end = "deleted with its volume" if order.delete else "stopped; its volume stays"
        yield f"end        once the run is fetched and verified the pod is {end}"


def is_ours(pod: Pod) -> bool:
    """Whether the harness runs in a pod, started by it or from its template."""
    return pod.name.startswith(_PREFIX) or any(name.startswith("HARNESS_") for name in pod.env)
