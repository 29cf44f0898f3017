#include "handles.h"

namespace lmoec {
namespace {

Napi::Value createStream(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  CUstream handle = nullptr;
  // 1: does not wait for the legacy default stream.
  if (const CUresult code = cu->streamCreate(&handle, 1)) return failure(env, *cu, code, "cuStreamCreate");
  return success(env, wrap(env, new Stream{handle}, [](Napi::Env, Stream* stream) {
    if (const Driver* driver_ = driver(nullptr)) {
      useCurrent(*driver_);
      driver_->streamDestroy(stream->handle);
    }
    delete stream;
  }));
}

class Wait : public Napi::AsyncWorker {
 public:
  Wait(Napi::Env env, CUstream stream) : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), stream_(stream) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    const Driver* cu = driver(nullptr);
    if ((code_ = useCurrent(*cu))) return;
    code_ = cu->streamSynchronize(stream_);
  }
  void OnOK() override {
    if (code_) deferred_.Resolve(failure(Env(), *driver(nullptr), code_, "cuStreamSynchronize"));
    else deferred_.Resolve(success(Env(), Env().Undefined()));
  }

 private:
  Napi::Promise::Deferred deferred_;
  CUstream stream_;
  CUresult code_ = 0;
};

// synchronize(stream?): a promise, kept when all work of the stream is done.
Napi::Value synchronize(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  if (ready(env, &failed) == nullptr) {
    auto deferred = Napi::Promise::Deferred::New(env);
    deferred.Resolve(failed);
    return deferred.Promise();
  }
  auto* worker = new Wait(env, streamOf(call[0]));
  worker->Queue();
  return worker->promise();
}

// waitEvent(stream, event): later work of the stream waits for the event.
Napi::Value waitEvent(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  Event* event = unwrap<Event>(call[1], "an event");
  if (event == nullptr) return env.Undefined();
  if (const CUresult code = cu->streamWait(streamOf(call[0]), event->handle, 0)) return failure(env, *cu, code, "cuStreamWaitEvent");
  return success(env, env.Undefined());
}

}  // namespace

void exportStreams(Napi::Env env, Napi::Object exports) {
  exports.Set("createStream", Napi::Function::New(env, createStream));
  exports.Set("synchronize", Napi::Function::New(env, synchronize));
  exports.Set("waitEvent", Napi::Function::New(env, waitEvent));
}

}  // namespace lmoec
