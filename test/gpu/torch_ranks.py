"""Rows of tokens over several ranks, with kernels on CUDA, against the same calls on one of them, and what they cost beside flash-linear-attention's.

    torchrun --nproc-per-node 2 test/gpu/torch_ranks.py [--backend gloo|nccl] [--tokens 65536] FOLDER...

FOLDERs were made by `lmoec build --target torch --dtype bf16,f32`. With gloo ranks may share a device, and without one the reference runs. --tokens: the tokens of a
rank in what is timed; 0: nothing is. --profile: where the time goes. --json FILE: what was timed, and the bytes that a rank's pieces gave to the others, beside what algebra says.
"""
import argparse
import importlib
import inspect
import json
import os
import sys
import traceback
from pathlib import Path

import torch
import torch.distributed as dist

from rank_times import DEVICE, kernels, milliseconds, of_all_ranks, phases

# Of rms(difference) / rms(expected), as for other orders of the same sums: outputs and states, gradients of io tensors, gradients of what is exact.
ALLOWED = {torch.bfloat16: (6e-3, 8e-3, 2e-2), torch.float16: (6e-3, 8e-3, 2e-2), torch.float32: (1e-4, 1e-4, 1e-4)}
NEGLIGIBLE = 1e-6
LENGTH = 1500
HEADS = 16
# Where FLA has context parallelism: the function, and how it is called with our inputs by name.
FLA = {
    "gated_delta": ("gated_delta_rule", "chunk_gated_delta_rule", {}),
    "kda": ("kda", "chunk_kda", {"safe_gate": True, "lower_bound": -5.0}),
    "rwkv7": ("rwkv7", "chunk_rwkv7", {"scale": 1.0}),
}


def error(found, expected):
    scale = expected.double().norm().item()
    difference = (found.double() - expected.double()).norm().item()
    return difference / scale if scale > 0 else difference


def draw(signature, sizes, dtype, batch, tokens, heads, groups, sequences, seed=0):
    """The same on every rank."""
    generator = torch.Generator(DEVICE).manual_seed(seed)

    def make(named, outer):
        shape = (*outer, *(sizes[axis] for axis in named.axes))
        x = torch.randn(shape, generator=generator, device=DEVICE)
        if named.high < float("inf"):
            x = named.high - torch.nn.functional.softplus(x) if named.low == -float("inf") else named.low + (named.high - named.low) * torch.sigmoid(x)
        elif named.low > -float("inf"):
            x = named.low + torch.nn.functional.softplus(x)
        elif named.axes:
            x = x / shape[-1] ** 0.5
        return x.to(dtype if named.io else torch.float32)

    inputs = [make(named, (batch, tokens, groups if named.group else heads)) for named in signature.inputs]
    params = [make(named, (heads,)) for named in signature.params]
    return inputs, params, [make(named, (sequences, heads)) for named in signature.states]


def call(package, scan, inputs, params, states, **options):
    reference = package._reference.SCANS[scan]
    function = getattr(package, package._reference.MODULES[scan])
    if states:
        options["initial_state"] = states[0] if len(states) == 1 else tuple(states)
    *outputs, final = function(*inputs, **{named.name: x for named, x in zip(reference.signature.params, params)}, **options)
    return [*outputs, *(() if final is None else (final,) if isinstance(final, torch.Tensor) else final)]


def leaves(tensors):
    return [x.detach().clone().requires_grad_() for x in tensors]


def added(x):
    x = x.detach().clone()
    dist.all_reduce(x)
    return x


def compare(package, scan, sizes, dtype, layout, offsets):
    """Errors of this rank, by name."""
    signature = package._reference.SCANS[scan].signature
    batch, count = (2, 2) if offsets is None else (1, len(offsets) - 1)
    inputs, params, states = draw(signature, sizes, dtype, batch, LENGTH, 4, 2, count)
    whole = leaves([*inputs, *params, *states])
    n, m = len(inputs), len(inputs) + len(params)
    packed = None if offsets is None else torch.tensor(offsets, device=DEVICE)
    results = call(package, scan, whole[:n], whole[n:m], whole[m:], output_final_state=True, cu_seqlens=packed)
    generator = torch.Generator(DEVICE).manual_seed(1)
    seeds = [torch.randn(x.shape, generator=generator, device=DEVICE).to(x.dtype) for x in results]
    expected = torch.autograd.grad(results, whole, seeds)
    shards = package.cp.SequenceShards(None, offsets, tokens=LENGTH if offsets is None else None, layout=layout)
    own = leaves([*(shards.local(x) for x in inputs), *params, *states])
    found = call(package, scan, own[:n], own[n:m], own[m:], output_final_state=True, shards=shards)
    outputs = len(signature.outputs)
    grads = torch.autograd.grad(found, own, [*(shards.local(x) for x in seeds[:outputs]), *seeds[outputs:]])
    output_limit, io_limit, exact_limit = ALLOWED[dtype]
    rows = [(f"output {i}", x, shards.local(y), output_limit) for i, (x, y) in enumerate(zip(found[:outputs], results))]
    rows += [(f"state {i}", added(x), y, output_limit) for i, (x, y) in enumerate(zip(found[outputs:], results[outputs:]))]
    for i, (named, d, e) in enumerate(zip(signature.args, grads, expected)):
        d, e = (d, shards.local(e)) if i < n else (added(d), e)
        rows.append((f"gradient of {named.name}", d, e, io_limit if named.io else exact_limit))
    wrong = []
    for name, x, y, limit in rows:
        near = (x.double() - y.double()).abs().max().item() <= NEGLIGIBLE
        wrong.append((name, error(x, y), limit, near or error(x, y) <= limit))
    return wrong


