// The part of the CUDA driver API that lmoec uses, declared here and resolved by dlsym: building needs no CUDA header, running says
// what is missing. Names, arguments and constants follow the documented driver ABI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace lmoec {

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = uint64_t;
using CUcontext = struct CUctx_opaque*;
using CUmodule = struct CUmod_opaque*;
using CUfunction = struct CUfunc_opaque*;
using CUstream = struct CUstream_opaque*;
using CUevent = struct CUevent_opaque*;
using CUgraph = struct CUgraph_opaque*;
using CUgraphExec = struct CUgraphExec_opaque*;
using CUmemoryPool = struct CUmemPoolHandle_opaque*;

// 128 opaque bytes; the driver wants them on a 64-byte boundary.
struct alignas(64) CUtensorMap {
  uint64_t words[16];
};

enum DeviceAttribute : int {
  kMaxSharedPerBlock = 8,
  kMultiprocessors = 16,
  kClockKhz = 13,
  kMemoryClockKhz = 36,
  kBusWidthBits = 37,
  kL2Bytes = 38,
  kMajor = 75,
  kMinor = 76,
  kMaxSharedOptin = 97,
  kMemoryPools = 115,
};

enum FunctionAttribute : int {
  kStaticShared = 1,
  kLocalBytes = 3,
  kRegisters = 4,
  kMaxDynamicShared = 8,
};

enum PoolAttribute : int {
  kReleaseThreshold = 4,
};

enum JitOption : int {
  kJitErrorLog = 5,
  kJitErrorLogBytes = 6,
};

