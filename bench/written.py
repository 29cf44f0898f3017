"""Gates, norms, strengths and convolutions that are part of the formula, beside the same scan with them given: the pairs of written.lmoe, for compare.py's tables
`written` and `kda`."""
import glob
import math
import os

import torch
import torch.nn.functional as F

from lmoec_plan import Plan
from measure import Launched, bench, rms
from peers import DEVICE, recurrence
from rows import Shape

EPS = 1e-6


def l2(x):
    return x / (x.pow(2).sum(-1, keepdim=True) + EPS).sqrt()


def vectors(shape, *names, dtype=torch.bfloat16):
    B, T, H, D = shape
    return {name: torch.randn(B, T, H, D, device=DEVICE).to(dtype) for name in names}


def numbers(shape, *names):
    return {name: torch.randn(shape[:3], device=DEVICE) for name in names}


def per_head(H, *names, D=None, scale=0.5):
    return {name: scale * torch.randn((H,) if D is None else (H, D), device=DEVICE) for name in names}


def delta_inputs(shape):
    return {**vectors(shape, "q", "k", "v"), **numbers(shape, "g", "beta"), **per_head(shape[2], "A_log", "dt_bias")}


def kda_inputs(shape):
    named = {**delta_inputs(shape), **vectors(shape, "g", dtype=torch.float32), **per_head(shape[2], "dt_bias", D=shape[3])}
    return named


def kda_given(x):
    g = -5 * torch.sigmoid(x["A_log"].exp()[:, None] * (x["g"] + x["dt_bias"]))
    return dict(q=l2(x["q"]), k=l2(x["k"]), v=x["v"], g=g, beta=torch.sigmoid(x["beta"]))


def delta_given(x):
    return dict(q=l2(x["q"]), k=l2(x["k"]), v=x["v"], g=-x["A_log"].exp() * F.softplus(x["g"] + x["dt_bias"]), beta=torch.sigmoid(x["beta"]))


def delta(q, k, v, g, beta):
    return recurrence(q, k, v, g=g, beta=beta, scale=q.shape[-1] ** -0.5)


def rwkv7_inputs(shape):
    return {**vectors(shape, "r", "k", "v"), **vectors(shape, "w", "a", dtype=torch.float32), **per_head(shape[2], "k_k", "k_a", D=shape[3])}


def rwkv7_given(x):
    rate, kk = torch.sigmoid(x["a"]), l2(x["k"] * x["k_k"])
    return dict(r=x["r"], k=x["k"] * (1 + (rate - 1) * x["k_a"]), v=x["v"], w=-math.exp(-0.5) * torch.sigmoid(x["w"]), a=kk, b=-kk * rate)


def mamba_inputs(shape):
    named = {**vectors(shape, "x", "B", "C"), **numbers(shape, "dt"), **per_head(shape[2], "A_log", "dt_bias", "D")}
    return {**named, "dt": named["dt"] - 2}


def mamba_given(x):
    step = F.softplus(x["dt"] + x["dt_bias"])
    return dict(x=x["x"], g=-x["A_log"].exp() * step, delta=step, B=x["B"], C=x["C"], D=x["D"])


def mamba(x, g, delta, B, C, D):
    return recurrence(C, B, delta.unsqueeze(-1) * x, g=g) + D[:, None] * x


def conv_inputs(shape):
    return {**mamba_inputs(shape), **per_head(shape[2], "c0", "c1", "c2", "c3", D=shape[3])}


def convolved(x):
    before = lambda n: F.pad(x["x"], (0, 0, 0, 0, n, 0))[:, : x["x"].shape[1]]
    return F.silu(sum(x[f"c{n}"] * before(n) for n in range(4)))


def conv_given(x):
    return {**{name: x[name] for name in ("dt", "B", "C", "A_log", "dt_bias", "D")}, "x": convolved(x)}


def conv(**x):
    return mamba(**mamba_given(x))


def comba_inputs(shape):
    return {**delta_inputs(shape), **per_head(shape[2], "decay")}


