// What the methods of a module do besides answering: what they write to, and in what numbers they compute.
#include "bridge.h"

#include <torch/csrc/jit/ir/alias_analysis.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/utils/subgraph_utils.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_set>

namespace bridge {

namespace {

// Only serialisation calls these.
bool is_of_serialisation(const torch::jit::Function& method) {
  return method.name() == "__setstate__" || method.name() == "__getstate__";
}

// A loaded module is never trained: what a batch norm counts in training is not counted here.
void leave_training_out(torch::jit::Graph& graph) {
  each_node(graph.block(), [&](torch::jit::Node* node) {
    if (node->kind() == c10::prim::GetAttr && node->s(c10::attr::name) == "training") {
      torch::jit::WithInsertPoint before(node);
      node->output()->replaceAllUsesWith(graph.insertConstant(false));
    }
  });
}

// Whether a value is an attribute, or a view of one.
bool is_owned(const torch::jit::Value* value) {
  const torch::jit::Node* node = value->node();
  while (node->kind() != c10::prim::GetAttr) {
    const c10::FunctionSchema* schema = node->maybeSchema();
    const bool views = schema && !schema->returns().empty() && schema->returns()[0].alias_info() && !node->inputs().empty();
    if (!views) {
      return false;
    }
    node = node->input(0)->node();
  }
  return true;
}

// Whether a node writes to a tensor that the module owns.
bool writes_to_owned_tensor(const torch::jit::Node* node) {
  const auto written = written_by(node);
  return std::any_of(written.begin(), written.end(), is_owned);
}

// Whether a method changes a list, a dict or a tensor that is an attribute, without assigning to it. Lists and dicts are
// told by alias analysis, which takes those of one type that have left the graph for one; so it may say yes where the answer
// is no, and never the other way round.
bool changes_attributes(const torch::jit::Module& module) {
  for (torch::jit::Function* method : module.type()->methods()) {
    auto* function = torch::jit::tryToGraphFunction(*method);
    if (!function || is_of_serialisation(*method)) {
      continue;
    }
    auto graph = evaluated_copy(*function->graph());
    const torch::jit::AliasDb aliases(graph);
    bool found = false;
    each_node(graph->block(), [&](torch::jit::Node* node) {
      if (node->kind() == c10::prim::GetAttr) {
        const auto kind = node->output()->type()->kind();
        const bool holds = kind == c10::TypeKind::ListType || kind == c10::TypeKind::DictType;
        found = found || (holds && aliases.hasWriters(node->output()));
      } else {
        found = found || writes_to_owned_tensor(node);
      }
    });
    if (found) {
      return true;
    }
  }
  return false;
}

bool assigns_attributes(const torch::jit::Module& module) {
  bool found = false;
  each_graph(module, [&](const torch::jit::Function& method, torch::jit::Graph& graph) {
    found = found ||
        (!is_of_serialisation(method) && !torch::jit::findAllNodes(graph, c10::prim::SetAttr, /*recurse=*/true).empty());
  });
  return found;
}

// The methods of `module` itself that its own code calls: their callers may want to see what they write.
std::unordered_set<std::string> called_by_itself(const torch::jit::Module& module) {
  std::unordered_set<std::string> called;
  for (torch::jit::Function* method : module.type()->methods()) {
    if (auto* function = torch::jit::tryToGraphFunction(*method)) {
      each_node(function->graph()->block(), [&](torch::jit::Node* node) {
        if (node->kind() == c10::prim::CallMethod && node->input(0)->type() == module.type()) {
          called.insert(node->s(c10::attr::name));
        }
      });
    }
  }
  return called;
}

void settle_inputs(torch::jit::Graph& graph, bool in_order) {
  auto evaluated = evaluated_copy(graph);
  const torch::jit::AliasDb aliases(evaluated);
  for (size_t index = 1; index < graph.inputs().size(); ++index) {
    torch::jit::Value* input = graph.inputs()[index];
    const auto replace = [&](c10::Symbol by) {
      torch::jit::WithInsertPoint first(*graph.block()->nodes().begin());
      torch::jit::Value* made = graph.insert(by, {input});
      input->replaceAllUsesAfterNodeWith(made->node(), made);
    };
    if (input->type()->kind() != c10::TypeKind::TensorType) {
      continue;
    }
    if (aliases.hasWriters(evaluated->inputs()[index])) {
      replace(c10::aten::clone);
    }
    if (in_order) {
      replace(c10::aten::contiguous);
    }
  }
}

}  // namespace

std::shared_ptr<torch::jit::Graph> evaluated_copy(torch::jit::Graph& graph) {
  auto evaluated = inlined_copy(graph);
  leave_training_out(*evaluated);
  torch::jit::ConstantPropagation(evaluated);
  return evaluated;
}

void refuse_files(const torch::jit::Module& module) {
  static const std::unordered_set<std::string> of_files{"aten::from_file", "aten::save"};
  each_graph(module, [](const torch::jit::Function&, torch::jit::Graph& graph) {
    each_node(graph.block(), [](torch::jit::Node* node) {
      TORCH_CHECK(
          of_files.count(node->kind().toQualString()) == 0, "the module calls ", node->kind().toQualString(),
          ", which reads and writes files of this machine; a model computes with what it is given");
    });
  });
}

void each_graph(
    const torch::jit::Module& module, const std::function<void(torch::jit::Function&, torch::jit::Graph&)>& visit) {
  for (const torch::jit::Module& each : module.modules()) {
    for (torch::jit::Function* method : each.type()->methods()) {
      if (auto* function = torch::jit::tryToGraphFunction(*method)) {
        visit(*method, *function->graph());
      }
    }
  }
}

std::vector<const torch::jit::Value*> written_by(const torch::jit::Node* node) {
  std::vector<const torch::jit::Value*> written;
  const c10::FunctionSchema* schema = node->maybeSchema();
  const size_t count = schema ? std::min(schema->arguments().size(), node->inputs().size()) : 0;
  for (size_t index = 0; index < count; ++index) {
    const c10::AliasInfo* alias = schema->arguments()[index].alias_info();
    if (alias && alias->isWrite()) {
      written.push_back(node->input(index));
    }
  }
  return written;
}

void forget_statistics(torch::jit::Graph& graph) {
  each_node(graph.block(), [&](torch::jit::Node* node) {
    if (node->kind() != c10::aten::batch_norm) {
      return;
    }
    const auto trains = torch::jit::toIValue(node->namedInput("training"));
    if (trains && trains->isBool() && trains->toBool()) {
      torch::jit::WithInsertPoint before(node);
      torch::jit::Value* none = graph.insertConstant(IValue());
      node->replaceInputWith(node->namedInput("running_mean"), none);
      node->replaceInputWith(node->namedInput("running_var"), none);
    }
  });
}

void settle_inputs(torch::jit::Module& module) {
  const auto called = called_by_itself(module);
  std::vector<std::shared_ptr<torch::jit::Graph>> graphs;
  for (torch::jit::Function* method : module.type()->methods()) {
    auto* function = torch::jit::tryToGraphFunction(*method);
    if (function && !is_of_serialisation(*method) && called.count(method->name()) == 0) {
      graphs.push_back(function->graph());
    }
  }
  const bool in_order = hangs_on_order(graphs);
  for (const auto& graph : graphs) {
    settle_inputs(*graph, in_order);
  }
  if (!in_order) {
    reshape_views(module);
  }
}

}  // namespace bridge

using namespace bridge;

extern "C" {

Error bridge_module_is_stateful(const torch::jit::Module* module, bool* out) {
  return guarded([&] { *out = assigns_attributes(*module) || changes_attributes(*module); });
}

Error bridge_module_is_quantised(const torch::jit::Module* module, bool* out) {
  return guarded([&] {
    bool found = false;
    each_graph(*module, [&](const torch::jit::Function&, torch::jit::Graph& graph) {
      each_node(graph.block(), [&](torch::jit::Node* node) {
        const std::string_view space(node->kind().ns().toUnqualString());
        const std::string_view name(node->kind().toUnqualString());
        // Weights alone are only turned into floats.
        const bool is_of_them = space == "quantized" || (space == "quantized_decomposed" && name.rfind("quantize_", 0) == 0);
        found = found || is_of_them || node->kind() == c10::aten::quantize_per_tensor;
      });
    });
    *out = found;
  });
}

}  // extern "C"
