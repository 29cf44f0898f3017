"""Machine code for a device: the cubin beside the source, else PTX, else NVRTC on the source; never anything slower in silence."""
import ctypes, glob, hashlib, os, tempfile, threading, warnings
from pathlib import Path

import torch

from . import _driver as cuda
from . import _host as host
from ._driver import LmoecError, check, driver, handle

# What a device of the next driver or another generation may refuse; the next image may do.
_REFUSALS = {cuda.INVALID_IMAGE, cuda.NO_BINARY, cuda.PTX_VERSION, cuda.INVALID_PTX, cuda.NO_PTX_COMPILER, cuda.PTX_FORBIDDEN}


def targets_for(capability):
    """Targets in the order of preference. Blocks of 8.6, 8.9 and 12.x have 99 KB of shared memory (CUDA C++ Programming Guide,
    technical specifications)."""
    major, minor = capability
    if capability == (9, 0):
        return ("cuda.sm90", "cuda.sm80")
    if (major == 8 and minor in (6, 9)) or major >= 12:
        return ("cuda.sm86",)
    return ("cuda.sm80",) if major >= 8 else ()


class Images:
    """Kernels of a package by plan and device. All kernels of a plan are loaded for a device when one is first asked for, so that nothing is
    loaded while a graph is captured."""

    def __init__(self):
        self._lock = threading.Lock()
        self.forget()
        cuda.holders.add(self)

    def forget(self):
        self._libraries, self._kernels = {}, {}

    def kernels(self, plan, index):
        """Functions of a plan by the names of its kernels, for a device whose context is current."""
        known = self._kernels.get((plan.path, index))
        if known is None:
            with self._lock:
                known = self._kernels.get((plan.path, index))
                if known is None:
                    known = self._kernels[plan.path, index] = self._load(plan, index)
        return known

    def _load(self, plan, index):
        functions = {}
        for kernel in plan.launchable:
            functions[kernel["name"]] = self._function(plan, kernel, index)
        return functions

    def _function(self, plan, kernel, index):
        refused = []
        for library in self._candidates(plan, kernel["file"], index, refused):
            found, function = handle(), handle()
            code = driver().cuLibraryGetKernel(ctypes.byref(found), library, kernel["entry"].encode())
            if code == 0 and kernel["sharedBytes"] > 48 * 1024:
                code = driver().cuKernelSetAttribute(cuda.MAX_DYNAMIC_SHARED, kernel["sharedBytes"], found, index)
                if code == cuda.INVALID_VALUE:
                    wanted = f"{-(-kernel['sharedBytes'] // 1024)} KB of shared memory"
                    device = cuda.describe_device(index)
                    raise LmoecError(
                        f"{kernel['entry']} of {plan.scan} needs {wanted}, more than a block of {device} may have", "build with --target cuda.sm86")
            if code == 0:
                code = driver().cuKernelGetFunction(ctypes.byref(function), found)
            if code == 0:
                return function
            if code not in _REFUSALS:
                check(code, f"loading {kernel['entry']} of {plan.scan}")
            # The code of another device shows only now.
            self._libraries[plan.path, kernel["file"], index] = None
            refused.append(cuda.error_name(code))
        if not refused:
            missing = f"there is no cubin, PTX or source of {kernel['file']} in {plan.folder}"
            raise LmoecError(missing, "build the package again: files are missing")
        raise LmoecError(
            f"nothing that was built of {plan.scan} runs on {cuda.describe_device(index)} ({', '.join(refused)})",
            f"update the NVIDIA driver, build with an older CUDA toolkit, or ship {kernel['file']} for NVRTC")

    def _candidates(self, plan, file, index, refused):
        """Libraries to try. What worked for a device comes alone."""
        key = (plan.path, file, index)
        known = self._libraries.get(key)
        if known is not None:
            yield known
            return
        for image in _images(plan, file, index, refused):
            library = handle()
            code = driver().cuLibraryLoadData(ctypes.byref(library), image, None, None, 0, None, None, 0)
            if code == 0:
                self._libraries[key] = library
                yield library
            elif code in _REFUSALS:
                refused.append(cuda.error_name(code))
            else:
                check(code, f"loading {file}")


