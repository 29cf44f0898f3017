"""A program made ready for one device and one set of extents: all that a launch needs lies packed, a call writes only what has changed."""
import ctypes, math, os, struct

from . import _driver as cuda
from . import _host as host
from ._driver import LmoecError, TensorMap, check, driver
from ._graph import ARENA, Graph, Node
from ._plan import START, Launches, apart, arena, product, tensor_bytes

ONE_QUEUE = os.environ.get("LMOEC_QUEUES") == "1"
CHECK = os.environ.get("LMOEC_CHECK") == "1"
# A graph runs once at a time, so each stream has its own, which is told where things lie; with more streams than this, kernels are launched one by one.
MOST_GRAPHS = 0 if os.environ.get("LMOEC_GRAPHS") == "0" else 4
# Layers of a model come with the same addresses step by step: what comes again has a graph that nobody needs to tell. With more than this the oldest is told.
MOST_LAYERS = 64


class Request:
    """What distinguishes a call from others that can use the same memory layout."""

    def __init__(self, plan, program, given, absent, wanted, in_place, lead, extents, offset_bytes, keeps_tables, distances=None, order=None):
        """`given`: names of the tensors that a call hands over, in order; `absent`: those among them that are None.
        `wanted`: results that somebody asked for; those among `given` are written where they lie. `order`: of results, if not that; None among them: nobody
        asked. `lead`: what users see in the place of `tokens`. `offset_bytes`: of one number in cu_seqlens; 0 where sequences are equally long.
        `keeps_tables`: they stay on the device from call to call. `distances`: elements between tokens and between heads of given tensors with gaps."""
        self.plan, self.program, self.given, self.absent, self.wanted, self.in_place = plan, program, given, absent, wanted, in_place
        self.lead, self.extents, self.offset_bytes, self.keeps_tables = lead, extents, offset_bytes, keeps_tables
        self.distances, self.order = distances or {}, order


