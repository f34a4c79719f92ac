"""What an engine counts about itself."""

from __future__ import annotations

from typing import Any


class Counters:
    """Sums over an engine's steps; vLLM calls :meth:`record` after each. It has the shape of vLLM's stat loggers."""

    def __init__(self) -> None:
        self.prompt_tokens = self.generation_tokens = 0
        self.preemptions = 0
        self.queries = self.hits = 0

    def record(self, scheduler_stats: Any, iteration_stats: Any, *_: Any, **__: Any) -> None:
        """Add one step of one rank."""
        if scheduler_stats is not None:
            self.queries += scheduler_stats.prefix_cache_stats.queries
            self.hits += scheduler_stats.prefix_cache_stats.hits
        if iteration_stats is not None:
            self.prompt_tokens += iteration_stats.num_prompt_tokens
            self.generation_tokens += iteration_stats.num_generation_tokens
            self.preemptions += iteration_stats.num_preempted_reqs

    def log(self) -> None:
        """Nothing is logged."""

    def log_engine_initialized(self) -> None:
        """Nothing is logged."""

    def record_sleep_state(self, *_: Any, **__: Any) -> None:
        """Engines do not sleep here."""

    def data(self) -> dict[str, Any]:
        """Plain JSON data, all in tokens but for ``preemptions``."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "generation_tokens": self.generation_tokens,
            "preemptions": self.preemptions,
            "prefix_cache": {"queries": self.queries, "hits": self.hits},
        }
