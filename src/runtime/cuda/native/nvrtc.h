// NVRTC, declared here and resolved by dlsym, as the driver is.
#pragma once

#include <cstddef>
#include <string>

namespace lmoec {

using nvrtcResult = int;
using nvrtcProgram = struct NvrtcProgram_opaque*;

#define LMOEC_NVRTC(X)                                                                                              \
  X(version, "nvrtcVersion", (int*, int*))                                                                          \
  X(create, "nvrtcCreateProgram", (nvrtcProgram*, const char*, const char*, int, const char* const*, const char* const*)) \
  X(compile, "nvrtcCompileProgram", (nvrtcProgram, int, const char* const*))                                        \
  X(destroy, "nvrtcDestroyProgram", (nvrtcProgram*))                                                                \
  X(logSize, "nvrtcGetProgramLogSize", (nvrtcProgram, size_t*))                                                     \
  X(log, "nvrtcGetProgramLog", (nvrtcProgram, char*))                                                               \
  X(cubinSize, "nvrtcGetCUBINSize", (nvrtcProgram, size_t*))                                                        \
  X(cubin, "nvrtcGetCUBIN", (nvrtcProgram, char*))

struct Nvrtc {
#define LMOEC_FIELD(field, symbol, parameters) nvrtcResult(*field) parameters = nullptr;
  LMOEC_NVRTC(LMOEC_FIELD)
#undef LMOEC_FIELD
  const char* (*errorString)(nvrtcResult) = nullptr;
  // Where it was found.
  std::string path;
};

// Looks in LMOEC_NVRTC, among what is loaded already, then for libnvrtc.so.{13,12}, in CUDA_HOME or CUDA_PATH, in /usr/local/cuda and in
// `extra` (folders with a libnvrtc, one per line: what the caller knows of Python wheels). Null with `why` set when none loads.
const Nvrtc* nvrtc(const std::string& extra, std::string* why);

}  // namespace lmoec
