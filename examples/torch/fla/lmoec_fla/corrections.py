"""Functions that correct their state: delta rules, gated, KDA, Comba, GDN-2, and those of low rank: IPLR, DPLR, RWKV-7."""

from __future__ import annotations

import math

import torch

from ._gates import decay, projected, rate, unit
from ._scan import check, run, v_first

#: The range of `g` in examples/kda.lmoe, and of `w` in examples/rwkv7.lmoe with room for the rounding of callers.
LEAST_KDA, LEAST_RWKV7 = -5.0, -math.exp(-0.5) - 1e-4


def chunk_gated_delta_rule(
    q, k, v, g, beta, scale=None, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False, use_beta_sigmoid_in_kernel=False,
    allow_neg_eigval=False, state_v_first=False, cu_seqlens=None, cu_seqlens_cpu=None, chunk_indices=None, cp_context=None, **options,
):
    options = {**options, "cp_context": cp_context}
    gate = {name: options.pop(name, None) for name in ("use_gate_in_kernel", "A_log", "dt_bias")}
    return _gated(
        q, k, v, g, beta, scale, initial_state, output_final_state, use_qk_l2norm_in_kernel, gate, use_beta_sigmoid_in_kernel, allow_neg_eigval, state_v_first,
        cu_seqlens, cu_seqlens_cpu, options,
    )


def fused_recurrent_gated_delta_rule(
    q, k, v, g=None, gk=None, gv=None, beta=None, scale=None, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False, use_gate_in_kernel=False,
    A_log=None, dt_bias=None, use_beta_sigmoid_in_kernel=False, allow_neg_eigval=False, state_v_first=False, cu_seqlens=None, **options,
):
    if gk is not None:
        raise NotImplementedError("lmoec_fla does not offer gk here: decays per channel are fused_recurrent_kda's")
    gate = {"use_gate_in_kernel": use_gate_in_kernel, "A_log": A_log, "dt_bias": dt_bias}
    return _gated(
        q, k, v, g, beta, scale, initial_state, output_final_state, use_qk_l2norm_in_kernel, gate, use_beta_sigmoid_in_kernel, allow_neg_eigval, state_v_first,
        cu_seqlens, None, {**options, "gv": gv}, True,
    )


def _gated(q, k, v, g, beta, scale, state, final, normal, gate, logits, negative, transposed, cu_seqlens, cu_seqlens_cpu, options, token=False):
    transposed = v_first(transposed, options)
    _grouped(q, k, v)
    check(q, state, cu_seqlens, options, (16, 32, 64), "16, 32, or 64")
    rest = {"scale": scale, "state": state, "final": final, "transposed": transposed, "token": token, "shards": options.get("cp_context")}
    rest |= {"cu_seqlens": cu_seqlens, "cu_seqlens_cpu": cu_seqlens_cpu}
    if normal and gate["use_gate_in_kernel"] and logits and not negative and beta is not None:
        params = projected(g, gate["A_log"], gate["dt_bias"])
        return run("fla_gated_delta_raw", {"q": q, "k": k, "v": v, "g": g, "beta": beta}, params=params, scaled="o", **rest)
    beta = v.new_ones(v.shape[:3]) if beta is None else rate(beta, logits, negative)
    if gate["use_gate_in_kernel"]:
        g = decay(g, gate["A_log"], gate["dt_bias"])
    elif g is None:
        g = v.new_zeros(v.shape[:3], dtype=torch.float32)
    inputs = {"q": q, "k": k, "v": v, "g": g, "beta": beta}
    return run("fla_gated_delta_unit", inputs, scaled="o", **rest) if normal else run("gated_delta", inputs, **rest)


def _grouped(q, k, v):
    if q.shape[2] != k.shape[2]:
        raise ValueError(f"q and k must have the same heads, found {q.shape[2]} and {k.shape[2]}")
    if v.shape[2] % q.shape[2]:
        raise ValueError(f"the heads of v must be a multiple of those of q, found {v.shape[2]} and {q.shape[2]}")


