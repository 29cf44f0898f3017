"""Kernels of one layer or mixture, emulated, by the runtime of packages, against the reference on the same rounded numbers (parts-launcher.test.ts)."""
import json
import math
import sys
import unittest
from pathlib import Path

from stub import fake, record  # noqa: E402  (the first: it makes the runtime believe in a device)
import torch

import pkg._bound
from pkg import _launch, _parts
from pkg._driver import LmoecError
from pkg._part import Reference
from pkg._rows import keys_of

FOLDER = Path(sys.argv[1])
CASE = json.loads((FOLDER / "case.json").read_text())
DTYPE = {"bf16": torch.bfloat16, "f32": torch.float32}[CASE["dtype"]]
# More than ten times what is seen (5e-3 and 4e-7), in rms of what is expected.
LIMIT = {"bf16": 6e-2, "f32": 1e-5}[CASE["dtype"]]
# Of work the folders say for how many experts it is.
KEY = CASE["mode"].split("-")[0]
PROGRAM = getattr(_parts, f"{CASE['name']}_{KEY}")
KERNELS = _launch.Kernels(FOLDER / "plans" / CASE["folder"], KEY if KEY == CASE["mode"] else f"{KEY}-*", PROGRAM)
KEYS = keys_of(7, 0, PROGRAM.sites) if PROGRAM.sites else None


def draw(batch, tokens, seed=1):
    generator = torch.Generator().manual_seed(seed)
    args = []
    for field in PROGRAM.args:
        shape = (*((batch, tokens) if field.token else ()), *(CASE["sizes"].get(size, size) for size in field.sizes))
        if field.index:
            # Different ones; a few are none, or of another rank.
            own = torch.rand((*shape[:2], CASE["sizes"]["experts"] + 2), generator=generator).argsort(-1)[..., : CASE["sizes"]["columns"] if len(shape) > 2 else 1]
            args.append((own - 1).reshape(shape).to(torch.int32))
            continue
        fan = math.sqrt(shape[-2]) if len(shape) > 1 and not field.token else 1.0
        args.append((torch.randn(shape, generator=generator) / fan).to(PROGRAM.wanted(field, DTYPE)))
    return tuple(args)


def exact(args):
    return tuple(x.double() if x.is_floating_point() else x for x in args)


def error(found, expected):
    found, expected = found.double(), expected.double()
    size, difference = expected.norm().item(), (found - expected).norm().item()
    # A loss may be what is left of larger numbers: spreads of loads are a mean over a mean less one.
    size = max(size, 1e-2) if expected.ndim == 0 else size
    wrong = difference / size if size > 0 else difference
    return wrong if wrong == wrong else math.inf


called = _launch.Bound.__call__


def waited(self, *given):
    """Emulated kernels run when somebody waits: before what they read is gone, and before their results are read."""
    made = called(self, *given)
    fake.wait()
    return made


_launch.Bound.__call__ = waited


class Values(unittest.TestCase):
    def run_both(self, args, offsets=None, absent=False, fields=None):
        *found, kept = KERNELS.forward(args, offsets, KEYS)
        *expected, none = Reference(PROGRAM).forward(exact(args), offsets, KEYS)
        self.assertEqual(kept.dtype, torch.uint8)
        count = len(PROGRAM.outputs)
        generator = torch.Generator().manual_seed(3)
        seeds = [None if absent else torch.randn(y.shape, generator=generator).to(y.dtype) for y in found[:count]]
        gradients = KERNELS.backward(args, offsets, KEYS, kept, tuple(seeds))
        wanted = Reference(PROGRAM).backward(exact(args), offsets, KEYS, none, tuple(None if d is None else d.double() for d in seeds))
        compared = [*PROGRAM.results, *(field for field, has in zip(PROGRAM.args, PROGRAM.differentiable) if has)]
        for i, (field, x, y) in enumerate(zip(compared, [*found, *gradients], [*expected, *wanted])):
            self.assertEqual(x.shape, y.shape)
            self.assertEqual(x.dtype, PROGRAM.wanted(field, DTYPE))
            if fields is None or i < fields:
                self.assertLess(error(x, y), LIMIT, (i, field.name))

    def test_batches(self):
        for batch, tokens in ((2, 70), (1, 133)):
            self.run_both(draw(batch, tokens))

    def test_few_tokens(self):
        """What cancels, gradients of routers and spreads of loads, has no digits left of few tokens: outputs have."""
        for batch, tokens in ((1, 1), (3, 5)):
            self.run_both(draw(batch, tokens), fields=1)

    def test_packed_sequences(self):
        for dtype in (torch.int32, torch.int64):
            self.run_both(draw(1, 100), torch.tensor([0, 33, 33, 99, 100], dtype=dtype))

    def test_absent_cotangents(self):
        self.run_both(draw(2, 60), absent=True)

    def test_scores_that_are_no_numbers(self):
        """Kernels note them; who asks hears which choice it is and where."""
        if not KERNELS.plans()[0].json["names"]["checks"]:
            self.skipTest("nothing is chosen by scores")
        args = draw(2, 40)
        wrong = args[0].clone()
        wrong[1, 17, 3] = math.nan
        for x, says in ((args[0], None), (wrong, r"`top\[.*\]` has scores that are no numbers")):
            *_, kept = KERNELS.forward((x, *args[1:]), None, KEYS)
            if says is None:
                KERNELS.examine((x, *args[1:]), None, KEYS, kept)
                continue
            with self.assertRaisesRegex(ValueError, says) as raised:
                KERNELS.examine((x, *args[1:]), None, KEYS, kept)
            if CASE["name"] in ("olmoe", "deepseek_v3"):
                self.assertIn("the first at [1, 17] of [B, T]", str(raised.exception))
            self.addCleanup(setattr, _launch, "CHECK", _launch.CHECK)
            _launch.CHECK = True
            with self.assertRaisesRegex(ValueError, says):
                KERNELS.forward((x, *args[1:]), None, KEYS)

    def test_no_tokens(self):
        *found, kept = KERNELS.forward(draw(1, 0), None, KEYS)
        self.assertTrue(all(x.shape == y.shape for x, y in zip(found, Reference(PROGRAM).forward(exact(draw(1, 0)), None, KEYS))))

    def test_what_is_ready_is_used_again(self):
        args = draw(2, 20)
        *first, _ = KERNELS.forward(args, None, KEYS)
        made = sum(len(free) for free in KERNELS._free.values())
        *again, _ = KERNELS.forward(args, None, KEYS)
        self.assertEqual(made, sum(len(free) for free in KERNELS._free.values()))
        for x, y in zip(first, again):
            self.assertTrue(torch.equal(x, y), "the same bits in every run")

    def test_bytes_that_are_traced_are_those_that_are_kept(self):
        for args, offsets in ((draw(2, 70), None), (draw(1, 100), torch.tensor([0, 33, 100]))):
            *_, kept = KERNELS.forward(args, offsets, KEYS)
            self.assertEqual(kept.numel(), KERNELS.kept_bytes(args, offsets, PROGRAM.check(args, offsets, KEYS)))

    def test_errors_say_what_to_do(self):
        args = draw(1, 4)
        with self.assertRaisesRegex(LmoecError, f"{PROGRAM.name} was built for {CASE['dtype']}.*--dtype"):
            KERNELS.forward(tuple(x.half() if field.io else x for field, x in zip(PROGRAM.args, args)), None, KEYS)
        fake.capabilities[0] = (7, 5)
        with self.assertRaisesRegex(LmoecError, "was built for cuda.sm90"):
            KERNELS.forward(args, None, KEYS)
        fake.capabilities[0] = (9, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
