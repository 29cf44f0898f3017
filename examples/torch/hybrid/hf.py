"""The model as a `PreTrainedModel` of transformers: Trainer, `generate`, `from_pretrained`, and engines that build models on meta.

    import hybrid.hf
    model = AutoModelForCausalLM.from_config(HybridConfig())
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, DynamicCache, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from .layers import Block, Decay, Settings, parts_of, tokens_of


class HybridConfig(PretrainedConfig):
    model_type = "lmoec_hybrid"

    def __init__(self, initializer_range: float = 0.02, use_cache: bool = True, **options: Any):
        own = {name: options.pop(name) for name in Settings.__dataclass_fields__ if name in options}
        for name in Settings.__dataclass_fields__:
            setattr(self, name, own.get(name, getattr(Settings, name)))
        self.initializer_range, self.use_cache = initializer_range, use_cache
        # Caches are made by it.
        self.layer_types = self.settings.layer_types
        options.pop("layer_types", None)
        options.setdefault("tie_word_embeddings", False)
        super().__init__(**options)

    @property
    def settings(self) -> Settings:
        return Settings(**{name: getattr(self, name) for name in Settings.__dataclass_fields__})


class HybridBlock(GradientCheckpointingLayer, Block):
    pass


class HybridPreTrainedModel(PreTrainedModel):
    config: HybridConfig
    config_class = HybridConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["HybridBlock"]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    # As FSDP2 has them.
    _keep_in_fp32_modules_strict = ["decay"]
    # What a state has seen cannot be taken back, which assisted decoding would want.
    _is_stateful = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Decay):
            fresh = Decay(len(module.A_log))
            for name, value in module.named_parameters():
                init.copy_(value, getattr(fresh, name))


class HybridModel(HybridPreTrainedModel):
    def __init__(self, config: HybridConfig):
        super().__init__(config)
        for name, part in parts_of(config.settings, HybridBlock).items():
            self.add_module(name, part)
        self.gradient_checkpointing = False
        self.post_init()

    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, past_key_values: Any = None,
        inputs_embeds: Tensor | None = None, cu_seqlens: Tensor | None = None, use_cache: bool | None = None, **_: Any,
    ) -> BaseModelOutputWithPast:
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        use_cache = self.config.use_cache and not self.training and cu_seqlens is None if use_cache is None else use_cache
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        tokens = tokens_of(x, past, attention_mask, cu_seqlens)
        for i, layer in enumerate(self.layers):
            x = layer(x, tokens, None if past_key_values is None else past_key_values.layers[i])
        return BaseModelOutputWithPast(last_hidden_state=self.norm(x), past_key_values=past_key_values)


class HybridForCausalLM(HybridPreTrainedModel, GenerationMixin):
    def __init__(self, config: HybridConfig):
        super().__init__(config)
        self.model = HybridModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, position_ids: Tensor | None = None,
        past_key_values: Any = None, inputs_embeds: Tensor | None = None, labels: Tensor | None = None, cu_seqlens: Tensor | None = None,
        use_cache: bool | None = None, logits_to_keep: int | Tensor = 0, **options: Any,
    ) -> CausalLMOutputWithPast:
        """`position_ids` are not needed: order is what states remember."""
        made = self.model(input_ids, attention_mask, past_key_values, inputs_embeds, cu_seqlens, use_cache)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(made.last_hidden_state[:, kept])
        loss = None if labels is None else self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **options)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=made.past_key_values)


AutoConfig.register(HybridConfig.model_type, HybridConfig)
AutoModel.register(HybridConfig, HybridModel)
AutoModelForCausalLM.register(HybridConfig, HybridForCausalLM)
