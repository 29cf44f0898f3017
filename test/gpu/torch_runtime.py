"""Checks the runtime of PyTorch packages on a CUDA device: python3 test/gpu/torch_runtime.py [--parts values,graphs] FOLDER..., each made by `lmoec build --target torch`.

`--parts compiled,large,sharded`: under Inductor and in graphs of torch, more than 2^31 elements a tensor, DTensors; they are not among those of a plain run. `--parts values` is short enough for compute-sanitizer.
Values against the package's reference in float64, graphs replayed with other data and other offsets, of modules and of whole steps of training too, streams, threads,
queues, poisoned memory, images."""
import argparse
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import torch

import scan_checks
from scan_checks import ALLOWED, PACKED, Subject, check, error, failures, same, wide
from torch_captured import captured, compiled, graphs, trained

def values(s):
    for what, states, offsets in (("batch", True, None), ("batch, no states", False, None), ("packed", True, PACKED), ("packed, no states", False, PACKED)):
        sequences = None if offsets is None else len(offsets) - 1
        args = s.draw(batch=2 if offsets is None else 1, tokens=300 if offsets is None else offsets[-1], sequences=sequences, states=states)
        for kind in (torch.int32, torch.int64) if offsets else (None,):
            cu = None if offsets is None else torch.tensor(offsets, dtype=kind, device="cuda")
            torch.cuda.set_sync_debug_mode("error")
            found = s.scan.forward(args, cu)
            outputs = s.scan.forward(args, cu, final=False)
            torch.cuda.set_sync_debug_mode("default")
            expected = s.reference.forward(wide(args), cu)
            s.compare(f"forward, {what} {kind or ''}", found, expected)
            check(f"{s.label} forward, {what}: without final states the same", same(outputs, found[:len(outputs)]))
            cotangents = s.cotangents(found, states)
            grads = s.scan.backward(args, cotangents, cu)
            s.compare(f"backward, {what} {kind or ''}", grads, s.reference.backward(wide(args), wide(cotangents), cu))
            if s.reference.affine:
                s.compare(f"ends, {what} {kind or ''}", s.scan.ends(args, cu), expected[len(outputs):])
                s.compare(f"backward of ends, {what} {kind or ''}", s.scan.reverse_ends(args, cotangents, cu), s.reference.reverse_ends(wide(args), wide(cotangents), cu))
            check(f"{s.label} {what}: the same bits twice", same(s.scan.backward(args, cotangents, cu), grads) and same(s.scan.forward(args, cu), found))
            if offsets:
                check(f"{s.label} {what}: offsets that the host knows", same(s.scan.forward(args, cu.cpu()), found))
    args = s.draw(batch=3, token=True)
    found = s.scan.step(args)
    s.compare("step", found, s.reference.step(wide(args)))
    states = [x.clone() for x in args[len(args) - len(s.reference.signature.states):]]
    outputs = s.scan.step([*args[:len(args) - len(states)], *states], in_place=True)
    check(f"{s.label} step in place", same([*outputs, *states], found))


def streams(s):
    args = s.draw(seed=21)
    found = s.scan.forward(args)
    cotangents = s.cotangents(found)
    grads = s.scan.backward(args, cotangents)
    torch.cuda.synchronize()
    wrong = []

    def work(index):
        try:
            stream = torch.cuda.Stream()
            with torch.cuda.stream(stream):
                for _ in range(30):
                    x, y = s.scan.forward(args), s.scan.backward(args, cotangents)
                    if not (same(x, found) and same(y, grads)):
                        wrong.append(index)
        except Exception:
            wrong.append(traceback.format_exc())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(f"{s.label} threads and streams", not wrong, str(wrong[:1]))
    # A stream that begins while another fills what is kept from call to call.
    for program in s.scan._programs.values():
        program.forget()
    first, second = torch.cuda.Stream(), torch.cuda.Stream()
    with torch.cuda.stream(first):
        torch.cuda._sleep(20_000_000)
        s.scan.forward(args)
    with torch.cuda.stream(second):
        late = s.scan.forward(args)
    torch.cuda.synchronize()
    check(f"{s.label} tables that another stream makes", same(late, found))
    bound = s.package._bound
    bound.ONE_QUEUE = True
    for program in s.scan._programs.values():
        program.forget()
    check(f"{s.label} one queue", same(s.scan.forward(args), found) and same(s.scan.backward(args, cotangents), grads))
    bound.ONE_QUEUE, bound.CHECK = False, True
    for program in s.scan._programs.values():
        program.forget()
    check(f"{s.label} poisoned memory", same(s.scan.forward(args), found) and same(s.scan.backward(args, cotangents), grads))
    bound.CHECK = False


