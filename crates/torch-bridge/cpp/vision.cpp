// The operators of namespace `torchvision` that torchvision's scripted detectors call, so that those files load where
// torchvision is not installed. Schemas are torchvision 0.28's.
#include "bridge.h"

#include <torch/library.h>

#include <mutex>

namespace bridge {

namespace {

// Named by the code of the serialised models, never called by the ones with upright boxes.
at::Tensor box_iou_rotated(const at::Tensor&, const at::Tensor&) {
  TORCH_CHECK(false, "torchvision::box_iou_rotated is not available: boxes that are rotated are not supported");
}

}  // namespace

void register_torchvision_operators() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Lives as long as the process: its end would take the operators away.
    static torch::Library library(torch::Library::FRAGMENT, "torchvision", std::nullopt, __FILE__, __LINE__);
    library.def("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor", &nms);
    library.def(
        "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
        "int sampling_ratio, bool aligned) -> Tensor",
        &roi_align);
    library.def("box_iou_rotated(Tensor boxes1, Tensor boxes2) -> Tensor", &box_iou_rotated);
  });
}

}  // namespace bridge
