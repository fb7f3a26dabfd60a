// Parts of a method's graph: see cuts.cpp.
#pragma once

#include "bridge.h"

#include <memory>

namespace bridge {

/// A place where a graph may be cut.
struct Cut {
  /// How many steps (top-level nodes but constants) are before it.
  size_t position;
  /// The most that a step since the cut before reads and writes, in bytes, weights apart.
  uint64_t largest;
  /// What goes over the cut, in bytes; 0 for the last, which is the graph's end.
  uint64_t alive;
};

/// A copy of the method's graph that always comes out the same, so that positions in it hold.
std::shared_ptr<torch::jit::Graph> straightened(const torch::jit::Module& module, const std::string& method);

/// A copy of `graph` whose values carry the shapes that they had when it ran on `stack`, in profiling nodes.
std::shared_ptr<torch::jit::Graph> profiled(std::shared_ptr<torch::jit::Graph> graph, torch::jit::Stack stack);

/// The cuts of `graph`, in order; the last is its end.
std::vector<Cut> cuts_of(const std::shared_ptr<torch::jit::Graph>& graph, const torch::jit::Stack& stack);

/// The steps of `graph` from one cut to another. Takes the module and what goes over the cut, or, from 0, what `graph`
/// takes.
std::shared_ptr<torch::jit::Graph> part_of(torch::jit::Graph& graph, size_t from, size_t to);

}  // namespace bridge
