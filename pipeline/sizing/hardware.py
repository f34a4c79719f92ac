"""GPUs and clusters: a catalogue, names as people write them, and Ray's names for the same cards.

Bandwidths and dense tensor-core rates are those of the vendors' data sheets (without sparsity). Memory is what CUDA
or ROCm reports as the card's total, rounded down, for ``gpu_memory_utilization`` is a share of that and not of the
number on the box: an "80 GB" H100 has 79.1 GiB = 84.9 GB.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dsgen.pipeline.sizing.errors import SizingError

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Gpu:
    """One kind of card."""

    name: str
    memory_bytes: int
    bandwidth: float
    """Bytes a second from its own memory."""
    flops16: float
    """Multiplications and additions a second in 16 bits."""
    flops8: float | None
    """In 8-bit floating point; absent: 8-bit weights are multiplied in 16 bits."""
    link: float
    """Bytes a second to the other cards of the node, in one direction."""
    nvlink: bool
    """Joined by NVLink or Infinity Fabric rather than PCIe."""
    catalogued: bool = True
    """False: only the memory is known, the rest is an A100's, so rates only order the proposals."""


def _gpu(name: str, gib: float, gb_s: float, t16: float, t8: float | None, link: float, *, nvlink: bool) -> Gpu:
    return Gpu(name, int(gib * GIB), gb_s * 1e9, t16 * 1e12, None if t8 is None else t8 * 1e12, link * 1e9, nvlink)


CATALOGUE = {
    gpu.name: gpu
    for gpu in (
        #    name         GiB   GB/s  16-bit 8-bit  GB/s to peers
        _gpu("A100-40G", 39.3, 1555, 312, None, 300, nvlink=True),
        _gpu("A100-80G", 79.1, 2039, 312, None, 300, nvlink=True),
        _gpu("H100", 79.1, 3350, 989, 1979, 450, nvlink=True),
        _gpu("H20", 95.0, 4000, 148, 296, 450, nvlink=True),
        _gpu("H200", 139.7, 4800, 989, 1979, 450, nvlink=True),
        _gpu("B200", 178.3, 8000, 2250, 4500, 900, nvlink=True),
        _gpu("L40S", 44.3, 864, 362, 733, 25, nvlink=False),
        _gpu("L4", 21.9, 300, 121, 242, 25, nvlink=False),
        _gpu("A10G", 21.9, 600, 70, None, 25, nvlink=False),
        _gpu("T4", 14.5, 320, 65, None, 12, nvlink=False),
        _gpu("RTX4090", 23.5, 1008, 165, 330, 25, nvlink=False),
        _gpu("MI300X", 191.9, 5300, 1307, 2615, 448, nvlink=True),
        _gpu("MI325X", 255.9, 6000, 1307, 2615, 448, nvlink=True),
    )
}

