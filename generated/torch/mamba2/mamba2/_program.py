"""One program of a scan on the tensors of a call: what of them kernels cannot read is copied, and what is ready for calls of the same layout is used again."""
import math, threading, weakref

import torch

from . import _bound
from . import _driver as cuda
from . import _host as host
from ._again import Way
from ._bound import Bound, Request
from ._driver import LmoecError, driver
from ._images import images
from ._layout import boundary, distances
from ._plan import kept_places

# Programs made ready, for each scan and program: training needs one or two, a packed batch of ever new sizes must not grow without end.
MOST_BOUND = 64


class Program:
    """One program of a scan. `free`: what is ready for a call, by everything that decides its layout. A call takes one out and puts it back,
    so that threads never share one; parameters are the driver's own once a launch returns."""

    def __init__(self, scan, name):
        self._scan, self._name = weakref.proxy(scan), name
        # Of those that keep, what a plan without such a program has instead, with nothing in what is kept.
        self._plain = name.removesuffix("_kept")
        self._lock = threading.Lock()
        self._ways = []
        self.forget()
        cuda.holders.add(self)

    def forget(self):
        self.free = {}
        for way in self._ways:
            way.forget()

    def way(self, cut, wanted, in_place):
        self._ways.append(Way(self, cut, wanted, in_place))
        return self._ways[-1]

    def __call__(self, args, cotangents, cu_seqlens, wanted, in_place, remember=None):
        """`remember`: is told a device, and where the program is ready for calls whose tensors look like these."""
        key, pointers, bits, device_of = [wanted, in_place], [], 0, host.device_of
        for tensor in (*args, *cotangents):
            if tensor is None:
                key.append(None)
            else:
                pointer = tensor.data_ptr()
                bits |= pointer
                pointers.append(pointer)
                key += (tensor.shape, tensor.dtype, device_of(tensor), tensor.is_contiguous() or tensor.stride())
        if bits & 15:
            copies = self._copies(args, cotangents, in_place)
            if copies is not None:
                return self(*copies, cu_seqlens, wanted, in_place)
        index, offsets, lengths = device_of(args[0]), 0, None
        if cu_seqlens is not None:
            if device_of(cu_seqlens) < 0:
                lengths = _lengths(self._scan.plans()[0].scan, cu_seqlens, args[0])
                key.append(lengths)
                cu_seqlens = host.beside(cu_seqlens, args[0])
            elif _bound.CHECK:
                _lengths(self._scan.plans()[0].scan, cu_seqlens.cpu(), args[0])
            key += (cu_seqlens.shape, cu_seqlens.dtype, device_of(cu_seqlens), cu_seqlens.is_contiguous())
            offsets = cu_seqlens.data_ptr()
        if index == host.current_device():
            return self._run(key, args, cotangents, cu_seqlens, lengths, index, pointers, offsets, remember if lengths is None else None)
        with host.guard(index):
            return self._run(key, args, cotangents, cu_seqlens, lengths, index, pointers, offsets)

    def _run(self, key, args, cotangents, cu_seqlens, lengths, index, pointers, offsets, remember=None):
        wanted, in_place = key[:2]
        # Of offsets, tables are made at every call; others stay, but not for a graph, which may live longer.
        capturing = host.capturing()
        keeps_tables = cu_seqlens is None and not capturing
        key = (keeps_tables, *key)
        try:
            free = self.free[key]
            bound = free.pop()
        except (KeyError, IndexError):
            bound = None
        if bound is None:
            copies = self._copies(args, cotangents, in_place)
            if copies is not None:
                return self(*copies, cu_seqlens, wanted, in_place)
            cuda.ensure_context(index)
            bound = self._bind(args, cotangents, cu_seqlens, lengths, wanted, in_place, index, keeps_tables)
            free = self._shelf(key)
        results = bound(pointers, offsets, capturing)
        free.append(bound)
        if remember is not None and not capturing:
            remember(index, free)
        return results

    def _shelf(self, key):
        with self._lock:
            while len(self.free) >= MOST_BOUND and key not in self.free:
                del self.free[next(iter(self.free))]
            return self.free.setdefault(key, [])

    def _named(self, args, cotangents):
        """What is given, beside what a plan says of it."""
        plan = self._scan.plans()[0]
        names = plan.named("input", "param", "initial", "cotangent")
        return [(name, plan.tensors[name], tensor) for name, tensor in zip(names, (*args, *cotangents)) if tensor is not None]

    def _copies(self, args, cotangents, in_place):
        """Arguments and cotangents with copies of what kernels cannot read as it lies; None where they can read all."""
        unfit = {id(tensor): name for name, declared, tensor in self._named(args, cotangents) if not _readable(declared, tensor, self._name == "step")}
        # What hooks of saved tensors have brought back lies anywhere.
        if self._name == "backward_kept" and cotangents[-1].data_ptr() & 15:
            unfit[id(cotangents[-1])] = "kept"
        if not unfit:
            return None
        plan = self._scan.plans()[0]
        for name in plan.named("initial") if in_place else ():
            if name in unfit.values():
                what = f"{plan.scan}: {name}, which the step writes, must be contiguous and begin on 16 bytes"
                raise LmoecError(what, f"keep the state in a tensor of its own: {name}.clone()")
        copy = lambda tensors: [x.clone(memory_format=torch.contiguous_format) if id(x) in unfit else x for x in tensors]
        return copy(args), copy(cotangents)

    def _bind(self, args, cotangents, cu_seqlens, lengths, wanted, in_place, index, keeps_tables):
        driver()
        kept = None
        if self._name == "backward_kept":
            *cotangents, kept = cotangents
        call = self._choose(index, args, cotangents, cu_seqlens)
        plan = call.plan
        program = self._name if self._name in plan.programs else self._plain
        given = plan.programs[program]["takes"]
        absent = {name for name, tensor in zip(given, (*args, *cotangents)) if tensor is None}
        if in_place and not absent.isdisjoint(plan.named("initial")):
            raise LmoecError(f"{plan.scan}: a step in place needs every state", f"pass {', '.join(plan.named('initial'))}")
        order = None
        if self._plain == "backward":
            # For each argument, of which some have none and some are asked of nobody.
            asked = (True,) * len(plan.gradients) if wanted == "all" else wanted
            order = [name if one else None for name, one in zip(plan.gradients, asked)]
            results = tuple(name for name in order if name is not None)
        else:
            results = plan.named("output") if wanted == "outputs" else tuple(plan.programs[self._plain]["gives"])
        known = call.known
        if lengths is None and cu_seqlens is None:
            lengths = [1 if call.step else known["T"]] * known["B"]
        lead = (known["B"],) if call.step else (known["B"], known["T"])
        places, count = (None, None) if self._name == self._plain else kept_places(plan, call, cu_seqlens is not None)
        if kept is not None and kept.numel() != count:
            what = f"{plan.scan}: what is kept of forward has {kept.numel()} bytes, backward of these tensors takes {count}"
            raise LmoecError(what, "give backward the tensors that forward was given")
        if kept is not None and (kept.dtype != torch.uint8 or not kept.is_contiguous() or host.device_of(kept) != index):
            found = f"{kept.dtype} with strides {kept.stride()} on {kept.device}"
            what = f"{plan.scan}: what is kept of forward is {found}, it was bytes in a row beside {plan.args[0]}"
            raise LmoecError(what, "let hooks of saved tensors give back what they were given")
        leaves = places is not None and kept is None
        request = Request(
            plan, program, given, absent, (*results, *places) if leaves else results, in_place, lead, call.extents(lengths),
            0 if cu_seqlens is None else cu_seqlens.element_size(), keeps_tables, self._distances(args, cotangents),
            order, places, count)
        return Bound(request, images.kernels(plan, index), index)

    def _distances(self, args, cotangents):
        """How far tokens and heads are apart where they have gaps."""
        with_gaps = [each for each in self._named(args, cotangents) if not each[2].is_contiguous()]
        return {name: distances(tensor, len(declared["axes"])) for name, declared, tensor in with_gaps}

    def _choose(self, index, args, cotangents, cu_seqlens):
        scan = self._scan.plans()[0].scan
        if index < 0:
            what = f"{scan}: {self._scan.plans()[0].args[0]} is on {args[0].device}, kernels need a CUDA device"
            raise LmoecError(what, "move the tensors, or set LMOEC_BACKEND=reference")
        names = [*self._scan.plans()[0].args, *self._scan.plans()[0].taken(self._plain, "cotangent"), "cu_seqlens"]
        for name, tensor in zip(names, (*args, *cotangents, cu_seqlens)):
            if tensor is not None and host.device_of(tensor) != index:
                raise LmoecError(f"{scan}: {name} is on {tensor.device}, other tensors on {args[0].device}", f"move {name} there")
        return self._scan.choose(index, self._plain, args, cotangents, cu_seqlens)


def _readable(declared, tensor, step):
    """Can kernels read a tensor where it lies? Of another rank than the plan's, it is not for this function to say."""
    per_token, own = declared["role"] == "input", len(declared["axes"])
    if per_token and tensor.dim() != own + (2 if step else 3):
        return True
    if not tensor.is_contiguous() and not (per_token and distances(tensor, own) is not None):
        return False
    cell = math.prod(tensor.shape[tensor.dim() - own:])
    return tensor.data_ptr() % (boundary(tensor, cell) if per_token else 16) == 0


def _lengths(scan, offsets, first):
    """Lengths of sequences whose offsets the host can read."""
    numbers = offsets.tolist()
    lengths = tuple(end - begin for begin, end in zip(numbers, numbers[1:]))
    tokens = first.shape[1]
    if not numbers or numbers[0] != 0 or numbers[-1] != tokens or any(length < 0 for length in lengths):
        raise LmoecError(f"{scan}: cu_seqlens {numbers} does not cut {tokens} tokens", "offsets rise from 0 to the number of tokens")
    return lengths
