"""examples/torch/hybrid as torchtitan has it: registered, built on meta, started, its names those of the model of transformers."""
import sys
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "examples/torch")]
import hybrid.titan  # noqa: E402
from hybrid.hf import HybridConfig, HybridForCausalLM  # noqa: E402
from torchtitan.protocols.train_spec import get_train_spec  # noqa: E402


def test_registered_and_built_on_meta():
    spec = get_train_spec(hybrid.titan.NAME)
    arguments = spec.model_args["tiny"]
    with torch.device("meta"):
        model = spec.model_cls(arguments)
        assert all(value.is_meta for value in model.parameters())
        count, flops = arguments.get_nparams_and_flops(model, 512)
    assert count == sum(value.numel() for value in model.parameters()) and flops > 6 * count * 0.9
    model.to_empty(device="cpu")
    for value in model.state_dict().values():
        value.fill_(float("nan"))
    torch.manual_seed(0)
    with torch.no_grad():
        model.init_weights()
    ids = torch.randint(256, (2, 9), generator=torch.Generator().manual_seed(1))
    made = model(ids)
    assert made.shape == (2, 9, 256) and made.isfinite().all()
    adapter = spec.state_dict_adapter(arguments, None)
    public = HybridForCausalLM(HybridConfig()).eval()
    public.load_state_dict(adapter.to_hf(model.state_dict()))
    torch.testing.assert_close(public(input_ids=ids).logits, made, rtol=1e-5, atol=1e-5)
    assert adapter.from_hf(public.state_dict()).keys() == model.state_dict().keys()
