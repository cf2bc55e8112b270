// This module as a plugin of librdkafka (`plugin.library.paths`), which is its own way to hand its clients to other
// code than the application's: it is shown each client as that is made, and each message as that is reported on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "ledger.h"
#include "librdkafka.h"

namespace kuaixun::kafka {

constexpr std::size_t kMostRows = std::size_t{1} << 20;

struct Adopted {
  Client* client = nullptr;
  Ledger* ledger = nullptr;  // a producer's; never freed: nothing says when the client's last thread has ended
};

// The client of a living consumer or producer of Python's, which gives it itself as its opaque: once, and only where it
// is of this kind and has this plugin.
Adopted adopt(const void* application, ClientKind kind);

// A message's opaque: its batch and its row in it. An application's own opaques are pointers to what is aligned, and
// so even; these are odd.
void* opaque_of(std::uint64_t batch, std::size_t row);

// While it lives, what is reported in this thread has not been taken, and whoever hands it over is told so anyway.
class HandingOver {
 public:
  HandingOver();
  ~HandingOver();
  HandingOver(const HandingOver&) = delete;
  HandingOver& operator=(const HandingOver&) = delete;
};

}  // namespace kuaixun::kafka
