// Weights that are rarely read, in a file: mapped, they take memory only while they are read, and the system can take
// that back.
#include "bridge.h"

#include <torch/csrc/jit/passes/utils/subgraph_utils.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <unordered_set>

namespace bridge {

namespace {

[[noreturn]] void fail(const char* doing) { throw std::system_error(errno, std::generic_category(), doing); }

void write_all(int file, const char* bytes, size_t count, off_t at) {
  while (count > 0) {
    const ssize_t written = pwrite(file, bytes, count, at);
    if (written < 0 && errno != EINTR) {
      fail("the weights cannot be written to a file");
    }
    const auto done = static_cast<size_t>(std::max<ssize_t>(written, 0));
    bytes += done;
    count -= done;
    at += static_cast<off_t>(done);
  }
}

// What keeps a mapping; its address is the storage's context.
struct Mapping {
  void* start;
  size_t length;
};

void unmap(void* context) {
  auto* mapping = static_cast<Mapping*>(context);
  munmap(mapping->start, mapping->length);
  delete mapping;
}

// A part of a file; private, so that a write to a weight would go to a copy.
at::DataPtr map(int file, size_t length, off_t at) {
  auto mapping = std::make_unique<Mapping>();
  mapping->length = length;
  mapping->start = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, at);
  if (mapping->start == MAP_FAILED) {
    fail("a file of weights cannot be mapped");
  }
  void* start = mapping->start;
  return {start, mapping.release(), unmap, c10::kCPU};
}

// The storages in memory of all constants of a graph, each once.
std::vector<c10::Storage> storages_of(torch::jit::Graph& graph) {
  std::vector<c10::Storage> storages;
  std::unordered_set<const c10::StorageImpl*> known;
  for (torch::jit::Node* node : torch::jit::findAllNodes(graph, c10::prim::Constant, /*recurse=*/true)) {
    const auto value = torch::jit::toIValue(node->output());
    if (!value || !value->isTensor() || !value->toTensor().has_storage()) {
      continue;
    }
    const c10::Storage& storage = value->toTensor().storage();
    if (storage.device().is_cpu() && storage.nbytes() > 0 && known.insert(storage.unsafeGetStorageImpl()).second) {
      storages.push_back(storage);
    }
  }
  return storages;
}

}  // namespace
}  // namespace bridge

using namespace bridge;

extern "C" {

Error bridge_module_weights_to_file(
    const torch::jit::Module* module, const char* method, size_t least, int file, uint64_t* moved) {
  return guarded([&] {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    off_t at = 0;
    uint64_t total = 0;
    for (c10::Storage& storage : storages_of(*graph_function(*module, method).graph())) {
      const size_t length = storage.nbytes();
      if (length < least) {
        continue;
      }
      write_all(file, static_cast<const char*>(storage.data()), length, at);
      storage.set_data_ptr_noswap(map(file, length, at));
      at += static_cast<off_t>((length + page - 1) / page * page);
      total += length;
    }
    *moved = total;
  });
}

Error bridge_module_forget_weights(const torch::jit::Module* module, const char* method) {
  return guarded([&] {
    for (const c10::Storage& storage : storages_of(*graph_function(*module, method).graph())) {
      if (storage.data_ptr().get_deleter() == unmap) {
        const auto* mapping = static_cast<const Mapping*>(storage.data_ptr().get_context());
        madvise(mapping->start, mapping->length, MADV_DONTNEED);
      }
    }
  });
}

}  // extern "C"
