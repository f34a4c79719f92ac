"""A model as sizes: parameters by part, weights in bytes, what a sequence keeps in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dsgen.pipeline.sizing.attention import Attention, Delta, Grouped
from dsgen.pipeline.sizing.quantization import PLAIN, SIXTEEN, Scheme


@dataclass(frozen=True, slots=True)
class Experts:
    """The mixture of one layer."""

    number: int
    per_token: int
    width: int
    layers: int
    """Layers that have a mixture; the others have a dense MLP."""
    shared_width: int = 0
    """Width of the shared experts together; 0: there are none."""
    biases: bool = False
    router_extra: int = 0
    """Parameters of a router besides its matrix: a bias, the gate of the shared expert."""

    def __post_init__(self) -> None:
        if not 1 <= self.per_token <= self.number:
            raise ValueError(f"{self.per_token} experts a token of {self.number}")


@dataclass(frozen=True, slots=True)
class Parts:
    """Parameters by part."""

    embedding: int
    head: int
    """0 when it is the embedding's matrix."""
    attention: int
    dense_mlp: int
    router: int
    experts: int
    shared_experts: int
    small: int
    """Norms, biases, convolutions."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(asdict(self).values())


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What of a model decides how it fits on GPUs."""

    source: str
    """Where its files are, as they were named."""
    family: str
    """``model_type`` of the config."""
    hidden: int
    vocabulary: int
    context: int
    """Tokens that the model's positions reach; vLLM refuses a longer ``max_model_len``."""
    tied: bool
    attention: tuple[tuple[Attention, int], ...]
    """Kinds of attention, each with its number of layers."""
    dense_width: int = 0
    dense_layers: int = 0
    dense_biases: bool = False
    experts: Experts | None = None
    stored: Scheme = PLAIN
    dtype: str = ""
    """As the config says; empty: it does not."""
    extra_bytes: int = 0
    """Weights beside the language model, such as a vision encoder's, where the index of the weights tells."""
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: str | Path) -> ModelShape:
        """The shape of the model in a folder, or of a ``config.json``.

        Raises:
            SizingError: no such file, no valid JSON, a type of model that is not known, or a field that is missing.
        """
        from dsgen.pipeline.sizing.families import shape_of  # noqa: PLC0415 - families build shapes

        return shape_of(path)

    @property
    def layers(self) -> int:
        """Layers of the language model."""
        return sum(count for _, count in self.attention)

    @property
    def heads(self) -> int:
        """Query heads; the first kind of attention with heads to share out decides."""
        return next(a.heads for a, _ in self.attention if not isinstance(a, Delta))

    @property
    def parts(self) -> Parts:
        """Parameters by part."""
        e = self.experts
        mlp_bias = 2 * self.dense_width + self.hidden if self.dense_biases else 0
        small = sum((a.small + 2 * self.hidden) * n for a, n in self.attention) + self.hidden
        return Parts(
            embedding=self.vocabulary * self.hidden,
            head=0 if self.tied else self.vocabulary * self.hidden,
            attention=sum(round(a.matrices()) * n for a, n in self.attention),
            dense_mlp=3 * self.hidden * self.dense_width * self.dense_layers,
            router=(e.number * self.hidden + e.router_extra) * e.layers if e else 0,
            experts=self.expert * e.number * e.layers if e else 0,
            shared_experts=3 * self.hidden * e.shared_width * e.layers if e else 0,
            small=small + mlp_bias * self.dense_layers,
        )

    @property
    def expert(self) -> int:
        """Parameters of one routed expert in one layer; 0 without experts."""
        if self.experts is None:
            return 0
        bias = 2 * self.experts.width + self.hidden if self.experts.biases else 0
        return 3 * self.hidden * self.experts.width + bias

    @property
    def total(self) -> int:
        """Parameters of the language model."""
        return self.parts.total

    @property
    def active(self) -> int:
        """Parameters that one token uses, both embeddings included, as model cards mostly count."""
        e = self.experts
        return self.total - (self.expert * (e.number - e.per_token) * e.layers if e else 0)

    def weight_bytes(self, scheme: Scheme | None = None, plain: float = SIXTEEN) -> float:
        """Bytes of all weights, stored as the checkpoint's or another scheme says."""
        how = scheme or self.stored
        parts = self.parts
        return self.extra_bytes + float(sum(n * how.bytes_of(p, plain) for p, n in asdict(parts).items()))

    def sequence_bytes(self, tokens: int, tensor: int = 1, value_bytes: float = 2.0) -> float:
        """Bytes on one GPU of a tensor-parallel group that a sequence of a length keeps, over all layers."""
        return sum(a.cached(tokens, tensor, value_bytes) * n for a, n in self.attention)

    def kv_bytes_per_token(self, tensor: int = 1, value_bytes: float = 2.0) -> float:
        """Bytes that one more token of a long sequence takes: layers with a window or a state add nothing."""
        return sum(
            a.cached(16, tensor, value_bytes) / 16 * n
            for a, n in self.attention
            if not isinstance(a, Delta) and not (isinstance(a, Grouped) and a.window is not None)
        )

    def distinct_experts(self, tokens: float) -> float:
        """Experts of a layer that a batch of tokens uses, if the router spreads them evenly: E·(1 − (1 − k/E)^B)."""
        if self.experts is None:
            return 0.0
        e = self.experts
        return float(e.number * (1 - (1 - e.per_token / e.number) ** tokens))


def counted(layers: Sequence[Attention]) -> tuple[tuple[Attention, int], ...]:
    """Layers by kind, in the order of first appearance."""
    kinds: dict[Attention, int] = {}
    for layer in layers:
        kinds[layer] = kinds.get(layer, 0) + 1
    return tuple(kinds.items())