def tensors(s):
    args = s.draw(seed=31)
    found = s.scan.forward(args)
    shifted = torch.empty(args[0].numel() + 1, dtype=args[0].dtype, device="cuda")[1:].view(args[0].shape)
    shifted.copy_(args[0])
    check(f"{s.label} data that begins anywhere", same(s.scan.forward([shifted, *args[1:]]), found))
    permuted = args[0].transpose(0, 1).contiguous().transpose(0, 1)
    check(f"{s.label} tokens before the batch", same(s.scan.forward([permuted, *args[1:]]), found))
    cotangents, inputs = s.cotangents(found), len(s.reference.signature.inputs)
    grads = s.scan.backward(args, cotangents)
    # As of a projection to all heads of every input, and of one to every input of a head; the third call is one by a graph that exists.
    for axis in (2, 3):
        slices = [torch.stack([torch.full_like(x, float("nan")), x], axis).select(axis, 1) for x in args[:inputs]]
        given = [*slices, *args[inputs:]]
        for _ in range(3):
            check(f"{s.label} slices along axis {axis}", same(s.scan.forward(given), found) and same(s.scan.backward(given, cotangents), grads))
    for what, wrong in (("device", args[0].cpu()), ("dtype", args[0].double()), ("size", args[0][..., :8].contiguous()),
                        ("tokens", args[0][:, 1:].contiguous())):
        try:
            s.scan.forward([args[0], wrong, *args[2:]] if what != "size" else [wrong, *args[1:]])
            check(f"{s.label} wrong {what}", False, "nobody minds")
        except s.package._runtime.LmoecError as refusal:
            check(f"{s.label} wrong {what}", len(refusal.remedy) > 0)
    torch.cuda.synchronize()
    del found
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    found = s.scan.forward(args)
    kept = torch.cuda.memory_allocated() - before
    size = sum(-(-x.numel() * x.element_size() // 512) * 512 for x in found)
    check(f"{s.label} memory after a call", kept == size, f"{kept} bytes, results have {size}")


def causal(s):
    """What comes after a chunk changes no bit of its results, and what comes before no bit of the gradients after it."""
    args, cut, inputs = s.draw(tokens=300, seed=41), 192, len(s.reference.signature.inputs)
    found = s.scan.forward(args)
    other = [x if i >= inputs else torch.cat([x[:, :cut], y[:, cut:]], 1) for i, (x, y) in enumerate(zip(args, s.draw(tokens=300, seed=42)))]
    count = len(s.reference.signature.outputs)
    changed = s.scan.forward(other)
    check(f"{s.label} later tokens", same([x[:, :cut].contiguous() for x in changed[:count]], [x[:, :cut].contiguous() for x in found[:count]]))
    check(f"{s.label} later tokens are read", not same(changed, found))
    cotangents = s.cotangents(found, states=False)
    ended = [None if d is None else torch.cat([d[:, :cut], torch.zeros_like(d[:, cut:])], 1) for d in cotangents]
    grads = s.scan.backward(args, ended)[:inputs]
    check(f"{s.label} gradients of tokens that nothing reads", all(x[:, cut:].count_nonzero().item() == 0 for x in grads))


def large(s):
    """The last tokens of more than 2^31 elements a tensor: gates have made them forget what was long before, so that a short run ends alike."""
    if s.reference.signature.params or not any(named.high == 0 for named in s.reference.signature.inputs):
        print(f"{s.label} large: what it says of its last tokens depends on all before; not looked at", flush=True)
        return
    heads, size, short = 64, max(s.plan.sizes.values()), 4096
    # Chunks begin at the same tokens in both runs.
    tokens = 2**31 // (heads * size) // 64 * 64 + 1024
    args = [x for x in s.draw(batch=1, tokens=short, heads=heads, groups=heads, states=False)]
    end = lambda x, n: x[:, x.shape[1] - n :].contiguous()
    whole = [None if x is None else torch.cat([x.repeat(1, tokens // short, *(1 for _ in x.shape[2:])), end(x, tokens % short)], 1) for x in args]
    tails = [None if x is None else end(x, short) for x in whole]
    check(f"{s.label} large: more elements than 31 bits count", max(x.numel() for x in whole if x is not None) > 2**31)

    def results(given):
        outputs = s.scan.forward(given, final=False)
        cotangents = [torch.zeros_like(x) for x in outputs]
        for i, d in enumerate(cotangents):
            d[:, -500:] = torch.randn(d[:, -500:].shape, generator=torch.Generator("cuda").manual_seed(i), device="cuda").to(d.dtype)
        grads = s.scan.backward(given, [*cotangents, *(None for _ in s.reference.signature.states)], wanted=tuple(x is not None for x in given))
        return [end(x, 500) for x in (*outputs, *(x for x in grads if x is not None))]

    outputs = len(s.reference.signature.outputs)
    for i, (x, y) in enumerate(zip(results(whole), results(tails))):
        allowed = ALLOWED[s.dtype][0 if i < outputs else 2 if x.dtype == torch.float32 else 1]
        check(f"{s.label} large, result {i}", error(x, y) <= allowed, f"error {error(x, y):.1e}, allowed {allowed}")


def sharded(s):
    """DTensors, whose parts a function takes by local_map; on their own they are refused in words."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor
    from torch.distributed.tensor.experimental import local_map

    if not dist.is_initialized():
        os.environ.setdefault("MASTER_ADDR", "localhost")
        os.environ.setdefault("MASTER_PORT", "29513")
        dist.init_process_group("nccl", rank=0, world_size=1)
    mesh, inputs = init_device_mesh("cuda", (1,)), len(s.reference.signature.inputs)
    function = getattr(s.package, s.package._reference.MODULES[s.name])
    args = s.draw(groups=4, states=False)[: inputs + len(s.reference.signature.params)]
    names = [named.name for named in s.reference.signature.params]
    run = lambda *given: function(*given[:inputs], **dict(zip(names, given[inputs:])))[0]
    places = [[Shard(2)] if i < inputs else [Shard(0)] for i in range(len(args))]
    given = [distribute_tensor(x, mesh, place).requires_grad_() for x, place in zip(args, places)]
    over = local_map(run, out_placements=[Shard(2)], in_placements=tuple(places), device_mesh=mesh)
    o = over(*given)
    plain = [x.clone().requires_grad_() for x in args]
    p = run(*plain)
    check(f"{s.label} DTensors by local_map", torch.equal(o.to_local(), p))
    grads = torch.autograd.grad(o.to_local().float().sum(), given), torch.autograd.grad(p.float().sum(), plain)
    check(f"{s.label} their gradients", all(torch.equal(x.to_local(), y) for x, y in zip(*grads)))
    try:
        run(*given)
        check(f"{s.label} DTensors alone", False, "nobody minds")
    except NotImplementedError as refusal:
        check(f"{s.label} DTensors alone", "sharding strategy" in str(refusal), str(refusal))


def images(folder, name):
    """Without the cubin for this device: PTX, NVRTC with its cache, and a message where there is nothing."""
    if torch.cuda.get_device_capability() != (9, 0):
        return
    script = f"import sys; sys.path.insert(0, sys.argv[1]); import {name} as p; from {name} import _ops; [scan.warmup() for scan in _ops.KERNELS]; print('loaded')"

    def attempt(what, remove, expected, environment=None):
        with tempfile.TemporaryDirectory() as copy:
            shutil.copytree(folder, copy, dirs_exist_ok=True)
            for path in Path(copy).rglob("*"):
                if path.exists() and any(path.match(pattern) for pattern in remove):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            done = subprocess.run([sys.executable, "-c", script, copy], capture_output=True, text=True, env={**os.environ, **(environment or {})})
            last = (done.stdout + done.stderr).strip().splitlines()[-1]
            check(f"{name} images, {what}", expected in last, last)
            print(f"{name} images, {what}: {last}")

    with tempfile.TemporaryDirectory() as cache:
        if any(Path(folder).rglob("cuda.sm80.*")):
            attempt("cubin of sm_80 is refused, its PTX is not", ["*.sm90.*"], "loaded")
        attempt("PTX alone", ["*.cubin"], "loaded")
        attempt("NVRTC", ["*.cubin", "*.ptx"], "loaded", {"LMOEC_CACHE": cache})
        check(f"{name} cache", len(list(Path(cache).glob("*.cubin"))) > 0)
        attempt("NVRTC, from the cache", ["*.cubin", "*.ptx"], "loaded", {"LMOEC_CACHE": cache})
        attempt("no image", ["*.cubin", "*.ptx", "*.cu"], "files are missing", {"LMOEC_CACHE": cache})
        attempt("no NVRTC", ["*.cubin", "*.ptx"], "LMOEC_NVRTC", {"LMOEC_CACHE": f"{cache}/other", "LMOEC_NVRTC": "/nowhere.so"})
        attempt("built for another device", ["*.sm90.*", "*.sm80.*"], "files are missing")


PARTS = {
    "values": values, "causal": causal, "graphs": graphs, "streams": streams, "tensors": tensors, "captured": captured, "trained": trained, "compiled": compiled,
    "large": large, "sharded": sharded,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", default="values,causal,graphs,streams,tensors,captured,trained,images", help=f"of {', '.join(PARTS)}, images")
    parser.add_argument("folders", nargs="+")
    options = parser.parse_args()
    folders, wanted = options.folders, options.parts.split(",")
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}", flush=True)
    for folder in folders:
        path = Path(folder).resolve()
        name = next(each.name for each in path.iterdir() if (each / "_runtime.py").exists())
        sys.path.insert(0, str(path))
        package = importlib.import_module(name)
        for part in ("_ops", "_reference", "_host", "_bound", "_runtime"):
            setattr(package, part, importlib.import_module(f"{name}.{part}"))
        kernels = dict(zip(package._ops.SCANS, package._ops.KERNELS))
        for scan_name, scan in kernels.items():
            suitable = scan.suitable(torch.cuda.current_device())
            for plan in [plan for plan in suitable if plan.target == suitable[0].target]:
                subject = Subject(package, scan_name, scan, plan)
                for part in (PARTS[name] for name in wanted if name in PARTS):
                    before = len(failures)
                    try:
                        part(subject)
                    except Exception:
                        torch.cuda.set_sync_debug_mode("default")
                        check(f"{subject.label} {part.__name__}", False, traceback.format_exc())
                    print(f"{subject.label} {part.__name__}: {'ok' if len(failures) == before else 'FAILED'}", flush=True)
        if folder == folders[0] and "images" in wanted:
            images(path, name)
            print(package._runtime.doctor(kernels.values()), flush=True)
    print(f"{scan_checks.passes} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