class Bound:
    def __init__(self, request, kernels, index):
        plan, extents = request.plan, request.extents
        self.request, self.index, self.plan, self._checks = request, index, plan, CHECK
        self._launches = launches = Launches(plan, request.program, request.wanted, extents, ONE_QUEUE)
        aliases = {name: plan.in_place[name] for name in request.wanted if name in plan.in_place} if request.in_place else {}
        aliases.update({name: name for name in request.wanted if name in request.given})
        self.results = [name for name in request.wanted if name not in aliases]
        self.made = [self._form(name) for name in self.results]
        place = {name: i for i, name in enumerate(self.results)}
        self._order = None if request.order is None else [place.get(name) for name in request.order]
        self._place_memory(aliases)
        self._dims = {domain: (ctypes.c_int32 * len(names))(*(extents[name] for name in names)) for domain, names in plan.dims.items()}
        self._offset_bytes = ctypes.c_int32(request.offset_bytes)
        self.main, self.side = ctypes.c_void_p(), ctypes.c_void_p()
        self._configs, self._maps, self._keep = [], {}, []
        # What a graph of this program consists of, and graphs by stream; None where a stream has had one call, which launches kernels one by one.
        self._nodes, self._graphs = [], {}
        # Graphs by stream and addresses; those that have come once.
        self._layers, self._met = {}, set()
        self._stream = None
        self._pointers = self._base = None
        self._start, self.ops = [], []
        if self._memory_zeros:
            self._zero_ops()
        (self._start if request.keeps_tables else self.ops).extend(self._table_op(kernels, table) for table in plan.table_kernels)
        if request.keeps_tables:
            self._nodes.clear()
        self._program_ops(kernels)
        self._map_list = [(made, *self._source(name)) for (name, _), made in self._maps.items()]
        self._table_memory, self._table_event, self._table_streams = None, None, set()

    # Memory

    def _shape(self, name):
        return tuple(extent if isinstance(extent, int) else self.request.extents[extent] for extent in self.plan.tensors[name]["shape"])

    def _form(self, name):
        """Shape as the user sees it, strides, dtype."""
        tensor, shape = self.plan.tensors[name], self._shape(name)
        if self.plan.per_token(tensor["shape"]):
            shape = (*self.request.lead, *shape[1:])
        strides, n = [], 1
        for extent in reversed(shape):
            strides.append(n)
            n *= extent
        return shape, tuple(reversed(strides)), host.DTYPES[tensor["dtype"]]

    def _place_memory(self, aliases):
        """Slots of a table of addresses: what a call hands over, its results, the offsets of its sequences; what lies in the arena; tables that stay; and
        one that is null, for final states that nobody wants."""
        request, launches, plan = self.request, self._launches, self.plan
        mapped = {launches.place(arg["tensor"]) for kernel in launches.kernels.values() for arg in kernel["args"] if arg["kind"] == "tensorMap"}
        null = {name for name, tensor in plan.tensors.items() if tensor.get("optional") and name not in mapped}
        handed = [*request.given, *self.results, "%offsets"]
        self._handed = {name: i for i, name in enumerate(handed) if name not in request.absent or name in null}
        self._handed.update({name: self._handed[initial] for name, initial in aliases.items()})
        self._handed_count = len(handed)
        used = {launches.place(arg["tensor"]): None for i in launches.kept for arg in launches.kernels[i]["args"] if "tensor" in arg}
        self._null = null.difference(self._handed)
        sizes = {name: tensor_bytes(plan.tensors[name], request.extents) for name in used if name not in self._handed and name not in null}
        users = {name: launches.users(name) for name in sizes}
        # Zeros are written before everything.
        self._memory_zeros = [name for name in sizes if name in request.absent]
        for name in self._memory_zeros:
            users[name] = [START, *users[name]]
        table_sizes = {f"%{name}": max(1, request.extents[name]) * len(table["columns"]) * 4 for name, table in plan.tables.items()}
        # Those that launches of the program make are of one call.
        kept = {f"%{name}": table_sizes[f"%{name}"] for name, table in plan.tables.items() if request.keeps_tables and "kernel" in table}
        self._table_places, self.table_bytes = arena(kept, {name: list(kept) for name in kept})
        called = {name: size for name, size in table_sizes.items() if name not in kept}
        sizes.update(called)
        users.update({name: [START, *launches.kept] for name in called})
        self._places, self.arena_bytes = arena(sizes, apart(launches, users))
        self._sizes = sizes
        self._arena_slots = {name: self._handed_count + i for i, name in enumerate(self._places)}
        tables = self._handed_count + len(self._places)
        self._table_slots = {name: tables + i for i, name in enumerate(kept)}
        self._slots = (ctypes.c_uint64 * (tables + len(kept) + 1))()
        self._handed_format = struct.Struct(f"={self._handed_count}Q")
        self._arena_format = struct.Struct(f"={len(self._places)}Q")
        self._arena_offsets = list(self._places.values())

    def _slot(self, name):
        for known in (self._handed, self._arena_slots, self._table_slots):
            if name in known:
                return known[name]
        if name in self._null:
            return len(self._slots) - 1
        raise LmoecError(f"{self.plan.scan}: {name} was neither given nor made", "this plan is inconsistent: build it again")

    def _source(self, name):
        """Index among the addresses handed over, or -1 and the place in the arena."""
        return (self._handed[name], 0) if name in self._handed else (-1, self._places[name])

    # Operations: pairs of a function of the driver and its arguments, made once

    def _launch_op(self, key, name, function, grid, block, shared, params, sources, queue):
        if grid[0] > 2 ** 31 - 1 or grid[1] > 65535 or grid[2] > 65535:
            raise LmoecError(f"{self.plan.scan}: {name} would need a grid of {grid} blocks", "split the call: fewer heads, or fewer tokens")
        config = cuda.LaunchConfig(*grid, block, 1, 1, shared)
        self._configs.append((config, queue))
        pointers = (ctypes.c_void_p * len(params))(*params)
        self._keep += [pointers]
        self._nodes.append(Node(key, function, config, pointers, sources))
        return driver().cuLaunchKernelEx, (ctypes.byref(config), function, ctypes.byref(pointers), None), (name, grid)

    def _slot_address(self, name):
        return ctypes.addressof(self._slots) + 8 * self._slot(name)

    def _table_op(self, kernels, table):
        params, sources = [self._param(arg) for arg in table["args"]], {self._handed["%offsets"], ARENA}
        name = table["name"]
        return self._launch_op(START, name, kernels[name], (1, 1, 1), table["block"], table["sharedBytes"], params, sources, 0)

    def _program_ops(self, kernels):
        launches, streams = self._launches, (self.main, self.side)
        awaited = {wait for i in range(len(launches.all)) for wait in launches.all[i]["waits"]} if not launches.one_queue else set()
        events = {}
        def record(key, queue):
            events[key] = cuda.Event()
            self.ops.append((driver().cuEventRecord, (events[key].event, streams[queue]), ("an event", None)))
        def wait(key, queue):
            self.ops.append((driver().cuStreamWaitEvent, (streams[queue], events[key].event, 0), ("an event", None)))
        beside = [i for i in launches.kept if launches.queue(i) == 1]
        # The second queue begins after what came before the program, and ends before what comes after: where no launch sees to it, an event does.
        if beside and START in launches.begins(beside[0]):
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
                    self.ops.append(self._launch_op(i, kernel["name"], function, grid, block, shared, params, sources, queue))
            if i in awaited:
                record(i, queue)
        if beside and not launches.joined(beside[-1]):
            record("join", 1)
            wait("join", 0)
        self._keep.append(events)

    def _param(self, arg):
        match arg["kind"]:
            case "tensor":
                return self._slot_address(self._launches.place(arg["tensor"]))
            case "table":
                return self._slot_address(f"%{arg['table']}")
            case "dims":
                return ctypes.addressof(self._dims[arg["domain"]])
            case "offsets":
                return self._slot_address("%offsets")
            case "offsetBytes":
                return ctypes.addressof(self._offset_bytes)
            case "strides":
                return self._distances(arg["tensor"])
            case "tensorMap":
                key = (self._launches.place(arg["tensor"]), tuple(arg["box"]))
                if key not in self._maps:
                    tensor = self.plan.tensors[key[0]]
                    shape, apart = list(self._shape(key[0])), self.request.distances.get(key[0])
                    self._maps[key] = TensorMap(f"{key[0]} of {self.plan.scan}", tensor["dtype"], shape, arg["box"], apart)
                return self._maps[key].at
        raise LmoecError(f"{self.plan.scan}: an argument of the kind {arg['kind']}", "this plan is not for CUDA: build it again")

    def _place_of(self, arg):
        """Where an argument has its address from: an index among those handed over, or the arena, or nothing that changes."""
        name = self._launches.place(arg["tensor"]) if "tensor" in arg else f"%{arg.get('table', arg['kind'])}"
        return self._handed.get(name, ARENA if name in self._arena_slots else None)

    def _distances(self, name):
        """Elements between two tokens and between two heads, as kernels take them."""
        shape = self._shape(name)
        cell = math.prod(shape[len(shape) - len(self.plan.tensors[name]["axes"]):])
        pair = (ctypes.c_int32 * 2)(*self.request.distances.get(name, (math.prod(shape[1:]), cell)))
        self._keep.append(pair)
        return ctypes.addressof(pair)

    def _zero_ops(self):
        self._zero_refs = []
        for name in self._memory_zeros:
            at = ctypes.c_void_p()
            self._zero_refs.append((at, self._places[name]))
            self.ops.append((driver().cuMemsetD8Async, (at, 0, ctypes.c_size_t(self._sizes[name]), self.main), (f"zeros for {name}", None)))

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
            self._table_memory = host.empty((self.table_bytes,), (1,), host.torch.uint8)
            base = self._table_memory.data_ptr()
            for name, place in self._table_places.items():
                self._slots[self._table_slots[name]] = base + place
            self._table_event = cuda.Event()
            self._run(self._start)
            check(driver().cuEventRecord(self._table_event.event, self.main), "recording an event")
        else:
            check(driver().cuStreamWaitEvent(self.main, self._table_event.event, 0), "waiting for tables")
            host.record_use(self._table_memory, self.index)
        self._table_streams.add(main)

    def __call__(self, pointers, offsets, capturing=False):
        """Launches on torch's current stream. `pointers`: of what is given, in order. Returns the results."""
        made, _memory, base = self._take(pointers, offsets)
        main = host.current_stream(self.index)
        key = (main, base, *pointers)
        graph = None if capturing else self._layers.get(key)
        if graph is None or graph.launch():
            self._point(pointers, base, main)
            if capturing or not self._by_graph(key):
                self._run(self.ops)
        return tuple(made) if self._order is None else tuple([None if at is None else made[at] for at in self._order])

    def _by_graph(self, key):
        """Launches everything at once, from the second call on that a stream makes. Gives whether it did."""
        if self._checks or self._memory_zeros or not self._nodes:
            return False
        # What could not be launched is launched one by one: then the kernel that is wrong has a name.
        if self._layers.pop(key, None) is not None:
            return False
        graph = self._graphs.get(self._stream, self)
        if graph is self:
            if len(self._graphs) < MOST_GRAPHS:
                self._graphs[self._stream] = None
            return False
        if key in self._met:
            graph = self._made() if len(self._layers) < MOST_LAYERS else self._layers.pop(next(iter(self._layers)))
        else:
            if len(self._met) > 4 * MOST_LAYERS:
                self._met.clear()
            self._met.add(key)
            graph = self._graphs[self._stream] = graph or self._made()
        if graph.turn(self._stream, self._pointers, self._base) or graph.launch():
            self._graphs.pop(self._stream, None)
            return False
        if graph is not self._graphs[self._stream]:
            self._layers[key] = graph
        return True

    def _made(self):
        return Graph(self._nodes, self._launches.before, self._stream, self._pointers, self._base)

    def ready(self, pointers, offsets):
        """Results and workspaces of a call, which parameters point to from here on."""
        made, memory, base = self._take(pointers, offsets)
        self._point(pointers, base, host.current_stream(self.index))
        return made, memory

    def _take(self, pointers, offsets):
        """Results and workspaces of a call; `pointers` has all addresses from here on."""
        made = [host.empty(*form) for form in self.made]
        # Workspaces are torch's memory, for this call alone; a step has none.
        memory = host.empty((self.arena_bytes,), (1,), host.torch.uint8) if self.arena_bytes else None
        if self._checks:
            for tensor in (*made, *(() if memory is None else (memory,))):
                # NaN in every element type.
                tensor.reshape(-1).view(host.torch.uint8).fill_(255)
        pointers += [tensor.data_ptr() for tensor in made]
        pointers.append(offsets)
        return made, memory, memory.data_ptr() if memory is not None else None

    def _point(self, pointers, base, main):
        """Writes what has changed into the parameters."""
        if pointers != self._pointers:
            self._handed_format.pack_into(self._slots, 0, *pointers)
            self._pointers = pointers
        if base != self._base:
            self._arena_format.pack_into(self._slots, 8 * self._handed_count, *[base + place for place in self._arena_offsets])
            for at, place in self._zero_refs if self._memory_zeros else ():
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
