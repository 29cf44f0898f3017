"""The model of examples/torch/hybrid as a `PreTrainedModel`: Trainer, generation, caches, padding, packed texts, building on meta, saved and read."""
import sys
from pathlib import Path

import pytest
import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "examples/torch")]
from hybrid.hf import HybridConfig  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, Trainer, TrainingArguments  # noqa: E402

SMALL = dict(vocab_size=61, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, head_dim=16, intermediate_size=48)
# Large enough for logits that differ by more than rounding.
CONFIG = HybridConfig(**SMALL, initializer_range=0.3)


def model_of(seed=0, config=CONFIG):
    """In float64: what is compared differs by far more than its rounding."""
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config).double().eval()


def ids_of(*shape, seed=1):
    return torch.randint(1, SMALL["vocab_size"], shape, generator=torch.Generator().manual_seed(seed))


def close(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_names_and_modes():
    model = model_of()
    assert model.config.layer_types == ["linear_attention", "linear_attention", "full_attention"]
    assert type(model).__name__ == "HybridForCausalLM"
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"model", "lm_head"}
    ids = ids_of(2, 9)
    made = model(input_ids=ids, labels=ids)
    loss = torch.nn.functional.cross_entropy(made.logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    torch.testing.assert_close(made.loss.double(), loss, rtol=1e-5, atol=1e-5)
    assert made.past_key_values is not None and model.train()(input_ids=ids).past_key_values is None


@pytest.mark.parametrize("cuts", [(6,), (1, 2, 8)])
def test_a_cache_in_parts_is_one(cuts):
    model, ids = model_of(), ids_of(2, 11)
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    for attention_mask in (None, mask):
        whole = model(input_ids=ids, attention_mask=attention_mask).logits
        cache, parts = DynamicCache(config=model.config), []
        with torch.no_grad():
            for begin, end in zip((0, *cuts), (*cuts, 11)):
                seen = None if attention_mask is None else attention_mask[:, :end]
                parts.append(model(input_ids=ids[:, begin:end], attention_mask=seen, past_key_values=cache, use_cache=True).logits)
        found = torch.cat(parts, 1)
        close(found[1], whole[1])
        close(found[0, 4 if attention_mask is not None else 0 :], whole[0, 4 if attention_mask is not None else 0 :])


def test_padding_on_the_left_and_packing_change_nothing():
    model, lengths = model_of(), (3, 8, 5)
    texts = [ids_of(n, seed=n) for n in lengths]
    alone = [model(input_ids=text[None]).logits[0] for text in texts]
    padded, mask = torch.zeros(3, 8, dtype=torch.long), torch.zeros(3, 8, dtype=torch.long)
    for i, text in enumerate(texts):
        padded[i, -len(text) :], mask[i, -len(text) :] = text, 1
    found = model(input_ids=padded, attention_mask=mask).logits
    offsets = torch.tensor([0, 3, 11, 16])
    packed = model(input_ids=torch.cat(texts)[None], cu_seqlens=offsets).logits[0]
    for i, one in enumerate(alone):
        close(found[i, -len(one) :], one)
        close(packed[offsets[i] : offsets[i + 1]], one)
    close(model(input_ids=torch.cat(texts)[None], cu_seqlens=offsets[None]).logits[0], packed)
    with pytest.raises(ValueError, match="neither a cache nor padding"):
        model(input_ids=padded, attention_mask=mask, cu_seqlens=offsets)


def test_refuses_to_take_tokens_back():
    with pytest.raises(ValueError, match="assisted generation"):
        model_of().generate(ids_of(1, 5), prompt_lookup_num_tokens=2, max_new_tokens=2, pad_token_id=0, eos_token_id=None)


@pytest.mark.parametrize("beams", [1, 3])
def test_generates_with_padding_on_the_left(beams):
    model, texts = model_of(), [ids_of(n, seed=n) for n in (3, 8)]
    options = dict(max_new_tokens=7, do_sample=False, num_beams=beams, pad_token_id=0, eos_token_id=None)
    alone = [model.generate(text[None], attention_mask=torch.ones_like(text)[None], **options)[0, len(text) :] for text in texts]
    padded, mask = torch.zeros(2, 8, dtype=torch.long), torch.zeros(2, 8, dtype=torch.long)
    for i, text in enumerate(texts):
        padded[i, -len(text) :], mask[i, -len(text) :] = text, 1
    for use_cache in (True, False):
        found = model.generate(padded, attention_mask=mask, use_cache=use_cache, **options)[:, 8:]
        assert found.shape == (2, 7)
        for one, other in zip(found, alone):
            assert one.tolist() == other.tolist()


def test_built_on_meta_it_is_the_same():
    config = AutoConfig.for_model("lmoec_hybrid", **SMALL)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert all(value.is_meta for value in model.state_dict().values())
    model.to_empty(device="cpu")
    for value in model.state_dict().values():
        value.fill_(float("nan"))
    torch.manual_seed(5)
    model.post_init()
    torch.manual_seed(4)
    direct = AutoModelForCausalLM.from_config(config)
    for module in direct.modules():
        module._is_hf_initialized = False
    torch.manual_seed(5)
    direct.init_weights()
    for (name, found), (_, wanted) in zip(model.state_dict().items(), direct.state_dict().items(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0, msg=name)
    ids = ids_of(1, 9)
    close(model(input_ids=ids).logits, direct(input_ids=ids).logits)


def test_trains_by_trainer_and_is_read_again(tmp_path):
    data = [{"input_ids": text, "labels": text} for text in ids_of(4, 12)]

    def train(**options):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(HybridConfig(**SMALL))
        arguments = TrainingArguments(
            output_dir=str(tmp_path / "run"), max_steps=3, per_device_train_batch_size=4, learning_rate=1e-2, lr_scheduler_type="constant",
            use_cpu=True, report_to=[], save_strategy="no", logging_steps=1, disable_tqdm=True, seed=3, dataloader_pin_memory=False, **options,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=data)
        trainer.train()
        return trainer, [line["loss"] for line in trainer.state.log_history if "loss" in line]

    trainer, losses = train()
    assert len(losses) == 3 and losses[2] < losses[0] - 0.1
    again = train(gradient_checkpointing=True)[1]
    assert again == pytest.approx(losses, abs=1e-3)
    trainer.save_model(str(tmp_path / "saved"))
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").eval()
    ids = ids_of(2, 9)
    torch.testing.assert_close(read(input_ids=ids).logits, trainer.model.eval()(input_ids=ids).logits, rtol=1e-5, atol=1e-5)
    half = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", dtype=torch.bfloat16)
    assert {name: value.dtype for name, value in half.named_parameters() if value.dtype != torch.bfloat16} == {
        f"model.layers.{i}.mixer.decay.{name}": torch.float32 for i in (0, 1) for name in ("A_log", "dt_bias")
    }
