"""Launches the kernels of a package on torch's tensors and streams, by the driver alone. `Scan` is what the operators call."""
import math, threading, weakref
from pathlib import Path

import torch

from . import _driver as cuda
from . import _host as host
from ._bound import CHECK, Bound, Request
from ._driver import LmoecError, driver
from ._layout import boundary, distances
from ._images import Images, cache_folder, Nvrtc, targets_for
from ._plan import Call, Plan

__all__ = ["Built", "LmoecError", "Scan", "doctor"]

# Programs made ready, for each scan and program: training needs one or two, a packed batch of ever new sizes must not grow without end.
MOST_BOUND = 64
images = Images()


class Built:
    """Plans that were built of one thing, in folders of it."""

    def __init__(self, folder, pattern, missing="build the package again: files are missing"):
        self.folder, self._pattern, self._missing = Path(folder), pattern, missing
        self._lock = threading.Lock()
        self._plans = None

    def plans(self):
        """Every plan, in the order of their folders."""
        if self._plans is None:
            with self._lock:
                if self._plans is None:
                    found = tuple(Plan(path) for path in sorted(self.folder.glob(self._pattern)))
                    if not found:
                        raise LmoecError(f"there is no plan in {self.folder}", self._missing)
                    self._plans = found
        return self._plans

    def warmup(self, device=None):
        """Loads the kernels for a device, so that the first call, or one in a captured graph, does not."""
        index = torch.device(device).index if device is not None and not isinstance(device, int) else device
        index = host.current_device() if index is None else index
        with host.guard(index):
            cuda.ensure_context(index)
            for plan in self.suitable(index):
                images.kernels(plan, index)

    def suitable(self, index):
        """Plans for a device, the preferred target first."""
        targets = targets_for(host.capability(index))
        found = [plan for target in targets for plan in self.plans() if plan.target == target]
        if not found:
            scan, built = self.plans()[0].scan, ", ".join(sorted({plan.target for plan in self.plans()}))
            needs = " or ".join(targets) or "compute capability 8.0 or later"
            raise LmoecError(
                f"{scan} was built for {built}; {cuda.describe_device(index)} needs {needs}",
                f"build again with --target {targets[0]}" if targets else "set LMOEC_BACKEND=reference")
        return found


class Scan(Built):
    """One scan with the plans that were built of it."""

    def __init__(self, folder):
        super().__init__(folder, "*/*/plan.json")
        self._programs = {program: Program(self, program) for program in ("forward", "backward", "step", "ends", "reverse_ends")}

    @property
    def sizes(self):
        return list({plan.size_text(): plan.sizes for plan in self.plans()}.values())

    def names(self, role):
        return self.plans()[0].named(role)

    def forward(self, args, cu_seqlens=None, final=True):
        """`args`: inputs, params, initial states (None: zeros) in the plan's order. Outputs, then final states if wanted."""
        return self._programs["forward"](args, (), cu_seqlens, "all" if final else "outputs", False)

    def backward(self, args, cotangents, cu_seqlens=None, wanted=None):
        """`cotangents`: of outputs, then of final states (None: zeros). Gradients in the order of `args`, None where `wanted` says that
        nobody asks for one."""
        return self._programs["backward"](args, cotangents, cu_seqlens, tuple(wanted) if wanted is not None else "all", False)

    def step(self, args, in_place=False):
        """One token for each sequence, [B, heads, ...]. Outputs and final states; or outputs alone, the states written where the initial
        ones lie."""
        return self._programs["step"](args, (), None, "all", in_place)

    def ends(self, args, cu_seqlens=None):
        """Final states alone: what others must know of a piece of their sequences."""
        return self._programs["ends"](args, (), cu_seqlens, "all", False)

    def reverse_ends(self, args, cotangents, cu_seqlens=None):
        """Gradients of initial states alone."""
        return self._programs["reverse_ends"](args, cotangents, cu_seqlens, "all", False)

    def choose(self, index, program, args, cotangents, offsets):
        """The plan that the tensors of a call fit, and what the call brings."""
        plans = self.suitable(index)
        calls = []
        for plan in plans:
            plan.expect(program)
            count, expected = len(args), len(plan.args)
            seeds = plan.taken(program, "cotangent")
            if count != expected or len(cotangents) != len(seeds):
                names = ", ".join((*plan.args, *seeds))
                raise LmoecError(f"{plan.scan}: {count} arguments, {len(cotangents)} cotangents", f"pass {names}")
            call = Call(plan, program, [*zip(plan.args, args), *zip(seeds, cotangents)], offsets)
            if call.complaint is None:
                return call
            calls.append(call)
        # The plan whose elements are the tensors' comes nearest.
        kinds = [call.complaint[1] for call in calls]
        error, kind = next((call.complaint for call in calls if call.complaint[1] != "dtype"), calls[0].complaint)
        scan, what = plans[0].scan, str(error).removesuffix(f": {error.remedy}")
        if kind == "size":
            built = "; ".join(dict.fromkeys(plan.size_text() for plan in plans))
            raise LmoecError(f"{what}; {scan} was built for {built}", "build again with one more --size for these extents")
        if all(each == "dtype" for each in kinds):
            built = ", ".join(dict.fromkeys(plan.dtype for plan in plans))
            raise LmoecError(f"{what}; {scan} was built for {built}", "convert the tensor, or build again with --dtype")
        raise error


