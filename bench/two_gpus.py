"""Two ranks of sequence parallelism and of sharded training over NCCL, in a given time: python3 bench/two_gpus.py --packages out --out tables

`out`: what `lmoec build examples/{gla,gated_delta,kda,rwkv7,mamba2}.lmoe --target torch --dtype bf16,f32 -o out` made; FLA on the path where its context parallelism is
to be timed. Without two devices the ranks use gloo, and without any the reference: the same checks, at times that mean nothing.

`values`: outputs, states and gradients of rows on two ranks against one. `ranks`: time and memory of a rank's tokens alone and as half of a row, FLA's beside it, and the
bytes that a piece gives per head: what a state and its map have, whatever the tokens; with --profile where a call's time goes. `training`: examples/torch/train.py on two ranks and on one that reads the same
batches; a checkpoint that two have written, read by one. NVLink multicast stays off.
"""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from table import ROOT, Clock, OutOfTime, Table, attempt, chosen, common_arguments, facts

SCANS = ("gla", "gated_delta", "kda", "rwkv7", "mamba2")
COLUMNS = {
    "values": {"passed": ["checks passed", ""], "failed": ["failed", ""]},
    "ranks": {
        "dtype": ["dtype", ""], "shared": ["ms a rank", ".2f"], "alone": ["its tokens alone", ".2f"], "alone_again": ["again", ".2f"], "over": ["ratio", ".2f"],
        "host": ["ms of the host", ".2f"], "alone_host": ["alone", ".2f"], "fla": ["FLA", ".2f"], "x_fla": ["ratio", ".2f"],
        "peak_GiB": ["peak GiB", ".2f"], "alone_peak_GiB": ["alone", ".2f"], "fla_peak_GiB": ["FLA's", ".2f"], "gathers": ["gathers", ""], "bytes": ["bytes a piece and head", ""],
        "expected": ["of states and maps", ""], "fla_missing": ["FLA not measured", ""],
    },
    "phases": {
        "ends": ["ends", ".3f"], "gather": ["gather", ".3f"], "forward": ["forward", ".3f"], "reverse_ends": ["reverse ends", ".3f"], "gather_back": ["gather", ".3f"],
        "backward": ["backward", ".3f"], "between": ["between", ".3f"], "kernels": ["kernels", ""],
    },
    "training": {
        "apart": ["losses at most apart", ".1e"], "first": ["first loss", ".4f"], "last": ["last", ".4f"], "speed_two": ["tokens/s, two ranks", ".0f"],
        "speed_one": ["one", ".0f"], "peak_two": ["MiB a device, two", ".0f"], "peak_one": ["one", ".0f"],
    },
}
TITLES = {
    "values": "Rows of tokens on two ranks against one process", "ranks": "One row of tokens on two ranks, forward and backward, 16 heads",
    "phases": "Where the time of a call goes, in ms on the device (a gather waits for the ranks that come later to it)",
    "training": "FSDP2 on two ranks beside one that reads the same batches",
}


