"""Our kernels beside the peers' hand-written ones, in one run on one GPU: times, ratios, and the error of both, by table (`--list` names all rows).

    node dist/src/cli/main.js build examples/*.lmoe -o bench-out --target cuda.sm90 --size K=128,V=128,N=128,P=64,D=2048
    node dist/src/cli/main.js build bench/written.lmoe -o written-out --target cuda.sm90
    PYTHONPATH=/path/to/flash-linear-attention:/path/to/mamba python3 bench/compare.py --plans bench-out --written written-out --rows '^peers/|^decode/' --seconds 500

Times: median of triton's do_bench, bf16, no initial state; a ratio is the peer's time over ours. Errors: rms(difference)/rms(reference) against the token-by-token
recurrence in float64, on the same rounded inputs at T=512; "gradient" is the worst of any input. Forward and backward
together keep what the plan says is worth it (`kept`, `--no-keep`); memory is the peak of one such call, results and gradients among it. Inputs that an example shares per group have a head each, but
in `heads`. Peers' first calls compile for minutes: that is done in parallel processes first, which share TRITON_CACHE_DIR with this one but not what their
autotuners found: those choose again, alone on the GPU. A run ends in `--seconds` with the rows it has; with `--out`, another goes on where it ended.
"""
import argparse
import math
import os
import sys
import tempfile

import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import untuned
import written
from measure import CASES, DEVICE, Launched, bench, differentiated, errors, find_plan, groups_of, peak, peer_calls, step_calls, step_row
from rivals import fla_kda, flash_infer, flash_kda, flash_qla
from rows import TITLES, Shape, rows
from table import Clock, OutOfTime, Table, at_once, attempt, brief, chosen, common_arguments, facts

ERRORS = {"out": ["error", ".1e"], "peer_out": ["peer", ".1e"], "grad": ["gradient's", ".1e"], "peer_grad": ["peer", ".1e"], "worst": ["of", ""]}


def beside(*names):
    """Columns of forward and of backward together with it, ours first."""
    made = {"forward": ["forward", ".3f"]}
    for key, heading in names:
        made |= {f"{key}_forward": [heading, ".3f"], f"x_{key}_forward": ["ratio", ".2f"]}
    made |= {"backward": ["backward", ".3f"], "both": ["forward + backward", ".3f"]}
    for key, heading in names:
        made |= {f"{key}_both": [heading, ".3f"], f"x_{key}_both": ["ratio", ".2f"]}
    made |= {"kept": ["kept, MiB", ".0f"], "memory": ["MiB", ".0f"], "peer_memory": ["peer", ".0f"]}
    return made | ERRORS | {"missing": ["not measured", ""]}


COLUMNS = {
    **{name: beside(("peer", "peer")) for name in ("peers", "wide", "packed")},
    "heads": beside(("peer", "FLA"), ("flash_qla", "FlashQLA"), ("flash_infer", "FlashInfer")),
    "kda": beside(("flash_kda", "FlashKDA"), ("fla_kda", "FLA"), ("given", "ours, given")),
    "written": {
        "forward": ["forward", ".3f"], "given_forward": ["given", ".3f"], "over_forward": ["over", ".2f"], "backward": ["backward", ".3f"],
        "given_backward": ["given", ".3f"], "over_backward": ["over", ".2f"], "out": ["error", ".1e"], "grad": ["gradient's", ".1e"], "worst": ["of", ""],
    },
    "decode": {
        "called": ["called", ".4f"], "peer_called": ["peer", ".4f"], "x_called": ["ratio", ".2f"], "graph": ["graph", ".4f"], "peer_graph": ["peer", ".4f"],
        "x_graph": ["ratio", ".2f"], "out": ["error", ".1e"], "peer_out": ["peer", ".1e"], "missing": ["not measured", ""],
    },
}


