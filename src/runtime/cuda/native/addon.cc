#include <vector>

#include "handles.h"
#include "nvrtc.h"

namespace lmoec {

const Driver* ready(Napi::Env env, Napi::Value* failed) {
  std::string why;
  const Driver* cu = driver(&why);
  if (cu == nullptr) {
    *failed = failure(env, "NO_DRIVER", "dlopen", why);
    return nullptr;
  }
  if (const CUresult code = useCurrent(*cu)) {
    *failed = failure(env, *cu, code, "cuCtxSetCurrent");
    return nullptr;
  }
  return cu;
}

namespace {

Napi::Object unavailable(Napi::Env env, const std::string& why) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("available", false);
  result.Set("why", why);
  return result;
}

Napi::Object deviceInfo(Napi::Env env, const Driver& cu, int index) {
  Napi::Object info = Napi::Object::New(env);
  CUdevice device = 0;
  cu.deviceGet(&device, index);
  char name[256] = {};
  cu.deviceName(name, sizeof name - 1, device);
  size_t memory = 0;
  cu.deviceMemory(&memory, device);
  const auto attribute = [&](DeviceAttribute which) {
    int value = 0;
    cu.deviceAttribute(&value, which, device);
    return value;
  };
  info.Set("index", index);
  info.Set("name", name);
  info.Set("major", attribute(kMajor));
  info.Set("minor", attribute(kMinor));
  info.Set("multiprocessors", attribute(kMultiprocessors));
  info.Set("memoryBytes", static_cast<double>(memory));
  info.Set("sharedBytesPerBlock", attribute(kMaxSharedOptin));
  info.Set("l2Bytes", attribute(kL2Bytes));
  info.Set("clockKhz", attribute(kClockKhz));
  return info;
}

// status(): { available: true, driver, devices } or { available: false, why }.
Napi::Value status(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  std::string why;
  const Driver* cu = driver(&why);
  if (cu == nullptr) return unavailable(env, why);
  int version = 0, count = 0;
  cu->driverVersion(&version);
  if (const CUresult code = cu->deviceCount(&count)) return unavailable(env, "cuDeviceGetCount: " + describe(*cu, code).name);
  if (count == 0) return unavailable(env, "the NVIDIA driver is installed, but it sees no device");
  Napi::Object result = Napi::Object::New(env);
  result.Set("available", true);
  result.Set("driver", std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10));
  Napi::Array devices = Napi::Array::New(env);
  for (int i = 0; i < count; i++) devices.Set(i, deviceInfo(env, *cu, i));
  result.Set("devices", devices);
  return result;
}

// nvrtcStatus(folders): { available: true, version, path } or { available: false, why }.
Napi::Value nvrtcStatus(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  std::string why;
  const Nvrtc* rtc = nvrtc(call[0].IsString() ? call[0].As<Napi::String>().Utf8Value() : "", &why);
  if (rtc == nullptr) return unavailable(env, why);
  int major = 0, minor = 0;
  rtc->version(&major, &minor);
  Napi::Object result = Napi::Object::New(env);
  result.Set("available", true);
  result.Set("version", std::to_string(major) + "." + std::to_string(minor));
  result.Set("path", rtc->path);
  return result;
}

// open(device): retains the device's primary context.
Napi::Value open(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  std::string why;
  const Driver* cu = driver(&why);
  if (cu == nullptr) return failure(env, "NO_DRIVER", "dlopen", why);
  const int index = call[0].ToNumber().Int32Value();
  if (const CUresult code = useDevice(*cu, index)) return failure(env, *cu, code, "cuDevicePrimaryCtxRetain");
  return success(env, deviceInfo(env, *cu, index));
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("status", Napi::Function::New(env, status));
  exports.Set("nvrtcStatus", Napi::Function::New(env, nvrtcStatus));
  exports.Set("open", Napi::Function::New(env, open));
  exportBuffers(env, exports);
  exportModules(env, exports);
  exportStreams(env, exports);
  exportEvents(env, exports);
  exportGraphs(env, exports);
  return exports;
}

NODE_API_MODULE(lmoec_cuda, initialise)

}  // namespace
}  // namespace lmoec
