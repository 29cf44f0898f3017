#include <map>
#include <vector>

#include "handles.h"
#include "nvrtc.h"

namespace lmoec {
namespace {

void unload(Module* module) {
  if (module->handle == nullptr) return;
  if (const Driver* cu = driver(nullptr)) {
    useCurrent(*cu);
    cu->moduleUnload(module->handle);
  }
  module->handle = nullptr;
}

// loadModule(image): cubin or PTX bytes (PTX must end with a zero byte).
Napi::Value loadModule(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  if (!call[0].IsTypedArray()) {
    Napi::TypeError::New(env, "expected the bytes of a cubin or of PTX").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto array = call[0].As<Napi::TypedArray>();
  const auto* image = static_cast<uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset();
  std::vector<char> log(16384, '\0');
  int options[] = {kJitErrorLog, kJitErrorLogBytes};
  void* values[] = {log.data(), reinterpret_cast<void*>(log.size())};
  CUmodule handle = nullptr;
  if (const CUresult code = cu->moduleLoad(&handle, image, 2, options, values)) {
    Napi::Object result = failure(env, *cu, code, "cuModuleLoadDataEx");
    result.Set("log", std::string(log.data()));
    return result;
  }
  return success(env, wrap(env, new Module{handle}, [](Napi::Env, Module* module) {
    unload(module);
    delete module;
  }));
}

Napi::Value unloadModule(const Napi::CallbackInfo& call) {
  Module* module = unwrap<Module>(call[0], "a module");
  if (module != nullptr) unload(module);
  return call.Env().Undefined();
}

// getFunction(module, name, dynamicSharedBytes): { handle, registers, localBytes, sharedBytes }. The caller keeps the module alive.
Napi::Value getFunction(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  Module* module = unwrap<Module>(call[0], "a module");
  if (module == nullptr) return env.Undefined();
  const std::string name = call[1].ToString().Utf8Value();
  CUfunction handle = nullptr;
  if (const CUresult code = cu->moduleFunction(&handle, module->handle, name.c_str())) {
    Napi::Object result = failure(env, *cu, code, "cuModuleGetFunction");
    result.Set("function", name);
    return result;
  }
  const int shared = call[2].ToNumber().Int32Value();
  // Above 48 KB the driver wants to be told beforehand.
  if (shared > 48 * 1024) {
    if (const CUresult code = cu->functionSet(handle, kMaxDynamicShared, shared)) {
      Napi::Object result = failure(env, *cu, code, "cuFuncSetAttribute");
      result.Set("function", name);
      result.Set("bytes", shared);
      return result;
    }
  }
  const auto attribute = [&](FunctionAttribute which) {
    int value = 0;
    cu->functionGet(&value, which, handle);
    return value;
  };
  Napi::Object info = Napi::Object::New(env);
  info.Set("handle", wrap(env, new Function{handle}, [](Napi::Env, Function* function) { delete function; }));
  info.Set("registers", attribute(kRegisters));
  info.Set("localBytes", attribute(kLocalBytes));
  info.Set("sharedBytes", attribute(kStaticShared));
  return success(env, info);
}

// launch(function, [x, y, z], block, sharedBytes, bytes, offsets, stream?): parameter i starts at bytes[offsets[i]];
// the driver knows its size.
Napi::Value launch(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  Function* function = unwrap<Function>(call[0], "a function");
  if (function == nullptr) return env.Undefined();
  const auto grid = call[1].As<Napi::Uint32Array>();
  const unsigned block = call[2].ToNumber().Uint32Value();
  const unsigned shared = call[3].ToNumber().Uint32Value();
  const auto bytes = call[4].As<Napi::Uint8Array>();
  const auto offsets = call[5].As<Napi::Uint32Array>();
  if (!call[1].IsTypedArray() || grid.ElementLength() != 3 || !call[4].IsTypedArray() || !call[5].IsTypedArray()) {
    Napi::TypeError::New(env, "launch(function, Uint32Array(3), block, sharedBytes, Uint8Array, Uint32Array, stream?)")
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  // Tensor maps must lie on 64-byte boundaries in host memory too, which a JavaScript buffer does not promise.
  std::vector<CUtensorMap> copy((bytes.ByteLength() + sizeof(CUtensorMap) - 1) / sizeof(CUtensorMap) + 1);
  auto* base = reinterpret_cast<uint8_t*>(copy.data());
  std::copy(bytes.Data(), bytes.Data() + bytes.ByteLength(), base);
  std::vector<void*> parameters(offsets.ElementLength());
  for (size_t i = 0; i < parameters.size(); i++) {
    if (offsets[i] >= bytes.ByteLength()) {
      return failure(env, "OUT_OF_BOUNDS", "cuLaunchKernel", "a parameter starts after the end of the parameter bytes");
    }
    parameters[i] = base + offsets[i];
  }
  const CUresult code = cu->launch(function->handle, grid[0], grid[1], grid[2], block, 1, 1, shared, streamOf(call[6]),
                                   parameters.data(), nullptr);
  if (code) return failure(env, *cu, code, "cuLaunchKernel");
  return success(env, env.Undefined());
}

// tensorMap({ buffer, offset, type, dims, strides, box, swizzle }): the 128 bytes of a tiled CUtensorMap. dims[0] is the contiguous axis;
// strides are in bytes, of dims[1] and up; `type` and `swizzle` are the driver's enumerators.
Napi::Value tensorMap(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  if (cu->tensorMapEncode == nullptr) {
    return failure(env, "NO_TENSOR_MAPS", "cuTensorMapEncodeTiled",
                   "the installed NVIDIA driver has no tensor maps (12.0 or later has)");
  }
  const Napi::Object options = call[0].As<Napi::Object>();
  Buffer* buffer = unwrap<Buffer>(options.Get("buffer"), "a buffer");
  if (buffer == nullptr) return env.Undefined();
  const auto numbers = [&](const char* name) {
    const auto array = options.Get(name).As<Napi::Array>();
    std::vector<uint64_t> list;
    for (uint32_t i = 0; i < array.Length(); i++) list.push_back(static_cast<uint64_t>(array.Get(i).ToNumber().Int64Value()));
    return list;
  };
  const auto dims = numbers("dims"), strides = numbers("strides"), boxes = numbers("box");
  if (dims.empty() || strides.size() + 1 != dims.size() || boxes.size() != dims.size()) {
    return failure(env, "BAD_ARGUMENT", "cuTensorMapEncodeTiled", "dims, strides (one fewer) and box must belong together");
  }
  const std::vector<uint32_t> box(boxes.begin(), boxes.end());
  const std::vector<uint32_t> unit(dims.size(), 1);
  const uint64_t offset = static_cast<uint64_t>(options.Get("offset").ToNumber().Int64Value());
  CUtensorMap map;
  const CUresult code = cu->tensorMapEncode(&map, options.Get("type").ToNumber().Int32Value(), static_cast<uint32_t>(dims.size()),
                                            reinterpret_cast<void*>(buffer->pointer + offset), dims.data(), strides.data(), box.data(),
                                            unit.data(),
                                            /*interleave*/ 0, options.Get("swizzle").ToNumber().Int32Value(),
                                            /*L2 promotion: 128 B*/ 2, /*fill: zeros*/ 0);
  if (code) return failure(env, *cu, code, "cuTensorMapEncodeTiled");
  Napi::Uint8Array bytes = Napi::Uint8Array::New(env, sizeof map);
  std::copy(reinterpret_cast<uint8_t*>(&map), reinterpret_cast<uint8_t*>(&map) + sizeof map, bytes.Data());
  return success(env, bytes);
}

// NVRTC on a worker thread: a big kernel takes seconds.
class Compile : public Napi::AsyncWorker {
 public:
  Compile(Napi::Env env, const Nvrtc* rtc, std::string source, std::string name, std::vector<std::string> options,
          std::map<std::string, std::string> includes)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        rtc_(rtc),
        source_(std::move(source)),
        name_(std::move(name)),
        options_(std::move(options)),
        includes_(std::move(includes)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    nvrtcProgram program = nullptr;
    std::vector<const char*> names, texts, options;
    for (const auto& [name, text] : includes_) names.push_back(name.c_str()), texts.push_back(text.c_str());
    const int count = static_cast<int>(names.size());
    if ((code_ = rtc_->create(&program, source_.c_str(), name_.c_str(), count, texts.data(), names.data()))) return;
    for (const std::string& option : options_) options.push_back(option.c_str());
    code_ = rtc_->compile(program, static_cast<int>(options.size()), options.data());
    size_t size = 0;
    if (rtc_->logSize(program, &size) == 0 && size > 1) {
      log_.resize(size);
      rtc_->log(program, log_.data());
      log_.resize(size - 1);
    }
    if (code_ == 0 && (code_ = rtc_->cubinSize(program, &size)) == 0) {
      cubin_.resize(size);
      code_ = rtc_->cubin(program, cubin_.data());
    }
    rtc_->destroy(&program);
  }
  void OnOK() override {
    const Napi::Env env = Env();
    if (code_) {
      Napi::Object result = failure(env, rtc_->errorString(code_), "nvrtcCompileProgram", name_ + " does not compile");
      result.Set("log", log_);
      deferred_.Resolve(result);
      return;
    }
    Napi::Object value = Napi::Object::New(env);
    Napi::Uint8Array bytes = Napi::Uint8Array::New(env, cubin_.size());
    std::copy(cubin_.begin(), cubin_.end(), reinterpret_cast<char*>(bytes.Data()));
    value.Set("cubin", bytes);
    value.Set("log", log_);
    deferred_.Resolve(success(env, value));
  }

 private:
  Napi::Promise::Deferred deferred_;
  const Nvrtc* rtc_;
  std::string source_, name_, log_;
  std::vector<std::string> options_;
  std::map<std::string, std::string> includes_;
  std::vector<char> cubin_;
  nvrtcResult code_ = 0;
};

// compile(source, name, options, folders, includes): a promise of { cubin, log }.
Napi::Value compile(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  std::string why;
  const Nvrtc* rtc = nvrtc(call[3].IsString() ? call[3].As<Napi::String>().Utf8Value() : "", &why);
  if (rtc == nullptr) {
    auto deferred = Napi::Promise::Deferred::New(env);
    deferred.Resolve(failure(env, "NO_NVRTC", "dlopen", why));
    return deferred.Promise();
  }
  std::vector<std::string> options;
  const auto list = call[2].As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); i++) options.push_back(list.Get(i).ToString().Utf8Value());
  std::map<std::string, std::string> includes;
  const auto texts = call[4].As<Napi::Object>();
  const Napi::Array names = texts.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); i++) {
    includes[names.Get(i).ToString().Utf8Value()] = texts.Get(names.Get(i)).ToString().Utf8Value();
  }
  auto* worker = new Compile(env, rtc, call[0].ToString().Utf8Value(), call[1].ToString().Utf8Value(), options, includes);
  worker->Queue();
  return worker->promise();
}

}  // namespace

void exportModules(Napi::Env env, Napi::Object exports) {
  exports.Set("loadModule", Napi::Function::New(env, loadModule));
  exports.Set("unloadModule", Napi::Function::New(env, unloadModule));
  exports.Set("getFunction", Napi::Function::New(env, getFunction));
  exports.Set("launch", Napi::Function::New(env, launch));
  exports.Set("tensorMap", Napi::Function::New(env, tensorMap));
  exports.Set("compile", Napi::Function::New(env, compile));
}

}  // namespace lmoec
