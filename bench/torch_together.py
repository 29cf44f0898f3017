"""What only a GPU shows of PyTorch packages, by one command in a given time: python3 bench/torch_together.py FOLDER --out tables

FOLDER holds `fla`, flash-linear-attention's source tree with its tests, and what `lmoec build --target torch` made: `images`, gla as it is
built without options; `ranks`, gated_delta and kda in bf16 and f32; `models`, what bench/torch_models.py wants, at head sizes 64 and 128;
`tests`, what bench/fla_tests.py wants. What is missing is said to be.

What is timed runs alone, first (ours) and last (beside FLA, whose kernels are compiled by then). Between them everything that is not timed
runs side by side, as many processes as there are cores, in the order of its value: values, graphs, streams, threads, images; ranks on one
device over gloo; FLA's models, trainings and tests; peak memory; tensors of more than 2^31 elements; compute-sanitizer. Every part has a
limit of its own, and what it had said by then counts: together.log has it all, together.json how each ended. Triton's cache and that of
NVRTC lie in FOLDER.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from table import ROOT, chosen, common_arguments, facts

#: Seconds that the first and the last parts may take together; the others have the rest.
FIRST, LAST = 40, 170
SHOWN = 12


@dataclass
class Part:
    """`cores`: processes that it keeps busy. `needs`: folders without which it has nothing to do. `peer`: FLA is on its path."""

    name: str
    command: list
    seconds: float
    needs: tuple = ()
    cores: int = 1
    peer: bool = False
    own: tuple = ()


def parts(folder, out):
    """By phase, in the order in which they begin."""
    python, bench, gpu = sys.executable, ROOT / "bench", ROOT / "test" / "gpu"
    image, ranks, models, tests, fla = folder / "images" / "gla", folder / "ranks", folder / "models", folder / "tests", folder / "fla"
    pair = (ranks / "gated_delta", ranks / "kda")
    runtime = lambda *rest: [python, gpu / "torch_runtime.py", *rest]
    launcher = [python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    over = lambda count: [*launcher, str(count), gpu / "torch_ranks.py", *pair]

    def train(model, kernels, *rest):
        return [python, bench / "torch_train.py", "--model", model, "--kernels", kernels, "--packages", models, *rest]

    trainings = [(model, kernels) for model in ("gla", "gated_deltanet") for kernels in ("lmoec", "fla")]
    to, until, both = [] if out is None else ["--out", out], ["--seconds", "{left}"], (models, fla)
    first = [Part("host", [python, bench / "host_torch.py", image, pair[0]], FIRST, (image, pair[0]))]
    beside = [
        Part("runtime/gla", runtime(image), 200, (image,)),
        Part("runtime/erases", runtime("--parts", "values,causal,graphs,streams,tensors", *pair), 220, pair),
        Part("ranks/2", over(2), 200, pair, 2),
        Part("models", [
            python, bench / "torch_models.py", "--packages", models, *until, "--row-seconds", "{left}", *to
        ], 600, both, 4, True),
        *(Part(f"training/{model},{kernels}", train(model, kernels, *until), 600, both, 1, True) for model, kernels in trainings),
        Part("tests", [
            python, bench / "fla_tests.py", fla, "--packages", tests, *until, "--row-seconds", "150", "--jobs", "6", *to
        ], 600, (tests, fla), 5, True),
        Part("ranks/4", over(4), 200, pair, 3),
        *(Part(f"memory/{scan}", [python, bench / "torch_memory.py", scan, "--packages", models], 200, both, 1, True)
          for scan in ("gla", "kda", "simple_gla", "gated_delta")),
        Part("compiled", runtime("--parts", "compiled", image, pair[0]), 200, (image, pair[0])),
        Part("sharded", runtime("--parts", "sharded", image), 100, (image,)),
        Part("fsdp", [
            "env", f"PYTHONPATH={pair[0]}", *launcher, "1", ROOT / "examples" / "torch" / "train.py", "--steps", "60", "--text", ROOT / "docs",
            "--checkpoints", folder / "saved"
        ], 120, (pair[0],)),
        Part("large", runtime("--parts", "large", image), 150, (image,)),
        Part("sanitizer", [*"compute-sanitizer --tool memcheck --error-exitcode 9".split(), *runtime("--parts", "values", image)], 240, (image,)),
    ]
    # One configuration is chosen anew by each, alone on the device; compiling them is done.
    speed = lambda model, kernels: train(model, kernels, "--steps", "80", "--seconds", "45")
    again = ("FLA_CACHE_RESULTS", "0")
    last = [Part(f"speed/{model},{kernels}", speed(model, kernels), 60, both, 1, True, again) for model, kernels in trainings]
    return first, beside, [*last, Part("host, FLA", [python, bench / "host_torch.py", image], 60, (image, fla), 1, True, again)]


class Runner:
    def __init__(self, folder, out):
        self.folder, self.out, self.ended = folder, out, {}
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            self.log = (out / "together.log").open("w")

    def begin(self, part, left):
        """The process and where its words go."""
        # Under one's own limit, so that a table is written.
        words = [str(word).replace("{left}", str(max(1, int(left) - 8))) for word in part.command]
        said = (self.folder / f"{part.name.replace('/', '.')}.txt").open("w+")
        own = dict([part.own]) if part.own else {}
        path = ":".join([*([str(self.folder / "fla")] if part.peer else []), *filter(None, [os.environ.get("PYTHONPATH")])])
        here = {
            "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", "TRITON_CACHE_DIR": str(self.folder / "triton"),
            "LMOEC_CACHE": str(self.folder / "nvrtc"), **own,
        }
        try:
            streams = {"stdout": said, "stderr": subprocess.STDOUT, "start_new_session": True}
            process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, **here}, **streams)
        except OSError as error:
            said.write(str(error))
            process = None
        return process, said

    def tell(self, part, how, seconds, said=None):
        lines = []
        if said is not None:
            said.seek(0)
            lines = said.read().splitlines()
            said.close()
        self.ended[part.name] = {"part": part.name, "ended": how, "seconds": round(seconds, 1), "said": lines[-SHOWN:]}
        shown = lines[-(SHOWN if how.startswith("FAILED") else 3) :]
        print(f"== {part.name}: {how}, {seconds:.0f} s", *(f"   {line[:240]}" for line in shown), sep="\n", flush=True)
        if self.out is not None:
            print(f"== {part.name}: {how}, {seconds:.0f} s", *lines, sep="\n", file=self.log, flush=True)
            (self.out / "together.json").write_text(json.dumps({"where": facts_once(), "parts": list(self.ended.values())}, indent=1))

    def run(self, wanted, cores, end):
        """All that fits beside each other, until `end`."""
        waiting, running = [], []
        for part in wanted:
            absent = [path for path in part.needs if not path.exists()]
            if absent:
                self.tell(part, f"left out: there is no {', '.join(str(path.relative_to(self.folder)) for path in absent)}", 0)
            else:
                waiting.append(part)
        while waiting or running:
            now, busy = time.monotonic(), sum(part.cores for part, *_ in running)
            while waiting and now < end and (not running or busy + waiting[0].cores <= cores):
                part = waiting.pop(0)
                limit = min(end, now + part.seconds)
                running.append((part, *self.begin(part, limit - now), now, limit))
                busy += part.cores
            if now >= end:
                for part in waiting:
                    self.tell(part, "not begun in time", 0)
                waiting = []
            for entry in list(running):
                part, process, said, begun, limit = entry
                code = 127 if process is None else process.poll()
                if code is None and now < limit:
                    continue
                if code is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                running.remove(entry)
                self.tell(part, "cut" if code is None else "done" if code == 0 else f"FAILED with {code}", now - begun, said)
            time.sleep(0.05)


_facts = []


def facts_once():
    if not _facts:
        _facts.append(facts())
    return _facts[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common_arguments(parser, seconds=450, row_seconds=0)
    parser.add_argument("folder")
    parser.add_argument("--cores", type=int, default=(os.cpu_count() or 2) + 4, help="processes at a time (default: cores and 4)")
    options = parser.parse_args()
    begun = time.monotonic()
    folder, out = Path(options.folder).resolve(), None if options.out is None else Path(options.out).resolve()
    first, beside, last = parts(folder, out)
    names = {part.name for part in (*first, *beside, *last)}
    wanted = set(chosen(sorted(names), options.rows))
    if options.list:
        print("\n".join(part.name for part in (*first, *beside, *last) if part.name in wanted))
        return 0
    runner = Runner(folder, out)
    end = begun + options.seconds
    some = lambda phase: [part for part in phase if part.name in wanted]
    for part in some(first):
        runner.run([part], 1, min(end, time.monotonic() + FIRST))
    runner.run(some(beside), options.cores, end - (LAST if some(last) else 0))
    for part in some(last):
        runner.run([part], 1, end)
    bad = [name for name, part in runner.ended.items() if part["ended"].startswith("FAILED")]
    print(f"{len(runner.ended)} parts in {time.monotonic() - begun:.0f} s; failed: {', '.join(bad) or 'none'}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
