"""Compiles the kernels that `lmoec build --sources` left as text: python3 bench/images.py FOLDER [--jobs N] [--seconds S]

Every `.cu` of a build below FOLDER that has no `.cubin` beside it, for the architecture that its name ends with (`gla.bf16.sm90a.cu`), with the `nvcc` on the path. Says
what failed, with nvcc's last line, and how long it took. Ends with 1 if anything failed or was not begun in time."""
import argparse
import os
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from table import at_once


ARCHITECTURE = re.compile(r"\.sm(\d+a?)(\.\d+)?\.cu$")


def waiting(folder):
    """Sources without images, the largest first: they take longest. What a Python package has for Node beside it is left out."""
    found = [
        path for path in Path(folder).rglob("*.cu")
        if ARCHITECTURE.search(path.name) and not path.with_suffix(".cubin").exists() and not (path.parents[1] / "pyproject.toml").exists()
    ]
    return sorted(found, key=lambda path: -path.stat().st_size)


def command(nvcc, source):
    architecture = ARCHITECTURE.search(source.name)[1]
    return [nvcc, "-cubin", f"-arch=sm_{architecture}", "-std=c++17", "-o", str(source.with_suffix(".cubin")), str(source)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="compilations at a time (default: cores)")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--nvcc", default="nvcc")
    options = parser.parse_args()
    sources = waiting(options.folder)
    begin = time.monotonic()
    wrong = at_once([command(options.nvcc, source) for source in sources], options.jobs, options.seconds)
    failed = [(source, why) for source, why in zip(sources, wrong) if why is not None]
    for source, why in failed:
        print(f"{source}: {why}")
    print(f"{len(sources) - len(failed)} compiled, {len(failed)} failed, {time.monotonic() - begin:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
