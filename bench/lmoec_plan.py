"""Runs a compiled plan (plan.json + kernel text) on torch tensors: what the benches and the device checks use.

    plan = Plan("dir/plan.json")
    out = plan.run("forward", {"q": q, ...}, cu_seqlens=None)   # tensors [B, T, H, ...]

Texts are compiled with NVRTC, without include paths, as the runtime of the package does.
"""
import ctypes, json, math, os
import torch

_cuda = ctypes.CDLL("libcuda.so.1")
_DTYPE = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32, "i32": torch.int32}


def _check(code, what):
    if code != 0:
        name = ctypes.c_char_p()
        _cuda.cuGetErrorName(code, ctypes.byref(name))
        raise RuntimeError(f"{what}: {name.value.decode() if name.value else code}")


def _tensor_map(x, shape, box):
    """A CUtensorMap of a tensor (cuTensorMapEncodeTiled), as plan.ts describes `box`: 128 bytes on a boundary of 64, as the driver wants them."""
    axes = list(reversed(shape))
    dims = axes[:len(box) - 1] + [math.prod(axes[len(box) - 1:])]
    strides = [math.prod(dims[:i + 1]) * x.element_size() for i in range(len(dims) - 1)]
    space = ctypes.create_string_buffer(192)
    made = (ctypes.c_char * 128).from_buffer(space, -ctypes.addressof(space) % 64)
    kind = {torch.float16: 6, torch.float32: 7, torch.bfloat16: 9}[x.dtype]
    swizzle = {32: 1, 64: 2, 128: 3}.get(box[0] * x.element_size(), 0)
    n = len(dims)
    longs, ints = lambda v: (ctypes.c_uint64 * len(v))(*v), lambda v: (ctypes.c_uint32 * len(v))(*v)
    code = _cuda.cuTensorMapEncodeTiled(ctypes.byref(made), kind, n, ctypes.c_void_p(x.data_ptr()), longs(dims), longs(strides), ints(box), ints([1] * n), 0, swizzle, 2, 0)
    _check(code, "cuTensorMapEncodeTiled")
    return made


def _nvrtc():
    import glob
    roots = [os.environ.get("LMOEC_NVRTC")] + ["libnvrtc.so.13", "libnvrtc.so.12"]
    try:
        import nvidia
        for root in nvidia.__path__:
            roots += sorted(glob.glob(os.path.join(root, "**", "libnvrtc.so.1?"), recursive=True))
    except ImportError:
        pass
    for root in filter(None, roots):
        try:
            return ctypes.CDLL(root)
        except OSError:
            pass
    raise RuntimeError("no NVRTC library: set LMOEC_NVRTC to libnvrtc.so")


def compile_text(text, target):
    """CUDA C++ text -> cubin bytes."""
    lib = _nvrtc()
    prog = ctypes.c_void_p()
    _ok = lambda code, what: None if code == 0 else (_ for _ in ()).throw(RuntimeError(f"{what}: nvrtc {code}\n{log()}"))
    def log():
        n = ctypes.c_size_t()
        lib.nvrtcGetProgramLogSize(prog, ctypes.byref(n))
        buf = ctypes.create_string_buffer(n.value)
        lib.nvrtcGetProgramLog(prog, buf)
        return buf.value.decode()
    _ok(lib.nvrtcCreateProgram(ctypes.byref(prog), text.encode(), b"kernel.cu", 0, None, None), "create")
    options = [b"--std=c++17", b"--gpu-architecture=" + (b"sm_90a" if target == "cuda.sm90" else b"sm_80")]
    major, _ = torch.cuda.get_device_capability()
    if target == "cuda.sm80" and major == 9:
        options[1] = b"--gpu-architecture=sm_90"
    _ok(lib.nvrtcCompileProgram(prog, len(options), (ctypes.c_char_p * len(options))(*options)), "compile")
    n = ctypes.c_size_t()
    lib.nvrtcGetCUBINSize(prog, ctypes.byref(n))
    buf = ctypes.create_string_buffer(n.value)
    lib.nvrtcGetCUBIN(prog, buf)
    return buf.raw


