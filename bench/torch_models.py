"""Small language models of flash-linear-attention with its kernels, with ours and with none: logits, gradients, packed rows, decoding with a cache.

    python3 bench/torch_models.py gla kda --packages out --seconds 200 --out tables          FLA and triton on the path; all models if none is named

`out`: what `lmoec build ... --target torch --size K=64,V=64 -o out` made of what examples/torch/fla/README.md names. A model runs three times from the same weights,
each in a process of its own with a limit of its own: in bf16 with our kernels and with FLA's, whose tuner is held to one configuration (untuned.py), and in float32
with the formula in PyTorch (LMOEC_BACKEND=reference). Errors are rms(difference)/rms(that in float32): of logits, of all gradients together, of decoding token by token,
of packed rows beside the same rows apart. A row is printed when the two of ours have ended, and again when FLA's has, with what each had by then; what did not work has
its reason in it.
"""
import argparse
import os
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import untuned
from table import ROOT, Table, at_once, brief, chosen, common_arguments, facts

LAYERS, WIDTH, HEADS, TOKENS = 4, 256, 4, 256
COMMON = dict(hidden_size=WIDTH, num_hidden_layers=LAYERS, vocab_size=512)
# Heads of 64 channels, keys and values: what the packages were built for.
MODELS = {
    "gla": ("GLA", dict(num_heads=HEADS, expand_k=1.0, expand_v=1.0)),
    "kda": ("KDA", dict(num_heads=HEADS, head_dim=WIDTH // HEADS, expand_v=1.0)),
    # Its penalty of large logits scatters float32 into bfloat16, which torch refuses.
    "rwkv7": ("RWKV7", dict(head_dim=WIDTH // HEADS, fuse_norm=False, use_l2warp=False)),
    "gated_deltanet": ("GatedDeltaNet", dict(num_heads=HEADS, head_dim=WIDTH // HEADS, expand_v=1.0)),
    "mamba2": ("Mamba2", dict(head_dim=64, state_size=64, expand=2)),
}
#: Decoding begins after so many tokens, and so many are generated.
PROMPT, MADE = TOKENS - 32, 16
KERNELS = ("ours", "exact", "fla")
# What errors of ours may be at most: so many times FLA's, or, where FLA's is not known, a number; packed rows are compared with our own.
BESIDE, LIMITS = 1.2, {"ours": 2e-2, "ours_gradients": 5e-2, "decoded": 2e-2, "packed": 1e-2}
COLUMNS = {
    "ours": ["logits: ours", ".1e"], "fla": ["FLA's", ".1e"], "apart": ["ours and FLA's", ".1e"],
    "ours_gradients": ["gradients: ours", ".1e"], "fla_gradients": ["FLA's", ".1e"], "apart_gradients": ["ours and FLA's", ".1e"],
    "packed": ["packed and not", ".1e"], "decoded": ["decoded: ours", ".1e"], "fla_decoded": ["FLA's", ".1e"], "generated": ["generated", ""], "calls": ["calls of ours", ""],
    "beyond": ["beyond its limit", ""], "failed": ["failed", ""],
}


def rms(found, expected):
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


def model_of(name, dtype):
    import fla.models

    kind, own = MODELS[name]
    torch.manual_seed(0)
    model = getattr(fla.models, f"{kind}ForCausalLM")(getattr(fla.models, f"{kind}Config")(**COMMON, **own)).cuda().bfloat16()
    # RWKV7 begins with projections of zeros, behind which nothing of a kernel is seen.
    for x in model.parameters():
        if not x.any():
            torch.nn.init.normal_(x, std=0.02)
    # Mamba's training path is one function of mamba_ssm that has everything in it: gradients are those of evaluation.
    return model.to(dtype).eval()


def put_in(name):
    """Our functions in the place of FLA's."""
    import lmoec_fla

    if name == "mamba2":
        import fla.layers.mamba2 as layer

        layer.mamba_chunk_scan_combined, layer.is_fast_path_available = lmoec_fla.mamba_chunk_scan_combined, True
    else:
        lmoec_fla.install()


def whole(model, ids):
    """Logits, and gradients of all parameters of their mean loss."""
    # Without labels: losses of FLA write their gradient where the logits were.
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits
    model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    return dict(logits=logits.cpu(), gradients={n: x.grad.cpu() for n, x in model.named_parameters() if x.grad is not None})


def packed(model, ids):
    offsets = torch.arange(0, ids.numel() + 1, TOKENS, dtype=torch.int32, device="cuda")
    return model(input_ids=ids.view(1, -1), cu_seqlens=offsets, use_cache=False).logits.view(*ids.shape, -1)


def decoded(model, ids):
    """Logits from the end of the prompt on, a token at a time."""
    made = model(input_ids=ids[:, :PROMPT], use_cache=True)
    logits, cache = [made.logits[:, -1:]], made.past_key_values
    for t in range(PROMPT, ids.shape[1] - 1):
        made = model(input_ids=ids[:, t : t + 1], past_key_values=cache, use_cache=True)
        logits.append(made.logits)
        cache = made.past_key_values
    return torch.cat(logits, 1)


def generated(model, ids):
    return model.generate(ids[:, :64], max_new_tokens=MADE, min_new_tokens=MADE, do_sample=False, pad_token_id=0)[:, 64:]


def work(name, kernels, packages, path):
    """Saves what there is whenever there is more."""
    untuned.hold()
    sys.path.insert(0, str(ROOT / "examples/torch/fla"))
    import fla.ops  # noqa: F401
    import lmoec_fla

    lmoec_fla.use(packages)
    found, failed = {}, []

    def part(key, run):
        try:
            found.update(run())
        except Exception as error:
            failed.append(f"{key}: {brief(error)}")
        torch.save({**found, "failed": failed, "calls": dict(lmoec_fla.CALLS)}, f"{path}.part")
        os.replace(f"{path}.part", path)

    model = model_of(name, torch.float32 if kernels == "exact" else torch.bfloat16)
    ids = torch.randint(COMMON["vocab_size"], (2, TOKENS), device="cuda", generator=torch.Generator("cuda").manual_seed(1))
    if kernels != "fla":
        put_in(name)
    part("forward and backward", lambda: whole(model, ids))
    if kernels == "exact":
        return
    with torch.no_grad():
        for run in (decoded, generated, packed):
            if name == "mamba2":
                failed.append("packed: the layer takes no cu_seqlens" if run is packed else f"{run.__name__}: FLA's layer calls selective_state_update of mamba_ssm")
            else:
                part(run.__name__, lambda: {run.__name__: run(model, ids).cpu()})


def distance(found, expected):
    """Of two sets of gradients."""
    wrong = sum((found[n].double() - x.double()).norm() ** 2 for n, x in expected.items())
    return (wrong / sum(x.double().norm() ** 2 for x in expected.values())).sqrt().item()


def peer(key):
    """FLA's error of what ours is called so."""
    return key.replace("ours", "fla") if "ours" in key else f"fla_{key}"


def row_of(results, reasons):
    """Of what the processes of a model have saved, and why those ended that did not come to their end."""
    ours, exact, fla = (results.get(kernels, {}) for kernels in KERNELS)
    row = {}
    for key, found, expected in (("ours", ours, exact), ("fla", fla, exact), ("apart", ours, fla)):
        if "logits" in found and "logits" in expected:
            row |= {key: rms(found["logits"], expected["logits"]), f"{key}_gradients": distance(found["gradients"], expected["gradients"])}
            each = {n: rms(found["gradients"][n], x) for n, x in expected["gradients"].items() if x.any()}
            row[f"{key}_worst"] = {n: each[n] for n in sorted(each, key=each.get)[-3:]}
    if "packed" in ours:
        row["packed"] = rms(ours["packed"], ours["logits"])
    for key, found in (("decoded", ours), ("fla_decoded", fla)):
        if "decoded" in found and "logits" in exact:
            row[key] = rms(found["decoded"], exact["logits"][:, PROMPT - 1 : -1])
    if "generated" in ours:
        said = f"{ours['generated'].shape[1]} tokens a row"
        same = (ours["generated"] == fla["generated"]).all(0).cumprod(0).sum().item() if "generated" in fla else None
        row["generated"] = said if same is None else f"{said}, the first {same} as FLA's"
    row["calls"] = ", ".join(f"{n} {count}" for n, count in sorted(ours.get("calls", {}).items())) or "none"
    theirs = {key: BESIDE * row[peer(key)] for key in LIMITS if peer(key) in row}
    row["beyond"] = ", ".join(key for key, limit in {**LIMITS, **theirs}.items() if row.get(key, 0) > limit) or "nothing"
    failed = [f"{kernels}: {why}" for kernels in KERNELS for why in (*results.get(kernels, {}).get("failed", ()), *filter(None, [reasons.get(kernels)]))]
    return {**row, "failed": "; ".join(failed) or "nothing"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common_arguments(parser, seconds=540, row_seconds=240)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--packages", help="folder of lmoec build --target torch")
    parser.add_argument("--jobs", type=int, default=15, help="processes at a time (default: 15)")
    parser.add_argument("--kernels", choices=KERNELS, help=argparse.SUPPRESS)
    parser.add_argument("--result", help=argparse.SUPPRESS)
    options = parser.parse_args()
    strangers = set(options.models) - set(MODELS)
    if strangers:
        parser.error(f"{', '.join(sorted(strangers))}: no such model; there are {', '.join(MODELS)}")
    names = [key.split("/")[1] for key in chosen([f"models/{name}" for name in options.models or MODELS], options.rows)]
    if options.list:
        print("\n".join(f"models/{name}" for name in names))
        return
    if options.packages is None:
        parser.error("--packages names a folder of lmoec build --target torch")
    if options.kernels:
        work(options.models[0], options.kernels, options.packages, options.result)
        return
    title = f"Models of flash-linear-attention, {LAYERS} layers of width {WIDTH}, 2 x {TOKENS} tokens, bf16"
    table = Table("models", title, COLUMNS, options.out, facts())
    names = [name for name in names if "fla" not in table.rows.get(name, {})]
    with tempfile.TemporaryDirectory() as folder:
        saved = lambda name, kernels: Path(folder) / f"{name}.{kernels}.pt"
        # All of ours first: what is short of processes or time is FLA's.
        runs = [(name, kernels) for kernels in KERNELS for name in names]
        command = lambda name, kernels: [sys.executable, __file__, name, "--packages", options.packages, "--kernels", kernels, "--result", str(saved(name, kernels))]
        backend = lambda kernels: ["env", "LMOEC_BACKEND=reference"] if kernels == "exact" else []
        reasons = {name: {} for name in names}

        def ended(i, wrong):
            name, kernels = runs[i]
            reasons[name][kernels] = wrong
            if {"ours", "exact"} <= set(reasons[name]):
                results = {kernels: torch.load(saved(name, kernels)) for kernels in KERNELS if saved(name, kernels).exists()}
                table.add(name, **row_of(results, reasons[name]))

        at_once([[*backend(kernels), *command(name, kernels)] for name, kernels in runs], options.jobs, options.seconds, None, options.row_seconds, None, ended)


if __name__ == "__main__":
    main()