def comba_given(x):
    given = delta_given(x)
    return {**given, "p": torch.sigmoid(x["decay"])[:, None] * given["k"]}


def comba(q, k, v, g, beta, p):
    return recurrence(q, k, beta.unsqueeze(-1) * v, g=g, a=p, b=-beta.unsqueeze(-1) * k, scale=q.shape[-1] ** -0.5)


def mlstm_inputs(shape):
    return {**vectors(shape, "q", "k", "v"), **numbers(shape, "i", "f"), **per_head(shape[2], "i_bias", "f_bias")}


def mlstm_given(x):
    return dict(q=x["q"], k=x["k"], v=x["v"], i=torch.sigmoid(x["i"] + x["i_bias"]), f=F.logsigmoid(x["f"] + x["f_bias"]))


def mlstm(q, k, v, i, f):
    both = recurrence(q, i.unsqueeze(-1) * k, torch.cat([v, torch.ones_like(v[..., :1])], -1), g=f, scale=q.shape[-1] ** -0.5)
    return both[..., :-1] / both[..., -1:].abs().clamp(min=1)


# Scan: inputs of the written form, what the given form gets, and the recurrence over that.
PAIRS = {
    "kda": (kda_inputs, kda_given, delta),
    "gated_delta": (delta_inputs, delta_given, delta),
    "rwkv7": (rwkv7_inputs, rwkv7_given, lambda r, k, v, w, a, b: recurrence(r, k, v, g=w, a=a, b=b)),
    "mamba2": (mamba_inputs, mamba_given, mamba),
    "mamba2_conv": (conv_inputs, conv_given, conv),
    "comba": (comba_inputs, comba_given, comba),
    "mlstm": (mlstm_inputs, mlstm_given, mlstm),
}


def plan_of(folder, name):
    if folder is None:
        raise ValueError("--written names a folder of `lmoec build bench/written.lmoe`")
    [path] = glob.glob(os.path.join(folder, name, "cuda.sm*.bf16", "plan.json"))
    return Plan(path)


def times(folder, name, shape, by_kernel=False):
    """Forward and backward of what is written and of what is given, and what the one costs over the other."""
    plans, (make, given_of, _) = {"": plan_of(folder, f"{name}_written"), "given_": plan_of(folder, name)}, PAIRS[name]
    torch.manual_seed(0)
    inputs = make((*shape.lead, shape.heads, max(plans[""].plan["sizes"].values())))
    with torch.no_grad():
        drawn = {"": inputs, "given_": given_of({n: x.float() for n, x in inputs.items()})}
    made, kernels = {}, {}
    for kind, plan in plans.items():
        launched = Launched(plan, drawn[kind], shape, shape.heads, keep=False)
        made |= {f"{kind}forward": bench(launched.forward, 30, 100), f"{kind}backward": bench(launched.backward, 30, 100)}
        if by_kernel:
            kernels |= {f"{kind.replace('_', ' ')}{program}": each for program, each in launched.by_kernel(plan).items()}
    made |= {"kernels": kernels} if by_kernel else {}
    return made | {f"over_{program}": made[program] / made[f"given_{program}"] for program in ("forward", "backward")}


def errors(name, plan, tokens):
    """rms(difference)/rms(reference) of the output and of the worst gradient, against the recurrence in float64 on the same rounded inputs."""
    make, given_of, reference = PAIRS[name]
    torch.manual_seed(1)
    inputs = make((1, tokens, 2, max(plan.plan["sizes"].values())))
    exact = {n: x.double().requires_grad_() for n, x in inputs.items()}
    o = reference(**given_of(exact))
    cotangent = torch.randn(o.shape, device=DEVICE).bfloat16()
    o.backward(cotangent.double())
    launched = Launched(plan, inputs, Shape((tokens,), 2), 2, cotangent=cotangent, keep=False)
    each = {n: rms(launched.gradients[f"d_{n}"], x.grad) for n, x in exact.items()}
    worst = max(each, key=each.get)
    return dict(out=rms(launched.output, o), grad=each[worst], worst=f"d_{worst}")
