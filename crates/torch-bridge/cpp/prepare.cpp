// A copy of a module made for inference alone.
#include "bridge.h"

#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/passes/frozen_conv_add_relu_fusion.h>
#include <torch/csrc/jit/passes/frozen_graph_optimizations.h>
#include <torch/csrc/jit/passes/frozen_linear_transpose.h>
#include <torch/csrc/jit/passes/frozen_ops_to_mkldnn.h>

namespace bridge {

namespace {

// Convolutions in channels-last need no reordering on the CPU, and tensor cores want them so on CUDA.
void weights_to_channels_last(torch::jit::Module& module) {
  for (torch::jit::Module each : module.modules()) {
    for (const auto& parameter : each.named_parameters(/*recurse=*/false)) {
      if (parameter.value.dim() == 4) {
        each.setattr(parameter.name, parameter.value.detach().contiguous(at::MemoryFormat::ChannelsLast));
      }
    }
  }
}

// torch::jit::Module::to converts integers too, which are indices and counters.
void floats_to(torch::jit::Module& module, c10::ScalarType kind) {
  const auto convert = [kind](torch::jit::Module& owner, const std::string& name, const at::Tensor& value) {
    if (value.defined() && value.is_floating_point()) {
      owner.setattr(name, value.detach().to(kind));
    }
  };
  for (torch::jit::Module each : module.modules()) {
    for (const auto& parameter : each.named_parameters(/*recurse=*/false)) {
      convert(each, parameter.name, parameter.value);
    }
    for (const auto& buffer : each.named_buffers(/*recurse=*/false)) {
      convert(each, buffer.name, buffer.value);
    }
  }
}

}  // namespace
}  // namespace bridge

using namespace bridge;

extern "C" Error bridge_module_prepare(
    const torch::jit::Module* module, const IValue* methods, bool fuse, int kind, torch::jit::Module** out) {
  return guarded([&] {
    std::vector<std::string> kept;
    for (const IValue& name : methods->toListRef()) {
      kept.push_back(name.toStringRef());
    }
    torch::jit::Module copy = module->deepcopy();
    if (kind >= 0) {
      floats_to(copy, static_cast<c10::ScalarType>(kind));
    }
    weights_to_channels_last(copy);
    // torch::jit::freeze optimises `forward` alone, and fails where there is none.
    torch::jit::Module frozen = torch::jit::freeze_module(copy, kept);
    for (const std::string& name : kept) {
      auto graph = frozen.get_method(name).graph();
      torch::jit::OptimizeFrozenGraph(graph, /*optimize_numerics=*/true);
      if (fuse) {
        torch::jit::FuseFrozenConvAddRelu(graph);
        torch::jit::ConvertFrozenOpsToMKLDNN(graph);
        torch::jit::FrozenLinearTranspose(graph);
      }
      // The passes leave the weights that they replaced.
      torch::jit::EliminateDeadCode(graph);
    }
    settle_schemas(frozen);
    *out = new torch::jit::Module(std::move(frozen));
  });
}
