"""Trains a small model of generated scans and attention on the bytes of a folder's text, with FSDP2 and checkpoints.

    npx lmoec build examples/gated_delta.lmoe --target torch -o out
    PYTHONPATH=out/gated_delta torchrun --nproc-per-node 2 examples/torch/train.py --checkpoints out/checkpoints

Every rank reads tokens of its own. A run that finds checkpoints goes on from the last, and does what an unbroken one does. Each checkpoint is written beside its
place and renamed when it is whole, so that a killed run leaves none that is half. `--export` writes what `from_pretrained` of transformers reads (hybrid/hf.py).
"""

import argparse
import dataclasses
import json
import os
import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from hybrid.layers import Hybrid, Settings
from hybrid.sharding import shard
from torch import nn
from torch.distributed.checkpoint import HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict import get_model_state_dict, get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.nn import functional as F

PARTIAL = ".part"
# Steps before time is taken.
WARM = 10


def text_of(folder, endings=(".ts", ".py", ".md", ".lmoe")):
    """The bytes of the text below a folder, in an order that does not depend on the machine."""
    files = sorted(path for path in Path(folder).rglob("*") if path.suffix in endings and path.is_file())
    if not files:
        raise SystemExit(f"{folder} has no files that end with {', '.join(endings)}: name another folder with --text")
    return torch.frombuffer(bytearray(b"\n".join(path.read_bytes() for path in files)), dtype=torch.uint8)


def batch_of(text, options, step, share):
    """The same for the same step and share, so that a resumed run reads on where the other ended."""
    generator = torch.Generator().manual_seed(options.seed * 1_000_003 + step * 1009 + share)
    starts = torch.randint(len(text) - options.tokens - 1, (options.batch,), generator=generator)
    return torch.stack([text[start : start + options.tokens + 1] for start in starts.tolist()]).long()


def checkpoints(folder):
    """Whole checkpoints by step."""
    found = Path(folder).glob("step-*") if folder is not None else ()
    return {int(path.name.removeprefix("step-")): path for path in found if not path.name.endswith(PARTIAL)}


@contextmanager
def written(folder):
    """A folder beside it, which takes its place when all ranks have written there."""
    beside = folder.with_name(folder.name + PARTIAL)
    if dist.get_rank() == 0:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
    dist.barrier()
    yield beside
    dist.barrier()
    if dist.get_rank() == 0:
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(beside, folder)
    dist.barrier()


def save(model, optimizer, folder, step, keep):
    weights, moments = get_state_dict(model, optimizer)
    with written(Path(folder) / f"step-{step}") as place:
        dcp.save({"model": weights, "optimizer": moments, "step": step}, checkpoint_id=place)
    if dist.get_rank() == 0:
        for old in sorted(checkpoints(folder))[:-keep]:
            shutil.rmtree(checkpoints(folder)[old])


def export(model, settings, folder):
    """What `AutoModelForCausalLM.from_pretrained(folder)` reads after `import hybrid.hf`. Each rank writes its parts, which one file then holds."""
    with written(Path(folder)) as place:
        writer = HuggingFaceStorageWriter(str(place), save_distributed=True, enable_consolidation=True)
        dcp.save(get_model_state_dict(model), storage_writer=writer)
        dist.barrier()
        if dist.get_rank() == 0:
            shutil.rmtree(place / "sharded")
            config = {"model_type": "lmoec_hybrid", "architectures": ["HybridForCausalLM"], **dataclasses.asdict(settings)}
            (place / "config.json").write_text(json.dumps(config, indent=2))


def resume(model, optimizer, folder):
    """The step that is done; 0 where there is no checkpoint."""
    found = checkpoints(folder)
    if not found:
        return 0
    weights, moments = get_state_dict(model, optimizer)
    state = {"model": weights, "optimizer": moments, "step": 0}
    dcp.load(state, checkpoint_id=found[max(found)])
    set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
    return state["step"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    root = Path(__file__).resolve().parents[2]
    for name, default in (("steps", 200), ("every", 50), ("keep", 2), ("batch", 8), ("tokens", 512), ("width", 256), ("layers", 6), ("heads", 4), ("size", 64), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--shares", type=int, help="of a batch, which ranks divide among them: fewer ranks with as many shares see what more ranks see (default: one a rank)")
    parser.add_argument("--text", default=root, help="a folder; the text below it is what is learnt")
    parser.add_argument("--checkpoints", help="a folder for checkpoints, from which a run goes on; none are written without it")
    parser.add_argument("--export", help="a folder for the trained model as transformers reads it")
    options = parser.parse_args()

    if "RANK" not in os.environ:
        raise SystemExit("start this with torchrun: torchrun --nproc-per-node 1 examples/torch/train.py")
    kind = "cuda" if torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"]) else "cpu"
    device = torch.device(kind, int(os.environ["LOCAL_RANK"]) if kind == "cuda" else 0)
    if kind == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    mesh = init_device_mesh(kind, (world,))

    shares = options.shares or world
    if shares % world != 0:
        raise SystemExit(f"{shares} shares cannot be divided among {world} ranks")
    own = range(rank * shares // world, (rank + 1) * shares // world)
    text = text_of(options.text)
    # The same parameters on every rank before they are sharded.
    torch.manual_seed(options.seed)
    settings = Settings(
        hidden_size=options.width, num_hidden_layers=options.layers, num_attention_heads=options.heads, head_dim=options.size,
        intermediate_size=3 * options.width,
    )
    model = Hybrid(settings).to(device)
    shard(model, mesh, torch.bfloat16 if kind == "cuda" else None)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, betas=(0.9, 0.95))
    first = resume(model, optimizer, options.checkpoints)
    begin, warm = time.perf_counter(), first
    for step in range(first + 1, options.steps + 1):
        bytes_ = torch.cat([batch_of(text, options, step, share) for share in own]).to(device)
        logits = model(bytes_[:, :-1])
        loss = F.cross_entropy(logits.float().flatten(0, 1), bytes_[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        mean = loss.detach().clone()
        dist.all_reduce(mean)
        if rank == 0:
            print(f"step {step} loss {mean.item() / world!r}", flush=True)
        if step == first + WARM:
            # The number above has waited for the device.
            begin, warm = time.perf_counter(), step
        if options.checkpoints is not None and (step % options.every == 0 or step == options.steps):
            save(model, optimizer, options.checkpoints, step, options.keep)
    if options.export is not None:
        export(model, settings, options.export)
    if rank == 0 and options.steps > warm:
        speed = (options.steps - warm) * shares * options.batch * options.tokens / (time.perf_counter() - begin)
        peak = f", at most {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB on a device" if kind == "cuda" else ""
        print(f"{speed:.0f} tokens a second{peak}", flush=True)
    dist.destroy_process_group()


def leave():
    """
    Ends the process without taking the interpreter down. Threads of gloo hold tensors of collectives that are done until they find time to let them go, and where groups are
    still referred to (FSDP2 does so) destroying these does not wait for them; a thread that lets a tensor go while the interpreter is on its way down aborts the process
    (pytorch/pytorch#179291).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
    leave()
