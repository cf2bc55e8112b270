// Memory for tables that are read at random: aligned to cache lines and, where the system can, on huge pages, as a
// table row on a page of its own would cost a page walk as well as a cache miss.
#pragma once

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace kuaixun {

class HugeBuffer {
 public:
  HugeBuffer() = default;
  // Zeroed. Raises std::bad_alloc.
  explicit HugeBuffer(std::size_t bytes) {
    const std::size_t alignment = bytes >= huge_page_bytes ? huge_page_bytes : cache_line_bytes;
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    if (rounded < bytes) throw std::bad_alloc();
    if (rounded == 0) return;
    data_ = std::aligned_alloc(alignment, rounded);
    if (data_ == nullptr) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    // Advice: where it is refused, ordinary pages serve as well, a little slower.
    if (alignment == huge_page_bytes) static_cast<void>(madvise(data_, rounded, MADV_HUGEPAGE));
#endif
    std::memset(data_, 0, rounded);
  }
  HugeBuffer(HugeBuffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  HugeBuffer& operator=(HugeBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~HugeBuffer() { std::free(data_); }

  template <typename T>
  T* as() {
    return static_cast<T*>(data_);
  }
  template <typename T>
  const T* as() const {
    return static_cast<const T*>(data_);
  }

 private:
  static constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;
  static constexpr std::size_t cache_line_bytes = 64;
  void* data_ = nullptr;
};

}  // namespace kuaixun
