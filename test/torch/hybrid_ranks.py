"""The model of examples/torch/hybrid on two ranks with FSDP2: a step of the optimiser as one process takes it, dtypes under bf16, the export."""
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "examples/torch")]
import train  # noqa: E402
from hybrid.layers import Decay, Hybrid, Settings, exact  # noqa: E402
from hybrid.sharding import shard  # noqa: E402
from torch.distributed.checkpoint.state_dict import get_model_state_dict  # noqa: E402
from torch.distributed.device_mesh import init_device_mesh  # noqa: E402
from torch.nn import functional as F  # noqa: E402

SMALL = Settings(vocab_size=61, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, head_dim=16, intermediate_size=48)
WORLD = 2


def model_of():
    torch.manual_seed(0)
    return Hybrid(SMALL)


def step_of(model, ids):
    """Weights move by their gradients alone, which no normalisation hides."""
    loss = F.cross_entropy(exact(model(ids[:, :-1])).flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.5).step()


def ids_of():
    return torch.randint(SMALL.vocab_size, (2 * WORLD, 13), generator=torch.Generator().manual_seed(1))


def own_dtype(module):
    return next(module.parameters()).dtype


def rank_of(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.FileStore(str(folder / "store"), WORLD), rank=rank, world_size=WORLD)
    try:
        mesh = init_device_mesh("cpu", (WORLD,))
        model = model_of().double()
        shard(model, mesh)
        step_of(model, ids_of()[2 * rank : 2 * rank + 2])
        mixed, seen = model_of(), {}
        shard(mixed, mesh, torch.bfloat16)
        for name, module in mixed.named_modules():
            if isinstance(module, (Decay, torch.nn.Linear)):
                module.register_forward_hook(lambda own, _, made, name=name: seen.update({name: (own_dtype(own), made.dtype)}))
        step_of(mixed, ids_of()[2 * rank : 2 * rank + 2])
        kept = {value.dtype for value in mixed.parameters()} | {value.grad.dtype for value in mixed.parameters()}
        train.export(mixed, SMALL, folder / "export")
        whole, exported = ({name: value.full_tensor() for name, value in get_model_state_dict(one).items()} for one in (model, mixed))
        if rank == 0:
            torch.save((whole, seen, kept, exported), folder / "made.pt")
        dist.barrier()
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    mp.spawn(rank_of, (folder,), nprocs=WORLD)
    return folder, *torch.load(folder / "made.pt")


def test_a_step_is_that_of_one_process(made):
    alone = model_of().double()
    before = {name: value.clone() for name, value in alone.state_dict().items()}
    step_of(alone, ids_of())
    assert alone.state_dict().keys() == made[1].keys()
    for name, value in alone.state_dict().items():
        assert (value - before[name]).abs().max() > 1e-5, name
        torch.testing.assert_close(made[1][name], value, rtol=1e-10, atol=1e-10, msg=name)


def test_decays_stay_in_float32(made):
    _, _, seen, kept, _ = made
    assert kept == {torch.float32}
    decays = {name for name in seen if name.endswith("decay")}
    assert len(decays) == 2
    for name, dtypes in seen.items():
        assert set(dtypes) == {torch.float32 if name in decays else torch.bfloat16}, name


def test_the_export_is_read(made):
    import hybrid.hf  # noqa: F401
    from transformers import AutoModelForCausalLM

    folder, *_, whole = made
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith("export")) == ["export"]
    read = AutoModelForCausalLM.from_pretrained(folder / "export").eval()
    assert read.state_dict().keys() == whole.keys()
    for name, value in read.state_dict().items():
        torch.testing.assert_close(value, whole[name], rtol=0, atol=0, msg=name)
    plain = Hybrid(SMALL)
    plain.load_state_dict(whole)
    torch.testing.assert_close(read(input_ids=ids_of()).logits, plain(ids_of()), rtol=1e-5, atol=1e-5)
