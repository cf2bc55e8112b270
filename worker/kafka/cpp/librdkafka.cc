#include "librdkafka.h"

#include <dlfcn.h>

#include <string_view>

namespace kuaixun::kafka {
namespace {

Librdkafka found;

template <typename Function>
bool find(void* binding, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(binding, name));  // in what it is linked with, too
  return function != nullptr;
}

bool takes_plugins(void* binding) {
  Conf* (*new_conf)();
  void (*destroy_conf)(Conf*);
  int (*get)(const Conf*, const char*, char*, std::size_t*);
  if (!find(binding, "rd_kafka_conf_new", new_conf) || !find(binding, "rd_kafka_conf_destroy", destroy_conf) ||
      !find(binding, "rd_kafka_conf_get", get)) {
    return false;
  }
  char features[512];
  std::size_t size = sizeof features;
  Conf* const conf = new_conf();
  const bool is_said = get(conf, "builtin.features", features, &size) == 0;
  destroy_conf(conf);
  return is_said && std::string_view(features).find("plugins") != std::string_view::npos;
}

}  // namespace

bool find_librdkafka(const char* binding) {
  void* const handle = dlopen(binding, RTLD_NOW | RTLD_NOLOAD);
  return handle != nullptr && takes_plugins(handle) && find(handle, "rd_kafka_producev", found.produce) &&
         find(handle, "rd_kafka_message_produce_errstr", found.words_of) &&
         find(handle, "rd_kafka_topic_new", found.new_topic) &&
         find(handle, "rd_kafka_topic_destroy", found.destroy_topic) &&
         find(handle, "rd_kafka_headers_new", found.new_headers) &&
         find(handle, "rd_kafka_headers_destroy", found.destroy_headers) &&
         find(handle, "rd_kafka_header_add", found.add_header) &&
         find(handle, "rd_kafka_type", found.kind_of) && find(handle, "rd_kafka_opaque", found.application_of) &&
         find(handle, "rd_kafka_queue_new", found.new_queue) &&
         find(handle, "rd_kafka_queue_get_consumer", found.consumer_queue) &&
         find(handle, "rd_kafka_queue_get_partition", found.partition_queue) &&
         find(handle, "rd_kafka_queue_destroy", found.destroy_queue) &&
         find(handle, "rd_kafka_queue_forward", found.forward) &&
         find(handle, "rd_kafka_queue_cb_event_enable", found.enable_event) &&
         find(handle, "rd_kafka_queue_poll", found.poll) && find(handle, "rd_kafka_event_type", found.type_of) &&
         find(handle, "rd_kafka_event_message_next", found.message_of) &&
         find(handle, "rd_kafka_event_error", found.error_of) &&
         find(handle, "rd_kafka_event_error_string", found.words_of_error) &&
         find(handle, "rd_kafka_event_topic_partition", found.place_of) &&
         find(handle, "rd_kafka_topic_partition_destroy", found.destroy_place) &&
         find(handle, "rd_kafka_event_destroy", found.destroy_event) &&
         find(handle, "rd_kafka_topic_name", found.name_of) &&
         find(handle, "rd_kafka_message_timestamp", found.timestamp_of) &&
         find(handle, "rd_kafka_message_headers", found.headers_of) &&
         find(handle, "rd_kafka_header_get_all", found.header_at) &&
         find(handle, "rd_kafka_conf_interceptor_add_on_new", found.add_on_new) &&
         find(handle, "rd_kafka_interceptor_add_on_destroy", found.add_on_destroy) &&
         find(handle, "rd_kafka_interceptor_add_on_acknowledgement", found.add_on_acknowledgement);
}

const Librdkafka& librdkafka() { return found; }

}  // namespace kuaixun::kafka
