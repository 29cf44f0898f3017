"""Adapters for FLA against plain loops over tokens in float64, and against FLA's own naive functions where FLA's source is found (LMOEC_FLA or an installed package)."""
import importlib.util
import os
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples/torch/fla"))
import lmoec_fla as ours  # noqa: E402
from lmoec_fla import _scan  # noqa: E402

ours.use(os.environ["LMOEC_PACKAGES"])
torch.manual_seed(0)
B, T, H, K, V = 2, 70, 4, 12, 20
EXACT = torch.float64


@pytest.fixture(autouse=True)
def same_numbers():
    """Whatever was drawn before, and whichever tests were left out."""
    torch.manual_seed(1)


def draw(*shape, low=None):
    x = torch.randn(shape, dtype=EXACT)
    return x if low is None else low * torch.rand(shape, dtype=EXACT)


def loop(q, k, v, decay=None, erase=None, read=None, write=None, scale=None, state=None, before=False, bonus=None):
    """S = decay S - erase (read S) + k v: S is read before (`before`) or after it decays. `bonus`: o comes of the state before, and of the token by `bonus`."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    heads = v.shape[2]
    q, k = (x.repeat_interleave(heads // x.shape[2], 2) for x in (q, k))
    S = q.new_zeros(q.shape[0], heads, q.shape[-1], v.shape[-1]) if state is None else state
    outputs = []
    for t in range(q.shape[1]):
        last = S
        S = S if decay is None else (decay[:, t].exp()[..., None] if decay.ndim == 4 else decay[:, t].exp()[..., None, None]) * S
        if erase is not None:
            found = torch.einsum("bhk,bhkv->bhv", read[:, t], last if before else S)
            S = S - torch.einsum("bhk,bhv->bhkv", erase[:, t], found)
        kv = torch.einsum("bhk,bhv->bhkv", k[:, t], v[:, t] if write is None else write[:, t])
        S = S + kv
        outputs.append(scale * torch.einsum("bhk,bhkv->bhv", q[:, t], S if bonus is None else last + bonus[..., None] * kv))
    return torch.stack(outputs, 1), S


def unit(x):
    """With the 1e-6 that FLA adds to squares."""
    return x / (x.square().sum(-1, keepdim=True) + 1e-6).sqrt()


q, k, v = draw(B, T, H, K), F.normalize(draw(B, T, H, K), dim=-1), draw(B, T, H, V)
g, gk, beta, h0 = draw(B, T, H, low=-1), draw(B, T, H, K, low=-1), draw(B, T, H, low=1), draw(B, H, K, V)
a, b, u, p = -F.normalize(draw(B, T, H, K), dim=-1), F.normalize(draw(B, T, H, K), dim=-1) * 0.5, draw(H, K), F.normalize(draw(B, T, H, K), dim=-1)
A_log, bias, wide, w = draw(H), draw(H), draw(B, T, H, K), draw(B, T, H, V, low=1)
b2 = draw(B, T, H, K, low=1)
few_q, few_k = q[:, :, :2], k[:, :, :2]
twice = few_k.repeat_interleave(2, 2)
bk = beta[..., None] * k
gamma = (1 - 2.0 ** (-5 - torch.arange(H, dtype=EXACT))).log().expand(B, T, H)
slopes = (-8 / H * (1 - 1 / 4) * torch.arange(H, dtype=EXACT)).expand(B, T, H)
raw = -A_log.exp() * F.softplus(g + bias)
delta = dict(erase=bk, read=k, write=beta[..., None] * v)
bounded = -5 * torch.sigmoid(A_log.exp()[:, None] * wide)
k_bias, norm_q, norm_k = draw(H, K), unit(3 * q), unit(3 * k)
raw_k = -A_log.exp()[:, None] * F.softplus(wide + k_bias)
bounded_4 = -4 * torch.sigmoid(A_log.exp()[:, None] * (wide + k_bias))
norm_delta = dict(erase=beta[..., None] * norm_k, read=norm_k, write=beta[..., None] * v)
norms = {"use_qk_l2norm_in_kernel": True}
projected = {**norms, "use_gate_in_kernel": True, "use_beta_sigmoid_in_kernel": True, "A_log": A_log}

CASES = {
    "gla": (lambda **o: ours.chunk_gla(q, k, v, gk, **o), lambda **o: loop(q, k, v, gk, **o)),
    "gla recurrent": (lambda **o: ours.fused_recurrent_gla(q, k, v, gk, **o), lambda **o: loop(q, k, v, gk, **o)),
    "simple_gla": (lambda **o: ours.chunk_simple_gla(q, k, v, g, **o), lambda **o: loop(q, k, v, g, **o)),
    "simple_gla, no gate": (lambda **o: ours.chunk_simple_gla(q, k, v, **o), lambda **o: loop(q, k, v, **o)),
    "retention": (lambda **o: ours.chunk_retention(q, k, v, **o), lambda **o: loop(q, k, v, gamma, **o)),
    "lightning": (lambda **o: ours.chunk_lightning_attn(q, k, v, 1, 4, **o), lambda **o: loop(q, k, v, slopes, **o)),
    "gated delta, grouped": (lambda **o: ours.chunk_gated_delta_rule(few_q, few_k, v, g, beta, **o),
                             lambda **o: loop(few_q, few_k, v, g, beta[..., None] * twice, twice, beta[..., None] * v, **o)),
    "gated delta, norms": (lambda **o: ours.chunk_gated_delta_rule(3 * q, 3 * k, v, g, beta, **norms, **o), lambda **o: loop(norm_q, norm_k, v, g, **norm_delta, **o)),
    "gated delta, projected": (
        lambda **o: ours.chunk_gated_delta_rule(3 * few_q, 3 * few_k, v, g, beta.logit(), dt_bias=bias, **projected, **o),
        lambda **o: loop(unit(3 * few_q), unit(3 * few_k), v, raw, beta[..., None] * unit(3 * twice), unit(3 * twice), beta[..., None] * v, **o)),
    "gated delta, doubled": (
        lambda **o: ours.chunk_gated_delta_rule(q, 3 * k, v, g, beta.logit(), use_qk_l2norm_in_kernel=True, use_beta_sigmoid_in_kernel=True, allow_neg_eigval=True,
                                                use_gate_in_kernel=True, A_log=A_log, dt_bias=bias, **o),
        lambda **o: loop(unit(q), unit(3 * k), v, raw, 2 * beta[..., None] * unit(3 * k), unit(3 * k), 2 * beta[..., None] * v, **o)),
    "gated delta recurrent": (lambda **o: ours.fused_recurrent_gated_delta_rule(q, k, v, g=g, beta=beta, **o), lambda **o: loop(q, k, v, g, **delta, **o)),
    "kda": (lambda **o: ours.chunk_kda(q, k, v, 9 * gk, beta, **o), lambda **o: loop(q, k, v, 9 * gk, **delta, **o)),
    "kda, bounded": (lambda **o: ours.chunk_kda(q, k, v, wide, beta, use_gate_in_kernel=True, safe_gate=True, lower_bound=-5.0, A_log=A_log, **o),
                     lambda **o: loop(q, k, v, bounded, **delta, **o)),
    "kda, norms": (lambda **o: ours.chunk_kda(3 * q, 3 * k, v, 9 * gk, beta, **norms, **o), lambda **o: loop(norm_q, norm_k, v, 9 * gk, **norm_delta, **o)),
    "kda, projected": (lambda **o: ours.chunk_kda(3 * q, 3 * k, v, wide, beta.logit(), dt_bias=k_bias.flatten(), **projected, **o),
                       lambda **o: loop(norm_q, norm_k, v, raw_k, **norm_delta, **o)),
    "kda, projected and bounded": (
        lambda **o: ours.chunk_kda(3 * q, 3 * k, v, wide, beta.logit(), dt_bias=k_bias.flatten(), safe_gate=True, lower_bound=-4.0, **projected, **o),
        lambda **o: loop(norm_q, norm_k, v, bounded_4, **norm_delta, **o)),
    "delta rule, norms": (lambda **o: ours.chunk_delta_rule(3 * q, 3 * k, v, beta, **norms, **o), lambda **o: loop(norm_q, norm_k, v, **norm_delta, **o)),
    "comba, norms": (lambda **o: ours.chunk_comba(3 * q, 3 * k, v, 3 * p, g, beta, **norms, **o),
                     lambda **o: loop(norm_q, norm_k, v, g, beta[..., None] * norm_k, unit(3 * p), beta[..., None] * v, before=True, **o)),
    "gdn2, norms": (lambda **o: ours.chunk_gdn2(3 * q, 3 * k, v, gk, b2, w, **norms, **o), lambda **o: loop(norm_q, norm_k, v, gk, norm_k, b2 * norm_k, w * v, **o)),
    "delta rule": (lambda **o: ours.chunk_delta_rule(q, k, v, beta, **o), lambda **o: loop(q, k, v, **delta, **o)),
    "rwkv6": (lambda **o: ours.chunk_rwkv6(q, k, v, gk, u, **o), lambda **o: loop(q, k, v, gk, bonus=u, **o)),
    "rwkv7": (lambda **o: ours.chunk_rwkv7(q, 9 * gk, k, v, a, b, **o), lambda **o: loop(q, k, v, 9 * gk, -b, a, before=True, **{"scale": 1.0, **o})),
    "rwkv7, bounded": (lambda **o: ours.chunk_rwkv7(q, gk * 0.6, k, v, a, b, lower_bound=-0.6, **o),
                       lambda **o: loop(q, k, v, gk * 0.6, -b, a, before=True, **{"scale": 1.0, **o})),
    "dplr": (lambda **o: ours.chunk_dplr_delta_rule(q, k, v, a, b, gk, **o), lambda **o: loop(q, k, v, gk, -b, a, before=True, **o)),
    "iplr": (lambda **o: ours.chunk_iplr_delta_rule(q, k, v, a, b, **o), lambda **o: loop(q, k, v, None, -b, a, **o)),
    "comba": (lambda **o: ours.chunk_comba(q, k, v, p, g, beta, **o), lambda **o: loop(q, k, v, g, bk, p, beta[..., None] * v, before=True, **o)),
    "gdn2": (lambda **o: ours.chunk_gdn2(q, k, v, gk, b2, w, **o), lambda **o: loop(q, k, v, gk, k, b2 * k, w * v, **o)),
}


def close(found, wanted):
    torch.testing.assert_close(found, wanted.to(found.dtype), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    run, judge = CASES[name]
    for options in ({}, {"scale": 0.3}):
        o, last = run(initial_state=h0, output_final_state=True, **options)
        want, state = judge(state=h0, **options)
        close(o, want)
        close(last, state)
    o, last = run(output_final_state=False)
    close(o, judge()[0])
    assert last is None


@pytest.mark.parametrize(
    "name", ["gla", "gated delta, grouped", "gated delta, projected", "kda", "kda, projected", "kda, norms", "comba, norms", "rwkv7", "rwkv6", "retention"],
)
def test_padding_is_exact(name, monkeypatch):
    monkeypatch.setattr(_scan, "fitting", lambda name, device, sizes, whole: {axis: -(-size // 16) * 16 for axis, size in sizes.items()})
    test_values(name)


def test_a_softmax_is_not_padded(monkeypatch):
    monkeypatch.setattr(_scan, "_built", lambda name: ({"K": 128, "V": 128, "M": 64},))
    there = torch.device("cuda")
    assert _scan.fitting("fla_gsa", there, {"K": 60, "V": 64, "M": 64}, ("M",)) == {"K": 128, "V": 128, "M": 64}
    few = {"K": 64, "V": 64, "M": 32}
    assert _scan.fitting("fla_gsa", there, few, ("M",)) == few
    asked = []
    monkeypatch.setattr(_scan, "fitting", lambda name, device, sizes, whole: asked.append(whole) or sizes)
    ours.chunk_gsa(q, k, v, k[..., :4], gk[..., :4])
    assert asked == [("M",)]


@pytest.mark.parametrize("name", ["gla", "simple_gla", "gated delta, grouped", "kda", "gdn2"])
def test_states_v_first(name):
    run, _ = CASES[name]
    o, last = run(initial_state=h0, output_final_state=True)
    o2, last2 = run(initial_state=h0.mT.contiguous(), output_final_state=True, state_v_first=True)
    close(o2, o)
    close(last2, last.mT)
    with pytest.warns(DeprecationWarning):
        if name != "gla":
            close(run(output_final_state=True, transpose_state_layout=True)[1].mT, run(output_final_state=True)[1])
        else:
            ours.fused_recurrent_gla(q, k, v, gk, transpose_state_layout=True)


def test_packed_and_gradients():
    cuts = torch.tensor([0, 1, 30, 70])
    given = [x[:1].clone().requires_grad_() for x in (q, k, v, gk)]
    states = draw(3, H, K, V).requires_grad_()
    o, last = ours.chunk_gla(*given, initial_state=states, output_final_state=True, cu_seqlens=cuts)
    (o.sum() + last.square().sum()).backward()
    found = [x.grad.clone() for x in (*given, states)]
    for x in (*given, states):
        x.grad = None
    parts = [loop(*(x[:, i:j] for x in given[:3]), given[3][:, i:j], state=states[n : n + 1]) for n, (i, j) in enumerate(zip(cuts, cuts[1:]))]
    wanted, final = torch.cat([x for x, _ in parts], 1), torch.cat([x for _, x in parts])
    close(o, wanted)
    (wanted.sum() + final.square().sum()).backward()
    for x, y in zip(found, (*given, states)):
        close(x, y.grad)


@pytest.mark.parametrize(("function", "gate", "options", "decays", "formula"), [
    (ours.chunk_gated_delta_rule, g, {}, lambda x, A, d: -A.exp() * F.softplus(x + d), "fla_gated_delta_raw"),
    (ours.chunk_kda, wide, {}, lambda x, A, d: -A.exp()[:, None] * F.softplus(x + d), "fla_kda_raw"),
    (ours.chunk_kda, wide, {"lower_bound": -4.0}, lambda x, A, d: -4 * torch.sigmoid(A.exp()[:, None] * (x + d)), "fla_kda_raw_bounded"),
])
def test_gradients_of_what_a_layer_projects(function, gate, options, decays, formula):
    given = [x.clone().requires_grad_() for x in (3 * q, 3 * k, v, gate, beta.logit(), A_log, k_bias if gate is wide else bias)]
    weights, calls = draw(B, T, H, V), ours.CALLS[formula]
    x, y, z, raw_gate, logits, speed, offset = given
    o, _ = function(*given[:5], **{**projected, **options, "A_log": speed}, dt_bias=offset.flatten())
    found = torch.autograd.grad((o * weights).sum(), given)
    assert ours.CALLS[formula] == calls + 1
    key, strength = unit(y), logits.sigmoid()[..., None]
    want, _ = loop(unit(x), key, z, decays(raw_gate, speed, offset), strength * key, key, strength * z)
    for one, other in zip(found, torch.autograd.grad((want * weights).sum(), given)):
        close(one, other)
    # One token at a time.
    state, outputs = None, []
    with torch.no_grad():
        recurrent = getattr(ours, function.__name__.replace("chunk", "fused_recurrent"))
        for t in range(3):
            one, state = recurrent(
                *(e[:, t : t + 1] for e in given[:3]), g=raw_gate[:, t : t + 1], beta=logits[:, t : t + 1], initial_state=state, output_final_state=True,
                **{**projected, **options, "A_log": speed}, dt_bias=offset.flatten(),
            )
            outputs.append(one)
    close(torch.cat(outputs, 1), want[:, :3])


def test_one_token_is_decoded():
    state = h0
    for t in range(3):
        o, state = ours.fused_recurrent_gla(*(x[:, t : t + 1] for x in (q, k, v, gk)), initial_state=state, output_final_state=True)
    want, final = loop(q[:, :3], k[:, :3], v[:, :3], gk[:, :3], state=h0)
    close(o, want[:, 2:])
    close(state, final)
    close(ours.fused_recurrent_gla(q[:, :1], k[:, :1], v[:, :1], gk[:, :1])[0], loop(q[:, :1], k[:, :1], v[:, :1], gk[:, :1])[0])


def test_slots_and_elementwise():
    M = 16
    s, gm = draw(B, T, H, M, low=1), draw(B, T, H, M, low=-1)
    o, (first, second) = ours.chunk_gsa(q, k, v, s, gm, output_final_state=True)
    a_state, b_state, outputs = q.new_zeros(B, H, K, M), q.new_zeros(B, H, M, V), []
    for t in range(T):
        fade = gm[:, t].exp()
        a_state = fade[:, :, None] * a_state + torch.einsum("bhk,bhm->bhkm", k[:, t], s[:, t])
        b_state = fade[..., None] * b_state + torch.einsum("bhm,bhv->bhmv", s[:, t], v[:, t])
        slots = (K**-0.5 * torch.einsum("bhk,bhkm->bhm", q[:, t], a_state)).softmax(-1)
        outputs.append(torch.einsum("bhm,bhmv->bhv", slots, b_state))
    close(o, torch.stack(outputs, 1))
    close(first, a_state)
    close(second, b_state)
    x, gx, h = draw(B, T, 90), draw(B, T, 90, low=-1), draw(B, 90)
    o, last = ours.fused_recurrent_hgrn(x, gx, initial_state=h, output_final_state=True)
    for t in range(T):
        h = gx[:, t].exp() * h + x[:, t]
        close(o[:, t], h)
    close(last, h)


@pytest.mark.parametrize("softplus", [False, True])
def test_mamba2(softplus):
    x, dt, A, D, z = draw(B, T, H, V), draw(B, T, H, low=1), -draw(H).exp(), draw(H), draw(B, T, H, V)
    Bm, Cm = draw(B, T, 2, K), draw(B, T, 2, K)
    # Steps below 0 would be decays above 1: states grow to where rounding decides.
    offset = bias if softplus else bias.abs()
    y, last = ours.mamba_chunk_scan_combined(x, dt, A, Bm, Cm, 64, D=D, z=z, dt_bias=offset, dt_softplus=softplus, return_final_states=True)
    step = F.softplus(dt + offset) if softplus else dt + offset
    want, final = loop(Cm, Bm, x * step[..., None], A * step, scale=1.0)
    torch.testing.assert_close(y, (want + D[:, None] * x) * F.silu(z), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(last, final.mT, rtol=1e-4, atol=1e-4)


def test_refusals():
    with pytest.raises(ValueError, match="batch must be 1"):
        ours.chunk_gla(q, k, v, gk, cu_seqlens=torch.tensor([0, T]))
    with pytest.raises(ValueError, match="2 sequences, but 3"):
        ours.chunk_gla(q[:1], k[:1], v[:1], gk[:1], initial_state=draw(3, H, K, V), cu_seqlens=torch.tensor([0, 9, T]))
    with pytest.raises(DeprecationWarning):
        ours.chunk_simple_gla(q, k, v, g, head_first=True)
    # Words that FLA's own tests look for.
    with pytest.raises(ValueError, match="`chunk_size` must be either 32 or 64"):
        ours.chunk_kda(q, k, v, gk, beta, chunk_size=16)
    with pytest.raises(ValueError, match="`chunk_size` must be 64 for GDN-2"):
        ours.chunk_gdn2(q, k, v, gk, b2, w, chunk_size=32)
    with pytest.raises(ValueError, match="`chunk_size` must be 16, 32, or 64"):
        ours.chunk_gated_delta_rule(q, k, v, g, beta, chunk_size=128)
    for option in ({"reverse": True}, {"gv": v}):
        with pytest.raises(NotImplementedError, match=next(iter(option))):
            ours.fused_recurrent_gla(q, k, v, gk, **option)


@pytest.fixture
def shards(tmp_path):
    """A row on one rank: the way of several without another process (test_cp.py of packages has those)."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    yield _scan.load("gated_delta").cp.SequenceShards(tokens=T)
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("by_heads", [False, True])
def test_rows_over_ranks(shards, by_heads):
    context = {"cp_context": shards.heads() if by_heads else shards, "output_final_state": True, "initial_state": h0}
    for function, given in [
        (ours.chunk_gated_delta_rule, (q, k, v, g, beta)), (ours.chunk_kda, (q, k, v, gk, beta)), (ours.chunk_dplr_delta_rule, (q, k, v, a, b, gk)),
    ]:
        for found, wanted in zip(function(*given, **context), function(*given, output_final_state=True, initial_state=h0)):
            torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
        with pytest.raises(NotImplementedError, match="SequenceShards"):
            function(*given, cp_context=object())


