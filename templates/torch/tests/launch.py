"""Starts ranks on this machine: processes that talk through gloo and a file."""

import os
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

# Imports take as long as what ranks do here: where the system can, ranks are forked from one process that imported torch and did nothing else.
METHOD = "forkserver" if "forkserver" in mp.get_all_start_methods() else "spawn"


def _rank(rank, world, folder, function, args):
    torch.set_num_threads(1)
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    dist.init_process_group("gloo", store=dist.FileStore(os.path.join(folder, "store"), world), rank=rank, world_size=world)
    try:
        torch.save(function(rank, world, *args), os.path.join(folder, f"rank{rank}.pt"))
        dist.barrier()
    finally:
        dist.destroy_process_group()


def ranks(world, function, *args):
    """What `function(rank, world, *args)` gives, by rank."""
    if METHOD == "forkserver":
        mp.set_forkserver_preload(["torch._dynamo"])
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(_rank, (world, folder, function, args), nprocs=world, start_method=METHOD)
        return [torch.load(os.path.join(folder, f"rank{rank}.pt")) for rank in range(world)]
