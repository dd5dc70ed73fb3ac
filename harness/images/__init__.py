"""Container images: what a name meant when it was pinned, and proof that it is still that.

Every function that asks the engine takes a client of it; nothing here starts a server or draws.
"""

from harness.images.bisect import Seen, find_step, image_range, read_image_list
from harness.images.changes import ArgumentChange, CapabilityChange, Change, ImageDifference
from harness.images.difference import argument_changes, compare_images
from harness.images.inventory.contents import Inventory
from harness.images.inventory.effects import grouped_effects
from harness.images.inventory.taking import load_inventory, take_inventory
from harness.images.lock import DEFAULT_LOCK, ImageLock, ImageVersions, LockEntry, Source
from harness.images.reference import ImageReference, find_image, read_digests
from harness.images.resolve import (
    Presence,
    ResolvedImage,
    pin_image,
    presence,
    resolve,
    resolve_and_pin,
    verify_unchanged,
)

__all__ = [
    "DEFAULT_LOCK",
    "ArgumentChange",
    "CapabilityChange",
    "Change",
    "ImageDifference",
    "ImageLock",
    "ImageReference",
    "ImageVersions",
    "Inventory",
    "LockEntry",
    "Presence",
    "ResolvedImage",
    "Seen",
    "Source",
    "argument_changes",
    "compare_images",
    "find_image",
    "find_step",
    "grouped_effects",
    "image_range",
    "load_inventory",
    "pin_image",
    "presence",
    "read_digests",
    "read_image_list",
    "resolve",
    "resolve_and_pin",
    "take_inventory",
    "verify_unchanged",
]
