"""What the tables of moe.py are about: shapes and what is drawn for them, the meaning of `olmoe` (examples/moe/softmax.lmoe) in torch,
and other people's layers.

Peers are not part of this repository: scattermoe (pure Triton) and SonicMoE are imported where PYTHONPATH or an installation has them.
"""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from peers import DEVICE

# Of the losses of the example.
AUX, ZW = 1e-2, 1e-3
EXPERTS = ("expert.gate", "expert.up", "expert.down")


@dataclass(frozen=True)
class Shape:
    """So many tokens of width D, each to K of E experts of width F."""

    tokens: int
    D: int
    F: int
    E: int
    K: int

    @property
    def flops(self):
        """Of the experts' products, forward; backward has twice as many. Routers are not counted, as nobody counts them."""
        return 6 * self.tokens * self.K * self.D * self.F

    @property
    def expert_bytes(self):
        return 3 * self.D * self.F * 2

    def cut(self, tokens):
        return Shape(min(self.tokens, tokens), self.D, self.F, self.E, self.K)

    def draw(self):
        """bf16, by the names of the example."""
        def made(*shape, scale=1.0):
            return torch.randn(*shape, device=DEVICE, dtype=torch.bfloat16).mul_(scale)

        inward, outward = 1 / math.sqrt(self.D), 1 / math.sqrt(self.F)
        experts = {name: made(self.E, self.D, self.F, scale=inward) for name in EXPERTS[:2]}
        experts["expert.down"] = made(self.E, self.F, self.D, scale=outward)
        return {"x": made(self.tokens, self.D), "gate": made(self.D, self.E, scale=inward), **experts}


SHAPES = {
    # The seed's A1B-7B, and OLMoE's own.
    "a1b": Shape(32768, 2048, 1024, 64, 8),
    "a03b": Shape(32768, 1024, 896, 64, 8),
    "qwen3_next": Shape(32768, 2048, 512, 512, 10),
    # What one of eight ranks has to do when each has as many tokens: 256 experts, 8 of them for a token.
    "deepseek_v3": Shape(32768, 7168, 2048, 32, 8),
    "mixtral": Shape(32768, 4096, 14336, 8, 2),
}


def routed(x, gate, K, chosen=None):
    """Logits, shares of all experts, and the chosen ones of every token."""
    z = (x @ gate).to(torch.promote_types(x.dtype, torch.float32))
    p = torch.softmax(z, -1)
    return z, p, p.topk(K).indices if chosen is None else chosen


def meaning(given, K, chosen=None):
    """Output, sum of losses, and choices, in the dtype of what is given. `chosen`: by somebody else."""
    x, gate = given["x"], given["gate"]
    z, p, chosen = routed(x, gate, K, chosen)
    weight, y = p.gather(1, chosen).to(x.dtype), torch.zeros_like(x)
    for e, (inward, up, outward) in enumerate(zip(*(given[name].unbind(0) for name in EXPERTS))):
        token, seat = (chosen == e).nonzero(as_tuple=True)
        rows = x[token]
        h = F.silu(rows @ inward) * (rows @ up)
        y = y.index_add(0, token, weight[token, seat, None] * (h @ outward))
    share = torch.zeros_like(p).scatter(1, chosen, 1.0).mean(0)
    losses = AUX * gate.shape[1] * (share * p.mean(0)).sum() + ZW * torch.logsumexp(z, -1).square().mean()
    return y, losses, chosen


def differentiated(given, cotangent, K, dtype, chosen=None):
    """The same with gradients, by name."""
    leaves = {name: value.to(dtype).requires_grad_() for name, value in given.items()}
    y, losses, chosen = meaning(leaves, K, chosen)
    torch.autograd.backward([y, losses], [cotangent.to(dtype), None])
    return y.detach(), {name: leaf.grad for name, leaf in leaves.items()}, chosen


# Layers of others: a function of x, and the tensors that want gradients besides.

def _router(given, E, K):
    gate = given["gate"].clone().requires_grad_()

    def run(x):
        _, p, chosen = routed(x, gate, K)
        return p.gather(1, chosen), chosen

    return gate, run


def _joined(given):
    """Both inward products of an expert as one, rows of the weights inward: [E, 2F, D]."""
    return torch.cat([given["expert.gate"], given["expert.up"]], -1).transpose(1, 2).contiguous().requires_grad_()


def grouped(given, shape):
    """torch's grouped products, between a sort and an addition by index."""
    product = getattr(F, "grouped_mm", None) or torch._grouped_mm
    gate, router = _router(given, shape.E, shape.K)
    inward, outward = _joined(given), given["expert.down"].transpose(1, 2).contiguous().requires_grad_()

    def run(x):
        weight, chosen = router(x)
        experts, order = chosen.flatten().sort(stable=True)
        ends = torch.searchsorted(experts, torch.arange(shape.E, device=x.device), right=True).to(torch.int32)
        token = order // shape.K
        h, up = product(x[token], inward.transpose(1, 2), offs=ends).chunk(2, -1)
        out = product(F.silu(h) * up, outward.transpose(1, 2), offs=ends)
        return torch.zeros_like(x).index_add(0, token, out * weight.flatten()[order, None].to(x.dtype))

    return run, [gate, inward, outward]


def scattermoe(given, shape):
    from scattermoe import flatten_sort_count, parallel_linear

    gate, router = _router(given, shape.E, shape.K)
    inward, outward = _joined(given), given["expert.down"].transpose(1, 2).contiguous().requires_grad_()

    def run(x):
        weight, chosen = router(x)
        places = flatten_sort_count(chosen, num_experts=shape.E)
        h, up = parallel_linear(x, inward.permute(0, 2, 1), shape.K, *places, grouped_out=True).chunk(2, -1)
        return parallel_linear(F.silu(h) * up, outward.permute(0, 2, 1), 1, *places, grouped_in=True, gates=weight.to(x.dtype))

    return run, [gate, inward, outward]


def sonic(given, shape):
    """With its own router, which takes the shares of the chosen alone, and weights of its own drawing."""
    from sonicmoe import MoE
    from sonicmoe.enums import ActivationType

    options = dict(
        num_experts=shape.E, num_experts_per_tok=shape.K, hidden_size=shape.D, intermediate_size=shape.F,
        activation_function=ActivationType.SWIGLU, add_bias=False, std=0.02)
    layer = MoE(**options).to(device=DEVICE, dtype=torch.bfloat16)
    return lambda x: layer(x)[0], list(layer.parameters())


PEERS = {"scattermoe": scattermoe, "grouped": grouped, "sonic": sonic}