def chunk_kda(
    q, k, v, g, beta, scale=None, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False, use_gate_in_kernel=False,
    use_beta_sigmoid_in_kernel=False, allow_neg_eigval=False, safe_gate=False, lower_bound=None, disable_recompute=False, return_intermediate_states=False,
    state_v_first=False, cu_seqlens=None, cu_seqlens_cpu=None, cp_context=None, **options,
):
    options = {**options, "cp_context": cp_context, "return_intermediate_states": return_intermediate_states}
    gate = (use_gate_in_kernel, options.pop("A_log", None), options.pop("dt_bias", None), lower_bound, safe_gate)
    return _kda(
        q, k, v, g, beta, scale, initial_state, output_final_state, use_qk_l2norm_in_kernel, gate, use_beta_sigmoid_in_kernel, allow_neg_eigval, state_v_first,
        cu_seqlens, cu_seqlens_cpu, options,
    )


def fused_recurrent_kda(
    q, k, v, g, beta, A_log=None, dt_bias=None, scale=None, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False, use_gate_in_kernel=False,
    use_beta_sigmoid_in_kernel=False, allow_neg_eigval=False, lower_bound=None, state_v_first=False, cu_seqlens=None, **options,
):
    gate = (use_gate_in_kernel, A_log, dt_bias, lower_bound, False)
    return _kda(
        q, k, v, g, beta, scale, initial_state, output_final_state, use_qk_l2norm_in_kernel, gate, use_beta_sigmoid_in_kernel, allow_neg_eigval, state_v_first,
        cu_seqlens, None, options, True,
    )


def _kda(q, k, v, g, beta, scale, state, final, normal, gate, logits, negative, transposed, cu_seqlens, cu_seqlens_cpu, options, token=False):
    transposed = v_first(transposed, options)
    _grouped(q, k, v)
    check(q, state, cu_seqlens, options, (32, 64), "either 32 or 64")
    rest = {"scale": scale, "state": state, "final": final, "transposed": transposed, "token": token, "shards": options.get("cp_context")}
    rest |= {"cu_seqlens": cu_seqlens, "cu_seqlens_cpu": cu_seqlens_cpu}
    activated, A_log, dt_bias, bound, safe = gate
    # The formulas with a bound are the faster ones; gates below the bound would leave what their kernels can represent.
    if normal and activated and logits and not negative and (bound is None or bound >= LEAST_KDA):
        _check_bound(bound, safe)
        params = projected(g, A_log, dt_bias, bound)
        return run("fla_kda_raw" if bound is None else "fla_kda_raw_bounded", {"q": q, "k": k, "v": v, "g": g, "beta": beta}, params=params, scaled="o", **rest)
    g, bounded = _channel_gate(g, *gate)
    inputs = {"q": q, "k": k, "v": v, "g": g, "beta": rate(beta, logits, negative)}
    if normal and not bounded:
        return run("fla_kda_unit", inputs, scaled="o", **rest)
    if normal:
        inputs |= {"q": unit(q), "k": unit(k)}
    return run("kda" if bounded else "fla_kda", inputs, **rest)


def _channel_gate(g, raw, A_log, dt_bias, bound, safe):
    """The log decay per channel, and whether it is known to be at least LEAST_KDA."""
    if not raw:
        return g, safe
    _check_bound(bound, safe)
    return decay(g, A_log, dt_bias, bound), bound is not None and bound >= LEAST_KDA


def _check_bound(bound, safe):
    if safe and bound is None:
        raise ValueError("safe_gate=True with use_gate_in_kernel=True needs lower_bound")
    if safe and not LEAST_KDA <= bound < 0:
        raise ValueError(f"with safe_gate=True lower_bound must be in [{LEAST_KDA:g}, 0), found {bound}")


def chunk_delta_rule(
    q, k, v, beta, scale=None, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False, cu_seqlens=None, cu_seqlens_cpu=None, **options
):
    return _delta(q, k, v, beta, scale, initial_state, output_final_state, use_qk_l2norm_in_kernel, cu_seqlens, cu_seqlens_cpu, options)


