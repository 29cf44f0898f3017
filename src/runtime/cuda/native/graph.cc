#include "handles.h"

namespace lmoec {
namespace {

void destroy(GraphExec* graph) {
  if (const Driver* cu = driver(nullptr)) {
    useCurrent(*cu);
    cu->graphExecDestroy(graph->handle);
  }
  delete graph;
}

bool supported(const Driver& cu) {
  return cu.captureBegin != nullptr && cu.captureEnd != nullptr && cu.graphInstantiate != nullptr && cu.graphLaunch != nullptr &&
         cu.graphExecDestroy != nullptr && cu.graphDestroy != nullptr;
}

// beginCapture(stream): work for the stream, and for streams that wait for it, is recorded from now on and not run.
Napi::Value beginCapture(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  if (!supported(*cu)) {
    return failure(env, "NO_GRAPHS", "cuStreamBeginCapture", "the installed NVIDIA driver has no graphs (11.4 or later has)");
  }
  // 1: what other threads do is theirs.
  if (const CUresult code = cu->captureBegin(streamOf(call[0]), 1)) return failure(env, *cu, code, "cuStreamBeginCapture");
  return success(env, env.Undefined());
}

// endCapture(stream): what was recorded, ready to be launched. Its parameters, addresses among them, are those of the recording.
Napi::Value endCapture(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  CUgraph graph = nullptr;
  if (const CUresult code = cu->captureEnd(streamOf(call[0]), &graph)) return failure(env, *cu, code, "cuStreamEndCapture");
  CUgraphExec exec = nullptr;
  const CUresult code = cu->graphInstantiate(&exec, graph, 0);
  cu->graphDestroy(graph);
  if (code) return failure(env, *cu, code, "cuGraphInstantiateWithFlags");
  return success(env, wrap(env, new GraphExec{exec}, [](Napi::Env, GraphExec* made) { destroy(made); }));
}

// launchGraph(graph): on the stream that everything uses.
Napi::Value launchGraph(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Value failed;
  const Driver* cu = ready(env, &failed);
  if (cu == nullptr) return failed;
  GraphExec* graph = unwrap<GraphExec>(call[0], "a graph");
  if (graph == nullptr) return env.Undefined();
  if (const CUresult code = cu->graphLaunch(graph->handle, nullptr)) return failure(env, *cu, code, "cuGraphLaunch");
  return success(env, env.Undefined());
}

}  // namespace

void exportGraphs(Napi::Env env, Napi::Object exports) {
  exports.Set("beginCapture", Napi::Function::New(env, beginCapture));
  exports.Set("endCapture", Napi::Function::New(env, endCapture));
  exports.Set("launchGraph", Napi::Function::New(env, launchGraph));
}

}  // namespace lmoec
