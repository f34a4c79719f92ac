"""Sizing a teacher on hardware: a model's ``config.json`` and GPUs in, parallelism and its arithmetic out.

Pure: nothing here imports torch, vLLM or Ray, downloads or measures. Facts about vLLM are those of version 0.32.
"""
