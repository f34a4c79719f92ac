"""Clusters as people and Ray write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsgen.pipeline.sizing.errors import SizingError
from dsgen.pipeline.sizing.hardware import CATALOGUE, Cluster, gpu_of


@pytest.mark.parametrize(
    ("text", "gpu", "per_node", "nodes"),
    [
        ("H100", "H100", 1, 1),
        ("8xH100", "H100", 8, 1),
        ("8×h100-80gb", "H100", 8, 1),
        ("2x8xH100", "H100", 8, 2),
        ("4xA100-80G", "A100-80G", 4, 1),
        ("1x2xa100_40gb", "A100-40G", 2, 1),
        ("16x8xMI300X", "MI300X", 8, 16),
        ("2xRTX-4090", "RTX4090", 2, 1),
        ("2x4090", "RTX4090", 2, 1),
        (" 8xL40S ", "L40S", 8, 1),
    ],
)
def test_clusters_as_written(text: str, gpu: str, per_node: int, nodes: int) -> None:
    cluster = Cluster.parse(text)
    assert (cluster.gpu.name, cluster.gpus_per_node, cluster.nodes) == (gpu, per_node, nodes)
    assert cluster.gpus == per_node * nodes


@settings(deadline=None)
@given(name=st.sampled_from(sorted(CATALOGUE)), gpus=st.integers(1, 64), nodes=st.integers(1, 4096))
def test_a_cluster_is_read_as_it_is_shown(name: str, gpus: int, nodes: int) -> None:
    cluster = Cluster(CATALOGUE[name], gpus, nodes)
    assert Cluster.parse(str(cluster)) == cluster


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no cluster"),
        ("eight H100", "is no cluster"),
        ("8xH100,4xL4", "is no cluster"),
        ("0xH100", "1 to 64 GPUs a node"),
        ("16384xH100", "2x8xH100 for two nodes"),
        ("9999x8xH100", "1 to 4096 nodes"),
        ("8xA100", "A100-40G or A100-80G"),
        ("8xH999", "'H999' is not known; give its memory in GB"),
        ("x" * 5000, "is not known"),
    ],
)
def test_clusters_that_cannot_be_meant(text: str, said: str) -> None:
    with pytest.raises(SizingError, match=re.escape(said)) as caught:
        Cluster.parse(text)
    assert len(str(caught.value)) < 400


def test_memory_given_by_hand() -> None:
    assert Cluster.parse("8xA100", gpu_memory=80).gpu.name == "A100-80G"
    assert Cluster.parse("8xA100", gpu_memory=40).gpu.name == "A100-40G"
    assert Cluster.parse("8xH100", gpu_memory=94).gpu.memory_bytes == 94e9
    odd = Cluster.parse("2xB999", gpu_memory=288)
    assert (odd.gpu.name, odd.gpu.memory_bytes, odd.gpu.catalogued) == ("B999", 288e9, False)
    for wrong in (0, -5, 1e9, float("nan")):
        with pytest.raises(SizingError, match="GPU memory"):
            gpu_of("B999", gpu_memory=wrong)


def test_the_catalogue_is_plausible() -> None:
    for gpu in CATALOGUE.values():
        assert 14e9 < gpu.memory_bytes < 300e9
        assert 300e9 <= gpu.bandwidth <= 8e12
        assert gpu.flops8 is None or gpu.flops8 == pytest.approx(2 * gpu.flops16, rel=0.02)
        assert gpu.link < gpu.bandwidth
    # An 80 GB card reports 79.1 GiB, and a plan must not count on more.
    assert CATALOGUE["H100"].memory_bytes < 85.1e9


NODE = {"CPU": 96.0, "GPU": 8.0, "accelerator_type:H100": 1.0, "node:10.0.0.1": 1.0}


@pytest.mark.parametrize(
    ("nodes", "shown"),
    [
        ([NODE], "8xH100"),
        ([NODE, {"CPU": 8.0, "node:10.0.0.2": 1.0}], "8xH100"),  # a head without GPUs
        ([NODE, NODE | {"node:10.0.0.2": 1.0}], "2x8xH100"),
        ([{"GPU": 4.0, "accelerator_type:A100": 1.0, "accelerator_type:A100-80G": 1.0}], "4xA100-80G"),
        ([{"GPU": 8.0, "accelerator_type:AMD-Instinct-MI300X-OAM": 1.0}], "8xMI300X"),
        ([{"GPU": 1.0, "accelerator_type:GeForce-RTX-4090": 1.0}], "1xRTX4090"),
    ],
)
def test_what_ray_reports(nodes: list[dict[str, float]], shown: str) -> None:
    assert str(Cluster.from_ray(nodes)) == shown


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([], "has no GPU"),
        ([{"CPU": 8.0}], "has no GPU"),
        ([{"GPU": 8.0}], "does not say which GPUs"),
        ([NODE, {"GPU": 4.0, "accelerator_type:L4": 1.0}], "nodes differ (1x8xH100, 1x4xL4)"),
        ([{"GPU": 8.0, "accelerator_type:A100": 1.0}], "A100-40G or A100-80G"),
        ([{"GPU": 8.0, "accelerator_type:Intel-GAUDI": 1.0}], "'Intel-GAUDI' is not known"),
    ],
)
def test_ray_clusters_that_cannot_be_planned_for(nodes: list[dict[str, float]], said: str) -> None:
    with pytest.raises(SizingError, match=re.escape(said)):
        Cluster.from_ray(nodes)


def test_rays_names_are_still_rays() -> None:
    accelerators = pytest.importorskip("ray.util.accelerators.accelerators")
    for constant, gpu in {
        "NVIDIA_TESLA_A10G": "A10G",
        "NVIDIA_L4": "L4",
        "NVIDIA_L40S": "L40S",
        "NVIDIA_H100": "H100",
        "NVIDIA_H200": "H200",
        "NVIDIA_H20": "H20",
        "NVIDIA_B200": "B200",
        "NVIDIA_TESLA_T4": "T4",
        "NVIDIA_A100_40G": "A100-40G",
        "NVIDIA_A100_80G": "A100-80G",
        "AMD_INSTINCT_MI300x": "MI300X",
        "AMD_INSTINCT_MI300x_HF": "MI300X",
        "AMD_INSTINCT_MI325x": "MI325X",
    }.items():
        assert gpu_of(getattr(accelerators, constant)).name == gpu
