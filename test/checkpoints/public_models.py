"""Small models of public classes with random weights, their checkpoints and their logits.

    python public_models.py OUT NAME...    writes OUT/NAME/{config.json, *.safetensors} and OUT/NAME.reference.safetensors with `ids` and `logits`

Weights are stored in f32; the logits are computed in f64 throughout (`exactly`), so that what differs from another reading of the model is the reading. Models of
flash-linear-attention (0.5.2, with triton 3.5.1) run their own kernels, in Triton's interpreter and in f32 (`without_a_gpu`); what they gave is kept in fla/.
"""
import contextlib
import json
import os
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file


@contextlib.contextmanager
def exactly():
    """Casts to f32 that the classes' code asks for are casts to f64."""
    single, cast, default = torch.float32, torch.Tensor.float, torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.float32 = torch.float = single
        torch.Tensor.float = cast
        torch.set_default_dtype(default)


def mixtral():
    from transformers import MixtralConfig, MixtralForCausalLM
    return MixtralForCausalLM, MixtralConfig(
        hidden_size=32, vocab_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=8, num_local_experts=4,
        intermediate_size=24, num_experts_per_tok=2, rope_parameters={"rope_type": "default", "rope_theta": 1e6})


def qwen3_next():
    from transformers import Qwen3NextConfig, Qwen3NextForCausalLM
    return Qwen3NextForCausalLM, Qwen3NextConfig(
        hidden_size=32, vocab_size=96, num_hidden_layers=8, num_attention_heads=4, num_key_value_heads=2, head_dim=16, linear_num_key_heads=2, linear_num_value_heads=4,
        linear_key_head_dim=8, linear_value_head_dim=12, num_experts=12, num_experts_per_tok=10, moe_intermediate_size=16, shared_expert_intermediate_size=20,
        rope_parameters={"rope_type": "default", "rope_theta": 1e7, "partial_rotary_factor": 0.25})


def deepseek_v3():
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM
    return DeepseekV3ForCausalLM, DeepseekV3Config(
        hidden_size=32, vocab_size=96, num_hidden_layers=5, num_attention_heads=4, num_key_value_heads=4, q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=8,
        qk_rope_head_dim=64, v_head_dim=12, intermediate_size=40, moe_intermediate_size=20, n_routed_experts=24, n_group=8, topk_group=4, num_experts_per_tok=8,
        rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0,
                         "original_max_position_embeddings": 4096})


def gpt_oss():
    from transformers import GptOssConfig, GptOssForCausalLM
    return GptOssForCausalLM, GptOssConfig(
        hidden_size=32, vocab_size=96, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, head_dim=64, num_local_experts=6, intermediate_size=24, num_experts_per_tok=4)


def mamba2():
    from transformers import Mamba2Config, Mamba2ForCausalLM
    return Mamba2ForCausalLM, Mamba2Config(
        hidden_size=32, vocab_size=96, num_hidden_layers=3, num_heads=8, head_dim=8, state_size=16, n_groups=1, expand=2, chunk_size=16, tie_word_embeddings=True)


def granite_hybrid():
    from transformers import GraniteMoeHybridConfig, GraniteMoeHybridForCausalLM
    return GraniteMoeHybridForCausalLM, GraniteMoeHybridConfig(
        hidden_size=32, vocab_size=96, num_hidden_layers=8, num_attention_heads=4, num_key_value_heads=2, num_local_experts=12, num_experts_per_tok=10, intermediate_size=16,
        shared_intermediate_size=24, mamba_n_heads=8, mamba_n_groups=1, mamba_d_state=16, mamba_d_head=8, mamba_expand=2, mamba_chunk_size=16, rms_norm_eps=1e-5,
        layer_types=["attention" if i % 10 == 5 else "mamba" for i in range(8)], position_embedding_type="nope", embedding_multiplier=12, residual_multiplier=0.22,
        attention_multiplier=1 / 128, logits_scaling=16, tie_word_embeddings=True)


def minimax():
    # The class turns all pairs; the published code 32 of 64, which its text says by `I = 32`.
    from transformers import MiniMaxConfig, MiniMaxForCausalLM
    layers = 9
    alpha = (2 * layers) ** 0.25
    return MiniMaxForCausalLM, MiniMaxConfig(
        hidden_size=32, vocab_size=96, num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=2, head_dim=16, num_local_experts=4, intermediate_size=24,
        num_experts_per_tok=2, block_size=16, layer_types=["full_attention" if i % 8 == 7 else "linear_attention" for i in range(layers)],
        rope_parameters={"rope_type": "default", "rope_theta": 1e7},
        **{f"{kind}_alpha_factor": alpha for kind in ("full_attn", "linear_attn", "mlp")})


def nemotron_h():
    from transformers import NemotronHConfig, NemotronHForCausalLM
    kinds = {"M": "mamba", "E": "moe", "*": "attention"}
    return NemotronHForCausalLM, NemotronHConfig(
        hidden_size=32, vocab_size=96, layers_block_type=[kinds[c] for c in "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME"], num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, mamba_num_heads=8, mamba_head_dim=8, n_groups=2, ssm_state_size=16, chunk_size=16, n_routed_experts=8, n_shared_experts=1, moe_intermediate_size=16,
        moe_shared_expert_intermediate_size=24, num_experts_per_tok=6, routed_scaling_factor=2.5, n_group=1, topk_group=1, rescale_prenorm_residual=False,
        # This class alone takes 0.001 for smaller steps; the kernels that the model was trained with do not.
        time_step_min=1e-12)


