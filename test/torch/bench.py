"""What benches do without a device (bench.test.ts): limits, tables, the drawing of inputs, plans, and peers that are stand-ins."""
import contextlib
import io
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from stub import fake, record  # noqa: E402  (the first: it makes the runtime believe in a device)
import torch

FOLDER = Path(sys.argv[1])
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import host_torch
import lmoec_plan
import measure
import peers
import rows
import table
import torch_models
import torch_together
import written

fake.install(lmoec_plan.runtime()._host)

# A peer that does what it should, in float32, by the recurrence.
PEER = """
import sys
sys.path.insert(0, {bench!r})
import torch
from peers import recurrence

def chunk_{name}(q, k, v, g, beta=None, cu_seqlens=None):
    ends = [0, q.shape[1]] if cu_seqlens is None else cu_seqlens.tolist()
    wide = [None if x is None else x.float().repeat_interleave(v.shape[2] // x.shape[2], 2) for x in (q, k, v, g, beta)]
    parts = [recurrence(*(None if x is None else x[:, a:b] for x in wide), scale=q.shape[-1] ** -0.5) for a, b in zip(ends, ends[1:]) if b > a]
    return torch.cat(parts, 1).to(v.dtype), None

def fused_recurrent_{name}(q, k, v, g, beta=None, initial_state=None, output_final_state=True):
    S = torch.zeros(*k.shape[:1], *k.shape[2:], v.shape[-1]) if initial_state is None else initial_state
    q, k, v, g = (x.float()[:, 0] for x in (q, k, v, g))
    S = g.exp().view(*g.shape, *(1 for _ in range(4 - g.dim()))) * S
    value = v if beta is None else beta[:, 0, :, None].float() * (v - torch.einsum("bhk,bhkv->bhv", k, S))
    S = S + k.unsqueeze(-1) * value.unsqueeze(-2)
    return (q.shape[-1] ** -0.5 * torch.einsum("bhk,bhkv->bhv", q, S)).unsqueeze(1), S
"""


def stand_ins(folder):
    for name in ("gla", "gated_delta_rule"):
        at = Path(folder) / "fla/ops" / name
        at.mkdir(parents=True)
        (at / "__init__.py").write_text(PEER.format(bench=str(ROOT / "bench"), name=name))
    # Packages of their own, which hide one that is installed.
    for at in ("fla", "fla/ops"):
        (Path(folder) / at / "__init__.py").write_text("")


class Limits(unittest.TestCase):
    def test_a_row_that_does_not_end(self):
        clock = table.Clock(60, 0.1)
        found = table.Table("t", "T", {"ms": ["ms", ".1f"]}, None, table.facts())
        begin = time.monotonic()
        self.assertFalse(table.attempt(found, clock, "slow", lambda: time.sleep(20)))
        self.assertLess(time.monotonic() - begin, 5)
        self.assertIn("not done", found.rows["slow"]["why"])
        self.assertTrue(table.attempt(found, clock, "fast", lambda: {"ms": 1.0}), "the limit of a row that was late is gone")

    def test_processes_end_in_time_and_say_what_went_wrong(self):
        say = lambda text: [sys.executable, "-c", text]
        begin = time.monotonic()
        heard = {}
        commands = [say("pass"), say("raise ValueError('no keys')"), say("import time; time.sleep(60)"), say("pass")]
        found = table.at_once(commands, 3, 3, ended=lambda i, wrong: heard.update({i: (wrong, time.monotonic() - begin)}))
        self.assertLess(time.monotonic() - begin, 20)
        self.assertEqual(found[:2], [None, "ValueError: no keys"])
        self.assertIn("not done", found[2])
        self.assertEqual([heard[i][0] for i in range(4)], found)
        self.assertEqual(max(heard, key=lambda i: heard[i][1]), 2, "the others were told of before the last had ended")

    def test_processes_have_limits_of_their_own(self):
        say = lambda text: [sys.executable, "-c", text]
        found = table.at_once([say("import time; time.sleep(600)"), say("import os; assert os.path.samefile('.', '/')")], 1, 300, each=5, folder="/")
        self.assertEqual(found, ["not done after 5 s", None])

    def test_tables_go_on_where_a_run_ended(self):
        with tempfile.TemporaryDirectory() as folder:
            columns, where = {"ms": ["forward", ".2f"], "x": ["ratio", ".1f"]}, {"date": "d", "commit": "c", "device": "H"}
            first = table.Table("t", "Title", columns, folder, where)
            first.add("a", ms=1.234, x=2.0)
            first.add("b", why="no time")
            text = (Path(folder) / "t.md").read_text()
            self.assertIn("Title (date d, commit c, H)", text)
            self.assertIn("| a | 1.23 | 2.0 |  |", text)
            self.assertIn("| b | – | – | no time |", text)
            again = table.Table("t", "Title", columns, folder, {**where, "date": "e"})
            self.assertEqual((again.done("a"), again.done("b")), (True, False))
            other = table.Table("t", "Title", columns, folder, {**where, "commit": "other"})
            self.assertFalse(other.done("a"))


