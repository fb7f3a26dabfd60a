// Where a method's graph may be cut in two, and the part between two cuts.
//
// A cut is a place where all that goes on is one batch: a tensor whose first dimension is that of the inputs. What is
// before it can then be run on some rows after the other, and what is behind it on all of them at once.
#include "cuts.h"

#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/decompose_ops.h>
#include <torch/csrc/jit/passes/peephole.h>
#include <torch/csrc/jit/passes/tensorexpr_fuser.h>
#include <torch/csrc/jit/runtime/interpreter.h>
#include <torch/csrc/jit/runtime/profiling_record.h>

#include <algorithm>
#include <stdexcept>
#include <unordered_map>

namespace bridge {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

namespace {

bool is_constant(const Value* value) { return value->node()->kind() == c10::prim::Constant; }

// The top-level nodes that compute something, in order: what a cut's position counts.
std::vector<Node*> steps_of(Graph& graph) {
  std::vector<Node*> steps;
  for (Node* node : graph.nodes()) {
    if (node->kind() != c10::prim::Constant) {
      steps.push_back(node);
    }
  }
  return steps;
}

// The node of `graph` itself in which `node` stands, at whatever depth.
const Node* top_level(const Graph& graph, const Node* node) {
  while (node->owningBlock() != graph.block()) {
    node = node->owningBlock()->owningNode();
  }
  return node;
}

uint64_t bytes_of(const Value* value) {
  const auto type = value->type()->cast<c10::TensorType>();
  const auto elements = type ? type->numel() : std::nullopt;
  const auto kind = type ? type->scalarType() : std::nullopt;
  return elements && kind ? *elements * c10::elementSize(*kind) : 0;
}

// What a step reads and writes, weights apart.
uint64_t bytes_of(const Node* step) {
  uint64_t bytes = 0;
  for (const Value* input : step->inputs()) {
    bytes += is_constant(input) ? 0 : bytes_of(input);
  }
  for (const Value* output : step->outputs()) {
    bytes += bytes_of(output);
  }
  return bytes;
}

// The values that steps from `position` on read, and steps before it have made.
class Alive {
 public:
  explicit Alive(Graph& graph) : steps_(steps_of(graph)) {
    std::unordered_map<const Node*, size_t> order;
    for (size_t index = 0; index < steps_.size(); ++index) {
      order[steps_[index]] = index;
    }
    order[graph.return_node()] = steps_.size();
    const auto add = [&](const Value* value, size_t born) {
      size_t last = 0;
      for (const auto& use : value->uses()) {
        const auto found = order.find(top_level(graph, use.user));
        // A constant that reads it cannot be.
        last = std::max(last, found == order.end() ? 0 : found->second);
      }
      values_.push_back({value, born, last});
    };
    // The first input is the module, which every part is given.
    for (const Value* input : graph.inputs().slice(1)) {
      add(input, 0);
    }
    for (size_t index = 0; index < steps_.size(); ++index) {
      for (const Value* output : steps_[index]->outputs()) {
        add(output, index + 1);
      }
    }
  }

  const std::vector<Node*>& steps() const { return steps_; }

  /// The only one at `position`; null where there are several.
  const Value* only(size_t position) const {
    const Value* found = nullptr;
    for (const auto& [value, born, last] : values_) {
      if (born <= position && last >= position) {
        if (found) {
          return nullptr;
        }
        found = value;
      }
    }
    return found;
  }