// X(field, symbol, required, parameters)
#define LMOEC_DRIVER(X)                                                                                                            \
  X(init, "cuInit", true, (unsigned))                                                                                              \
  X(driverVersion, "cuDriverGetVersion", true, (int*))                                                                             \
  X(errorName, "cuGetErrorName", true, (CUresult, const char**))                                                                   \
  X(errorString, "cuGetErrorString", true, (CUresult, const char**))                                                               \
  X(deviceCount, "cuDeviceGetCount", true, (int*))                                                                                 \
  X(deviceGet, "cuDeviceGet", true, (CUdevice*, int))                                                                              \
  X(deviceName, "cuDeviceGetName", true, (char*, int, CUdevice))                                                                   \
  X(deviceAttribute, "cuDeviceGetAttribute", true, (int*, int, CUdevice))                                                          \
  X(deviceMemory, "cuDeviceTotalMem_v2", true, (size_t*, CUdevice))                                                                \
  X(contextRetain, "cuDevicePrimaryCtxRetain", true, (CUcontext*, CUdevice))                                                       \
  X(contextSet, "cuCtxSetCurrent", true, (CUcontext))                                                                              \
  X(contextSynchronize, "cuCtxSynchronize", true, ())                                                                              \
  X(memAlloc, "cuMemAlloc_v2", true, (CUdeviceptr*, size_t))                                                                       \
  X(memFree, "cuMemFree_v2", true, (CUdeviceptr))                                                                                  \
  X(memAllocAsync, "cuMemAllocAsync", false, (CUdeviceptr*, size_t, CUstream))                                                     \
  X(memFreeAsync, "cuMemFreeAsync", false, (CUdeviceptr, CUstream))                                                                \
  X(defaultPool, "cuDeviceGetDefaultMemPool", false, (CUmemoryPool*, CUdevice))                                                    \
  X(poolSet, "cuMemPoolSetAttribute", false, (CUmemoryPool, int, void*))                                                           \
  X(poolTrim, "cuMemPoolTrimTo", false, (CUmemoryPool, size_t))                                                                    \
  X(memInfo, "cuMemGetInfo_v2", true, (size_t*, size_t*))                                                                          \
  X(copyHtoD, "cuMemcpyHtoD_v2", true, (CUdeviceptr, const void*, size_t))                                                         \
  X(copyDtoH, "cuMemcpyDtoH_v2", true, (void*, CUdeviceptr, size_t))                                                               \
  X(copyHtoDAsync, "cuMemcpyHtoDAsync_v2", true, (CUdeviceptr, const void*, size_t, CUstream))                                     \
  X(copyDtoHAsync, "cuMemcpyDtoHAsync_v2", true, (void*, CUdeviceptr, size_t, CUstream))                                           \
  X(copyDtoDAsync, "cuMemcpyDtoDAsync_v2", true, (CUdeviceptr, CUdeviceptr, size_t, CUstream))                                     \
  X(memset8Async, "cuMemsetD8Async", true, (CUdeviceptr, unsigned char, size_t, CUstream))                                         \
  X(moduleLoad, "cuModuleLoadDataEx", true, (CUmodule*, const void*, unsigned, int*, void**))                                      \
  X(moduleUnload, "cuModuleUnload", true, (CUmodule))                                                                              \
  X(moduleFunction, "cuModuleGetFunction", true, (CUfunction*, CUmodule, const char*))                                             \
  X(functionSet, "cuFuncSetAttribute", true, (CUfunction, int, int))                                                               \
  X(functionGet, "cuFuncGetAttribute", true, (int*, int, CUfunction))                                                              \
  X(launch, "cuLaunchKernel", true,                                                                                                \
    (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void**, void**))                  \
  X(streamCreate, "cuStreamCreate", true, (CUstream*, unsigned))                                                                   \
  X(streamDestroy, "cuStreamDestroy_v2", true, (CUstream))                                                                         \
  X(streamSynchronize, "cuStreamSynchronize", true, (CUstream))                                                                    \
  X(streamWait, "cuStreamWaitEvent", true, (CUstream, CUevent, unsigned))                                                          \
  X(eventCreate, "cuEventCreate", true, (CUevent*, unsigned))                                                                      \
  X(eventDestroy, "cuEventDestroy_v2", true, (CUevent))                                                                            \
  X(eventRecord, "cuEventRecord", true, (CUevent, CUstream))                                                                       \
  X(eventSynchronize, "cuEventSynchronize", true, (CUevent))                                                                       \
  X(eventElapsed, "cuEventElapsedTime", true, (float*, CUevent, CUevent))                                                          \
  X(captureBegin, "cuStreamBeginCapture_v2", false, (CUstream, int))                                                               \
  X(captureEnd, "cuStreamEndCapture", false, (CUstream, CUgraph*))                                                                 \
  X(graphInstantiate, "cuGraphInstantiateWithFlags", false, (CUgraphExec*, CUgraph, unsigned long long))                           \
  X(graphLaunch, "cuGraphLaunch", false, (CUgraphExec, CUstream))                                                                  \
  X(graphExecDestroy, "cuGraphExecDestroy", false, (CUgraphExec))                                                                  \
  X(graphDestroy, "cuGraphDestroy", false, (CUgraph))                                                                              \
  X(tensorMapEncode, "cuTensorMapEncodeTiled", false,                                                                              \
    (CUtensorMap*, int, uint32_t, void*, const uint64_t*, const uint64_t*, const uint32_t*, const uint32_t*, int, int, int, int))

struct Driver {
#define LMOEC_FIELD(field, symbol, required, parameters) CUresult(*field) parameters = nullptr;
  LMOEC_DRIVER(LMOEC_FIELD)
#undef LMOEC_FIELD
};

// The loaded and initialised driver; null with `why` set where there is none. Loads once.
const Driver* driver(std::string* why);

// Makes the primary context of device `index` current on the calling thread; keeps it for later calls.
CUresult useDevice(const Driver& cu, int index);
// The pool that memory of the current device comes from and goes back to in stream order; null where the driver has none.
CUmemoryPool memoryPool();
// Bytes of the current device.
size_t deviceBytes();
// Makes the context of the last useDevice current on the calling thread (worker threads start without one).
CUresult useCurrent(const Driver& cu);

}  // namespace lmoec
