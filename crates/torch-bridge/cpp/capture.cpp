// Rewriting a copy of a method's graph so that it shows, or changes, what its layers compute.
//
// A tap belongs behind every call of `forward` on its path. The calls on the way there are inlined one by one, raw,
// so that the calls inside them are still to be seen; the rest is inlined afterwards. The graph gets one more input,
// the state of the run, which each tap takes: that makes one captured graph safe for any number of threads.
// The graph is run by the interpreter as it stands; no optimisation touches it (with several outputs the optimiser
// has produced wrong gradients, pytorch#66883).
#include "bridge.h"

#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/passes/remove_exceptions.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/runtime/interpreter.h>

namespace bridge {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

struct Capture {
  torch::jit::Module module;
  // Of the method as it was: without the state.
  c10::FunctionSchema schema;
  torch::jit::Code code;
  size_t taps;
};

namespace {

struct Tap {
  std::string kind;
  std::string path;

  // Concerns the whole graph instead of one layer.
  bool is_global() const { return kind == "guided_relu"; }
  bool is_replay() const { return kind == "replay"; }
};

std::vector<Tap> read_taps(const IValue& value) {
  std::vector<Tap> taps;
  for (const IValue& item : value.toListRef()) {
    const auto& fields = item.toTupleRef().elements();
    taps.push_back({fields[0].toStringRef(), fields[1].toStringRef()});
  }
  return taps;
}

bool lies_within(const std::string& path, const std::string& outer) {
  return outer.empty() ||
      (path.size() > outer.size() && path.compare(0, outer.size(), outer) == 0 && path[outer.size()] == '.');
}

class Rewriter {
 public:
  Rewriter(std::shared_ptr<Graph> graph, const torch::jit::Module& root, std::vector<Tap> taps)
      : graph_(std::move(graph)), root_(root), taps_(std::move(taps)), placed_(taps_.size(), 0) {
    self_ = graph_->inputs()[0];
    state_ = graph_->addInput("state")->setType(c10::CapsuleType::get());
  }

  std::vector<int64_t> rewrite() {
    rewrite_block(graph_->block());
    torch::jit::Inline(*graph_);
    bool replays = false;
    for (size_t i = 0; i < taps_.size(); ++i) {
      if (taps_[i].is_global()) {
        placed_[i] = guide_relus(*graph_);
      }
      replays = replays || taps_[i].is_replay();
    }
    if (replays) {
      remove_what_is_replaced();
    }
    graph_->lint();
    return placed_;
  }

 private:
  void rewrite_block(Block* block) {
    for (auto node = block->nodes().begin(); node != block->nodes().end();) {
      // The next place to look at; inlining replaces the node by its callee's nodes, which come first.
      Node* current = *node;
      Node* previous = current->prev();
      for (Block* inner : current->blocks()) {
        rewrite_block(inner);
      }
      const auto site = call_site(current, self_, root_);
      if (site && expand(*site)) {
        node = ++previous->iterator();
      } else {
        ++node;
      }
    }
  }

  // Nodes that only served to compute replaced activations need not run. The program's checks of them (a batch norm refuses
  // what is not four-dimensional), and what it does with them in training, would keep all of it alive.
  void remove_what_is_replaced() {
    for (Node* node : torch::jit::findAllNodes(*graph_, c10::prim::GetAttr, /*recurse=*/true)) {
      if (node->s(c10::attr::name) == "training" && node->output()->type()->kind() == c10::TypeKind::BoolType) {
        // A module is put into evaluation mode when it is loaded.
        torch::jit::WithInsertPoint here(node);
        node->output()->replaceAllUsesWith(graph_->insertConstant(false));
      }
    }
    torch::jit::EliminateExceptions(graph_);
    torch::jit::EliminateDeadCode(graph_);
  }

  // Puts the taps behind a call, the first one nearest to it. Returns whether the call was replaced by its body.
  bool expand(const CallSite& site) {
    const std::string path = dotted(site.path);
    bool inside = false;
    Node* last = site.node;
    for (size_t i = 0; i < taps_.size(); ++i) {
      if (taps_[i].is_global()) {
        // Every body must be seen, also that of a module which the graph knows by an interface only.
        inside = true;
        continue;
      }
      if (site.is_forward && taps_[i].path == path) {
        last = place(i, last);
      }
      inside = inside || lies_within(taps_[i].path, path);
    }
    if (inside) {
      use_concrete_types(site);
      torch::jit::inlineCallTo(site.node, site.function, /*use_graph=*/false);
    }
    return inside;
  }

