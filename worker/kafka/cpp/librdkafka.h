// What is used of librdkafka's C interface (rdkafka.h, stable throughout librdkafka.so.1), of the very library that the
// Python client has loaded: whose clients are to be shared must call the same code.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kuaixun::kafka {

struct Client;     // rd_kafka_t
struct Conf;       // rd_kafka_conf_t
struct Topic;      // rd_kafka_topic_t
struct TopicConf;  // rd_kafka_topic_conf_t
struct Headers;    // rd_kafka_headers_t

using ErrorCode = int;  // rd_kafka_resp_err_t
constexpr ErrorCode kNoError = 0;

// rd_kafka_message_t
struct Message {
  ErrorCode error;
  Topic* topic;
  std::int32_t partition;
  void* value;
  std::size_t value_size;
  void* key;
  std::size_t key_size;
  std::int64_t offset;
  void* opaque;  // the producing application's own
};

// rd_kafka_vtype_t: what the arguments of `produce` are, each kind followed by its own.
enum class Argument : int { end, topic_name, topic, partition, value, key, opaque, flags, timestamp, header, headers };
constexpr int kCopyValue = 0x2;  // RD_KAFKA_MSG_F_COPY

using OnNew = ErrorCode (*)(Client*, const Conf*, void* opaque, char* said, std::size_t said_size);
using OnAcknowledgement = ErrorCode (*)(Client*, Message*, void* opaque);

struct Librdkafka {
  ErrorCode (*produce)(Client*, ...);
  const char* (*words_of)(const Message*);  // the broker's own on a message that it refuses, or null
  Topic* (*new_topic)(Client*, const char* name, TopicConf*);
  void (*destroy_topic)(Topic*);
  Headers* (*new_headers)(std::size_t count);
  void (*destroy_headers)(Headers*);
  ErrorCode (*add_header)(Headers*, const char* name, std::ptrdiff_t name_size, const void* value,
                          std::ptrdiff_t value_size);
  ErrorCode (*add_on_new)(Conf*, const char* name, OnNew, void* opaque);
  ErrorCode (*add_on_acknowledgement)(Client*, const char* name, OnAcknowledgement, void* opaque);
};

// Finds the one that this shared object is linked with, the Python client's, which is loaded already. Once, before all
// else; false where there is none, or it takes no plugins.
bool find_librdkafka(const char* binding);

// The one that was found.
const Librdkafka& librdkafka();

}  // namespace kuaixun::kafka
