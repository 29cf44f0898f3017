"""Calls that look like an earlier one: torch compares all their tensors at once, and what was found out about those is used again."""
from functools import reduce
from operator import itemgetter, or_

from torch import Tensor

from . import _bound
from . import _host as host

# Calls that a way knows: layers of a model differ in few.
MOST_KNOWN = 8


class Known:
    """An earlier call, and where its program is ready."""

    def __init__(self, way, given, index, free):
        self._way, self._index, self._free = way, index, free
        present = [i for i, x in enumerate(given) if x is not None]
        self._absent = [i for i, x in enumerate(given) if x is None]
        # One index would give what stands there by itself.
        self._present = itemgetter(*present) if len(present) > 1 else itemgetter(slice(*present, present[0] + 1))
        self._alike = host.alike(self._present(given))
        self._offsets = None if way.cut is None or given[way.cut] is None else present.index(way.cut)

    def fits(self, given):
        """Are tensors as they were: types, dtypes, devices, sizes, strides, and who sees what is done with them?"""
        for i in self._absent:
            if given[i] is not None:
                return False
        return self._alike(*self._present(given))

    def __call__(self, given):
        """Results for what fits."""
        pointers = [*map(Tensor.data_ptr, self._present(given))]
        offsets = 0 if self._offsets is None else pointers.pop(self._offsets)
        if not reduce(or_, pointers) & 15 and host.current_device() == self._index and not host.capturing():
            try:
                bound = self._free.pop()
            except IndexError:
                bound = None
            if bound is not None:
                results = bound(pointers, offsets)
                self._free.append(bound)
                return results
        return self._way.anew(given)


class Way:
    """To a program with what is wanted of it. A call has its tensors in one list: arguments, offsets of sequences at `cut`
    (None: a program of single tokens, which takes none), cotangents."""

    def __init__(self, program, cut, wanted, in_place):
        self.cut, self._wanted, self._in_place, self._program = cut, wanted, in_place, program
        self.forget()

    def forget(self):
        self._known = ()

    def known(self, given):
        """An earlier call that looked the same, or None."""
        for known in self._known:
            if known.fits(given):
                return known
        return None

    def __call__(self, given):
        known = self.known(given)
        return self.anew(given) if known is None else known(given)

    def anew(self, given):
        cut = self.cut
        args, offsets, cotangents = (given, None, ()) if cut is None else (given[:cut], given[cut], given[cut + 1 :])
        remember = lambda index, free: self._remember(given, index, free)
        return self._program(args, cotangents, offsets, self._wanted, self._in_place, remember)

    def _remember(self, given, index, free):
        if _bound.CHECK or not host.plain(given):
            return
        known = Known(self, given, index, free)
        # One that does not even know its own tensors (one is there twice) knows none.
        if known.fits(given):
            self._known = (known, *[other for other in self._known if not other.fits(given)][: MOST_KNOWN - 1])
