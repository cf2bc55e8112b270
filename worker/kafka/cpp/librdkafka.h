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
struct Queue;      // rd_kafka_queue_t
struct Event;      // rd_kafka_event_t

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

// rd_kafka_topic_partition_t, as far as it is read
struct Place {
  char* topic;
  std::int32_t partition;
  std::int64_t offset;
};

// rd_kafka_event_type_t
constexpr int kFetched = 0x2;
constexpr int kFailed = 0x8;

// rd_kafka_vtype_t: what the arguments of `produce` are, each kind followed by its own.
enum class Argument : int { end, topic_name, topic, partition, value, key, opaque, flags, timestamp, header, headers };
constexpr int kCopyValue = 0x2;  // RD_KAFKA_MSG_F_COPY

// rd_kafka_type_t
enum class ClientKind : int { producer, consumer };

using OnEvent = void (*)(Client*, void* opaque);
using OnNew = ErrorCode (*)(Client*, const Conf*, void* opaque, char* said, std::size_t said_size);
using OnDestroy = ErrorCode (*)(Client*, void* opaque);
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
  ClientKind (*kind_of)(const Client*);
  void* (*application_of)(const Client*);  // what its application gave it as its opaque
  Queue* (*new_queue)(Client*);
  Queue* (*consumer_queue)(Client*);
  Queue* (*partition_queue)(Client*, const char* topic, std::int32_t partition);
  void (*destroy_queue)(Queue*);
  void (*forward)(Queue*, Queue* to);
  void (*enable_event)(Queue*, OnEvent, void* opaque);  // OnEvent may not call the client
  Event* (*poll)(Queue*, int timeout_ms);  // null where nothing is there
  int (*type_of)(const Event*);
  const Message* (*message_of)(Event*);  // the event's own; null the second time
  ErrorCode (*error_of)(Event*);
  const char* (*words_of_error)(Event*);
  Place* (*place_of)(Event*);  // a new one, or null
  void (*destroy_place)(Place*);
  void (*destroy_event)(Event*);
  const char* (*name_of)(const Topic*);
  std::int64_t (*timestamp_of)(const Message*, int* kind);
  ErrorCode (*headers_of)(const Message*, Headers**);
  ErrorCode (*header_at)(const Headers*, std::size_t index, const char** name, const void** value, std::size_t* size);
  ErrorCode (*add_on_new)(Conf*, const char* name, OnNew, void* opaque);
  ErrorCode (*add_on_destroy)(Client*, const char* name, OnDestroy, void* opaque);
  ErrorCode (*add_on_acknowledgement)(Client*, const char* name, OnAcknowledgement, void* opaque);
};

// Finds the one that this shared object is linked with, the Python client's, which is loaded already. Once, before all
// else; false where there is none, or it takes no plugins.
bool find_librdkafka(const char* binding);

// The one that was found.
const Librdkafka& librdkafka();

}  // namespace kuaixun::kafka
