"""Runs a scan in plain PyTorch: token by token, or chunk by chunk with gradients that are written out. Any device, any floating dtype."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ._signature import Extents, Signature

Block = Callable[..., "tuple[tuple[Tensor, ...], tuple[Tensor, ...]]"]


@dataclass(frozen=True)
class _Call:
    extents: Extents
    inputs: list[Tensor]
    params: list[Tensor]
    states: list[Tensor]
    #: Rows of the batch, first token, end, rows of the states.
    pieces: list[tuple[slice, int, int, slice]]


def _precise(x: Tensor) -> torch.autocast:
    """Autocast would round the products within."""
    return torch.autocast(x.device.type if isinstance(x, Tensor) else "cpu", enabled=False)


@dataclass(frozen=True)
class Reference:
    """The meaning of a scan. `token` is one step of the formula; `chunk` and `chunk_backward` do `size` tokens at once (0: a single one, without an axis)."""

    signature: Signature
    token: Block
    chunk: Block
    chunk_backward: Callable[..., tuple]
    size: int

    def forward(self, args: Sequence[Tensor | None], cu_seqlens: Tensor | None = None, final: bool = True) -> tuple[Tensor, ...]:
        """Outputs, then final states if `final`."""
        with _precise(args[0]):
            return self._forward(tuple(args), cu_seqlens, final, self.chunk, self.size)

    def forward_kept(self, args: Sequence[Tensor | None], cu_seqlens: Tensor | None = None, final: bool = True) -> tuple[Tensor, ...]:
        """As kernels have it that leave something for backward: nothing here."""
        return (*self.forward(args, cu_seqlens, final), args[0].new_empty(0, dtype=torch.uint8))

    def backward_kept(
        self, args: Sequence[Tensor | None], cotangents: Sequence[Tensor | None], kept: Tensor, cu_seqlens: Tensor | None = None, wanted: Sequence[bool] | None = None
    ) -> tuple[Tensor | None, ...]:
        return self.backward(args, cotangents, cu_seqlens, wanted)

    @property
    def affine(self) -> bool:
        """Is what tokens do to the states an affine map, so that pieces of a sequence can be told apart from what comes before them?"""
        return self.size > 0

    def ends(self, args: Sequence[Tensor | None], cu_seqlens: Tensor | None = None) -> tuple[Tensor, ...]:
        """Final states alone."""
        return self.forward(args, cu_seqlens)[len(self.signature.outputs) :]

    def reverse_ends(self, args: Sequence[Tensor | None], cotangents: Sequence[Tensor | None], cu_seqlens: Tensor | None = None) -> tuple[Tensor, ...]:
        """Gradients of initial states alone."""
        return self.backward(args, cotangents, cu_seqlens)[len(args) - len(self.signature.states) :]

    def loop(self, args: Sequence[Tensor | None], cu_seqlens: Tensor | None = None, final: bool = True) -> tuple[Tensor, ...]:
        """The same, one token after the other; autograd can differentiate it."""
        with _precise(args[0]):
            return self._forward(tuple(args), cu_seqlens, final, self.token, 0)

    def step(self, args: Sequence[Tensor | None], in_place: bool = False) -> tuple[Tensor, ...]:
        """One token. Outputs, then the next states, or with `in_place` these are written into the given ones."""
        with _precise(args[0]):
            return self._step(tuple(args), in_place)

    def _step(self, args: tuple[Tensor | None, ...], in_place: bool) -> tuple[Tensor, ...]:
        extents = self.signature.check(args, token=True)
        call = self._open(tuple(x[:, None] for x in args[: len(self.signature.inputs)]) + args[len(self.signature.inputs) :], None, extents)
        outputs, states = self.token(*(x[:, 0] for x in call.inputs), *call.params, *call.states)
        dtype = self.signature.dtype(args)
        exact = self.signature.exact(dtype)
        shapes = [(extents.batch, extents.heads, *self.signature.own(named, extents)) for named in self.signature.outputs]
        given = tuple(self._output(i, x.expand(shape), dtype) for i, (x, shape) in enumerate(zip(outputs, shapes)))
        if not in_place:
            return (*given, *(state.to(exact, copy=True, memory_format=torch.contiguous_format) for state in states))
        for old, new in zip(args[len(args) - len(states) :], states):
            old.copy_(new)
        return given

    def backward(
        self, args: Sequence[Tensor | None], cotangents: Sequence[Tensor | None], cu_seqlens: Tensor | None = None, wanted: Sequence[bool] | None = None
    ) -> tuple[Tensor | None, ...]:
        """Gradients of inputs, params and initial states, from the inputs alone; None for what is not `wanted`."""
        with _precise(args[0]):
            return self._backward(tuple(args), tuple(cotangents), cu_seqlens, wanted)

    def _backward(
        self, args: tuple[Tensor | None, ...], cotangents: tuple[Tensor | None, ...], cu_seqlens: Tensor | None, wanted: Sequence[bool] | None
    ) -> tuple[Tensor | None, ...]:
        signature = self.signature
        extents = signature.check(args, cu_seqlens)
        call = self._open(args, cu_seqlens, extents)
        work = call.inputs[0].dtype
        d_inputs = [torch.zeros_like(x) for x in call.inputs]
        d_params = [torch.zeros_like(x) for x in call.params]
        d_outputs = self._cotangents(cotangents[: len(signature.outputs)], signature.outputs, (extents.batch, extents.tokens, extents.heads), extents, work, args[0])
        d_finals = self._cotangents(cotangents[len(signature.outputs) :], signature.states, (extents.sequences, extents.heads), extents, work, args[0])
        d_firsts = [torch.zeros_like(state) for state in call.states]
        for rows, first, end, owners in call.pieces:
            spans = list(self._spans(first, end, self.size))
            states = [state[owners] for state in call.states]
            starts = []
            for span in spans:
                starts.append(states)
                _, states = self.chunk(*(x[rows, span] for x in call.inputs), *call.params, *states)
            d_states = [d[owners] for d in d_finals]
            for span, states in zip(reversed(spans), reversed(starts)):
                given = (*(x[rows, span] for x in call.inputs), *call.params, *states, *(d[rows, span] for d in d_outputs), *d_states)
                d_x, d_p, d_states = self.chunk_backward(*given)
                for d, part in zip(d_inputs, d_x):
                    if part is not None:
                        d[rows, span] = part
                for d, part in zip(d_params, d_p):
                    if part is not None:
                        lead = (rows.stop - rows.start,) if self.size == 0 else (rows.stop - rows.start, span.stop - span.start)
                        d += part.expand(*lead, *d.shape).sum(tuple(range(len(lead))))
            for d, state in zip(d_firsts, d_states):
                d[owners] = state
        gradients = [*(self._ungrouped(d, named.group, extents) for d, named in zip(d_inputs, signature.inputs)), *d_params]
        gradients = [d.to(x.dtype).contiguous() for d, x in zip(gradients, args)]
        exact = signature.exact(signature.dtype(args))
        gradients += [d.to(exact) for d in d_firsts]
        return tuple(d if wanted is None or wanted[i] else None for i, d in enumerate(gradients))

    def _forward(self, args: tuple[Tensor | None, ...], cu_seqlens: Tensor | None, final: bool, block: Block, size: int) -> tuple[Tensor, ...]:
        extents = self.signature.check(args, cu_seqlens)
        call = self._open(args, cu_seqlens, extents)
        dtype = self.signature.dtype(args)
        outputs: list[list[Tensor]] = [[] for _ in self.signature.outputs]
        finals: list[list[Tensor]] = [[] for _ in self.signature.states]
        for rows, first, end, owners in call.pieces:
            states = [state[owners] for state in call.states]
            for span in self._spans(first, end, size):
                results, states = block(*(x[rows, span] for x in call.inputs), *call.params, *states)
                length = 1 if size == 0 else span.stop - span.start
                for named, parts, part in zip(self.signature.outputs, outputs, results):
                    shape = (rows.stop - rows.start, length, extents.heads, *self.signature.own(named, extents))
                    parts.append((part[:, None] if size == 0 and part.ndim == len(shape) - 1 else part).expand(shape))
            for parts, state in zip(finals, states):
                parts.append(state)
        empty = self.signature.results(args, extents, False)
        joined = [torch.cat(parts, 1) if parts else empty[i] for i, parts in enumerate(outputs)]
        given = [self._output(i, x, dtype) for i, x in enumerate(joined)]
        if final:
            given += [torch.cat(parts).to(self.signature.exact(dtype)).contiguous() for parts in finals]
        return tuple(given)

    def _output(self, index: int, x: Tensor, dtype: torch.dtype) -> Tensor:
        # A copy: results share no memory with what was given.
        wanted = dtype if self.signature.outputs[index].io else self.signature.exact(dtype)
        return x.to(wanted, copy=True, memory_format=torch.contiguous_format)

    @staticmethod
    def _spans(first: int, end: int, size: int) -> Iterator:
        """Tokens that a block takes at once: a slice, or the number of one."""
        if size == 0:
            return iter(range(first, end))
        return (slice(start, min(start + size, end)) for start in range(first, end, size))

    def _open(self, args: tuple[Tensor | None, ...], cu_seqlens: Tensor | None, extents: Extents) -> _Call:
        """Tensors in the precision of the computation, every head with its own values."""
        signature = self.signature
        work = signature.exact(signature.dtype(args))
        times = extents.heads // extents.groups if extents.groups else 1
        inputs = [x.to(work) for x in args[: len(signature.inputs)]]
        inputs = [x.repeat_interleave(times, 2) if named.group and times > 1 else x for x, named in zip(inputs, signature.inputs)]
        params = [x.to(work) for x in args[len(signature.inputs) : len(signature.inputs) + len(signature.params)]]
        given = args[len(args) - len(signature.states) :] if signature.states else ()
        states = self._cotangents(given, signature.states, (extents.sequences, extents.heads), extents, work, args[0])
        if cu_seqlens is None:
            pieces = [(slice(0, extents.batch), 0, extents.tokens, slice(0, extents.batch))]
        else:
            offsets = signature.offsets(cu_seqlens, extents.tokens)
            pieces = [(slice(0, 1), a, b, slice(n, n + 1)) for n, (a, b) in enumerate(zip(offsets, offsets[1:]))]
        return _Call(extents, inputs, params, states, pieces)

    def _cotangents(self, given: Sequence[Tensor | None], named: Sequence, lead: tuple[int, ...], extents: Extents, work: torch.dtype, like: Tensor) -> list[Tensor]:
        """Zeros where nothing is given."""
        shapes = [(*lead, *self.signature.own(x, extents)) for x in named]
        given = (*given, *(None for _ in shapes[len(given) :]))
        return [torch.zeros(shape, dtype=work, device=like.device) if x is None else x.to(work) for x, shape in zip(given, shapes)]

    @staticmethod
    def _ungrouped(d: Tensor, group: bool, extents: Extents) -> Tensor:
        return d.unflatten(2, (extents.groups, -1)).sum(3) if group and extents.groups != extents.heads else d
