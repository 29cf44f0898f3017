"""flash-linear-attention's own tests with our functions in the place of its own, in a given time: python3 bench/fla_tests.py FLA --packages out --out tables

FLA: its source tree, with `tests/`; its Python and triton must be on the path. `out`: what `lmoec build ... --target torch -o out` made of what
examples/torch/fla/README.md names. A row is a test file and a kind of functions, since FLA's tests judge some of its functions by others; a process of its own, with a
limit of its own: what it had come to by then counts. The files are those that call one of our functions by name.

A failure whose words say that a size or dtype was not built counts as that. JSON has every test that did not pass, with its reason.
"""
import argparse
import json
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from table import ROOT, Table, at_once, chosen, common_arguments, facts

ADAPTERS = ROOT / "examples" / "torch" / "fla"
KINDS = ("chunk", "fused_recurrent")
COLUMNS = {
    "tests": ["tests", ""], "passed": ["passed", ""], "failed": ["failed", ""], "unbuilt": ["not built", ""], "skipped": ["skipped", ""], "rest": ["not reached", ""],
    "reasons": ["reasons", ""],
}
#: They call functions of ours beside operators, back ends and kernels of FLA that nobody replaces: left out unless --files names them.
OTHERS = {"test_dplr_tilelang", "test_gdn_kernels", "test_gdp", "test_intracard_cache", "test_mesa"}
UNBUILT = re.compile(r"was built for|there is no plan|is missing: build")
SHOWN = 4


def rows_of(tree):
    """Rows by name: kind and file, where the file has one of our functions."""
    sys.path.insert(0, str(ADAPTERS))
    from lmoec_fla.install import HOMES

    found = {}
    for kind in KINDS:
        names = re.compile(rf"\b({'|'.join(name for name in HOMES if name.startswith(kind))})\b")
        for path in sorted((tree / "tests" / "ops").glob("test_*.py")):
            if names.search(path.read_text()):
                found[f"{kind}/{path.stem}"] = (kind, path)
    return found


def command(kind, path, options, report):
    wanted = kind if options.select is None else f"{kind} and ({options.select})"
    return [
        sys.executable, "-m", "pytest", "-q", "-p", "lmoec_fla.plugin", "-p", "no:cacheprovider", "-p", "no:warnings", "--lmoec-only", kind, "--lmoec-report", str(report),
        *(["-p", "untuned"] if options.untuned else []), *([] if options.packages is None else ["--lmoec-packages", str(Path(options.packages).resolve())]), "-k", wanted, str(path),
    ]


def outcome(test):
    if test["outcome"] == "failed" and UNBUILT.search(test["why"]):
        return "unbuilt"
    return test["outcome"]


def told(report):
    """A row from what a process wrote, as far as it came."""
    lines = [json.loads(line) for line in report.read_text().splitlines() if line.endswith("}")] if report.exists() else []
    tests = {line["test"]: line for line in lines if "test" in line}
    counts = Counter(map(outcome, tests.values()))
    reasons = Counter(f"{outcome(test)}: {test['why']}"[:160].replace("|", "/") for test in tests.values() if test["outcome"] != "passed")
    total = next((line["tests"] for line in lines if "tests" in line), None)
    if total is None:
        return {}
    most = [f"{why} ({count})" for why, count in reasons.most_common(SHOWN)]
    more = [] if len(reasons) <= SHOWN else [f"{len(reasons) - SHOWN} more in the JSON"]
    return {
        "tests": total, **{key: counts[key] for key in ("passed", "failed", "unbuilt", "skipped")}, "rest": total - len(tests), "reasons": "; ".join([*most, *more]),
        "others": {name: {"outcome": outcome(test), "why": test["why"]} for name, test in tests.items() if test["outcome"] != "passed"},
    }


#: What pytest says by its exit code beside what its tests do: nothing was chosen, or some failed.
EXPECTED = ("ended with 1", "ended with 5")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common_arguments(parser, seconds=570, row_seconds=280)
    parser.add_argument("tree", help="FLA's source tree")
    parser.add_argument("--packages", help="folder of lmoec build --target torch")
    parser.add_argument("--files", default="", help="test files, with commas between: test_gla.py,test_kda.py; those of our functions' operators if not given")
    parser.add_argument("--select", help="of the tests, those that pytest -k finds by this")
    parser.add_argument("--untuned", action="store_true", help="FLA's kernels take the first of their configurations that runs, and are compiled for that one alone")
    parser.add_argument("--jobs", type=int, default=4, help="files at a time on the device (default: 4)")
    options = parser.parse_args()
    tree = Path(options.tree).resolve()
    rows = rows_of(tree)
    if not rows:
        sys.exit(f"no test under {tree / 'tests' / 'ops'} calls a function of ours: name the folder that has FLA's tests")
    files = {name.removesuffix(".py") for name in options.files.split(",") if name}
    strangers = files - {path.stem for _, path in rows.values()}
    if strangers:
        sys.exit(f"{', '.join(sorted(strangers))}: no such test file calls a function of ours; there are {', '.join(sorted({path.name for _, path in rows.values()}))}")
    wanted = lambda stem: stem in files if files else stem not in OTHERS
    names = chosen([f"fla_tests/{name}" for name, (_, path) in rows.items() if wanted(path.stem)], options.rows)
    if options.list:
        print("\n".join(names))
        return
    table = Table("fla_tests", "Tests of flash-linear-attention with our functions", COLUMNS, options.out, facts())
    names = [name for name in (full.split("/", 1)[1] for full in names) if not table.done(name)]
    environment = {"PYTHONPATH": ":".join([str(tree), str(ADAPTERS), *sys.path])}
    with tempfile.TemporaryDirectory() as folder:
        report = {name: Path(folder) / f"{name.replace('/', '.')}.jsonl" for name in names}
        commands = [command(*rows[name], options, report[name]) for name in names]
        ends = at_once(commands, options.jobs, options.seconds, environment, options.row_seconds, tree)
        for name, end in zip(names, ends):
            made = told(report[name])
            unexpected = None if made and (end is None or end in EXPECTED) else end
            table.add(name, **made, **({} if unexpected is None else {"why": unexpected}))
    total = Counter()
    for row in table.rows.values():
        total.update({key: row.get(key) or 0 for key in ("tests", "passed", "failed", "unbuilt", "skipped", "rest")})
    print("fla_tests: " + ", ".join(f"{count} {COLUMNS[key][0]}" for key, count in total.items()), flush=True)


if __name__ == "__main__":
    main()
