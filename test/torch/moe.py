"""The bench of mixtures without a device (moe.test.ts): a small mixture by the names of its users, errors, rows, peers."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from stub import fake  # noqa: E402  (the first: it makes the runtime believe in a device)
import torch

FOLDER = Path(sys.argv[1])
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import lmoec_plan
import measure
import mixtures
import moe
import noise

HOST = "current_device current_stream capturing capability guard empty device_of device_name record_use beside"
for name in HOST.split():
    setattr(lmoec_plan.runtime()._host, name, getattr(fake, name))

SHAPE = mixtures.Shape(150, 64, 64, 4, 2)
PLAN = lmoec_plan.Plan(next((FOLDER / "plans").rglob("plan.json")))
prepare = lmoec_plan.Plan.prepare


def waited(*given):
    """Emulated kernels run when somebody waits: before what they read is gone."""
    tensors, launch = prepare(*given)
    fake.wait()

    def again(*only):
        launch(*only)
        fake.wait()

    again.kernels = launch.kernels
    return tensors, again


lmoec_plan.Plan.prepare = waited


class Mixture(unittest.TestCase):
    def test_errors_are_those_of_kernels(self):
        moe.check_shape(PLAN, SHAPE)
        with self.assertRaisesRegex(LookupError, "the plan is of"):
            moe.check_shape(PLAN, mixtures.SHAPES["a1b"])
        for lengths in ([150], [75, 75], [100, 0, 50]):
            made = moe.errors(PLAN, SHAPE, lengths)
            self.assertEqual(made["moved"], 0, made)
            for key in ("out", "d_x", "experts", "router"):
                self.assertTrue(1e-5 < made[key] < 6e-2, made)
                self.assertTrue(1e-5 < made[f"torch_{key}"] < 6e-2, made)

    def test_what_is_wrong_shows(self):
        """Other experts' weights are as far from the reference as chance is."""
        torch.manual_seed(1)
        given = SHAPE.draw()
        y, _, chosen = mixtures.differentiated(given, torch.ones(150, 64), SHAPE.K, torch.float64)
        found = PLAN.named("forward", {**given, "expert.up": given["expert.up"].flip(0)}, [150]).results()
        self.assertGreater(measure.rms(found["y"], y), 0.5)
        self.assertEqual(found["count.expert"].reshape(-1).tolist(), torch.bincount(chosen.flatten(), minlength=4).tolist())

    def test_a_program_runs_again(self):
        torch.manual_seed(2)
        given = SHAPE.draw()
        run = PLAN.named("forward", given, [75, 75])
        first = run.results()["y"].clone()
        run.launch(), run.launch()
        self.assertTrue(torch.equal(run.results()["y"], first), "the same bits in every run")
        with self.assertRaisesRegex(ValueError, "olmoe: pass expert.down"):
            PLAN.named("forward", {name: x for name, x in given.items() if name != "expert.down"}, [150])

    def test_rows(self):
        options = moe.arguments(["--plans", "p", "--no-peers", "--no-errors"])
        made, before = {}, moe.plan_of
        self.addCleanup(setattr, moe, "plan_of", before)
        moe.plan_of = lambda *_: PLAN
        moe.mixture_row(made, "small", SHAPE, options)
        moe.judged(made, SHAPE)
        self.assertEqual(set(made["kernels"]), {"eval", "forward", "backward"})
        self.assertTrue(0 < made["routing_forward"] < 1 and 0 < made["routing_both"] < 1, made)
        self.assertAlmostEqual(made["tflops_both"] * made["both"] * 1e9, 18 * 150 * 2 * 64 * 64, delta=1)
        made = {}
        moe.decode_row(made, 3, SHAPE, options)
        self.assertTrue(2 <= made["experts"] <= 4 and made["called"] > 0 and made["over"] > 0, made)

    def test_a_dense_product(self):
        self.addCleanup(setattr, moe, "DENSE", moe.DENSE)
        self.addCleanup(setattr, moe, "plan_of", moe.plan_of)
        nothing = lambda: None
        nothing.kernels = []
        run = lambda _, given, lengths: lmoec_plan.Named(
            {"y": (given["x"] @ given["w"]).reshape(1, *lengths, -1)}, nothing, {"y": {"tensors": ["y"]}})
        moe.DENSE, moe.plan_of, made = 64, lambda *_: type("Dense", (), {"named": staticmethod(run)}), {}
        moe.dense_row(made, moe.arguments(["--plans", "p", "--error-tokens", "16"]))
        self.assertEqual(made["out"], made["torch_out"])
        self.assertTrue(1e-5 < made["out"] < 6e-2 and made["x_matmul"] > 0, made)

    def test_keys_are_those_of_the_other_host(self):
        for key in json.loads((FOLDER / "keys.json").read_text()):
            self.assertEqual(noise.halves_of(noise.key_of(key["seed"], key["path"], key["step"], key["number"])), key["halves"])


class Peers(unittest.TestCase):
    def test_grouped_products_are_the_mixture(self):
        torch.manual_seed(3)
        given = SHAPE.draw()
        expected, _, _ = mixtures.differentiated(given, torch.ones(150, 64), SHAPE.K, torch.float64)
        run, leaves = mixtures.grouped(given, SHAPE)
        self.assertLess(measure.rms(run(given["x"]), expected), 6e-2)
        made = {}
        moe.peer(made, "grouped", mixtures.grouped, SHAPE)
        self.assertTrue(made["grouped_forward"] > 0 and made["grouped_both"] > 0 and "missing" not in made, made)
        self.assertEqual([leaf.grad is None for leaf in leaves], [True] * 3)

    def test_one_that_is_not_there(self):
        made = {}
        moe.peer(made, "sonic", mixtures.sonic, SHAPE)
        moe.peer(made, "scattermoe", mixtures.scattermoe, SHAPE)
        self.assertIn("sonic: ModuleNotFoundError", made["missing"])
        self.assertIn("scattermoe: ModuleNotFoundError", made["missing"])

    def test_a_row_whose_time_is_over_keeps_what_it_has(self):
        def late(made, _):
            made["forward"] = 1.0
            raise moe.OutOfTime("not done after 1 s")

        self.assertEqual(moe.measured(late, dict, None), {"forward": 1.0, "missing": "not done after 1 s"})


class Program(unittest.TestCase):
    def test_it_ends_and_says_what_is_missing(self):
        run = lambda *flags: subprocess.run([sys.executable, str(ROOT / "bench/moe.py"), *flags], capture_output=True, text=True)
        self.assertIn("decode/B=64", run("--list").stdout)
        with tempfile.TemporaryDirectory() as folder:
            done = run("--plans", folder, "--no-peers", "--rows", "mixtures/a1b", "--out", folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("has no a1b for train", json.loads((Path(folder) / "mixtures.json").read_text())["rows"][0]["why"])
            self.assertIn("no time was left", run("--seconds", "0", "--rows", "dense").stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
