"""How long calls of a rank take, and where in them: programs and exchanges by marks on the stream, kernels by torch's profiler."""
import gc
import statistics
import time
from types import SimpleNamespace

import torch
import torch.distributed as dist

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PROGRAMS = ("ends", "forward", "forward_final", "reverse_ends", "backward", "backward_initial")


class Mark:
    """A moment, on the device where there is one."""

    def __init__(self):
        if DEVICE == "cuda":
            self.event = torch.cuda.Event(enable_timing=True)
            self.event.record()
        else:
            self.moment = time.perf_counter()

    def until(self, later):
        """Milliseconds. The device has come to `later`."""
        return self.event.elapsed_time(later.event) if DEVICE == "cuda" else (later.moment - self.moment) * 1e3


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def together(run, warm=6):
    """Both ranks begin at once, with all made that first calls make. Nobody collects garbage meanwhile: that takes as long as many calls."""
    for _ in range(warm):
        run()
    gc.collect()
    gc.disable()
    wait()
    dist.barrier()
    wait()


def milliseconds(run, times=15):
    """Of calls that follow each other: the median and the least as the device sees them, the median of what the host takes to ask for one."""
    together(run)
    marks, asked = [Mark()], []
    for _ in range(times):
        begin = time.perf_counter()
        run()
        asked.append((time.perf_counter() - begin) * 1e3)
        marks.append(Mark())
    wait()
    gc.enable()
    taken = [a.until(b) for a, b in zip(marks, marks[1:])]
    return {"median": statistics.median(taken), "least": min(taken), "host": statistics.median(asked)}


class Phases:
    """Programs that a call over pieces runs and exchanges between ranks, in the order in which it asks for them."""

    def __init__(self, package):
        self.cp, self.found = package.cp, []

    def timed(self, name, run):
        def marked(*given, **options):
            before = Mark()
            result = run(*given, **options)
            self.found.append((name, before, Mark()))
            return result
        return marked

    def __enter__(self):
        self.call, self.all_gather = self.cp.PiecesCall, self.cp.all_gather

        def call(shards, op, *given):
            names = [name for name in PROGRAMS if getattr(op, name) is not None]
            return self.call(shards, SimpleNamespace(**{name: self.timed(name, getattr(op, name)) for name in names}), *given)

        self.cp.PiecesCall, self.cp.all_gather = call, self.timed("gather", self.all_gather)
        return self

    def __exit__(self, *_):
        self.cp.PiecesCall, self.cp.all_gather = self.call, self.all_gather


def phases(package, run, times=7):
    """Medians over calls: [name, ms] in order, and what lies between and around them. A gather waits for ranks that come later to it."""
    together(run)
    calls = []
    with Phases(package) as there:
        for _ in range(times):
            begin = Mark()
            run()
            calls.append((begin, there.found, Mark()))
            there.found = []
    wait()
    gc.enable()
    names = [name for name, _, _ in calls[0][1]]
    own = [[a.until(b) for _, a, b in found] for _, found, _ in calls]
    rest = [begin.until(end) - sum(parts) for (begin, _, end), parts in zip(calls, own)]
    middle = lambda taken: round(statistics.median(taken), 4)
    return [*([name, middle(column)] for name, column in zip(names, zip(*own))), ["between", middle(rest)]]


def kernels(run, most=16):
    """[name, launches, ms] of the kernels of one call, the longest first; what went wrong where this machine lets nobody look."""
    if DEVICE != "cuda":
        return []
    together(run, 2)
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
            run()
            wait()
        rows = sorted(seen.key_averages(), key=lambda each: -each.self_device_time_total)
        return [[each.key[:60], each.count, round(each.self_device_time_total / 1e3, 4)] for each in rows[:most] if each.self_device_time_total > 0]
    except Exception as error:
        return [[f"{type(error).__name__}: {error}"[:120], 0, 0.0]]
    finally:
        gc.enable()


def of_all_ranks(value):
    """By rank."""
    found = [None] * dist.get_world_size()
    dist.all_gather_object(found, value)
    return found
