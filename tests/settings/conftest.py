"""The small spec, tasks and candidates that these tests are written against."""

from spec_fixtures import CHOICES, REFUSAL, SPEC, Write, population, spec, tasks_folder, write  # noqa: F401
