// A libcuda.so.1 for tests without a device: it keeps a record of what is asked of it, and runs kernels of the emulator, whose texts
// enter them. Work waits in its stream until somebody synchronises; then streams take turns in an order that tests choose, with nothing
// but events between them.
#include "emulator.h"
#include <deque>
#include <mutex>
#include <set>
#include <sstream>
typedef int Result;
typedef std::function<void()> Work;
struct TableEntry { std::function<Work(void**)> take; };
std::map<std::string, TableEntry>& registry() { static std::map<std::string, TableEntry> all; return all; }

struct EventState { u64 asked = 0, done = 0; bool captured = false; };
struct Op { enum { RUN, RECORD, WAIT } kind; Work work; EventState* event; u64 number; };
struct Library { std::string content; };
struct Kernel { std::string name; int shared = 0; };
static std::recursive_mutex guard_all;
static std::map<u64, std::deque<Op>> streams;
static std::string record_text;
static int turn = 0;
static thread_local u64 context = 0;
#define LOCK std::lock_guard<std::recursive_mutex> lock(guard_all)
#define API extern "C" __attribute__((visibility("default")))

template <typename... T> static void note(const T&... parts) {
  std::ostringstream line;
  ((line << parts), ...);
  record_text += line.str() + "\n";
}
static int setting(const char* name, int otherwise) {
  const char* text = getenv(name);
  return text ? atoi(text) : otherwise;
}
static void drain() {
  for (bool some = true; some;) {
    some = false;
    std::vector<u64> names;
    for (auto& [name, ops] : streams) if (!ops.empty()) names.push_back(name);
    if (names.empty()) return;
    // Even turns favour the first stream as long as it can run, odd ones the last.
    if (turn % 2) std::reverse(names.begin(), names.end());
    for (u64 name : names) {
      auto& ops = streams[name];
      bool ran = false;
      while (!ops.empty()) {
        Op op = ops.front();
        if (op.kind == Op::WAIT && op.event->done < op.number) break;
        ops.pop_front();
        if (op.kind == Op::RUN) op.work();
        if (op.kind == Op::RECORD) op.event->done = op.number;
        ran = true;
      }
      if (ran) { some = true; break; }
    }
    if (!some) { note("deadlock"); abort(); }
  }
}

API const char* stub_record() { return record_text.c_str(); }
API void stub_clear() { LOCK; record_text.clear(); }
API void stub_turn(int n) { turn = n; }

API Result cuInit(unsigned) { return setting("STUB_INIT", 0); }
API Result cuDriverGetVersion(int* v) { *v = setting("STUB_DRIVER", 13000); return 0; }
API Result cuGetErrorName(int code, const char** name) {
  static std::map<int, std::string> names = {
    {1, "CUDA_ERROR_INVALID_VALUE"}, {100, "CUDA_ERROR_NO_DEVICE"}, {200, "CUDA_ERROR_INVALID_IMAGE"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU"}, {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"}, {719, "CUDA_ERROR_LAUNCH_FAILED"},
  };
  auto found = names.find(code);
  *name = found == names.end() ? nullptr : found->second.c_str();
  return 0;
}
API Result cuCtxGetCurrent(u64* c) { *c = context; return 0; }
API Result cuCtxSetCurrent(u64 c) { context = c; return 0; }
API Result cuDeviceGet(int* d, int index) { *d = index; return 0; }
API Result cuDevicePrimaryCtxRetain(u64* c, int device) { LOCK; note("retain ", device); *c = 0xc0 + device; return 0; }
API Result cuCtxSynchronize() { LOCK; drain(); return 0; }

