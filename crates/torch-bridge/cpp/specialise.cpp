// A method compiled by oneDNN Graph for inputs of one shape: convolutions with the activations, sums and depthwise
// convolutions behind them in one kernel each, on weights that are packed once.
//
// libtorch does this inside its profiling executor, which would also compile again whenever another shape comes, in
// the midst of a request. Here the same steps are taken once, for a shape that the caller chooses.
#include "cuts.h"
#include "in_place.h"

#include <c10/util/ScopeExit.h>
#include <torch/csrc/jit/codegen/onednn/interface.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/utils/subgraph_utils.h>
#include <torch/csrc/jit/runtime/interpreter.h>
#include <torch/csrc/jit/runtime/profiling_record.h>

#include <memory>
#include <mutex>
#include <stdexcept>

namespace bridge {

struct Specialised {
  IValue self;
  /// Of the method, for what takes its arguments; null for a part behind a cut, which takes one tensor.
  const c10::FunctionSchema* schema;
  torch::jit::Code code;

  static torch::jit::Stack stack(
      const IValue& self, const c10::FunctionSchema* schema, const IValue& inputs) {
    if (schema) {
      return call_stack(*schema, self, inputs);
    }
    torch::jit::Stack stack{self};
    for (const IValue& input : inputs.toTupleRef().elements()) {
      stack.push_back(input);
    }
    return stack;
  }

  torch::jit::Stack run(const IValue& inputs) const {
    torch::jit::Stack values = stack(self, schema, inputs);
    torch::jit::InterpreterState(code).run(values);
    return values;
  }
};

namespace {

// fuseGraph does nothing unless this switch of the process is on; nobody else may find it so for longer than that.
void fuse(std::shared_ptr<torch::jit::Graph>& graph) {
  static std::mutex one_at_a_time;
  const std::lock_guard<std::mutex> lock(one_at_a_time);
  const bool before = torch::jit::getProfilingMode().exchange(true);
  const auto restore = c10::make_scope_exit([before] { torch::jit::getProfilingMode() = before; });
  torch::jit::fuser::onednn::fuseGraph(graph);
}

// The fuser guards each group by the shapes it was made for, and leaves what runs otherwise as a subgraph that only
// the profiling executor could call.
void inline_fallbacks(torch::jit::Graph& graph) {
  for (torch::jit::Node* node : torch::jit::findAllNodes(graph, c10::prim::FallbackGraph, /*recurse=*/true)) {
    torch::jit::SubgraphUtils::unmergeSubgraph(node);
  }
}

// A part of the method, fused and compiled by a first run. `strided`: no group gives its tensors in a layout of oneDNN's own.
std::unique_ptr<Specialised> compiled(
    const torch::jit::Module& module, const char* method, std::pair<size_t, size_t> cuts, const IValue& inputs,
    bool strided) {
  const auto [from, to] = cuts;
  const c10::FunctionSchema* schema = from == 0 ? &module.get_method(method).function().getSchema() : nullptr;
  const IValue self = module._ivalue();
  auto whole = straightened(module, method);
  if (hangs_on_order({whole})) {
    throw std::runtime_error("its answer hangs on the order of numbers in memory, which compiled kernels choose");
  }
  auto part = part_of(*whole, from, to);
  auto graph = profiled(part, Specialised::stack(self, schema, inputs));
  fuse(graph);
  forbid_overwriting(*graph);
  if (strided) {
    keep_strided(*graph);
  }
  inline_fallbacks(*graph);
  torch::jit::ProfilingRecord::removeProfilingNodes(graph->block());
  torch::jit::EliminateDeadCode(graph);
  if (torch::jit::findAllNodes(*graph, c10::prim::oneDNNFusionGroup, /*recurse=*/true).empty()) {
    throw std::runtime_error("oneDNN Graph finds nothing to compile in it");
  }
  auto made = std::make_unique<Specialised>(Specialised{self, schema, torch::jit::Code(graph, method)});
  // Each kernel is compiled when it first runs.
  made->run(inputs);
  return made;
}

}  // namespace
}  // namespace bridge

using namespace bridge;

extern "C" {

Error bridge_specialised_new(
    const torch::jit::Module* module, const char* method, size_t from, size_t to, const IValue* inputs,
    Specialised** out) {
  return guarded([&] {
    std::unique_ptr<Specialised> made;
    try {
      made = compiled(*module, method, {from, to}, *inputs, /*strided=*/false);
    } catch (const std::exception&) {
      // A group whose input has other strides than the group was made for is left for plain operators, which cannot read
      // the layouts of oneDNN's own that the groups before it may give.
      made = compiled(*module, method, {from, to}, *inputs, /*strided=*/true);
    }
    *out = made.release();
  });
}

void bridge_specialised_free(Specialised* specialised) { delete specialised; }

Error bridge_specialised_run(const Specialised* specialised, const IValue* inputs, IValue** out) {
  return guarded([&] { *out = new IValue(std::move(specialised->run(*inputs).front())); });
}

}  // extern "C"
