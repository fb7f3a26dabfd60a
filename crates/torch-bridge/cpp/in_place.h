// What may be written over by compiled groups: see in_place.cpp.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

namespace bridge {

/// Changes the groups that oneDNN Graph made of `graph`, and that are not compiled yet, so that each writes its answer only
/// over a tensor that nothing reads any more.
void forbid_overwriting(torch::jit::Graph& graph);
/// Has every such group give its tensors row by row or channels-last, as plain operators read them.
void keep_strided(torch::jit::Graph& graph);

}  // namespace bridge