class Models(unittest.TestCase):
    def test_a_row_says_what_its_processes_had_come_to(self):
        made = lambda more: {
            "logits": torch.ones(2, torch_models.TOKENS, 3) + more, "gradients": {"a": torch.ones(4) + more, "b": torch.zeros(2)}, "failed": [], "calls": {"gla": 3}}
        ours = {**made(0.01), "packed": made(0.01)["logits"], "decoded": torch.ones(2, 32, 3) * 1.5, "generated": torch.tensor([[1, 2, 3], [4, 5, 6]])}
        row = torch_models.row_of({"ours": ours, "exact": made(0)}, {"ours": None, "exact": None})
        self.assertAlmostEqual(row["ours"], 0.01, 4)
        self.assertAlmostEqual(row["ours_gradients"], 0.01, 4)
        self.assertEqual((row["packed"], row["decoded"], row["beyond"], row["failed"], row["calls"]), (0, 0.5, "decoded", "nothing", "gla 3"))
        self.assertNotIn("fla", row)
        fla = {**made(-0.02), "generated": torch.tensor([[1, 2, 0], [4, 5, 6]]), "failed": ["decoded: no"]}
        row = torch_models.row_of({"ours": ours, "exact": made(0), "fla": fla}, {"fla": "not done after 9 s"})
        self.assertAlmostEqual(row["apart"], 0.03 / 0.98, 3)
        self.assertEqual(row["beyond"], "decoded", "half of FLA's error is within")
        worse = torch_models.row_of({"ours": ours, "exact": made(0), "fla": {**fla, **made(0.005)}}, {})
        self.assertEqual(worse["beyond"], "ours, ours_gradients, decoded")
        self.assertEqual((row["generated"], row["failed"]), ("3 tokens a row, the first 2 as FLA's", "fla: decoded: no; fla: not done after 9 s"))
        self.assertIn("ours: the reason", torch_models.row_of({}, {"ours": "the reason"})["failed"])


class Together(unittest.TestCase):
    def run_some(self, folder, parts, seconds=60, cores=2):
        runner = torch_together.Runner(Path(folder), Path(folder) / "out")
        begin = time.monotonic()
        with contextlib.redirect_stdout(io.StringIO()):
            made = [torch_together.Part(name, [sys.executable, "-c", text], *rest) for name, text, *rest in parts]
            runner.run(made, cores, begin + seconds)
        made = json.loads((Path(folder) / "out/together.json").read_text())
        return {part["part"]: part for part in made["parts"]}, time.monotonic() - begin

    def test_parts_end_and_say_how(self):
        with tempfile.TemporaryDirectory() as folder:
            found, _ = self.run_some(folder, [
                ("fine", "print('a'); print('b')", 60), ("wrong", "raise ValueError('no keys')", 60),
                ("slow", "print('so far', flush=True); import time; time.sleep(600)", 10), ("absent", "", 5, (Path(folder) / "nothing",)),
            ])
            ends = [found[name]["ended"] for name in ("fine", "wrong", "slow", "absent")]
            self.assertEqual(ends, ["done", "FAILED with 1", "cut", "left out: there is no nothing"])
            said = found["fine"]["said"], found["wrong"]["said"][-1], found["slow"]["said"]
            self.assertEqual(said, (["a", "b"], "ValueError: no keys", ["so far"]))
            self.assertIn("== slow: cut, 10 s\nso far\n", (Path(folder) / "out/together.log").read_text())

    def test_what_has_not_begun_in_time(self):
        with tempfile.TemporaryDirectory() as folder:
            parts = [("first", "import time; time.sleep(600)", 300), ("second", "", 300)]
            found, took = self.run_some(folder, parts, seconds=4, cores=1)
            self.assertEqual((found["first"]["ended"], found["second"]["ended"]), ("cut", "not begun in time"))
            self.assertLess(took, 60)

    def test_every_part_can_begin(self):
        """Its program is there and takes the options that it is given."""
        with tempfile.TemporaryDirectory() as folder:
            for part in itertools.chain(*torch_together.parts(Path(folder), None)):
                script = next((Path(word) for word in part.command if str(word).endswith(".py")), None)
                self.assertTrue(script.exists(), part.name)
                words = part.command[part.command.index(script) + 1 :]
                options = [str(word) for word in words if str(word).startswith("--")]
                text = script.read_text() + (ROOT / "bench/table.py").read_text()
                self.assertEqual([option for option in options if f'{option.lstrip("-")}"' not in text], [], part.name)


