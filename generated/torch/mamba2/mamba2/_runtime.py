"""Launches the kernels of a package on torch's tensors and streams, by the driver alone. `Scan` is what the operators call."""
import threading
from pathlib import Path

import torch

from . import _driver as cuda
from . import _host as host
from ._driver import LmoecError
from ._images import Nvrtc, cache_folder, images, targets_for
from ._plan import Call, Plan, kept_places
from ._program import MOST_BOUND, Program

__all__ = ["MOST_BOUND", "Built", "LmoecError", "Scan", "doctor", "images"]


PROGRAMS = ("forward", "backward", "step", "ends", "reverse_ends", "forward_kept", "backward_kept")


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
        named = torch.device("cuda", device) if isinstance(device, int) else torch.device("cuda" if device is None else device)
        if named.type == "cpu":
            # The reference is ready.
            return
        if named.type != "cuda":
            raise LmoecError(f"{named} is no CUDA device", "kernels run on CUDA devices, the reference on the CPU")
        if not host.available():
            raise LmoecError("there is no CUDA device", f"{cuda.REMEDIES[cuda.NO_DEVICE]}; on the CPU nothing has to be loaded")
        index = host.current_device() if named.index is None else named.index
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
        self._programs = {program: Program(self, program) for program in PROGRAMS}
        self._ways = {}

    @property
    def sizes(self):
        return list({plan.size_text(): plan.sizes for plan in self.plans()}.values())

    def names(self, role):
        return self.plans()[0].named(role)

    def way(self, program, cut, wanted="all", in_place=False):
        """To a program, for many calls. `cut`: how many arguments stand before offsets and cotangents; None: a step, which has none
        of both. `wanted`: "all", "outputs", or of each argument whether its gradient is."""
        key = (program, cut, wanted, in_place)
        found = self._ways.get(key)
        return self._ways.setdefault(key, self._programs[program].way(cut, wanted, in_place)) if found is None else found

    def forward(self, args, cu_seqlens=None, final=True):
        """`args`: inputs, params, initial states (None: zeros) in the plan's order. Outputs, then final states if wanted."""
        return self.way("forward", len(args), "all" if final else "outputs")((*args, cu_seqlens))

    def backward(self, args, cotangents, cu_seqlens=None, wanted=None):
        """`cotangents`: of outputs, then of final states (None: zeros). Gradients in the order of `args`, None where `wanted` says that
        nobody asks for one."""
        return self.way("backward", len(args), "all" if wanted is None else tuple(wanted))((*args, cu_seqlens, *cotangents))

    def forward_kept(self, args, cu_seqlens=None, final=True):
        """As `forward`, and last what backward may take of it: bytes, which mean something to `backward_kept` of the same arguments alone."""
        return self.way("forward_kept", len(args), "all" if final else "outputs")((*args, cu_seqlens))

    def backward_kept(self, args, cotangents, kept, cu_seqlens=None, wanted=None):
        """As `backward`, of which `kept` spares a part."""
        return self.way("backward_kept", len(args), "all" if wanted is None else tuple(wanted))((*args, cu_seqlens, *cotangents, kept))

    def kept_bytes(self, args, cu_seqlens=None):
        """How much `forward_kept` leaves, by the shapes of its arguments."""
        call = self.choose(host.device_of(args[0]), "forward", args, (), cu_seqlens)
        return kept_places(call.plan, call, cu_seqlens is not None)[1]

    def step(self, args, in_place=False):
        """One token for each sequence, [B, heads, ...]. Outputs and final states; or outputs alone, the states written where the initial
        ones lie."""
        return self.way("step", None, "all", in_place)(args)

    def ends(self, args, cu_seqlens=None):
        """Final states alone: what others must know of a piece of their sequences."""
        return self.way("ends", len(args))((*args, cu_seqlens))

    def reverse_ends(self, args, cotangents, cu_seqlens=None):
        """Gradients of initial states alone."""
        return self.way("reverse_ends", len(args))((*args, cu_seqlens, *cotangents))

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


def doctor(scans):
    """What there is on this machine for these scans, for people."""
    lines = [f"torch {torch.__version__}, CUDA {torch.version.cuda or 'none'}"]
    def attempt(what, find):
        try:
            lines.append(f"{what}: {find()}")
        except (LmoecError, RuntimeError, OSError) as error:
            lines.append(f"{what}: {error}")
    attempt("NVRTC", lambda: Nvrtc().version)
    attempt("cache of what NVRTC compiles", cache_folder)
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
