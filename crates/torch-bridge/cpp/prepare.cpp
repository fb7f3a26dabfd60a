// A copy of a module made for inference alone.
#include "bridge.h"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/passes/frozen_conv_add_relu_fusion.h>
#include <torch/csrc/jit/passes/frozen_graph_optimizations.h>
#include <torch/csrc/jit/passes/frozen_linear_transpose.h>
#include <torch/csrc/jit/passes/frozen_ops_to_mkldnn.h>
#include <torch/csrc/jit/passes/utils/subgraph_utils.h>

#include <algorithm>
#include <unordered_map>

namespace bridge {

namespace {

// Convolutions in channels-last need no reordering on the CPU, and tensor cores want them so on CUDA.
void weights_to_channels_last(torch::jit::Module& module) {
  for (torch::jit::Module each : module.modules()) {
    for (const auto& parameter : each.named_parameters(/*recurse=*/false)) {
      if (parameter.value.dim() == 4) {
        each.setattr(parameter.name, parameter.value.detach().contiguous(at::MemoryFormat::ChannelsLast));
      }
    }
  }
}

using Known = std::unordered_map<const torch::jit::Value*, torch::jit::Value*>;

// Copies what a block computes, without the call stacks that say from which layer's code each node was inlined: these
// point into the module that is left behind. The lines of code stay.
void copy_nodes(torch::jit::Block& from, torch::jit::Block& to, Known& known) {
  for (torch::jit::Node* node : from.nodes()) {
    torch::jit::Node* copy = to.appendNode(to.owningGraph()->create(node->kind(), /*num_outputs=*/0));
    copy->copyAttributes(*node);
    copy->setSourceRange(node->sourceRange());
    for (const torch::jit::Value* input : node->inputs()) {
      copy->addInput(known.at(input));
    }
    for (torch::jit::Value* output : node->outputs()) {
      known[output] = copy->addOutput()->copyMetadata(output);
    }
    for (torch::jit::Block* inner : node->blocks()) {
      torch::jit::Block* block = copy->addBlock();
      for (torch::jit::Value* input : inner->inputs()) {
        known[input] = block->addInput()->copyMetadata(input);
      }
      copy_nodes(*inner, *block, known);
      for (const torch::jit::Value* output : inner->outputs()) {
        block->registerOutput(known.at(output));
      }
    }
  }
}

// Whether a type is a class, or holds one. The code of a class belongs to the module that it came with.
bool has_class(const c10::TypePtr& type) {
  const auto kind = type->kind();
  const auto parts = type->containedTypes();
  return kind == c10::TypeKind::ClassType || kind == c10::TypeKind::InterfaceType || kind == c10::TypeKind::EnumType ||
      std::any_of(parts.begin(), parts.end(), has_class);
}

bool makes_objects(torch::jit::Graph& graph) {
  bool found = false;
  each_node(graph.block(), [&](torch::jit::Node* node) {
    for (const torch::jit::Value* output : node->outputs()) {
      found = found || has_class(output->type());
    }
  });
  return found;
}

bool is_self_contained(const torch::jit::Module& module, const std::vector<std::string>& methods) {
  const auto calls = [&](const std::string& name) {
    auto graph = module.get_method(name).graph();
    const auto any = [&](c10::Symbol kind) { return !torch::jit::findAllNodes(*graph, kind, /*recurse=*/true).empty(); };
    return !graph->inputs().at(0)->uses().empty() || any(c10::prim::CallMethod) ||
        any(c10::prim::CallFunction) || makes_objects(*graph);
  };
  return module.type()->numAttributes() == 0 && std::none_of(methods.begin(), methods.end(), calls);
}

// Whether a node writes to what other nodes read under another name: a view, or a value that is used once more.
bool writes_elsewhere(const torch::jit::Node* node) {
  const auto written = written_by(node);
  return std::any_of(written.begin(), written.end(), [](const torch::jit::Value* value) {
    const c10::FunctionSchema* made_by = value->node()->maybeSchema();
    const bool is_view =
        made_by && !made_by->is_mutable() && !made_by->returns().empty() && made_by->returns()[0].alias_info();
    return is_view || value->uses().size() > 1;
  });
}

// Whether a node is one that the pass of oneDNN's own layouts takes, and its operator then cannot compute: a clamp whose
// bounds are not two floats, a GELU by the hyperbolic tangent.
bool is_beyond_layouts(const torch::jit::Node* node) {
  const auto is_float = [&](size_t index) {
    const auto value = index < node->inputs().size() ? torch::jit::toIValue(node->input(index)) : std::nullopt;
    return value && value->isDouble();
  };
  if (node->kind() == c10::aten::clamp || node->kind() == c10::aten::clamp_ || node->kind() == c10::aten::hardtanh ||
      node->kind() == c10::aten::hardtanh_) {
    return !is_float(1) || !is_float(2);
  }
  if (node->kind() == c10::aten::gelu || node->kind() == c10::aten::gelu_) {
    const auto word = node->inputs().size() > 1 ? torch::jit::toIValue(node->input(1)) : std::nullopt;
    return !word || !word->isString() || word->toStringRef() != "none";
  }
  return false;
}

// Whether the layers may get oneDNN's own layouts: the pass that gives them drops what is written to a view.
bool may_change_layouts(torch::jit::Graph& graph) {
  bool may = true;
  each_node(graph.block(), [&](const torch::jit::Node* node) {
    may = may && !writes_elsewhere(node) && !is_beyond_layouts(node);
  });
  return may;
}

// `methods` in a module that has nothing else. A frozen module has the class and the code of every layer, though its
// methods need none of them any more: for a network of fifty layers that is as much memory as its weights take.
torch::jit::Module alone(const torch::jit::Module& frozen, const std::vector<std::string>& methods) {
  if (!is_self_contained(frozen, methods)) {
    return frozen;
  }
  torch::jit::Module made(*frozen.type()->name());
  for (const std::string& name : methods) {
    const torch::jit::Function& method = frozen.get_method(name).function();
    auto from = frozen.get_method(name).graph();
    auto graph = std::make_shared<torch::jit::Graph>();
    Known known;
    for (torch::jit::Value* input : from->inputs()) {
      known[input] = graph->addInput()->copyMetadata(input);
    }
    graph->inputs()[0]->setType(made.type());
    copy_nodes(*from->block(), *graph->block(), known);
    for (const torch::jit::Value* output : from->outputs()) {
      graph->registerOutput(known.at(output));
    }
    auto arguments = method.getSchema().arguments();
    arguments.at(0) = arguments.at(0).cloneWithType(made.type());
    auto unit = made._ivalue()->compilation_unit();
    torch::jit::Function* function = unit->create_function(c10::QualifiedName(*made.type()->name(), name), graph);
    function->setSchema(method.getSchema().cloneWithArguments(std::move(arguments)));
    made.type()->addMethod(function);
  }
  return made;
}

}  // namespace
}  // namespace bridge

