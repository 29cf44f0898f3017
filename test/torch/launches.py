"""What the runtime of a package asks of the driver and says to people, without a device (launcher.test.ts): gla for cuda.sm90 in bf16, K = V = 64."""
import gc
import itertools
import json
import os
import shutil
import sys
import tempfile
import threading
import unittest
import unittest.mock
import warnings
from pathlib import Path

import torch

from stub import _driver, _host, _runtime, fake, library, record
from pkg import _again, _graph, _images, _plan

FOLDER = Path(sys.argv[1])
PLANS = FOLDER / "plans" / "gla"


def draw(batch=2, tokens=100, heads=4, size=64, states=True):
    shape = (batch, tokens, heads, size) if tokens else (batch, heads, size)
    q, k, v = (torch.randn(shape).bfloat16() for _ in range(3))
    return [q, k, v, -torch.rand(shape), torch.randn(batch, heads, size, size) if states else None]


def launched(lines):
    return [line.split()[1] for line in lines if line.startswith("launch")]


class Fresh(unittest.TestCase):
    """Every test has a scan of its own, which may have other files."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        shutil.copytree(PLANS, self.folder / "gla")
        self.scan = _runtime.Scan(self.folder / "gla")
        _runtime.images.forget()
        fake.device, fake.capabilities, fake.capture = 0, {0: (9, 0), 1: (9, 0)}, False
        self.environment = dict(os.environ)
        record()

    def tearDown(self):
        fake.alive.clear()
        os.environ.clear()
        os.environ.update(self.environment)
        shutil.rmtree(self.folder)

    def set(self, **values):
        # Through C, so that the libraries see it: os.environ calls putenv.
        os.environ.update(values)

    def refused(self, run, *words):
        with self.assertRaises(_driver.LmoecError) as caught:
            run()
        self.assertNotIsInstance(caught.exception.__context__, LookupError, "how the runtime looks for things is nobody's concern")
        for word in words:
            self.assertIn(word, str(caught.exception))
        self.assertGreater(len(caught.exception.remedy), 0)

    def files(self, suffix):
        return list(self.folder.rglob(f"*{suffix}"))


class Launches(Fresh):
    def test_order_of_launches_and_events(self):
        self.addCleanup(lambda: delattr(fake.thread, "stream"))
        fake.thread.stream = 50
        self.scan.forward(draw(tokens=700))
        lines = record()
        side = next(line.split()[1] for line in lines if line.startswith("stream"))
        on = lambda line: line.split()[7] if line.startswith("launch") else ""
        kinds = [" ".join([*line.split()[:2], on(line)]).strip() for line in lines if line.split()[0] in ("launch", "record", "wait")]
        # S_ends runs beside S_spans, after S_prepare and before S_join; nothing else needs an event but the tables, which stay.
        self.assertEqual(kinds, [
            "launch lmoec_tables 50", "record 50", "launch S_prepare 50", "record 50", "launch S_spans 50", f"wait {side}", f"launch S_ends {side}",
            f"record {side}", "wait 50", "launch S_join 50", "launch S_walk 50",
        ])
        fake.thread.stream = 70
        self.scan.forward(draw(tokens=700))
        lines = record()
        self.assertNotIn("lmoec_tables", launched(lines), "tables are made once, another stream waits for them")
        self.assertEqual(next(line for line in lines if line.split()[0] in ("wait", "launch")), "wait 70")
        self.assertNotIn("50", [on(line) for line in lines], "nothing stays on the stream of the last call")

    def test_a_capture_waits_for_nothing_outside_of_it(self):
        """Of every program, whether segments are many or one a sequence, where launches are left out that others wait for."""
        self.addCleanup(lambda: delattr(fake.thread, "stream"))
        streams = itertools.count(1000)
        for tokens, batch in itertools.product((100, 300, 700, 3000), (1, 2)):
            args = draw(batch=batch, tokens=tokens)
            cotangents = [torch.randn(batch, tokens, 4, 64).bfloat16(), None]
            o, kept = self.scan.forward_kept(args, final=False)
            for run in (
                lambda: self.scan.forward(args), lambda: self.scan.backward(args, cotangents), lambda: self.scan.forward_kept(args, final=False),
                lambda: self.scan.backward_kept(args, cotangents, kept),
            ):
                fake.thread.stream, fake.capture = next(streams), True
                self.set(STUB_CAPTURE=str(fake.thread.stream))
                run()
                fake.capture = False
                del os.environ["STUB_CAPTURE"]
            fake.alive.clear()

    def test_a_stream_that_calls_again_launches_a_graph(self):
        self.addCleanup(lambda: delattr(fake.thread, "stream"))
        fake.thread.stream = 40
        args = draw(tokens=700)
        self.scan.forward(args)
        record()
        fake.alive.clear()
        held = self.scan.forward(args)
        lines = record()
        self.assertEqual([line for line in lines if line.startswith("node")], [
            "node S_prepare", "node S_spans S_prepare", "node S_ends S_prepare", "node S_join S_spans S_ends", "node S_walk S_join",
        ], "S_ends runs beside S_spans")
        self.assertEqual([line for line in lines if line.split()[0] in ("launch", "record", "wait")], [])
        self.assertEqual(lines[-1], "graph launch 40")
        # Results lie elsewhere now, inputs where they were: only those kernels are told that read or write what has moved.
        args[1] = args[1].clone()
        more = self.scan.forward(args)
        told = {line.split()[1] for line in record() if line.startswith("set")}
        self.assertIn("S_prepare", told, "k has moved")
        again = self.scan.forward(args)
        self.assertEqual(len([line for line in record() if line.startswith("graph launch")]), 1)
        del held, more, again
        # Another stream has a graph of its own, and a capture takes no graph.
        fake.thread.stream = 45
        self.scan.forward(args)
        self.assertNotIn("graph launch 45", record())
        self.scan.forward(args)
        self.assertIn("graph launch 45", record())
        fake.capture = True
        for _ in range(3):
            self.scan.forward(args)
        self.assertEqual([line for line in record() if line.startswith("graph")], [])
        fake.capture = False
        for stream in range(70, 90):
            fake.thread.stream = stream
            for _ in range(2):
                self.scan.forward(args)
        self.assertLessEqual(len([line for line in record() if line == "graph"]), _graph.MOST_GRAPHS)
        self.scan._programs["forward"].forget()
        gc.collect()
        self.assertEqual(len([line for line in record() if line == "exec destroyed"]), _graph.MOST_GRAPHS)

    def set_most(self, name, most):
        self.addCleanup(setattr, _graph, name, getattr(_graph, name))
        setattr(_graph, name, most)

    def layers(self, count):
        """A step of a model, whose layers have each its tensors and get the same memory at every step, as torch's allocator gives it."""
        real, pools, given = _host.empty, [[] for _ in range(count)], [draw(tokens=700) for _ in range(count)]
        self.addCleanup(lambda: setattr(_host, "empty", real))

        def step():
            for pool, args in zip(pools, given):
                fresh = iter(list(pool))

                def again(*form):
                    found = next(fresh, None)
                    if found is None:
                        found = real(*form)
                        pool.append(found)
                    return found

                _host.empty = again
                self.scan.forward(args)

        return step

    def test_layers_have_graphs_of_their_own(self):
        step = self.layers(3)
        step(), record(), step()
        self.assertEqual({line.split()[0] for line in record()} & {"node"}, {"node"}, "what comes again")
        step(), record(), step()
        lines = record()
        self.assertEqual([line for line in lines if line.split()[0] in ("launch", "node", "set")], [], "everything lies where it lay")
        self.assertEqual(len([line for line in lines if line.startswith("graph launch")]), 3)

    def test_more_layers_than_graphs(self):
        self.set_most("MOST_LAYERS", 2)
        step = self.layers(3)
        step(), step(), step(), record(), step()
        lines = record()
        self.assertEqual(len([line for line in lines if line.startswith("graph launch")]), 3)
        self.assertEqual([line for line in lines if line.split()[0] in ("launch", "node")], [], "none is made any more")
        self.assertLessEqual({"S_prepare", "S_walk"}, {line.split()[1] for line in lines if line.startswith("set")}, "the oldest is told")

    def test_graphs_can_be_turned_off(self):
        self.set_most("MOST_GRAPHS", 0)
        for _ in range(3):
            self.scan.forward(draw())
        self.assertEqual([line for line in record() if line.startswith("graph")], [])

    def test_only_what_somebody_wants(self):
        self.scan.forward(draw(states=False), final=False)
        self.assertEqual(launched(record())[-1], "S_walk", "the last state is the walk's, and may be a null pointer")
        cotangent = [torch.randn(2, 100, 4, 64).bfloat16(), None]
        self.scan.backward(draw(states=False), cotangent, wanted=(True, True, True, True, False))
        lines = record()
        self.assertEqual([line for line in lines if line.startswith("memset")], [], "absent states are null pointers")
        grads = self.scan.backward(draw(states=False), cotangent, wanted=(True, True, True, True, False))
        self.assertEqual([g is None for g in grads], [False, False, False, False, True])
        self.scan.backward(draw(), [None, torch.randn(2, 4, 64, 64)])
        self.assertEqual(len([line for line in record() if line.startswith("memset")]), 1, "the copy engine reads the cotangent of o: zeros")

    def test_nothing_between_segments_where_sequences_are_whole(self):
        self.scan.forward(draw(tokens=10))
        self.assertEqual([name for name in launched(record()) if name.startswith("S_")], ["S_prepare", "S_walk"])
        self.scan.backward(draw(tokens=10), [torch.randn(2, 10, 4, 64).bfloat16(), None])
        names = [name for name in launched(record()) if name.startswith("S_")]
        self.assertEqual(names, ["S_prepare", "S_states", "S_reverse", "S_gradients"])

    def test_offsets_make_tables_at_every_call(self):
        args = draw(batch=1, tokens=100, states=False)
        self.scan.forward(args, torch.tensor([0, 40, 100]))
        self.assertEqual(launched(record())[0], "lmoec_tables")
        self.scan.forward(args, torch.tensor([0, 40, 100]))
        nodes = [line for line in record() if line.startswith("node")]
        self.assertEqual(nodes[:2], ["node lmoec_tables", "node S_prepare lmoec_tables"])

    def test_what_is_ready_is_used_again(self):
        args = draw()
        self.scan.forward(args)
        record()
        held = self.scan.forward(args)
        self.assertEqual(len([line for line in record() if line.split()[0] in ("library", "map")]), 0)
        del held
        for tokens in range(1, 100):
            self.scan.forward(draw(batch=1, tokens=tokens, heads=1, states=False))
            fake.alive.clear()
        self.assertLessEqual(len(self.scan._programs["forward"].free), _runtime.MOST_BOUND)

    def test_calls_that_look_the_same_are_asked_once(self):
        program, anew = self.scan._programs["forward"], []
        called = type(program).__call__
        self.addCleanup(setattr, type(program), "__call__", called)
        type(program).__call__ = lambda self, *given: anew.append(given) or called(self, *given)
        args = draw()

        def looks(how, given, cu_seqlens=None, calls=1):
            """`calls`: of two, how many are looked at anew."""
            anew.clear()
            for _ in range(2):
                results = self.scan.forward(given, cu_seqlens)
            self.assertEqual(len(anew), calls, how)
            return results

        looks("the first", args)
        looks("others that look the same", draw(), calls=0)
        looks("a state that is not there", [*args[:4], None])
        looks("a state that is there again", args, calls=0)
        looks("fewer tokens", draw(tokens=90))
        self.assertEqual(looks("the results are of the call", draw(batch=1, tokens=7))[0].shape, (1, 7, 4, 64))
        wide = torch.zeros(2, 100, 3, 4, 64).bfloat16()
        looks("a slice", [args[0], wide.select(2, 1), *args[2:]])
        looks("another slice", [wide.select(2, 0), wide.select(2, 1), *args[2:]])
        looks("gradients", [args[0].requires_grad_(), *args[1:]])
        looks("a parameter", [args[0].detach(), torch.nn.Parameter(args[1]), *args[2:]])
        looks("one tensor twice is never remembered", [args[1], args[1], *args[2:]], calls=2)
        odd = torch.empty(args[0].numel() + 1, dtype=torch.bfloat16)[1:].view(args[0].shape)
        looks("data that begins anywhere", [odd, *args[1:]], calls=4)
        fake.capture = True
        looks("a capture", draw(), calls=2)
        fake.capture = False
        with torch.inference_mode():
            looks("tensors of inference", draw())
        one = draw(batch=1, states=False)
        looks("offsets", one, torch.tensor([0, 40, 100]))
        looks("other offsets", one, torch.tensor([0, 70, 100]), calls=0)
        looks("more sequences", one, torch.tensor([0, 30, 70, 100]))
        elsewhere = torch.tensor([0, 50, 100])
        fake.elsewhere = {id(elsewhere)}
        looks("offsets that the host reads", one, elsewhere, calls=2)
        fake.elsewhere = set()
        for tokens in range(1, 3 * _again.MOST_KNOWN):
            self.scan.forward(draw(tokens=tokens))
        self.assertLessEqual(max(len(way._known) for way in program._ways), _again.MOST_KNOWN)
        looks("one that was forgotten for others", args)
        program.forget()
        looks("what was forgotten", args)

    def test_a_call_that_looks_the_same_may_still_be_wrong(self):
        self.scan.forward(draw())
        self.refused(lambda: self.scan.forward([draw()[0].float(), *draw()[1:]]), "q is torch.float32")
        self.refused(lambda: self.scan.forward(draw()[:4]), "4 arguments")
        self.set(STUB_LAUNCH="719")
        self.refused(lambda: self.scan.forward(draw()), "S_prepare", "CUDA_ERROR_LAUNCH_FAILED")

    def test_where_torch_compares_nothing(self):
        self.addCleanup(setattr, _host, "TensorGuards", _host.TensorGuards)
        for guards in (None, lambda *tensors: None):
            _host.TensorGuards = guards
            args = draw()
            for _ in range(3):
                self.assertEqual(len(self.scan.forward(args)), 2)
            self.assertEqual([way._known for way in self.scan._programs["forward"]._ways], [()])

    def test_threads_share_nothing(self):
        args, wrong = draw(tokens=700), []

        def work():
            try:
                for _ in range(40):
                    self.scan.forward(args)
            except Exception as error:
                wrong.append(error)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        (free,) = self.scan._programs["forward"].free.values()
        self.assertLessEqual(len(free), 6)
        self.assertEqual(len(set(map(id, free))), len(free))
        self.assertGreaterEqual(len({line.split()[1] for line in record() if line.startswith("stream")}), 1)

    def test_a_thread_without_a_context_gets_one(self):
        self.scan.forward(draw())
        record()
        thread = threading.Thread(target=lambda: self.scan.forward(draw()))
        thread.start()
        thread.join()
        self.assertEqual([line for line in record() if line.startswith("retain")], ["retain 0"])

    def test_several_devices_in_one_process(self):
        self.addCleanup(lambda: setattr(_host, "device_of", fake.device_of))
        guarded, guard = [], fake.guard
        self.addCleanup(lambda: setattr(_host, "guard", guard))
        _host.guard = lambda index: guarded.append(index) or guard(index)
        self.scan.forward(draw())
        record()
        for _ in range(2):
            _host.device_of = lambda tensor: 1
            self.scan.forward(draw())
            lines = record()
            _host.device_of = fake.device_of
            self.scan.forward(draw())
            self.assertFalse([line for line in record() if line.startswith(("library", "attribute"))], "what is ready for the first device stays")
            of_second = [line for line in lines if line.startswith("attribute")]
            self.assertTrue(all(line.endswith(" 1") for line in of_second) and (of_second or len(guarded) > 1), "kernels are made ready for the second")
        self.assertEqual(guarded, [1, 1], "only the device that is not torch's current one")
        self.assertEqual(fake.device, 0)

    def test_an_error_of_the_driver_names_the_kernel(self):
        self.scan.forward(draw())
        self.scan.forward(draw())
        self.set(STUB_LAUNCH="719")
        self.refused(lambda: self.scan.forward(draw()), "gla", "S_prepare", "CUDA_ERROR_LAUNCH_FAILED", "grid", "tokens 200")
        del os.environ["STUB_LAUNCH"]
        self.scan.forward(draw())

    def test_step_in_place(self):
        args = draw(tokens=None)
        self.assertEqual(len(self.scan.step(args)), 2)
        self.assertEqual(len(self.scan.step(args, in_place=True)), 1)
        self.refused(lambda: self.scan.step(draw(tokens=None, states=False), in_place=True), "S", "pass")

    def test_empty_calls(self):
        self.assertEqual(self.scan.forward([x[:, :0] if i < 4 else x for i, x in enumerate(draw())])[0].shape, (2, 0, 4, 64))
        nothing = [x[:0] for x in draw()]
        self.assertEqual(self.scan.forward(nothing)[1].shape, (0, 4, 64, 64))

    def test_misaligned_data_is_copied(self):
        args = draw()
        args[0] = torch.empty(args[0].numel() + 1, dtype=torch.bfloat16)[1:].view(args[0].shape)
        self.scan.forward(args)

    def test_what_kernels_read_where_it_lies(self):
        program = self.scan._programs["forward"]
        plain, wide = draw(), lambda axis: torch.zeros([*(2, 100, 4, 64)[:axis], 3, *(2, 100, 4, 64)[axis:]]).bfloat16().select(axis, 1)
        cut = torch.zeros(2, 100, 4, 68).bfloat16()
        takes = lambda x: program._copies([plain[0], x, *plain[2:]], (), False) is None
        self.assertTrue(takes(wide(2)), "a slice of a projection to all heads of q, k, v")
        self.assertTrue(takes(wide(3)), "a slice of a projection to q, k, v of every head")
        self.assertTrue(takes(torch.zeros(2, 100, 5, 64).bfloat16()[:, :, 1:]), "some of the heads")
        self.assertFalse(takes(wide(1)), "batch and tokens are no single axis")
        self.assertFalse(takes(torch.zeros(2, 4, 100, 64).bfloat16().transpose(1, 2)), "heads before tokens")
        self.assertFalse(takes(cut[..., 2:66]), "rows that do not begin on 16 bytes")
        self.assertFalse(takes(cut[..., :64]), "rows that are not 16 bytes apart")
        self.assertFalse(takes(torch.zeros(2, 100, 4, 128).bfloat16()[..., ::2]), "channels with gaps")
        self.assertFalse(takes(torch.zeros(2, 1, 4, 64).bfloat16().expand(2, 100, 4, 64)), "one row for all tokens")
        one = [x[:1] for x in plain]
        heads_first = torch.zeros(1, 4, 100, 64).bfloat16().transpose(1, 2)
        self.assertIsNone(program._copies([one[0], heads_first, *one[2:]], (), False), "of one sequence, any order of tokens and heads")
        record()
        for k in (wide(2), cut[..., 2:66], heads_first.expand(2, 100, 4, 64)):
            self.assertEqual(self.scan.forward([plain[0], k, *plain[2:]])[0].shape, (2, 100, 4, 64))

    def test_a_state_that_a_step_writes_is_never_copied(self):
        args = draw(tokens=None)
        self.refused(lambda: self.scan.step([*args[:4], args[4].transpose(2, 3)], in_place=True), "S", "contiguous", "clone")
        odd = torch.zeros(args[4].numel() + 1)[1:].view(args[4].shape)
        self.refused(lambda: self.scan.step([*args[:4], odd], in_place=True), "S", "16 bytes")
        self.assertEqual(len(self.scan.step([*args[:4], odd])), 2)

    def test_a_forked_process_says_so(self):
        self.scan.forward(draw())
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                self.scan.forward(draw())
                os.write(write, b"nobody minds")
            except _driver.LmoecError as error:
                os.write(write, str(error).encode())
            os._exit(0)
        os.waitpid(child, 0)
        self.assertIn("spawn", os.read(read, 1000).decode())


