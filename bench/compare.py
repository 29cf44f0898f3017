"""Forward and forward+backward of our kernels beside the peers' hand-written ones, in one run on one GPU: time, ratio, and the error of both.

    node dist/src/cli/main.js build examples -o bench-out --target cuda.sm90 --size K=128,V=128,N=128,P=64,D=2048
    PYTHONPATH=/path/to/flash-linear-attention:/path/to/mamba python3 bench/compare.py --plans bench-out

Inputs that an example shares per group have a head each, as in the peers' benchmarks.

Times: median of triton's do_bench, bf16, no initial state. Errors: rms(difference)/rms(reference) against the token-by-token recurrence in float64,
on the same rounded inputs at T=512; "out" is the output, "grad" the worst gradient of any input. Peers' first calls compile for minutes: that is
done in parallel processes first, which share TRITON_CACHE_DIR with this one but not what their autotuners found: those choose again, alone on the GPU.
"""
import argparse, glob, json, math, os, re, subprocess, sys, traceback

import torch
import triton

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lmoec_plan import Plan
from peers import cases


def peer_calls(case, inputs):
    """Functions that run the peer's forward, and forward with backward."""
    inputs = case.peer_inputs(inputs)
    leaves = {n: x.detach().clone().requires_grad_() for n, x in inputs.items()}
    cotangent = torch.randn_like(case.peer(**leaves))

    def both():
        for x in leaves.values():
            x.grad = None
        case.peer(**leaves).backward(cotangent)

    def forward():
        with torch.no_grad():
            case.peer(**inputs)

    return forward, both


def find_plan(folder, case, D):
    sizes = case.sizes(D)
    for path in sorted(glob.glob(os.path.join(folder, "**", "*.json"), recursive=True)):
        plan = json.load(open(path))
        if plan.get("format") == "lmoec-plan-3" and plan["scan"] == case.name and plan["target"] == "cuda.sm90" and plan["dtype"] == "bf16" and plan["sizes"] == sizes:
            return Plan(path)
    return None


def our_call(plan, case, inputs, shape, cotangents=None):
    """(launch, tensors) of forward, or of backward if cotangents are given."""
    B, T, H, _ = shape
    heads = case.heads(H) if callable(case.heads) else case.heads or H
    given = dict(inputs, **(cotangents or {}))
    return plan.prepare("backward" if cotangents else "forward", given, [T] * B, heads, case.groups)


def rms(found, expected):
    found, expected = found.double().reshape(expected.shape), expected.double()
    return ((found - expected).pow(2).mean().sqrt() / expected.pow(2).mean().sqrt()).item()


def errors(case, plan, D, peers=True):
    """Errors of (ours, peer): ((out, grad), (out, grad)); None where there is none."""
    shape = (1, 512, 2, D)
    torch.manual_seed(1)
    inputs = case.inputs(*shape)
    exact = {n: x.double().requires_grad_() for n, x in inputs.items()}
    o = case.reference(**exact)
    cotangent = torch.randn(o.shape, device="cuda").bfloat16()
    o.backward(cotangent.double())
    peer = ours = None
    try:
        if not peers:
            raise RuntimeError("not asked for")
        leaves = {n: x.detach().clone().requires_grad_() for n, x in case.peer_inputs(inputs).items()}
        out = case.peer(**leaves)
        out.backward(cotangent)
        peer = (rms(out, o), max(rms(leaves[n].grad, exact[n].grad) for n in inputs))
    except Exception as error:
        if peers:
            print(f"{case.name}: the peer failed: {str(error)[:200]}", file=sys.stderr)
    if plan is not None:
        outputs = [t["name"] for t in plan.plan["tensors"] if t["role"] == "output"]
        tensors, launch = our_call(plan, case, inputs, shape)
        launch()
        found = tensors[outputs[0]].clone()
        gradients, launch = our_call(plan, case, inputs, shape, {f"d_{outputs[0]}": cotangent})
        launch()
        torch.cuda.synchronize()
        each = {n: rms(gradients[f"d_{n}"], exact[n].grad) for n in inputs}
        ours = (rms(found, o), max(each.values()), each)
    return ours, peer


