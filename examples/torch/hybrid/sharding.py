"""FSDP2 for the model."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from .layers import Decay


def shard(model: nn.Module, mesh: DeviceMesh, compute: torch.dtype | None = None) -> None:
    """Every block on its own, then the rest. Parameters stay as they are and compute in `compute`, but for decays: a unit has one dtype, so they are units."""
    policy = MixedPrecisionPolicy() if compute is None else MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=torch.float32)
    for module in model.modules():
        if isinstance(module, Decay):
            fully_shard(module, mesh=mesh, mp_policy=MixedPrecisionPolicy())
    for block in model.model.layers:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    if dist.get_backend(mesh.get_group()) == "gloo":
        # gloo has no averages, and sums in their place without a word.
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.set_force_sum_reduction_for_comms(True)
                module.set_gradient_divide_factor(mesh.size())
