#include "batch_producer.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace kuaixun::kafka {
namespace {

namespace nb = nanobind;

std::atomic<std::uint64_t> last_batch{0};

constexpr std::int32_t kByKey = -1;         // RD_KAFKA_PARTITION_UA: the partitioner's choice
constexpr std::int64_t kNow = 0;            // no timestamp, to librdkafka,
constexpr std::int64_t kLeastTimestamp = 1;  // so the nearest other stands for one of 0

struct Bytes {
  const void* data = nullptr;
  std::size_t size = 0;
};

using OwnHeaders = std::unique_ptr<Headers, void (*)(Headers*)>;

struct Row {
  Topic* topic;
  std::int32_t partition;
  Bytes key;
  Bytes value;
  std::int64_t timestamp_ms;
  OwnHeaders headers;
};

std::int64_t integer_of(PyObject* number) {
  const std::int64_t integer = PyLong_AsLongLong(number);
  if (integer == -1 && PyErr_Occurred() != nullptr) throw nb::python_error();
  return integer;
}

// Of bytes, or nothing of None.
Bytes bytes_of(PyObject* object) {
  if (object == Py_None) return {};
  if (!PyBytes_Check(object)) throw nb::type_error("bytes or None are needed");
  return {PyBytes_AS_STRING(object), static_cast<std::size_t>(PyBytes_GET_SIZE(object))};
}

std::string_view text_of(PyObject* object) {
  Py_ssize_t size = 0;
  const char* const utf8 = PyUnicode_AsUTF8AndSize(object, &size);
  if (utf8 == nullptr) throw nb::python_error();
  return {utf8, static_cast<std::size_t>(size)};
}

OwnHeaders headers_of(const Librdkafka& library, PyObject* pairs) {
  const Py_ssize_t count = PyTuple_Check(pairs) ? PyTuple_GET_SIZE(pairs) : -1;
  if (count < 0) throw nb::type_error("headers are a tuple");
  if (count == 0) return {nullptr, library.destroy_headers};
  OwnHeaders headers(library.new_headers(static_cast<std::size_t>(count)), library.destroy_headers);
  for (Py_ssize_t index = 0; index < count; ++index) {
    PyObject* const pair = PyTuple_GET_ITEM(pairs, index);
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) throw nb::type_error("a header is a name and bytes");
    const std::string_view name = text_of(PyTuple_GET_ITEM(pair, 0));
    const Bytes value = bytes_of(PyTuple_GET_ITEM(pair, 1));
    library.add_header(headers.get(), name.data(), static_cast<std::ptrdiff_t>(name.size()), value.data,
                       static_cast<std::ptrdiff_t>(value.size));
  }
  return headers;
}

constexpr int argument(Argument one) { return static_cast<int>(one); }

// Whether the client has taken it, which has the headers then.
bool hand_over(const Librdkafka& library, Client* client, Row& row, void* opaque) {
  const ErrorCode error = library.produce(
      client, argument(Argument::topic), row.topic, argument(Argument::partition), row.partition,
      argument(Argument::value), row.value.data, row.value.size, argument(Argument::key), row.key.data, row.key.size,
      argument(Argument::timestamp), row.timestamp_ms, argument(Argument::headers), row.headers.get(),
      argument(Argument::flags), kCopyValue, argument(Argument::opaque), opaque, argument(Argument::end));
  if (error == kNoError) static_cast<void>(row.headers.release());
  return error == kNoError;
}

}  // namespace

BatchProducer::BatchProducer(nb::object producer)
    : producer_(std::move(producer)), adopted_(adopt(producer_.ptr(), ClientKind::producer)) {
  if (adopted_.client == nullptr) {
    throw std::invalid_argument("no producer that was made with this plugin, and not shared yet");
  }
}

BatchProducer::~BatchProducer() {
  for (const auto& [name, topic] : topics_) librdkafka().destroy_topic(topic);
}

Topic* BatchProducer::topic_of(const std::string& name) {
  const auto found = topics_.find(name);
  if (found != topics_.end()) return found->second;
  Topic* const topic = librdkafka().new_topic(adopted_.client, name.c_str(), nullptr);
  if (topic != nullptr) topics_.emplace(name, topic);
  return topic;
}

std::pair<std::uint64_t, std::size_t> BatchProducer::produce(const nb::list& topics, const nb::list& partitions,
                                                             const nb::list& keys, const nb::list& values,
                                                             const nb::list& headers, const nb::list& timestamps_ms) {
  const std::size_t count = topics.size();
  for (const nb::list* const column : {&partitions, &keys, &values, &headers, &timestamps_ms}) {
    if (column->size() != count) throw nb::value_error("the columns of a batch are of one length");
  }
  if (count > kMostRows) throw nb::value_error("a batch has no more than 1,048,576 messages");
  const Librdkafka& library = librdkafka();
  std::vector<Row> rows;
  rows.reserve(count);
  const PyObject* name = nullptr;
  Topic* topic = nullptr;
  for (std::size_t index = 0; index < count; ++index) {
    const auto at = [index](const nb::list& column) {
      return PyList_GET_ITEM(column.ptr(), static_cast<Py_ssize_t>(index));
    };
    if (PyObject* const next = at(topics); next != name) {
      name = next;
      topic = topic_of(std::string(text_of(next)));
      if (topic == nullptr) break;
    }
    PyObject* const partition = at(partitions);
    PyObject* const timestamp_ms = at(timestamps_ms);
    rows.push_back({topic, partition == Py_None ? kByKey : static_cast<std::int32_t>(integer_of(partition)),
                    bytes_of(at(keys)), bytes_of(at(values)),
                    timestamp_ms == Py_None ? kNow : std::max(integer_of(timestamp_ms), kLeastTimestamp),
                    headers_of(library, at(headers))});
  }
  const std::uint64_t batch = ++last_batch;
  std::size_t taken = 0;
  const nb::gil_scoped_release free;
  const HandingOver handing_over;
  while (taken < rows.size() && hand_over(library, adopted_.client, rows[taken], opaque_of(batch, taken))) ++taken;
  return {batch, taken};
}

nb::list BatchProducer::reports() {
  nb::list reports;
  for (const News& news : adopted_.ledger->take()) {
    nb::list refused;
    for (const Refusal& one : news.refused) {
      refused.append(nb::make_tuple(one.row, one.error, nb::steal(PyUnicode_DecodeUTF8(
          one.said.data(), static_cast<Py_ssize_t>(one.said.size()), "replace"))));
    }
    reports.append(nb::make_tuple(news.batch, news.confirmed, std::move(refused)));
  }
  return reports;
}

}  // namespace kuaixun::kafka
