"""A program as one executable graph of the driver: one launch for all its kernels, of which those are told anew whose addresses have changed."""
import ctypes, os
from functools import partial

from . import _driver as cuda
from ._driver import check, driver, handle

# A source of addresses beside the tensors that a call hands over: its workspaces.
ARENA = -1
# A graph runs once at a time, so each stream has its own, which is told where things lie; with more streams than this, kernels are launched one by one.
MOST_GRAPHS = 0 if os.environ.get("LMOEC_GRAPHS") == "0" else 4
# Layers of a model come with the same addresses step by step: what comes again has a graph that nobody needs to tell. With more than this the oldest is told.
MOST_LAYERS = 64


class Node:
    """A kernel with its packed parameters. `sources`: which of the addresses handed over are among them, by index."""

    def __init__(self, key, function, config, pointers, sources):
        self.key, self.sources = key, sources
        shape = (config.gx, config.gy, config.gz, config.bx, config.by, config.bz, config.shared)
        self.params = Params(function, *shape, ctypes.cast(pointers, ctypes.c_void_p))


class Params(ctypes.Structure):
    """CUDA_KERNEL_NODE_PARAMS_v2."""
    _fields_ = [("function", ctypes.c_void_p)] + [(name, ctypes.c_uint) for name in ("gx", "gy", "gz", "bx", "by", "bz", "shared")] + [
        (name, ctypes.c_void_p) for name in ("pointers", "extra", "kernel", "context")]


class Graph:
    def __init__(self, nodes, before, stream, pointers, base):
        """`before`: keys of the nodes that have finished when a node begins. `pointers`, `base`: the addresses that parameters have now."""
        self._stream, self._pointers, self._base = ctypes.c_void_p(stream), pointers, base
        self._graph, self._exec = handle(), handle()
        check(driver().cuGraphCreate(ctypes.byref(self._graph), 0), "making a graph")
        made, self._tell, self._users = {}, [], {}
        tell = driver().cuGraphExecKernelNodeSetParams_v2
        for at, node in enumerate(nodes):
            earlier = before(node.key)
            direct = [key for key in made if key in earlier and not any(key in before(other) for other in earlier if other in made)]
            after = (ctypes.c_void_p * len(direct))(*(made[key] for key in direct))
            found = handle()
            count, params = ctypes.c_size_t(len(direct)), ctypes.byref(node.params)
            check(driver().cuGraphAddKernelNode_v2(ctypes.byref(found), self._graph, after, count, params), "adding a kernel to a graph")
            made[node.key] = found.value
            self._tell.append(partial(tell, self._exec, found, params))
            for source in node.sources:
                self._users.setdefault(source, []).append(at)
        check(driver().cuGraphInstantiateWithFlags(ctypes.byref(self._exec), self._graph, ctypes.c_ulonglong(0)), "making a graph ready")
        #: Runs all kernels; gives the driver's code.
        self.launch = partial(driver().cuGraphLaunch, self._exec, self._stream)

    def turn(self, stream, pointers, base):
        """Tells kernels the addresses that parameters have now; what is under way keeps those it was launched with. The driver's code."""
        stale = set(self._users.get(ARENA, ())) if base != self._base else set()
        for at, (new, old) in enumerate(zip(pointers, self._pointers)):
            if new != old:
                stale.update(self._users.get(at, ()))
        for at in stale:
            code = self._tell[at]()
            if code:
                return code
        self._stream.value, self._pointers, self._base = stream, pointers, base
        return 0

    def __del__(self):
        if cuda.usable():
            if self._exec:
                driver().cuGraphExecDestroy(self._exec)
            if self._graph:
                driver().cuGraphDestroy(self._graph)


class Graphs:
    """Those of one program. `nodes` and `before`: of all of them."""

    def __init__(self, nodes, before):
        self._nodes, self._before = nodes, before
        # By stream; None where a stream has had one call, which launches kernels one by one.
        self._of_streams = {}
        # By stream and addresses; and those that have come once.
        self._of_layers, self._met = {}, set()
        #: The graph of a stream and addresses, or None.
        self.known = self._of_layers.get

    def launch(self, key, pointers, base):
        """Launches everything at once, from the second call on that a stream makes. Gives whether it did. `key`: the stream, and all addresses."""
        # What could not be launched is launched one by one: then the kernel that is wrong has a name.
        if not self._nodes or self._of_layers.pop(key, None) is not None:
            return False
        stream = key[0]
        graph = self._of_streams.get(stream, self)
        if graph is self:
            if len(self._of_streams) < MOST_GRAPHS:
                self._of_streams[stream] = None
            return False
        again = key in self._met
        if again:
            graph = self._of_layers.pop(next(iter(self._of_layers))) if len(self._of_layers) >= MOST_LAYERS else None
        else:
            if len(self._met) > 4 * MOST_LAYERS:
                self._met.clear()
            self._met.add(key)
        graph = graph or Graph(self._nodes, self._before, stream, pointers, base)
        if graph.turn(stream, pointers, base) or graph.launch():
            self._of_streams.pop(stream, None)
            return False
        if again:
            self._of_layers[key] = graph
        else:
            self._of_streams[stream] = graph
        return True
