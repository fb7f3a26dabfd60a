// Guided backpropagation (Springenberg et al. 2015, "Striving for Simplicity", section 3.4): through a ReLU only
// positive gradients pass, and those only where the ReLU was open. The forward values stay as they are.
//
// Clipped ReLUs (ReLU6, hardtanh from zero) are treated alike, or the method would do nothing to a MobileNet.
#include "bridge.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/runtime/custom_operator.h>

#include <limits>

namespace bridge {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Stack;

struct GuidedRelu : torch::autograd::Function<GuidedRelu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, double upper, bool in_place) {
    at::Tensor y = in_place ? x : x.clone();
    y.clamp_(0, upper);
    if (in_place) {
      context->mark_dirty({y});
    }
    context->save_for_backward({y});
    context->saved_data["upper"] = upper;
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const at::Tensor y = context->get_saved_variables()[0];
    const double upper = context->saved_data["upper"].toDouble();
    const at::Tensor open = y.gt(0).logical_and(y.lt(upper));
    return {gradients[0].clamp_min(0) * open, at::Tensor(), at::Tensor()};
  }
};

template <bool in_place>
void guided_relu(Stack& stack) {
  const double upper = torch::jit::pop(stack).toDouble();
  const at::Tensor x = torch::jit::pop(stack).toTensor();
  stack.emplace_back(GuidedRelu::apply(x, upper, in_place));
}

// The upper bound of a node that is a ReLU; nothing for any other node.
std::optional<double> upper_bound(const Node* node) {
  static const auto symbols = [](const char* name) {
    return std::pair(c10::Symbol::aten(name), c10::Symbol::aten(std::string(name) + "_"));
  };
  static const auto relu = symbols("relu");
  static const auto relu6 = symbols("relu6");
  static const auto hardtanh = symbols("hardtanh");
  const auto is = [&](const auto& pair) { return node->kind() == pair.first || node->kind() == pair.second; };
  if (is(relu)) {
    return std::numeric_limits<double>::infinity();
  }
  if (is(relu6)) {
    return 6.0;
  }
  if (is(hardtanh)) {
    const auto low = torch::jit::toIValue(node->input(1));
    const auto high = torch::jit::toIValue(node->input(2));
    if (low && high && low->toScalar().toDouble() == 0.0) {
      return high->toScalar().toDouble();
    }
  }
  return std::nullopt;
}

int64_t guide(Block* block, Graph& graph) {
  int64_t replaced = 0;
  for (auto node = block->nodes().begin(); node != block->nodes().end(); ++node) {
    for (Block* inner : node->blocks()) {
      replaced += guide(inner, graph);
    }
    const auto upper = upper_bound(*node);
    if (!upper) {
      continue;
    }
    const std::string name = node->kind().toUnqualString();
    const char* guided = name.back() == '_' ? "lucarne::guided_relu_" : "lucarne::guided_relu";
    torch::jit::WithInsertPoint here(*node);
    torch::jit::Value* bound = graph.insertConstant(*upper);
    Node* substitute = graph.create(c10::Symbol::fromQualString(guided), {node->input(0), bound}, 1);
    substitute->output()->setType(node->output()->type());
    graph.insertNode(substitute);
    node->output()->replaceAllUsesWith(substitute->output());
    node.destroyCurrent();
    --node;
    replaced += 1;
  }
  return replaced;
}

}  // namespace

int64_t guide_relus(Graph& graph) { return guide(graph.block(), graph); }

void register_guided_relu() {
  using torch::jit::Operator;
  const auto kind = c10::AliasAnalysisKind::FROM_SCHEMA;
  torch::jit::registerOperator(
      Operator("lucarne::guided_relu(Tensor x, float upper) -> Tensor", guided_relu<false>, kind));
  torch::jit::registerOperator(
      Operator("lucarne::guided_relu_(Tensor(a!) x, float upper) -> Tensor(a!)", guided_relu<true>, kind));
}

}  // namespace bridge
