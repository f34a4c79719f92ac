"""Tables as they stand in a statement."""

from collections.abc import Iterable, Sequence

from dsgen.pipeline.core.problem import Part


def table(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> Part:
    """A markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return Part("table", "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in lines))
