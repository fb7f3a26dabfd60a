// Networks whose answers hang on the order in which a tensor's numbers lie in memory. `reshape`, `flatten` and `contiguous`
// answer a view of what lies in order, else a copy; what is written to the one then shows in the other, or does not. PyTorch
// computes pictures in order (NCHW), and so must a program that is to answer the same. In other networks the order is free, and
// `view`, which fails where it cannot be a view, becomes `reshape`.
#include "bridge.h"

#include <torch/csrc/jit/ir/alias_analysis.h>
#include <torch/csrc/jit/passes/inliner.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace bridge {

namespace {

using torch::jit::AliasDb;
using torch::jit::Node;
using torch::jit::Value;

bool is_one_of(const Node* node, const std::unordered_set<std::string_view>& names) {
  return names.count(node->kind().toQualString()) > 0;
}

// Whether a node is a view by sizes, and not by another type of number.
bool is_view(const Node* node) {
  const c10::FunctionSchema* schema = node->maybeSchema();
  return node->kind() == c10::aten::view && schema && schema->argumentIndexWithName("size");
}

// Whether a node answers a view of its input in one order, and in another a copy, or would as `reshape`.
bool may_view(const Node* node) {
  static const std::unordered_set<std::string_view> names{
      "aten::reshape", "aten::reshape_as", "aten::flatten", "aten::ravel", "aten::contiguous", "aten::view_as"};
  return is_view(node) || is_one_of(node, names);
}

// Whether a node reads numbers as they lie in memory, or how they lie.
bool reads_order(const Node* node) {
  static const std::unordered_set<std::string_view> names{
      "aten::as_strided", "aten::as_strided_", "aten::stride", "aten::is_contiguous", "aten::storage_offset",
      "aten::view_as_complex"};
  return is_one_of(node, names) || (node->kind() == c10::aten::view && !is_view(node));
}

bool is_in_loop(const Node* node) {
  for (const torch::jit::Block* block = node->owningBlock(); block->owningNode(); block = block->owningNode()->owningBlock()) {
    if (block->owningNode()->kind() == c10::prim::Loop) {
      return true;
    }
  }
  return false;
}

// A graph in the order in which it is written, and what of it may lie in the same memory.
struct Order {
  explicit Order(torch::jit::Graph& graph) : aliases(graph.shared_from_this()), graph(graph) {
    each_node(graph.block(), [&](Node* node) { nodes.push_back(node); });
  }

  // `value` and its views, by way of which no other name is read: what comes from it after `from`, and what a branch answers
  // that has it.
  std::unordered_set<const Value*> views_of(const Value* value, size_t from) const {
    std::unordered_set<const Value*> views{value};
    const auto is_view = [&](const Value* any) { return views.count(any) > 0; };
    size_t known = 0;
    while (known < views.size()) {
      known = views.size();
      for (size_t index = 0; index < nodes.size(); ++index) {
        const Node* node = nodes[index];
        const bool takes = index >= from && std::any_of(node->inputs().begin(), node->inputs().end(), is_view);
        for (size_t place = 0; place < node->outputs().size(); ++place) {
          const Value* output = node->output(place);
          const bool may = takes && aliases.mayAlias(const_cast<Value*>(output), const_cast<Value*>(value));
          const bool is_answered = node->kind() == c10::prim::If &&
              std::any_of(node->blocks().begin(), node->blocks().end(), [&](const torch::jit::Block* branch) {
                                     return is_view(branch->outputs()[place]);
                                   });
          if (may || is_answered) {
            views.insert(output);
          }
        }
      }
    }
    return views;
  }

