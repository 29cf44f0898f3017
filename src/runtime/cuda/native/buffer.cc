#include "handles.h"

namespace lmoec {
namespace {

// Host memory of a typed array, DataView or ArrayBuffer.
struct HostBytes {
  uint8_t* data = nullptr;
  size_t bytes = 0;
};

bool hostBytes(const Napi::Value& value, HostBytes* out) {
  if (value.IsTypedArray()) {
    const auto array = value.As<Napi::TypedArray>();
    *out = {static_cast<uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
    return true;
  }
  if (value.IsArrayBuffer()) {
    auto buffer = value.As<Napi::ArrayBuffer>();
    *out = {static_cast<uint8_t*>(buffer.Data()), buffer.ByteLength()};
    return true;
  }
  Napi::TypeError::New(value.Env(), "expected a typed array").ThrowAsJavaScriptException();
  return false;
}

// JavaScript's collector runs for every 64 MiB that it hears of; device memory is far larger, so a sixteenth of it counts as that much.
void tellCollector(Napi::Env env, int64_t bytes) {
  const double share = 16.0 * (64 << 20) / static_cast<double>(deviceBytes() == 0 ? 16ull << 30 : deviceBytes());
  int64_t after = 0;
  napi_adjust_external_memory(env, static_cast<int64_t>(static_cast<double>(bytes) * (share < 1 ? share : 1)), &after);
}

void release(Napi::Env env, Buffer* buffer) {
  if (buffer->kind != Buffer::Kind::kBorrowed && buffer->pointer != 0) {
    if (const Driver* cu = driver(nullptr)) {
      useCurrent(*cu);
      // In stream order: work that was submitted before still finds its memory, and nobody waits.
      if (buffer->kind == Buffer::Kind::kPooled) cu->memFreeAsync(buffer->pointer, nullptr);
      else cu->memFree(buffer->pointer);
    }
    tellCollector(env, -static_cast<int64_t>(buffer->bytes));
  }
  buffer->pointer = 0;
}

// From the pool; what it holds unused is given back before it says that there is no memory.
CUresult take(const Driver& cu, CUdeviceptr* pointer, size_t bytes, Buffer::Kind* kind) {
  CUmemoryPool pool = memoryPool();
  *kind = pool == nullptr ? Buffer::Kind::kPlain : Buffer::Kind::kPooled;
  if (pool == nullptr) return cu.memAlloc(pointer, bytes);
  const CUresult first = cu.memAllocAsync(pointer, bytes, nullptr);
  if (first == 0) return first;
  cu.contextSynchronize();
  cu.poolTrim(pool, 0);
  return cu.memAllocAsync(pointer, bytes, nullptr);
}

// alloc(bytes): a buffer, freed by free() or the garbage collector.
Napi::Value alloc(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  const size_t bytes = static_cast<size_t>(call[0].ToNumber().Int64Value());
  CUdeviceptr pointer = 0;
  // The driver refuses 0 bytes; an empty tensor still needs an address.
  Buffer::Kind kind;
  if (const CUresult code = take(*cu, &pointer, bytes == 0 ? 256 : bytes, &kind)) {
    Napi::Object result = failure(env, *cu, code, "cuMemAlloc");
    size_t free = 0, total = 0;
    cu->memInfo(&free, &total);
    result.Set("bytes", static_cast<double>(bytes));
    result.Set("freeBytes", static_cast<double>(free));
    return result;
  }
  tellCollector(env, static_cast<int64_t>(bytes));
  Buffer* buffer = new Buffer{pointer, bytes, kind};
  return success(env, wrap(env, buffer, [](Napi::Env e, Buffer* b) {
    release(e, b);
    delete b;
  }));
}

// borrow(pointer, bytes): memory of another library; never freed here.
Napi::Value borrow(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  bool lossless = false;
  const uint64_t pointer = call[0].As<Napi::BigInt>().Uint64Value(&lossless);
  Buffer* buffer = new Buffer{pointer, static_cast<size_t>(call[1].ToNumber().Int64Value()), Buffer::Kind::kBorrowed};
  return success(env, wrap(env, buffer, [](Napi::Env, Buffer* b) { delete b; }));
}

Napi::Value freeBuffer(const Napi::CallbackInfo& call) {
  Buffer* buffer = unwrap<Buffer>(call[0], "a buffer");
  if (buffer != nullptr) release(call.Env(), buffer);
  return call.Env().Undefined();
}

// address(buffer): where it lies, exactly: device addresses have fewer than 53 bits.
Napi::Value addressOf(const Napi::CallbackInfo& call) {
  Buffer* buffer = unwrap<Buffer>(call[0], "a buffer");
  return Napi::Number::New(call.Env(), static_cast<double>(buffer == nullptr ? 0 : buffer->pointer));
}

Napi::Value pointerOf(const Napi::CallbackInfo& call) {
  Buffer* buffer = unwrap<Buffer>(call[0], "a buffer");
  return Napi::BigInt::New(call.Env(), static_cast<uint64_t>(buffer == nullptr ? 0 : buffer->pointer));
}

bool fits(Napi::Env env, const Buffer& buffer, size_t offset, size_t bytes, const char* call, Napi::Value* failed) {
  if (buffer.pointer == 0) {
    *failed = failure(env, "FREED", call, "the buffer was freed");
    return false;
  }
  if (offset + bytes > buffer.bytes) {
    *failed = failure(env, "OUT_OF_BOUNDS", call,
                      std::to_string(bytes) + " bytes at offset " + std::to_string(offset) + " of a buffer of " +
                           std::to_string(buffer.bytes));
    return false;
  }
  return true;
}

// upload(buffer, offset, array): returns when the array may be changed again.
Napi::Value upload(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  Buffer* buffer = unwrap<Buffer>(call[0], "a buffer");
  HostBytes host;
  if (buffer == nullptr || !hostBytes(call[2], &host)) return env.Undefined();
  const size_t offset = static_cast<size_t>(call[1].ToNumber().Int64Value());
  if (!fits(env, *buffer, offset, host.bytes, "cuMemcpyHtoD", &failed)) return failed;
  if (host.bytes > 0) {
    if (const CUresult code = cu->copyHtoD(buffer->pointer + offset, host.data, host.bytes)) return failure(env, *cu, code, "cuMemcpyHtoD");
  }
  return success(env, env.Undefined());
}

// Waits for the stream and copies on a worker thread, so that the event loop runs on.
class Download : public Napi::AsyncWorker {
 public:
  Download(Napi::Env env, Napi::Value handle, Buffer* buffer, Napi::Object array, HostBytes host, size_t offset, CUstream stream)
      : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)),
        handle_(Napi::Reference<Napi::Value>::New(handle, 1)), array_(Napi::Persistent(array)),
        host_(host), from_(buffer->pointer + offset), stream_(stream) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    const Driver* cu = driver(nullptr);
    if ((code_ = useCurrent(*cu))) return;
    if ((code_ = cu->streamSynchronize(stream_))) return;
    if (host_.bytes > 0) code_ = cu->copyDtoH(host_.data, from_, host_.bytes);
  }
  void OnOK() override {
    const Driver* cu = driver(nullptr);
    if (code_) deferred_.Resolve(failure(Env(), *cu, code_, "cuMemcpyDtoH"));
    else deferred_.Resolve(success(Env(), array_.Value()));
  }

