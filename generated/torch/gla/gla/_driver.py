"""The CUDA driver by ctypes: no compiler, no extension of torch, nothing before the first call."""
import ctypes, os, threading, weakref

from . import _host as host

MAX_DYNAMIC_SHARED = 8
NON_BLOCKING, NO_TIMING = 1, 2
INVALID_VALUE, NOT_INITIALIZED, INVALID_CONTEXT = 1, 3, 201
OUT_OF_MEMORY, NO_DEVICE, INVALID_IMAGE, NO_BINARY, PTX_VERSION, INVALID_PTX = 2, 100, 200, 209, 222, 218
NO_PTX_COMPILER, PTX_FORBIDDEN = 221, 223
# Kernels are given to a device as a library, which is CUDA 12's.
OLDEST = 12000


class LmoecError(RuntimeError):
    """What is wrong, and what to do about it."""

    def __init__(self, message, remedy):
        super().__init__(f"{message}: {remedy}")
        self.remedy = remedy


class LaunchConfig(ctypes.Structure):
    """CUlaunchConfig."""
    _fields_ = [(name, ctypes.c_uint) for name in ("gx", "gy", "gz", "bx", "by", "bz", "shared")] + [
        ("stream", ctypes.c_void_p), ("attributes", ctypes.c_void_p), ("count", ctypes.c_uint)]


class LaunchAttribute(ctypes.Structure):
    """CUlaunchAttribute."""
    _fields_ = [("id", ctypes.c_uint), ("pad", ctypes.c_uint), ("value", ctypes.c_int), ("rest", ctypes.c_uint * 15)]


# A kernel may begin before the one in front of it in the stream has ended (CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION).
EARLY = LaunchAttribute(6, 0, 1)


REMEDIES = {
    OUT_OF_MEMORY: "free tensors, or make the batch smaller",
    NO_DEVICE: "check nvidia-smi and CUDA_VISIBLE_DEVICES",
    NOT_INITIALIZED: "start worker processes with the method `spawn`: a forked process cannot use CUDA",
    INVALID_IMAGE: "update the NVIDIA driver, or build with an older CUDA toolkit",
    NO_BINARY: "build for this device (lmoec build --target)",
    PTX_VERSION: "update the NVIDIA driver, or build with an older CUDA toolkit",
    INVALID_PTX: "update the NVIDIA driver, or build with an older CUDA toolkit",
    700: "an address outside of a tensor was used: LMOEC_CHECK=1 names the kernel",
}

_library = None
_forked = False
_lock = threading.Lock()
# What holds handles of the driver and must forget them in a forked process.
holders = weakref.WeakSet()


def _after_fork():
    global _forked
    _forked = _library is not None
    for holder in list(holders):
        holder.forget()


os.register_at_fork(after_in_child=_after_fork)


def usable():
    """May handles be given back? Not in a forked process, nor where nothing was opened."""
    return _library is not None and not _forked


def driver():
    """libcuda.so.1, ready."""
    global _library
    if _forked:
        raise LmoecError("this process was forked after CUDA was used", REMEDIES[NOT_INITIALIZED])
    if _library is None:
        with _lock:
            if _library is None:
                _library = _open()
    return _library


def _open():
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise LmoecError(f"no CUDA driver ({error})", "install an NVIDIA driver, or set LMOEC_BACKEND=reference") from None
    version = ctypes.c_int()
    check(library.cuInit(0), "starting CUDA", library)
    check(library.cuDriverGetVersion(ctypes.byref(version)), "reading the version of the driver", library)
    if version.value < OLDEST:
        found = f"{version.value // 1000}.{version.value % 1000 // 10}"
        raise LmoecError(f"the NVIDIA driver is for CUDA {found}", "update it: kernels need a driver for CUDA 12.0 or later (525 or later)")
    # So that addresses go there as the numbers that they are.
    library.cuTensorMapReplaceAddress.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    return library


def error_name(code, library=None):
    name = ctypes.c_char_p()
    (library or _library).cuGetErrorName(code, ctypes.byref(name))
    return name.value.decode() if name.value else f"error {code}"


