#include "driver.h"

#include <dlfcn.h>

#include <mutex>

namespace lmoec {
namespace {

struct Loaded {
  Driver table;
  bool ok = false;
  std::string why;
};

Loaded load() {
  Loaded loaded;
  void* library = nullptr;
  for (const char* name : {"libcuda.so.1", "libcuda.so"}) {
    library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
    if (library != nullptr) break;
    // The first name is the one that a driver installs; its message is the useful one.
    const char* text = dlerror();
    if (loaded.why.empty()) loaded.why = text == nullptr ? "libcuda.so.1 cannot be loaded" : text;
  }
  if (library == nullptr) return loaded;
  loaded.why.clear();
#define LMOEC_RESOLVE(field, symbol, required, parameters)                                \
  loaded.table.field = reinterpret_cast<CUresult(*) parameters>(dlsym(library, symbol));  \
  if (loaded.table.field == nullptr && required) {                                        \
    loaded.why = "the installed NVIDIA driver is too old: it lacks " symbol;              \
    return loaded;                                                                        \
  }
  LMOEC_DRIVER(LMOEC_RESOLVE)
#undef LMOEC_RESOLVE

  const CUresult result = loaded.table.init(0);
  if (result != 0) {
    const char* name = nullptr;
    const char* text = nullptr;
    loaded.table.errorName(result, &name);
    loaded.table.errorString(result, &text);
    loaded.why = std::string("cuInit: ") + (name == nullptr ? "unknown error" : name) +
                 (text == nullptr ? "" : std::string(" (") + text + ")");
    return loaded;
  }
  loaded.ok = true;
  return loaded;
}

std::mutex contextMutex;
CUcontext currentContext = nullptr;
int currentDevice = -1;
CUmemoryPool currentPool = nullptr;
size_t currentBytes = 0;

// What is freed stays in the pool, so that a loop of like calls asks the device for memory once.
CUmemoryPool openPool(const Driver& cu, CUdevice device) {
  if (cu.memAllocAsync == nullptr || cu.memFreeAsync == nullptr) return nullptr;
  if (cu.defaultPool == nullptr || cu.poolSet == nullptr || cu.poolTrim == nullptr) return nullptr;
  int supported = 0;
  CUmemoryPool pool = nullptr;
  if (cu.deviceAttribute(&supported, kMemoryPools, device) != 0 || supported == 0 || cu.defaultPool(&pool, device) != 0) return nullptr;
  uint64_t keep = UINT64_MAX;
  return cu.poolSet(pool, kReleaseThreshold, &keep) == 0 ? pool : nullptr;
}

}  // namespace

const Driver* driver(std::string* why) {
  static const Loaded loaded = load();
  if (!loaded.ok && why != nullptr) *why = loaded.why;
  return loaded.ok ? &loaded.table : nullptr;
}

CUresult useDevice(const Driver& cu, int index) {
  std::lock_guard<std::mutex> lock(contextMutex);
  if (index != currentDevice) {
    CUdevice device = 0;
    if (const CUresult result = cu.deviceGet(&device, index)) return result;
    CUcontext context = nullptr;
    if (const CUresult result = cu.contextRetain(&context, device)) return result;
    currentContext = context;
    currentDevice = index;
    currentPool = openPool(cu, device);
    cu.deviceMemory(&currentBytes, device);
  }
  return cu.contextSet(currentContext);
}

CUmemoryPool memoryPool() {
  std::lock_guard<std::mutex> lock(contextMutex);
  return currentPool;
}

size_t deviceBytes() {
  std::lock_guard<std::mutex> lock(contextMutex);
  return currentBytes;
}

CUresult useCurrent(const Driver& cu) {
  std::lock_guard<std::mutex> lock(contextMutex);
  return cu.contextSet(currentContext);
}

}  // namespace lmoec
