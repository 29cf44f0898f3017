"""The model in plain PyTorch. The scan is the package that `lmoec build examples/gated_delta.lmoe --target torch -o out` makes.

Every name of a parameter is the one of its Hugging Face checkpoint, so nothing is renamed on the way there or back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from gated_delta import gated_delta, gated_delta_step
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Settings:
    """In the words of Hugging Face. Heads of the scan have as many channels as those of attention."""

    vocab_size: int = 256
    hidden_size: int = 256
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    head_dim: int = 64
    intermediate_size: int = 768

    @property
    def layer_types(self) -> list[str]:
        """Every third layer is attention. Scans remember the order of tokens, so that it needs no positions."""
        return ["full_attention" if i % 3 == 2 else "linear_attention" for i in range(self.num_hidden_layers)]


@dataclass(frozen=True)
class Tokens:
    """Which tokens see each other, beside their order."""

    #: [B, T]: are they there? What is not, left of a shorter text, is seen by nobody and changes no state.
    there: Tensor | None = None
    #: [B, 1, T, tokens so far and these]: whom each one sees; None: all before it, and itself.
    seen: Tensor | None = None
    #: [N + 1], with B = 1: where each of N packed texts begins.
    cu_seqlens: Tensor | None = None


def tokens_of(x: Tensor, past: int = 0, attention_mask: Tensor | None = None, cu_seqlens: Tensor | None = None) -> Tokens:
    """`x`: [B, T] or more. `past`: how many tokens a cache has. `attention_mask`: [B, past + T], 0 for what is not there."""
    batch, count = x.shape[:2]
    if attention_mask is None and cu_seqlens is None and past == 0:
        return Tokens()
    if cu_seqlens is not None:
        if past > 0 or attention_mask is not None:
            raise ValueError("cu_seqlens is for packed texts, which have neither a cache nor padding")
        cu_seqlens = cu_seqlens.flatten()
    place = torch.arange(past + count, device=x.device)
    own = place[past:, None]
    seen = (place <= own)[None].expand(batch, -1, -1)
    if cu_seqlens is not None:
        text = torch.searchsorted(cu_seqlens, place, right=True)
        seen = seen & (text == text[past:, None])
    there = None
    if attention_mask is not None:
        whole = attention_mask.bool()
        # What is not there sees itself, since a softmax of nothing is no number.
        seen = seen & (whole[:, None] | (place == own))
        there = whole[:, past:]
    return Tokens(there, seen[:, None], cu_seqlens)


class Decay(nn.Module):
    """Log decays of heads. Their parameters are in a module of their own, which FSDP2 can keep in float32 where all others are bf16."""

    def __init__(self, heads: int):
        super().__init__()
        self.A_log = nn.Parameter(torch.empty(heads))
        self.dt_bias = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        self.A_log.uniform_(1, 16).log_()
        step = torch.empty_like(self.dt_bias).uniform_(-6.9, -2.3).exp()
        self.dt_bias.copy_(step + torch.log(-torch.expm1(-step)))

    def forward(self, a: Tensor) -> Tensor:
        return -exact(self.A_log).exp() * F.softplus(exact(a) + exact(self.dt_bias))


def exact(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


@torch.no_grad()
def reset(module: nn.Module, spread: float = 0.02) -> None:
    """The parameters of a module, without those below it, as they are where training starts."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        module.weight.normal_(std=spread)
        if getattr(module, "bias", None) is not None:
            module.bias.zero_()
    elif isinstance(module, (nn.RMSNorm, Decay)):
        module.reset_parameters()


class Memory(nn.Module):
    """The scan between projections."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.heads, self.size = settings.num_attention_heads, settings.head_dim
        inner = self.heads * self.size
        self.qkv_proj = nn.Linear(settings.hidden_size, 3 * inner, bias=False)
        self.ab_proj = nn.Linear(settings.hidden_size, 2 * self.heads, bias=False)
        self.o_proj = nn.Linear(inner, settings.hidden_size, bias=False)
        self.decay = Decay(self.heads)

    def forward(self, x: Tensor, tokens: Tokens, cache: Any = None) -> Tensor:
        q, k, v = self.qkv_proj(x).unflatten(-1, (3, self.heads, self.size)).unbind(-3)
        a, b = self.ab_proj(x).chunk(2, -1)
        g, beta = self.decay(a), exact(b).sigmoid()
        if tokens.there is not None:
            # A token without decay and strength leaves the state as it is: exact, and nothing is moved or counted.
            g, beta = (y * tokens.there.unsqueeze(-1) for y in (g, beta))
        inputs = F.normalize(q, dim=-1), F.normalize(k, dim=-1), v, g, beta
        state = None if cache is None else cache.recurrent_states[0]
        if state is not None and x.shape[1] == 1 and not torch.is_grad_enabled():
            o = gated_delta_step(*(y.squeeze(1) for y in inputs), state).unsqueeze(1)
        else:
            o, last = gated_delta(*inputs, initial_state=state, output_final_state=cache is not None, cu_seqlens=tokens.cu_seqlens)
            if cache is not None:
                cache.update_recurrent_state(last.detach())
        return self.o_proj(o.flatten(-2))


class Attention(nn.Module):
    def __init__(self, settings: Settings):
        super().__init__()
        self.heads = settings.num_attention_heads
        inner = self.heads * settings.head_dim
        self.qkv_proj = nn.Linear(settings.hidden_size, 3 * inner, bias=False)
        self.o_proj = nn.Linear(inner, settings.hidden_size, bias=False)

    def forward(self, x: Tensor, tokens: Tokens, cache: Any = None) -> Tensor:
        q, k, v = self.qkv_proj(x).unflatten(-1, (3, self.heads, -1)).transpose(1, 3).unbind(2)
        if cache is not None:
            k, v = cache.update(k, v)
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=tokens.seen, is_causal=tokens.seen is None)
        return self.o_proj(o.transpose(1, 2).flatten(-2))


class Block(nn.Module):
    def __init__(self, settings: Settings, kind: str):
        super().__init__()
        width = settings.hidden_size
        self.mixer = Attention(settings) if kind == "full_attention" else Memory(settings)
        self.norms = nn.ModuleList([nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)])
        self.mlp = nn.Sequential(nn.Linear(width, settings.intermediate_size), nn.GELU(), nn.Linear(settings.intermediate_size, width))

    def forward(self, x: Tensor, tokens: Tokens, cache: Any = None) -> Tensor:
        x = x + self.mixer(self.norms[0](x), tokens, cache)
        return x + self.mlp(self.norms[1](x))


def parts_of(settings: Settings, block: type[Block] = Block) -> dict[str, nn.Module]:
    """The modules of a trunk by their names."""
    return {
        "embed_tokens": nn.Embedding(settings.vocab_size, settings.hidden_size),
        "layers": nn.ModuleList(block(settings, kind) for kind in settings.layer_types),
        "norm": nn.RMSNorm(settings.hidden_size, eps=1e-6),
    }


class Trunk(nn.Module):
    def __init__(self, settings: Settings):
        super().__init__()
        for name, part in parts_of(settings).items():
            self.add_module(name, part)

    def forward(self, ids: Tensor, tokens: Tokens) -> Tensor:
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, tokens)
        return self.norm(x)


class Hybrid(nn.Module):
    """Logits of the token after each."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.model = Trunk(settings)
        self.lm_head = nn.Linear(settings.hidden_size, settings.vocab_size, bias=False)

    def forward(self, ids: Tensor, cu_seqlens: Tensor | None = None) -> Tensor:
        return self.lm_head(self.model(ids, tokens_of(ids, cu_seqlens=cu_seqlens)))
