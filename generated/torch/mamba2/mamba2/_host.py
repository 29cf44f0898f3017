"""What the runtime asks of torch. Tests put other functions in these places, so that nothing here needs a device."""
import torch

OLDEST = (2, 9)
if tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2]) < OLDEST:
    needed = f"install torch {OLDEST[0]}.{OLDEST[1]} or later (python3 -m pip install --upgrade torch)"
    raise ImportError(f"torch {torch.__version__} is too old: {needed}")

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32, "i32": torch.int32}
OFFSETS = (torch.int32, torch.int64)

# Inductor's own generated code calls the first of each; they cost a tenth of the public functions.
current_device = getattr(torch._C, "_cuda_getDevice", torch.cuda.current_device)
current_stream = getattr(torch._C, "_cuda_getCurrentRawStream", lambda index: torch.cuda.current_stream(index).cuda_stream)
capturing = getattr(torch._C, "_cuda_isCurrentStreamCapturing", torch.cuda.is_current_stream_capturing)
available = torch.cuda.is_available
capability = torch.cuda.get_device_capability
guard = torch.cuda.device

try:
    from torch._C._dynamo.guards import _empty_strided_cuda as empty
except ImportError:
    def empty(shape, strides, dtype):
        """A tensor of the current device."""
        return torch.empty_strided(shape, strides, dtype=dtype, device="cuda")

try:
    from torch._C._dynamo.guards import TensorGuards
except ImportError:
    TensorGuards = None

device_of = torch.Tensor.get_device
# Subclasses of tensors want to see what is done with them.
_PLAIN = frozenset({torch.Tensor, torch.nn.Parameter, type(None)})


def plain(given):
    """Are all tensors torch's own?"""
    return _PLAIN.issuperset(map(type, given))


def alike(tensors):
    """What says of as many tensors whether they have the types, dtypes, devices, sizes and strides of these, and whether the same
    autograd, autocast, modes and transforms see what is done with them: as compiled programs of torch ask, by the same function."""
    try:
        sizes, strides = [[*x.shape] for x in tensors], [[*x.stride()] for x in tensors]
        return TensorGuards(*tensors, dynamic_dims_sizes=sizes, dynamic_dims_strides=strides).check
    except TypeError:
        # This torch has it not, or otherwise.
        return lambda *others: False


def device_name(index):
    return torch.cuda.get_device_name(index)


def record_use(tensor, index):
    """The current stream uses memory that another stream asked for."""
    tensor.record_stream(torch.cuda.current_stream(index))


def wait(index):
    torch.cuda.synchronize(index)


def beside(tensor, other):
    """The tensor on the device of another, as the current stream will see it."""
    return tensor.to(other.device, non_blocking=True)
