"""Small language models of flash-linear-attention with its kernels and with ours, from the same weights: logits, gradients, packed rows, decoding with a cache.

    python3 bench/torch_models.py --packages out --seconds 500 --out tables          FLA and triton on the path

`out`: what `lmoec build ... --target torch --size K=64,V=64 -o out` made of what examples/torch/fla/README.md names. A process per model, each with a limit of its own:
what did not work has its reason in the table. Errors are rms(difference)/rms(reference), in bf16; FLA's own tests allow 1e-3 between rows and packed rows, and 2e-3
in decoding, of one and the same kernel.
"""
import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from table import ROOT, Table, at_once, brief, chosen, common_arguments, facts

LAYERS, WIDTH, HEADS, TOKENS = 4, 256, 4, 256
COMMON = dict(hidden_size=WIDTH, num_hidden_layers=LAYERS, vocab_size=512)
# Heads of 64 channels, keys and values: what the packages were built for.
MODELS = {
    "gla": ("GLA", dict(num_heads=HEADS, expand_k=1.0, expand_v=1.0)),
    "gated_deltanet": ("GatedDeltaNet", dict(num_heads=HEADS, head_dim=WIDTH // HEADS, expand_v=1.0)),
    "kda": ("KDA", dict(num_heads=HEADS, head_dim=WIDTH // HEADS, expand_v=1.0)),
    # Its penalty of large logits scatters float32 into bfloat16, which torch refuses.
    "rwkv7": ("RWKV7", dict(head_dim=WIDTH // HEADS, fuse_norm=False, use_l2warp=False)),
    "mamba2": ("Mamba2", dict(head_dim=64, state_size=64, expand=2)),
}
# What is compared: a key of the table, its heading, what it may be at most.
LIMITS = {"logits": 2e-2, "gradients": 5e-2, "packed": 1e-2, "decoded": 2e-2}
COLUMNS = {
    "logits": ["logits, ours and FLA's", ".1e"], "gradients": ["gradients", ".1e"], "packed": ["packed and not", ".1e"], "decoded": ["decoded and not", ".1e"],
    "generated": ["generated", ""], "calls": ["calls of ours", ""], "beyond": ["beyond its limit", ""], "failed": ["failed", ""],
}


def rms(found, expected):
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


def model_of(name):
    import fla.models

    kind, own = MODELS[name]
    torch.manual_seed(0)
    model = getattr(fla.models, f"{kind}ForCausalLM")(getattr(fla.models, f"{kind}Config")(**COMMON, **own)).cuda().bfloat16()
    # RWKV7 begins with projections of zeros, behind which nothing of a kernel is seen.
    for x in model.parameters():
        if not x.any():
            torch.nn.init.normal_(x, std=0.02)
    # Mamba's training path is one function of mamba_ssm that has everything in it: gradients are those of evaluation.
    return model.eval()


def ours(name):
    """Puts our functions in place; gives what takes them out."""
    sys.path.insert(0, str(ROOT / "examples/torch/fla"))
    import lmoec_fla

    if name != "mamba2":
        return lmoec_fla.install()
    import fla.layers.mamba2 as layer

    before = layer.mamba_chunk_scan_combined, layer.is_fast_path_available
    layer.mamba_chunk_scan_combined, layer.is_fast_path_available = lmoec_fla.mamba_chunk_scan_combined, True

    def undo():
        layer.mamba_chunk_scan_combined, layer.is_fast_path_available = before

    return undo


def whole(model, ids):
    """Logits, and gradients of all parameters of their mean loss."""
    model.zero_grad(set_to_none=True)
    # Without labels: losses of FLA write their gradient where the logits were.
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits
    model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    return logits, {n: x.grad.clone() for n, x in model.named_parameters() if x.grad is not None}


def decoded(model, ids, begin):
    """Logits from `begin` on, a token at a time after a prompt."""
    with torch.no_grad():
        made = model(input_ids=ids[:, :begin], use_cache=True)
        logits, cache = [made.logits[:, -1:]], made.past_key_values
        for t in range(begin, ids.shape[1] - 1):
            made = model(input_ids=ids[:, t : t + 1], past_key_values=cache, use_cache=True)
            logits.append(made.logits)
            cache = made.past_key_values
    return torch.cat(logits, 1)


def check(name, packages, report):
    """Calls `report` with what is known whenever something is."""
    sys.path.insert(0, str(ROOT / "examples/torch/fla"))
    import fla.ops  # noqa: F401
    import lmoec_fla

    lmoec_fla.use(packages)
    model, found, failed = model_of(name), {}, []
    ids = torch.randint(COMMON["vocab_size"], (2, TOKENS), device="cuda", generator=torch.Generator("cuda").manual_seed(1))

    def part(key, run):
        try:
            found.update(run())
        except Exception as error:
            failed.append(f"{key}: {brief(error)}")
        calls = ", ".join(f"{n} {count}" for n, count in sorted(lmoec_fla.CALLS.items())) or "none"
        beyond = ", ".join(key for key, limit in LIMITS.items() if found.get(key, 0) > limit)
        report({**found, "calls": calls, "beyond": beyond or "nothing", "failed": "; ".join(failed) or "nothing"})

    undo = ours(name)
    with contextlib.ExitStack() as later:
        later.callback(undo)
        results = {}
        part("forward and backward", lambda: results.update(ours=whole(model, ids)) or {})

        def packed():
            offsets = torch.arange(0, ids.numel() + 1, TOKENS, dtype=torch.int32, device="cuda")
            with torch.no_grad():
                return dict(packed=rms(model(input_ids=ids.view(1, -1), cu_seqlens=offsets, use_cache=False).logits.view(*ids.shape, -1), results["ours"][0]))

        def steps():
            begin = TOKENS - 32
            return dict(decoded=rms(decoded(model, ids, begin), results["ours"][0][:, begin - 1 : -1]))

        def generated():
            with torch.no_grad():
                text = model.generate(ids[:, :64], max_new_tokens=16, min_new_tokens=16, do_sample=False, pad_token_id=0)
            return dict(generated=f"{text.shape[1] - 64} tokens a row")

        if name == "mamba2":
            failed.append("decoding: FLA's layer calls selective_state_update of mamba_ssm; packed: the layer takes no cu_seqlens")
        else:
            part("packed rows", packed)
            part("decoding", steps)
            part("generate", generated)

    def beside():
        logits, gradients = whole(model, ids)
        each = {n: rms(results["ours"][1][n], x) for n, x in gradients.items()}
        total = sum((results["ours"][1][n].double() - x.double()).norm() ** 2 for n, x in gradients.items()) / sum(x.double().norm() ** 2 for x in gradients.values())
        return dict(logits=rms(results["ours"][0], logits), gradients=total.sqrt().item(), worst=max(each, key=each.get))

    # Last: FLA tunes its kernels now.
    part("FLA's kernels", beside)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common_arguments(parser, seconds=540, row_seconds=240)
    parser.add_argument("--packages", help="folder of lmoec build --target torch")
    parser.add_argument("--model", choices=MODELS, help=argparse.SUPPRESS)
    parser.add_argument("--result", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.list:
        print("\n".join(chosen([f"models/{name}" for name in MODELS], options.rows)))
        return
    if options.packages is None:
        parser.error("--packages names a folder of lmoec build --target torch")
    if options.model:
        check(options.model, options.packages, lambda found: Path(options.result).write_text(json.dumps(found)))
        return
    title = f"Models of flash-linear-attention, {LAYERS} layers of width {WIDTH}, 2 x {TOKENS} tokens, bf16"
    table = Table("models", title, COLUMNS, options.out, facts())
    names = [key.split("/")[1] for key in chosen([f"models/{name}" for name in MODELS], options.rows)]
    names = [name for name in names if not table.done(name)]
    with tempfile.TemporaryDirectory() as folder:
        result = lambda name: Path(folder) / f"{name}.json"
        run = lambda name: [sys.executable, __file__, "--packages", options.packages, "--model", name, "--result", str(result(name))]
        # Side by side: nothing is timed. What one has said before it was ended counts.
        reasons = at_once([run(name) for name in names], len(names), min(options.seconds, options.row_seconds))
        for name, reason in zip(names, reasons):
            found = json.loads(result(name).read_text()) if result(name).exists() else {}
            table.add(name, **found, **({} if reason is None else {"why": reason}))


if __name__ == "__main__":
    main()
