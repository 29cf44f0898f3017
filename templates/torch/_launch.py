"""Launches the kernels of layers and mixtures: plans say what users call the tensors that programs take and give (`names`)."""

from __future__ import annotations

from typing import Any, Iterable, Iterator

import torch
from torch import Tensor

from . import _driver as cuda
from . import _host as host
from ._bound import CHECK, Bound, Request
from ._driver import ELEMENT, LmoecError, driver
from ._part import Extents, Field, Program
from ._plan import Plan, extents_of, most_of
from ._runtime import MOST_BOUND, Built, images

# Workspaces begin on as many bytes.
APART = 256
MORE = "build again with --experts N: how many experts a rank has"


class Kernels(Built):
    """A part in training, or outside, with the plans that were built of it."""

    def __init__(self, folder: Any, mode: str, program: Program):
        """`mode`: in which folders the plans are; those of parts of mixtures are there where somebody asked for them."""
        super().__init__(folder, f"*/{mode}/plan.json", *(() if mode in ("train", "eval") else (MORE,)))
        self.mode = mode
        self.program = program
        #: What is ready for a call, by all that decides its layout. A call takes one out and puts it back, so that threads never share one.
        self._free: dict[tuple, list[Bound]] = {}
        self._known: dict[Any, dict[str, int]] = {}
        cuda.holders.add(self)

    def forget(self) -> None:
        self._free = {}

    def plans(self) -> tuple[Plan, ...]:
        try:
            return super().plans()
        except LmoecError:
            if self.mode == "train" and any(self.folder.glob("*/eval/plan.json")):
                how = "pass training=False (a module: call eval()), or build it again without --eval"
                raise LmoecError(f"{self.program.name} was built with --eval: it has no kernels of training", how) from None
            raise

    # What operators call

    def forward(self, args: tuple[Tensor, ...], cu_seqlens: Tensor | None, keys: Tensor | None) -> tuple[Tensor, ...]:
        extents = self.program.check(args, cu_seqlens, keys)
        index = host.device_of(args[0])
        plan = self.choose(index, extents.dtype, extents.sizes)
        kept = Kept(plan, args[0], cu_seqlens, extents)
        memory = host.empty((kept.bytes,), (1,), torch.uint8)
        made = self._run(plan, "forward", index, args, (), cu_seqlens, keys, extents, kept.views(memory))
        if CHECK and not host.capturing():
            self.examine(args, cu_seqlens, keys, memory)
        results = plan.json["names"]["results"]["forward"]
        # What is a result and kept, too, is there twice: results have memory of their own.
        made.update(kept.copies(memory, (name for field in self.program.results for name in results[field.name]["tensors"])))
        return (*(self._result(field, results[field.name], made, args[0], extents) for field in self.program.results), memory)

    def backward(
        self, args: tuple[Tensor, ...], cu_seqlens: Tensor | None, keys: Tensor | None, memory: Tensor, cotangents: tuple[Tensor | None, ...]
    ) -> tuple[Tensor, ...]:
        extents = self.program.check(args, cu_seqlens, keys)
        index = host.device_of(args[0])
        plan = self.choose(index, extents.dtype, extents.sizes)
        plan.expect("backward")
        kept = Kept(plan, args[0], cu_seqlens, extents)
        made = self._run(plan, "backward", index, args, cotangents, cu_seqlens, keys, extents, kept.views(memory))
        results = plan.json["names"]["results"]["backward"]
        fields = [field for field, has in zip(self.program.args, self.program.differentiable) if has]
        return tuple(self._result(field, results[f"d_{field.name}"], made, args[0], extents) for field in fields)

    def examine(self, args: tuple[Tensor, ...], cu_seqlens: Tensor | None, keys: Tensor | None, memory: Tensor) -> None:
        """Raises where a choice had scores that are no numbers: kernels note it, and who asks waits for the device."""
        extents = self.program.check(args, cu_seqlens, keys)
        plan = self.choose(host.device_of(args[0]), extents.dtype, extents.sizes)
        views = Kept(plan, args[0], cu_seqlens, extents).views(memory)
        noted = [(check["choice"], views[check["tensor"]].view(torch.float32) != 0) for check in plan.json["names"]["checks"]]
        found = [x.any() for _, x in noted]
        for (choice, wrong), some in zip(noted, torch.stack(found).tolist() if found else ()):
            if some:
                # Of each token, or of no one in particular.
                first = divmod(int(wrong.nonzero()[0]), extents.tokens) if wrong.numel() == extents.batch * extents.tokens else None
                where = "" if first is None else f", the first at [{first[0]}, {first[1]}] of [B, T]"
                raise ValueError(f"{self.program.name}: `{choice}` has scores that are no numbers{where}")

    def kept_bytes(self, args: tuple[Tensor, ...], cu_seqlens: Tensor | None, extents: Extents) -> int:
        """Of what forward leaves for backward: shapes for tracing."""
        index = args[0].device.index
        plan = self.choose(host.current_device() if index is None else index, extents.dtype, extents.sizes)
        return Kept(plan, args[0], cu_seqlens, extents).bytes

    # Plans

    def choose(self, index: int, dtype: torch.dtype, sizes: dict[str, int]) -> Plan:
        """The plan for a device, a dtype, and sizes that a call brings."""
        if index < 0:
            raise LmoecError(f"{self.program.name}: kernels need a CUDA device", "move the tensors, or set LMOEC_BACKEND=reference")
        suitable = self.suitable(index)
        fitting = [plan for plan in suitable if all(sizes[name] == size for name, size in self._sizes(plan).items())]
        for plan in fitting:
            if host.DTYPES[plan.dtype] == dtype:
                return plan
        if not fitting:
            built = " or ".join(dict.fromkeys(_sizes_text(self._sizes(plan)) for plan in suitable))
            found = _sizes_text({name: sizes[name] for name in self._sizes(suitable[0])})
            raise LmoecError(f"{self.program.name} was built for {built}, found {found}", MORE)
        built = ", ".join(dict.fromkeys(plan.dtype for plan in suitable))
        raise LmoecError(f"{self.program.name} was built for {built}, found {dtype}", "convert the tensors, or build again with --dtype")

    def _sizes(self, plan: Plan) -> dict[str, int]:
        """What a plan has where a call brings a size."""
        known = self._known.get(plan.path)
        if known is None:
            users = {source["name"]: source["shape"] for source in plan.json["names"]["given"].values() if source["kind"] == "user"}
            known = self._known[plan.path] = {
                size: extent for field in self.program.args if field.name in users and field.sizes
                for size, extent in zip(field.sizes, users[field.name][-len(field.sizes) :]) if isinstance(size, str)
            }
        return known

    # Calls

    def _run(
        self, plan: Plan, program: str, index: int, args: tuple[Tensor, ...], cotangents: tuple[Tensor | None, ...], cu_seqlens: Tensor | None,
        keys: Tensor | None, extents: Extents, kept: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        with host.guard(index):
            users = {field.name: x for field, x in zip(self.program.args, args)}
            users.update({f"d_{field.name}": d for field, d in zip(self.program.outputs, cotangents)})
            sequences = extents.batch if cu_seqlens is None else cu_seqlens.shape[0] - 1
            lengths = [extents.tokens] * extents.batch if cu_seqlens is None else None
            sizes = extents_of(plan, extents.batch * extents.tokens, 1, 1, sequences, lengths)
            given = {name: x for name, x in self._given(plan, program, users, kept, cu_seqlens, keys, extents, sizes)}
            if program == "forward":
                given.update(kept)
            capturing = host.capturing()
            keeps_tables = cu_seqlens is None and not capturing
            key = (plan.path, program, extents.batch, extents.tokens, None if cu_seqlens is None else (sequences, cu_seqlens.dtype), keeps_tables, index)
            try:
                bound = self._free[key].pop()
            except (KeyError, IndexError):
                bound = self._bind(plan, program, index, tuple(given), extents, sizes, cu_seqlens, keeps_tables)
            offsets = 0 if cu_seqlens is None else cu_seqlens.contiguous()
            made = bound([x.data_ptr() for x in given.values()], offsets if isinstance(offsets, int) else offsets.data_ptr(), capturing)
            names = bound.results
            self._shelf(key).append(bound)
            return dict(zip(names, made))

    def _shelf(self, key: tuple) -> list[Bound]:
        with self._lock:
            while len(self._free) >= MOST_BOUND and key not in self._free:
                del self._free[next(iter(self._free))]
            return self._free.setdefault(key, [])

    def _bind(
        self, plan: Plan, program: str, index: int, given: tuple[str, ...], extents: Extents, sizes: dict[str, int], cu_seqlens: Tensor | None,
        keeps_tables: bool,
    ) -> Bound:
        driver()
        cuda.ensure_context(index)
        wanted = tuple(plan.programs[program]["gives"])
        offset_bytes = 0 if cu_seqlens is None else cu_seqlens.element_size()
        request = Request(plan, program, given, set(), wanted, False, (extents.batch, extents.tokens), sizes, offset_bytes, keeps_tables)
        return Bound(request, images.kernels(plan, index), index)

    def _given(
        self, plan: Plan, program: str, users: dict[str, Tensor | None], kept: dict[str, Tensor], cu_seqlens: Tensor | None, keys: Tensor | None,
        extents: Extents, sizes: dict[str, int],
    ) -> Iterator[tuple[str, Tensor]]:
        """What a program takes, by the plan's names."""
        some, sources = next(x for x in users.values() if x is not None), plan.json["names"]["given"]
        numbers: dict[str, Tensor] = {}
        for name in plan.programs[program]["takes"]:
            source, declared = sources[name], plan.tensors[name]
            dtype = host.DTYPES[declared["dtype"]]
            match source["kind"]:
                case "user":
                    x = users[source["name"]]
                    if x is None:
                        shape = [extent if isinstance(extent, int) else sizes[extent] for extent in declared["shape"]]
                        x = torch.zeros(shape, dtype=dtype, device=some.device)
                    x = x.to(dtype).contiguous()
                    # Wide loads want 16 bytes; [B, T, ...] and [tokens, ...] are the same memory.
                    yield name, x.clone() if x.data_ptr() % 16 else x
                case "kept":
                    yield name, kept[source["tensor"]]
                case "number":
                    if not numbers:
                        numbers = _numbers(some, cu_seqlens, extents)
                    yield name, numbers[source["of"]]
                case "key":
                    yield name, keys[self.program.sites.index((source["path"], source["number"]))].clone()

    def _result(self, field: Field, described: dict, made: dict[str, Tensor], like: Tensor, extents: Extents) -> Tensor:
        """The sum of the tensors that a plan names, as users see it; zeros where there is none."""
        shape, dtype = self.program.shape(field, extents), self.program.wanted(field, extents.dtype)
        if not described["tensors"]:
            return torch.zeros(shape, dtype=dtype, device=like.device)
        first, *others = (made[name] for name in described["tensors"])
        for other in others:
            first = first.float() + other.float()
        return first.reshape(shape).to(dtype)


def _sizes_text(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name} = {size}" for name, size in sizes.items())


def _numbers(like: Tensor, cu_seqlens: Tensor | None, extents: Extents) -> dict[str, Tensor]:
    """What draws know a token by: its place in its sequence, and the number of that."""
    token = torch.arange(extents.batch * extents.tokens, device=like.device)
    if cu_seqlens is None:
        sequence, position = token // max(1, extents.tokens), token % max(1, extents.tokens)
    else:
        ends = cu_seqlens[1:].to(token.dtype).contiguous()
        sequence = torch.searchsorted(ends, token, right=True).clamp(max=max(0, len(ends) - 1))
        position = token - cu_seqlens.to(token.dtype)[sequence]
    return {"position": position.float(), "sequence": sequence.float()}


class Kept:
    """What forward leaves for backward, and for who asks whether scores were numbers, in one piece of memory. Sizes are sums of products of what a call brings, known when it is traced."""

    def __init__(self, plan: Plan, like: Tensor, cu_seqlens: Tensor | None, extents: Extents):
        self.plan = plan
        tokens = extents.batch * extents.tokens
        sequences = extents.batch if cu_seqlens is None else cu_seqlens.shape[0] - 1
        said = plan.json["names"]
        left = [source["tensor"] for source in said["given"].values() if source["kind"] == "kept"]
        names = dict.fromkeys([*left, *(check["tensor"] for check in said["checks"])])
        self.shapes = {name: tuple(self._extent(extent, tokens, sequences) for extent in plan.tensors[name]["shape"]) for name in names}
        self.places, self.bytes = {}, 0
        for name, shape in self.shapes.items():
            size = ELEMENT[plan.tensors[name]["dtype"]]
            for extent in shape:
                size = size * extent
            self.places[name] = (self.bytes, size)
            self.bytes = self.bytes + (size + APART - 1) // APART * APART

    def _extent(self, extent: int | str, tokens: int, sequences: int) -> int:
        """As many as there may be."""
        if isinstance(extent, int):
            return extent
        said = self.plan.extents[extent]
        if said["of"] in ("head", "group"):
            return 1
        made = self.plan.made_rows.get(said["domain"])
        if made is not None:
            return most_of(self.plan, made, tokens)[said["of"]]
        # Segments are as many as lengths say, of which nobody else knows; chunks are bounds.
        counts = {"row": tokens, "run": sequences, "chunk": (tokens + sequences * (self.plan.json["chunk"] - 1)) // self.plan.json["chunk"]}
        if said["of"] not in counts:
            raise LmoecError(f"{self.plan.scan}: what forward leaves has an extent {extent}", "this plan is not for PyTorch: build it again")
        return counts[said["of"]]

    def copies(self, memory: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        views = self.views(memory)
        return {name: views[name].view(host.DTYPES[self.plan.tensors[name]["dtype"]]).clone() for name in names if name in views}

    def views(self, memory: Tensor) -> dict[str, Tensor]:
        return {name: memory[at : at + size] for name, (at, size) in self.places.items()}