  // Whether something is read from `from` on that may lie in the memory of `value`, and is among `views` or is not.
  bool is_read(const Value* value, size_t from, const std::unordered_set<const Value*>& views, bool among) const {
    const auto reads = [&](const Value* input) {
      return (views.count(input) > 0) == among && aliases.mayContainAlias(const_cast<Value*>(input), const_cast<Value*>(value));
    };
    const auto any = [&](const auto& values) { return std::any_of(values.begin(), values.end(), reads); };
    for (size_t index = from; index < nodes.size(); ++index) {
      if (any(nodes[index]->inputs())) {
        return true;
      }
      for (const torch::jit::Block* block : nodes[index]->blocks()) {
        if (any(block->outputs())) {
          return true;
        }
      }
    }
    return any(graph.outputs());
  }

  // Whether what is written after the node at `index`, which may answer a view, is read under the other name. In a loop
  // what stands before a node comes after it too.
  bool shows(size_t index) const {
    const Value* made = nodes[index]->output();
    if (!aliases.hasWriters(made)) {
      return false;
    }
    const bool again = is_in_loop(nodes[index]);
    const auto views = views_of(made, index + 1);
    for (size_t later = again ? 0 : index + 1; later < nodes.size(); ++later) {
      for (const Value* written : written_by(nodes[later])) {
        const bool touches = aliases.mayAlias(const_cast<Value*>(written), const_cast<Value*>(made));
        if (touches && is_read(made, again ? 0 : later + 1, views, views.count(written) == 0)) {
          return true;
        }
      }
    }
    return false;
  }

  AliasDb aliases;
  torch::jit::Graph& graph;
  std::vector<Node*> nodes;
};

bool becomes_reshape(const Node* node) { return is_view(node) || is_one_of(node, {"aten::view_as"}); }

// Which functions, that are no methods, have views in them.
class FunctionsWithViews {
 public:
  bool calls(Node* node) {
    auto* function = node->kind() == c10::prim::CallFunction ? torch::jit::tryToGraphFunction(node) : nullptr;
    if (!function) {
      return false;
    }
    if (const auto known = known_.find(function); known != known_.end()) {
      return known->second;
    }
    bool found = false;
    each_node(function->graph()->block(), [&](Node* inner) { found = found || becomes_reshape(inner) || calls(inner); });
    return known_[function] = found;
  }

 private:
  std::unordered_map<const torch::jit::GraphFunction*, bool> known_;
};

void reshape_views(torch::jit::Graph& graph) {
  // Functions belong to their callers.
  FunctionsWithViews with_views;
  inline_calls(graph, [&](Node* node) { return with_views.calls(node); });
  std::vector<Node*> views;
  each_node(graph.block(), [&](Node* node) {
    if (becomes_reshape(node)) {
      views.push_back(node);
    }
  });
  for (Node* node : views) {
    torch::jit::WithInsertPoint before(node);
    Node* reshape = graph.create(is_view(node) ? c10::aten::reshape : c10::Symbol::aten("reshape_as"), node->inputs());
    graph.insertNode(reshape);
    reshape->setSourceRange(node->sourceRange());
    reshape->output()->copyMetadata(node->output());
    node->output()->replaceAllUsesWith(reshape->output());
    node->destroy();
  }
}

}  // namespace

void reshape_views(const torch::jit::Module& module) {
  each_graph(module, [](const torch::jit::Function&, torch::jit::Graph& graph) { reshape_views(graph); });
}

namespace {

// The same of one graph without calls.
bool hangs_on_order(torch::jit::Graph& graph) {
  bool reads = false;
  bool writes = false;
  bool may = false;
  each_node(graph.block(), [&](const Node* node) {
    reads = reads || reads_order(node);
    writes = writes || !written_by(node).empty();
    may = may || may_view(node);
  });
  if (reads || !writes || !may) {
    return reads;
  }
  const Order order(graph);
  for (size_t index = 0; index < order.nodes.size(); ++index) {
    if (may_view(order.nodes[index]) && order.shows(index)) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool hangs_on_order(const std::vector<std::shared_ptr<torch::jit::Graph>>& graphs) {
  return std::any_of(graphs.begin(), graphs.end(), [](const auto& graph) { return hangs_on_order(*evaluated_copy(*graph)); });
}

}  // namespace bridge
