// A method compiled by oneDNN Graph for inputs of one shape: convolutions with the activations, sums and depthwise
// convolutions behind them in one kernel each, on weights that are packed once.
//
// libtorch does this inside its profiling executor, which would also compile again whenever another shape comes, in
// the midst of a request. Here the same steps are taken once, for a shape that the caller chooses.
#include "bridge.h"

#include <torch/csrc/jit/codegen/onednn/interface.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/decompose_ops.h>
#include <torch/csrc/jit/passes/peephole.h>
#include <torch/csrc/jit/passes/utils/subgraph_utils.h>
#include <torch/csrc/jit/runtime/interpreter.h>
#include <torch/csrc/jit/runtime/profiling_record.h>

#include <memory>
#include <mutex>
#include <stdexcept>

namespace bridge {

struct Specialised {
  IValue self;
  const c10::FunctionSchema* schema;
  torch::jit::Code code;

  torch::jit::Stack run(const IValue& inputs) const {
    torch::jit::Stack stack = call_stack(*schema, self, inputs);
    torch::jit::InterpreterState(code).run(stack);
    return stack;
  }
};

namespace {

// fuseGraph does nothing unless this switch of the process is on; nobody else may find it so for longer than that.
void fuse(std::shared_ptr<torch::jit::Graph>& graph) {
  static std::mutex one_at_a_time;
  const std::lock_guard<std::mutex> lock(one_at_a_time);
  const bool before = torch::jit::getProfilingMode().exchange(true);
  try {
    torch::jit::fuser::onednn::fuseGraph(graph);
  } catch (...) {
    torch::jit::getProfilingMode() = before;
    throw;
  }
  torch::jit::getProfilingMode() = before;
}

// The fuser guards each group by the shapes it was made for, and leaves what runs otherwise as a subgraph that only
// the profiling executor could call.
void inline_fallbacks(torch::jit::Graph& graph) {
  for (torch::jit::Node* node : torch::jit::findAllNodes(graph, c10::prim::FallbackGraph, /*recurse=*/true)) {
    torch::jit::SubgraphUtils::unmergeSubgraph(node);
  }
}

// The shapes of every value in `graph`, by running it once.
std::shared_ptr<torch::jit::Graph> with_shapes(
    std::shared_ptr<torch::jit::Graph> graph, torch::jit::Stack stack, const std::string& name) {
  torch::jit::DecomposeOps(graph);
  torch::jit::ConstantPropagation(graph);
  torch::jit::PeepholeOptimize(graph);
  torch::jit::EliminateDeadCode(graph);
  const auto record = torch::jit::ProfilingRecord::instrumentGraph(graph);
  torch::jit::InterpreterState(torch::jit::Code(record->graph(), name)).run(stack);
  auto shaped = record->graph()->copy();
  torch::jit::ProfilingRecord::removeProfileCounter(shaped->block());
  return shaped;
}

}  // namespace
}  // namespace bridge

using namespace bridge;

extern "C" {

Error bridge_specialised_new(
    const torch::jit::Module* module, const char* method, const IValue* inputs, Specialised** out) {
  return guarded([&] {
    const torch::jit::GraphFunction& function = graph_function(*module, method);
    const c10::FunctionSchema& schema = module->get_method(method).function().getSchema();
    auto graph = with_shapes(function.graph()->copy(), call_stack(schema, module->_ivalue(), *inputs), method);
    fuse(graph);
    inline_fallbacks(*graph);
    torch::jit::ProfilingRecord::removeProfilingNodes(graph->block());
    torch::jit::EliminateDeadCode(graph);
    if (torch::jit::findAllNodes(*graph, c10::prim::oneDNNFusionGroup, /*recurse=*/true).empty()) {
      throw std::runtime_error("oneDNN Graph finds nothing to compile in it");
    }
    auto made = std::make_unique<Specialised>(Specialised{module->_ivalue(), &schema, torch::jit::Code(graph, method)});
    // Each kernel is compiled when it first runs.
    made->run(*inputs);
    *out = made.release();
  });
}

void bridge_specialised_free(Specialised* specialised) { delete specialised; }

Error bridge_specialised_run(const Specialised* specialised, const IValue* inputs, IValue** out) {
  return guarded([&] { *out = new IValue(std::move(specialised->run(*inputs).front())); });
}

}  // extern "C"
