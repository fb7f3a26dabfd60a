// In what numbers a module computes.
#include "bridge.h"

#include <torch/csrc/jit/ir/constants.h>

namespace bridge {

namespace {

bool is_half(c10::ScalarType kind) { return kind == c10::ScalarType::Half || kind == c10::ScalarType::BFloat16; }

// `convert` answers what a floating-point parameter, buffer or other tensor of the module becomes.
void each_float(torch::jit::Module& module, const std::function<at::Tensor(const at::Tensor&)>& convert) {
  for (torch::jit::Module each : module.modules()) {
    for (const auto& attribute : each.named_attributes(/*recurse=*/false)) {
      const bool is_tensor = attribute.value.isTensor() && attribute.value.toTensor().defined();
      if (is_tensor && attribute.value.toTensor().is_floating_point()) {
        each.setattr(attribute.name, convert(attribute.value.toTensor()));
      }
    }
  }
}

void widen_constant(torch::jit::Node* node) {
  const auto value = torch::jit::toIValue(node->output());
  if (value && value->isTensor() && is_half(value->toTensor().scalar_type())) {
    torch::jit::WithInsertPoint before(node);
    node->output()->replaceAllUsesWith(node->owningGraph()->insertConstant(value->toTensor().to(at::kFloat)));
  }
}

// What is told to become half becomes f32.
void widen_arguments(torch::jit::Node* node) {
  const c10::FunctionSchema* schema = node->maybeSchema();
  const size_t count = schema ? std::min(schema->arguments().size(), node->inputs().size()) : 0;
  for (size_t index = 0; index < count; ++index) {
    const auto value = schema->arguments()[index].name() == "dtype" ? torch::jit::toIValue(node->input(index)) : std::nullopt;
    if (value && value->isInt() && is_half(value->toScalarType())) {
      torch::jit::WithInsertPoint before(node);
      const auto single = static_cast<int64_t>(c10::ScalarType::Float);
      node->replaceInput(index, node->owningGraph()->insertConstant(single));
    }
  }
}

// Has a conversion from half precision answer a copy; else it answers the same tensor where the numbers are f32 already, and a
// write to the one shows in the other.
void copy_conversion(torch::jit::Node* node) {
  const c10::FunctionSchema* schema = node->maybeSchema();
  const auto copies = schema ? schema->argumentIndexWithName("copy") : std::nullopt;
  if (node->kind() == c10::aten::to && copies && node->inputs().size() > static_cast<size_t>(*copies)) {
    torch::jit::WithInsertPoint before(node);
    node->replaceInput(*copies, node->owningGraph()->insertConstant(true));
  }
}

bool writes(torch::jit::Graph& graph) {
  bool found = false;
  each_node(graph.block(), [&](const torch::jit::Node* node) { found = found || !written_by(node).empty(); });
  return found;
}

}  // namespace

void floats_to(torch::jit::Module& module, c10::ScalarType kind) {
  each_float(module, [kind](const at::Tensor& value) { return value.detach().to(kind); });
}

void widen(torch::jit::Module& module) {
  bool was_half = false;
  each_float(module, [&](const at::Tensor& value) {
    const bool half = is_half(value.scalar_type());
    was_half = was_half || half;
    return half ? value.detach().to(at::kFloat).set_requires_grad(value.requires_grad()) : value;
  });
  each_graph(module, [&](const torch::jit::Function&, torch::jit::Graph& graph) {
    const bool copies = was_half && writes(graph);
    each_node(graph.block(), [&](torch::jit::Node* node) {
      if (node->kind() == c10::prim::Constant) {
        widen_constant(node);
      } else {
        widen_arguments(node);
      }
      if (copies) {
        copy_conversion(node);
      }
    });
  });
}

}  // namespace bridge
