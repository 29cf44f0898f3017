#include "handles.h"

namespace lmoec {
namespace {

Napi::Value createEvent(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  CUevent handle = nullptr;
  if (const CUresult code = cu->eventCreate(&handle, 0)) return failure(env, *cu, code, "cuEventCreate");
  return success(env, wrap(env, new Event{handle}, [](Napi::Env, Event* event) {
    if (const Driver* driver_ = driver(nullptr)) {
      useCurrent(*driver_);
      driver_->eventDestroy(event->handle);
    }
    delete event;
  }));
}

Napi::Value recordEvent(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  Event* event = unwrap<Event>(call[0], "an event");
  if (event == nullptr) return env.Undefined();
  if (const CUresult code = cu->eventRecord(event->handle, streamOf(call[1]))) return failure(env, *cu, code, "cuEventRecord");
  return success(env, env.Undefined());
}

// elapsed(start, end): milliseconds between two recorded events; waits for the second.
Napi::Value elapsed(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  Event* start = unwrap<Event>(call[0], "an event");
  Event* end = unwrap<Event>(call[1], "an event");
  if (start == nullptr || end == nullptr) return env.Undefined();
  if (const CUresult code = cu->eventSynchronize(end->handle)) return failure(env, *cu, code, "cuEventSynchronize");
  float milliseconds = 0;
  const CUresult code = cu->eventElapsed(&milliseconds, start->handle, end->handle);
  if (code) return failure(env, *cu, code, "cuEventElapsedTime");
  return success(env, Napi::Number::New(env, milliseconds));
}

}  // namespace

void exportEvents(Napi::Env env, Napi::Object exports) {
  exports.Set("createEvent", Napi::Function::New(env, createEvent));
  exports.Set("recordEvent", Napi::Function::New(env, recordEvent));
  exports.Set("elapsed", Napi::Function::New(env, elapsed));
}

}  // namespace lmoec
