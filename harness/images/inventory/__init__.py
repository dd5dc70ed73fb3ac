"""What an image is and what it holds: read once in a locked-down container, kept by the image's id.

Everything said from inside is a stranger's text: bounded, without secrets, and never run.
"""

from harness.images.inventory.contents import (
    Contents,
    Effect,
    ImageConfig,
    InvariantModule,
    Inventory,
    KernelFile,
    Layer,
    OsPackages,
    Plugin,
    PythonFacts,
    ServerArgument,
    ServerArguments,
    StackVersions,
    TorchFacts,
    VllmFacts,
)
from harness.images.inventory.effects import (
    CAPABILITIES,
    CapabilityEffects,
    effects_by_capability,
    grouped_effects,
    read_effects,
)
from harness.images.inventory.locked_container import probe_arguments, run_probe, script_text
from harness.images.inventory.said import read_contents, read_help
from harness.images.inventory.taking import (
    ContentsCache,
    image_config,
    load_inventory,
    take_inventory,
)

__all__ = [
    "CAPABILITIES",
    "CapabilityEffects",
    "Contents",
    "ContentsCache",
    "Effect",
    "ImageConfig",
    "InvariantModule",
    "Inventory",
    "KernelFile",
    "Layer",
    "OsPackages",
    "Plugin",
    "PythonFacts",
    "ServerArgument",
    "ServerArguments",
    "StackVersions",
    "TorchFacts",
    "VllmFacts",
    "effects_by_capability",
    "grouped_effects",
    "image_config",
    "load_inventory",
    "probe_arguments",
    "read_contents",
    "read_effects",
    "read_help",
    "run_probe",
    "script_text",
    "take_inventory",
]
