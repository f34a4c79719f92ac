"""The program of a worker process: a workbench that serves its parent."""

import gc

from dsgen.pipeline.engine.child import serve
from dsgen.pipeline.engine.work import Workbench

if __name__ == "__main__":
    # Rows are held until their bucket is written and hold no cycles: Python's usual thresholds walk them over and
    # over, which costs a quarter of a worker's time.
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    serve(Workbench)
