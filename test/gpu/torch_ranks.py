"""Rows of tokens over several ranks on CUDA, with kernels, against the same calls on one of them, and what they cost.

    torchrun --nproc-per-node 2 test/gpu/torch_ranks.py [--backend gloo|nccl] [--tokens 65536] FOLDER...

FOLDERs were made by `lmoec build --target torch --dtype bf16,f32`. With gloo ranks may share a device. --tokens: the tokens of a rank in what is timed; 0: nothing is.
"""
import argparse
import importlib
import os
import sys
import traceback
from pathlib import Path

import torch
import torch.distributed as dist

# Of rms(difference) / rms(expected), as for other orders of the same sums: outputs and states, gradients of io tensors, gradients of what is exact.
ALLOWED = {torch.bfloat16: (6e-3, 8e-3, 2e-2), torch.float16: (6e-3, 8e-3, 2e-2), torch.float32: (1e-4, 1e-4, 1e-4)}
NEGLIGIBLE = 1e-6
LENGTH = 1500


def error(found, expected):
    scale = expected.double().norm().item()
    difference = (found.double() - expected.double()).norm().item()
    return difference / scale if scale > 0 else difference


def draw(signature, sizes, dtype, batch, tokens, heads, groups, sequences, seed=0):
    """The same on every rank."""
    generator = torch.Generator("cuda").manual_seed(seed)

    def make(named, outer):
        shape = (*outer, *(sizes[axis] for axis in named.axes))
        x = torch.randn(shape, generator=generator, device="cuda")
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
    packed = None if offsets is None else torch.tensor(offsets, device="cuda")
    results = call(package, scan, whole[:n], whole[n:m], whole[m:], output_final_state=True, cu_seqlens=packed)
    generator = torch.Generator("cuda").manual_seed(1)
    seeds = [torch.randn(x.shape, generator=generator, device="cuda").to(x.dtype) for x in results]
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


def milliseconds(run, times=5):
    for _ in range(2):
        run()
    torch.cuda.synchronize()
    dist.barrier()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(times):
        run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / times


def cost(package, scan, sizes, dtype, tokens):
    """Forward and backward of a rank's tokens: alone, and as a part of one row."""
    signature = package._reference.SCANS[scan].signature
    inputs, params, _ = draw(signature, sizes, dtype, 1, tokens, 16, 16, 1, seed=dist.get_rank())
    given = leaves([*inputs, *params])
    n = len(inputs)
    shards = package.cp.SequenceShards(tokens=tokens * dist.get_world_size())
    seeds = [torch.randn_like(x) for x in call(package, scan, inputs, params, [])]

    def run(**options):
        def once():
            torch.autograd.grad(call(package, scan, given[:n], given[n:], [], **options), given, seeds)
        return once

    alone = milliseconds(run())
    torch.cuda.reset_peak_memory_stats()
    shared = milliseconds(run(shards=shards))
    return alone, shared, torch.cuda.max_memory_allocated() / 2**30


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", choices=("gloo", "nccl"), default="gloo")
    parser.add_argument("--tokens", type=int, default=0)
    parser.add_argument("folders", nargs="+")
    options = parser.parse_args()
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    dist.init_process_group(options.backend)
    rank, world = dist.get_rank(), dist.get_world_size()
    ends = [LENGTH * p // (2 * world) for p in range(2 * world + 1)]
    packings = {"rows": None, "one": [0, LENGTH], "at": ends, "around": [0, ends[1] - 1, ends[1] + 1, ends[1] + 70, ends[1] + 70, ends[-2] + 3, LENGTH]}
    passed = failed = 0
    for folder in options.folders:
        path = Path(folder).resolve()
        name = next(each.name for each in path.iterdir() if (each / "_runtime.py").exists())
        sys.path.insert(0, str(path))
        package = importlib.import_module(name)
        dtypes = importlib.import_module(f"{name}._host").DTYPES
        for scan, kernels in zip(package._ops.SCANS, package._ops.KERNELS):
            suitable = kernels.suitable(torch.cuda.current_device())
            for plan in [plan for plan in suitable if plan.target == suitable[0].target]:
                for layout in ("contiguous", "headtail"):
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
                    alone, shared, peak = cost(package, scan, plan.sizes, dtypes[plan.dtype], options.tokens)
                    if rank == 0:
                        print(f"{scan} {plan.dtype}: {world} x {options.tokens} tokens, 16 heads: {shared:.2f} ms a rank, its tokens alone {alone:.2f} ms, peak {peak:.2f} GiB", flush=True)
    counts = torch.tensor([passed, failed], device="cuda")
    dist.all_reduce(counts)
    if rank == 0:
        print(f"{int(counts[0])} passed, {int(counts[1])} failed on all ranks", flush=True)
    dist.destroy_process_group()
    return 1 if int(counts[1]) > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
