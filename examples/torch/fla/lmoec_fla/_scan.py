"""Calls a package made by `lmoec build --target torch` with FLA's conventions for sizes, scales and states."""

from __future__ import annotations

import importlib
import math
import sys
import warnings
from collections import Counter
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

#: How often each package was called: the pytest plug-in tells by it whether a test has met any of our functions.
CALLS: Counter[str] = Counter()


def use(folder: str | Path) -> None:
    """Finds packages in the folder that was given to `lmoec build -o`, without installing them."""
    for package in sorted(Path(folder).resolve().glob("*/pyproject.toml")):
        if str(package.parent) not in sys.path:
            sys.path.append(str(package.parent))
    load.cache_clear()


@cache
def load(name: str) -> ModuleType:
    try:
        package = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{name} is missing: build {name}.lmoe with `lmoec build --target torch -o out`, then call lmoec_fla.use('out') or pip install out/{name}") from error
    if not hasattr(package, "SOURCE_HASH"):
        raise ModuleNotFoundError(f"{name} at {package.__file__} is another package: put the one that `lmoec build --target torch` made before it on sys.path")
    return package


@cache
def _built(name: str) -> tuple[dict[str, int], ...]:
    return tuple(load(name)._ops.KERNELS[0].sizes)


def fitting(name: str, device: torch.device, sizes: dict[str, int], whole: tuple[str, ...] = ()) -> dict[str, int]:
    """
    The smallest built sizes that hold `sizes`, which those of the axes `whole` are themselves: a softmax along them would count zeros. The CPU takes any size. Where none
    fits, the package says what to build.
    """
    if device.type != "cuda":
        return sizes
    fits = [built for built in _built(name) if all(built[axis] == size or (built[axis] > size and axis not in whole) for axis, size in sizes.items())]
    return min(fits, key=lambda built: math.prod(built.values()), default=sizes)


def _resize(x: Tensor, axes: tuple[str, ...], sizes: dict[str, int]) -> Tensor:
    """Its last axes padded with zeros, or cut, to `sizes`."""
    amounts = [sizes[axis] - x.shape[i - len(axes)] for i, axis in enumerate(axes)]
    if not any(amounts):
        return x
    return F.pad(x, [n for amount in reversed(amounts) for n in (0, amount)])


def check(
    first: Tensor, state: Tensor | None, cu_seqlens: Tensor | None, options: dict[str, Any], chunk_sizes: tuple[int, ...] = (),
    sizes_in_words: str = "a power of 2",
) -> None:
    """What FLA refuses, in its words where programs look for them, and what only FLA offers."""
    if "head_first" in options:
        raise DeprecationWarning("head_first is gone: inputs are [B, T, H, ...]")
    size = options.pop("chunk_size", None)
    if size is not None and (size not in chunk_sizes if chunk_sizes else size & (size - 1)):
        raise ValueError(f"`chunk_size` must be {sizes_in_words}, found {size}")
    context = options.get("cp_context")
    if context is not None and not hasattr(getattr(context, "shards", context), "local_tokens"):
        raise NotImplementedError("lmoec_fla takes `SequenceShards` of a package's module `cp` for cp_context, not FLA's own context")
    for option in ("reverse", "gv", "return_intermediate_states", "ssm_state_indices", "num_accepted_tokens", "out"):
        if options.get(option) is not None and options[option] is not False:
            raise NotImplementedError(f"lmoec_fla does not offer {option}: leave this function out of install(only=...)")
    if cu_seqlens is None:
        return
    if first.shape[0] != 1:
        raise ValueError(f"packed sequences lie in one row: with cu_seqlens the batch must be 1, found {first.shape[0]}")
    if state is not None and state.shape[0] != len(cu_seqlens) - 1:
        raise ValueError(f"there are {len(cu_seqlens) - 1} sequences, but {state.shape[0]} initial states")


