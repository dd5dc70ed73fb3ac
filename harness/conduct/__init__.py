"""The conductor's parts: preparing, one server lifetime, provenance, progress and conclusion.

``harness.runner`` puts them together; nothing else uses them but the verbs.
"""
