"""Container images: what a name meant when it was pinned, and proof that it is still that.

Every function takes a client of the engine; nothing here starts a server.
"""

from harness.images.bisect import Bisection, Seen, find_step, image_range, read_image_list
from harness.images.changes import ImageDifference
from harness.images.difference import compare_images
from harness.images.inventory import load_inventory, take_inventory
from harness.images.inventory_effects import CapabilityEffects, grouped_effects
from harness.images.inventory_model import Inventory
from harness.images.local import LocalImage, find_image, pull_image
from harness.images.lock import DEFAULT_LOCK, ImageLock, ImageVersions, LockEntry, Source
from harness.images.pin import pin_image
from harness.images.presence import ImageRow, Presence, lock_status, presence
from harness.images.reference import ImageReference
from harness.images.registry import RegistryDigests, read_digests
from harness.images.resolve import ResolvedImage, resolve, resolve_and_pin, verify_unchanged

__all__ = [
    "DEFAULT_LOCK",
    "Bisection",
    "CapabilityEffects",
    "ImageDifference",
    "ImageLock",
    "ImageReference",
    "ImageRow",
    "ImageVersions",
    "Inventory",
    "LocalImage",
    "LockEntry",
    "Presence",
    "RegistryDigests",
    "ResolvedImage",
    "Seen",
    "Source",
    "compare_images",
    "find_image",
    "find_step",
    "grouped_effects",
    "image_range",
    "load_inventory",
    "lock_status",
    "pin_image",
    "presence",
    "pull_image",
    "read_digests",
    "read_image_list",
    "resolve",
    "resolve_and_pin",
    "take_inventory",
    "verify_unchanged",
]
