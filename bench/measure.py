"""Times and errors of one row of compare.py."""
import functools
import glob
import json
import os
import time

import torch

from lmoec_plan import Plan
from peers import DEVICE, cases

CASES = {case.name: case for case in cases()}
# Tokens after which the error of steps is told.
STEPS = 16


def bench(run, warmup=50, rep=200):
    """The median of a call's time in ms, with what it moves out of the cache before."""
    if DEVICE == "cuda":
        import triton

        return triton.testing.do_bench(run, warmup=warmup, rep=rep, return_mode="median")
    run()
    begin = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - begin)


def in_graph(run):
    """The same from a CUDA graph, where the host has no part: what the last call left in the cache is there."""
    if DEVICE != "cuda":
        return None
    import triton

    with torch.no_grad():
        return triton.testing.do_bench_cudagraph(run, rep=50, return_mode="median")


def rms(found, expected):
    found, expected = found.double().reshape(expected.shape), expected.double()
    return ((found - expected).pow(2).mean().sqrt() / expected.pow(2).mean().sqrt()).item()


@functools.lru_cache(None)
def _plans(folder):
    """What can be built of a scan comes several times: by scan and sizes."""
    found = {}
    for path in sorted(glob.glob(os.path.join(folder, "**", "plan.json"), recursive=True)):
        with open(path) as file:
            plan = json.load(file)
        if str(plan.get("format")).startswith("lmoec-plan-") and plan["target"] == "cuda.sm90" and plan["dtype"] == "bf16":
            found.setdefault((plan["scan"], tuple(sorted(plan["sizes"].items()))), path)
    return found


@functools.lru_cache(None)
def _plan(path):
    return Plan(path)


def find_plan(folder, name, sizes):
    """None where no folder is given; what is missing in one that is given is an error."""
    if folder is None:
        return None
    path = _plans(folder).get((name, tuple(sorted(sizes.items()))))
    if path is None:
        raise LookupError(f"{folder} has no {name} for cuda.sm90 in bf16 with {', '.join(f'{k}={v}' for k, v in sizes.items())}")
    return _plan(path)


def output_of(plan):
    return next(t["name"] for t in plan.plan["tensors"] if t["role"] == "output")


def groups_of(case, shape):
    return shape.keys if shape.keys is not None else case.groups


def peak(run):
    """MiB that a call takes at most, over what was there before; `run.drop` lets its results go."""
    if DEVICE != "cuda":
        return None
    run()
    run.drop()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


class Launched:
    """Both programs of a plan on the tensors of a row. `keep`: backward takes what forward has made of what it would make again, where the plan has such programs;
    forward alone leaves nothing."""

    def __init__(self, plan, inputs, shape, heads, groups=None, cotangent=None, keep=True):
        output, common = output_of(plan), (list(shape.lengths), heads, groups)
        keep = keep and "backward_kept" in plan.loaded.programs
        made, self.forward = plan.prepare("forward", inputs, *common)
        self.output = made[output]
        if cotangent is None:
            cotangent = torch.randn(self.output.shape, device=DEVICE).bfloat16()
        left, self.before = plan.prepare("forward_kept", inputs, *common) if keep else (made, self.forward)
        self.kept = sum(left[name].nbytes for name in plan.loaded.programs["backward_kept"]["takes"] if plan.loaded.tensors[name]["role"] == "workspace") if keep else 0
        program = "backward_kept" if keep else "backward"
        self.gradients, self.backward = plan.prepare(program, {**inputs, f"d_{output}": cotangent}, *common, kept=left if keep else None)
        self.programs = {"forward": self.forward, program: self.backward}

    def both(self):
        self.before()
        self.backward()

    def times(self):
        return dict(forward=bench(self.forward), backward=bench(self.backward), both=bench(self.both), kept=self.kept / 2**20 or None)

    def memory(self):
        """MiB of forward and backward, results and gradients among them."""
        def run():
            self.both()

        def drop():
            for launch in (self.before, self.backward):
                launch.drop()

        run.drop = drop
        return peak(run)

    def by_kernel(self, plan):
        """ms of every kernel of both programs, one at a time."""
        return {program: {item["kernel"]: bench(lambda: run(item["kernel"]), 20, 60) for item in plan.loaded.programs[program]["launches"]} for program, run in self.programs.items()}


def differentiated(run, inputs):
    """Functions that run a peer's forward, and forward with backward."""
    leaves = {n: x.detach().clone().requires_grad_(x.is_floating_point()) for n, x in inputs.items()}
    cotangent = torch.randn_like(run(**leaves))

    def drop():
        for x in leaves.values():
            x.grad = None

    def both():
        drop()
        run(**leaves).backward(cotangent)

    both.drop = drop

    def forward():
        with torch.no_grad():
            run(**inputs)

    return forward, both


