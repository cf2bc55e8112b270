#include "standard_streams.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "error.h"

namespace kuaixun_apps {
namespace {

constexpr std::size_t read_bytes = 1 << 18;

// Whether a read or write that failed can be tried again: now, or on a stream that does not block when it is ready.
bool may_go_on(int descriptor, short event) {
  if (errno == EINTR) return true;
  if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
  pollfd stream{descriptor, event, 0};
  return ::poll(&stream, 1, -1) > 0 || errno == EINTR;
}

// Whether a read would return at once; at the end of the input it does.
bool more_is_there() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return ::poll(&input, 1, 0) > 0;
}

}  // namespace

ArrivingLines::ArrivingLines(std::size_t limit_bytes, std::size_t wanted)
    : limit_bytes_(limit_bytes), wanted_(wanted), block_(read_bytes, '\0') {}

std::vector<std::string_view> ArrivingLines::next() {
  finished_.clear();
  ends_.clear();
  while (!ended_ && (ends_.empty() || (ends_.size() < wanted_ && more_is_there()))) {
    const ssize_t got = ::read(STDIN_FILENO, block_.data(), block_.size());
    if (got < 0 && may_go_on(STDIN_FILENO, POLLIN)) continue;
    if (got < 0) throw kuaixun::Error(kuaixun::ErrorCode::usage, std::string("cannot read: ") + std::strerror(errno));
    if (got == 0) {
      ended_ = true;
      if (!pending_.empty()) finish({});
      break;
    }
    split(std::string_view(block_.data(), static_cast<std::size_t>(got)));
  }
  std::vector<std::string_view> lines;
  lines.reserve(ends_.size());
  std::size_t begin = 0;
  for (const std::size_t end : ends_) {
    lines.emplace_back(finished_.data() + begin, end - begin);
    begin = end;
  }
  return lines;
}

void ArrivingLines::split(std::string_view block) {
  for (std::size_t end = block.find('\n'); end != std::string_view::npos; end = block.find('\n')) {
    finish(block.substr(0, end));
    block.remove_prefix(end + 1);
  }
  pending_.append(block.substr(0, limit_bytes_ - pending_.size()));
}

void ArrivingLines::finish(std::string_view rest) {
  finished_.append(pending_).append(rest.substr(0, limit_bytes_ - pending_.size()));
  ends_.push_back(finished_.size());
  pending_.clear();
}

bool write_out(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EPIPE) return false;
    if (written < 0 && may_go_on(STDOUT_FILENO, POLLOUT)) continue;
    if (written < 0) {
      throw kuaixun::Error(kuaixun::ErrorCode::usage, std::string("cannot write: ") + std::strerror(errno));
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace kuaixun_apps
