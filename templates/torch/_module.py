"""Layers and mixtures as modules: params by the names of the formula, and buffers that an update moves after a step of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, ClassVar, Iterable, Mapping

import torch
from torch import Tensor, nn

from ._part import LOCAL, Field
from ._rows import Rows


@dataclass(frozen=True, kw_only=True)
class Update:
    """New values of buffers from what the calls of a step have given."""

    #: Fields of a call's result, and whether calls (and ranks) add up.
    takes: tuple[tuple[str, bool], ...]
    #: Paths of buffers.
    buffers: tuple[str, ...]
    run: Callable[[Rows, dict, "Tensor | None"], "tuple[Tensor, ...]"]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The params and buffers of a part: how each starts, and what moves buffers."""

    fields: tuple[Field, ...]
    starts: tuple[Callable[[Tensor], None], ...]
    update: Update | None = None


class PartModule(nn.Module):
    """Params have the paths of the formula: `expert.gate` is `gate` of a module `expert`."""

    stored: ClassVar[Stored]

    def __init__(self, *, device: Any = None, dtype: torch.dtype | None = None, sizes: dict[str, int] | None = None):
        """`dtype`: of params that products read; others are float32. `sizes`: of axes that a call brings."""
        super().__init__()
        for field in self.stored.fields:
            shape = tuple((sizes or {})[size] if isinstance(size, str) else size for size in field.sizes)
            made = torch.empty(shape, device=device, dtype=dtype if field.io and dtype is not None else torch.float32)
            *path, name = field.name.split(".")
            holder: nn.Module = self
            for step in path:
                if step not in holder._modules:
                    holder.add_module(step, nn.Module())
                holder = holder._modules[step]
            if field.buffer:
                holder.register_buffer(name, made)
            else:
                holder.register_parameter(name, nn.Parameter(made))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The start that the formula gives to each."""
        with torch.no_grad():
            for field, start in zip(self.stored.fields, self.stored.starts):
                start(self._at(field.name))

    def _at(self, path: str) -> Tensor:
        *steps, name = path.split(".")
        holder: nn.Module = self
        for step in steps:
            holder = holder._modules[step]
        return getattr(holder, name)

    @torch.no_grad()
    def update(self, results: Any | Iterable[Any], group: Any = None) -> None:
        """Moves buffers, once after a step of the optimiser. `results`: what the calls of the step gave, in their order. They are added up here and
        not by the calls, which checkpointing runs twice. `group`: of ranks that share the batch; their sums are one."""
        update = self.stored.update
        if update is None:
            return
        calls = [results] if isinstance(results, tuple) and hasattr(results, "_fields") else list(results)
        buffers = [self._at(path) for path in update.buffers]
        given: dict[str, Tensor] = {}
        for name, adds in update.takes:
            all_calls = [getattr(call, name) for call in calls]
            taken = torch.stack(all_calls).sum(0) if adds else all_calls[-1]
            if adds and group is not None:
                torch.distributed.all_reduce(taken, group=group)
            given[name] = taken[None]
        for field in self.stored.fields:
            if field.buffer:
                given[field.python] = self._at(field.name)
        dtype = torch.promote_types(buffers[0].dtype, torch.float32)
        given = {name: x.to(dtype) for name, x in given.items()}
        rows = Rows(0, 0, None, dtype, buffers[0].device)
        for buffer, value in zip(buffers, update.run(rows, given, None)):
            buffer.copy_(value)


class LocalExperts(PartModule):
    """Those of a mixture's experts that a rank has: `[experts, ...]` in params of a family, row by row if it has several axes."""

    def __init__(self, experts: int, *, first: int = 0, device: Any = None, dtype: torch.dtype | None = None):
        """`experts`: how many; `first`: the number of the first among those of all ranks."""
        super().__init__(device=device, dtype=dtype, sizes={LOCAL: experts})
        self.first_expert = first

    @torch.no_grad()
    def load_whole(self, state: Mapping[str, Tensor]) -> None:
        """Params and buffers from the `state_dict` of the whole mixture's module."""
        for field in self.stored.fields:
            own, x = self._at(field.name), state[field.name]
            if LOCAL in field.sizes:
                at = field.sizes.index(LOCAL)
                x = x.flatten(at, at + x.ndim - own.ndim).narrow(at, self.first_expert, own.shape[at])
            own.copy_(x)


# Starts


def counted(x: Tensor, steps: tuple[int, ...]) -> Tensor:
    """The number of every element: what a step along each axis adds, summed."""
    number = torch.zeros((), dtype=torch.float32, device=x.device)
    for i, (size, step) in enumerate(zip(x.shape, steps)):
        number = number + (torch.arange(size, device=x.device) * step).reshape(-1, *(1 for _ in x.shape[i + 1 :]))
    return number.expand(x.shape)


def orthogonal(x: Tensor, family: int, gain: float) -> Tensor:
    """Matrices whose rows, the first axis behind those of a family against the rest, are orthonormal, times `gain`."""
    own = x.shape[family:]
    rows = own[0] if own else 1
    drawn = torch.empty(x.shape, dtype=torch.float32, device=x.device)
    for matrix in drawn.reshape(-1, rows, own[1:].numel()) if x.numel() else ():
        nn.init.orthogonal_(matrix, gain)
    return drawn