def v_first(state_v_first: bool, options: dict[str, Any]) -> bool:
    """`transpose_state_layout` is the old name of `state_v_first`."""
    if "transpose_state_layout" not in options:
        return state_v_first
    if state_v_first:
        raise ValueError("state_v_first and transpose_state_layout are the same: give one of them")
    warnings.warn("transpose_state_layout is now state_v_first", DeprecationWarning, stacklevel=3)
    return bool(options.pop("transpose_state_layout"))


def run(
    name: str, inputs: dict[str, Tensor], *, scale: float | None = None, scaled: str | None = "q", own: float = -0.5, params: dict[str, Tensor] | None = None,
    state: Any = None, final: bool = False, transposed: bool = False, cu_seqlens: Tensor | None = None, cu_seqlens_cpu: Tensor | None = None, token: bool = False,
    shards: Any = None, whole: tuple[str, ...] = (),
) -> tuple[Tensor, Any]:
    """Output and final state (or None) of a scan.

    `scale` stands in for the formula's `K ** own`, by scaling what `scaled` names: an input, or the output where the formula norms its q; None leaves it at K ** -0.5 with the
    K that was given, not the one that was built. A formula without such a factor has nothing that `scaled` names.
    `transposed`: states are V-first. `shards`: the tokens are those of one rank. `token`: one token per sequence may go the way of decoding, which has no gradient.
    `whole`: axes that zeros must not fill.
    """
    CALLS[name] += 1
    package = load(name)
    signature = package._reference.__dict__[name].signature
    first = inputs[signature.inputs[0].name]
    sizes = {axis: size for x in signature.inputs for axis, size in zip(x.axes, inputs[x.name].shape[3:])}
    built = fitting(name, first.device, sizes, whole)
    factor = 1.0 if scaled is None else (sizes["K"] ** -0.5 if scale is None else scale) / built["K"] ** own
    rescaled = abs(factor - 1) > 1e-12
    if rescaled and scaled in inputs:
        inputs = {**inputs, scaled: inputs[scaled] * factor}
    given = [_resize(inputs[x.name], x.axes, built) for x in signature.inputs]
    params = {x.name: _resize(params[x.name], x.axes, built) for x in signature.params}
    states = None if state is None else tuple(state) if isinstance(state, (tuple, list)) else (state,)
    if states is not None:
        states = tuple(_resize(s.mT if transposed else s, x.axes, built) for s, x in zip(states, signature.states))
    traced = torch.is_grad_enabled() and any(x.requires_grad for x in (*given, *params.values(), *(states or ())))
    if token and first.shape[1] == 1 and cu_seqlens is None and not traced:
        if states is None:
            shape = max((x.shape[0], x.shape[2]) for x in given)
            exact = torch.float64 if first.dtype == torch.float64 else torch.float32
            states = tuple(first.new_zeros((*shape, *(built[axis] for axis in x.axes)), dtype=exact) for x in signature.states)
        o, last = getattr(package, f"{name}_step_functional")(*(x.squeeze(1) for x in given), _one(states), **params)
        o = o.unsqueeze(1)
    else:
        initial = None if states is None else _one(states)
        packed = {"cu_seqlens": cu_seqlens, "cu_seqlens_cpu": cu_seqlens_cpu, **({} if shards is None else {"shards": shards})}
        o, last = getattr(package, name)(*given, initial_state=initial, output_final_state=final, **packed, **params)
    o = _resize(o, signature.outputs[0].axes, sizes)
    if rescaled and scaled not in inputs:
        o = o * factor
    o = o.to(first.dtype)
    if not final:
        return o, None
    lasts = tuple(last) if len(signature.states) > 1 else (last,)
    lasts = tuple(_resize(s, x.axes, sizes) for s, x in zip(lasts, signature.states))
    return o, _one(tuple(s.mT.contiguous() for s in lasts) if transposed else lasts)


def _one(states: tuple[Tensor, ...]) -> Any:
    return states[0] if len(states) == 1 else states
