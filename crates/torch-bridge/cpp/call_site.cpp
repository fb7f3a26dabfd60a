// Finding the calls of submodules in a method's graph, and from them the layers of a model.
//
// A TorchScript graph names a submodule by a chain of prim::GetAttr nodes from `self`, and runs it by a
// prim::CallMethod node on that value. That call is the boundary at which a Python forward hook would stand.
#include "bridge.h"

#include <algorithm>
#include <cctype>
#include <map>

namespace bridge {

namespace {

using torch::jit::Block;
using torch::jit::Function;
using torch::jit::Module;
using torch::jit::Node;
using torch::jit::Value;

// A traced module that is called several times has one method a call: forward, forward1, forward2 …
bool is_forward(const std::string& method) {
  static const std::string forward = "forward";
  return method.compare(0, forward.size(), forward) == 0 &&
      std::all_of(method.begin() + forward.size(), method.end(), [](unsigned char c) { return std::isdigit(c); });
}

std::optional<std::vector<std::string>> attribute_path(const Value* value, const Value* self) {
  std::vector<std::string> path;
  while (value != self) {
    const Node* node = value->node();
    if (node->kind() != c10::prim::GetAttr) {
      return std::nullopt;
    }
    path.push_back(node->s(c10::attr::name));
    value = node->input(0);
  }
  std::reverse(path.begin(), path.end());
  return path;
}

std::optional<Module> module_at(const Module& root, const std::vector<std::string>& path) {
  Module module = root;
  for (const std::string& name : path) {
    const IValue child = module.attr(name, IValue());
    if (!child.isModule()) {
      return std::nullopt;
    }
    module = Module(child.toObject());
  }
  return module;
}

struct Layer {
  std::string kind;
  int64_t calls = 0;
  // Position of the last call to finish.
  size_t order = 0;
};

struct LayerWalk {
  std::map<std::string, Layer> layers;
  size_t finished = 0;

  void block(Block* block, const Value* self, const Module& root, const std::vector<std::string>& prefix) {
    for (Node* node : block->nodes()) {
      for (Block* inner : node->blocks()) {
        this->block(inner, self, root, prefix);
      }
      if (const auto site = call_site(node, self, root)) {
        call(*site, prefix);
      }
    }
  }

  void call(const CallSite& site, std::vector<std::string> path) {
    path.insert(path.end(), site.path.begin(), site.path.end());
    const auto graph = site.function->graph();
    block(graph->block(), graph->inputs()[0], site.module, path);
    if (site.is_forward && !path.empty()) {
      Layer& layer = layers[dotted(path)];
      layer.kind = site.module.type()->name()->name();
      layer.calls += 1;
      layer.order = finished++;
    }
  }
};

}  // namespace

std::string dotted(const std::vector<std::string>& path) {
  std::string text;
  for (const std::string& name : path) {
    text += (text.empty() ? "" : ".") + name;
  }
  return text;
}

std::optional<CallSite> call_site(Node* node, const Value* self, const Module& root) {
  if (node->kind() != c10::prim::CallMethod) {
    return std::nullopt;
  }
  auto path = attribute_path(node->input(0), self);
  if (!path) {
    return std::nullopt;
  }
  auto module = module_at(root, *path);
  if (!module) {
    return std::nullopt;
  }
  // The module's own class, which is the concrete one even where the graph knows but an interface.
  const std::string& name = node->s(c10::attr::name);
  Function* method = module->type()->findMethod(name);
  if (!method || !method->isGraphFunction()) {
    return std::nullopt;
  }
  return CallSite{node, std::move(*path), *module, &torch::jit::toGraphFunction(*method), is_forward(name)};
}

}  // namespace bridge

using namespace bridge;

extern "C" Error bridge_module_layers(const torch::jit::Module* module, const char* method, IValue** out) {
  return guarded([&] {
    const auto graph = graph_function(*module, method).graph();
    LayerWalk walk;
    walk.block(graph->block(), graph->inputs()[0], *module, {});
    std::vector<std::pair<std::string, Layer>> found(walk.layers.begin(), walk.layers.end());
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.second.order < b.second.order; });
    c10::impl::GenericList layers(c10::AnyType::get());
    for (auto& [path, layer] : found) {
      layers.push_back(c10::ivalue::Tuple::create(path, layer.kind, layer.calls));
    }
    *out = new IValue(std::move(layers));
  });
}