def naive(operator, name):
    """A function of FLA's naive.py, which runs without triton."""
    root = os.environ.get("LMOEC_FLA")
    if root is None:
        found = importlib.util.find_spec("fla")
        root = found.submodule_search_locations[0] if found else None
    if root is None:
        pytest.skip("FLA's source was not found: pip install flash-linear-attention, or name its folder fla in LMOEC_FLA")
    pytest.importorskip("einops")
    spec = importlib.util.spec_from_file_location(f"naive_{operator}", Path(root) / "ops" / operator / "naive.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


@pytest.mark.parametrize("case", ["gla", "gated_delta_rule", "kda", "delta_rule", "simple_gla", "gdn2"])
def test_against_fla(case):
    x, y, z, d, e, r, s, n = (t.float() for t in (q, k, v, gk, beta, g, h0, w))
    state = {"initial_state": s, "output_final_state": True}
    judge = naive(case, {"delta_rule": "delta_rule_recurrence"}.get(case, f"naive_recurrent_{case}"))
    if case == "gla":
        found, wanted = ours.chunk_gla(x, y, z, d, **state), judge(x, y, z, d, **state)
    elif case == "simple_gla":
        found, wanted = ours.chunk_simple_gla(x, y, z, r, **state), judge(x, y, z, r, **state)
    elif case == "gated_delta_rule":
        found, wanted = ours.chunk_gated_delta_rule(x, y, z, r, e, **state), judge(q=x, k=y, v=z, g=r, beta=e, **state)
    elif case == "kda":
        found, wanted = ours.chunk_kda(x, y, z, d, e, **state), judge(x, y, z, d, e, **state)
    elif case == "gdn2":
        erase = b2.float()
        found, wanted = ours.chunk_gdn2(x, y, z, d, erase, n, **state), judge(x, y, z, d, erase, n, **state)
    else:
        heads = [t.transpose(1, 2) for t in (x, y, z, e)]
        o, last = judge(*heads)
        found, wanted = ours.chunk_delta_rule(x, y, z, e, output_final_state=True), (o.transpose(1, 2), last)
    for one, other in zip(found, wanted):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
