"""What the tables of compare.py are about: inputs, the peers' hand-written kernels, and token-by-token float64 recurrences.

Peers are not part of this repository: whoever runs the bench fetches flash-linear-attention (and mamba, for its one row) and names their folders
in PYTHONPATH.
"""
import functools
import importlib
import math

import torch
import torch.nn.functional as F

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


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
    """One scan: `inputs(B, T, H, D)` gives bf16 (io) and f32 (gates, params) tensors by the names of the example.

    `peer`: (module, function, how it is called with inputs by name and options of its own). `step`: the same for one token after another.
    `half`: what the peer takes in bf16 where we take f32. The numbers are the same, and nobody is timed converting them.
    `shared`: inputs of which fewer heads than values may be given.
    """

    def __init__(self, name, inputs, peer, reference, half=(), sizes=None, groups=None, heads=None, step=None, shared=()):
        self.name, self.inputs, self.reference, self.half = name, inputs, reference, half
        self.peer, self.step = peer, step
        self.sizes = sizes or (lambda D: dict(K=D, V=D))
        self.groups, self.heads, self.shared = groups, heads, shared

    def peer_inputs(self, inputs):
        return {n: x.bfloat16() if n in self.half else x for n, x in inputs.items()}

    def run_peer(self, inputs, **options):
        """The output. `options`: cu_seqlens."""
        module, name, call = self.peer
        return call(_fetched(module, name), **inputs, **options)[0]

    def run_step(self, inputs, state):
        """The output of one token [B, 1, ...] and the state after it."""
        module, name, call = self.step
        return call(_fetched(module, name), **inputs, initial_state=state, output_final_state=True)[:2]

    def heads_of(self, H):
        return self.heads(H) if callable(self.heads) else self.heads or H


@functools.lru_cache(None)
def _fetched(module, name):
    """A peer's function, imported when first called: rows of our own need no peer."""
    return getattr(importlib.import_module(module), name)


