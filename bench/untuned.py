"""Triton's tuner held to the first configuration that a kernel runs with: for results of peers whose times nobody takes.

A kernel is compiled once then instead of once for each of its configurations. `hold()` does it, or `pytest -p untuned`.
`briefly(ms)` only shortens how long each configuration is measured: for times, where a run has no minutes for every row.
"""
import functools


def hold():
    """From here on, in this process."""
    from triton.runtime.autotuner import Autotuner

    if hasattr(Autotuner, "held"):
        return
    Autotuner.held = False
    choose, measure = Autotuner.prune_configs, Autotuner._bench
    # What a call takes: three quantiles, all the same. It is launched once, so that one which does not fit is seen.
    once = lambda call, **_: (call(), [0.0] * 3)[1]

    @functools.wraps(choose)
    def begin(self, kwargs):
        self.held = False
        # Nobody who shares a cache shall take it for the fastest.
        self.cache_results = False
        return choose(self, kwargs)

    @functools.wraps(measure)
    def first(self, *args, config, **meta):
        if self.held:
            return [float("inf")] * 3
        self.__dict__["do_bench"] = once
        times = measure(self, *args, config=config, **meta)
        self.held = times[0] < float("inf")
        return times

    Autotuner.prune_configs, Autotuner._bench = begin, first


def briefly(ms):
    """Triton measures each configuration for a tenth of a second; from here on in this process, for `ms`. All are tried as before."""
    from triton.runtime.autotuner import Autotuner
    from triton.testing import do_bench

    measure, timed = Autotuner._bench, functools.partial(do_bench, warmup=ms / 4, rep=ms)

    @functools.wraps(measure)
    def brief(self, *args, config, **meta):
        self.__dict__["do_bench"] = timed
        return measure(self, *args, config=config, **meta)

    Autotuner._bench = brief


def pytest_configure(config):
    hold()
