"""What a layer or mixture takes and gives, as data, and its reference: printed functions on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import torch
from torch import Tensor

from ._rows import Rows

#: What the sizes of weights call the number of experts that a rank has.
LOCAL = "experts"

FLOATS = (torch.bfloat16, torch.float16, torch.float32, torch.float64)

Printed = Callable[[Rows, dict, "Tensor | None"], "tuple[Tensor, ...]"]


@dataclass(frozen=True)
class Field:
    """A tensor of the formula. `io`: has the dtype of a call; others are float32 (float64 in calls in float64). `size`s that are names are
    those of a call. `index`: its numbers are indices, negative ones none. `fixed`: no gradient comes back from it."""

    name: str
    python: str
    axes: tuple[str, ...] = ()
    sizes: tuple[int | str, ...] = ()
    io: bool = False
    index: bool = False
    buffer: bool = False
    token: bool = False
    fixed: bool = False


@dataclass(frozen=True)
class Extents:
    batch: int
    tokens: int
    dtype: torch.dtype
    sizes: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A part in training, or outside."""

    name: str
    inputs: tuple[Field, ...]
    params: tuple[Field, ...]
    #: Outputs and losses, which have cotangents.
    outputs: tuple[Field, ...]
    #: Numbers of tokens, and what an update takes.
    counts: tuple[Field, ...]
    forward: Printed
    backward: Printed
    #: Where it draws: a path and a number.
    sites: tuple[tuple[str, int], ...] = ()

    @property
    def args(self) -> tuple[Field, ...]:
        return (*self.inputs, *self.params)

    @property
    def results(self) -> tuple[Field, ...]:
        return (*self.outputs, *self.counts)

    @property
    def differentiable(self) -> tuple[bool, ...]:
        """Of the arguments."""
        return tuple(not (field.buffer or field.index) for field in self.args)

    def dtype(self, args: tuple[Tensor, ...]) -> torch.dtype:
        """The dtype of a call: that of its first input that has it."""
        return next((x.dtype for field, x in zip(self.args, args) if field.io), torch.float32)

    def wanted(self, field: Field, dtype: torch.dtype) -> torch.dtype:
        if field.index:
            return torch.int32
        return dtype if field.io else exact(dtype)

    def check(self, args: tuple[Tensor, ...], cu_seqlens: Tensor | None = None, keys: Tensor | None = None) -> Extents:
        """The extents of a call, or an error that names the tensor."""
        sizes: dict[str, int] = {}
        device, dtype = args[0].device, self.dtype(args)
        if dtype not in FLOATS:
            raise ValueError(f"{self.name}: a floating dtype is expected, found {dtype}")
        for field, x in zip(self.args, args):
            names = (*(("B", "T") if field.token else ()), *field.axes)
            extents = (*(("B", "T") if field.token else ()), *field.sizes)
            text = f"{self.name}: {field.python} must have the shape [{', '.join(map(str, names))}]"
            if x.ndim != len(extents):
                raise ValueError(f"{text}, found {list(x.shape)}")
            for extent, axis, found in zip(extents, names, x.shape):
                expected = sizes.setdefault(extent, found) if isinstance(extent, str) else extent
                if expected != found:
                    raise ValueError(f"{text} with {axis} = {expected}, found {list(x.shape)}")
            if x.device != device:
                raise ValueError(f"{self.name}: {field.python} is on {x.device}, {self.args[0].python} on {device}")
            wanted = self.wanted(field, dtype)
            if x.dtype != wanted:
                raise ValueError(f"{self.name}: {field.python} must be of the dtype {wanted}, found {x.dtype}")
        if cu_seqlens is not None:
            if cu_seqlens.dtype not in (torch.int32, torch.int64) or cu_seqlens.ndim != 1:
                raise ValueError(f"{self.name}: cu_seqlens must be int32 or int64 [N + 1], found {cu_seqlens.dtype} {list(cu_seqlens.shape)}")
            if sizes.get("B") != 1:
                raise ValueError(f"{self.name}: cu_seqlens cuts one row of tokens, found B = {sizes.get('B')}")
        if (keys is None) != (not self.sites):
            raise ValueError(f"{self.name}: {'keys of draws are missing' if keys is None else 'nothing is drawn: no keys'}")
        return Extents(sizes["B"], sizes["T"], dtype, sizes)

    def shape(self, field: Field, extents: Extents) -> tuple[int, ...]:
        own = tuple(extents.sizes[size] if isinstance(size, str) else size for size in field.sizes)
        return (extents.batch, extents.tokens, *own) if field.token else own

    def empty(self, like: Tensor, fields: tuple[Field, ...], extents: Extents) -> list[Tensor]:
        return [like.new_empty(self.shape(field, extents), dtype=self.wanted(field, extents.dtype)) for field in fields]


