// A copy of a module whose weights have lost their order.
#include "bridge.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <unordered_set>

using namespace bridge;

extern "C" Error bridge_module_shuffled(
    const torch::jit::Module* module, const IValue* parameters, uint64_t seed, torch::jit::Module** out) {
  return guarded([&] {
    std::unordered_set<std::string> wanted;
    for (const IValue& name : parameters->toListRef()) {
      wanted.insert(name.toStringRef());
    }
    // Else the copies were steps of a gradient, and could not be written to.
    const at::NoGradGuard no_grad;
    torch::jit::Module copy = module->deepcopy();
    const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    for (const auto& parameter : copy.named_parameters()) {
      if (wanted.count(parameter.name) == 0 || !parameter.value.is_floating_point()) {
        continue;
      }
      const at::Tensor& value = parameter.value;
      const at::Tensor order = at::randperm(value.numel(), generator, at::TensorOptions(at::kLong)).to(value.device());
      value.copy_(value.reshape({-1}).index_select(0, order).reshape(value.sizes()));
    }
    *out = new torch::jit::Module(std::move(copy));
  });
}
