"""Mixtures of ours beside scattermoe, torch's grouped products and SonicMoE, in one run on one GPU: times, TFLOP/s, errors, the share of
routing; decoding; a dense product.

    L="nice node dist/src/cli/main.js build examples/moe/softmax.lmoe --name olmoe --target cuda.sm90"
    $L -o moe-out/a1b --size D=2048,E=64,F=1024,k=8
    $L -o moe-out/a03b --size D=1024,E=64,F=896,k=8
    $L -o moe-out/qwen3_next --size D=2048,E=512,F=512,k=10
    $L -o moe-out/deepseek_v3 --size D=7168,E=32,F=2048,k=8
    $L -o moe-out/mixtral --size D=4096,E=8,F=14336,k=2
    node dist/src/cli/main.js build bench/dense.lmoe -o moe-out/dense --target cuda.sm90
    PYTHONPATH=/path/to/scattermoe python3 bench/moe.py --plans moe-out --out tables

Of a folder only plan.json and .cubin are read. Times, in ms, are those of a whole layer in bf16: a router whose softmax is in f32, and in
ours its losses too. Forward alone (ours: the kernels of `eval`; peers: no gradients wanted), and forward with backward: gradients of x,
router and experts. TFLOP/s count the products of experts. A ratio is the peer's time over ours. "Routing" is the share of all kernels but
the products over slots, each timed alone: scores, choices, offsets, combination, their gradients, losses.
Errors: rms(difference) / rms(reference) at `--error-tokens` tokens, against float64 on the same rounded inputs; beside them those of the
same layer in torch in bf16, an expert at a time, with the choices of the reference. "Moved": so many places of tokens went to other experts
than in the reference.
"""
import argparse
import glob
import os
import sys
from statistics import geometric_mean

import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lmoec_plan import Plan
from measure import bench, in_graph, rms
from mixtures import EXPERTS, PEERS, SHAPES, Shape, differentiated
from peers import DEVICE
from table import Clock, OutOfTime, Table, attempt, brief, chosen, common_arguments, facts

DENSE, DECODED, BATCHES = 8192, "a1b", (1, 2, 4, 8, 16, 32, 64)
ERRORS = {
    "out": ["error", ".1e"], "torch_out": ["torch", ".1e"], "d_x": ["d_x", ".1e"], "torch_d_x": ["torch", ".1e"],
    "experts": ["experts'", ".1e"], "torch_experts": ["torch", ".1e"], "router": ["router's", ".1e"], "torch_router": ["torch", ".1e"],
    "moved": ["moved", "d"],
}


def beside(what):
    made = {what: ["forward + backward" if what == "both" else what, ".3f"]}
    made |= {f"tflops_{what}": ["TFLOP/s", ".0f"], f"routing_{what}": ["routing", ".1%"]}
    for peer in PEERS:
        made |= {f"{peer}_{what}": [peer, ".3f"], f"x_{peer}_{what}": ["ratio", ".2f"]}
    return made


COLUMNS = {
    "mixtures": {**beside("forward"), **beside("both"), **ERRORS, "missing": ["not measured", ""]},
    "decode": {
        "called": ["called", ".4f"], "graph": ["graph", ".4f"], "experts": ["experts read", "d"],
        "floor": ["read as fast as copied", ".4f"], "over": ["over", ".2f"], "grouped": ["grouped, called", ".4f"],
        "scattermoe": ["scattermoe, called", ".4f"], "missing": ["not measured", ""],
    },
    "dense": {
        "forward": ["forward", ".3f"], "tflops_forward": ["TFLOP/s", ".0f"], "matmul": ["torch.matmul", ".3f"],
        "tflops_matmul": ["TFLOP/s", ".0f"], "x_matmul": ["ratio", ".2f"], "out": ["error", ".1e"], "torch_out": ["torch", ".1e"],
    },
}
TITLES = {
    "mixtures": "A mixture beside others' layers: bf16, 32768 tokens, ms",
    "decode": f"One token for each of B sequences through the mixture {DECODED}, bf16, ms",
    "dense": "One dense product, bf16, ms",
}


def plan_of(folder, row, program):
    """`program`: train or eval."""
    found = sorted(glob.glob(os.path.join(folder, row, "**", program, "plan.json"), recursive=True))
    if not found:
        raise LookupError(f"{folder} has no {row} for {program}: see the commands at the top of bench/moe.py")
    return Plan(found[0])


def check_shape(plan, shape):
    """Does a folder hold what its name says?"""
    given = {source["name"]: source["shape"] for source in plan.plan["names"]["given"].values() if source["kind"] == "user"}
    found = (*given["expert.gate"], *(rows["perRow"] for rows in plan.plan["made"].values()))
    if found != (shape.E, shape.D, shape.F, shape.K):
        raise LookupError(f"the plan is of E, D, F, K = {found}, not {(shape.E, shape.D, shape.F, shape.K)}")


