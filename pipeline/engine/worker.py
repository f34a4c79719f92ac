"""The program of a worker process: a workbench that serves its parent."""

import gc

# Imports make nothing but long-lived objects; walking them over and over is a tenth of a worker's start.
gc.disable()

import sys  # noqa: E402
from importlib.abc import MetaPathFinder  # noqa: E402
from typing import Any  # noqa: E402

from dsgen.pipeline.engine.child import serve  # noqa: E402
from dsgen.pipeline.engine.work import Workbench  # noqa: E402


class NoPandas(MetaPathFinder):
    """Hides pandas.

    pyarrow looks for it at the first conversion and does without where there is none; finding it costs every worker
    a third of a second and 60 MB for nothing.
    """

    def find_spec(self, fullname: str, *_: Any) -> None:
        """Refuse pandas; other modules are none of this finder's business."""
        if fullname == "pandas":
            raise ModuleNotFoundError("hidden from workers", name="pandas")


if __name__ == "__main__":
    sys.meta_path.insert(0, NoPandas())
    # Rows are held until their bucket is written and hold no cycles: Python's usual thresholds walk them over and
    # over, which costs a quarter of a worker's time.
    gc.enable()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    serve(Workbench)