def time_case(case, plan, shape, peers=True, by_kernel=None):
    bench = lambda f: triton.testing.do_bench(f, warmup=50, rep=200, return_mode="median")
    torch.manual_seed(0)
    inputs = case.inputs(*shape)
    row = {}
    if peers:
        try:
            forward, both = peer_calls(case, inputs)
            row["peer"] = (bench(forward), bench(both))
        except Exception as error:
            print(f"{case.name}: the peer failed: {str(error)[:300]}", file=sys.stderr)
        torch.cuda.empty_cache()
    if plan is not None:
        outputs = [t for t in plan.plan["tensors"] if t["role"] == "output"]
        tensors, forward = our_call(plan, case, inputs, shape)
        cotangent = torch.randn(tensors[outputs[0]["name"]].shape, device="cuda").bfloat16()
        _, backward = our_call(plan, case, inputs, shape, {f"d_{outputs[0]['name']}": cotangent})
        row["ours"] = (bench(forward), bench(lambda: (forward(), backward())))
        if by_kernel:
            for program, launch in (("forward", forward), ("backward", backward)):
                for item in plan.plan["programs"][program]:
                    if not re.search(by_kernel, item["kernel"]):
                        continue
                    print(f"    {case.name:12} {program:8} {item['kernel']:24} {bench(lambda: launch(item['kernel'])):.4f} ms")
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--plans", help="folder of lmoec build")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--shape", default="2,16384,16,128", help="B,T,H,D")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-errors", action="store_true")
    parser.add_argument("--by-kernel", nargs="?", const=".", help="also times the kernels whose name this expression finds")
    parser.add_argument("--no-warm", action="store_true", help="the peers are compiled already: time each at once")
    parser.add_argument("--warm", help="only run this case's peer once (what the parent starts in parallel)")
    args = parser.parse_args()
    shape = tuple(int(x) for x in args.shape.split(","))
    rows = [c for c in cases() if not args.only or c.name in args.only]
    rows.sort(key=lambda c: args.only.index(c.name) if args.only else 0)
    if args.warm:
        case = next(c for c in rows if c.name == args.warm)
        for s in [shape] + ([] if args.no_errors else [(1, 512, 2, shape[3])]):
            peer_calls(case, case.inputs(*s))[1]()
        return
    if not args.no_peers and not args.no_warm:
        # A few at a time: every process holds its own tensors on the card.
        for start in range(0, len(rows), 5):
            flags = ["--shape", args.shape] + (["--no-errors"] if args.no_errors else [])
            forgetful = dict(os.environ, TRITON_CACHE_AUTOTUNING="0", FLA_CACHE_RESULTS="0")
            group = [subprocess.Popen([sys.executable, __file__, "--warm", c.name, *flags], stderr=subprocess.PIPE, env=forgetful) for c in rows[start:start + 5]]
            for process in group:
                process.communicate()
    print(f"{torch.cuda.get_device_name()}, B={shape[0]} T={shape[1]} H={shape[2]} D={shape[3]}, bf16, ms; peers: flash-linear-attention, mamba_ssm (mamba2)")
    print(f"{'operator':12} {'fwd':>8} {'peer':>8} {'ratio':>6}   {'fwd+bwd':>8} {'peer':>8} {'ratio':>6}   {'error out':>9} {'peer':>8} {'grad':>8} {'peer':>8}")
    ratios = ([], [])
    for case in rows:
        try:
            plan = find_plan(args.plans, case, shape[3]) if args.plans else None
            row = time_case(case, plan, shape, not args.no_peers, args.by_kernel)
            ours_error, peer_error = (None, None) if args.no_errors else errors(case, plan, shape[3], not args.no_peers)
        except Exception:
            print(f"{case.name}: {traceback.format_exc(limit=2)[-400:]}")
            continue
        number = lambda x, form: "-" if x is None or (isinstance(x, float) and math.isnan(x)) else format(x, form)
        ours, peer = row.get("ours", (None, None)), row.get("peer", (None, None))
        cells = []
        for i in range(2):
            ratio = peer[i] / ours[i] if ours[i] and peer[i] else None
            if ratio:
                ratios[i].append(ratio)
            cells.append(f"{number(ours[i], '8.3f'):>8} {number(peer[i], '8.3f'):>8} {number(ratio, '6.2f'):>6}")
        e, p = ours_error or (None, None, {}), peer_error or (None, None)
        print(f"{case.name:12} {cells[0]}   {cells[1]}   {number(e[0], '9.1e'):>9} {number(p[0], '8.1e'):>8} {number(e[1], '8.1e'):>8} {number(p[1], '8.1e'):>8}", flush=True)
        if e[2:] and args.by_kernel:
            print("    " + " ".join(f"d_{n}={x:.1e}" for n, x in e[2].items()))
    mean = lambda xs: math.exp(sum(map(math.log, xs)) / len(xs)) if xs else float("nan")
    print(f"{'geometric mean':30} {mean(ratios[0]):5.2f} {mean(ratios[1]):26.2f}")


if __name__ == "__main__":
    main()