// An image that begins with `refuse N` is refused with the code N; `late N`: when a kernel is loaded.
API Result cuLibraryLoadData(Library** l, const char* image, void*, void*, int, void*, void*, int) {
  LOCK;
  const std::string text(image, strnlen(image, 24));
  note("library ", text);
  if (text.rfind("refuse ", 0) == 0) return atoi(text.c_str() + 7);
  *l = new Library{text};
  return 0;
}
API Result cuLibraryGetKernel(Kernel** k, Library* l, const char* name) {
  LOCK;
  *k = new Kernel{name};
  return 0;
}
API Result cuKernelSetAttribute(int attribute, int value, Kernel* k, int device) {
  LOCK;
  note("attribute ", k->name, " ", attribute, " ", value, " ", device);
  if (value > setting("STUB_SHARED", 232448)) return 1;
  k->shared = value;
  return 0;
}
API Result cuKernelGetFunction(Kernel** f, Kernel* k) { LOCK; *f = k; return setting("STUB_FUNCTION", 0); }

API Result cuStreamCreate(u64* s, unsigned flags) { LOCK; static u64 next = 0x900; *s = next++; note("stream ", *s, " ", flags); return 0; }
API Result cuStreamDestroy(u64) { return 0; }
API Result cuEventCreate(EventState** e, unsigned) { *e = new EventState; return 0; }
// States stay: work that waits may name them.
API Result cuEventDestroy(EventState*) { return 0; }
// STUB_CAPTURE: a stream that is captured into a graph, and with it those that wait for it.
static std::set<u64> forked;
static bool captured(u64 s) {
  static u64 before = 0;
  u64 origin = setting("STUB_CAPTURE", 0);
  if (origin != before) forked.clear();
  before = origin;
  return origin && (s == origin || forked.count(s));
}
API Result cuEventRecord(EventState* e, u64 s) {
  LOCK;
  e->captured = captured(s);
  streams[s].push_back({Op::RECORD, {}, e, ++e->asked});
  note("record ", s);
  return 0;
}
API Result cuStreamWaitEvent(u64 s, EventState* e, unsigned) {
  LOCK;
  // CUDA_ERROR_STREAM_CAPTURE_ISOLATION: a graph cannot wait for what is not in it.
  if (captured(s) && !e->captured) return 905;
  if (setting("STUB_CAPTURE", 0) && e->captured) forked.insert(s);
  streams[s].push_back({Op::WAIT, {}, e, e->asked});
  note("wait ", s);
  return 0;
}
API Result cuMemsetD8Async(u8* at, u8 value, size_t n, u64 s) {
  LOCK;
  streams[s].push_back({Op::RUN, [=] { memset(at, value, n); }, nullptr, 0});
  note("memset ", n, " ", s);
  return 0;
}

struct Config { unsigned gx, gy, gz, bx, by, bz, shared; u64 stream; void* attributes; unsigned count; };
API Result cuLaunchKernelEx(const Config* c, Kernel* k, void** params, void**) {
  LOCK;
  if (context == 0) return 201;
  note("launch ", k->name, " ", c->gx, " ", c->gy, " ", c->gz, " ", c->bx, " ", c->shared, " ", c->stream, " ", context);
  if (setting("STUB_LAUNCH", 0)) return setting("STUB_LAUNCH", 0);
  if (c->shared > 48 * 1024 && (int)c->shared > k->shared) return 1;
  auto found = registry().find(k->name);
  if (found == registry().end()) return 0;
  // Parameters are the driver's own from here.
  const Work work = found->second.take(params);
  const Config config = *c;
  const std::string name = k->name;
  streams[c->stream].push_back({Op::RUN, [=] {
    launch(name.c_str(), {(int)config.gx, (int)config.gy, 1}, config.bx, config.shared < 16 ? 16 : config.shared, work);
  }, nullptr, 0});
  return 0;
}