class Program:
    """One program of a scan. `free`: what is ready for a call, by everything that decides its layout. A call takes one out and puts it back,
    so that threads never share one; parameters are the driver's own once a launch returns."""

    def __init__(self, scan, name):
        self._scan, self._name = weakref.proxy(scan), name
        self._lock = threading.Lock()
        self.forget()
        cuda.holders.add(self)

    def forget(self):
        self.free = {}

    def __call__(self, args, cotangents, cu_seqlens, wanted, in_place):
        key, pointers, bits, device_of = [wanted, in_place], [], 0, host.device_of
        for tensor in (*args, *cotangents):
            if tensor is None:
                key.append(None)
                pointers.append(0)
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
            elif CHECK:
                _lengths(self._scan.plans()[0].scan, cu_seqlens.cpu(), args[0])
            key += (cu_seqlens.shape, cu_seqlens.dtype, device_of(cu_seqlens), cu_seqlens.is_contiguous())
            offsets = cu_seqlens.data_ptr()
        if index == host.current_device():
            return self._run(key, args, cotangents, cu_seqlens, lengths, index, pointers, offsets)
        with host.guard(index):
            return self._run(key, args, cotangents, cu_seqlens, lengths, index, pointers, offsets)

    def _run(self, key, args, cotangents, cu_seqlens, lengths, index, pointers, offsets):
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
        tensors = (*args, *cotangents, *(() if cu_seqlens is None else (cu_seqlens,)))
        call = self._choose(index, args, cotangents, cu_seqlens, tensors)
        plan = call.plan
        given = plan.programs[self._name]["takes"]
        absent = {name for name, tensor in zip(given, (*args, *cotangents)) if tensor is None}
        if in_place and not absent.isdisjoint(plan.named("initial")):
            raise LmoecError(f"{plan.scan}: a step in place needs every state", f"pass {', '.join(plan.named('initial'))}")
        results = {"outputs": plan.named("output"), "all": tuple(plan.programs[self._name]["gives"])}
        if self._name == "backward":
            results = {"all": tuple(name for name in plan.gradients if name is not None)}
            if wanted != "all":
                results[wanted] = tuple(name for name, asked in zip(plan.gradients, wanted) if asked and name is not None)
        known = call.known
        if lengths is None and cu_seqlens is None:
            lengths = [1 if call.step else known["T"]] * known["B"]
        lead = (known["B"],) if call.step else (known["B"], known["T"])
        request = Request(
            plan, self._name, given, absent, results[wanted], in_place, lead, call.extents(lengths),
            0 if cu_seqlens is None else cu_seqlens.element_size(), keeps_tables, self._distances(args, cotangents),
            plan.gradients if self._name == "backward" else None)
        return Bound(request, images.kernels(plan, index), index)

    def _distances(self, args, cotangents):
        """How far tokens and heads are apart where they have gaps."""
        with_gaps = [each for each in self._named(args, cotangents) if not each[2].is_contiguous()]
        return {name: distances(tensor, len(declared["axes"])) for name, declared, tensor in with_gaps}

    def _choose(self, index, args, cotangents, cu_seqlens, tensors):
        scan = self._scan.plans()[0].scan
        if index < 0:
            what = f"{scan}: {self._scan.plans()[0].args[0]} is on {args[0].device}, kernels need a CUDA device"
            raise LmoecError(what, "move the tensors, or set LMOEC_BACKEND=reference")
        names = [*self._scan.plans()[0].args, *self._scan.plans()[0].taken(self._name, "cotangent"), "cu_seqlens"]
        for name, tensor in zip(names, (*args, *cotangents, cu_seqlens)):
            if tensor is not None and host.device_of(tensor) != index:
                raise LmoecError(f"{scan}: {name} is on {tensor.device}, other tensors on {args[0].device}", f"move {name} there")
        return self._scan.choose(index, self._name, args, cotangents, cu_seqlens)


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


def doctor(scans):
    """What there is on this machine for these scans, for people."""
    lines = [f"torch {torch.__version__}, CUDA {torch.version.cuda or 'none'}"]
    def attempt(what, find):
        try:
            lines.append(f"{what}: {find()}")
        except (LmoecError, RuntimeError, OSError) as error:
            lines.append(f"{what}: {error}")
    attempt("NVRTC", lambda: Nvrtc().version)
    lines.append(f"cache of what NVRTC compiles: {cache_folder()}")
    if not torch.cuda.is_available():
        return "\n".join([*lines, "no CUDA device: CPU tensors run by the reference"])
    for index in range(torch.cuda.device_count()):
        lines.append(f"device {index}: {cuda.describe_device(index)}")
        for scan in scans:
            attempt(f"  {scan.folder.name}", lambda: _suitable_text(scan, index))
    return "\n".join(lines)


def _suitable_text(scan, index):
    scan.warmup(index)
    return "; ".join(f"{plan.target} {plan.dtype} {plan.size_text()}" for plan in scan.suitable(index))
