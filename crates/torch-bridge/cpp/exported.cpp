// The tree of modules of an exported program, and the entry.
#include "exported.h"

namespace bridge {

namespace {

using torch::jit::Module;

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  size_t start = 0;
  while (!path.empty()) {
    const size_t dot = path.find('.', start);
    parts.push_back(path.substr(start, dot - start));
    if (dot == std::string::npos) {
      break;
    }
    start = dot + 1;
  }
  return parts;
}

// "a.b" and "c" of "a.b.c".
std::pair<std::string, std::string> split_last(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? std::make_pair(std::string(), path)
                                  : std::make_pair(path.substr(0, dot), path.substr(dot + 1));
}

void leave_training(Module& module) { module.register_attribute("training", c10::BoolType::get(), false); }

}  // namespace

ModuleTree::ModuleTree(const IValue& modules, const IValue& weights, c10::Device device)
    : device(device), unit_(std::make_shared<torch::jit::CompilationUnit>()) {
  const auto make = [&](const std::string& path, const std::string& name) {
    Module module(c10::QualifiedName(name), unit_, /*shouldMangle=*/true);
    leave_training(module);
    modules_.emplace(path, module);
    return module;
  };
  make("", "__torch__.Exported");
  for (const IValue& item : modules.toListRef()) {
    const auto& fields = item.toTupleRef().elements();
    const std::string& path = fields[0].toStringRef();
    const auto [around, name] = split_last(path);
    Module parent = at(around);
    parent.register_module(name, make(path, fields[1].toStringRef()));
  }
  for (const IValue& item : weights.toListRef()) {
    const auto& fields = item.toTupleRef().elements();
    const auto [around, name] = split_last(fields[0].toStringRef());
    Module module = at(around);
    TORCH_CHECK(!module.hasattr(name), "the weight ", fields[0].toStringRef(), " has the name of something else");
    const at::Tensor& read = fields[1].toTensor();
    const at::Tensor tensor = read.detach().to(device).set_requires_grad(read.requires_grad());
    if (fields[2].toBool()) {
      module.register_parameter(name, tensor, /*is_buffer=*/false);
    } else {
      module.register_buffer(name, tensor);
    }
  }
}

const Module& ModuleTree::at(const std::string& path) const {
  const auto found = modules_.find(path);
  TORCH_CHECK(found != modules_.end(), "there is no module ", path);
  return found->second;
}

std::vector<std::string> ModuleTree::chain(const std::string& from, const std::string& to) {
  if (from.empty()) {
    return parts_of(to);
  }
  if (to.size() > from.size() && to.compare(0, from.size(), from) == 0 && to[from.size()] == '.') {
    return parts_of(to.substr(from.size() + 1));
  }
  Module around = at(from);
  const Module& wanted = at(to);
  std::string name = split_last(to).second;
  while (around.hasattr(name) && !around.attr(name).is(wanted._ivalue())) {
    name += "_";
  }
  if (!around.hasattr(name)) {
    around.register_module(name, wanted);
  }
  return {name};
}

}  // namespace bridge

using namespace bridge;

extern "C" Error bridge_module_build(
    const IValue* description, const char* device, bool widened, torch::jit::Module** out) {
  return guarded([&] {
    register_torchvision_operators();
    register_export_operators();
    const auto& parts = description->toTupleRef().elements();
    ModuleTree tree(parts[0], parts[1], c10::Device(std::string(device)));
    for (const IValue& function : parts[2].toListRef()) {
      add_function(tree, function);
    }
    torch::jit::Module module = tree.at("");
    refuse_files(module);
    if (widened) {
      widen(module);
    }
    settle_inputs(module);
    settle_schemas(module);
    *out = new torch::jit::Module(std::move(module));
  });
}
