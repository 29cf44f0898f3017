"""What the table of compare.py is about: inputs, the peers' hand-written kernels, and token-by-token float64 recurrences.

Peers are not part of this repository: whoever runs the bench fetches flash-linear-attention (and mamba, for its one row) and names their folders
in PYTHONPATH.
"""
import math
import torch
import torch.nn.functional as F

DEVICE = "cuda"


def recurrence(q, k, v, g=None, beta=None, a=None, b=None, u=None, scale=1.0, before=False):
    """o [B,T,H,V] of S = diag(e^g) S + ..., one step at a time, in the dtype of its arguments.

    g [B,T,H] or [B,T,H,K]; with beta the delta rule on the decayed state; with a, b the term b (a S) on the undecayed one; u: bonus of a read before.
    """
    B, T, H, K = k.shape
    S = torch.zeros(B, H, K, v.shape[-1], dtype=v.dtype, device=v.device)
    out = []
    for t in range(T):
        kt, vt = k[:, t].unsqueeze(-1), v[:, t].unsqueeze(-2)
        if before:
            bonus = 0 if u is None else (u * k[:, t]).unsqueeze(-1) * vt
            out.append(torch.einsum("bhk,bhkv->bhv", q[:, t], S + bonus))
        P = S if g is None else (g[:, t].exp()[..., None, None] if g.dim() == 3 else g[:, t].exp().unsqueeze(-1)) * S
        if a is not None:
            P = P + b[:, t].unsqueeze(-1) * torch.einsum("bhk,bhkv->bhv", a[:, t], S).unsqueeze(-2)
        if beta is not None:
            S = P + kt * (beta[:, t, :, None] * (v[:, t] - torch.einsum("bhk,bhkv->bhv", k[:, t], P))).unsqueeze(-2)
        else:
            S = P + kt * vt
        if not before:
            out.append(torch.einsum("bhk,bhkv->bhv", q[:, t], S))
    return scale * torch.stack(out, 1)


class Case:
    """One row: `inputs(B, T, H, D)` gives bf16 (io) and f32 (gates, params) tensors by the names of the example."""

    def __init__(self, name, inputs, peer, reference, example=None, sizes=None, groups=None, heads=None, params=()):
        self.name, self.inputs, self.peer, self.reference = name, inputs, peer, reference
        self.example = example or name
        self.sizes = sizes or (lambda D: dict(K=D, V=D))
        self.groups, self.heads, self.params = groups, heads, params


def _randn(*shape):
    return torch.randn(*shape, device=DEVICE).bfloat16()


def _unit(*shape):
    return F.normalize(torch.randn(*shape, device=DEVICE), dim=-1).bfloat16()


def _gate(*shape):
    # Rounded, so that a peer that takes bf16 gates sees the same numbers.
    return F.logsigmoid(torch.randn(*shape, device=DEVICE)).bfloat16().float()


def _qkv(B, T, H, D, unit=False):
    make = _unit if unit else _randn
    return dict(q=make(B, T, H, D), k=make(B, T, H, D), v=_randn(B, T, H, D))


