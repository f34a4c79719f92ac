"""Why an engine would not start, or died, in the words of its own processes.

An engine's core is a process of its own, and all that its parent learns of its end is that it came. So while an engine
lives, its processes write their errors to a file besides standard error; the first exception in there is the cause.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

_RAISED = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Interrupt)(?::.*)?$", re.MULTILINE)
_MEMORY = re.compile(r"out of memory|OutOfMemory|KV cache|cache blocks|Free memory on device|available memory", re.I)
_UNKNOWN = re.compile(r"LocalEntryNotFound|RepositoryNotFound|GatedRepo|snapshot folder|huggingface\.co")
_LONGEST = 600
_SETTING = "VLLM_LOGGING_CONFIG_PATH"


class ErrorFile:
    """The file with the errors of an engine's processes; :meth:`close` removes it."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._path = Path()

    def open(self) -> None:
        """Have the processes that start from here on log warnings to standard error, and errors to the file too.

        A logging configuration of the user's own is left alone; the cause is then not known.
        """
        ours = self._folder is not None
        if (not ours and _SETTING in os.environ) or os.environ.get("VLLM_CONFIGURE_LOGGING") == "0":
            return
        self.close()
        self._folder = tempfile.TemporaryDirectory(prefix="dsgen-vllm-")
        self._path = Path(self._folder.name) / "errors.txt"
        path = Path(self._folder.name) / "logging.json"
        path.write_text(json.dumps(_logging(self._path)), encoding="utf-8")
        os.environ[_SETTING] = str(path)

    def cause(self) -> str:
        """The first exception that was logged, in one line; empty when there was none."""
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace") if self._folder else ""
        except OSError:
            return ""
        # That the core is dead is what the parent noticed, not why.
        found = [line for line in _RAISED.findall(text) if "EngineDeadError" not in line]
        return found[0][:_LONGEST] if found else ""

    def close(self) -> None:
        """Remove the file and what points to it."""
        if self._folder is not None:
            os.environ.pop(_SETTING, None)
            self._folder.cleanup()
            self._folder = None


def _logging(errors: Path) -> dict[str, object]:
    level = os.environ.get("VLLM_LOGGING_LEVEL", "WARNING")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"format": "vLLM (%(processName)s %(process)d) %(levelname)s %(message)s"},
            "plain": {"format": "%(message)s"},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "level": level,
                "formatter": "line",
            },
            "errors": {
                "class": "logging.FileHandler",
                "filename": str(errors),
                "level": "ERROR",
                "formatter": "plain",
                "delay": True,
            },
        },
        "loggers": {"vllm": {"handlers": ["stderr", "errors"], "level": level, "propagate": False}},
    }


def advice(cause: str, *, cpu: bool) -> str:
    """What to do about a cause."""
    if _MEMORY.search(cause):
        if cpu:
            return "raise VLLM_CPU_KVCACHE_SPACE (GiB) in the teacher's environment, or lower max_model_len"
        return "lower max_model_len, raise tensor_parallel, or take a quantised model"
    if _UNKNOWN.search(cause):
        return "name the model's folder, which must be on every node, or see that nodes reach the hub and may read it"
    return "what vLLM wrote to standard error may say more"
