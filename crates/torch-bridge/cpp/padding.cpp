// Convolutions whose padding is a word: "valid" or "same". libtorch's passes over frozen graphs read a list of numbers there,
// and fail on the word.
#include "bridge.h"

#include <torch/csrc/jit/ir/constants.h>

namespace bridge {

namespace {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

bool is_convolution(const Node* node) {
  return node->kind() == c10::aten::conv1d || node->kind() == c10::aten::conv2d || node->kind() == c10::aten::conv3d;
}

// Zeros before and behind each dimension (PyTorch's `_convolution_same`): of an odd number one more is behind.
std::vector<std::pair<int64_t, int64_t>> zeros(const std::string& word, const at::Tensor& weight, c10::ArrayRef<int64_t> dilation) {
  std::vector<std::pair<int64_t, int64_t>> all;
  for (int64_t dimension = 0; dimension < weight.dim() - 2; ++dimension) {
    const int64_t apart = dilation[dilation.size() == 1 ? 0 : dimension];
    const int64_t total = word == "same" ? apart * (weight.size(dimension + 2) - 1) : 0;
    all.emplace_back(total / 2, total - total / 2);
  }
  return all;
}

void pad_by_numbers(Graph& graph, Node* node) {
  const auto weight = torch::jit::toIValue(node->input(1));
  const auto word = torch::jit::toIValue(node->input(4));
  const auto dilation = torch::jit::toIValue(node->input(5));
  if (!weight || !weight->isTensor() || !word || !word->isString() || !dilation || !dilation->isIntList()) {
    return;
  }
  const auto sides = zeros(word->toStringRef(), weight->toTensor(), dilation->toIntVector());
  std::vector<int64_t> even;
  std::vector<int64_t> around;
  bool is_even = true;
  for (const auto& [before, behind] : sides) {
    even.push_back(before);
    is_even = is_even && before == behind;
  }
  torch::jit::WithInsertPoint here(node);
  if (!is_even) {
    // From the last dimension to the first.
    for (auto side = sides.rbegin(); side != sides.rend(); ++side) {
      around.push_back(side->first);
      around.push_back(side->second);
    }
    Value* padded = graph.insert(c10::aten::constant_pad_nd, {node->input(0), around});
    node->replaceInput(0, padded->setType(c10::TensorType::get()));
    even.assign(even.size(), 0);
  }
  node->replaceInput(4, graph.insertConstant(even));
}

}  // namespace

void pad_by_numbers(Graph& graph) {
  std::vector<Node*> convolutions;
  each_node(graph.block(), [&](Node* node) {
    if (is_convolution(node) && node->inputs().size() == 7 && node->input(4)->type()->kind() == c10::TypeKind::StringType) {
      convolutions.push_back(node);
    }
  });
  for (Node* node : convolutions) {
    pad_by_numbers(graph, node);
  }
}

}  // namespace bridge