def cases():
    from fla.ops.delta_rule import chunk_delta_rule
    from fla.ops.gated_delta_rule import chunk_gated_delta_rule
    from fla.ops.gla import chunk_gla
    from fla.ops.hgrn import fused_recurrent_hgrn
    from fla.ops.kda import chunk_kda
    from fla.ops.retention import chunk_retention
    from fla.ops.rwkv6 import chunk_rwkv6
    from fla.ops.rwkv7 import chunk_rwkv7
    from fla.ops.simple_gla import chunk_simple_gla

    root = lambda x: 1 / math.sqrt(x.shape[-1])
    gamma = lambda H: torch.log(1 - 2.0 ** (-5 - torch.arange(H, device=DEVICE, dtype=torch.float64)))
    half = lambda x: x.bfloat16()
    first = lambda result: result[0]

    def delta(B, T, H, D, gate):
        return dict(_qkv(B, T, H, D, True), **({} if gate is None else dict(g=gate)), beta=torch.rand(B, T, H, device=DEVICE))

    def seven(B, T, H, D):
        kk, strength = _unit(B, T, H, D), torch.rand(B, T, H, D, device=DEVICE)
        w = -math.exp(-0.5) * torch.rand(B, T, H, D, device=DEVICE)
        return dict(r=_randn(B, T, H, D), w=w.bfloat16().float(), k=_unit(B, T, H, D), v=_randn(B, T, H, D), a=-kk, b=(kk * strength).bfloat16())

    def six(B, T, H, D):
        return dict(r=_randn(B, T, H, D), k=_randn(B, T, H, D), v=_randn(B, T, H, D), w=_gate(B, T, H, D), u=torch.randn(H, D, device=DEVICE))

    return [
        Case("retention", _qkv, lambda q, k, v: first(chunk_retention(q, k, v)),
             lambda q, k, v: recurrence(q, k, v, g=gamma(q.shape[2]).expand(q.shape[:3]), scale=root(q))),
        Case("simple_gla", lambda *s: dict(_qkv(*s), g=_gate(*s[:3])), lambda q, k, v, g: first(chunk_simple_gla(q, k, v, g=g)),
             lambda q, k, v, g: recurrence(q, k, v, g=g, scale=root(q))),
        Case("gla", lambda *s: dict(_qkv(*s), g=_gate(*s)), lambda q, k, v, g: first(chunk_gla(q, k, v, half(g))),
             lambda q, k, v, g: recurrence(q, k, v, g=g, scale=root(q))),
        Case("delta_net", lambda *s: delta(*s, None), lambda q, k, v, beta: first(chunk_delta_rule(q, k, v, half(beta))),
             lambda q, k, v, beta: recurrence(q, k, v, beta=beta, scale=root(q))),
        Case("gated_delta", lambda *s: delta(*s, _gate(*s[:3])), lambda q, k, v, g, beta: first(chunk_gated_delta_rule(q, k, v, g, half(beta))),
             lambda q, k, v, g, beta: recurrence(q, k, v, g=g, beta=beta, scale=root(q))),
        Case("kda", lambda *s: delta(*s, _gate(*s)), lambda q, k, v, g, beta: first(chunk_kda(q, k, v, half(g), half(beta), safe_gate=True, lower_bound=-5.0)),
             lambda q, k, v, g, beta: recurrence(q, k, v, g=g, beta=beta, scale=root(q))),
        Case("rwkv6", six, lambda r, w, k, v, u: first(chunk_rwkv6(r, k, v, half(w), half(u), scale=1.0)),
             lambda r, w, k, v, u: recurrence(r, k, v, g=w, u=u, before=True), params=("u",)),
        Case("rwkv7", seven, lambda r, w, k, v, a, b: first(chunk_rwkv7(r, half(w), k, v, a, b, scale=1.0)),
             lambda r, w, k, v, a, b: recurrence(r, k, v, g=w, a=a, b=b)),
        _mamba2(),
        Case("hgrn", lambda B, T, H, D: dict(x=_randn(B, T, 1, 16 * D), g=_gate(B, T, 1, 16 * D)),
             lambda x, g: first(fused_recurrent_hgrn(x.squeeze(2), half(g).squeeze(2))).unsqueeze(2), _elementwise, heads=1, sizes=lambda D: dict(D=16 * D)),
    ]


def _elementwise(x, g):
    h, out = torch.zeros_like(x[:, 0]), []
    for t in range(x.shape[1]):
        h = g[:, t].exp() * h + x[:, t]
        out.append(h)
    return torch.stack(out, 1)


def _mamba2():
    """x [.., 2H heads, 64], state 64 x 128, one group, as mamba's own models."""
    def inputs(B, T, H, D):
        H, P = 2 * H, D // 2
        return dict(x=_randn(B, T, H, P), dt=torch.randn(B, T, H, device=DEVICE), B=_randn(B, T, 1, D), C=_randn(B, T, 1, D),
                    A_log=torch.rand(H, device=DEVICE), dt_bias=torch.rand(H, device=DEVICE) - 4, D=torch.randn(H, device=DEVICE))

    def peer(x, dt, B, C, A_log, dt_bias, D):
        from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined
        return mamba_chunk_scan_combined(x, dt.bfloat16(), -torch.exp(A_log), B, C, chunk_size=256, D=D, dt_bias=dt_bias, dt_softplus=True)

    def reference(x, dt, B, C, A_log, dt_bias, D):
        delta, H = F.softplus(dt + dt_bias), x.shape[2]
        spread = lambda y: y.expand(-1, -1, H, -1)
        return recurrence(spread(C), spread(B), delta[..., None] * x, g=-torch.exp(A_log) * delta) + D[:, None] * x

    return Case("mamba2", inputs, peer, reference, groups=1, heads=lambda H: 2 * H, sizes=lambda D: dict(P=D // 2, N=D), params=("A_log", "dt_bias", "D"))