def fused_recurrent_delta_rule(q, k, v, beta=None, scale=None, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False, cu_seqlens=None):
    beta = torch.ones_like(v[..., 0]) if beta is None else beta
    return _delta(q, k, v, beta, scale, initial_state, output_final_state, use_qk_l2norm_in_kernel, cu_seqlens, None, {}, True)


def _delta(q, k, v, beta, scale, state, final, normal, cu_seqlens, cu_seqlens_cpu, options, token=False):
    check(q, state, cu_seqlens, options, (16, 32, 64), "16, 32, or 64")
    if beta.ndim != 3:
        raise NotImplementedError("lmoec_fla offers beta [B, T, H] only, not one per channel of v")
    name, scaled = ("fla_delta_net_unit", "o") if normal else ("delta_net", "q")
    inputs = {"q": q, "k": k, "v": v, "beta": beta}
    return run(name, inputs, scale=scale, scaled=scaled, state=state, final=final, cu_seqlens=cu_seqlens, cu_seqlens_cpu=cu_seqlens_cpu, token=token)


def chunk_comba(
    q, k, v, p, g, beta=None, scale=None, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False, cu_seqlens=None, cu_seqlens_cpu=None
):
    return _comba(q, k, v, p, g, beta, scale, initial_state, output_final_state, use_qk_l2norm_in_kernel, cu_seqlens, cu_seqlens_cpu)


def fused_recurrent_comba(q, k, p, v, g, beta=None, scale=None, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False, cu_seqlens=None):
    return _comba(q, k, v, p, g, beta, scale, initial_state, output_final_state, use_qk_l2norm_in_kernel, cu_seqlens, None, True)


def _comba(q, k, v, p, g, beta, scale, state, final, normal, cu_seqlens, cu_seqlens_cpu, token=False):
    check(q, state, cu_seqlens, {})
    p = k if p is None else p
    name, scaled = ("fla_comba_unit", "o") if normal else ("comba", "q")
    inputs = {"q": q, "k": k, "p": p, "v": v, "g": g, "beta": v.new_ones(v.shape[:3]) if beta is None else beta}
    return run(name, inputs, scale=scale, scaled=scaled, state=state, final=final, cu_seqlens=cu_seqlens, cu_seqlens_cpu=cu_seqlens_cpu, token=token)


def chunk_gdn2(
    q, k, v, g, b, w, scale=None, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False, use_gate_in_kernel=False, cu_seqlens=None,
    cu_seqlens_cpu=None, safe_gate=False, lower_bound=None, disable_recompute=False, return_intermediate_states=False, state_v_first=False, **options,
):
    options = {**options, "return_intermediate_states": return_intermediate_states}
    gate = (use_gate_in_kernel, options.pop("A_log", None), options.pop("dt_bias", None), lower_bound, safe_gate)
    return _gdn2(q, k, v, g, b, w, scale, initial_state, output_final_state, use_qk_l2norm_in_kernel, gate, state_v_first, cu_seqlens, cu_seqlens_cpu, options)


def fused_recurrent_gdn2(
    q, k, v, g, b, w, A_log=None, dt_bias=None, scale=None, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False, use_gate_in_kernel=False,
    lower_bound=None, state_v_first=False, cu_seqlens=None, **options,
):
    gate = (use_gate_in_kernel, A_log, dt_bias, lower_bound, False)
    return _gdn2(q, k, v, g, b, w, scale, initial_state, output_final_state, use_qk_l2norm_in_kernel, gate, state_v_first, cu_seqlens, None, options, True)


def _gdn2(q, k, v, g, b, w, scale, state, final, normal, gate, transposed, cu_seqlens, cu_seqlens_cpu, options, token=False):
    transposed = v_first(transposed, options)
    check(q, state, cu_seqlens, options, (64,), "64 for GDN-2")
    g, _ = _channel_gate(g, *gate)
    name, scaled = ("fla_gdn2_unit", "o") if normal else ("gdn2", "q")
    inputs = {"q": q, "k": k, "v": v, "g": g, "b": b, "w": w}
    return run(
        name, inputs, scale=scale, scaled=scaled, state=state, final=final, transposed=transposed, cu_seqlens=cu_seqlens, cu_seqlens_cpu=cu_seqlens_cpu, token=token,
    )