class Volume:
    """Counts what a package's ranks gather: calls, and the bytes that this rank gave."""

    def __init__(self, package):
        self.cp, self.calls, self.bytes = package.cp, 0, 0

    def __enter__(self):
        self.real = self.cp.all_gather

        def counted(into, given, **options):
            self.calls += 1
            self.bytes += given.numel() * given.element_size()
            return self.real(into, given, **options)

        self.cp.all_gather = counted
        return self

    def __exit__(self, *_):
        self.cp.all_gather = self.real


def volume(package, scan, run, forward, sizes, pieces):
    """Bytes that a piece gives per head, forward and backward, and what a state and its map have: they do not grow with the tokens."""
    transitions = getattr(package._transitions, package._reference.MODULES[scan])
    with Volume(package) as there:
        forward()
    with Volume(package) as both:
        run()
    own = [tuple(sizes[axis] for axis in named.axes) for named in package._reference.SCANS[scan].signature.states]
    count = lambda shape: 4 * torch.Size(shape).numel()
    states = sum(count(shape) for shape in own)
    maps = sum(count(found) for carried, shape in zip(transitions.states, own) if (found := carried.shape(shape)) is not None)
    per = pieces * HEADS
    return {"gathers": [there.calls, both.calls - there.calls], "bytes": [there.bytes / per, (both.bytes - there.bytes) / per], "expected": [states + maps, states]}


def cost(package, scan, sizes, dtype, tokens, profile):
    """Forward and backward of a rank's tokens: alone, and as a part of one row."""
    signature = package._reference.SCANS[scan].signature
    inputs, params, _ = draw(signature, sizes, dtype, 1, tokens, HEADS, HEADS, 1, seed=dist.get_rank())
    given = leaves([*inputs, *params])
    n = len(inputs)
    shards = package.cp.SequenceShards(tokens=tokens * dist.get_world_size())
    seeds = [torch.randn_like(x) for x in call(package, scan, inputs, params, [])]

    def run(**options):
        def once():
            torch.autograd.grad(call(package, scan, given[:n], given[n:], [], **options), given, seeds)
        return once

    def measured(**options):
        """Its time, and the most memory that is in use meanwhile."""
        if DEVICE == "cuda":
            torch.cuda.reset_peak_memory_stats()
        took = milliseconds(run(**options))
        return took, torch.cuda.max_memory_allocated() / 2**30 if DEVICE == "cuda" else None

    alone, alone_peak = measured()
    shared, peak = measured(shards=shards)
    made = {"alone": alone["median"], "shared": shared["median"], "shared_least": shared["least"], "host": shared["host"], "alone_host": alone["host"]}
    if peak is not None:
        made |= {"peak_GiB": peak, "alone_peak_GiB": alone_peak}
    # Far from the first: something else was using the device.
    made["alone_again"] = milliseconds(run())["median"]
    if profile:
        made["phases"] = of_all_ranks(phases(package, run(shards=shards)))
        forward = milliseconds(lambda: call(package, scan, given[:n], given[n:], []))["median"]
        made["alone_phases"] = [["forward", forward], ["backward", made["alone"] - forward]]
        made["kernels"] = of_all_ranks(kernels(run(shards=shards)))
        made["alone_kernels"] = kernels(run())

    def forward():
        with torch.no_grad():
            call(package, scan, inputs, params, [], shards=shards)

    return made | volume(package, scan, run(shards=shards), forward, sizes, len(shards.own))


