"""Two builds of the same scans beside each other in one process: times at several lengths and heads, and the errors of both.

    python3 bench/builds.py --plans before now --only gated_delta kda --shapes 8:32768 16:16384,16384 8:20000,9000,3768 [--by-kernel]

A shape is the heads and the lengths of the sequences. Times: median of triton's do_bench, ms, forward and backward apart; then how far the builds' results are
apart, states before and after given. Errors: rms(difference) / rms(reference) of the output and of the worst gradient, against the token-by-token recurrence
in float64 on the same rounded inputs, one sequence of 2 heads (`--tokens`).
"""
import argparse, os, sys, traceback

import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from measure import bench, find_plan, rms
from peers import cases


def states(plan, role, lengths, heads):
    """Random states of every sequence, by name."""
    found = [t for t in plan.plan["tensors"] if t["role"] == role and plan.loaded.kind(t["shape"][0]) == "run"]
    return {t["name"]: torch.randn(len(lengths), heads, *t["shape"][2:], device="cuda") / 8 for t in found}


def calls(case, plan, inputs, lengths, heads, ends=False):
    """Launches of both programs with their tensors; cotangents are the same in every build. `ends`: with states before, and cotangents of those after."""
    output = next(t["name"] for t in plan.plan["tensors"] if t["role"] == "output")
    torch.manual_seed(2)
    given = dict(inputs, **(states(plan, "initial", lengths, heads) if ends else {}))
    forward = plan.prepare("forward", given, lengths, heads, case.groups)
    torch.manual_seed(3)
    cotangent = torch.randn(forward[0][output].shape, device="cuda").bfloat16()
    given.update(states(plan, "cotangent", lengths, heads) if ends else {})
    backward = plan.prepare("backward", dict(given, **{f"d_{output}": cotangent}), lengths, heads, case.groups)
    return output, cotangent, forward, backward


def results(plan, made, gradients):
    """What both programs gave, by name."""
    named = lambda tensors, *roles: {t["name"]: tensors[t["name"]].float() for t in plan.plan["tensors"] if t["role"] in roles and t["name"] in tensors}
    return {**named(made, "output", "final"), **named(gradients, "gradient")}


def time_shape(case, plans, shape, by_kernel):
    heads, lengths = int(shape.split(":")[0]), [int(n) for n in shape.split(":")[1].split(",")]
    torch.manual_seed(0)
    inputs = case.inputs(1, sum(lengths), heads, 128)
    if len(set(lengths)) == 1:
        inputs = {n: x.reshape(len(lengths), lengths[0], *x.shape[2:]) if x.dim() > 1 and x.shape[0] == 1 else x for n, x in inputs.items()}
    rows, found = [], []
    for plan in plans:
        _, _, (_, forward), (_, backward) = calls(case, plan, inputs, lengths, heads)
        rows.append((bench(forward, 25, 100), bench(backward, 25, 100)))
        _, _, (made, whole), (gradients, back) = calls(case, plan, inputs, lengths, heads, ends=True)
        whole(), back()
        found.append(results(plan, made, gradients))
        if by_kernel:
            for program, launch in (("forward", forward), ("backward", backward)):
                for item in plan.loaded.programs[program]["launches"]:
                    print(f"    {program:8} {item['kernel']:24} {bench(lambda: launch(item['kernel']), 25, 100):.4f}")
    each = {n: rms(found[-1][n], x) for n, x in found[0].items()}
    apart = max(each, key=each.get)
    (f0, b0), (f1, b1) = rows[0], rows[-1]
    print(f"{case.name:12} {shape:24} forward {f0:.3f} {f1:.3f} {f0 / f1:.2f}   backward {b0:.3f} {b1:.3f} {b0 / b1:.2f}   apart {each[apart]:.1e} ({apart})", flush=True)


def errors(case, plans, tokens):
    torch.manual_seed(1)
    inputs = case.inputs(1, tokens, 2, 128)
    exact = {n: x.double().requires_grad_() for n, x in inputs.items()}
    o, found = case.reference(**exact), []
    for plan in plans:
        output, cotangent, (made, forward), (gradients, backward) = calls(case, plan, inputs, [tokens], 2)
        if not found:
            o.backward(cotangent.double().reshape(o.shape))
        forward(), backward()
        each = {n: rms(gradients[f"d_{n}"], exact[n].grad) for n in inputs}
        worst = max(each, key=each.get)
        found.append(f"{rms(made[output], o):.2e} {each[worst]:.2e} (d_{worst})")
    print(f"{case.name:12} {tokens} tokens: errors {'   '.join(found)}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--plans", nargs="+", required=True)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--shapes", nargs="*", default=["8:32768"])
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--no-errors", action="store_true")
    parser.add_argument("--by-kernel", nargs="?", const=".", help="kernels of scans whose name it is, or of all")
    args = parser.parse_args()
    print(torch.cuda.get_device_name())
    for case in cases():
        if args.only and case.name not in args.only:
            continue
        try:
            plans = [find_plan(folder, case.name, case.sizes(128)) for folder in args.plans]
            for i, shape in enumerate(args.shapes):
                time_shape(case, plans, shape, i == 0 and args.by_kernel in (".", case.name))
            if not args.no_errors:
                errors(case, plans, args.tokens)
        except Exception:
            print(f"{case.name}: {traceback.format_exc(limit=3)[-600:]}", flush=True)


if __name__ == "__main__":
    main()