 private:
  struct Life {
    const Value* value;
    size_t born;
    size_t last;
  };
  std::vector<Node*> steps_;
  std::vector<Life> values_;
};

bool is_batch_of(const Value* value, int64_t rows) {
  const auto type = value->type()->cast<c10::TensorType>();
  const auto sizes = type ? type->sizes().concrete_sizes() : std::nullopt;
  return sizes && !sizes->empty() && sizes->front() == rows;
}

}  // namespace

std::shared_ptr<Graph> straightened(const torch::jit::Module& module, const std::string& method) {
  auto graph = graph_function(module, method).graph()->copy();
  torch::jit::DecomposeOps(graph);
  torch::jit::ConstantPropagation(graph);
  torch::jit::PeepholeOptimize(graph);
  torch::jit::EliminateDeadCode(graph);
  return graph;
}

std::shared_ptr<Graph> profiled(std::shared_ptr<Graph> graph, torch::jit::Stack stack) {
  const auto record = torch::jit::ProfilingRecord::instrumentGraph(graph);
  torch::jit::InterpreterState(torch::jit::Code(record->graph(), "profiled")).run(stack);
  auto shaped = record->graph()->copy();
  torch::jit::ProfilingRecord::removeProfileCounter(shaped->block());
  return shaped;
}

std::vector<Cut> cuts_of(const std::shared_ptr<Graph>& graph, const torch::jit::Stack& stack) {
  const auto is_tensor = [](const IValue& value) { return value.isTensor() && value.toTensor().dim() > 0; };
  const auto first = std::find_if(stack.begin(), stack.end(), is_tensor);
  if (first == stack.end()) {
    throw std::runtime_error("no input is a batch");
  }
  const int64_t rows = first->toTensor().size(0);
  auto shaped = profiled(graph, stack);
  torch::jit::RemoveProfileNodesAndSpecializeTypes(shaped);
  const Alive alive(*shaped);
  std::vector<Cut> cuts;
  uint64_t largest = 0;
  for (size_t position = 1; position < alive.steps().size(); ++position) {
    largest = std::max(largest, bytes_of(alive.steps()[position - 1]));
    const Value* only = alive.only(position);
    if (only && is_batch_of(only, rows)) {
      cuts.push_back({position, largest, bytes_of(only)});
      largest = 0;
    }
  }
  if (!alive.steps().empty()) {
    largest = std::max(largest, bytes_of(alive.steps().back()));
  }
  cuts.push_back({alive.steps().size(), largest, 0});
  return cuts;
}

std::shared_ptr<Graph> part_of(Graph& graph, size_t from, size_t to) {
  const Alive alive(graph);
  const size_t end = alive.steps().size();
  if (from >= to || to > end) {
    throw std::invalid_argument("no part from step " + std::to_string(from) + " to " + std::to_string(to));
  }
  const auto only = [&](size_t position) {
    const Value* value = alive.only(position);
    return value ? value : throw std::invalid_argument("no cut at step " + std::to_string(position));
  };
  auto part = std::make_shared<Graph>();
  std::unordered_map<const Value*, Value*> known;
  const auto take = [&](const Value* input) { known[input] = part->addInput()->setType(input->type()); };
  take(graph.inputs().front());
  if (from == 0) {
    for (const Value* input : graph.inputs().slice(1)) {
      take(input);
    }
  } else {
    take(only(from));
  }
  const std::function<Value*(Value*)> mapped = [&](Value* value) -> Value* {
    const auto found = known.find(value);
    if (found != known.end()) {
      return found->second;
    }
    if (!is_constant(value)) {
      throw std::invalid_argument("a part reads what was made before it");
    }
    Node* constant = part->appendNode(part->createClone(value->node(), mapped));
    return known[value] = constant->output();
  };
  for (size_t index = from; index < to; ++index) {
    Node* step = part->appendNode(part->createClone(alive.steps()[index], mapped));
    for (size_t output = 0; output < step->outputs().size(); ++output) {
      known[alive.steps()[index]->outputs()[output]] = step->outputs()[output];
    }
  }
  if (to == end) {
    for (Value* output : graph.outputs()) {
      part->registerOutput(mapped(output));
    }
  } else {
    part->registerOutput(known.at(only(to)));
  }
  return part;
}

}  // namespace bridge

using namespace bridge;

extern "C" Error bridge_module_cuts(
    const torch::jit::Module* module, const char* method, const IValue* inputs, IValue** out) {
  return guarded([&] {
    const c10::FunctionSchema& schema = module->get_method(method).function().getSchema();
    c10::List<IValue> rows(c10::AnyType::get());
    for (const Cut& cut : cuts_of(straightened(*module, method), call_stack(schema, module->_ivalue(), *inputs))) {
      const auto number = [](uint64_t value) { return IValue(static_cast<int64_t>(value)); };
      rows.push_back(c10::ivalue::Tuple::create({number(cut.position), number(cut.largest), number(cut.alive)}));
    }
    *out = new IValue(std::move(rows));
  });
}
