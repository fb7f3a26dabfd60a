// Reverse-mode gradients of one scalar with respect to any tensors of its graph.
#include "bridge.h"

#include <torch/csrc/autograd/autograd.h>

using namespace bridge;

extern "C" Error bridge_grad(
    const at::Tensor* target, const at::Tensor* const* inputs, size_t count, bool keep_graph,
    at::Tensor** gradients) {
  return guarded([&] {
    torch::autograd::variable_list wanted;
    for (size_t i = 0; i < count; ++i) {
      wanted.push_back(*inputs[i]);
    }
    auto found = torch::autograd::grad(
        {*target}, wanted, /*grad_outputs=*/{}, keep_graph, /*create_graph=*/false, /*allow_unused=*/true);
    std::vector<std::unique_ptr<at::Tensor>> owned(count);
    for (size_t i = 0; i < count; ++i) {
      if (found[i].defined()) {
        owned[i] = std::make_unique<at::Tensor>(std::move(found[i]));
      }
    }
    for (size_t i = 0; i < count; ++i) {
      gradients[i] = owned[i].release();
    }
  });
}
