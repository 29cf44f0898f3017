"""Puts our functions in the place of FLA's."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable

from . import corrections, decays

Function = Callable[..., object]

#: Where FLA defines each function.
HOMES = {
    "chunk_gla": "gla.chunk",
    "fused_recurrent_gla": "gla.fused_recurrent",
    "chunk_simple_gla": "simple_gla.chunk",
    "fused_recurrent_simple_gla": "simple_gla.fused_recurrent",
    "chunk_retention": "retention.chunk",
    "fused_recurrent_retention": "retention.fused_recurrent",
    "chunk_lightning_attn": "lightning_attn.chunk",
    "fused_recurrent_lightning_attn": "lightning_attn.fused_recurrent",
    "chunk_gated_delta_rule": "gated_delta_rule.chunk",
    "fused_recurrent_gated_delta_rule": "gated_delta_rule.fused_recurrent",
    "chunk_kda": "kda.chunk",
    "fused_recurrent_kda": "kda.fused_recurrent",
    "chunk_delta_rule": "delta_rule.chunk",
    "fused_recurrent_delta_rule": "delta_rule.fused_recurrent",
    "chunk_rwkv6": "rwkv6.chunk",
    "fused_recurrent_rwkv6": "rwkv6.fused_recurrent",
    "chunk_rwkv7": "rwkv7.chunk",
    "fused_recurrent_rwkv7": "rwkv7.fused_recurrent",
    "fused_mul_recurrent_rwkv7": "rwkv7.fused_recurrent",
    "chunk_dplr_delta_rule": "generalized_delta_rule.dplr.chunk",
    "fused_recurrent_dplr_delta_rule": "generalized_delta_rule.dplr.fused_recurrent",
    "chunk_iplr_delta_rule": "generalized_delta_rule.iplr.chunk",
    "fused_recurrent_iplr_delta_rule": "generalized_delta_rule.iplr.fused_recurrent",
    "chunk_comba": "comba.chunk",
    "fused_recurrent_comba": "comba.fused_recurrent",
    "chunk_gdn2": "gdn2.chunk",
    "fused_recurrent_gdn2": "gdn2.fused_recurrent",
    "chunk_gsa": "gsa.chunk",
    "fused_recurrent_gsa": "gsa.fused_recurrent",
    "chunk_hgrn": "hgrn.chunk",
    "fused_recurrent_hgrn": "hgrn.fused_recurrent",
}

FUNCTIONS: dict[str, Function] = {name: getattr(corrections, name, None) or getattr(decays, name) for name in HOMES}


def install(only: str | Iterable[str] | None = None) -> Callable[[], None]:
    """Replaces functions of FLA in every module that is loaded; gives a function that puts them back.

    `only`: names, or beginnings of names such as "chunk"; None means all. Call it before `fla.layers`, `fla.models` or transformers' models are imported, or after: names that
    modules have imported already are replaced too.
    """
    wanted = None if only is None else ((only,) if isinstance(only, str) else tuple(only))
    chosen = [name for name in HOMES if wanted is None or name.startswith(wanted)]
    if not chosen:
        raise ValueError(f"no function is called {', '.join(wanted or ())}; there are {', '.join(HOMES)}")
    ours = {}
    for name in chosen:
        try:
            original = getattr(importlib.import_module(f"fla.ops.{HOMES[name]}"), name)
        except (ModuleNotFoundError, AttributeError):
            # An older FLA: what it lacks, nobody calls.
            continue
        ours[id(original)] = (original, FUNCTIONS[name])
    changed = []
    for module in [m for m in sys.modules.values() if m is not None and not getattr(m, "__name__", "").startswith("lmoec_fla")]:
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            found = ours.get(id(value))
            if found is not None:
                setattr(module, attribute, found[1])
                changed.append((module, attribute, found[0]))

    def undo() -> None:
        for module, attribute, original in changed:
            setattr(module, attribute, original)

    return undo
