"""Kernels of others that do one scan: each is measured where whoever runs the bench has it, by its public function, and says where it is to be had otherwise."""
import importlib

import torch

FLASH_KDA = "FlashKDA (github.com/MoonshotAI/FlashKDA, built with its own flags)"
FLASH_QLA = "FlashQLA (pip install flash-qla)"
FLASH_INFER = "FlashInfer (pip install flashinfer-python)"


def fetched(module, name, what):
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise RuntimeError(f"{what} is not here: {error}") from error


def flash_kda(inputs, offsets):
    """Forward of KDA with gates, norms and strengths in the formula, from what `kda_written` takes."""
    run = fetched("flash_kda", "fwd", FLASH_KDA)
    q, k, v = (inputs[name] for name in "qkv")
    g, beta, out = inputs["g"].bfloat16(), inputs["beta"].bfloat16(), torch.empty_like(v)
    offsets = None if offsets is None else offsets.long()

    def forward():
        run(q, k, v, g, beta, q.shape[-1] ** -0.5, out, inputs["A_log"], inputs["dt_bias"], -5.0, cu_seqlens=offsets)
        return out

    return forward


def fla_kda(inputs, offsets):
    """The same by FLA, with gradients."""
    run = fetched("fla.ops.kda", "chunk_kda", "flash-linear-attention")
    options = dict(use_qk_l2norm_in_kernel=True, use_gate_in_kernel=True, use_beta_sigmoid_in_kernel=True, safe_gate=True, lower_bound=-5.0)
    halves = {name: inputs[name].bfloat16() for name in ("g", "beta")}
    given = {**inputs, **halves, "dt_bias": inputs["dt_bias"].flatten()}
    return lambda **leaves: run(**{**given, **leaves}, cu_seqlens=offsets, **options)[0]


def flash_qla(inputs, offsets):
    """Gated delta, of queries and keys that heads share, with gradients."""
    run = fetched("flash_qla", "chunk_gated_delta_rule", FLASH_QLA)
    return lambda **leaves: run(**{**inputs, **leaves}, cu_seqlens=offsets)[0]


def flash_infer(inputs, offsets):
    """Forward of the same. It takes tokens without a batch, and gates themselves, not their logarithms."""
    run = fetched("flashinfer.gdn_prefill", "chunk_gated_delta_rule", FLASH_INFER)
    batch, tokens = inputs["q"].shape[:2]
    if offsets is None:
        offsets = torch.arange(0, batch * tokens + 1, tokens, device=inputs["q"].device)
    flat = {name: x.flatten(0, 1) for name, x in inputs.items()}
    flat["g"] = flat["g"].exp()

    def forward():
        made = run(**flat, cu_seqlens=offsets.long(), use_qk_l2norm_in_kernel=False)
        return made[0] if isinstance(made, tuple) else made

    return forward