// A graph: kernels and what each begins after. Launched, they run in an order that those edges allow:
// the first that can or the last, as the turn says.
struct NodeState { Kernel* kernel; Config config; Work work; std::vector<int> after; };
struct GraphState { std::vector<NodeState> nodes; };
struct NodeParams { Kernel* kernel; unsigned gx, gy, gz, bx, by, bz, shared; void** params; void** extra; void* other; void* context; };
static Result take(NodeState& node, const NodeParams* p) {
  node.kernel = p->kernel;
  node.config = {p->gx, p->gy, p->gz, p->bx, p->by, p->bz, p->shared, 0, nullptr, 0};
  if (p->shared > 48 * 1024 && (int)p->shared > p->kernel->shared) return 1;
  auto found = registry().find(p->kernel->name);
  node.work = found == registry().end() ? Work() : found->second.take(p->params);
  return 0;
}
API Result cuGraphCreate(GraphState** g, unsigned) { LOCK; note("graph"); *g = new GraphState; return 0; }
API Result cuGraphDestroy(GraphState* g) { LOCK; note("graph destroyed"); delete g; return 0; }
API Result cuGraphAddKernelNode_v2(u64* node, GraphState* g, const u64* after, size_t n, const NodeParams* p) {
  LOCK;
  NodeState made;
  for (size_t i = 0; i < n; ++i) made.after.push_back((int)after[i] - 1);
  const Result code = take(made, p);
  std::ostringstream edges;
  for (int a : made.after) edges << " " << g->nodes[a].kernel->name;
  note("node ", p->kernel->name, edges.str());
  g->nodes.push_back(made);
  *node = g->nodes.size();
  return code;
}
API Result cuGraphInstantiateWithFlags(GraphState** e, GraphState* g, u64) { LOCK; *e = new GraphState(*g); return 0; }
API Result cuGraphExecDestroy(GraphState* e) { LOCK; note("exec destroyed"); delete e; return 0; }
API Result cuGraphExecKernelNodeSetParams_v2(GraphState* e, u64 node, const NodeParams* p) {
  LOCK;
  note("set ", p->kernel->name);
  return take(e->nodes[node - 1], p);
}
API Result cuGraphLaunch(GraphState* e, u64 stream) {
  LOCK;
  if (context == 0) return 201;
  note("graph launch ", stream);
  if (setting("STUB_LAUNCH", 0)) return setting("STUB_LAUNCH", 0);
  const std::vector<NodeState> nodes = e->nodes;
  streams[stream].push_back({Op::RUN, [=] {
    std::vector<bool> done(nodes.size());
    for (size_t count = 0; count < nodes.size(); ++count) {
      int chosen = -1;
      for (int i = 0; i < (int)nodes.size(); ++i) {
        bool can = !done[i];
        for (int a : nodes[i].after) can = can && done[a];
        if (can && (chosen < 0 || turn % 2)) chosen = i;
      }
      done[chosen] = true;
      const auto& [kernel, config, work, after] = nodes[chosen];
      if (work) launch(kernel->name.c_str(), {(int)config.gx, (int)config.gy, 1}, config.bx, config.shared < 16 ? 16 : config.shared, work);
    }
  }, nullptr, 0});
  return 0;
}

API Result cuTensorMapEncodeTiled(TensorMap* map, int type, unsigned rank, const u8* at, const u64* dims, const u64* strides,
    const unsigned* box, const unsigned* steps, int, int swizzle, int promotion, int fill) {
  LOCK;
  const int element = type == 7 ? 4 : 2, row = box[0] * element;
  note("map ", rank, " ", type, " ", swizzle);
  if ((rank != 2 && rank != 3) || (u64)map % 64 != 0 || (u64)at % 16 != 0) return 1;
  if (swizzle != (row == 128 ? 3 : row == 64 ? 2 : row == 32 ? 1 : 0)) return 1;
  TensorMap made = {at, (int)rank, {1, 1, 1}, {}, {1, 1, 1}, element};
  for (unsigned i = 0; i < rank; ++i) {
    if (dims[i] == 0 || box[i] == 0 || box[i] > 256 || steps[i] != 1) return 1;
    made.dims[i] = dims[i];
    made.box[i] = box[i];
  }
  for (unsigned i = 0; i + 1 < rank; ++i) {
    if (strides[i] % 16 != 0) return 1;
    made.strides[i] = strides[i];
  }
  *map = made;
  return 0;
}
API Result cuTensorMapReplaceAddress(TensorMap* map, const u8* at) {
  LOCK;
  note("moved");
  if ((u64)at % 16 != 0) return 1;
  map->at = at;
  return 0;
}
