"""A worker process that misbehaves on purpose; run by tests of the watcher as the child's program."""

import os
import signal
import time
from pathlib import Path

from dsgen.pipeline.engine.child import serve


class Stubborn:
    """Hangs at unit 13, dies at unit 17, dies once at unit 19, is a user's fault at 23 and a bug at 29."""

    def __init__(self, workflow):
        self.once = os.environ.get("STUBBORN_ONCE", "")

    def do(self, task, mark):
        done = []
        for unit in task.units:
            if unit in task.poison:
                continue
            mark(unit)
            if unit == 13:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                signal.signal(signal.SIGALRM, signal.SIG_IGN)
                time.sleep(600)
            if unit == 17:
                os.kill(os.getpid(), signal.SIGKILL)
            if unit == 19 and not Path(self.once).exists():
                Path(self.once).touch()
                os._exit(3)
            if unit == 23:
                raise OSError(28, "No space left on device", "/somewhere/part.parquet")
            if unit == 29:
                raise ZeroDivisionError("a bug")
            done.append(unit)
        return done


if __name__ == "__main__":
    serve(Stubborn)
