"""An engine that goes away while an image is read is told as that, whatever is left of the rest."""

from types import SimpleNamespace

import docker
import pytest
from requests.exceptions import ConnectionError as ConnectionLost

from harness.errors import EnvironmentError_
from harness.images.inventory.locked_container import run_probe


def lost(*_: object, **__: object) -> None:
    raise ConnectionLost("Connection aborted.")


@pytest.mark.parametrize("until", ["start", "wait", "logs"])
def test_an_engine_that_goes_away_while_an_image_is_read_is_named(until: str):
    calls = {"start": lambda: None, "wait": lambda timeout: {"StatusCode": 0}, "logs": lost}
    calls |= dict.fromkeys((until, "kill", "remove"), lost)
    container = SimpleNamespace(name="reader", **calls)
    client = docker.DockerClient(base_url="unix:///nowhere.sock", version="1.41")
    client.containers.create = lambda **_: container  # type: ignore[method-assign]
    with pytest.raises(EnvironmentError_, match="the Docker engine could not run") as caught:
        run_probe(client, "sha256:1")
    assert "docker info" in str(caught.value)
