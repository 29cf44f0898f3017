"""Functions whose state decays and is written, without correction: gla, simple_gla, retention, lightning, rwkv6, gsa, hgrn, Mamba-2."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ._scan import check, fitting, run, v_first


def chunk_gla(q, k, v, g, scale=None, initial_state=None, output_final_state=False, state_v_first=False, cu_seqlens=None, cu_seqlens_cpu=None):
    return _gla(q, k, v, g, scale, initial_state, output_final_state, state_v_first, cu_seqlens, cu_seqlens_cpu, {})


def fused_recurrent_gla(
    q, k, v, gk=None, gv=None, scale=None, initial_state=None, output_final_state=False, reverse=False, state_v_first=False, cu_seqlens=None, **options
):
    g = torch.zeros_like(k) if gk is None else gk
    return _gla(q, k, v, g, scale, initial_state, output_final_state, state_v_first, cu_seqlens, None, {**options, "gv": gv, "reverse": reverse}, True)


def _gla(q, k, v, g, scale, state, final, transposed, cu_seqlens, cu_seqlens_cpu, options, token=False):
    transposed = v_first(transposed, options)
    check(q, state, cu_seqlens, options)
    return run(
        "gla", {"q": q, "k": k, "v": v, "g": g}, scale=scale, state=state, final=final, transposed=transposed, cu_seqlens=cu_seqlens, cu_seqlens_cpu=cu_seqlens_cpu, token=token
    )


def chunk_simple_gla(
    q, k, v, g=None, g_gamma=None, scale=None, initial_state=None, output_final_state=False, state_v_first=False, cu_seqlens=None, cu_seqlens_cpu=None, **options
):
    return _simple(q, k, v, g, g_gamma, scale, initial_state, output_final_state, state_v_first, cu_seqlens, cu_seqlens_cpu, options)


def fused_recurrent_simple_gla(
    q, k, v, g=None, g_gamma=None, scale=None, initial_state=None, output_final_state=False, reverse=False, state_v_first=False, cu_seqlens=None, **options
):
    return _simple(q, k, v, g, g_gamma, scale, initial_state, output_final_state, state_v_first, cu_seqlens, None, {**options, "reverse": reverse}, True)


def _simple(q, k, v, g, g_gamma, scale, state, final, transposed, cu_seqlens, cu_seqlens_cpu, options, token=False):
    transposed = v_first(transposed, options)
    check(q, state, cu_seqlens, options)
    if g is not None and g_gamma is not None:
        raise ValueError("give g or g_gamma, not both")
    if g is None:
        g = q.new_zeros(q.shape[:3], dtype=torch.float32) if g_gamma is None else g_gamma.expand(q.shape[:3])
    inputs = {"q": q, "k": k, "v": v, "g": g}
    return run("simple_gla", inputs, scale=scale, state=state, final=final, transposed=transposed, cu_seqlens=cu_seqlens, cu_seqlens_cpu=cu_seqlens_cpu, token=token)


def chunk_retention(q, k, v, scale=None, initial_state=None, output_final_state=False, cu_seqlens=None, **options):
    return _retention(q, k, v, scale, initial_state, output_final_state, False, cu_seqlens, options)


def fused_recurrent_retention(
    q, k, v, scale=None, initial_state=None, output_final_state=False, reverse=False, state_v_first=False, cu_seqlens=None, **options
):
    return _retention(q, k, v, scale, initial_state, output_final_state, state_v_first, cu_seqlens, {**options, "reverse": reverse}, True)


def _retention(q, k, v, scale, state, final, transposed, cu_seqlens, options, token=False):
    transposed = v_first(transposed, options)
    check(q, state, cu_seqlens, options)
    return run("retention", {"q": q, "k": k, "v": v}, scale=scale, state=state, final=final, transposed=transposed, cu_seqlens=cu_seqlens, token=token)


def chunk_lightning_attn(q, k, v, layer_idx, num_layers, scale=None, initial_state=None, output_final_state=False, cu_seqlens=None, **options):
    slopes = _slopes(q, layer_idx, num_layers)
    return _simple(q, k, v, None, slopes, scale, initial_state, output_final_state, False, cu_seqlens, None, options)


def fused_recurrent_lightning_attn(
    q, k, v, layer_idx, num_layers, scale=None, initial_state=None, output_final_state=False, reverse=False, cu_seqlens=None, **options
):
    slopes = _slopes(q, layer_idx, num_layers)
    return _simple(q, k, v, None, slopes, scale, initial_state, output_final_state, False, cu_seqlens, None, {**options, "reverse": reverse}, True)


def _slopes(q: Tensor, layer: int, layers: int) -> Tensor:
    """Log decays of heads; they fade with depth, unlike those of examples/lightning.lmoe."""
    heads = q.shape[2]
    return torch.arange(heads, device=q.device, dtype=torch.float32) * (-8 / heads * (1 - layer / layers))


def chunk_rwkv6(r, k, v, w, u, scale=None, initial_state=None, output_final_state=False, cu_seqlens=None, cu_seqlens_cpu=None, **options):
    return _rwkv6(r, k, v, w, u, scale, initial_state, output_final_state, cu_seqlens, cu_seqlens_cpu, options)


def fused_recurrent_rwkv6(r, k, v, w, u, scale=None, initial_state=None, output_final_state=False, reverse=False, cu_seqlens=None, **options):
    return _rwkv6(r, k, v, w, u, scale, initial_state, output_final_state, cu_seqlens, None, {**options, "reverse": reverse}, True)


def _rwkv6(r, k, v, w, u, scale, state, final, cu_seqlens, cu_seqlens_cpu, options, token=False):
    check(r, state, cu_seqlens, options)
    return run(
        "rwkv6", {"r": r, "k": k, "v": v, "w": w}, params={"u": u}, scale=scale, scaled="r", own=0, state=state, final=final,
        cu_seqlens=cu_seqlens, cu_seqlens_cpu=cu_seqlens_cpu, token=token,
    )


def chunk_gsa(
    q, k, v, s, g=None, scale=None, initial_state=None, output_final_state=False, checkpoint_level=2, cu_seqlens=None, cu_seqlens_cpu=None, **options
):
    return _gsa(q, k, v, s, g, scale, initial_state, output_final_state, cu_seqlens, cu_seqlens_cpu, options)


def fused_recurrent_gsa(q, k, v, s, g=None, scale=None, initial_state=None, output_final_state=False, reverse=False, cu_seqlens=None):
    return _gsa(q, k, v, s, g, scale, initial_state, output_final_state, cu_seqlens, None, {"reverse": reverse}, True)


def _gsa(q, k, v, s, g, scale, state, final, cu_seqlens, cu_seqlens_cpu, options, token=False):
    check(q, None if state is None else state[0], cu_seqlens, options)
    if q.shape[2] != k.shape[2]:
        raise NotImplementedError(f"lmoec_fla wants as many heads of k as of q in gsa, found {k.shape[2]} and {q.shape[2]}")
    if g is None:
        z = s.float().logcumsumexp(1)
        g = torch.cat((z[:, :1], z[:, :-1]), 1) - z
        s = torch.exp(s - z).to(k.dtype)
    o, last = run(
        "fla_gsa", {"q": q, "k": k, "v": v, "s": s, "g": g}, scale=scale, state=state, final=final, cu_seqlens=cu_seqlens, cu_seqlens_cpu=cu_seqlens_cpu, token=token,
        whole=("M",),
    )
    return o, last


def chunk_hgrn(x, g, initial_state=None, output_final_state=False):
    return fused_recurrent_hgrn(x, g, initial_state, output_final_state)


def fused_recurrent_hgrn(x, g, initial_state=None, output_final_state=False, cu_seqlens=None):
    check(x, initial_state, cu_seqlens, {})
    width = x.shape[-1]
    head = fitting("hgrn", x.device, {"D": 1})["D"]
    more = -width % head

    def heads(y: Tensor) -> Tensor:
        return F.pad(y, (0, more)).unflatten(-1, (-1, head))

    state = None if initial_state is None else heads(initial_state)
    o, last = run("hgrn", {"x": heads(x), "g": heads(g)}, scaled=None, state=state, final=output_final_state, cu_seqlens=cu_seqlens, token=True)
    return o.flatten(-2)[..., :width], None if last is None else last.flatten(-2)[..., :width]


def mamba_chunk_scan_combined(
    x, dt, A, B, C, chunk_size=None, D=None, z=None, dt_bias=None, initial_states=None, seq_idx=None, cu_seqlens=None, dt_softplus=False,
    dt_limit=(0.0, float("inf")), return_final_states=False, return_varlen_states=False,
) -> Any:
    """Of mamba_ssm and of FLA's Mamba-2 layer. States are [N, H, P, N']."""
    if seq_idx is not None or return_varlen_states or cu_seqlens is not None:
        raise NotImplementedError("lmoec_fla does not offer seq_idx, cu_seqlens and return_varlen_states of mamba_chunk_scan_combined")
    heads, groups = x.shape[2], B.shape[2]
    limited = tuple(dt_limit) != (0.0, float("inf"))
    plain_D = D is None or D.ndim == 1
    if dt_softplus and not limited:
        zeros = A.new_zeros(heads, dtype=torch.float32)
        params = {"A_log": torch.log(-A.float()), "dt_bias": zeros if dt_bias is None else dt_bias, "D": D if D is not None and plain_D else zeros}
        inputs = {"x": x, "dt": dt, "B": B, "C": C}
        y, last = run("mamba2", inputs, scaled=None, params=params, state=initial_states, final=return_final_states, transposed=True)
    else:
        dt = dt.float() if dt_bias is None else dt.float() + dt_bias.float()
        dt = (F.softplus(dt) if dt_softplus else dt).clamp(*dt_limit) if limited or dt_softplus else dt
        q, k = (y.repeat_interleave(heads // groups, 2) for y in (C, B))
        written = (x * dt.unsqueeze(-1)).to(x.dtype)
        inputs = {"q": q, "k": k, "v": written, "g": A.float() * dt}
        y, last = run("simple_gla", inputs, scale=1.0, state=initial_states, final=return_final_states, transposed=True)
        if D is not None and plain_D:
            y = (y + x * D.unsqueeze(-1)).to(x.dtype)
    if D is not None and not plain_D:
        y = (y + x * D).to(x.dtype)
    if z is not None:
        y = (y * F.silu(z)).to(x.dtype)
    return (y, last) if return_final_states else y
