"""The program of a worker process: a workbench that serves its parent."""

from dsgen.pipeline.engine.child import serve
from dsgen.pipeline.engine.work import Workbench

if __name__ == "__main__":
    serve(Workbench)
