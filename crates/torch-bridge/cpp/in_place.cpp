// Which tensors a group of oneDNN Graph may write its answer into.
//
// oneDNN Graph offers to write a group's answer over one of its inputs, and libtorch does so where that input comes from
// another group in a layout of oneDNN's own, with two faults. It counts the inputs as oneDNN does, where one that is
// read twice counts twice and constants count too, but takes the tensor from the list where each input stands once: so it
// overwrites another tensor, or reads beyond the list's end. And it does not ask what else reads that tensor later.
#include "in_place.h"

#include <torch/csrc/jit/passes/utils/subgraph_utils.h>

#include <algorithm>
#include <unordered_map>

namespace bridge {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Use;
using torch::jit::Value;

namespace {

// Where a group stands among the other steps: its guard put it into a block of its own.
const Block* block_of(const Node* group) { return group->owningBlock()->owningNode()->owningBlock(); }

// The output of a group that `value` is: guards and the branches behind them hand it on.
const Value* origin_of(const Value* value) {
  while (true) {
    const Node* node = value->node();
    if (node->kind() == c10::prim::oneDNNFusionGuard) {
      value = node->inputs()[value->offset()];
    } else if (node->kind() == c10::prim::If) {
      value = node->blocks()[0]->outputs()[value->offset()];
    } else {
      return value;
    }
  }
}

bool is_convolution(const Node* node) {
  return node->kind() == c10::aten::_convolution || node->kind() == c10::aten::conv2d;
}

// A convolution reads around each pixel that it writes; oneDNN never offers its picture or its weights.
bool could_be_overwritten(const Use& use) { return !is_convolution(use.user); }

bool could_be_overwritten(const Value* input) {
  const auto& uses = input->uses();
  return std::any_of(uses.begin(), uses.end(), [](const Use& use) { return could_be_overwritten(use); });
}

// A constant that could be overwritten becomes an input.
void take_constants_out(Node* group) {
  Graph& inner = *group->g(c10::attr::Subgraph);
  std::vector<Node*> constants;
  for (Node* node : inner.nodes()) {
    const bool is_tensor = node->kind() == c10::prim::Constant && node->output()->type()->cast<c10::TensorType>();
    if (is_tensor && could_be_overwritten(node->output())) {
      constants.push_back(node);
    }
  }
  for (Node* constant : constants) {
    Node* outside = group->owningGraph()->createClone(constant, [](Value* value) { return value; });
    group->addInput(outside->insertBefore(group)->output());
    Value* input = inner.addInput()->setType(constant->output()->type());
    constant->output()->replaceAllUsesWith(input);
    constant->destroy();
  }
}

// An input that is read several times becomes several, so that each counts once.
void split_inputs(Node* group) {
  Graph& inner = *group->g(c10::attr::Subgraph);
  const size_t count = inner.inputs().size();
  for (size_t index = 0; index < count; ++index) {
    const std::vector<Use> uses = inner.inputs()[index]->uses();
    for (size_t further = 1; further < uses.size(); ++further) {
      Value* input = inner.addInput()->setType(inner.inputs()[index]->type());
      uses[further].user->replaceInput(uses[further].offset, input);
      group->addInput(group->inputs()[index]);
    }
  }
}

struct Reader {
  const Node* group;
  const Value* input;
};

// Whether a reader may write over `value`, though it reads it elsewhere too or is not the last to read it.
bool is_at_risk(const Value* value, const std::vector<Reader>& readers) {
  return std::any_of(readers.begin(), readers.end(), [&](const Reader& reader) {
    // A step of a loop comes again.
    const bool is_beside = block_of(reader.group) == block_of(value->node());
    const auto is_later = [&](const Reader& other) {
      return other.input != reader.input && (other.group == reader.group || reader.group->isBefore(other.group));
    };
    return could_be_overwritten(reader.input) &&
        (!is_beside || std::any_of(readers.begin(), readers.end(), is_later));
  });
}

}  // namespace

void forbid_overwriting(Graph& graph) {
  const auto layouts = c10::Symbol::attr("output_layouts");
  std::unordered_map<const Value*, std::vector<Reader>> read;
  for (Node* group : torch::jit::findAllNodes(graph, c10::prim::oneDNNFusionGroup, /*recurse=*/true)) {
    take_constants_out(group);
    split_inputs(group);
    const auto inputs = group->g(c10::attr::Subgraph)->inputs();
    for (size_t index = 0; index < inputs.size(); ++index) {
      read[origin_of(group->inputs()[index])].push_back({group, inputs[index]});
    }
  }
  for (const auto& [value, readers] : read) {
    // Only a tensor in a layout of oneDNN's own is ever written over.
    Node* made_by = const_cast<Node*>(value->node());
    if (made_by->kind() == c10::prim::oneDNNFusionGroup && is_at_risk(value, readers)) {
      std::vector<int64_t> strided = made_by->is(layouts);
      strided.at(value->offset()) = 0;
      made_by->is_(layouts, std::move(strided));
    }
  }
}

void keep_strided(Graph& graph) {
  const auto layouts = c10::Symbol::attr("output_layouts");
  for (Node* group : torch::jit::findAllNodes(graph, c10::prim::oneDNNFusionGroup, /*recurse=*/true)) {
    if (group->hasAttribute(layouts)) {
      group->is_(layouts, std::vector<int64_t>(group->is(layouts).size(), 0));
    }
  }
}

}  // namespace bridge
