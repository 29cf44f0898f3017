"""What a scan takes and gives, as data: checks, results of the right shape and random inputs for tests are made from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

FLOATS = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Named:
    """A tensor of the formula. `io`: has the dtype of a call; others are float32 (float64 in calls in float64)."""

    name: str
    axes: tuple[str, ...] = ()
    io: bool = False
    group: bool = False
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class Extents:
    batch: int
    tokens: int
    heads: int
    groups: int
    sequences: int
    sizes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Signature:
    name: str
    inputs: tuple[Named, ...]
    params: tuple[Named, ...]
    states: tuple[Named, ...]
    outputs: tuple[Named, ...]
    #: Does the formula depend on which head it is, or how many there are?
    counts_heads: bool = False

    @property
    def args(self) -> tuple[Named, ...]:
        return (*self.inputs, *self.params, *self.states)

    def dtype(self, args: tuple[Tensor | None, ...]) -> torch.dtype:
        """The dtype of a call: that of its first io input, else float32."""
        for named, x in zip(self.inputs, args):
            if named.io:
                return x.dtype
        return torch.float64 if args[0].dtype == torch.float64 else torch.float32

    @staticmethod
    def exact(dtype: torch.dtype) -> torch.dtype:
        """The dtype of what stays precise: gates, scalars, params, states."""
        return torch.float64 if dtype == torch.float64 else torch.float32

    def check(self, args: tuple[Tensor | None, ...], cu_seqlens: Tensor | None = None, token: bool = False) -> Extents:
        """The extents of a call, or an error that names the tensor. `token`: inputs of one token, without the axis T."""
        kinds = [*((named, "input") for named in self.inputs), *((named, "param") for named in self.params), *((named, "state") for named in self.states)]
        found: dict[str, tuple[int, str]] = {}
        dtype = None
        device = None
        for (named, kind), x in zip(kinds, args):
            if x is None and kind == "state":
                continue
            if not isinstance(x, Tensor):
                raise TypeError(f"{self.name}: {named.name} must be a tensor, found {type(x).__name__}")
            axes = self.axes(named, kind, token)
            if x.ndim != len(axes):
                raise ValueError(f"{self.name}: {named.name} must have the axes [{', '.join(axes)}], found the shape {list(x.shape)}")
            if dtype is None:
                dtype, device = self.dtype(args), x.device
                if dtype not in FLOATS:
                    first = next((x.name for x in self.inputs if x.io), named.name)
                    raise ValueError(f"{self.name}: {first} must be of a floating dtype, found {dtype}")
            wanted = dtype if named.io else self.exact(dtype)
            if x.dtype != wanted:
                raise ValueError(f"{self.name}: {named.name} must be {wanted}, found {x.dtype}")
            if x.device != device:
                raise ValueError(f"{self.name}: {named.name} is on {x.device}, {kinds[0][0].name} on {device}; move one of them")
            for axis, size in zip(axes, x.shape):
                if axis == "N":
                    continue
                known = found.setdefault(axis, (size, named.name))
                if known[0] != size:
                    raise ValueError(f"{self.name}: {named.name} has {axis} = {size}, {known[1]} has {axis} = {known[0]}; expected {named.name}: [{', '.join(axes)}]")
        extents = {axis: size for axis, (size, _) in found.items()}
        batch, tokens = extents["B"], 1 if token else extents["T"]
        groups = extents.get("G")
        heads = extents.get("H", groups)
        if groups is not None and heads % groups != 0:
            raise ValueError(f"{self.name}: {found['H'][1]} has {heads} heads, {found['G'][1]} {groups} groups; heads must be a multiple of groups")
        sequences = batch if cu_seqlens is None else self._packed(cu_seqlens, batch, tokens)
        for named, x in zip(self.states, args[len(args) - len(self.states) :]):
            if x is not None and x.shape[0] != sequences:
                raise ValueError(f"{self.name}: the state {named.name} has {x.shape[0]} rows for {sequences} sequences")
        own = {axis: size for axis, size in extents.items() if axis not in ("B", "T", "H", "G")}
        return Extents(batch, tokens, heads, heads if groups is None else groups, sequences, own)

    def axes(self, named: Named, kind: str, token: bool = False) -> tuple[str, ...]:
        # Axes of a formula may have the same letters: they are told apart by what stands before them.
        own = tuple(f"{axis}'" if axis in ("B", "T", "H", "G", "N") else axis for axis in named.axes)
        if kind == "state":
            return ("N", "H", *own)
        if kind == "param":
            return ("H", *own)
        return ("B", *(() if token else ("T",)), "G" if named.group else "H", *own)

    def _packed(self, cu_seqlens: Tensor, batch: int, tokens: int) -> int:
        if not isinstance(cu_seqlens, Tensor) or cu_seqlens.ndim != 1 or cu_seqlens.dtype not in (torch.int32, torch.int64):
            found = f"{cu_seqlens.dtype} {list(cu_seqlens.shape)}" if isinstance(cu_seqlens, Tensor) else type(cu_seqlens).__name__
            raise ValueError(f"{self.name}: cu_seqlens must be an int32 or int64 tensor [N + 1], found {found}")
        if cu_seqlens.shape[0] < 2:
            raise ValueError(f"{self.name}: cu_seqlens has {cu_seqlens.shape[0]} offsets; N sequences have N + 1")
        if batch != 1:
            raise ValueError(f"{self.name}: packed sequences lie in one row, so B must be 1 where cu_seqlens is given; found B = {batch}: flatten the batch into T")
        return cu_seqlens.shape[0] - 1

    def offsets(self, cu_seqlens: Tensor, tokens: int) -> list[int]:
        """The offsets as numbers, checked."""
        offsets = cu_seqlens.tolist()
        if offsets[0] != 0 or offsets[-1] != tokens or any(b < a for a, b in zip(offsets, offsets[1:])):
            raise ValueError(f"{self.name}: cu_seqlens must rise from 0 to T = {tokens}, found {offsets}")
        return offsets

    def results(self, args: tuple[Tensor | None, ...], extents: Extents, final: bool, token: bool = False) -> tuple[Tensor, ...]:
        """Tensors with the shapes and dtypes of outputs and final states, without values."""
        dtype, x = self.dtype(args), args[0]
        lead = (extents.batch, extents.heads) if token else (extents.batch, extents.tokens, extents.heads)
        made = [x.new_empty((*lead, *self.own(named, extents)), dtype=dtype if named.io else self.exact(dtype)) for named in self.outputs]
        if final:
            made += [x.new_empty((extents.sequences, extents.heads, *self.own(named, extents)), dtype=self.exact(dtype)) for named in self.states]
        return tuple(made)

    def gradients(self, args: tuple[Tensor | None, ...], extents: Extents, initial: bool) -> tuple[Tensor, ...]:
        """Tensors with the shapes and dtypes of the gradients, without values."""
        given = args[: len(self.inputs) + len(self.params)]
        made = [x.new_empty(x.shape) for x in given]
        if initial:
            exact = self.exact(self.dtype(args))
            made += [args[0].new_empty((extents.sequences, extents.heads, *self.own(named, extents)), dtype=exact) for named in self.states]
        return tuple(made)

    @staticmethod
    def own(named: Named, extents: Extents) -> tuple[int, ...]:
        return tuple(extents.sizes[f"{axis}'" if axis in ("B", "T", "H", "G", "N") else axis] for axis in named.axes)