class Rows(unittest.TestCase):
    def test_every_row_draws_its_inputs(self):
        for row in rows.rows():
            shape = row.shape.cut(3)
            shape = rows.Shape(shape.lengths[:2], 4, shape.D, None if shape.keys is None else 2)
            if row.table in ("written", "kda"):
                inputs = written.PAIRS[row.case][0]((*shape.lead, shape.heads, shape.D))
            else:
                inputs = shape.draw(measure.CASES[row.case])
            self.assertEqual(next(iter(inputs.values())).shape[:2], shape.lead, row.key)
            if row.table == "heads":
                self.assertEqual([inputs[name].shape[2] for name in ("q", "k", "v")], [2, 2, 4])

    def test_keys_are_unique(self):
        keys = [row.key for row in rows.rows()]
        self.assertEqual(len(keys), len(set(keys)))

    def test_a_packed_row_is_its_sequences(self):
        torch.manual_seed(0)
        case, shape = measure.CASES["gated_delta"], rows.Shape((5, 0, 3), 4, 8, 2)
        inputs = {n: x.double() for n, x in shape.draw(case).items()}
        whole = measure.reference(case, inputs, shape)
        alone = measure.reference(case, {n: x[:, 5:] for n, x in inputs.items()}, rows.Shape((3,), 4, 8, 2))
        torch.testing.assert_close(whole[:, 5:], alone)


class Plans(unittest.TestCase):
    def test_plans_are_found_by_name_and_sizes(self):
        self.assertIsNone(measure.find_plan(None, "gla", {}))
        plan = measure.find_plan(str(FOLDER), "gla", dict(V=64, K=64))
        self.assertEqual(plan.plan["scan"], "gla")
        with self.assertRaisesRegex(LookupError, "no gla for cuda.sm90 in bf16 with K=32"):
            measure.find_plan(str(FOLDER), "gla", dict(K=32))

    def test_programs_are_launched(self):
        plan, case, shape = measure.find_plan(str(FOLDER), "gla", dict(K=64, V=64)), measure.CASES["gla"], rows.Shape((70, 30), 2, 64)
        launched = measure.Launched(plan, shape.draw(case), shape, 2)
        fake.wait()
        self.assertEqual(launched.output.shape, (1, 100, 2, 64))
        self.assertEqual(set(launched.times()), {"forward", "backward", "both", "kept"})
        self.assertIsNone(launched.memory(), "without a device")
        record()
        self.assertEqual(set(launched.by_kernel(plan)), {"forward", "backward_kept"})
        self.assertIn("launch S_prepare", "\n".join(record()))
        fake.wait()

    def wait_for_launches(self):
        """Emulated kernels run when somebody waits: before what they read is gone."""
        prepare = lmoec_plan.Plan.prepare
        self.addCleanup(setattr, lmoec_plan.Plan, "prepare", prepare)

        def waited(*given, **more):
            tensors, launch = prepare(*given, **more)
            fake.wait()
            return tensors, lambda: (launch(), fake.wait())

        lmoec_plan.Plan.prepare = waited

    def test_what_is_kept_gives_the_same_gradients(self):
        self.wait_for_launches()
        plan, case, shape = measure.find_plan(str(FOLDER), "gla", dict(K=64, V=64)), measure.CASES["gla"], rows.Shape((70, 30), 2, 64)
        torch.manual_seed(0)
        inputs, cotangent = shape.draw(case), torch.randn(1, 100, 2, 64).bfloat16()
        kept, again = (measure.Launched(plan, inputs, shape, 2, None, cotangent, keep) for keep in (True, False))
        chunks, heads, D = 3, 2, 64
        self.assertEqual((kept.kept, again.kept), (2 * chunks * heads * 64 * 64 + 2 * 2 * 100 * heads * D + 4 * chunks * heads * D, 0))
        for _ in range(2):
            for name in again.gradients:
                if name.startswith("d_") and name != "d_o":
                    self.assertTrue(torch.equal(kept.gradients[name], again.gradients[name]), name)
            # Backward follows what forward leaves anew.
            kept.both(), again.both()
        launched = lambda program: [item["kernel"] for item in plan.loaded.programs[program]["launches"]]
        self.assertEqual(set(launched("backward")) - set(launched("backward_kept")), {"S_prepare"})

    def test_errors_are_those_of_kernels(self):
        self.wait_for_launches()
        plan, case = measure.find_plan(str(FOLDER), "gla", dict(K=64, V=64)), measure.CASES["gla"]
        made = measure.errors(case, plan, rows.Shape((70, 30), 2, 64), False)
        self.assertTrue(1e-4 < made["out"] < 6e-3 and 1e-4 < made["grad"] < 2e-2, made)
        self.assertTrue(made["worst"].startswith("d_"))
        made = measure.step_row(case, plan, 3, 2, 64, False)
        self.assertEqual({"called", "graph", "out"}, set(made))
        self.assertTrue(1e-4 < made["out"] < 6e-3, made)