  // Puts one tap behind `before`, whose output it takes over.
  Node* place(size_t tap, Node* before) {
    Value* output = before->output();
    torch::jit::WithInsertPoint behind(before->next());
    Value* index = graph_->insertConstant(static_cast<int64_t>(tap));
    // A tensor is replayed without a look at the one that it replaces; of a container the structure is needed.
    const bool blind = taps_[tap].is_replay() && output->type()->kind() == c10::TypeKind::TensorType;
    const std::string name = "lucarne::" + taps_[tap].kind + (blind ? "_tensor" : "");
    std::vector<Value*> inputs{state_, index};
    if (!blind) {
      inputs.insert(inputs.begin(), output);
    }
    Node* node = graph_->create(c10::Symbol::fromQualString(name), inputs, 1);
    node->output()->setType(output->type());
    graph_->insertNode(node);
    output->replaceAllUsesAfterNodeWith(node, node->output());
    placed_[tap] += 1;
    return node;
  }

  // An inlined body reads attributes of the class that the module really has, where the graph may say an interface.
  void use_concrete_types(const CallSite& site) {
    torch::jit::Module module = root_;
    std::vector<Value*> chain;
    for (Value* value = site.node->input(0); value != self_; value = value->node()->input(0)) {
      chain.push_back(value);
    }
    for (size_t i = 0; i < site.path.size(); ++i) {
      module = torch::jit::Module(module.attr(site.path[i]).toObject());
      chain[chain.size() - 1 - i]->setType(module.type());
    }
  }

  std::shared_ptr<Graph> graph_;
  torch::jit::Module root_;
  std::vector<Tap> taps_;
  std::vector<int64_t> placed_;
  Value* self_;
  Value* state_;
};

IValue as_value(const std::vector<std::vector<std::vector<at::Tensor>>>& recorded) {
  c10::List<c10::List<c10::List<at::Tensor>>> taps;
  for (const auto& executions : recorded) {
    c10::List<c10::List<at::Tensor>> tap;
    for (const auto& tensors : executions) {
      tap.push_back(c10::List<at::Tensor>(tensors));
    }
    taps.push_back(std::move(tap));
  }
  return taps;
}

}  // namespace
}  // namespace bridge

using namespace bridge;

extern "C" {

Error bridge_capture_new(
    const torch::jit::Module* module, const char* method, const IValue* taps, Capture** out, IValue** placed) {
  return guarded([&] {
    register_tap_operators();
    torch::jit::GraphFunction& function = graph_function(*module, method);
    auto graph = function.graph()->copy();
    std::vector<Tap> wanted = read_taps(*taps);
    const size_t count = wanted.size();
    const std::vector<int64_t> places = Rewriter(graph, *module, std::move(wanted)).rewrite();
    torch::jit::Code code(graph, "captured");
    auto capture = std::make_unique<Capture>(Capture{*module, function.getSchema(), std::move(code), count});
    *placed = new IValue(c10::List<int64_t>(places));
    *out = capture.release();
  });
}

void bridge_capture_free(Capture* capture) { delete capture; }

Error bridge_capture_run(
    const Capture* capture, const IValue* inputs, const IValue* given, IValue** output, IValue** recorded) {
  return guarded([&] {
    auto state = c10::make_intrusive<RunState>();
    state->recorded.resize(capture->taps);
    state->reached.resize(capture->taps);
    state->given = given->toListRef().vec();
    TORCH_CHECK(state->given.size() == capture->taps, "a run takes one value for each of its taps");
    torch::jit::Stack stack = call_stack(capture->schema, capture->module._ivalue(), *inputs);
    stack.push_back(IValue::make_capsule(state));
    // Functions that could not be inlined go through an executor of their own.
    torch::jit::GraphOptimizerEnabledGuard unoptimised(false);
    torch::jit::InterpreterState(capture->code).run(stack);
    auto result = std::make_unique<IValue>(std::move(stack.front()));
    *recorded = new IValue(as_value(state->recorded));
    *output = result.release();
  });
}

}  // extern "C"
