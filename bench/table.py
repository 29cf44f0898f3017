"""What benches share: rows that end in time, processes beside each other with limits, and tables in JSON and Markdown with date, commit and device."""
import contextlib
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class OutOfTime(BaseException):
    """A row took longer than it may. Not an `Exception`: what catches a peer's faults must not catch this."""


class Clock:
    """The time of a whole run, and of each of its rows."""

    def __init__(self, seconds, row_seconds):
        self.end, self.row_seconds = time.monotonic() + seconds, row_seconds

    def left(self):
        return self.end - time.monotonic()

    @contextlib.contextmanager
    def row(self):
        """Raises OutOfTime in the main thread when the row, or the run, has had its time."""
        seconds = min(self.row_seconds, self.left())
        if seconds <= 0:
            raise OutOfTime("the run's time is over")

        def over(*_):
            raise OutOfTime(f"not done after {seconds:.0f} s")

        before = signal.signal(signal.SIGALRM, over)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def commit():
    """That of the working tree, where it has a history; LMOEC_COMMIT names that of a copy without one."""
    if "LMOEC_COMMIT" in os.environ:
        return os.environ["LMOEC_COMMIT"]
    done = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def facts():
    """Where and of what numbers are."""
    import torch

    made = {"date": datetime.date.today().isoformat(), "commit": commit(), "torch": torch.__version__}
    made["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    with contextlib.suppress(ImportError):
        import triton

        made["triton"] = triton.__version__
    return made


class Table:
    """Rows by key, written whenever one is added: a run that is cut leaves what it has. A later run keeps the rows of the same commit and device."""

    def __init__(self, name, title, columns, folder, where):
        """`columns`: key in a row -> [heading, format]. Values that are missing show as a dash."""
        self.name, self.title, self.columns, self.where = name, title, columns, where
        self.path = None if folder is None else Path(folder) / f"{name}.json"
        self.rows = {}
        if self.path is not None and self.path.exists():
            old = json.loads(self.path.read_text())
            if all(old["where"].get(key) == where[key] for key in ("commit", "device")):
                self.rows = {row["row"]: row for row in old["rows"]}

    def done(self, key):
        return key in self.rows and "why" not in self.rows[key]

    def add(self, key, **values):
        self.rows[key] = {"row": key, **values}
        print(self.line(self.rows[key]), flush=True)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._write(self.path, json.dumps({"name": self.name, "title": self.title, "where": self.where, "rows": list(self.rows.values())}, indent=1))
            self._write(self.path.with_suffix(".md"), self.markdown())

    def _write(self, path, text):
        """Whole or not at all: a run may be killed at any time."""
        beside = path.with_name(f"{path.name}.part")
        beside.write_text(text)
        os.replace(beside, path)

    def cells(self, row):
        def shown(value, form):
            if value is None:
                return "–"
            return value if isinstance(value, str) else format(value, form)

        return [row["row"], *(shown(row.get(key), form) for key, (_, form) in self.columns.items()), row.get("why", "")]

    def line(self, row):
        name, *cells, why = self.cells(row)
        headings = [heading for heading, _ in self.columns.values()]
        return f"{self.name}/{name}: " + (why if "why" in row else "  ".join(f"{h} {c}" for h, c in zip(headings, cells) if c != "–"))

    def markdown(self):
        headings = ["", *(heading for heading, _ in self.columns.values())]
        rows = [self.cells(row) for row in self.rows.values()]
        if any(cells[-1] for cells in rows):
            headings.append("why not")
        else:
            rows = [cells[:-1] for cells in rows]
        text = ", ".join(f"{key} {value}" if key != "device" else value for key, value in self.where.items())
        lines = [f"{self.title} ({text})", "", f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
        return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows)]) + "\n"


def attempt(table, clock, key, run):
    """Adds the row that `run` gives, or why there is none. Gives whether there was one."""
    try:
        with clock.row():
            values = run()
        table.add(key, **values)
        return True
    except OutOfTime as late:
        table.add(key, why=str(late))
    except Exception as error:
        table.add(key, why=brief(error))
    return False


def brief(error):
    """One line of an error, as a table takes it."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()] or [""]
    return f"{type(error).__name__}: {lines[0]}"[:200].replace("|", "/")


def at_once(commands, jobs, seconds, environment=None, each=None, folder=None, ended=lambda i, wrong: None):
    """Runs commands in a folder, a few at a time, all of them ended after `seconds`, `each` after so many of its own. By command what went wrong: None, or the last
    line it said. `ended` hears of each as soon as it has."""
    end, waiting, running, results = time.monotonic() + seconds, list(enumerate(commands)), {}, [None] * len(commands)
    while waiting or running:
        while waiting and len(running) < jobs and time.monotonic() < end:
            i, command = waiting.pop(0)
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}, start_new_session=True, cwd=folder)
            running[i] = process, time.monotonic()
        if time.monotonic() >= end:
            for i, _ in waiting:
                results[i] = "not begun in time"
                ended(i, results[i])
            waiting.clear()
        for i, (process, begun) in list(running.items()):
            own = end if each is None else min(end, begun + each)
            try:
                _, said = process.communicate(timeout=0.05)
            except subprocess.TimeoutExpired:
                if time.monotonic() < own:
                    continue
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                results[i] = f"not done after {own - begun:.0f} s"
            else:
                if process.returncode != 0:
                    results[i] = (said.strip().splitlines() or [f"ended with {process.returncode}"])[-1][:200]
            del running[i]
            ended(i, results[i])
    return results


def common_arguments(parser, seconds, row_seconds):
    parser.add_argument("--rows", default="", help="a regular expression: rows whose TABLE/ROW it finds")
    parser.add_argument("--seconds", type=float, default=seconds, help=f"ends in this time, with the rows that are done (default: {seconds})")
    parser.add_argument("--row-seconds", type=float, default=row_seconds, help=f"most that one row may take (default: {row_seconds})")
    parser.add_argument("--out", help="a folder for TABLE.json and TABLE.md; a later run of the same commit leaves out the rows that are there")
    parser.add_argument("--list", action="store_true", help="names the rows and ends")


def chosen(names, pattern):
    found = [name for name in names if re.search(pattern, name)]
    if not found:
        sys.exit(f"no row matches {pattern!r}: --list names them all")
    return found
