"""A program made ready for one device and one set of extents: all that a launch needs lies packed, a call writes only what has changed."""
import ctypes, math, os

from . import _driver as cuda
from . import _host as host
from ._driver import LmoecError, TensorMap, check, driver
from ._graph import ARENA, Graphs, Node
from ._memory import Memory
from ._plan import START, Launches, product

ONE_QUEUE = os.environ.get("LMOEC_QUEUES") == "1"
# Kernels that are launched before the one in front has ended, and wait for it by themselves: of calls of few rows, whose launches take the time; "1": all, "0": none.
EARLY = os.environ.get("LMOEC_EARLY")
CHECK = os.environ.get("LMOEC_CHECK") == "1"


class Request:
    """What distinguishes a call from others that can use the same memory layout."""

    def __init__(self, plan, program, given, absent, wanted, in_place, lead, extents, offset_bytes, keeps_tables, distances=None, order=None, kept=None, kept_bytes=None):
        """`given`: names of the tensors that a call hands over, in order; `absent`: those among them that are None.
        `wanted`: results that somebody asked for; those among `given` are written where they lie. `order`: of results, if not that; None among them: nobody
        asked. `lead`: what users see in the place of `tokens`. `offset_bytes`: of one number in cu_seqlens; 0 where sequences are equally long.
        `keeps_tables`: they stay on the device from call to call. `distances`: elements between tokens and between heads of given tensors with gaps.
        `kept`: places of the workspaces that it leaves for another program, or takes of one, in a piece of memory of so many bytes that is the last result,
        or given behind all others; None: there is no such piece."""
        self.plan, self.program, self.given, self.absent, self.wanted, self.in_place = plan, program, given, absent, wanted, in_place
        self.lead, self.extents, self.offset_bytes, self.keeps_tables = lead, extents, offset_bytes, keeps_tables
        self.distances, self.order = distances or {}, order
        self.kept, self.kept_bytes = kept or {}, kept_bytes
        #: Is the piece a result?
        self.leaves = kept_bytes is not None and program.startswith("forward")