def _images(plan, file, index, refused):
    """Images of a source file, the best first; NVRTC only where the driver refused the others (`refused`: why)."""
    source = plan.folder / file
    for suffix, end in ((".cubin", b""), (".ptx", b"\0")):
        path = source.with_suffix(suffix)
        if path.exists():
            # The driver wants the text of PTX to end with a zero byte.
            yield path.read_bytes() + end
    if source.exists():
        major, minor = host.capability(index)
        try:
            image = compiled(source, plan.folder / plan.prelude, "sm_90a" if plan.target == "cuda.sm90" else f"sm_{major}{minor}")
        except LmoecError as error:
            what, device = str(error).removesuffix(f": {error.remedy}"), cuda.describe_device(index)
            if not refused:
                raise LmoecError(f"there is no machine code of {plan.scan} for {device}, and {what}", error.remedy) from None
            raise LmoecError(
                f"{device} takes no machine code that was built of {plan.scan} ({', '.join(refused)}), and {what}",
                f"update the NVIDIA driver; or {error.remedy}") from None
        yield image


def compiled(source, prelude, architecture):
    """The cubin that NVRTC makes of a source and what it includes, from the cache where it lies there."""
    if not prelude.exists():
        raise LmoecError(f"{prelude} is missing, which {source.name} includes", "build the package again: files are missing")
    text, included, nvrtc = source.read_bytes(), prelude.read_bytes(), Nvrtc()
    name = hashlib.sha256(b"\0".join([text, included, architecture.encode(), nvrtc.version.encode()])).hexdigest()[:40] + ".cubin"
    try:
        return (cache_folder() / name).read_bytes()
    except OSError:
        pass
    cubin = nvrtc.compile(text, source.name, {prelude.name: included}, architecture)
    try:
        _keep(cubin, cache_folder() / name)
    except OSError as error:
        warnings.warn(
            f"{source.name} was compiled but cannot be kept ({error}): every process compiles it again. "
            "Set LMOEC_CACHE to a folder that can be written.")
    return cubin


def _keep(content, path):
    """Whoever reads meanwhile sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.replace(file.name, path)
        finally:
            Path(file.name).unlink(missing_ok=True)


def cache_folder():
    named = os.environ.get("LMOEC_CACHE")
    if named:
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lmoec"
    except RuntimeError:
        # In a container, of a user whom it does not know.
        raise OSError("this user has no home folder") from None


class Nvrtc:
    def __init__(self):
        self.library = _nvrtc_library()
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        self.version = f"{major.value}.{minor.value}"

    def _text(self, size, content, program):
        length = ctypes.c_size_t()
        size(program, ctypes.byref(length))
        text = ctypes.create_string_buffer(length.value)
        content(program, text)
        return text.raw

    def compile(self, text, name, includes, architecture):
        """CUDA C++ text -> cubin. `includes`: texts by the names that it includes them by."""
        lib, program = self.library, handle()
        options = [b"--std=c++17", f"--gpu-architecture={architecture}".encode()]
        names = (ctypes.c_char_p * len(includes))(*(each.encode() for each in includes))
        texts = (ctypes.c_char_p * len(includes))(*includes.values())
        code = lib.nvrtcCreateProgram(ctypes.byref(program), text, name.encode(), len(includes), texts, names)
        try:
            code = code or lib.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
            if code != 0:
                log = self._text(lib.nvrtcGetProgramLogSize, lib.nvrtcGetProgramLog, program).rstrip(b"\0").decode() if program else ""
                raise LmoecError(
                    f"NVRTC {self.version} does not compile {name} for {architecture} (code {code})",
                    f"build where nvcc is found, so that machine code lies beside the plan\n{log}")
            return self._text(lib.nvrtcGetCUBINSize, lib.nvrtcGetCUBIN, program)
        finally:
            lib.nvrtcDestroyProgram(ctypes.byref(program))


def _nvrtc_library():
    folders = [Path(torch.__file__).parent / "lib"]
    try:
        import nvidia
        folders += [Path(folder) for folder in nvidia.__path__]
    except ImportError:
        pass
    given = os.environ.get("LMOEC_NVRTC")
    found = [name for folder in folders for name in sorted(glob.glob(str(folder / "**" / "libnvrtc*.so*"), recursive=True))]
    usual = [name for name in found if "builtins" not in name and ".alt." not in name]
    for name in [given] if given else [*usual, "libnvrtc.so.13", "libnvrtc.so.12"]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    what = f"LMOEC_NVRTC={given} is no NVRTC library" if given else "there is no NVRTC"
    raise LmoecError(what, "build where nvcc is found, install nvidia-cuda-nvrtc, or set LMOEC_NVRTC to libnvrtc.so")


images = Images()
