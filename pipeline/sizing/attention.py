"""Attention of one layer: parameters on one GPU of a tensor-parallel group, and what a sequence leaves in memory.

How vLLM splits it: query heads and the output projection by rank; KV heads by rank as long as there are enough, and
otherwise repeated; the latent of MLA on every rank; the state of a gated delta net by heads.
"""

from __future__ import annotations

from dataclasses import dataclass

BLOCK = 16
"""Tokens of a KV block; a sequence holds whole blocks."""


@dataclass(frozen=True, slots=True)
class Grouped:
    """Attention with grouped KV heads (GQA); as many as heads: MHA; one: MQA."""

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    gated: bool = False
    """The query projection makes a gate beside the query, as in Qwen3-Next."""
    small: int = 0
    """Biases, norms of query and key, sinks."""
    window: int | None = None
    """Tokens that the layer looks back on; absent: all."""

    def matrices(self, tensor: int = 1) -> float:
        """Parameters of the projections on one rank."""
        queries = self.hidden * self.heads * self.head_dim * (3 if self.gated else 2)
        return queries / tensor + 2 * self.hidden * self.head_dim * self._kv_heads(tensor)

    def absorbed(self, tensor: int = 1) -> float:
        """Weights that the engine keeps a second time, in 16 bits."""
        del tensor
        return 0.0

    def cached(self, tokens: int, tensor: int, value_bytes: float) -> float:
        """Bytes on one rank that a sequence of a length keeps."""
        kept = tokens if self.window is None else min(tokens, self.window)
        blocks = -(-kept // BLOCK)
        return 2 * self._kv_heads(tensor) * self.head_dim * value_bytes * blocks * BLOCK

    def flops(self, context: float, tensor: int) -> float:
        """Multiplications and additions for one token that looks back on ``context`` tokens, on one rank."""
        seen = context if self.window is None else min(context, self.window)
        return 4 * self.heads * self.head_dim * seen / tensor

    def _kv_heads(self, tensor: int) -> float:
        return max(1.0, self.kv_heads / tensor)


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention (DeepSeek): one compressed vector a token, the same for all heads."""

    hidden: int
    heads: int
    query_rank: int | None
    kv_rank: int
    rope: int
    nope: int
    value: int

    @property
    def small(self) -> int:
        """The norms of the two latents."""
        return self.kv_rank + (self.query_rank or 0)

    def matrices(self, tensor: int = 1) -> float:
        """Parameters of the projections on one rank; the projections down are on every rank."""
        down = self.hidden * (self.kv_rank + self.rope + (self.query_rank or 0))
        up = (self.query_rank or self.hidden) * self.heads * (self.nope + self.rope)
        return down + (up + self._kv_up() + self.hidden * self.heads * self.value) / tensor

    def absorbed(self, tensor: int = 1) -> float:
        """``W_UK`` and ``W_UV``, which decoding multiplies with in 16 bits, beside ``kv_b_proj`` for prefill."""
        return self._kv_up() / tensor

    def cached(self, tokens: int, tensor: int, value_bytes: float) -> float:
        """Bytes on one rank that a sequence of a length keeps: every rank keeps the whole latent."""
        del tensor
        return (self.kv_rank + self.rope) * value_bytes * -(-tokens // BLOCK) * BLOCK

    def flops(self, context: float, tensor: int) -> float:
        """Multiplications and additions for one token that looks back on ``context`` tokens, on one rank."""
        return 2 * self.heads * (2 * self.kv_rank + self.rope) * context / tensor

    def _kv_up(self) -> int:
        return self.kv_rank * self.heads * (self.nope + self.value)


@dataclass(frozen=True, slots=True)
class Delta:
    """A gated delta net (the linear attention of Qwen3-Next): a state of constant size instead of a cache."""

    hidden: int
    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    kernel: int

    @property
    def small(self) -> int:
        """The convolution, decay and bias of each head, and the norm."""
        return self._convolved() * self.kernel + 2 * self.value_heads + self.value_dim

    def matrices(self, tensor: int = 1) -> float:
        """Parameters of the projections on one rank."""
        values = self.value_heads * self.value_dim
        return self.hidden * (self._convolved() + 2 * values + 2 * self.value_heads) / tensor

    def absorbed(self, tensor: int = 1) -> float:
        """Weights that the engine keeps a second time, in 16 bits."""
        del tensor
        return 0.0

    def cached(self, tokens: int, tensor: int, value_bytes: float) -> float:
        """Bytes of the state on one rank, whatever the length; the recurrent part counts as 32 bits."""
        del tokens
        recurrent = self.value_heads * self.value_dim * self.key_dim * 4
        return (recurrent + self._convolved() * (self.kernel - 1) * value_bytes) / tensor

    def flops(self, context: float, tensor: int) -> float:
        """Multiplications and additions for one token, on one rank."""
        del context
        return 6 * self.value_heads * self.value_dim * self.key_dim / tensor

    def _convolved(self) -> int:
        return 2 * self.key_heads * self.key_dim + self.value_heads * self.value_dim


Attention = Grouped | Latent | Delta