class Bound:
    def __init__(self, request, kernels, index):
        plan, extents = request.plan, request.extents
        self.request, self.index, self.plan, self._checks = request, index, plan, CHECK
        self._launches = launches = Launches(plan, request.program, request.wanted, extents, ONE_QUEUE)
        self._memory = memory = Memory(request, launches)
        self.results, self.arena_bytes = memory.results, memory.arena_bytes
        self.made = [memory.form(name) for name in self.results]
        place = {name: i for i, name in enumerate(self.results)}
        # Of a None that stands behind the results where nobody asked.
        order = None if request.order is None else [place.get(name, len(place)) for name in request.order]
        self._order = None if order == [*range(len(place))] else order
        self._dims = {domain: (ctypes.c_int32 * len(names))(*(extents[name] for name in names)) for domain, names in plan.dims.items()}
        self._offset_bytes = ctypes.c_int32(request.offset_bytes)
        self.main, self.side = ctypes.c_void_p(), ctypes.c_void_p()
        self._configs, self._maps, self._keep = [], {}, []
        # What a graph of this program consists of.
        self._nodes = []
        self._stream = None
        self._pointers = self._base = None
        self._start, self.ops = [], []
        self._zero_ops()
        (self._start if request.keeps_tables else self.ops).extend(self._table_op(kernels, table) for table in plan.table_kernels)
        if request.keeps_tables:
            self._nodes.clear()
        self._program_ops(kernels)
        self._map_list = [(made, *memory.source(name)) for (name, _), made in self._maps.items()]
        self._graphs = Graphs([] if self._checks or memory.zeros else self._nodes, launches.before)
        self._table_memory, self._table_event, self._table_streams = None, None, set()

    # Operations: pairs of a function of the driver and its arguments, made once

    def _launch_op(self, key, name, function, grid, block, shared, params, sources, queue, early=False):
        if grid[0] > 2 ** 31 - 1 or grid[1] > 65535 or grid[2] > 65535:
            raise LmoecError(f"{self.plan.scan}: {name} would need a grid of {grid} blocks", "split the call: fewer heads, or fewer tokens")
        config = cuda.LaunchConfig(*grid, block, 1, 1, shared)
        if early:
            config.attributes, config.count = ctypes.addressof(cuda.EARLY), 1
        self._configs.append((config, queue))
        pointers = (ctypes.c_void_p * len(params))(*params)
        self._keep += [pointers]
        self._nodes.append(Node(key, function, config, pointers, sources))
        return driver().cuLaunchKernelEx, (ctypes.byref(config), function, ctypes.byref(pointers), None), (name, grid)

    def _table_op(self, kernels, table):
        params, sources = [self._param(arg) for arg in table["args"]], {self._memory.handed["%offsets"], ARENA}
        name = table["name"]
        return self._launch_op(START, name, kernels[name], (1, 1, 1), table["block"], table["sharedBytes"], params, sources, 0)

    def _program_ops(self, kernels):
        launches, streams = self._launches, (self.main, self.side)
        awaited = {wait for i in range(len(launches.all)) for wait in launches.all[i]["waits"]} if not launches.one_queue else set()
        events = {}
        # Queues whose last operation is a kernel of ours: the next one waits for it by itself, if it can.
        overlaps = (EARLY == "1" or EARLY != "0" and launches.few) and self.plan.json.get("overlaps", False)
        # Tables are ours.
        ours = {0} if self.plan.table_kernels and not self.request.keeps_tables else set()
        def record(key, queue):
            events[key] = cuda.Event()
            self.ops.append((driver().cuEventRecord, (events[key].event, streams[queue]), ("an event", None)))
        def wait(key, queue):
            ours.discard(queue)
            self.ops.append((driver().cuStreamWaitEvent, (streams[queue], events[key].event, 0), ("an event", None)))
        beside = [i for i in launches.kept if launches.queue(i) == 1]
        # The second queue begins after what came before the program, and ends before what comes after: where no launch sees to it, an event does.
        # A launch that is left out still says that the queue has come so far, to those that wait for it.
        second = [i for i in range(len(launches.all)) if launches.queue(i) == 1 and (i in launches.kernels or i in awaited)]
        if beside and START in launches.begins(second[0]):
            record("fork", 0)
            wait("fork", 1)
        for i in range(len(launches.all)):
            queue = launches.queue(i)
            if not launches.one_queue:
                for other in launches.all[i]["waits"]:
                    wait(other, queue)
            if i in launches.kernels:
                kernel = launches.kernels[i]
                grid = tuple(product(factors, self.request.extents) for factors in kernel["grid"])
                # A call with nothing to do has an empty grid, which the driver refuses.
                if 0 not in grid:
                    params = [self._param(arg) for arg in kernel["args"]]
                    function, block, shared = kernels[kernel["name"]], kernel["block"], kernel["sharedBytes"]
                    sources = {self._place_of(arg) for arg in kernel["args"]}
                    early = overlaps and queue in ours
                    self.ops.append(self._launch_op(i, kernel["name"], function, grid, block, shared, params, sources, queue, early))
                    ours.add(queue)
            if i in awaited:
                record(i, queue)
        if beside and not launches.joined(beside[-1]):
            record("join", 1)
            wait("join", 0)
        self._keep.append(events)

    def _param(self, arg):
        match arg["kind"]:
            case "tensor":
                return self._memory.slot_address(self._launches.place(arg["tensor"]))
            case "table":
                return self._memory.slot_address(f"%{arg['table']}")
            case "dims":
                return ctypes.addressof(self._dims[arg["domain"]])
            case "offsets":
                return self._memory.slot_address("%offsets")
            case "offsetBytes":
                return ctypes.addressof(self._offset_bytes)
            case "strides":
                return self._distances(arg["tensor"])
            case "tensorMap":
                key = (self._launches.place(arg["tensor"]), tuple(arg["box"]))
                if key not in self._maps:
                    tensor = self.plan.tensors[key[0]]
                    shape, apart = list(self._memory.shape(key[0])), self.request.distances.get(key[0])
                    self._maps[key] = TensorMap(f"{key[0]} of {self.plan.scan}", tensor["dtype"], shape, arg["box"], apart)
                return self._maps[key].at
        raise LmoecError(f"{self.plan.scan}: an argument of the kind {arg['kind']}", "this plan is not for CUDA: build it again")

    def _place_of(self, arg):
        """Where an argument has its address from: an index among those handed over, or the arena, or nothing that changes."""
        name = self._launches.place(arg["tensor"]) if "tensor" in arg else f"%{arg.get('table', arg['kind'])}"
        return self._memory.handed.get(name, ARENA if name in self._memory.in_arena else None)

    def _distances(self, name):
        """Elements between two tokens and between two heads, as kernels take them."""
        shape = self._memory.shape(name)
        cell = math.prod(shape[len(shape) - len(self.plan.tensors[name]["axes"]):])
        pair = (ctypes.c_int32 * 2)(*self.request.distances.get(name, (math.prod(shape[1:]), cell)))
        self._keep.append(pair)
        return ctypes.addressof(pair)

    def _zero_ops(self):
        memory, self._zero_refs = self._memory, []
        for name in memory.zeros:
            at = ctypes.c_void_p()
            self._zero_refs.append((at, memory.places[name]))
            self.ops.append((driver().cuMemsetD8Async, (at, 0, ctypes.c_size_t(memory.sizes[name]), self.main), (f"zeros for {name}", None)))

    # A call

    def _use_stream(self, main):
        self._stream = main
        self.main.value = main
        # The legacy stream has the handle 0, which ctypes calls None.
        side = self.side.value = None if self._launches.one_queue else cuda.side_stream(self.index, main)
        for config, queue in self._configs:
            config.stream = side if queue else main

    def _use_tables(self, main):
        """Makes the tables once, and lets streams that come later wait for them."""
        if self._table_memory is None:
            self._table_memory = self._memory.make_tables()
            self._table_event = cuda.Event()
            self._run(self._start)
            check(driver().cuEventRecord(self._table_event.event, self.main), "recording an event")
        else:
            check(driver().cuStreamWaitEvent(self.main, self._table_event.event, 0), "waiting for tables")
            host.record_use(self._table_memory, self.index)
        self._table_streams.add(main)

    def __call__(self, pointers, offsets, capturing=False):
        """Launches on torch's current stream. `pointers`: of what is given and not None, in order. Returns the results."""
        made, _memory, base = self._take(pointers, offsets)
        main = host.current_stream(self.index)
        key = (main, base, *pointers)
        graph = None if capturing else self._graphs.known(key)
        if graph is None or graph.launch():
            self._point(pointers, base, main)
            if capturing or not self._graphs.launch(key, pointers, base):
                self._run(self.ops)
        if self._order is None:
            return tuple(made)
        made.append(None)
        return tuple([made[at] for at in self._order])

    def ready(self, pointers, offsets):
        """Results and workspaces of a call, which parameters point to from here on."""
        made, memory, base = self._take(pointers, offsets)
        self._point(pointers, base, host.current_stream(self.index))
        return made, memory

    def _take(self, pointers, offsets):
        """Results and workspaces of a call; `pointers` has all addresses from here on."""
        empty = host.empty
        made = [empty(*form) for form in self.made]
        kept = None
        if self.request.leaves:
            kept = empty((self.request.kept_bytes,), (1,), host.torch.uint8)
        elif self.request.kept_bytes is not None:
            kept = pointers.pop()
        pointers += [tensor.data_ptr() for tensor in made]
        if kept is not None:
            at = kept if isinstance(kept, int) else kept.data_ptr()
            pointers += [at + place for place in self._memory.kept]
            if self.request.leaves:
                made.append(kept)
        pointers.append(offsets)
        # Workspaces are torch's memory, for this call alone; a step has none.
        memory = empty((self.arena_bytes,), (1,), host.torch.uint8) if self.arena_bytes else None
        if self._checks:
            for tensor in (*made, *(() if memory is None else (memory,))):
                # NaN in every element type.
                tensor.reshape(-1).view(host.torch.uint8).fill_(255)
        return made, memory, None if memory is None else memory.data_ptr()

    def _point(self, pointers, base, main):
        """Writes what has changed into the parameters."""
        if pointers != self._pointers:
            self._memory.hand(pointers)
            self._pointers = pointers
        if base != self._base:
            self._memory.move(base)
            for at, place in self._zero_refs:
                at.value = base + place
            self._base = base
        for made_map, source, place in self._map_list:
            # Without memory for workspaces all of them are empty.
            address = (base or 0) + place if source < 0 else pointers[source]
            if address != made_map.pointer:
                made_map.point(address)
        if main != self._stream:
            self._use_stream(main)
        if self.request.keeps_tables and main not in self._table_streams:
            self._use_tables(main)

    def _run(self, ops):
        for function, args, what in ops:
            code = function(*args)
            if code:
                self._again(code, function, args, what)
            if self._checks and not host.capturing():
                check(driver().cuCtxSynchronize(), f"{self.plan.scan}: running {what[0]}")

    def _again(self, code, function, args, what):
        """A thread that has launched nothing yet may have no context."""
        if code == cuda.INVALID_CONTEXT:
            cuda.ensure_context(self.index)
            code = function(*args)
        if code:
            self._explain(code, what)

    def _explain(self, code, what):
        name, grid = what
        extents = ", ".join(f"{key} {value}" for key, value in self.request.extents.items())
        where = f", grid {grid}" if grid else ""
        check(code, f"{self.plan.scan}: launching {name} of {self.request.program} on device {self.index}{where}, with {extents}")