class HostTimes(unittest.TestCase):
    """Rows of FLA's beside ours, by their stand-ins."""

    class Subject:
        def __init__(self, name, gates):
            self.name, self.gates = name, gates
            self.reference = type("", (), {"signature": type("", (), {"inputs": range(3 + len(gates))})})

        def draw(self, batch=1, tokens=8, heads=4, groups=4, states=True, token=False):
            lead = (batch, heads) if token else (batch, tokens, heads)
            state = torch.randn(batch, heads, 16, 16) if states else None
            return [*(torch.randn(*lead, 16) for _ in "qkv"), *(-torch.rand(*lead, *axes) for axes in self.gates), state]

    def test_rows_of_flas(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as undo:
            stand_ins(folder)
            before, held = sys.path[:], host_torch.untuned.hold
            undo.callback(lambda: (sys.path.__setitem__(slice(None), before), setattr(host_torch.untuned, "hold", held)))
            sys.path.insert(0, folder)
            host_torch.untuned.hold = lambda: None
            timer = host_torch.Timer("cpu", 1)
            for subject in (self.Subject("gla", [(16,)]), self.Subject("gated_delta", [(), ()])):
                made = {call: micros for what, call, micros, *_ in host_torch.fla_rows(subject, timer)}
                self.assertEqual(set(made), {"step", "forward, with gradients", "backward, with gradients"})
                self.assertGreater(min(made.values()), 0)
            self.assertEqual([*host_torch.fla_rows(self.Subject("nothing", []), timer)], [], "what FLA lacks has no rows")


class Compare(unittest.TestCase):
    """The program, with stand-ins for peers and without kernels of ours."""

    def run_it(self, folder, *flags):
        stand_ins_at = Path(folder) / "stand-ins"
        if not stand_ins_at.exists():
            stand_ins(stand_ins_at)
        command = [sys.executable, str(ROOT / "bench/compare.py"), "--most", "20", "--out", folder, *flags]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(stand_ins_at), "LMOEC_COMMIT": "here"})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_peers_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            self.run_it(folder, "--rows", "^packed/gla$|^decode/gla,B=1$|^heads/2048,2/8$|^packed/rwkv6$", "--jobs", "1")
            read = lambda name: {row["row"]: row for row in json.loads((Path(folder) / f"{name}.json").read_text())["rows"]}
            gla = read("packed")["gla"]
            self.assertGreater(gla["peer_both"], gla["peer_forward"])
            for found in (gla, read("heads")["2048,2/8"]):
                self.assertLess(found["peer_out"], 5e-3)
                self.assertLess(found["peer_grad"], 1e-2)
            self.assertIn("flash_infer", read("heads")["2048,2/8"]["missing"])
            self.assertIn("No module named", read("packed")["rwkv6"]["why"])
            self.assertLess(read("decode")["gla,B=1"]["peer_out"], 5e-3)
            self.assertIn("rwkv6: ", self.run_it(folder, "--rows", "^packed/(gla|rwkv6)$", "--no-warm"), "what had failed is tried again")
            self.assertNotIn("packed/gla: forward", self.run_it(folder, "--rows", "^packed/gla$", "--no-warm"), "what was measured is not")

    def test_no_time(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("peers/gla: no time was left", self.run_it(folder, "--rows", "^peers/gla$", "--seconds", "0", "--no-warm"))

    def test_no_such_row(self):
        done = subprocess.run([sys.executable, str(ROOT / "bench/compare.py"), "--rows", "nothing"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--list", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