def kimi_linear():
    from transformers import KimiLinearConfig, KimiLinearForCausalLM
    layers = 6
    return KimiLinearForCausalLM, KimiLinearConfig(
        hidden_size=32, vocab_size=96, num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=4, kv_lora_rank=16, q_lora_rank=None, qk_nope_head_dim=8,
        qk_rope_head_dim=8, v_head_dim=12, intermediate_size=40, moe_intermediate_size=20, num_local_experts=12, num_experts_per_tok=8, linear_head_dim=8, linear_num_heads=4,
        layer_types=["full_attention" if i % 4 == 3 or i == layers - 1 else "linear_attention" for i in range(layers)],
        pad_token_id=0, bos_token_id=0, eos_token_id=0)


def without_a_gpu():
    """Triton's interpreter runs kernels on the CPU: one configuration instead of the fastest, and numpy arrays of one number count as numbers."""
    os.environ["TRITON_INTERPRET"] = "1"
    from triton.runtime import autotuner, interpreter
    tuned, patch = autotuner.Autotuner.__init__, interpreter._patch_lang_tensor

    def untuned(self, fn, arg_names, configs, *args, **options):
        tuned(self, fn, arg_names, configs[:1], *args, **options)

    def patched(tensor):
        patch(tensor)
        tensor.__index__ = lambda self: int(self.handle.data.item())

    autotuner.Autotuner.__init__ = untuned
    interpreter._patch_lang_tensor = patched


def gla():
    without_a_gpu()
    from fla.models import GLAConfig, GLAForCausalLM
    return GLAForCausalLM, GLAConfig(hidden_size=32, vocab_size=96, num_hidden_layers=3, num_heads=2, expand_k=0.5, expand_v=1, intermediate_size=48, use_cache=False)


def gated_deltanet():
    without_a_gpu()
    from fla.models import GatedDeltaNetConfig, GatedDeltaNetForCausalLM
    return GatedDeltaNetForCausalLM, GatedDeltaNetConfig(
        hidden_size=32, vocab_size=96, num_hidden_layers=3, num_heads=2, head_dim=16, expand_v=2, intermediate_size=48, use_cache=False)


def rwkv7():
    without_a_gpu()
    from fla.models import RWKV7Config, RWKV7ForCausalLM
    return RWKV7ForCausalLM, RWKV7Config(
        hidden_size=32, vocab_size=96, num_hidden_layers=3, head_dim=16, intermediate_size=48, decay_low_rank_dim=8, a_low_rank_dim=12, v_low_rank_dim=4, gate_low_rank_dim=20,
        use_cache=False)


TOKENS = {"gpt_oss": 150, "rwkv7": 12}
MODELS = {make.__name__: make for make in (mixtral, qwen3_next, deepseek_v3, gpt_oss, mamba2, granite_hybrid, minimax, nemotron_h, kimi_linear, gla, gated_deltanet, rwkv7)}


# Saving maps the names of the port back by one rule for all layers; the published checkpoint has a dense layer 0 under `mlp`.
RENAMED = {"kimi_linear": ("model.layers.0.block_sparse_moe.", "model.layers.0.mlp.")}


def rename(folder, old, new):
    index = folder / "model.safetensors.index.json"
    listed = json.loads(index.read_text())
    for file in set(listed["weight_map"].values()):
        tensors = {name.replace(old, new): tensor for name, tensor in load_file(folder / file).items()}
        save_file(tensors, folder / file)
    listed["weight_map"] = {name.replace(old, new): file for name, file in listed["weight_map"].items()}
    index.write_text(json.dumps(listed))


# The one buffer that is trained.
STORED = "e_score_correction_bias"


def shake(model, generator):
    """Random weights in which every part shows: norms and biases are not left at 1 and 0, matrices keep the size of what goes through them."""
    for name, value in [*model.named_parameters(), *((n, b) for n, b in model.named_buffers() if n.endswith(STORED))]:
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float32)
        if value.dim() == 1 or value.shape[0] == 1 or name.endswith(("A_log", "dt_bias")):
            value.data.add_((0.2 * noise).to(value.dtype))
        elif "embed" in name:
            value.data.copy_(noise)
        else:
            value.data.copy_(1.5 * noise / value.shape[-1] ** 0.5)


def save(name, folder):
    torch.manual_seed(7)
    kind, config = MODELS[name]()
    config._attn_implementation = config._experts_implementation = "eager"
    model = kind(config).eval()
    generator = torch.Generator().manual_seed(11)
    shake(model, generator)
    own_kernels = kind.__module__.startswith("fla.")
    if own_kernels:
        (folder / name).mkdir(exist_ok=True)
        save_file(model.state_dict(), folder / name / "model.safetensors")
    else:
        model.save_pretrained(folder / name, max_shard_size="60KB")
        if name in RENAMED:
            rename(folder / name, *RENAMED[name])
    ids = torch.randint(0, config.vocab_size, (2, TOKENS.get(name, 37)), generator=generator)
    with torch.no_grad(), contextlib.nullcontext() if own_kernels else exactly():
        exact = kind(config).eval()
        # Tables that a class computes are left in f64.
        weights = {name: value for name, value in model.state_dict().items() if name in dict(model.named_parameters()) or name.endswith(STORED)}
        exact.load_state_dict(weights, strict=False)
        logits = exact(ids, use_cache=False).logits
    assert logits.dtype == (torch.float32 if own_kernels else torch.float64) and logits.isfinite().all()
    save_file({"ids": ids, "logits": logits.contiguous()}, folder / f"{name}.reference.safetensors")
    return logits


if __name__ == "__main__":
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for which in sys.argv[2:] or MODELS:
        made = save(which, out)
        print(f"{which}: logits {list(made.shape)}, rms {made.square().mean().sqrt():.3g}")
