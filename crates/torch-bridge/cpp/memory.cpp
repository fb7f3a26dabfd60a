// The memory of tensors on the CPU: large blocks come from Rust (src/region.rs), the rest from libtorch's own allocator.
#include "bridge.h"

#include <c10/core/CPUAllocator.h>

using namespace bridge;

namespace {

using Take = void* (*)(size_t);
using Give = bool (*)(void*);

// A deleter has no room for an object, so these stand alone; written once, before the allocator is known to anyone.
Take take_block;
Give give_block;

void release(void* block) {
  if (!give_block(block)) {
    c10::GetDefaultCPUAllocator()->raw_deallocate(block);
  }
}

class Blocks final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* block = take_block(bytes);
    if (block == nullptr) {
      block = c10::GetDefaultCPUAllocator()->raw_allocate(bytes);
    }
    return {block, block, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override {
    return &release;
  }

  void copy_data(void* to, const void* from, size_t count) const override {
    default_copy_data(to, from, count);
  }
};

}  // namespace

extern "C" Error bridge_set_blocks(Take take, Give give) {
  return guarded([&] {
    take_block = take;
    give_block = give;
    // Never destroyed, as threads may still compute while the process ends. Above the priority of libtorch's own.
    c10::SetCPUAllocator(new Blocks, 1);
  });
}
