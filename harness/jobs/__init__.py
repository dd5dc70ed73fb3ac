"""What a verb does, once its arguments are parsed: one module an application.

A job takes values, calls the rooms below and returns what there is to print. Verbs import the
module (``from harness.jobs import runs``), so that none loads what only another one needs.
"""
