"""A program as one executable graph of the driver: one launch for all its kernels, of which those are told anew whose addresses have changed."""
import ctypes

from . import _driver as cuda
from ._driver import check, driver, handle

# A source of addresses beside the tensors that a call hands over: its workspaces.
ARENA = -1


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
        made, self._nodes, self._users = {}, [], {}
        for at, node in enumerate(nodes):
            earlier = before(node.key)
            direct = [key for key in made if key in earlier and not any(key in before(other) for other in earlier if other in made)]
            after = (ctypes.c_void_p * len(direct))(*(made[key] for key in direct))
            found = handle()
            count, params = ctypes.c_size_t(len(direct)), ctypes.byref(node.params)
            check(driver().cuGraphAddKernelNode_v2(ctypes.byref(found), self._graph, after, count, params), "adding a kernel to a graph")
            made[node.key] = found.value
            self._nodes.append((found, ctypes.byref(node.params)))
            for source in node.sources:
                self._users.setdefault(source, []).append(at)
        check(driver().cuGraphInstantiateWithFlags(ctypes.byref(self._exec), self._graph, ctypes.c_ulonglong(0)), "making a graph ready")
        self._set, self._run = driver().cuGraphExecKernelNodeSetParams_v2, driver().cuGraphLaunch

    def turn(self, stream, pointers, base):
        """Tells kernels the addresses that parameters have now; what is under way keeps those it was launched with. The driver's code."""
        stale = set(self._users.get(ARENA, ())) if base != self._base else set()
        for at, (new, old) in enumerate(zip(pointers, self._pointers)):
            if new != old:
                stale.update(self._users.get(at, ()))
        for at in stale:
            code = self._set(self._exec, *self._nodes[at])
            if code:
                return code
        self._stream.value, self._pointers, self._base = stream, pointers, base
        return 0

    def launch(self):
        """Runs all kernels. The driver's code."""
        return self._run(self._exec, self._stream)

    def __del__(self):
        if cuda.usable():
            if self._exec:
                driver().cuGraphExecDestroy(self._exec)
            if self._graph:
                driver().cuGraphDestroy(self._graph)
