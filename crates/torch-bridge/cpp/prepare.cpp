// A copy of a module made for inference alone.
#include "bridge.h"

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

}  // namespace
}  // namespace bridge

using namespace bridge;

extern "C" Error bridge_module_prepare(
    const torch::jit::Module* module, const IValue* methods, bool optimize, torch::jit::Module** out) {
  return guarded([&] {
    std::vector<std::string> kept;
    for (const IValue& name : methods->toListRef()) {
      if (name.toStringRef() != "forward") {
        kept.push_back(name.toStringRef());
      }
    }
    torch::jit::Module copy = module->deepcopy();
    weights_to_channels_last(copy);
    torch::jit::Module frozen = torch::jit::freeze(copy, kept);
    if (optimize) {
      frozen = torch::jit::optimize_for_inference(frozen, kept);
    }
    settle_schemas(frozen);
    *out = new torch::jit::Module(std::move(frozen));
  });
}
