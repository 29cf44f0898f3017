"""The model for torchtitan 0.2.2, whose train.py finds it with

    --experimental.custom_import hybrid.titan --model.name lmoec_hybrid --model.flavor tiny
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torchtitan.components.loss import build_cross_entropy_loss
from torchtitan.components.lr_scheduler import build_lr_schedulers
from torchtitan.components.optimizer import build_optimizers
from torchtitan.components.tokenizer import build_hf_tokenizer
from torchtitan.components.validate import build_validator
from torchtitan.config import TORCH_DTYPE_MAP, JobConfig
from torchtitan.distributed import ParallelDims
from torchtitan.hf_datasets.text_datasets import build_text_dataloader
from torchtitan.protocols.model import BaseModelArgs, ModelProtocol
from torchtitan.protocols.state_dict_adapter import StateDictAdapter
from torchtitan.protocols.train_spec import TrainSpec, register_train_spec

from .layers import Hybrid, Settings, reset
from .sharding import shard

NAME = "lmoec_hybrid"


@dataclass
class HybridArgs(BaseModelArgs):
    settings: Settings = Settings()

    def update_from_config(self, job_config: JobConfig, **_: Any) -> None:
        """Nothing: states have no longest text."""

    def get_nparams_and_flops(self, model: nn.Module, seq_len: int) -> tuple[int, float]:
        """Of a token, forward and backward: 6 for a weight that multiplies, 12 for a channel of attention and a token that it sees, or a number of a state."""
        settings, count = self.settings, sum(p.numel() for p in model.parameters())
        inner, attention = settings.num_attention_heads * settings.head_dim, settings.layer_types.count("full_attention")
        memories = settings.num_hidden_layers - attention
        products = count - model.model.embed_tokens.weight.numel()
        return count, 6 * products + 12 * inner * (attention * seq_len // 2 + memories * settings.head_dim)


class HybridTitan(ModelProtocol):
    def __init__(self, model_args: HybridArgs):
        super().__init__(model_args)
        self.model_args = model_args
        whole = Hybrid(model_args.settings)
        self.model, self.lm_head = whole.model, whole.lm_head

    def forward(self, tokens: torch.Tensor, **_: Any) -> torch.Tensor:
        return Hybrid.forward(self, tokens)

    def init_weights(self, buffer_device: torch.device | None = None) -> None:
        """There are no buffers."""
        for module in self.modules():
            reset(module)


class HybridAdapter(StateDictAdapter):
    """Names are those of Hugging Face (hybrid/hf.py) already."""

    def to_hf(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        return state_dict

    def from_hf(self, hf_state_dict: dict[str, Any]) -> dict[str, Any]:
        return hf_state_dict


def parallelize(model: nn.Module, parallel_dims: ParallelDims, job_config: JobConfig) -> nn.Module:
    for name in ("tp", "cp", "pp", "dp_replicate"):
        if getattr(parallel_dims, f"{name}_enabled"):
            raise NotImplementedError(f"this example shards parameters only: set the degree of {name} to 1")
    if job_config.compile.enable and "model" in job_config.compile.components:
        for block in model.model.layers:
            block.compile(fullgraph=True)
    if parallel_dims.fsdp_enabled:
        shard(model, parallel_dims.get_mesh("fsdp"), TORCH_DTYPE_MAP[job_config.training.mixed_precision_param])
    return model


SMALL = Settings(vocab_size=50304, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=2304)
register_train_spec(NAME, TrainSpec(
    model_cls=HybridTitan, model_args={"tiny": HybridArgs(), "small": HybridArgs(settings=SMALL)}, state_dict_adapter=HybridAdapter,
    parallelize_fn=parallelize, pipelining_fn=None, build_optimizers_fn=build_optimizers, build_lr_schedulers_fn=build_lr_schedulers,
    build_dataloader_fn=build_text_dataloader, build_tokenizer_fn=build_hf_tokenizer, build_loss_fn=build_cross_entropy_loss,
    build_validator_fn=build_validator,
))
