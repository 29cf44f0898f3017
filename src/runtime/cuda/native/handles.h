// What JavaScript holds, and how results reach it: `{ ok: true, value }` or `{ ok: false, error, call, message, ... }`, never a bare code.
#pragma once

#include <napi.h>

#include <string>

#include "driver.h"

namespace lmoec {

struct Buffer {
  CUdeviceptr pointer = 0;
  size_t bytes = 0;
  enum class Kind { kBorrowed, kPlain, kPooled } kind = Kind::kPlain;
};
struct Module { CUmodule handle = nullptr; };
struct Function { CUfunction handle = nullptr; };
struct Stream { CUstream handle = nullptr; };
struct Event { CUevent handle = nullptr; };
struct GraphExec { CUgraphExec handle = nullptr; };

// Tags keep a stream from being taken for a buffer when JavaScript mixes its handles up.
template <typename T> napi_type_tag tagOf();
template <> inline napi_type_tag tagOf<Buffer>() { return {0x6c6d6f65634c0001, 1}; }
template <> inline napi_type_tag tagOf<Module>() { return {0x6c6d6f65634c0002, 1}; }
template <> inline napi_type_tag tagOf<Function>() { return {0x6c6d6f65634c0003, 1}; }
template <> inline napi_type_tag tagOf<Stream>() { return {0x6c6d6f65634c0004, 1}; }
template <> inline napi_type_tag tagOf<Event>() { return {0x6c6d6f65634c0005, 1}; }

template <> inline napi_type_tag tagOf<GraphExec>() { return {0x6c6d6f65634c0006, 1}; }

template <typename T, typename Finalizer>
Napi::Value wrap(Napi::Env env, T* handle, Finalizer finalizer) {
  auto external = Napi::External<T>::New(env, handle, finalizer);
  const napi_type_tag tag = tagOf<T>();
  napi_type_tag_object(env, external, &tag);
  return external;
}

// Null with a pending TypeError when `value` is no such handle.
template <typename T>
T* unwrap(const Napi::Value& value, const char* what) {
  const Napi::Env env = value.Env();
  bool matches = false;
  const napi_type_tag tag = tagOf<T>();
  if (value.IsExternal()) napi_check_object_type_tag(env, value, &tag, &matches);
  if (!matches) {
    Napi::TypeError::New(env, std::string("expected ") + what).ThrowAsJavaScriptException();
    return nullptr;
  }
  return value.As<Napi::External<T>>().Data();
}

inline CUstream streamOf(const Napi::Value& value) {
  if (value.IsUndefined() || value.IsNull()) return nullptr;
  Stream* stream = unwrap<Stream>(value, "a stream");
  return stream == nullptr ? nullptr : stream->handle;
}

inline Napi::Object success(Napi::Env env, Napi::Value value) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("ok", true);
  result.Set("value", value);
  return result;
}

inline Napi::Object failure(Napi::Env env, const std::string& error, const std::string& call, const std::string& message) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("ok", false);
  result.Set("error", error);
  result.Set("call", call);
  result.Set("message", message);
  return result;
}

struct ErrorText {
  std::string name, message;
};

inline ErrorText describe(const Driver& cu, CUresult code) {
  const char* name = nullptr;
  const char* text = nullptr;
  cu.errorName(code, &name);
  cu.errorString(code, &text);
  return {name == nullptr ? "CUDA_ERROR_" + std::to_string(code) : name, text == nullptr ? "" : text};
}

inline Napi::Object failure(Napi::Env env, const Driver& cu, CUresult code, const char* call) {
  const ErrorText text = describe(cu, code);
  return failure(env, text.name, call, text.message);
}

// The driver with its context current, or null with `*failed` set to what to return.
const Driver* ready(Napi::Env env, Napi::Value* failed);

void exportBuffers(Napi::Env env, Napi::Object exports);
void exportModules(Napi::Env env, Napi::Object exports);
void exportStreams(Napi::Env env, Napi::Object exports);
void exportEvents(Napi::Env env, Napi::Object exports);
void exportGraphs(Napi::Env env, Napi::Object exports);

}  // namespace lmoec