_SPELLINGS = {
    "A100-40GB": "A100-40G",
    "A100-80GB": "A100-80G",
    "A100-40": "A100-40G",
    "A100-80": "A100-80G",
    "H100-80": "H100",
    "H100-80G": "H100",
    "H100-80GB": "H100",
    "H200-141": "H200",
    "H200-141G": "H200",
    "H200-141GB": "H200",
    "4090": "RTX4090",
    "RTX-4090": "RTX4090",
    # Ray's names (ray/util/accelerators/accelerators.py, ray/_private/accelerators), in capitals
    "GEFORCE-RTX-4090": "RTX4090",
    "AMD-INSTINCT-MI300X-OAM": "MI300X",
    "AMD-INSTINCT-MI300X-HF": "MI300X",
    "AMD-INSTINCT-MI325X-OAM": "MI325X",
}
_TWO_SIZES = "A100"
_CLUSTER = re.compile(r"(?:(?P<nodes>\d{1,5})[x×])?(?:(?P<gpus>\d{1,5})[x×])?(?P<name>[A-Za-z0-9][\w.-]*)")
_RAY_TYPE = "accelerator_type:"
MAX_NODES, MAX_PER_NODE = 4096, 64


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nodes that are all alike."""

    gpu: Gpu
    gpus_per_node: int
    nodes: int = 1
    network: float | None = None
    """Bytes a second between nodes for each GPU, in one direction; absent: 400 Gb/s beside NVLink, else 100 Gb/s
    for the whole node."""

    @property
    def gpus(self) -> int:
        """All GPUs."""
        return self.nodes * self.gpus_per_node

    @property
    def network_bytes(self) -> float:
        """Bytes a second between nodes for each GPU."""
        if self.network is not None:
            return self.network
        return 50e9 if self.gpu.nvlink else 12.5e9 / self.gpus_per_node

    def __str__(self) -> str:
        nodes = "" if self.nodes == 1 else f"{self.nodes}x"
        return f"{nodes}{self.gpus_per_node}x{self.gpu.name}"

    @classmethod
    def parse(cls, text: str, *, gpu_memory: float | None = None) -> Cluster:
        """A cluster as written: ``H100``, ``8xH100``, ``2x8xH100`` (nodes x GPUs), ``4xA100-80G``.

        Args:
            text: what was written.
            gpu_memory: GB (10^9 bytes) of one GPU, for cards that the catalogue lacks or has in two sizes.

        Raises:
            SizingError: it cannot be read, or the card is not known and its memory is not given.
        """
        match = _CLUSTER.fullmatch(text.strip())
        if match is None:
            raise SizingError(f"{_shown(text)} is no cluster; write 8xH100, or 2x8xH100 for two nodes of eight")
        # Of two numbers the first counts nodes; a single one counts GPUs, wherever the pattern put it.
        first, second = match["nodes"], match["gpus"]
        nodes, gpus = (int(first), int(second)) if first and second else (1, int(first or second or 1))
        if not 1 <= gpus <= MAX_PER_NODE or not 1 <= nodes <= MAX_NODES:
            raise SizingError(
                f"{_shown(text)}: 1 to {MAX_PER_NODE} GPUs a node and 1 to {MAX_NODES} nodes can be planned for"
                + ("; write 2x8xH100 for two nodes of eight" if nodes == 1 else "")
            )
        return cls(gpu_of(match["name"], gpu_memory=gpu_memory), gpus, nodes)

    @classmethod
    def from_ray(cls, nodes: Iterable[Mapping[str, float]], *, gpu_memory: float | None = None) -> Cluster:
        """The GPUs of a Ray cluster, from each node's resources (``node["Resources"]`` of ``ray.nodes()``).

        Raises:
            SizingError: there is no GPU, Ray does not say of which kind, or the nodes differ.
        """
        found: dict[tuple[str, int], int] = {}
        for resources in nodes:
            gpus = int(resources.get("GPU", 0))
            if gpus > 0:
                kind = (_accelerator(resources), gpus)
                found[kind] = found.get(kind, 0) + 1
        if not found:
            raise SizingError("the cluster has no GPU; write the hardware to plan for, such as --gpus 8xH100")
        if len(found) > 1:
            kinds = ", ".join(f"{count}x{gpus}x{name or 'unknown'}" for (name, gpus), count in sorted(found.items()))
            raise SizingError(f"the cluster's nodes differ ({kinds}); plan for one kind: --gpus 2x8xH100")
        ((name, gpus), count), *_ = found.items()
        if not name:
            raise SizingError("Ray does not say which GPUs the nodes have; name them: --gpus 8xH100")
        return cls(gpu_of(name, gpu_memory=gpu_memory), gpus, count)


def gpu_of(name: str, *, gpu_memory: float | None = None) -> Gpu:
    """The card of a name, in anyone's spelling.

    Raises:
        SizingError: it is not known, or comes in two sizes, and ``gpu_memory`` (GB) does not tell.
    """
    if gpu_memory is not None and not 1 <= gpu_memory <= 4096:
        raise SizingError(f"{gpu_memory:g} GB of GPU memory: a number from 1 to 4096 is wanted")
    upper = name.strip().upper().removeprefix("NVIDIA-").removeprefix("NVIDIA_").replace("_", "-")
    key = _SPELLINGS.get(upper, upper)
    if key == _TWO_SIZES:
        if gpu_memory is None:
            raise SizingError("A100 comes with 40 and with 80 GB; write A100-40G or A100-80G")
        key = "A100-40G" if gpu_memory < 60 else "A100-80G"
    gpu = CATALOGUE.get(key)
    if gpu is not None:
        return gpu if gpu_memory is None else replace(gpu, memory_bytes=int(gpu_memory * 1e9))
    if gpu_memory is None:
        raise SizingError(
            f"GPU {_shown(name)} is not known; give its memory in GB (--gpu-memory), or one of {', '.join(CATALOGUE)}"
        )
    like = CATALOGUE["A100-80G"]
    return replace(like, name=name, memory_bytes=int(gpu_memory * 1e9), catalogued=False)


def _accelerator(resources: Mapping[str, float]) -> str:
    names = sorted(k.removeprefix(_RAY_TYPE) for k in resources if k.startswith(_RAY_TYPE))
    # A node may carry a label of its own for the size beside Ray's plain A100; the longer name says more.
    return max(names, key=len, default="")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