def torchrun(ranks, script, *flags, seconds):
    """What a program on some ranks prints; they end with it."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), str(script), *map(str, flags)]
    quiet = {"NCCL_NVLS_ENABLE": "0", "TORCH_SYMM_MEM_DISABLE_MULTICAST": "1", "NVSHMEM_DISABLE_NVLS": "1", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **quiet}, start_new_session=True)
    try:
        said, _ = process.communicate(timeout=max(1, seconds))
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode != 0:
        telling = [line for line in said.splitlines() if re.search(r"Error|FAILED|failed", line)] or said.splitlines()[-1:]
        raise RuntimeError(telling[0] if telling else f"ended with {process.returncode}")
    return said


class Pair:
    def __init__(self, options, clock):
        self.options, self.clock = options, clock
        self.backend = "nccl" if torch.cuda.device_count() >= 2 else "gloo"

    def ranks(self, *flags):
        return torchrun(2, ROOT / "test/gpu/torch_ranks.py", "--backend", self.backend, *flags, seconds=self.clock.left())

    def folder(self, scan):
        path = Path(self.options.packages) / scan
        if not path.exists():
            raise FileNotFoundError(f"{self.options.packages} has no package {scan}")
        return path

    def values(self, scan):
        passed, failed = re.search(r"(\d+) passed, (\d+) failed on all ranks", self.ranks(self.folder(scan))).groups()
        return dict(passed=passed, failed=failed)

    def timed(self, table, where, scan):
        """The first dtype's row; others have rows of their own, and programs one for each rank."""
        with tempfile.TemporaryDirectory() as folder:
            result, late = Path(folder) / "timed.json", None
            flags = ["--profile"] if self.options.profile else []
            try:
                self.ranks("--no-values", "--fla", *flags, "--tokens", self.options.tokens, "--json", result, self.folder(scan))
            except (OutOfTime, RuntimeError) as error:
                # What was measured before stands.
                if not result.exists():
                    raise
                late = str(error)
            rows = json.loads(result.read_text())
        if late is not None:
            rows[-1].setdefault("fla_missing", late)
        for row in rows:
            row["over"] = row["shared"] / row["alone"]
            if "fla" in row:
                row["x_fla"] = row["fla"] / row["shared"]
            for key in ("gathers", "bytes", "expected"):
                row[key] = " + ".join(f"{x:.0f}" for x in row[key])
            if "phases" in row:
                self.phases(where, f"{scan} {row['dtype']}", row)
        first, *others = rows
        for row in others:
            table.add(f"{scan} {row['dtype']}", **row)
        return first

    def phases(self, table, name, row):
        told = [(f"rank {rank}", *both) for rank, both in enumerate(zip(row.pop("phases"), row.pop("kernels")))]
        for who, parts, kernels in [*told, ("alone", row.pop("alone_phases"), row.pop("alone_kernels"))]:
            found = {}
            for part, ms in parts:
                key = "gather_back" if part == "gather" and "forward" in found else part
                found[key] = found.get(key, 0.0) + ms
            table.add(f"{name}, {who}", **found, kernels=", ".join(f"{kernel} {count} x {ms / count:.3f}" if count else kernel for kernel, count, ms in kernels))

    def train(self, ranks, *flags):
        os.environ["PYTHONPATH"] = os.pathsep.join([str(self.folder("gated_delta")), *filter(None, [os.environ.get("PYTHONPATH")])])
        sizes = [word for flag in self.options.train for word in flag.split("=")]
        said = torchrun(ranks, ROOT / "examples/torch/train.py", "--shares", 2, *sizes, *flags, seconds=self.clock.left())
        losses = {int(step): float(loss) for step, loss in re.findall(r"^step (\d+) loss (\S+)$", said, re.M)}
        speed = re.search(r"^(\d+) tokens a second(?:, at most (\d+) MiB)?", said, re.M)
        return losses, *(None if speed is None or x is None else float(x) for x in (speed.groups() if speed else (None, None)))

    def together(self):
        steps = self.options.steps
        two, speed_two, peak_two = self.train(2, "--steps", steps)
        one, speed_one, peak_one = self.train(1, "--steps", steps)
        return dict(
            apart=max(abs(two[step] - one[step]) for step in one), first=two[1], last=two[steps], speed_two=speed_two, speed_one=speed_one, peak_two=peak_two, peak_one=peak_one)

    def handed_over(self):
        """Two ranks go on without a break; one goes on from what two have written."""
        with tempfile.TemporaryDirectory() as folder:
            at, half = Path(folder) / "checkpoints", self.options.steps // 2
            self.train(2, "--steps", half, "--every", half, "--checkpoints", at)
            whole, *_ = self.train(2, "--steps", half + 4)
            rest, *_ = self.train(1, "--steps", half + 4, "--checkpoints", at)
            if sorted(rest) != list(range(half + 1, half + 5)):
                raise RuntimeError(f"one rank went on with the steps {sorted(rest)}, not from step {half}")
            return dict(apart=max(abs(whole[step] - rest[step]) for step in rest), first=whole[half + 1], last=rest[half + 4])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common_arguments(parser, seconds=540, row_seconds=180)
    parser.add_argument("--packages", help="folder of lmoec build --target torch")
    parser.add_argument("--tokens", type=int, default=65536, help="of a rank, in what is timed (default: 65536)")
    parser.add_argument("--profile", action="store_true", help="with `ranks`: the programs, exchanges and kernels of a call, as table `phases`")
    parser.add_argument("--steps", type=int, default=60, help="of training (default: 60)")
    parser.add_argument("--train", nargs="*", default=[], help="flags for examples/torch/train.py without their dashes in front: width=512 layers=6")
    options = parser.parse_args()
    options.train = [f"--{flag}" for flag in options.train]
    clock = Clock(options.seconds, options.row_seconds)
    pair = Pair(options, clock)
    rows = {f"ranks/{scan}": (lambda scan=scan: pair.timed(tables["ranks"], tables["phases"], scan)) for scan in SCANS}
    rows |= {"training/two ranks and one": pair.together, "training/from two to one": pair.handed_over}
    rows |= {f"values/{scan}": (lambda scan=scan: pair.values(scan)) for scan in SCANS}
    todo = chosen(rows, options.rows)
    if options.list:
        print("\n".join(todo))
        return
    if options.packages is None:
        parser.error("--packages names a folder of lmoec build --target torch")
    where = facts() | {"ranks": f"2, {pair.backend}"}
    tables = {name: Table(name, TITLES[name], COLUMNS[name], options.out, where) for name in COLUMNS}
    for key in todo:
        table, name = tables[key.split("/")[0]], key.split("/", 1)[1]
        if not table.done(name):
            attempt(table, clock, name, rows[key])
    failed = [key for key in todo if not tables[key.split("/")[0]].done(key.split("/", 1)[1])]
    wrong = [row["row"] for row in tables["values"].rows.values() if row.get("failed", "0") != "0"]
    sys.exit(f"without a result: {', '.join(failed)}; wrong: {', '.join(wrong) or 'none'}" if failed or wrong else 0)


if __name__ == "__main__":
    main()