using namespace bridge;

extern "C" Error bridge_module_prepare(
    const torch::jit::Module* module, const IValue* methods, bool fuse, int kind, torch::jit::Module** out) {
  return guarded([&] {
    std::vector<std::string> kept;
    for (const IValue& name : methods->toListRef()) {
      kept.push_back(name.toStringRef());
    }
    torch::jit::Module copy = module->deepcopy();
    if (kind >= 0) {
      floats_to(copy, static_cast<c10::ScalarType>(kind));
    }
    std::vector<std::shared_ptr<torch::jit::Graph>> graphs;
    for (const std::string& name : kept) {
      graphs.push_back(graph_function(copy, name).graph());
    }
    const bool in_order = hangs_on_order(graphs);
    if (!in_order) {
      weights_to_channels_last(copy);
    }
    // torch::jit::freeze optimises `forward` alone, and fails where there is none.
    const torch::jit::Module frozen = alone(torch::jit::freeze_module(copy, kept), kept);
    for (const std::string& name : kept) {
      auto graph = frozen.get_method(name).graph();
      pad_by_numbers(*graph);
      forget_statistics(*graph);
      torch::jit::OptimizeFrozenGraph(graph, /*optimize_numerics=*/true);
      if (fuse) {
        torch::jit::FuseFrozenConvAddRelu(graph);
        if (!in_order && may_change_layouts(*graph)) {
          torch::jit::ConvertFrozenOpsToMKLDNN(graph);
        }
        torch::jit::FrozenLinearTranspose(graph);
      }
      // The passes leave the weights that they replaced.
      torch::jit::EliminateDeadCode(graph);
    }
    settle_schemas(frozen);
    *out = new torch::jit::Module(frozen);
  });
}