def kernels_of(run):
    """ms of every kernel of a program, one at a time."""
    return {kernel: bench(lambda: run.launch(kernel), 20, 60) for kernel in run.kernels}


def routing_share(plan, *times):
    """Of kernels that are no products over the rows that the program counts. `times`: by program."""
    def is_product(kernel):
        domains = {arg["domain"] for arg in kernel["args"] if arg["kind"] == "dims"}
        return kernel["lowering"] == "tensor cores" and domains <= set(plan.plan["made"])

    every = [item for program in times for item in program.items()]
    return 1 - sum(ms for name, ms in every if is_product(plan.loaded.kernels[name])) / sum(ms for _, ms in every)


ONES = {"d_loss.balance": 1.0, "d_loss.z": 1.0}


def errors(plan, shape, lengths):
    torch.manual_seed(1)
    given = shape.draw()
    cotangent = torch.randn(shape.tokens, shape.D, device=DEVICE).bfloat16()
    exact = differentiated(given, cotangent, shape.K, torch.float64)
    rounded = differentiated(given, cotangent, shape.K, torch.bfloat16, exact[2])
    forward = plan.named("forward", given, lengths)
    backward = plan.named("backward", {**given, "d_y": cotangent, **ONES}, lengths, forward.tensors)
    found, gradients = forward.results(), backward.results()
    made = {}
    own = found["y"], {name: gradients[f"d_{name}"] for name in given}
    for key, (y, of, *_) in (("", own), ("torch_", rounded)):
        each = {name: rms(of[name], exact[1][name]) for name in given}
        made |= {f"{key}out": rms(y, exact[0]), f"{key}d_x": each["x"], f"{key}router": each["gate"]}
        made[f"{key}experts"] = max(each[name] for name in EXPERTS)
    counts = torch.bincount(exact[2].flatten(), minlength=shape.E).to(found["count.expert"].device)
    return {**made, "moved": int((found["count.expert"].reshape(-1) - counts).abs().sum().item()) // 2}


def ours(made, train, infer, shape):
    """Times of our kernels; `kernels`: of each."""
    torch.manual_seed(0)
    given, lengths = shape.draw(), [shape.tokens]
    alone = infer.named("forward", given, lengths)
    made["forward"] = bench(alone.launch)
    kernels = {"eval": kernels_of(alone)}
    del alone
    forward = train.named("forward", given, lengths)
    backward = train.named("backward", {**given, "d_y": torch.randn_like(given["x"]), **ONES}, lengths, forward.tensors)
    made["both"] = bench(lambda: (forward.launch(), backward.launch()))
    kernels |= {"forward": kernels_of(forward), "backward": kernels_of(backward)}
    made["kernels"] = kernels
    made["routing_forward"] = routing_share(infer, kernels["eval"])
    made["routing_both"] = routing_share(train, kernels["forward"], kernels["backward"])


def missing(made, what):
    made["missing"] = "; ".join([*filter(None, [made.get("missing")]), what])


def peer(made, key, make, shape):
    """Times of somebody else's layer; or a word on why there are none."""
    try:
        torch.manual_seed(0)
        given = shape.draw()
        run, leaves = make(given, shape)
        x, cotangent = given["x"], torch.randn_like(given["x"])
        del given
        with torch.no_grad():
            made[f"{key}_forward"] = bench(lambda: run(x))
        leaf = x.clone().requires_grad_()

        def both():
            for each in (leaf, *leaves):
                each.grad = None
            run(leaf).backward(cotangent)

        made[f"{key}_both"] = bench(both)
    except Exception as error:
        missing(made, f"{key}: {brief(error)}")
    if DEVICE == "cuda":
        torch.cuda.empty_cache()


def mixture_row(made, name, shape, options):
    if options.plans is not None:
        train, infer = (plan_of(options.plans, name, program) for program in ("train", "eval"))
        check_shape(train, shape)
        ours(made, train, infer, shape)
        if not options.no_errors:
            small = shape.cut(options.error_tokens)
            made.update(errors(train, small, [small.tokens]))
    for key, make in PEERS.items() if not options.no_peers else ():
        peer(made, key, make, shape)


def judged(made, shape):
    """With what follows from the times."""
    for what, flops in (("forward", shape.flops), ("both", 3 * shape.flops)):
        if what in made:
            made[f"tflops_{what}"] = flops / made[what] / 1e9
            made |= {f"x_{key}_{what}": made[f"{key}_{what}"] / made[what] for key in PEERS if f"{key}_{what}" in made}
    return made


def copy_rate():
    """Bytes a ms, read and written."""
    n = 1 << (30 if DEVICE == "cuda" else 20)
    source, target = torch.zeros(n, device=DEVICE, dtype=torch.uint8), torch.empty(n, device=DEVICE, dtype=torch.uint8)
    return 2 * n / bench(lambda: target.copy_(source))


def decode_row(made, batch, shape, options):
    torch.manual_seed(0)
    given = Shape(batch, shape.D, shape.F, shape.E, shape.K).draw()
    if options.plans is not None:
        with torch.no_grad():
            plan = plan_of(options.plans, DECODED, "eval")
            run = plan.named("forward", given, [1] * batch)
            made["called"] = bench(run.launch)
            made["experts"] = int((run.results()["count.expert"] > 0).sum().item())
            made["floor"] = made["experts"] * shape.expert_bytes / copy_rate()
            made["graph"] = in_graph(run.launch)
            made["over"] = (made["graph"] or made["called"]) / made["floor"]
            made["kernels"] = {"eval": kernels_of(run)}
    for key in ("grouped", "scattermoe") if not options.no_peers else ():
        try:
            with torch.no_grad():
                layer, _ = PEERS[key](given, shape)
                made[key] = bench(lambda: layer(given["x"]))
        except Exception as error:
            missing(made, f"{key}: {brief(error)}")


def dense_row(made, options):
    torch.manual_seed(0)
    x, w = (torch.randn(DENSE, DENSE, device=DEVICE).bfloat16() for _ in range(2))
    made["matmul"] = bench(lambda: x @ w)
    made["tflops_matmul"] = 2 * DENSE ** 3 / made["matmul"] / 1e9
    rows = slice(0, options.error_tokens)
    exact = x[rows].double() @ w.double()
    made["torch_out"] = rms((x @ w)[rows], exact)
    if options.plans is not None:
        run = plan_of(options.plans, "dense", "eval").named("forward", {"x": x, "w": w}, [DENSE])
        made["forward"] = bench(run.launch)
        made["tflops_forward"] = 2 * DENSE ** 3 / made["forward"] / 1e9
        made["x_matmul"] = made["matmul"] / made["forward"]
        made["out"] = rms(run.results()["y"].reshape(DENSE, DENSE)[rows], exact)


def rows(most):
    """By key, what fills a row, and what adds that which follows."""
    def mixture(name, shape):
        return lambda into, options: mixture_row(into, name, shape, options), lambda row: judged(row, shape)

    def decoded(batch):
        return lambda into, options: decode_row(into, batch, SHAPES[DECODED], options), dict

    made = {f"mixtures/{name}": mixture(name, shape.cut(most)) for name, shape in SHAPES.items()}
    made[f"dense/{DENSE}x{DENSE}x{DENSE}"] = dense_row, dict
    return made | {f"decode/B={batch}": decoded(batch) for batch in BATCHES}


def measured(fill, finish, options):
    """What there is of a row when its time is over, if there is a time."""
    made = {}
    try:
        fill(made, options)
    except (OutOfTime, Exception) as wrong:
        if not any(isinstance(value, float) for value in made.values()):
            raise
        missing(made, str(wrong) if isinstance(wrong, OutOfTime) else brief(wrong))
    return finish(made)


def arguments(given=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common_arguments(parser, seconds=540, row_seconds=150)
    parser.add_argument("--plans", help="folder of the builds above; peers alone without")
    parser.add_argument("--most", type=int, default=1 << 20, help="cuts mixtures to so many tokens, to try a row out")
    parser.add_argument("--error-tokens", type=int, default=1024)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-errors", action="store_true")
    return parser.parse_args(given)


def main():
    options = arguments()
    every = rows(options.most)
    todo = chosen(every, options.rows)
    if options.list:
        print("\n".join(todo))
        return
    clock, where = Clock(options.seconds, options.row_seconds), facts()
    names = dict.fromkeys(key.split("/")[0] for key in todo)
    tables = {name: Table(name, TITLES[name], COLUMNS[name], options.out, where) for name in names}
    print(", ".join(f"{key} {value}" for key, value in where.items()), flush=True)
    for key in todo:
        table, name = tables[key.split("/")[0]], key.split("/")[1]
        if table.done(name):
            continue
        if clock.left() <= 0:
            print(f"{key}: no time was left", flush=True)
            continue
        attempt(table, clock, name, lambda: measured(*every[key], options))
        for program, kernels in table.rows[name].get("kernels", {}).items():
            print(f"    {program:8} " + "  ".join(f"{kernel} {ms:.4f}" for kernel, ms in kernels.items()), flush=True)
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
    for key in [f"x_{peer}_{what}" for peer in PEERS for what in ("forward", "both")] if "mixtures" in tables else ():
        ratios = [row[key] for row in tables["mixtures"].rows.values() if key in row]
        if ratios:
            print(f"mixtures: geometric mean of {key.removeprefix('x_')} over {len(ratios)} rows: {geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
