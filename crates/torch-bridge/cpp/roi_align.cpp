// RoIAlign (He et al. 2017, "Mask R-CNN", section 3), sample by sample as torchvision's CPU kernel takes them.
//
// Each output cell is the mean of bilinear samples, and so a weighted sum of feature vectors: an embedding bag over the
// pixels. Written that way it runs on any device, needs no buffer for the samples, and has a gradient in `input`.
// Like torchvision's it has none in `rois`.
#include "bridge.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace bridge {

namespace {

// RoIs that go through one embedding bag together; bounds the memory of indices and weights.
constexpr int64_t rois_at_once = 128;

// Where the samples of `pooled` bins fall on one axis, and what they weigh.
struct Axis {
  at::Tensor pixel;   // [K, pooled, samples, 2], int64: the two neighbours
  at::Tensor weight;  // same shape: the shares of the neighbours, zero outside of the map
};

// start, length: [K], in pixels of the map, which is `extent` long.
Axis sample_axis(const at::Tensor& start, const at::Tensor& length, int64_t pooled, int64_t samples, int64_t extent) {
  const auto options = start.options();
  const at::Tensor bin = (length / pooled).view({-1, 1, 1});
  const at::Tensor cell = at::arange(pooled, options).view({1, -1, 1});
  const at::Tensor sample = (at::arange(samples, options) + 0.5).view({1, 1, -1});
  const at::Tensor at = start.view({-1, 1, 1}) + cell * bin + sample * bin / samples;
  const at::Tensor inside = at.ge(-1).logical_and(at.le(extent)).to(at.scalar_type());
  const at::Tensor clamped = at.clamp(0, extent - 1);
  const at::Tensor low = clamped.floor();
  const at::Tensor high = (low + 1).clamp_max(extent - 1);
  const at::Tensor share = clamped - low;
  return {at::stack({low, high}, -1).to(at::kLong), at::stack({(1 - share) * inside, share * inside}, -1)};
}

// pixels: [B*H*W, C]; rois: [K, 5]. Returns [K, C, pooled_height, pooled_width].
struct Pooling {
  at::Tensor pixels;
  int64_t height;
  int64_t width;
  int64_t pooled_height;
  int64_t pooled_width;
  double spatial_scale;
  double offset;

  // The extent of each RoI on the map: [K] each.
  struct Extent {
    at::Tensor left, top, width, height;
  };

  Extent extent(const at::Tensor& rois) const {
    const at::Tensor corners = rois.slice(1, 1) * spatial_scale - offset;
    at::Tensor width = corners.select(1, 2) - corners.select(1, 0);
    at::Tensor height = corners.select(1, 3) - corners.select(1, 1);
    if (offset == 0) {
      // The original, unaligned convention: no RoI is smaller than one pixel.
      width = width.clamp_min(1);
      height = height.clamp_min(1);
    }
    return {corners.select(1, 0), corners.select(1, 1), width, height};
  }

  at::Tensor pool(const at::Tensor& rois, int64_t samples_y, int64_t samples_x) const {
    const int64_t count = rois.size(0);
    at::Tensor index;
    at::Tensor weight;
    {
      at::NoGradGuard no_gradient_in_rois;
      const Extent box = extent(rois);
      const Axis y = sample_axis(box.top, box.height, pooled_height, samples_y, height);
      const Axis x = sample_axis(box.left, box.width, pooled_width, samples_x, width);
      const at::Tensor image = rois.select(1, 0).to(at::kLong).view({-1, 1, 1, 1, 1, 1, 1});
      // [K, pooled_height, pooled_width, samples_y, samples_x, 2, 2]
      const auto rows = [&](const at::Tensor& t) { return t.view({count, pooled_height, 1, samples_y, 1, 2, 1}); };
      const auto columns = [&](const at::Tensor& t) { return t.view({count, 1, pooled_width, 1, samples_x, 1, 2}); };
      index = (image * height + rows(y.pixel)) * width + columns(x.pixel);
      weight = rows(y.weight) * columns(x.weight) / static_cast<double>(std::max<int64_t>(samples_y * samples_x, 1));
    }
    const int64_t cells = count * pooled_height * pooled_width;
    const at::Tensor bags = std::get<0>(at::embedding_bag(
        pixels, index.reshape({-1}), at::arange(cells, index.options()) * (4 * samples_y * samples_x),
        /*scale_grad_by_freq=*/false, /*mode=sum*/ 0, /*sparse=*/false, weight.reshape({-1}).to(pixels.scalar_type())));
    return bags.view({count, pooled_height, pooled_width, -1}).permute({0, 3, 1, 2});
  }

  // As many samples as the RoI has pixels in a cell: each RoI has a grid of its own.
  at::Tensor pool_adaptively(const at::Tensor& roi) const {
    const Extent box = extent(roi);
    const auto samples = [](const at::Tensor& length, int64_t pooled) {
      return std::max<int64_t>(static_cast<int64_t>(std::ceil((length / pooled).item<double>())), 0);
    };
    const int64_t samples_y = samples(box.height, pooled_height);
    const int64_t samples_x = samples(box.width, pooled_width);
    if (samples_y * samples_x == 0) {
      return pixels.new_zeros({1, pixels.size(1), pooled_height, pooled_width});
    }
    return pool(roi, samples_y, samples_x);
  }
};

}  // namespace

at::Tensor roi_align(
    const at::Tensor& input, const at::Tensor& rois, double spatial_scale, c10::SymInt pooled_height,
    c10::SymInt pooled_width, int64_t sampling_ratio, bool aligned) {
  TORCH_CHECK(input.dim() == 4, "input should be a [B, C, H, W] tensor, got ", input.sizes());
  TORCH_CHECK(rois.dim() == 2 && rois.size(1) == 5, "rois should be a [K, 5] tensor, got ", rois.sizes());
  const int64_t out_height = pooled_height.guard_int(__FILE__, __LINE__);
  const int64_t out_width = pooled_width.guard_int(__FILE__, __LINE__);
  const int64_t count = rois.size(0);
  const Pooling pooling{
      input.permute({0, 2, 3, 1}).reshape({-1, input.size(1)}), input.size(2), input.size(3), out_height, out_width,
      spatial_scale, aligned ? 0.5 : 0.0};
  const at::Tensor boxes = rois.detach().to(input.scalar_type());
  std::vector<at::Tensor> parts;
  const int64_t step = sampling_ratio > 0 ? rois_at_once : 1;
  for (int64_t first = 0; first < count; first += step) {
    const at::Tensor part = boxes.slice(0, first, std::min(first + step, count));
    parts.push_back(
        sampling_ratio > 0 ? pooling.pool(part, sampling_ratio, sampling_ratio) : pooling.pool_adaptively(part));
  }
  if (parts.empty()) {
    // Zero cells that still hang on the input, so that a gradient (of zeros) exists.
    return input.sum() * 0 + input.new_zeros({0, input.size(1), out_height, out_width});
  }
  return at::cat(parts, 0).contiguous();
}

}  // namespace bridge