def fla_cost(package, scan, sizes, dtype, tokens):
    """The same by FLA's context parallelism."""
    module, name, options = FLA[scan]
    function = getattr(importlib.import_module(f"fla.ops.{module}"), name)
    if "cp_context" not in inspect.signature(function).parameters:
        raise RuntimeError(f"this FLA's {name} takes no cp_context")
    from fla.ops.cp import build_cp_context

    signature = package._reference.SCANS[scan].signature
    inputs, _, _ = draw(signature, sizes, dtype, 1, tokens, HEADS, HEADS, 1, seed=dist.get_rank())
    given = leaves(inputs)
    names = [named.name for named in signature.inputs]
    offsets = torch.tensor([0, tokens * dist.get_world_size()], dtype=torch.long, device=DEVICE)

    def forward():
        context = build_cp_context(offsets, group=dist.group.WORLD)
        return function(**dict(zip(names, given)), cp_context=context, **options)[0]

    seed = torch.randn_like(forward())
    torch.cuda.reset_peak_memory_stats()
    return {"fla": milliseconds(lambda: torch.autograd.grad(forward(), given, seed))["median"], "fla_peak_GiB": torch.cuda.max_memory_allocated() / 2**30}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", choices=("gloo", "nccl"), default="gloo")
    parser.add_argument("--tokens", type=int, default=0)
    parser.add_argument("--no-values", action="store_true", help="times and volumes alone")
    parser.add_argument("--fla", action="store_true", help="beside FLA's context parallelism, where it has the operator")
    parser.add_argument("--profile", action="store_true", help="with what is timed: the programs, exchanges and kernels of one call")
    parser.add_argument("--json")
    parser.add_argument("folders", nargs="+")
    options = parser.parse_args()
    if DEVICE == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    dist.init_process_group(options.backend)
    rank, world = dist.get_rank(), dist.get_world_size()
    ends = [LENGTH * p // (2 * world) for p in range(2 * world + 1)]
    packings = {"rows": None, "one": [0, LENGTH], "at": ends, "around": [0, ends[1] - 1, ends[1] + 1, ends[1] + 70, ends[1] + 70, ends[-2] + 3, LENGTH]}
    passed, failed, timed = 0, 0, []
    for folder in options.folders:
        path = Path(folder).resolve()
        name = next(each.name for each in path.iterdir() if (each / "_runtime.py").exists())
        sys.path.insert(0, str(path))
        package = importlib.import_module(name)
        package._transitions = importlib.import_module(f"{name}._transitions")
        dtypes = importlib.import_module(f"{name}._host").DTYPES
        for scan, kernels in zip(package._ops.SCANS, package._ops.KERNELS):
            suitable = kernels.suitable(torch.cuda.current_device()) if DEVICE == "cuda" else kernels.plans()
            for plan in [plan for plan in suitable if plan.target == suitable[0].target]:
                for layout in () if options.no_values else ("contiguous", "headtail"):
                    for packing, offsets in packings.items():
                        label = f"{scan} {plan.dtype} {plan.size_text()} {layout} {packing} on {world}"
                        try:
                            rows = compare(package, scan, plan.sizes, dtypes[plan.dtype], layout, offsets)
                        except Exception:
                            rows = [(traceback.format_exc(), float("nan"), 0.0, False)]
                        worst = max(rows, key=lambda row: row[1] / row[2] if row[2] > 0 else float("inf"))
                        bad = [row for row in rows if not row[3]]
                        passed, failed = passed + len(rows) - len(bad), failed + len(bad)
                        if rank == 0 or bad:
                            print(f"{label}, rank {rank}: {'FAILED ' + str(bad) if bad else 'ok'}; closest to its limit: {worst[0]} {worst[1]:.1e} of {worst[2]:.0e}", flush=True)
                if options.tokens > 0:
                    row = {"scan": scan, "dtype": plan.dtype, "ranks": world, "tokens": options.tokens, **cost(package, scan, plan.sizes, dtypes[plan.dtype], options.tokens, options.profile)}
                    timed.append(row)
                    # FLA tunes for minutes, and may be cut: what is ours is written before.
                    tell = lambda: Path(options.json).write_text(json.dumps(timed)) if rank == 0 and options.json is not None else None
                    tell()
                    if options.fla and scan in FLA and plan.dtype != "f32":
                        try:
                            row |= fla_cost(package, scan, plan.sizes, dtypes[plan.dtype], options.tokens)
                        except Exception as error:
                            row["fla_missing"] = f"{type(error).__name__}: {error}"[:200]
                    tell()
                    if rank == 0:
                        print(json.dumps(row), flush=True)
    counts = torch.tensor([passed, failed], device=DEVICE)
    dist.all_reduce(counts)
    if rank == 0:
        print(f"{int(counts[0])} passed, {int(counts[1])} failed on all ranks", flush=True)
    dist.destroy_process_group()
    return 1 if int(counts[1]) > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
