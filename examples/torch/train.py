"""Trains a small model of generated scans and attention on the bytes of a folder's text, with FSDP2 and checkpoints.

    npx lmoec build examples/gated_delta.lmoe --target torch -o out
    PYTHONPATH=out/gated_delta torchrun --nproc-per-node 2 examples/torch/train.py --checkpoints out/checkpoints

Every rank reads tokens of its own. A run that finds checkpoints goes on from the last, and does what an unbroken one does. Each checkpoint is written beside its
place and renamed when it is whole, so that a killed run leaves none that is half.
"""

import argparse
import os
import shutil
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from gated_delta import gated_delta
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.nn import functional as F

PARTIAL = ".part"
# Steps before time is taken.
WARM = 10


class Memory(nn.Module):
    """The scan between projections."""

    def __init__(self, width, heads, size):
        super().__init__()
        self.heads, self.size = heads, size
        self.qkv = nn.Linear(width, 3 * heads * size, bias=False)
        self.gates = nn.Linear(width, 2 * heads)
        self.out = nn.Linear(heads * size, width, bias=False)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, self.size)).unbind(-3)
        decay, beta = self.gates(x).float().chunk(2, -1)
        o, _ = gated_delta(F.normalize(q, dim=-1), F.normalize(k, dim=-1), v, F.logsigmoid(decay + 4), beta.sigmoid())
        return self.out(o.flatten(-2))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).transpose(1, 3).unbind(2)
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(-2))


class Block(nn.Module):
    def __init__(self, mixer, width):
        super().__init__()
        self.mixer = mixer
        self.norms = nn.ModuleList([nn.RMSNorm(width), nn.RMSNorm(width)])
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, x):
        x = x + self.mixer(self.norms[0](x))
        return x + self.mlp(self.norms[1](x))


class Model(nn.Module):
    """Scans remember the order of tokens, so that attention, every third layer, needs no positions."""

    def __init__(self, width, layers, heads, size):
        super().__init__()
        self.embed = nn.Embedding(256, width)
        mixers = (Attention(width, heads) if i % 3 == 2 else Memory(width, heads, size) for i in range(layers))
        self.blocks = nn.ModuleList(Block(mixer, width) for mixer in mixers)
        self.head = nn.Sequential(nn.RMSNorm(width), nn.Linear(width, 256, bias=False))

    def forward(self, bytes_):
        x = self.embed(bytes_)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


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


def shard(model, mesh, device):
    """FSDP2: every block on its own, then the rest. Parameters stay float32; on CUDA they compute in bf16."""
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32) if device.type == "cuda" else MixedPrecisionPolicy()
    for block in model.blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    if dist.get_backend(mesh.get_group()) == "gloo":
        # gloo has no averages, and sums in their place without a word.
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.set_force_sum_reduction_for_comms(True)
                module.set_gradient_divide_factor(mesh.size())


def checkpoints(folder):
    """Whole checkpoints by step."""
    found = Path(folder).glob("step-*") if folder is not None else ()
    return {int(path.name.removeprefix("step-")): path for path in found if not path.name.endswith(PARTIAL)}


def save(model, optimizer, folder, step, keep):
    place = Path(folder) / f"step-{step}"
    beside = place.with_name(place.name + PARTIAL)
    if dist.get_rank() == 0:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
    dist.barrier()
    weights, moments = get_state_dict(model, optimizer)
    dcp.save({"model": weights, "optimizer": moments, "step": step}, checkpoint_id=beside)
    # All ranks have written.
    dist.barrier()
    if dist.get_rank() == 0:
        shutil.rmtree(place, ignore_errors=True)
        os.replace(beside, place)
        for old in sorted(checkpoints(folder))[:-keep]:
            shutil.rmtree(checkpoints(folder)[old])
    dist.barrier()


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
    model = Model(options.width, options.layers, options.heads, options.size).to(device)
    shard(model, mesh, device)
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
    if rank == 0 and options.steps > warm:
        speed = (options.steps - warm) * shares * options.batch * options.tokens / (time.perf_counter() - begin)
        peak = f", at most {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB on a device" if kind == "cuda" else ""
        print(f"{speed:.0f} tokens a second{peak}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