def chunk_iplr_delta_rule(q, k, v, a, b, scale=None, initial_state=None, output_final_state=False, cu_seqlens=None, cu_seqlens_cpu=None, **options):
    return _iplr(q, k, v, a, b, scale, initial_state, output_final_state, cu_seqlens, cu_seqlens_cpu, options)


def fused_recurrent_iplr_delta_rule(q, k, v, a, b, scale=None, initial_state=None, output_final_state=False, cu_seqlens=None):
    return _iplr(q, k, v, a, b, scale, initial_state, output_final_state, cu_seqlens, None, {}, True)


def _iplr(q, k, v, a, b, scale, state, final, cu_seqlens, cu_seqlens_cpu, options, token=False):
    check(q, state, cu_seqlens, options)
    inputs = {"q": q, "k": k, "v": v, "a": a, "b": b}
    return run("iplr", inputs, scale=scale, state=state, final=final, cu_seqlens=cu_seqlens, cu_seqlens_cpu=cu_seqlens_cpu, token=token)


def chunk_dplr_delta_rule(
    q, k, v, a, b, gk, scale=None, initial_state=None, output_final_state=False, cu_seqlens=None, cu_seqlens_cpu=None, safe_gate=False, chunk_size=None,
    disable_recompute=False, cp_context=None, lower_bound=None, **options,
):
    options = {**options, "chunk_size": chunk_size, "cp_context": cp_context}
    return _dplr(q, k, v, a, b, gk, scale, initial_state, output_final_state, lower_bound, cu_seqlens, cu_seqlens_cpu, options)


def fused_recurrent_dplr_delta_rule(q, k, v, a, b, gk, scale=None, initial_state=None, output_final_state=False, reverse=False, cu_seqlens=None):
    return _dplr(q, k, v, a, b, gk, scale, initial_state, output_final_state, None, cu_seqlens, None, {"reverse": reverse}, True)


def chunk_rwkv7(
    r, w, k, v, a, b, scale=1.0, initial_state=None, output_final_state=False, cu_seqlens=None, cu_seqlens_cpu=None, safe_gate=False, chunk_size=None,
    disable_recompute=False, cp_context=None, lower_bound=None, **options,
):
    options = {**options, "chunk_size": chunk_size, "cp_context": cp_context}
    return _dplr(r, k, v, a, b, w, scale, initial_state, output_final_state, lower_bound, cu_seqlens, cu_seqlens_cpu, options)


def fused_recurrent_rwkv7(r, w, k, v, a, b, scale=None, initial_state=None, output_final_state=True, cu_seqlens=None, **options):
    return _dplr(r, k, v, a, b, w, scale, initial_state, output_final_state, None, cu_seqlens, None, options, True)


def fused_mul_recurrent_rwkv7(r, w, k, v, kk, a, scale=1.0, initial_state=None, output_final_state=False, reverse=False, cu_seqlens=None, **options):
    return _dplr(r, k, v, -kk, kk * a, w, scale, initial_state, output_final_state, None, cu_seqlens, None, {**options, "reverse": reverse}, True)


def _dplr(q, k, v, a, b, g, scale, state, final, bound, cu_seqlens, cu_seqlens_cpu, options, token=False):
    check(q, state, cu_seqlens, options)
    if bound is not None and bound >= 0:
        raise ValueError(f"lower_bound is of a log decay and must be negative, found {bound}")
    packed = {"cu_seqlens": cu_seqlens, "cu_seqlens_cpu": cu_seqlens_cpu, "shards": options.get("cp_context")}
    rest = {"scale": scale, "own": 0, "state": state, "final": final, "token": token, **packed}
    # The formula with a bound is the faster one; a caller who gives a bound promises it.
    if bound is not None and bound >= LEAST_RWKV7:
        return run("rwkv7", {"r": q, "k": k, "v": v, "w": g, "a": a, "b": b}, scaled="r", **rest)
    return run("fla_dplr", {"q": q, "k": k, "v": v, "g": g, "a": a, "b": b}, **rest)