def exact(dtype: torch.dtype) -> torch.dtype:
    """The dtype of what stays precise."""
    return torch.float64 if dtype == torch.float64 else torch.float32


class Reference:
    """Runs the printed functions, without gradients of their own."""

    def __init__(self, program: Program):
        self.program = program

    def kept_bytes(self, args: tuple[Tensor, ...], cu_seqlens: Tensor | None, extents: Extents) -> int:
        """Backward computes everything again."""
        return 0

    def forward(self, args: tuple[Tensor, ...], cu_seqlens: Tensor | None, keys: Tensor | None) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return (*self.differentiable(args, cu_seqlens, keys), args[0].new_empty(0, dtype=torch.uint8))

    def examine(self, args: tuple[Tensor, ...], cu_seqlens: Tensor | None, keys: Tensor | None, kept: Tensor) -> None:
        """Nothing is left to say: a score that is no number is an error of the call."""

    def differentiable(self, args: tuple[Tensor, ...], cu_seqlens: Tensor | None, keys: Tensor | None) -> tuple[Tensor, ...]:
        """As plain PyTorch, by autograd."""
        program, extents = self.program, self.program.check(args, cu_seqlens, keys)
        found = program.forward(*self._given(args, cu_seqlens, extents), keys)
        return tuple(self._shaped(field, x, extents) for field, x in zip(program.results, found))

    def backward(
        self, args: tuple[Tensor, ...], cu_seqlens: Tensor | None, keys: Tensor | None, kept: Tensor, cotangents: tuple[Tensor | None, ...]
    ) -> tuple[Tensor, ...]:
        program, extents = self.program, self.program.check(args, cu_seqlens, keys)
        with torch.no_grad():
            rows, given = self._given(args, cu_seqlens, extents)
            for field, d in zip(program.outputs, cotangents):
                shape = (extents.batch * extents.tokens, *program.shape(field, extents)[2:]) if field.token else (1,)
                zeros = torch.zeros((), dtype=rows.dtype, device=args[0].device).expand(shape)
                given[f"d_{field.python}"] = zeros if d is None else d.to(rows.dtype).reshape(shape)
            found = program.backward(rows, given, keys)
        fields = [field for field, has in zip(program.args, program.differentiable) if has]
        return tuple(self._shaped(field, x, extents) for field, x in zip(fields, found))

    def _given(self, args: tuple[Tensor, ...], cu_seqlens: Tensor | None, extents: Extents) -> tuple[Rows, dict[str, Tensor]]:
        rows = Rows(extents.batch, extents.tokens, cu_seqlens, exact(extents.dtype), args[0].device, extents.sizes)
        given = {}
        for field, x in zip(self.program.args, args):
            x = x if field.index else x.to(rows.dtype)
            given[field.python] = x.flatten(0, 1) if field.token else x
        return rows, given

    def _shaped(self, field: Field, x: Tensor, extents: Extents) -> Tensor:
        """As users see it, with memory of its own."""
        x = x.reshape(self.program.shape(field, extents)).to(self.program.wanted(field, extents.dtype))
        return x.clone(memory_format=torch.contiguous_format)