class Kept(Fresh):
    cotangents = staticmethod(lambda tokens=100, batch=2: [torch.randn(batch, tokens, 4, 64).bfloat16(), None])

    def test_backward_takes_what_forward_has_left(self):
        args = draw(states=False)
        o, kept = self.scan.forward_kept(args, final=False)
        self.assertEqual([name for name in launched(record()) if name.startswith("S_")], ["S_prepare", "S_walk"])
        chunks = 4
        self.assertEqual(kept.dtype, torch.uint8)
        self.assertEqual(kept.numel(), chunks * 4 * 64 * 64 * 2 + 2 * 200 * 4 * 64 * 2 + chunks * 4 * 64 * 4)
        self.assertEqual(self.scan.kept_bytes(args), kept.numel())
        self.scan.backward_kept(args, self.cotangents(), kept)
        self.assertEqual([name for name in launched(record()) if name.startswith("S_")], ["S_states", "S_reverse", "S_gradients"])
        self.assertEqual(len(self.scan.forward(args)), 2, "whoever keeps nothing gets nothing more")

    def test_calls_that_look_the_same(self):
        args, cotangents = draw(), self.cotangents()
        for _ in range(3):
            record()
            *made, kept = self.scan.forward_kept(args)
            gradients = self.scan.backward_kept(args, cotangents, kept)
            fake.alive.append([made, kept, gradients])
        self.assertEqual(len(gradients), 5)
        self.assertEqual(launched(record()), [], "graphs")
        for program in ("forward_kept", "backward_kept"):
            self.assertEqual([len(shelf) for shelf in self.scan._programs[program].free.values()], [1])

    def test_of_packed_sequences_there_are_as_many_bytes_as_lengths_may_need(self):
        args = draw(batch=1, states=False)
        found = []
        for lengths in ([40, 60], [1, 99], [64, 36]):
            offsets = torch.tensor([0, *lengths]).cumsum(0)
            for fake.elsewhere in (set(), {id(offsets)}):
                o, kept = self.scan.forward_kept(args, offsets, final=False)
                found.append(kept.numel())
                self.assertEqual(self.scan.kept_bytes(args, offsets), kept.numel())
                self.scan.backward_kept(args, self.cotangents(batch=1), kept, offsets)
        fake.elsewhere = set()
        self.assertEqual(len(set(found)), 1)

    def test_tracers_know_how_many_bytes(self):
        """By symbols for the sizes of a call, as operators say it while somebody traces them."""
        from torch._subclasses import FakeTensorMode
        from torch.fx.experimental.symbolic_shapes import ShapeEnv

        for offsets in (None, torch.tensor([0, 40, 100])):
            args = draw(batch=2 if offsets is None else 1, states=False)
            mode = FakeTensorMode(shape_env=ShapeEnv())
            traced = [None if x is None else mode.from_tensor(x) for x in (*args, offsets)]
            count = self.scan.kept_bytes(traced[:-1], traced[-1])
            self.assertIsInstance(count, torch.SymInt)
            self.assertEqual(int(count), self.scan.kept_bytes(args, offsets))

    def test_what_was_left_by_another_call(self):
        args = draw(states=False)
        o, kept = self.scan.forward_kept(args, final=False)
        self.refused(lambda: self.scan.backward_kept(draw(tokens=200, states=False), self.cotangents(200), kept), "kept", "bytes")

    def test_hooks_of_saved_tensors_give_back_anything(self):
        """Bytes that begin anywhere are copied; those of another dtype, with gaps or elsewhere are refused."""
        args, cotangents = draw(states=False), self.cotangents()
        o, kept = self.scan.forward_kept(args, final=False)
        self.scan.backward_kept(args, cotangents, kept)
        anywhere = torch.cat([kept.new_zeros(1), kept])[1:]
        self.assertNotEqual(anywhere.data_ptr() % 16, 0)
        shelves = self.scan._programs["backward_kept"].free
        for _ in range(3):
            self.scan.backward_kept(args, cotangents, anywhere)
            (shelf,) = shelves.values()
            self.assertEqual([at % 16 for at in shelf[-1]._pointers if at % 16], [])
        for wrong, what in (
            (kept.view(torch.int8), "torch.int8"), (torch.stack([kept, kept], 1)[:, 0], "strides"), (kept.view(torch.bfloat16), "bytes"),
        ):
            self.refused(lambda: self.scan.backward_kept(args, cotangents, wrong), "kept", what)
        fake.elsewhere = {id(kept)}
        self.refused(lambda: self.scan.backward_kept(args, cotangents, kept), "kept", "beside")
        fake.elsewhere = set()

    def test_plans_that_keep_nothing(self):
        (path,) = self.files("plan.json")
        plan = json.loads(path.read_text())
        del plan["programs"]["forward_kept"], plan["programs"]["backward_kept"]
        path.write_text(json.dumps(plan))
        args = draw(states=False)
        o, kept = self.scan.forward_kept(args, final=False)
        self.assertEqual((kept.numel(), self.scan.kept_bytes(args)), (0, 0))
        record()
        self.scan.backward_kept(args, self.cotangents(), kept)
        self.assertEqual([name for name in launched(record()) if name.startswith("S_")], ["S_prepare", "S_states", "S_reverse", "S_gradients"])


