#include "nvrtc.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>
#include <sstream>
#include <vector>

namespace lmoec {
namespace {

constexpr const char* kNames[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};

struct Loaded {
  Nvrtc table;
  bool ok = false;
  std::string why;
};

bool resolve(void* library, const std::string& path, Loaded* loaded) {
#define LMOEC_RESOLVE(field, symbol, parameters)                                               \
  loaded->table.field = reinterpret_cast<nvrtcResult(*) parameters>(dlsym(library, symbol));   \
  if (loaded->table.field == nullptr) {                                                        \
    loaded->why = path + " lacks " symbol ": too old, CUDA 12 or later is needed";             \
    return false;                                                                              \
  }
  LMOEC_NVRTC(LMOEC_RESOLVE)
#undef LMOEC_RESOLVE
  loaded->table.errorString = reinterpret_cast<const char* (*)(nvrtcResult)>(dlsym(library, "nvrtcGetErrorString"));
  if (loaded->table.errorString == nullptr) return false;
  loaded->table.path = path;
  loaded->ok = true;
  return true;
}

bool open(const std::string& path, int flags, Loaded* loaded) {
  void* library = dlopen(path.c_str(), flags);
  return library != nullptr && resolve(library, path, loaded);
}

Loaded load(const std::string& extra) {
  Loaded loaded;
  if (const char* named = std::getenv("LMOEC_NVRTC"); named != nullptr && *named != '\0') {
    if (open(named, RTLD_NOW, &loaded)) return loaded;
    const char* text = dlerror();
    if (loaded.why.empty()) loaded.why = std::string("LMOEC_NVRTC: ") + (text == nullptr ? named : text);
    // A wrong explicit choice is not papered over by another library.
    return loaded;
  }
  for (const char* name : kNames) {
    if (open(name, RTLD_NOW | RTLD_NOLOAD, &loaded)) return loaded;
  }
  for (const char* name : kNames) {
    if (open(name, RTLD_NOW, &loaded)) return loaded;
  }
  std::vector<std::string> folders;
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    if (const char* root = std::getenv(variable); root != nullptr && *root != '\0') {
      folders.push_back(std::string(root) + "/lib64");
      folders.push_back(std::string(root) + "/lib");
    }
  }
  folders.push_back("/usr/local/cuda/lib64");
  std::istringstream lines(extra);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) folders.push_back(line);
  }
  for (const std::string& folder : folders) {
    for (const char* name : kNames) {
      if (open(folder + "/" + name, RTLD_NOW, &loaded)) return loaded;
    }
  }
  if (loaded.why.empty()) {
    loaded.why =
        "libnvrtc.so.13 and libnvrtc.so.12 were not found (looked at LMOEC_NVRTC, the loader's path, CUDA_HOME, "
        "/usr/local/cuda and Python packages)";
  }
  return loaded;
}

}  // namespace

const Nvrtc* nvrtc(const std::string& extra, std::string* why) {
  static std::mutex mutex;
  static Loaded loaded;
  std::lock_guard<std::mutex> lock(mutex);
  // Failure is not remembered: a later call may know more folders.
  if (!loaded.ok) loaded = load(extra);
  if (!loaded.ok && why != nullptr) *why = loaded.why;
  return loaded.ok ? &loaded.table : nullptr;
}

}  // namespace lmoec
