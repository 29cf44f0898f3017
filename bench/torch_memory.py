"""Peak memory of forward and backward, FLA's functions beside ours, at B=2 T=16384 H=16 D=128 in bf16 (inputs, gates and gradients included).

    python3 bench/torch_memory.py gla --packages out          one scan a process

`out`: what `lmoec build examples/{gla,gated_delta,kda,simple_gla}.lmoe --target torch --size K=128,V=128 -o out` made. Prints lines of JSON for ours, with `keep` and without, and one for FLA's, as soon as
it is known: MiB above what inputs take. FLA's tuner is held to one configuration (untuned.py): what its functions ask of torch is the same in all."""
import argparse
import importlib
import json
import sys
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent))
import untuned
from table import brief

B, T, H, D = 2, 16384, 16, 128
FLA = {
    "gla": ("gla", "chunk_gla"), "gated_delta": ("gated_delta_rule", "chunk_gated_delta_rule"), "kda": ("kda", "chunk_kda"),
    "simple_gla": ("simple_gla", "chunk_simple_gla"),
}


def inputs(scan):
    torch.manual_seed(0)
    draw = lambda *shape: torch.randn(B, T, H, *shape, device="cuda")
    q, k, v = draw(D), F.normalize(draw(D), dim=-1), draw(D)
    q, k, v = (x.bfloat16() for x in (q, k, v))
    match scan:
        case "gla":
            return q, k, v, F.logsigmoid(draw(D)) / 16
        case "simple_gla":
            return q, k, v, F.logsigmoid(draw()) / 16
        case "gated_delta":
            return q, k, v, F.logsigmoid(draw()), draw().sigmoid()
        case "kda":
            return q, k, v, -5 * draw(D).sigmoid(), draw().sigmoid()


def peak(run, given):
    """MiB that forward and backward take at most, over what was there before."""
    leaves = [x.requires_grad_() for x in given]
    for _ in range(2):
        for x in leaves:
            x.grad = None
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        o = run(*leaves)
        o = o[0] if isinstance(o, tuple) else o
        forward = torch.cuda.memory_allocated() - before
        o.backward(torch.ones_like(o))
        torch.cuda.synchronize()
        most, left = torch.cuda.max_memory_allocated() - before, torch.cuda.memory_allocated() - before
        del o
    return {"peak_MiB": round(most / 2**20), "kept_after_forward_MiB": round(forward / 2**20), "left_with_gradients_MiB": round(left / 2**20)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("scan", choices=FLA)
    parser.add_argument("--packages", required=True)
    parser.add_argument("--only", choices=("fla", "lmoec"))
    options = parser.parse_args()
    sys.path.insert(0, str(Path(options.packages).resolve() / options.scan))

    def say(whose, function):
        try:
            found = peak(function(), inputs(options.scan))
        except Exception as error:
            found = {"failed": brief(error)}
        print(json.dumps({"scan": options.scan, "kernels": whose, **found}), flush=True)

    def fla():
        untuned.hold()
        module, name = FLA[options.scan]
        function = getattr(importlib.import_module(f"fla.ops.{module}"), name)
        more = {"safe_gate": True} if options.scan == "kda" else {}
        return lambda *given: function(*given, **more)

    if options.only != "fla":
        ours = lambda keep: lambda: partial(getattr(importlib.import_module(options.scan), options.scan), keep=keep)
        say("lmoec", ours(False))
        say("lmoec, kept", ours(True))
    if options.only != "lmoec":
        say("fla", fla)


if __name__ == "__main__":
    main()