def _fla(operator, name, call):
    """The function fla.ops.OPERATOR.NAME, of whose results the first is the output."""
    return f"fla.ops.{operator}", name, call


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
    root = lambda x: 1 / math.sqrt(x.shape[-1])
    gamma = lambda H: torch.log(1 - 2.0 ** (-5 - torch.arange(H, device=DEVICE, dtype=torch.float64)))

    def delta(B, T, H, D, gate):
        beta = torch.rand(B, T, H, device=DEVICE).bfloat16().float()
        return dict(_qkv(B, T, H, D, True), **({} if gate is None else dict(g=gate)), beta=beta)

    def seven(B, T, H, D):
        kk, strength = _unit(B, T, H, D), torch.rand(B, T, H, D, device=DEVICE)
        w = -math.exp(-0.5) * torch.rand(B, T, H, D, device=DEVICE)
        return dict(r=_randn(B, T, H, D), w=w.bfloat16().float(), k=_unit(B, T, H, D), v=_randn(B, T, H, D), a=-kk, b=(kk * strength).bfloat16())

    def six(B, T, H, D):
        u = torch.randn(H, D, device=DEVICE).bfloat16().float()
        return dict(r=_randn(B, T, H, D), k=_randn(B, T, H, D), v=_randn(B, T, H, D), w=_gate(B, T, H, D), u=u)

    def feedback(B, T, H, D):
        """Keys of unit length, erased along 0.5 to 1 times themselves."""
        made = delta(B, T, H, D, _gate(B, T, H))
        return dict(made, p=(made["k"] * (0.5 + 0.5 * torch.rand(B, T, H, 1, device=DEVICE))).bfloat16())

    def two_gates(B, T, H, D):
        share = lambda: torch.rand(B, T, H, D, device=DEVICE).bfloat16()
        return dict(_qkv(B, T, H, D, True), g=_gate(B, T, H, D), b=share(), w=share())

    def both(operator, call, step=None):
        """Peer and step of an operator whose functions take the same, or `step` otherwise."""
        return dict(peer=_fla(operator, f"chunk_{operator}", call), step=_fla(operator, f"fused_recurrent_{operator}", step or call))

    qkv = lambda f, q, k, v, **more: f(q, k, v, **more)
    six_call = lambda f, r, w, k, v, u, **more: f(r, k, v, w, u, scale=1.0, **more)
    seven_call = lambda f, r, w, k, v, a, b, **more: f(r, w, k, v, a, b, scale=1.0, **more)
    bounded = dict(safe_gate=True, lower_bound=-5.0)
    hgrn = lambda f, x, g, **more: [y.unsqueeze(2) if i == 0 else y for i, y in enumerate(f(x.squeeze(2), g.squeeze(2), **more))]
    return [
        Case("retention", _qkv, reference=lambda q, k, v: recurrence(q, k, v, g=gamma(q.shape[2]).expand(q.shape[:3]), scale=root(q)),
             **both("retention", qkv)),
        Case("simple_gla", lambda *s: dict(_qkv(*s), g=_gate(*s[:3])),
             reference=lambda q, k, v, g: recurrence(q, k, v, g=g, scale=root(q)), **both("simple_gla", qkv)),
        Case("gla", lambda *s: dict(_qkv(*s), g=_gate(*s)), reference=lambda q, k, v, g: recurrence(q, k, v, g=g, scale=root(q)), half=("g",),
             **both("gla", lambda f, q, k, v, g, **more: f(q, k, v, g, **more))),
        Case("delta_net", lambda *s: delta(*s, None), reference=lambda q, k, v, beta: recurrence(q, k, v, beta=beta, scale=root(q)), half=("beta",),
             **both("delta_rule", qkv)),
        Case("gated_delta", lambda *s: delta(*s, _gate(*s[:3])), shared=("q", "k"),
             reference=lambda q, k, v, g, beta: recurrence(q, k, v, g=g, beta=beta, scale=root(q)), half=("beta",), **both("gated_delta_rule", qkv)),
        Case("kda", lambda *s: delta(*s, _gate(*s)), shared=("q", "k"),
             reference=lambda q, k, v, g, beta: recurrence(q, k, v, g=g, beta=beta, scale=root(q)), half=("g", "beta"),
             **both("kda", lambda f, q, k, v, **more: f(q, k, v, **bounded, **more), qkv)),
        Case("rwkv6", six, reference=lambda r, w, k, v, u: recurrence(r, k, v, g=w, u=u, before=True), half=("w", "u"), **both("rwkv6", six_call)),
        Case("rwkv7", seven, reference=lambda r, w, k, v, a, b: recurrence(r, k, v, g=w, a=a, b=b), half=("w",), **both("rwkv7", seven_call)),
        _mamba2(),
        Case("hgrn", lambda B, T, H, D: dict(x=_randn(B, T, 1, 16 * D), g=_gate(B, T, 1, 16 * D)), _fla("hgrn", "fused_recurrent_hgrn", hgrn),
             _elementwise, half=("g",), heads=1, sizes=lambda D: dict(D=16 * D), step=_fla("hgrn", "fused_recurrent_hgrn", hgrn)),
        Case("comba", feedback, half=("beta",),
             reference=lambda q, k, p, v, g, beta: recurrence(q, k, beta[..., None] * v, g=g, a=p, b=-beta[..., None] * k, scale=root(q)),
             **both("comba", lambda f, q, k, p, v, g, beta, **more: f(q, k, v, p, g, beta, **more),
                    lambda f, q, k, p, v, g, beta, **more: f(q, k, p, v, g, beta, **more))),
        Case("gdn2", two_gates, half=("g",),
             reference=lambda q, k, v, g, b, w: recurrence(q, k, w * v, g=g, a=b * k * g.exp(), b=-k, scale=root(q)),
             **both("gdn2", lambda f, q, k, v, **more: f(q, k, v, **bounded, **more), qkv)),
        Case("gsa", lambda *s: dict(_qkv(*s), g=_gate(*s[:3], 64)), reference=_slots, half=("g",), sizes=lambda D: dict(K=D, V=D, M=64),
             **both("gsa", lambda f, q, k, v, g, **more: f(q, k, v, 1 - g.exp(), g, **more))),
    ]


def _slots(q, k, v, g):
    """Gated slot attention: slots are the rows of both memories."""
    addresses, contents, out = 0, 0, []
    for t in range(q.shape[1]):
        keep, row = g[:, t].exp().unsqueeze(-1), lambda x: x[:, t].unsqueeze(-2)
        addresses = keep * addresses + (1 - keep) * row(k)
        contents = keep * contents + (1 - keep) * row(v)
        slots = torch.softmax(torch.einsum("bhk,bhmk->bhm", q[:, t], addresses) / math.sqrt(q.shape[-1]), -1)
        out.append(torch.einsum("bhm,bhmv->bhv", slots, contents))
    return torch.stack(out, 1)


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
        return dict(x=_randn(B, T, H, P), dt=torch.randn(B, T, H, device=DEVICE).bfloat16().float(), B=_randn(B, T, 1, D), C=_randn(B, T, 1, D),
                    A_log=torch.rand(H, device=DEVICE), dt_bias=torch.rand(H, device=DEVICE) - 4, D=torch.randn(H, device=DEVICE))

    def call(scan, x, dt, B, C, A_log, dt_bias, D):
        return [scan(x, dt, -torch.exp(A_log), B, C, chunk_size=256, D=D, dt_bias=dt_bias, dt_softplus=True)]

    def reference(x, dt, B, C, A_log, dt_bias, D):
        delta, H = F.softplus(dt + dt_bias), x.shape[2]
        spread = lambda y: y.expand(-1, -1, H, -1)
        return recurrence(spread(C), spread(B), delta[..., None] * x, g=-torch.exp(A_log) * delta) + D[:, None] * x

    peer = "mamba_ssm.ops.triton.ssd_combined", "mamba_chunk_scan_combined", call
    return Case("mamba2", inputs, peer, reference, half=("dt",), groups=1, heads=lambda H: 2 * H, sizes=lambda D: dict(P=D // 2, N=D))
