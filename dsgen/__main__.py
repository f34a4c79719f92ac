"""``python -m dsgen`` is the ``dsgen`` command."""

from dsgen.pipeline.cli import app

app()
