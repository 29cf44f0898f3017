"""Trains a language model of flash-linear-attention on this project's text, byte by byte, with FLA's kernels or with ours, from the same seed.

    python3 bench/torch_train.py --model gla --kernels lmoec --packages out --steps 200

`out`: what `lmoec build ... --target torch -o out` made. Prints one line of JSON: losses, tokens per second after warm-up, peak memory."""
import argparse
import json
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent


def text():
    """Bytes of the sources and the documentation, in the order of their names."""
    files = sorted(f for folder in ("src", "docs", "templates") for f in (ROOT / folder).rglob("*") if f.suffix in (".ts", ".md", ".py"))
    return torch.frombuffer(bytearray(b"\n".join(f.read_bytes() for f in files)), dtype=torch.uint8).long()


def model_of(name, layers, width, heads):
    common = dict(hidden_size=width, num_hidden_layers=layers, num_heads=heads, vocab_size=256, use_cache=False, max_position_embeddings=4096)
    if name == "gla":
        from fla.models import GLAConfig, GLAForCausalLM
        return GLAForCausalLM(GLAConfig(expand_k=1.0, expand_v=1.0, **common))
    from fla.models import GatedDeltaNetConfig, GatedDeltaNetForCausalLM
    return GatedDeltaNetForCausalLM(GatedDeltaNetConfig(head_dim=width // heads, expand_v=1.0, **common))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=("gla", "gated_deltanet"), required=True)
    parser.add_argument("--kernels", choices=("fla", "lmoec"), required=True)
    parser.add_argument("--packages")
    for name, value in (("steps", 200), ("batch", 8), ("length", 2048), ("layers", 4), ("width", 512), ("heads", 4)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--seconds", type=float, default=150, help="ends then, with the steps that are done (default: 150)")
    options = parser.parse_args()
    started = time.perf_counter()
    if options.kernels == "lmoec":
        sys.path.insert(0, str(ROOT / "examples/torch/fla"))
        import fla.ops  # noqa: F401
        import lmoec_fla
        if options.packages is not None:
            lmoec_fla.use(options.packages)
        lmoec_fla.install()
    torch.manual_seed(0)
    model = model_of(options.model, options.layers, options.width, options.heads).cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    data, draw, losses = text().cuda(), torch.Generator().manual_seed(1), []
    begin = None
    for step in range(options.steps):
        if step == options.steps // 4:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            begin = time.perf_counter()
        starts = torch.randint(len(data) - options.length, (options.batch,), generator=draw).tolist()
        tokens = torch.stack([data[i : i + options.length] for i in starts])
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
        if step % 20 == 19:
            torch.cuda.synchronize()
            if time.perf_counter() - started > options.seconds:
                break
    torch.cuda.synchronize()
    counted = (len(losses) - options.steps // 4) * options.batch * options.length
    speed = round(counted / (time.perf_counter() - begin)) if begin is not None and counted > 0 else None
    losses = torch.stack(losses).tolist()
    calls = dict(sys.modules["lmoec_fla"].CALLS) if options.kernels == "lmoec" else {}
    print(json.dumps({
        "model": options.model, "kernels": options.kernels, "calls": calls, "steps": len(losses), "tokens_per_second": speed,
        "peak_MiB": round(torch.cuda.max_memory_allocated() / 2**20), "losses": {i: round(losses[i], 4) for i in (*range(0, len(losses), 20), len(losses) - 1)},
    }))


if __name__ == "__main__":
    main()
