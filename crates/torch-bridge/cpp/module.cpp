// Loading a TorchScript file, describing it and calling its methods.
#include "bridge.h"

#include <torch/csrc/jit/ir/alias_analysis.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/serialization/import.h>

#include <algorithm>
#include <functional>

namespace bridge {

torch::jit::GraphFunction& graph_function(const torch::jit::Module& module, const std::string& method) {
  return torch::jit::toGraphFunction(module.get_method(method).function());
}

namespace {

IValue describe(const c10::FunctionSchema& schema) {
  c10::impl::GenericList arguments(c10::AnyType::get());
  for (size_t i = 1; i < schema.arguments().size(); ++i) {
    const c10::Argument& argument = schema.arguments()[i];
    arguments.push_back(c10::ivalue::Tuple::create(
        argument.name(), argument.type()->annotation_str(), argument.default_value().has_value()));
  }
  const std::string returns = schema.returns().empty() ? "None" : schema.returns()[0].type()->annotation_str();
  return c10::ivalue::Tuple::create(schema.name(), std::move(arguments), returns);
}

// Every node of a graph, those of nested blocks too.
void each_node(torch::jit::Block* block, const std::function<void(torch::jit::Node*)>& visit) {
  for (torch::jit::Node* node : block->nodes()) {
    visit(node);
    for (torch::jit::Block* nested : node->blocks()) {
      each_node(nested, visit);
    }
  }
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
  const c10::FunctionSchema* schema = node->maybeSchema();
  if (!schema) {
    return false;
  }
  const size_t count = std::min(schema->arguments().size(), node->inputs().size());
  for (size_t index = 0; index < count; ++index) {
    const c10::AliasInfo* alias = schema->arguments()[index].alias_info();
    if (alias && alias->isWrite() && is_owned(node->input(index))) {
      return true;
    }
  }
  return false;
}

// Whether a method changes a list, a dict or a tensor that is an attribute, without assigning to it. Lists and dicts are
// told by alias analysis, which takes those of one type that have left the graph for one; so it may say yes where the answer
// is no, and never the other way round.
bool changes_attributes(const torch::jit::Module& module) {
  for (torch::jit::Function* method : module.type()->methods()) {
    auto* function = torch::jit::tryToGraphFunction(*method);
    if (!function || method->name() == "__setstate__" || method->name() == "__getstate__") {
      continue;
    }
    auto graph = function->graph()->copy();
    torch::jit::Inline(*graph);
    leave_training_out(*graph);
    torch::jit::ConstantPropagation(graph);
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
  for (const torch::jit::Module& each : module.modules()) {
    for (torch::jit::Function* method : each.type()->methods()) {
      auto* function = torch::jit::tryToGraphFunction(*method);
      // Only serialisation calls this one.
      const bool restores = method->name() == "__setstate__";
      if (function && !restores && !torch::jit::findAllNodes(*function->graph(), c10::prim::SetAttr, true).empty()) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace

void settle_schemas(const torch::jit::Module& module) {
  for (const torch::jit::Module& each : module.modules()) {
    for (torch::jit::Function* method : each.type()->methods()) {
      method->getSchema();
    }
  }
}

}  // namespace bridge

using namespace bridge;

extern "C" {

Error bridge_module_load(const char* path, const char* device, torch::jit::Module** out) {
  return guarded([&] {
    register_torchvision_operators();
    auto module = torch::jit::load(path, c10::Device(std::string(device)));
    module.eval();
    settle_schemas(module);
    *out = new torch::jit::Module(std::move(module));
  });
}

void bridge_module_free(torch::jit::Module* module) { delete module; }

Error bridge_module_methods(const torch::jit::Module* module, IValue** out) {
  return guarded([&] {
    c10::impl::GenericList methods(c10::AnyType::get());
    for (const torch::jit::Function* method : module->type()->methods()) {
      methods.push_back(describe(method->getSchema()));
    }
    *out = new IValue(std::move(methods));
  });
}

Error bridge_module_is_stateful(const torch::jit::Module* module, bool* out) {
  return guarded([&] { *out = assigns_attributes(*module) || changes_attributes(*module); });
}

Error bridge_module_parameters(const torch::jit::Module* module, uint64_t* count, uint64_t* bytes) {
  return guarded([&] {
    uint64_t numbers = 0;
    uint64_t size = 0;
    for (const at::Tensor& parameter : module->parameters()) {
      numbers += static_cast<uint64_t>(parameter.numel());
      size += static_cast<uint64_t>(parameter.nbytes());
    }
    *count = numbers;
    *bytes = size;
  });
}

Error bridge_module_call(
    const torch::jit::Module* module, const char* method, const IValue* inputs, IValue** out) {
  return guarded([&] {
    torch::jit::Function& function = module->get_method(method).function();
    torch::jit::Stack stack = call_stack(function.getSchema(), module->_ivalue(), *inputs);
    function.run(stack);
    *out = new IValue(std::move(stack.front()));
  });
}

}  // extern "C"
