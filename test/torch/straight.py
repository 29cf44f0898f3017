"""Functions call kernels past torch's dispatcher where it would only pass the call on, and through it where somebody is to see it (straight.test.ts)."""
import sys
import unittest

import torch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from stub import fake, record
import pkg
from pkg import _ops

fake.capabilities = {0: (8, 0)}
SHAPE = (2, 100, 4, 64)


def draw():
    return [*(torch.randn(SHAPE).bfloat16() for _ in range(3)), -torch.rand(SHAPE)]


def by_kernels():
    lines = record()
    fake.wait()
    return any(line.startswith(("launch S_", "launch step", "graph launch")) for line in lines)


class Seen(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


class Own(torch.Tensor):
    """A subclass that wants to see what is done with it."""

    seen = []

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        cls.seen.append(str(function))
        return super().__torch_function__(function, types, args, kwargs or {})


class Straight(unittest.TestCase):
    # Tensors are the CPU's: what goes through the dispatcher ends in the reference.
    def setUp(self):
        self.args, self.state = draw(), torch.zeros(2, 4, 64, 64)
        # What a call like it was must not keep anybody from seeing the next.
        for wants in (False, True):
            for _ in range(2):
                pkg.gla(*(x.detach().requires_grad_(wants) for x in self.args))
        record()

    def test_kernels_are_called(self):
        pkg.gla(*self.args)
        self.assertTrue(by_kernels())
        leaves = [x.requires_grad_() for x in self.args]
        o, state = pkg.gla(*leaves, initial_state=self.state, output_final_state=True)
        self.assertTrue(by_kernels())
        torch.autograd.grad((o.float().sum() + state.sum()), leaves)
        self.assertTrue(by_kernels())
        with torch.no_grad():
            pkg.gla_step(*(x[:, 0].contiguous() for x in leaves), self.state)
        self.assertTrue(by_kernels())

    def test_kernels_leave_what_backward_takes(self):
        leaves = [x.requires_grad_() for x in self.args]
        for turn in range(3):
            for final in (False, True):
                o, state = pkg.gla(*leaves, output_final_state=final, keep=True)
                self.assertTrue(by_kernels())
                gradients = torch.autograd.grad(o.float().sum() + (state.sum() if final else 0), leaves)
                lines = record()
                fake.wait()
                self.assertTrue(any(line.startswith(("launch S_gradients", "graph launch")) for line in lines), lines)
                self.assertFalse(any("S_prepare" in line for line in lines), lines)
                self.assertEqual([x.shape for x in gradients], [x.shape for x in leaves])

    def test_parameters_are_tensors(self):
        pkg.gla(*(torch.nn.Parameter(x) for x in self.args))
        self.assertTrue(by_kernels())

    def test_modes_see_operators(self):
        with Seen() as seen:
            pkg.gla(*self.args)
        self.assertFalse(by_kernels())
        self.assertTrue(any("forward" in name for name in seen.names), seen.names)

    def test_selective_checkpoints_keep_results(self):
        kept = []

        def policy(_, function, *args, **kwargs):
            if function in pkg.SAC_SAVE_OPS:
                kept.append(function)
                return CheckpointPolicy.MUST_SAVE
            return CheckpointPolicy.PREFER_RECOMPUTE

        leaves = [x.requires_grad_() for x in self.args]
        o = checkpoint(lambda *given: pkg.gla(*given)[0], *leaves, use_reentrant=False, context_fn=lambda: create_selective_checkpoint_contexts(policy))
        o.float().sum().backward()
        self.assertGreater(len(kept), 0)

    def test_subclasses_see_operators(self):
        Own.seen.clear()
        pkg.gla(self.args[0].as_subclass(Own), *self.args[1:])
        self.assertFalse(by_kernels())
        self.assertTrue(any("forward" in name for name in Own.seen), Own.seen)

    def test_profilers_see_operators(self):
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            pkg.gla(*self.args)
        self.assertTrue(any("lmoec_gla" in event.name and "forward" in event.name for event in profile.events()))

    def test_transforms_see_operators(self):
        called = _ops.gla.calls.forward
        with self.assertRaisesRegex(NotImplementedError, "gla: there is no vmap"):
            torch.func.vmap(lambda q: called(q, *self.args[1:], None, None))(self.args[0][None])
        self.assertFalse(by_kernels(), "kernels read no wrapped tensors")
        # Dual numbers are tensors like others; what was known of a call must not hide their tangents.
        with forward_ad.dual_level():
            for given in (self.args, [x.detach().requires_grad_() for x in self.args]):
                with self.assertRaisesRegex(NotImplementedError, "gla: there is no forward mode"):
                    pkg.gla(forward_ad.make_dual(given[0], torch.ones_like(given[0])), *given[1:])
            with torch.no_grad(), self.assertRaisesRegex(NotImplementedError, "gla: there is no forward mode"):
                token = [x[:, 0].contiguous() for x in self.args]
                pkg.gla_step(forward_ad.make_dual(token[0], token[0]), *token[1:], self.state)
            leaves = [x.detach().requires_grad_() for x in self.args]
            o, _ = pkg.gla(*leaves)
            with self.assertRaisesRegex(NotImplementedError, "gla: there is no forward mode"):
                torch.autograd.grad(o, leaves, forward_ad.make_dual(torch.ones_like(o), torch.ones_like(o)))
        record()
        fake.wait()
        pkg.gla(*self.args)
        self.assertTrue(by_kernels(), "as ever again")

    def test_autocast_decides_what_a_call_is_like(self):
        floats = [x.float() for x in self.args]
        with torch.autocast("cpu", torch.bfloat16):
            pkg.gla(*floats)
            o, _ = pkg.gla(*floats)
        self.assertEqual(o.dtype, torch.bfloat16)
        self.assertTrue(by_kernels())

    def test_what_a_transform_left_behind_is_unwrapped(self):
        left = []
        torch.func.grad(lambda x: left.append(x) or x.float().sum())(self.args[0])
        leaves = [x.detach().requires_grad_() for x in self.args[1:]]
        o, _ = pkg.gla(left[0], *leaves)
        self.assertEqual(o.shape, SHAPE)
        self.assertTrue(by_kernels())

    def test_compilers_see_operators(self):
        graphs = []

        def backend(graph, _):
            graphs.append(graph)
            return graph.forward

        torch.compile(lambda *given: pkg.gla(*given)[0], backend=backend, fullgraph=True)(*self.args)
        self.assertIn("forward", "".join(str(node.target) for graph in graphs for node in graph.graph.nodes))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