class Messages(Fresh):
    def test_tensors_that_do_not_fit(self):
        args = draw()
        forward = lambda i, x, cu=None: (lambda: self.scan.forward([*args[:i], x, *args[i + 1:]], cu))
        self.refused(forward(1, args[1].float()), "k is torch.float32", "torch.bfloat16")
        self.refused(forward(3, args[3].bfloat16()), "g is torch.bfloat16", "torch.float32")
        self.refused(forward(1, args[1][:, 1:].contiguous()), "k has shape [2, 99, 4, 64]", "T = 100")
        self.refused(forward(1, args[1][:, :, 1:].contiguous()), "k has shape", "H = 4")
        self.refused(forward(1, args[1][0]), "k has shape [100, 4, 64]", "[B, T, H, 64]")
        self.refused(forward(1, None), "k is missing")
        self.refused(forward(4, torch.zeros(3, 4, 64, 64)), "3 sequences, the call has 2")
        self.refused(lambda: self.scan.forward(args[:4]), "4 arguments", "pass q, k, v, g, S")
        self.refused(forward(4, None, torch.tensor([0, 100])), "cu_seqlens", "B = 1")
        one = draw(batch=1, states=False)
        self.refused(lambda: self.scan.forward(one, torch.tensor([0.0, 100.0])), "cu_seqlens is torch.float32", "int32 or int64")
        elsewhere = args[2]
        fake.elsewhere = {id(elsewhere)}
        self.refused(forward(2, elsewhere), "v is on")
        offsets = torch.tensor([0, 60, 50, 100])
        fake.elsewhere = {id(offsets)}
        self.refused(lambda: self.scan.forward(one, offsets), "does not cut 100 tokens")
        fake.elsewhere = {id(args[0])}
        self.refused(lambda: self.scan.forward(args), "need a CUDA device", "LMOEC_BACKEND=reference")
        fake.elsewhere = set()

    def test_other_sizes_and_dtypes(self):
        self.refused(lambda: self.scan.forward(draw(size=128)), "built for K=64, V=64", "--size")
        args = draw()
        self.refused(lambda: self.scan.forward([x.half() for x in args[:3]] + args[3:]), "built for bf16", "--dtype")

    def test_devices(self):
        fake.capabilities[0] = (8, 0)
        self.refused(lambda: self.scan.forward(draw()), "built for cuda.sm90", "--target cuda.sm80")
        fake.capabilities[0] = (8, 9)
        self.refused(lambda: self.scan.forward(draw()), "--target cuda.sm86")
        fake.capabilities[0] = (7, 5)
        self.refused(lambda: self.scan.forward(draw()), "compute capability 8.0 or later")
        fake.capabilities[0] = (9, 0)
        self.set(STUB_SHARED="60000")
        self.refused(lambda: self.scan.forward(draw()), "KB of shared memory")

    def test_images(self):
        cubins = self.files(".cubin")
        for cubin in cubins:
            cubin.write_text("refuse 209")
            cubin.with_suffix(".ptx").write_text("PTX")
        self.scan.forward(draw())
        self.assertEqual([line for line in record() if line.startswith("library")], ["library refuse 209", "library PTX"] * len(cubins))
        _runtime.images.forget()
        cubin, ptx = cubins[0], cubins[0].with_suffix(".ptx")
        ptx.write_text("refuse 222")
        cubin.with_suffix(".cu").unlink()
        self.refused(lambda: _runtime.Scan(self.folder / "gla").warmup(0), "CUDA_ERROR_NO_BINARY_FOR_GPU, CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "update the NVIDIA driver")
        cubin.unlink()
        ptx.unlink()
        self.refused(lambda: _runtime.Scan(self.folder / "gla").warmup(0), "no cubin, PTX or source")

    def test_an_old_driver_without_nvrtc(self):
        cubin = self.files(".cubin")[0]
        cubin.write_text("refuse 200")
        cubin.with_suffix(".ptx").write_text("refuse 221")
        self.set(LMOEC_NVRTC=str(self.folder / "none.so"))
        self.refused(
            lambda: _runtime.Scan(self.folder / "gla").warmup(0), "takes no machine code", "CUDA_ERROR_INVALID_IMAGE, ", "no NVRTC library",
            "update the NVIDIA driver; or")

    def test_where_nothing_is_to_be_loaded(self):
        _runtime.Scan(self.folder / "gla").warmup("cpu")
        self.refused(lambda: _runtime.Scan(self.folder / "gla").warmup("mps"), "mps is no CUDA device")
        with unittest.mock.patch.object(_host, "available", lambda: False):
            self.refused(lambda: _runtime.Scan(self.folder / "gla").warmup(), "there is no CUDA device", "CUDA_VISIBLE_DEVICES")

    def test_nvrtc_and_its_cache(self):
        self.files(".cubin")[0].unlink()
        log, cache = self.folder / "log", self.folder / "cache"
        self.set(LMOEC_NVRTC=str(FOLDER / "lib" / "libnvrtc.so"), STUB_NVRTC_LOG=str(log), LMOEC_CACHE=str(cache))
        for _ in range(2):
            _runtime.images.forget()
            _runtime.Scan(self.folder / "gla").warmup(0)
        line = "--gpu-architecture=sm_90a prelude.cuh\n"
        self.assertEqual(log.read_text(), line, "the second process finds it in the cache")
        self.assertEqual(len(list(cache.iterdir())), 1)
        (prelude,) = self.files("prelude.cuh")
        prelude.write_text(prelude.read_text() + "// changed\n")
        _runtime.images.forget()
        _runtime.Scan(self.folder / "gla").warmup(0)
        self.assertEqual(log.read_text(), 2 * line, "what a source includes decides, too")
        shutil.rmtree(cache)
        cache.write_text("a file")
        _runtime.images.forget()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _runtime.Scan(self.folder / "gla").warmup(0)
        self.assertIn("LMOEC_CACHE", str(caught[0].message))
        _runtime.images.forget()
        os.environ.pop("LMOEC_CACHE")
        os.environ.pop("XDG_CACHE_HOME", None)
        homeless = unittest.mock.patch.object(Path, "home", side_effect=RuntimeError("Could not determine home directory."))
        with homeless, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _runtime.Scan(self.folder / "gla").warmup(0)
            self.assertIn("cache of what NVRTC compiles: this user has no home folder", _runtime.doctor([]))
        self.assertIn("no home folder", str(caught[0].message))
        self.assertIn("LMOEC_CACHE", str(caught[0].message))
        _runtime.images.forget()
        self.set(STUB_NVRTC_CODE="6")
        self.refused(lambda: _runtime.Scan(self.folder / "gla").warmup(0), "no machine code of gla for", "does not compile", "line 1: an error")
        prelude.rename(self.folder / "away")
        self.refused(lambda: _runtime.Scan(self.folder / "gla").warmup(0), "prelude.cuh is missing", "files are missing")
        (self.folder / "away").rename(prelude)
        self.set(LMOEC_NVRTC=str(self.folder / "none.so"))
        self.refused(lambda: _runtime.Scan(self.folder / "gla").warmup(0), "no NVRTC library", "libnvrtc.so")

    def test_files(self):
        (path,) = self.files("plan.json")
        old = json.loads(path.read_text())
        path.write_text(json.dumps({**old, "format": "lmoec-plan-1"}))
        self.refused(lambda: self.scan.forward(draw()), "lmoec-plan-1", "build")
        path.unlink()
        self.refused(lambda: _runtime.Scan(self.folder / "gla").forward(draw()), "there is no plan")

    def test_the_driver(self):
        held = _driver._library
        try:
            _driver._library = None
            self.set(STUB_DRIVER="11080")
            self.refused(_driver.driver, "CUDA 11.8", "525")
            self.set(STUB_DRIVER="12000", STUB_INIT="100")
            self.refused(_driver.driver, "CUDA_ERROR_NO_DEVICE", "CUDA_VISIBLE_DEVICES")
            real, _driver.ctypes.CDLL = _driver.ctypes.CDLL, lambda name: (_ for _ in ()).throw(OSError("cannot open"))
            self.refused(_driver.driver, "no CUDA driver", "LMOEC_BACKEND=reference")
            _driver.ctypes.CDLL = real
        finally:
            _driver._library = held

    def test_doctor(self):
        self.assertIn("torch", _runtime.doctor([self.scan]))


class Segments(unittest.TestCase):
    def test_no_more_than_run_at_once(self):
        for even, most, counts, longest in (
            (65, 8, [313, 141, 59], 71), (64, 8, [512], 64), (96, 5, [512], 103), (39, 8, [256] + 7 * [8], 39), (520, 1, [512, 8], 520), (8, 3, [], 8),
        ):
            self.assertEqual(_plan.fitting(counts, even, most), longest, (even, most, counts))


class Memory(unittest.TestCase):
    """Workspaces that share memory are used in an order that queues and events make sure of."""

    def test_no_two_at_once(self):
        paths = sorted(Path(FOLDER / "more").glob("*.json"))
        self.assertGreater(len(paths), 3)
        saved = 0
        for path, program, ungrouped in itertools.product(paths, ("forward", "backward", "ends", "reverse_ends"), (False, True)):
            plan = _plan.Plan(path)
            wanted = plan.programs[program]["gives"]
            sizes = {"row": 1000, "head": 4, "group": 4 if ungrouped else 2, "run": 3, "chunk": 20, "segment": 7}
            extents = {name: sizes[extent["of"]] for name, extent in plan.extents.items()}
            launches = _plan.Launches(plan, program, wanted, extents, False)
            used = {launches.place(arg["tensor"]) for kernel in launches.kernels.values() for arg in kernel["args"] if "tensor" in arg}
            sizes = {name: _plan.tensor_bytes(plan.tensors[name], extents) for name in sorted(used) if plan.tensors[name]["role"] == "workspace"}
            users = {name: launches.users(name) for name in sizes}
            places, end = _plan.arena(sizes, _plan.apart(launches, users))
            self.assertLessEqual(max([0, *(places[name] + sizes[name] for name in sizes)]), end)
            after = self.order(plan.programs[program]["launches"])
            for x, y in itertools.combinations(sizes, 2):
                if places[x] + sizes[x] <= places[y] or places[y] + sizes[y] <= places[x]:
                    continue
                first, second = sorted((x, y), key=lambda name: min(users[name]))
                self.assertTrue(all(b in after[a] for a in users[first] for b in users[second]), f"{path.name} {program}: {first} {users[first]} and {second} {users[second]}")
            saved += sum(sizes.values()) - end
        self.assertGreater(saved, 0, "no memory is used twice")

    @staticmethod
    def order(launches):
        """For each launch those that begin when it has ended, by following the edges."""
        edges = {i: set() for i in range(len(launches))}
        for i, launch in enumerate(launches):
            for wait in launch["waits"]:
                edges[wait].add(i)
            later = [j for j in range(i + 1, len(launches)) if launches[j]["queue"] == launch["queue"]]
            edges[i].update(later[:1])
        after = {}
        for i in reversed(range(len(launches))):
            after[i] = edges[i].union(*(after[j] for j in edges[i]))
        return after


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