class Plan:
    def __init__(self, path):
        torch.zeros(1, device="cuda")
        self.plan = json.load(open(path))
        folder = os.path.dirname(path)
        self.tensors = {t["name"]: t for t in self.plan["tensors"]}
        modules, self.kernels = {}, {}
        for kernel in self.plan["kernels"]:
            file = kernel["file"]
            if file not in modules:
                cubin = os.path.join(folder, file + "bin")
                image = open(cubin, "rb").read() if os.path.exists(cubin) else compile_text(open(os.path.join(folder, file)).read(), self.plan["target"])
                module = ctypes.c_void_p()
                _check(_cuda.cuModuleLoadData(ctypes.byref(module), image), f"load {file}")
                modules[file] = module
            function = ctypes.c_void_p()
            _check(_cuda.cuModuleGetFunction(ctypes.byref(function), modules[file], kernel["entry"].encode()), kernel["entry"])
            if kernel["sharedBytes"] > 48 * 1024:
                _check(_cuda.cuFuncSetAttribute(function, 8, kernel["sharedBytes"]), f"shared memory of {kernel['name']}")
            self.kernels[kernel["name"]] = (kernel, function)

    def tables(self, lengths, heads):
        """Sequence and chunk tables (plan.ts) of sequences with these lengths."""
        C, cut = self.plan["chunk"], self.plan["segmentation"]
        total = sum((n + C - 1) // C for n in lengths)
        longest = max(cut["least"], -(-total * heads // cut["programs"]))
        seqs, segments, chunks, first = [], [], [], 0
        for s, n in enumerate(lengths):
            count = (n + C - 1) // C
            pieces = max(1, -(-count // longest))
            seqs.append([first, first + n, len(chunks), count, len(segments), pieces])
            at = len(chunks)
            for i in range(pieces):
                here = count // pieces + (1 if i < count % pieces else 0)
                segments.append([s, at, here, i])
                at += here
            for i in range(count):
                chunks.append([s, first + i * C, min(C, n - i * C), i])
            first += n
        make = lambda rows: torch.tensor(rows if rows else [[0, 0, 0, 0]], dtype=torch.int32, device="cuda")
        return make(seqs), make(segments), make(chunks), first

    def prepare(self, program, given, lengths, heads, groups=None, poison=True):
        """Allocates what is missing; returns (tensors, launch function)."""
        groups = groups or heads
        seqs, segments, chunks, tokens = self.tables(lengths, heads)
        n_chunks = sum(-(-n // self.plan["chunk"]) for n in lengths)
        extents = dict(tokens=tokens, heads=heads, groups=groups, sequences=len(lengths), chunks=n_chunks, segments=len(segments))
        size = lambda e: extents[e] if isinstance(e, str) else e
        launches = [self.kernels[l["kernel"]] for l in self.plan["programs"][program]]
        tensors = {}
        # With a group for every head there is nothing to sum: gradients go to their place at once.
        elsewhere = {n: t["ungrouped"] for n, t in self.tensors.items() if t.get("ungrouped") and heads == groups}
        for kernel, _ in launches:
            for arg in kernel["args"]:
                if arg["kind"] not in ("tensor", "tensorMap") or arg["tensor"] in tensors or arg["tensor"] in elsewhere:
                    continue
                t = self.tensors[arg["tensor"]]
                shape = [size(e) for e in t["shape"]]
                dtype = _DTYPE[t["dtype"]]
                if arg["tensor"] in given:
                    x = given[arg["tensor"]].to(dtype).contiguous()
                    assert x.numel() == int(torch.tensor(shape).prod()), (arg["tensor"], x.shape, shape)
                    tensors[arg["tensor"]] = x
                elif t["role"] in ("initial", "cotangent"):
                    tensors[arg["tensor"]] = torch.zeros(shape, dtype=dtype, device="cuda")
                else:
                    tensors[arg["tensor"]] = torch.full(shape, float("nan"), dtype=dtype, device="cuda") if poison else torch.empty(shape, dtype=dtype, device="cuda")

        class Dims(ctypes.Structure):
            _fields_ = [(n, ctypes.c_int) for n in ("tokens", "heads", "groups", "sequences", "chunks", "segments")]
        dims = Dims(tokens, heads, groups, len(lengths), n_chunks, len(segments))
        calls = []
        for kernel, function in launches:
            slots = []
            for arg in kernel["args"]:
                if arg["kind"] == "tensor":
                    slots.append(ctypes.c_void_p(tensors[elsewhere.get(arg["tensor"], arg["tensor"])].data_ptr()))
                elif arg["kind"] == "tensorMap":
                    name = arg["tensor"]
                    slots.append(_tensor_map(tensors[name], [size(e) for e in self.tensors[name]["shape"]], arg["box"]))
                elif arg["kind"] == "sequences":
                    slots.append(ctypes.c_void_p(seqs.data_ptr()))
                elif arg["kind"] == "segments":
                    slots.append(ctypes.c_void_p(segments.data_ptr()))
                elif arg["kind"] == "chunks":
                    slots.append(ctypes.c_void_p(chunks.data_ptr()))
                elif arg["kind"] == "dims":
                    slots.append(dims)
                else:
                    raise RuntimeError(f"argument kind {arg['kind']}")
            pointers = (ctypes.c_void_p * len(slots))(*[ctypes.cast(ctypes.pointer(s), ctypes.c_void_p) for s in slots])
            grid = []
            for factors in kernel["grid"]:
                n = 1
                for f in factors:
                    n *= size(f)
                grid.append(n)
            calls.append((kernel, function, grid, pointers, slots))

        order = self.plan["programs"][program]
        side = torch.cuda.Stream() if any(l["lane"] for l in order) else None
        awaited = {w for l in order for w in l["waits"]}
        events = {i: torch.cuda.Event() for i in awaited}

        def launch(only=None):
            main = torch.cuda.current_stream()
            if side is not None:
                side.wait_stream(main)
            for i, (kernel, function, grid, pointers, _) in enumerate(calls):
                if 0 in grid or (heads == groups and order[i].get("grouped")) or (only is not None and kernel["name"] != only):
                    continue
                stream = side if order[i]["lane"] else main
                if only is None:
                    for w in order[i]["waits"]:
                        stream.wait_event(events[w])
                _check(_cuda.cuLaunchKernel(function, *grid, kernel["block"], 1, 1, kernel["sharedBytes"], ctypes.c_void_p(stream.cuda_stream), pointers, None), kernel["name"])
                if i in awaited:
                    events[i].record(stream)
            if side is not None:
                main.wait_stream(side)
        launch.keep = (seqs, segments, chunks)
        return tensors, launch

    def run(self, program, given, lengths, heads, groups=None):
        tensors, launch = self.prepare(program, given, lengths, heads, groups)
        launch()
        torch.cuda.synchronize()
        return tensors

    def time(self, program, given, lengths, heads, groups=None, repeat=20, by_kernel=False):
        """Median milliseconds of the program, or of each of its kernels."""
        _, launch = self.prepare(program, given, lengths, heads, groups, poison=False)
        launch()
        def median(only):
            times = []
            for _ in range(repeat):
                a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                a.record(); launch(only); b.record(); b.synchronize()
                times.append(a.elapsed_time(b))
            return sorted(times)[len(times) // 2]
        for _ in range(3):
            launch()
        if by_kernel:
            return {l["kernel"]: median(l["kernel"]) for l in self.plan["programs"][program]}
        return median(None)