 private:
  Napi::Promise::Deferred deferred_;
  // The garbage collector may not take the buffer while it is read.
  Napi::Reference<Napi::Value> handle_;
  Napi::ObjectReference array_;
  HostBytes host_;
  CUdeviceptr from_;
  CUstream stream_;
  CUresult code_ = 0;
};

// download(buffer, offset, array, stream?): a promise of the filled array.
Napi::Value download(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const auto resolved = [&](Napi::Value value) {
    auto deferred = Napi::Promise::Deferred::New(env);
    deferred.Resolve(value);
    return deferred.Promise();
  };
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return resolved(failed);
  Buffer* buffer = unwrap<Buffer>(call[0], "a buffer");
  HostBytes host;
  if (buffer == nullptr || !hostBytes(call[2], &host)) return env.Undefined();
  const size_t offset = static_cast<size_t>(call[1].ToNumber().Int64Value());
  if (!fits(env, *buffer, offset, host.bytes, "cuMemcpyDtoH", &failed)) return resolved(failed);
  auto* worker = new Download(env, call[0], buffer, call[2].As<Napi::Object>(), host, offset, streamOf(call[3]));
  worker->Queue();
  return worker->promise();
}

// copy(to, toOffset, from, fromOffset, bytes, stream?): device to device, in stream order.
Napi::Value copy(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  Buffer* to = unwrap<Buffer>(call[0], "a buffer");
  Buffer* from = unwrap<Buffer>(call[2], "a buffer");
  if (to == nullptr || from == nullptr) return env.Undefined();
  const size_t toOffset = static_cast<size_t>(call[1].ToNumber().Int64Value());
  const size_t fromOffset = static_cast<size_t>(call[3].ToNumber().Int64Value());
  const size_t bytes = static_cast<size_t>(call[4].ToNumber().Int64Value());
  if (!fits(env, *to, toOffset, bytes, "cuMemcpyDtoD", &failed)) return failed;
  if (!fits(env, *from, fromOffset, bytes, "cuMemcpyDtoD", &failed)) return failed;
  if (bytes > 0) {
    if (const CUresult code = cu->copyDtoDAsync(to->pointer + toOffset, from->pointer + fromOffset, bytes, streamOf(call[5]))) {
      return failure(env, *cu, code, "cuMemcpyDtoDAsync");
    }
  }
  return success(env, env.Undefined());
}

// fill(buffer, byte, stream?): every byte, in stream order.
Napi::Value fill(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  Buffer* buffer = unwrap<Buffer>(call[0], "a buffer");
  if (buffer == nullptr) return env.Undefined();
  if (!fits(env, *buffer, 0, buffer->bytes, "cuMemsetD8Async", &failed)) return failed;
  if (buffer->bytes > 0) {
    const auto byte = static_cast<unsigned char>(call[1].ToNumber().Uint32Value());
    const CUresult code = cu->memset8Async(buffer->pointer, byte, buffer->bytes, streamOf(call[2]));
    if (code) return failure(env, *cu, code, "cuMemsetD8Async");
  }
  return success(env, env.Undefined());
}

}  // namespace

void exportBuffers(Napi::Env env, Napi::Object exports) {
  exports.Set("alloc", Napi::Function::New(env, alloc));
  exports.Set("borrow", Napi::Function::New(env, borrow));
  exports.Set("free", Napi::Function::New(env, freeBuffer));
  exports.Set("address", Napi::Function::New(env, addressOf));
  exports.Set("pointer", Napi::Function::New(env, pointerOf));
  exports.Set("upload", Napi::Function::New(env, upload));
  exports.Set("download", Napi::Function::New(env, download));
  exports.Set("copy", Napi::Function::New(env, copy));
  exports.Set("fill", Napi::Function::New(env, fill));
}

}  // namespace lmoec
