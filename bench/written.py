"""What gates, norms, strengths and convolutions cost that are part of the formula, beside the same scan with them given: the pairs of written.lmoe.

    node dist/src/cli/main.js build bench/written.lmoe -o written-out --target cuda.sm90
    python3 bench/written.py --plans written-out

Times: median of triton's do_bench, bf16, no initial state; `over` = written / given. Errors: rms(difference)/rms(reference) of what is written against the
token-by-token recurrence in float64 on the same rounded inputs at T=512, output and worst gradient.
"""
import argparse, glob, math, os, sys

import torch
import torch.nn.functional as F
import triton

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lmoec_plan import Plan
from peers import recurrence

EPS = 1e-6


def l2(x):
    return x / (x.pow(2).sum(-1, keepdim=True) + EPS).sqrt()


def vectors(shape, *names, dtype=torch.bfloat16):
    B, T, H, D = shape
    return {name: torch.randn(B, T, H, D, device="cuda").to(dtype) for name in names}


def numbers(shape, *names):
    return {name: torch.randn(shape[:3], device="cuda") for name in names}


def per_head(H, *names, D=None, scale=0.5):
    return {name: scale * torch.randn((H,) if D is None else (H, D), device="cuda") for name in names}


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
    [path] = glob.glob(os.path.join(folder, name, "cuda.sm*.bf16", "plan.json"))
    return Plan(path)


def calls(plan, inputs, lengths, heads, cotangent=None):
    """Tensors and launcher of forward, and of backward."""
    output = next(t["name"] for t in plan.plan["tensors"] if t["role"] == "output")
    forward = plan.prepare("forward", inputs, lengths, heads)
    if cotangent is None:
        cotangent = torch.randn(forward[0][output].shape, device="cuda").bfloat16()
    return output, forward, plan.prepare("backward", {**inputs, f"d_{output}": cotangent}, lengths, heads)


def time_of(plan, inputs, shape, by_kernel):
    bench = lambda f: triton.testing.do_bench(f, warmup=30, rep=100, return_mode="median")
    lengths = [shape[1]] * shape[0]
    _, (_, forward), (_, backward) = calls(plan, inputs, lengths, shape[2])
    if by_kernel:
        for program, launch in (("forward", forward), ("backward", backward)):
            each = [f"{item['kernel']} {bench(lambda: launch(item['kernel'])):.3f}" for item in plan.plan["programs"][program]]
            print(f"    {plan.plan['scan']:20} {program:8} {'  '.join(each)}")
    return bench(forward), bench(backward)


def errors_of(plan, pair, D):
    make, given, reference = pair
    torch.manual_seed(1)
    inputs = make((1, 512, 2, D))
    exact = {name: x.double().requires_grad_() for name, x in inputs.items()}
    o = reference(**given(exact))
    cotangent = torch.randn(o.shape, device="cuda").bfloat16()
    o.backward(cotangent.double())
    output, (tensors, _), (gradients, _) = calls(plan, inputs, [512], 2, cotangent)
    torch.cuda.synchronize()
    rms = lambda found, expected: ((found.double().reshape(expected.shape) - expected).pow(2).mean().sqrt() / expected.pow(2).mean().sqrt()).item()
    each = {name: rms(gradients[f"d_{name}"], x.grad) for name, x in exact.items()}
    return rms(tensors[output], o), each


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--plans", required=True, help="folder of lmoec build")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--shape", default="2,16384,16", help="B,T,H")
    parser.add_argument("--by-kernel", action="store_true")
    args = parser.parse_args()
    lead = tuple(int(x) for x in args.shape.split(","))
    print(f"{torch.cuda.get_device_name()}, B,T,H={args.shape}, bf16, ms")
    print(f"{'scan':14} {'given':>7} {'written':>8} {'over':>6}   {'backward':>8} {'written':>8} {'over':>6}   errors of what is written: output, gradients")
    for name, pair in PAIRS.items():
        if args.only and name not in args.only:
            continue
        plan, written = plan_of(args.plans, name), plan_of(args.plans, f"{name}_written")
        D = max(written.plan["sizes"].values())
        torch.manual_seed(0)
        inputs = pair[0]((*lead, D))
        with torch.no_grad():
            given = pair[1]({n: x.float() for n, x in inputs.items()})
        base, ours = time_of(plan, given, (*lead, D), args.by_kernel), time_of(written, inputs, (*lead, D), args.by_kernel)
        del given, inputs
        torch.cuda.empty_cache()
        output, each = errors_of(written, pair, D)
        cells = [f"{base[i]:8.3f} {ours[i]:8.3f} {ours[i] / base[i]:6.2f}" for i in range(2)]
        print(f"{name:13} {cells[0]}   {cells[1]}   {output:.1e}  {' '.join(f'{n}={e:.1e}' for n, e in each.items())}", flush=True)


if __name__ == "__main__":
    main()