def peer_calls(case, shape):
    torch.manual_seed(0)
    options = {} if shape.equal else dict(cu_seqlens=shape.offsets(DEVICE))
    return differentiated(lambda **given: case.run_peer(given, **options), case.peer_inputs(shape.draw(case)))


def reference(case, inputs, shape):
    """Sequence by sequence, with what heads share given to each."""
    H, tokens = shape.heads, shape.lead[1]
    spread = {n: x.repeat_interleave(H // shape.keys, 2) if shape.keys is not None and n in case.shared else x for n, x in inputs.items()}
    if shape.equal:
        return case.reference(**spread)
    ends = torch.tensor([0, *shape.lengths]).cumsum(0).tolist()
    part = lambda x, a, b: x[:, a:b] if x.dim() > 2 and x.shape[1] == tokens else x
    return torch.cat([case.reference(**{n: part(x, a, b) for n, x in spread.items()}) for a, b in zip(ends, ends[1:]) if b > a], 1)


def errors(case, plan, shape, peers):
    """rms(difference)/rms(reference) of output and worst gradient: against the recurrence in float64 on the same rounded inputs."""
    torch.manual_seed(1)
    inputs = shape.draw(case)
    exact = {n: x.double().requires_grad_() for n, x in inputs.items()}
    o = reference(case, exact, shape)
    cotangent = torch.randn(o.shape, device=DEVICE).bfloat16()
    o.backward(cotangent.double())
    made = {}
    if peers:
        options = {} if shape.equal else dict(cu_seqlens=shape.offsets(DEVICE))
        leaves = {n: x.detach().clone().requires_grad_() for n, x in case.peer_inputs(inputs).items()}
        out = case.run_peer(leaves, **options)
        out.backward(cotangent)
        made.update(peer_out=rms(out, o), peer_grad=max(rms(leaves[n].grad, exact[n].grad) for n in inputs))
    if plan is not None:
        launched = Launched(plan, inputs, shape, case.heads_of(shape.heads), groups_of(case, shape), cotangent)
        each = {n: rms(launched.gradients[f"d_{n}"], exact[n].grad) for n in inputs}
        worst = max(each, key=each.get)
        made.update(out=rms(launched.output, o), grad=each[worst], worst=f"d_{worst}")
    return made


def step_calls(case, plan, batch, H, D, peers):
    """(what runs one token of ours, of the peer), each with a function that gives the output after STEPS tokens from nothing."""
    torch.manual_seed(0)
    heads = case.heads_of(H)
    inputs = case.inputs(batch, STEPS, H, D)
    per_token = {n for n, x in inputs.items() if x.dim() > 2 and x.shape[:2] == (batch, STEPS)}
    at = lambda x, t: x[:, t : t + 1]
    token = lambda given, t: {n: at(x, t).contiguous() if n in per_token else x for n, x in given.items()}
    ours = peer = None
    if plan is not None:
        tensors = {t["name"]: t for t in plan.plan["tensors"]}
        initial = [name for name, t in tensors.items() if t["role"] == "initial"]
        final = [name for name, t in tensors.items() if t["role"] == "final"]

        def prepared(t, states):
            return plan.prepare("step", {**{n: x.squeeze(1) if n in per_token else x for n, x in token(inputs, t).items()}, **states}, [1] * batch, heads, case.groups)

        def walked():
            states = {}
            for t in range(STEPS):
                made, _ = prepared(t, states)
                states = dict(zip(initial, (made[name] for name in final)))
            return made[output_of(plan)]

        states = {name: torch.randn(batch, heads, *tensors[name]["shape"][2:], device=DEVICE) / 8 for name in initial}
        ours = prepared(0, states)[1], walked
    if peers:
        given = case.peer_inputs(inputs)

        def walk(tokens, state):
            for t in range(tokens):
                o, state = case.run_step(token(given, t), state)
            return o, state

        with torch.no_grad():
            _, state = walk(1, None)
        one = token(given, 0)
        peer = lambda: case.run_step(one, state), lambda: walk(STEPS, None)[0]
    expected = lambda: case.reference(**{n: x.double() for n, x in inputs.items()})[:, -1]
    return ours, peer, expected


def step_row(case, plan, batch, H, D, peers):
    with torch.no_grad():
        ours, peer, expected = step_calls(case, plan, batch, H, D, peers)
        o, made = expected(), {}
        for name, calls in (("", ours), ("peer_", peer)):
            if calls is None:
                continue
            run, walked = calls
            made[f"{name}out"] = rms(walked(), o)
            made[f"{name}called"] = bench(run)
            made[f"{name}graph"] = in_graph(run)
    for what in ("called", "graph"):
        if made.get(what) and made.get(f"peer_{what}"):
            made[f"x_{what}"] = made[f"peer_{what}"] / made[what]
    return made
