"""Where what a program touches lies: a table of addresses with a slot for each tensor and table, and one piece of memory for all workspaces of a call."""
import ctypes, struct

from . import _host as host
from ._driver import LmoecError
from ._plan import START, apart, arena, tensor_bytes


class Memory:
    """Slots: what a call hands over, its results, the offsets of its sequences; what lies in the arena; tables that stay; and one that is null, for states
    that nobody gave or wants."""

    def __init__(self, request, launches):
        plan = request.plan
        self.request = request
        #: Results that lie where something does that was given.
        self.aliases = {name: plan.in_place[name] for name in request.wanted if name in plan.in_place} if request.in_place else {}
        self.aliases.update({name: name for name in request.wanted if name in request.given})
        #: Of what is kept, which lies in one piece of memory that comes behind all others: places in it.
        self.kept = list(request.kept.values())
        self.results = [name for name in request.wanted if name not in self.aliases and name not in request.kept]
        mapped = {launches.place(arg["tensor"]) for kernel in launches.kernels.values() for arg in kernel["args"] if arg["kind"] == "tensorMap"}
        null = {name for name, tensor in plan.tensors.items() if tensor.get("optional") and name not in mapped}
        given = [name for name in request.given if name not in request.absent and name not in request.kept]
        handed = [*given, *self.results, *request.kept, "%offsets"]
        self.handed = {name: i for i, name in enumerate(handed)}
        self.handed.update({name: self.handed[initial] for name, initial in self.aliases.items()})
        used = {launches.place(arg["tensor"]): None for i in launches.kept for arg in launches.kernels[i]["args"] if "tensor" in arg}
        self._null = null.difference(self.handed)
        #: Bytes of what lies in the arena.
        self.sizes = {name: tensor_bytes(plan.tensors[name], request.extents) for name in used if name not in self.handed and name not in null}
        users = {name: launches.users(name) for name in self.sizes}
        # Zeros are written before everything.
        self.zeros = [name for name in self.sizes if name in request.absent]
        for name in self.zeros:
            users[name] = [START, *users[name]]
        tables = {f"%{name}": max(1, request.extents[name]) * len(table["columns"]) * 4 for name, table in plan.tables.items()}
        # Those that launches of the program make are of one call.
        kept = {f"%{name}": tables[f"%{name}"] for name, table in plan.tables.items() if request.keeps_tables and "kernel" in table}
        self._table_places, self._table_bytes = arena(kept, {name: list(kept) for name in kept})
        called = {name: size for name, size in tables.items() if name not in kept}
        self.sizes.update(called)
        users.update({name: [START, *launches.kept] for name in called})
        self.places, self.arena_bytes = arena(self.sizes, apart(launches, users))
        first = len(handed)
        self.in_arena = {name: first + i for i, name in enumerate(self.places)}
        self._table_slots = {name: first + len(self.places) + i for i, name in enumerate(kept)}
        self._slots = (ctypes.c_uint64 * (first + len(self.places) + len(kept) + 1))()
        self._handed_format, self._arena_format = struct.Struct(f"={first}Q"), struct.Struct(f"={len(self.places)}Q")
        self._arena_at, self._arena_offsets = 8 * first, list(self.places.values())

    # Shapes

    def shape(self, name):
        return tuple(extent if isinstance(extent, int) else self.request.extents[extent] for extent in self.request.plan.tensors[name]["shape"])

    def form(self, name):
        """Shape as the user sees it, strides, dtype."""
        tensor, shape = self.request.plan.tensors[name], self.shape(name)
        if self.request.plan.per_token(tensor["shape"]):
            shape = (*self.request.lead, *shape[1:])
        strides, n = [], 1
        for extent in reversed(shape):
            strides.append(n)
            n *= extent
        return shape, tuple(reversed(strides)), host.DTYPES[tensor["dtype"]]

    # Addresses

    def slot_address(self, name):
        return ctypes.addressof(self._slots) + 8 * self._slot(name)

    def _slot(self, name):
        for known in (self.handed, self.in_arena, self._table_slots):
            if name in known:
                return known[name]
        if name in self._null:
            return len(self._slots) - 1
        raise LmoecError(f"{self.request.plan.scan}: {name} was neither given nor made", "this plan is inconsistent: build it again")

    def source(self, name):
        """Index among the addresses handed over, or -1 and the place in the arena."""
        return (self.handed[name], 0) if name in self.handed else (-1, self.places[name])

    def hand(self, pointers):
        """Writes what a call hands over."""
        self._handed_format.pack_into(self._slots, 0, *pointers)

    def move(self, base):
        """The arena begins elsewhere."""
        self._arena_format.pack_into(self._slots, self._arena_at, *[base + place for place in self._arena_offsets])

    def make_tables(self):
        """Memory for tables that stay."""
        memory = host.empty((self._table_bytes,), (1,), host.torch.uint8)
        base = memory.data_ptr()
        for name, place in self._table_places.items():
            self._slots[self._table_slots[name]] = base + place
        return memory
