"""``harness bisect``: the first image of a list at which the answers change."""

from harness.cli.images_answers import register_bisect as register

__all__ = ["register"]
