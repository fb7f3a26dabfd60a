// Loading a TorchScript file, describing it and calling its methods.
#include "bridge.h"

#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/serialization/import.h>

#include <functional>

namespace bridge {

torch::jit::GraphFunction& graph_function(const torch::jit::Module& module, const std::string& method) {
  return torch::jit::toGraphFunction(module.get_method(method).function());
}

void inline_calls(torch::jit::Graph& graph, const std::function<bool(torch::jit::Node*)>& is_wanted) {
  std::vector<torch::jit::Node*> calls;
  do {
    calls.clear();
    each_node(graph.block(), [&](torch::jit::Node* node) {
      const bool is_call = node->kind() == c10::prim::CallFunction || node->kind() == c10::prim::CallMethod;
      if (is_call && torch::jit::tryToGraphFunction(node) && is_wanted(node)) {
        calls.push_back(node);
      }
    });
    for (torch::jit::Node* call : calls) {
      torch::jit::GraphFunction* function = torch::jit::tryToGraphFunction(call);
      if (call->kind() == c10::prim::CallFunction) {
        call->removeInput(0);
      }
      torch::jit::inlineCallTo(call, function, function->graph().get());
    }
  } while (!calls.empty());
}

std::shared_ptr<torch::jit::Graph> inlined_copy(torch::jit::Graph& graph) {
  auto inlined = graph.copy();
  inline_calls(*inlined, [](torch::jit::Node*) { return true; });
  return inlined;
}

void each_node(torch::jit::Block* block, const std::function<void(torch::jit::Node*)>& visit) {
  for (torch::jit::Node* node : block->nodes()) {
    visit(node);
    for (torch::jit::Block* nested : node->blocks()) {
      each_node(nested, visit);
    }
  }
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

Error bridge_module_load(const char* path, const char* device, bool widened, torch::jit::Module** out) {
  return guarded([&] {
    register_torchvision_operators();
    auto module = torch::jit::load(path, c10::Device(std::string(device)));
    module.eval();
    refuse_files(module);
    each_graph(module, [](const torch::jit::Function&, torch::jit::Graph& graph) { forget_statistics(graph); });
    if (widened) {
      widen(module);
    }
    settle_inputs(module);
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

Error bridge_module_weights(const torch::jit::Module* module, IValue** out) {
  return guarded([&] {
    c10::impl::GenericList weights(c10::AnyType::get());
    for (const auto& parameter : module->named_parameters()) {
      weights.push_back(c10::ivalue::Tuple::create(parameter.name, IValue(parameter.value.sizes())));
    }
    *out = new IValue(std::move(weights));
  });
}

Error bridge_module_tensor(const torch::jit::Module* module, const char* name, IValue** out) {
  return guarded([&] {
    const auto found = [&](const auto& all) -> std::optional<at::Tensor> {
      for (const auto& one : all) {
        if (one.name == name) {
          return one.value;
        }
      }
      return std::nullopt;
    };
    std::optional<at::Tensor> tensor = found(module->named_parameters());
    if (!tensor) {
      tensor = found(module->named_buffers());
    }
    *out = new IValue(tensor ? IValue(*tensor) : IValue());
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
