"""Lets the runtime of a package run on CPU tensors and a libcuda.so.1 of the tests (libcuda.cc)."""
import contextlib, ctypes, sys, threading

import torch

sys.path.insert(0, sys.argv[1])
from pkg import _driver, _host, _runtime  # noqa: E402

library = ctypes.CDLL("libcuda.so.1")
library.stub_record.restype = ctypes.c_char_p


class Torch:
    """What _host asks of torch, with a device 0 whose memory is the CPU's."""

    def __init__(self):
        self.thread = threading.local()
        # Work is done when somebody waits for it: memory must last until then, and be given out again soon after, as a caching allocator does.
        self.alive, self.capture, self.device, self.capabilities = [], False, 0, {0: (9, 0), 1: (9, 0)}
        self.elsewhere = set()
        self._alike = _host.alike

    def install(self, host=_host):
        names = "current_device current_stream capturing capability guard empty device_of device_name record_use beside alike available"
        for name in names.split():
            setattr(host, name, getattr(self, name))

    def current_device(self):
        return self.device

    def current_stream(self, index):
        return getattr(self.thread, "stream", 0)

    def capturing(self):
        return self.capture

    def capability(self, index):
        return self.capabilities[index]

    @contextlib.contextmanager
    def guard(self, index):
        before, self.device = self.device, index
        yield
        self.device = before

    def empty(self, shape, strides, dtype):
        made = torch.empty_strided(shape, strides, dtype=dtype)
        made.reshape(-1).view(torch.uint8).fill_(255)
        self.alive.append(made)
        return made

    def device_of(self, tensor):
        return -1 if id(tensor) in self.elsewhere else 0

    def alike(self, tensors):
        """As torch compares them, and on the devices that tests say they are on."""
        check, devices = self._alike(tensors), [_host.device_of(x) for x in tensors]
        return lambda *others: check(*others) and [_host.device_of(x) for x in others] == devices

    def available(self):
        return True

    def device_name(self, index):
        return "Stand-in"

    def record_use(self, tensor, index):
        pass

    def beside(self, tensor, other):
        self.alive.append(tensor.clone())
        return self.alive[-1]

    def wait(self, turn=0):
        library.stub_turn(turn)
        library.cuCtxSynchronize()
        self.alive.clear()


fake = Torch()
fake.install()


def record():
    lines = library.stub_record().decode().splitlines()
    library.stub_clear()
    return lines