class Bench:
    def __init__(self, options, clock):
        self.options, self.clock, self._errors = options, clock, {}

    def rival(self, made, key, run, together=True):
        """Times of somebody else's kernels; or a word on why there are none."""
        try:
            forward, both = run()
            made[f"{key}_forward"] = bench(forward)
            if together and both is not None:
                made[f"{key}_both"] = bench(both)
                made[f"{key}_memory"] = peak(both)
        except Exception as error:
            made["missing"] = "; ".join([*filter(None, [made.get("missing")]), f"{key}: {brief(error)}"])
        if DEVICE == "cuda":
            torch.cuda.empty_cache()

    def ours(self, made, plan, inputs, shape, heads, groups):
        launched = Launched(plan, inputs, shape, heads, groups, keep=not self.options.no_keep)
        made.update(launched.times(), memory=launched.memory())
        if self.options.by_kernel:
            made["kernels"] = launched.by_kernel(plan)

    def ratios(self, made):
        for key in [key for key in made if key.endswith(("_forward", "_both"))]:
            rival, what = key.rsplit("_", 1)
            if made.get(what):
                made[f"x_{key}"] = made[key] / made[what]
        return made

    def errors_of(self, row, case, plan):
        """Those of a kind of row are measured once: at few tokens and heads."""
        if self.options.no_errors:
            return {}
        keys = None if row.shape.keys is None else 1
        shape = Shape((512,) if row.shape.equal else (301, 64, 0, 147), 2, row.shape.D, keys).cut(self.options.most)
        key = (case.name, shape)
        if key not in self._errors:
            try:
                self._errors[key] = errors(case, plan, shape, not self.options.no_peers)
            except Exception as error:
                if self.options.no_peers:
                    raise
                self._errors[key] = {**errors(case, plan, shape, False), "missing": f"the peer's errors: {brief(error)}"}
        return self._errors[key]

    def forward_row(self, row):
        case, shape, made = CASES[row.case], row.shape.cut(self.options.most), {}
        plan = find_plan(self.options.plans, case.name, case.sizes(shape.D))
        if not self.options.no_peers:
            self.rival(made, "peer", lambda: peer_calls(case, shape))
            if row.table == "heads":
                torch.manual_seed(0)
                inputs, offsets = shape.draw(case), shape.offsets(DEVICE)
                self.rival(made, "flash_qla", lambda: differentiated(flash_qla(inputs, offsets), inputs))
                self.rival(made, "flash_infer", lambda: (flash_infer(inputs, offsets), None))
                del inputs
        if plan is not None:
            torch.manual_seed(0)
            self.ours(made, plan, shape.draw(case), shape, case.heads_of(shape.heads), groups_of(case, shape))
        if not any(key.endswith("forward") for key in made):
            raise RuntimeError(made.get("missing", "neither --plans nor peers: there is nothing to measure"))
        found = self.errors_of(row, case, plan)
        missing = "; ".join(filter(None, [made.get("missing"), found.get("missing")]))
        return self.ratios({**made, **found, **({"missing": missing} if missing else {})})

    def kda_row(self, row):
        shape, made = row.shape.cut(self.options.most), {}
        make, given_of, _ = written.PAIRS["kda"]
        torch.manual_seed(0)
        inputs, offsets = make((*shape.lead, shape.heads, shape.D)), shape.offsets(DEVICE)
        if not self.options.no_peers:
            with torch.no_grad():
                self.rival(made, "flash_kda", lambda: (flash_kda(inputs, offsets), None))
            self.rival(made, "fla_kda", lambda: differentiated(fla_kda(inputs, offsets), inputs))
        plan = find_plan(self.options.written, "kda_written", dict(K=shape.D, V=shape.D))
        if plan is not None:
            self.ours(made, plan, inputs, shape, shape.heads, None)
            with torch.no_grad():
                given = given_of({n: x.float() for n, x in inputs.items()})
            launched = Launched(find_plan(self.options.written, "kda", dict(K=shape.D, V=shape.D)), given, shape, shape.heads, keep=not self.options.no_keep)
            times = launched.times()
            made.update(given_forward=times["forward"], given_both=times["both"])
            if not self.options.no_errors:
                made.update(self._written_errors("kda", plan))
        return self.ratios(made)

    def _written_errors(self, name, plan):
        if name not in self._errors:
            self._errors[name] = written.errors(name, plan, min(512, self.options.most))
        return self._errors[name]

    def written_row(self, row):
        shape = row.shape.cut(self.options.most)
        made = written.times(self.options.written, row.case, shape, self.options.by_kernel)
        if not self.options.no_errors:
            made |= self._written_errors(row.case, written.plan_of(self.options.written, f"{row.case}_written"))
        return made

    def step_row(self, row):
        case = CASES[row.case]
        plan = find_plan(self.options.plans, case.name, case.sizes(row.shape.D))
        given = (case, plan, len(row.shape.lengths), row.shape.heads, row.shape.D)
        try:
            return step_row(*given, not self.options.no_peers)
        except Exception as error:
            if self.options.no_peers or plan is None:
                raise
            return {**step_row(*given, False), "missing": brief(error)}

    def measure(self, row):
        kinds = {"kda": self.kda_row, "written": self.written_row, "decode": self.step_row}
        return kinds.get(row.table, self.forward_row)(row)


