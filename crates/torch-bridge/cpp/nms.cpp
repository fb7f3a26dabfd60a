// Greedy non-maximum suppression, as torchvision's CPU kernel does it.
#include "bridge.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace bridge {

namespace {

void check(const at::Tensor& boxes, const at::Tensor& scores) {
  TORCH_CHECK(boxes.dim() == 2 && boxes.size(1) == 4, "boxes should be a [N, 4] tensor, got ", boxes.sizes());
  TORCH_CHECK(
      scores.dim() == 1 && scores.size(0) == boxes.size(0), "scores should be a [", boxes.size(0), "] tensor, got ",
      scores.sizes());
  // The types may differ: a constant that was a Python number when the module was traced is a tensor of 64 bits in the file,
  // and boxes that are moved by their class times it are so, too, wherever the interpreter runs the code as it stands.
  TORCH_CHECK(at::isFloatingType(boxes.scalar_type()) && at::isFloatingType(scores.scalar_type()), "boxes and scores should be floats");
}

template <class Scalar>
std::vector<int64_t> keep(const at::Tensor& boxes, const at::Tensor& order, double iou_threshold) {
  const auto box = boxes.accessor<Scalar, 2>();
  const auto ranked = order.accessor<int64_t, 1>();
  const int64_t count = boxes.size(0);
  const auto area = [&](int64_t i) { return (box[i][2] - box[i][0]) * (box[i][3] - box[i][1]); };
  std::vector<bool> suppressed(static_cast<size_t>(count), false);
  std::vector<int64_t> kept;
  for (int64_t a = 0; a < count; ++a) {
    const int64_t i = ranked[a];
    if (suppressed[static_cast<size_t>(i)]) {
      continue;
    }
    kept.push_back(i);
    for (int64_t b = a + 1; b < count; ++b) {
      const int64_t j = ranked[b];
      const Scalar width = std::max(Scalar(0), std::min(box[i][2], box[j][2]) - std::max(box[i][0], box[j][0]));
      const Scalar height = std::max(Scalar(0), std::min(box[i][3], box[j][3]) - std::max(box[i][1], box[j][1]));
      const Scalar overlap = width * height;
      if (overlap / (area(i) + area(j) - overlap) > iou_threshold) {
        suppressed[static_cast<size_t>(j)] = true;
      }
    }
  }
  return kept;
}

}  // namespace

at::Tensor nms(const at::Tensor& boxes, const at::Tensor& scores, double iou_threshold) {
  check(boxes, scores);
  // A greedy choice is sequential and the boxes are few: it is made on the CPU wherever they live.
  const at::ScalarType precision = boxes.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor on_cpu = boxes.detach().to(at::kCPU).to(precision).contiguous();
  const at::Tensor order =
      std::get<1>(scores.detach().to(at::kCPU).sort(/*stable=*/true, /*dim=*/0, /*descending=*/true)).contiguous();
  const std::vector<int64_t> kept = on_cpu.scalar_type() == at::kDouble ? keep<double>(on_cpu, order, iou_threshold)
                                                                       : keep<float>(on_cpu, order, iou_threshold);
  return at::tensor(kept, at::kLong).to(boxes.device());
}

}  // namespace bridge
