#include "checked_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "error.h"
#include "sha256.h"

namespace kuaixun {
namespace {

constexpr std::size_t block_bytes = 1 << 18;

bool is_folder(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// A regular file of a bundle, open for reading.
class OpenFile {
 public:
  OpenFile(const std::string& folder, const std::string& name)
      // Not blocking, because a pipe that nobody writes to would wait for ever.
      : path_(path_of(folder, name)), descriptor_(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
    if (descriptor_ < 0) {
      const int error = errno;
      if ((error == ENOENT || error == ENOTDIR) && !is_folder(folder)) {
        throw Error(ErrorCode::bundle,
                    "there is no bundle at " + folder + ": no such folder. Name the folder of a bundle.");
      }
      fail(error);
    }
    struct stat status;
    const bool is_regular = ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode);
    if (!is_regular) {
      ::close(descriptor_);
      throw TamperedError(path_ + " is no regular file" + restore_advice);
    }
    size_bytes_ = static_cast<std::uint64_t>(status.st_size);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { ::close(descriptor_); }

  std::uint64_t size_bytes() const { return size_bytes_; }
  const std::string& path() const { return path_; }

  void expect_at_most(std::uint64_t limit_bytes) const {
    if (size_bytes_ > limit_bytes) {
      throw TamperedError(path_ + " is larger than the " + std::to_string(limit_bytes) + " bytes expected" +
                          restore_advice);
    }
  }

  // So that reading it takes no more memory than it lies there.
  void expect_size(const FileEntry& entry) const {
    expect_at_most(entry.size_bytes);
    if (size_bytes_ < entry.size_bytes) fail_short(size_bytes_, entry);
  }

  [[noreturn]] void fail_short(std::uint64_t size_bytes, const FileEntry& entry) const {
    throw TamperedError(path_ + " is cut short: " + std::to_string(size_bytes) + " bytes of " +
                        std::to_string(entry.size_bytes) + restore_advice);
  }

  // How many of `count` bytes there were to read.
  std::size_t read(char* to, std::size_t count) const {
    std::size_t got = 0;
    while (got < count) {
      const ssize_t read = ::read(descriptor_, to + got, count - got);
      if (read < 0 && errno == EINTR) continue;
      if (read < 0) fail(errno);
      if (read == 0) break;
      got += static_cast<std::size_t>(read);
    }
    return got;
  }

 private:
  [[noreturn]] void fail(int error) const {
    throw TamperedError(path_ + " cannot be read: " + std::strerror(error) + restore_advice);
  }

  std::string path_;
  int descriptor_;
  std::uint64_t size_bytes_ = 0;
};

// Reads the file block by block, each to where `place_of(bytes before it)` says, and checks all of it.
template <typename PlaceOf>
void read_and_check(const OpenFile& file, const FileEntry& entry, const PlaceOf& place_of) {
  Sha256 digest;
  std::uint64_t before = 0;
  while (before < entry.size_bytes) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(block_bytes, entry.size_bytes - before));
    char* const place = place_of(before);
    const std::size_t got = file.read(place, wanted);
    digest.add({place, got});
    before += got;
    if (got < wanted) file.fail_short(before, entry);
  }
  if (digest.hexadecimal() != entry.sha256) {
    throw TamperedError(file.path() + " was altered: its SHA-256 is not the manifest's" + restore_advice);
  }
}

}  // namespace

std::string path_of(const std::string& folder, const std::string& name) { return folder + "/" + name; }

std::string read_limited(const std::string& folder, const std::string& name, std::uint64_t limit_bytes) {
  const OpenFile file(folder, name);
  file.expect_at_most(limit_bytes);
  std::string content(static_cast<std::size_t>(file.size_bytes()), '\0');
  content.resize(file.read(content.data(), content.size()));
  return content;
}

std::string read_checked(const std::string& folder, const std::string& name, const FileEntry& entry) {
  const OpenFile file(folder, name);
  file.expect_size(entry);
  std::string content(static_cast<std::size_t>(entry.size_bytes), '\0');
  read_and_check(file, entry, [&content](std::uint64_t before) { return content.data() + before; });
  return content;
}

void check_file(const std::string& folder, const std::string& name, const FileEntry& entry) {
  const OpenFile file(folder, name);
  file.expect_size(entry);
  std::vector<char> block(block_bytes);
  read_and_check(file, entry, [&block](std::uint64_t) { return block.data(); });
}

}  // namespace kuaixun