def warm(bench_, row):
    """Runs the peers of a row once, so that what they compile is in the cache."""
    shape, options = row.shape.cut(bench_.options.most), bench_.options
    if row.table == "kda":
        inputs = written.PAIRS["kda"][0]((*shape.lead, shape.heads, shape.D))
        differentiated(fla_kda(inputs, shape.offsets(DEVICE)), inputs)[1]()
        return
    case = CASES[row.case]
    if row.step:
        _, peer, _ = step_calls(case, None, len(shape.lengths), shape.heads, shape.D, True)
        peer[1]()
        return
    peer_calls(case, shape)[1]()
    if not options.no_errors:
        bench_.errors_of(row, case, None)


def kind_of(row):
    """Peers compile once for all rows of a kind."""
    return row.table if row.table == "kda" else row.case, row.step, row.shape.heads, row.shape.keys, row.shape.D, row.shape.equal


def warm_all(todo, options, clock):
    kinds = {kind_of(row): row for row in todo if row.table != "written"}
    flags = ["--most", str(options.most)] + (["--no-errors"] if options.no_errors else []) + (["--tune-ms", "1"] if options.tune_ms else [])
    commands = [[sys.executable, os.path.abspath(__file__), "--warm", row.key, *flags] for row in kinds.values()]
    # What autotuners find beside other processes is no good.
    forgetful = dict(TRITON_CACHE_AUTOTUNING="0", FLA_CACHE_RESULTS="0")
    for row, wrong in zip(kinds.values(), at_once(commands, options.jobs, min(options.warm_seconds, clock.left()), forgetful)):
        if wrong is not None:
            print(f"{row.key}: peers are not ready: {wrong}", file=sys.stderr)


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else float("nan")


def arguments(given=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common_arguments(parser, seconds=540, row_seconds=90)
    parser.add_argument("--plans", help="folder of lmoec build, of the examples")
    parser.add_argument("--written", help="folder of lmoec build, of bench/written.lmoe; rows that need it fail without")
    parser.add_argument("--most", type=int, default=1 << 20, help="cuts sequences to so many tokens, to try a row out")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-errors", action="store_true")
    parser.add_argument("--no-keep", action="store_true", help="backward makes everything again: plain programs, as without `forward_kept`")
    parser.add_argument("--by-kernel", action="store_true", help="times every kernel of ours, too: to the JSON of --out, and printed")
    parser.add_argument("--no-warm", action="store_true", help="the peers are compiled already: time each at once")
    parser.add_argument("--tune-ms", type=float, help="how long peers' tuners measure each configuration (Triton's default: 100)")
    parser.add_argument("--warm-seconds", type=float, default=240, help="most that compiling the peers may take (default: 240)")
    parser.add_argument("--jobs", type=int, default=min(12, os.cpu_count() or 1), help="processes that compile peers at once")
    parser.add_argument("--warm", help=argparse.SUPPRESS)
    return parser.parse_args(given)


def main():
    options = arguments()
    clock = Clock(options.seconds, options.row_seconds)
    by_key = {row.key: row for row in rows()}
    bench_ = Bench(options, clock)
    if options.tune_ms and not options.no_peers:
        untuned.briefly(options.tune_ms)
    if options.warm:
        warm(bench_, by_key[options.warm])
        return
    todo = [by_key[key] for key in chosen(by_key, options.rows)]
    if options.list:
        print("\n".join(row.key for row in todo))
        return
    where = facts()
    tables = {name: Table(name, TITLES[name], COLUMNS[name], options.out, where) for name in dict.fromkeys(row.table for row in todo)}
    todo = [row for row in todo if not tables[row.table].done(row.name)]
    print(", ".join(f"{key} {value}" for key, value in where.items()), flush=True)
    with tempfile.TemporaryDirectory() as cache:
        os.environ.setdefault("TRITON_CACHE_DIR", cache)
        if not options.no_peers and not options.no_warm:
            warm_all(todo, options, clock)
        for row in todo:
            if clock.left() <= 0:
                print(f"{row.key}: no time was left", flush=True)
                continue
            attempt(tables[row.table], clock, row.name, lambda: bench_.measure(row))
            for program, kernels in tables[row.table].rows[row.name].get("kernels", {}).items():
                print(f"    {program:8} " + "  ".join(f"{name} {ms:.4f}" for name, ms in kernels.items()), flush=True)
            if DEVICE == "cuda":
                torch.cuda.empty_cache()
    for name, table in tables.items():
        for key, (heading, _) in table.columns.items():
            values = [row[key] for row in table.rows.values() if key.startswith("x_") and isinstance(row.get(key), float) and row["row"] != "hgrn"]
            if values:
                print(f"{name}: geometric mean of {key.removeprefix('x_')} over {len(values)} rows{' without hgrn' if 'hgrn' in table.rows else ''}: {geometric_mean(values):.2f}")


if __name__ == "__main__":
    main()
