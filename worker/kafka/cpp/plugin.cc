#include "plugin.h"

#include <mutex>
#include <string>
#include <unordered_map>

namespace kuaixun::kafka {
namespace {

constexpr char kName[] = "kuaixun";
constexpr unsigned kRowBits = 20;
static_assert(sizeof(void*) == 8, "a batch and a row have no room in a pointer");
static_assert(kMostRows == std::size_t{1} << kRowBits);

// Those with this plugin that nobody has adopted. Never freed, for a client may go in a thread that outlives main.
std::mutex& waiting_mutex = *new std::mutex;
std::unordered_map<const void*, Adopted>& waiting = *new std::unordered_map<const void*, Adopted>;

thread_local bool is_handing_over = false;

// In any of the client's threads, before the report goes to the application, which is not to see our opaque.
ErrorCode on_acknowledgement(Client*, Message* message, void* ledger) {
  const auto opaque = reinterpret_cast<std::uintptr_t>(message->opaque);
  if ((opaque & 1) == 0) return kNoError;
  message->opaque = nullptr;
  if (is_handing_over) return kNoError;
  const std::uint64_t batch = opaque >> (kRowBits + 1);
  if (message->error == kNoError) {
    static_cast<Ledger*>(ledger)->confirm(batch);
  } else {
    const auto row = static_cast<std::uint32_t>((opaque >> 1) & (kMostRows - 1));
    const char* const said = librdkafka().words_of(message);
    static_cast<Ledger*>(ledger)->refuse(batch, {row, message->error, said ? said : ""});
  }
  return kNoError;
}

ErrorCode on_destroy(Client* client, void*) {
  const std::lock_guard lock(waiting_mutex);
  const auto found = waiting.find(librdkafka().application_of(client));
  if (found != waiting.end() && found->second.client == client) waiting.erase(found);
  return kNoError;
}

ErrorCode on_new(Client* client, const Conf*, void*, char*, std::size_t) {
  const Librdkafka& library = librdkafka();
  Ledger* const ledger = library.kind_of(client) == ClientKind::producer ? new Ledger : nullptr;
  {
    const std::lock_guard lock(waiting_mutex);
    waiting[library.application_of(client)] = {client, ledger};
  }
  const ErrorCode error = library.add_on_destroy(client, kName, on_destroy, nullptr);
  if (error != kNoError || ledger == nullptr) return error;
  return library.add_on_acknowledgement(client, kName, on_acknowledgement, ledger);
}

}  // namespace

Adopted adopt(const void* application, ClientKind kind) {
  const std::lock_guard lock(waiting_mutex);
  const auto found = waiting.find(application);
  if (found == waiting.end() || librdkafka().kind_of(found->second.client) != kind) return {};
  const Adopted adopted = found->second;
  waiting.erase(found);
  return adopted;
}

void* opaque_of(std::uint64_t batch, std::size_t row) {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>((batch << (kRowBits + 1)) | (row << 1) | 1));
}

HandingOver::HandingOver() { is_handing_over = true; }
HandingOver::~HandingOver() { is_handing_over = false; }

}  // namespace kuaixun::kafka

// What librdkafka calls of a plugin.
extern "C" __attribute__((visibility("default"))) kuaixun::kafka::ErrorCode conf_init(kuaixun::kafka::Conf* conf,
                                                                                     void** /*opaque*/, char* /*said*/,
                                                                                     std::size_t /*said_size*/) {
  using namespace kuaixun::kafka;
  return librdkafka().add_on_new(conf, kName, on_new, nullptr);
}