def check(code, doing, library=None):
    if code != 0:
        remedy = REMEDIES.get(code, "see doctor() of this package for the state of the device")
        raise LmoecError(f"{doing}: {error_name(code, library)}", remedy)


def handle():
    return ctypes.c_void_p()


def ensure_context(index):
    """Gives this thread the context that torch uses on a device, which is the current one of torch."""
    library, context = driver(), handle()
    check(library.cuCtxGetCurrent(ctypes.byref(context)), "finding the context")
    if not context:
        device = ctypes.c_int()
        check(library.cuDeviceGet(ctypes.byref(device), index), f"opening device {index}")
        check(library.cuDevicePrimaryCtxRetain(ctypes.byref(context), device), f"opening device {index}")
        check(library.cuCtxSetCurrent(context), f"opening device {index}")


class Side:
    """The stream of the second queue, beside a stream of torch: one for each stream and thread, so that a capture meets no other work."""

    def __init__(self):
        self.stream = handle()
        check(driver().cuStreamCreate(ctypes.byref(self.stream), NON_BLOCKING), "making a stream")

    def __del__(self):
        if self.stream and usable():
            _library.cuStreamDestroy(self.stream)


_sides = threading.local()


def side_stream(index, main):
    """Handle of the side stream of this thread for the stream `main` of a device."""
    known = _sides.__dict__
    side = known.get((index, main))
    if side is None:
        side = known[index, main] = Side()
    return side.stream.value


class Event:
    def __init__(self):
        self.event = handle()
        check(driver().cuEventCreate(ctypes.byref(self.event), NO_TIMING), "making an event")

    def __del__(self):
        if self.event and usable():
            _library.cuEventDestroy(self.event)


_MAP_TYPE = {"f16": 6, "f32": 7, "bf16": 9}
_MAP_SWIZZLE = {32: 1, 64: 2, 128: 3}
_MAP_BYTES = 128
ELEMENT = {"bf16": 2, "f16": 2, "f32": 4, "i32": 4}


class TensorMap:
    """A CUtensorMap (cuTensorMapEncodeTiled): how the copy engine reads a tensor. `box`: what one copy moves, innermost axis first."""

    def __init__(self, name, dtype, shape, box, distances=None):
        """`distances`: elements between tokens and between heads, where the tensor has gaps."""
        self.name, self.dtype, self.box = name, dtype, box
        # On a boundary of 64 bytes, as the driver wants it.
        self._memory = ctypes.create_string_buffer(_MAP_BYTES + 64)
        self.at = (ctypes.addressof(self._memory) + 63) // 64 * 64
        self.pointer = None
        axes = shape[::-1]
        outermost = 1
        for extent in axes[len(box) - 1:]:
            outermost *= extent
        self.dims = [*axes[:len(box) - 1], outermost]
        self.strides, size = [], ELEMENT[dtype]
        for extent in self.dims[:-1]:
            size *= extent
            self.strides.append(size)
        if distances is not None:
            self.strides = [ELEMENT[dtype] * distance for distance in reversed(distances)][3 - len(box):]

    def point(self, pointer):
        """The tensor has moved."""
        # The driver describes nothing empty; no block will ask for a copy of it.
        if 0 in self.dims:
            return
        if self.pointer is None:
            library, self._replace = driver(), driver().cuTensorMapReplaceAddress
            longs, ints, n = lambda v: (ctypes.c_uint64 * len(v))(*v), lambda v: (ctypes.c_uint32 * len(v))(*v), len(self.dims)
            swizzle = _MAP_SWIZZLE.get(self.box[0] * ELEMENT[self.dtype], 0)
            code = library.cuTensorMapEncodeTiled(
                ctypes.c_void_p(self.at), _MAP_TYPE[self.dtype], n, ctypes.c_void_p(pointer), longs(self.dims), longs(self.strides),
                ints(self.box), ints([1] * n), 0, swizzle, 2, 0)
        else:
            code = self._replace(self.at, pointer)
        if code:
            check(code, f"describing {self.name} to the copy engine")
        self.pointer = pointer


def describe_device(index):
    major, minor = host.capability(index)
    return f"{host.device_name(index)} (compute capability {major}.{minor})"
