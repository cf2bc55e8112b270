#include "batch_consumer.h"

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>

namespace kuaixun::kafka {
namespace {

namespace nb = nanobind;

constexpr int kNoTimestamp = 0;  // RD_KAFKA_TIMESTAMP_NOT_AVAILABLE

void on_event(Client*, void* stir) { static_cast<Stir*>(stir)->notify(); }

// A new reference, which was made: else there is no memory left.
PyObject* made(PyObject* object) {
  if (object == nullptr) throw nb::python_error();
  return object;
}

// This and what follows: a new reference.
PyObject* bytes_or_none(const void* data, std::size_t size) {
  if (data == nullptr) return Py_NewRef(Py_None);
  return made(PyBytes_FromStringAndSize(static_cast<const char*>(data), static_cast<Py_ssize_t>(size)));
}

PyObject* integer_or_none(std::int64_t integer, bool is_there) {
  return is_there ? made(PyLong_FromLongLong(integer)) : Py_NewRef(Py_None);
}

// A tuple of names and values; null where a name is not UTF-8, which Kafka does not forbid.
PyObject* headers_of(const Librdkafka& library, const Message* message) {
  Headers* headers = nullptr;
  if (library.headers_of(message, &headers) != kNoError) return made(PyTuple_New(0));
  nb::list pairs;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t index = 0; library.header_at(headers, index, &name, &value, &size) == kNoError; ++index) {
    PyObject* const text = PyUnicode_FromString(name);
    if (text == nullptr) {
      PyErr_Clear();
      return nullptr;
    }
    pairs.append(nb::make_tuple(nb::steal(text), nb::steal(bytes_or_none(value, size))));
  }
  return made(PyList_AsTuple(pairs.ptr()));
}

// A list of so many, to be filled from the first on; what has not been filled when it goes is nothing.
class Column {
 public:
  explicit Column(std::size_t size) : list_(nb::steal<nb::list>(made(PyList_New(static_cast<Py_ssize_t>(size))))) {}

  void add(PyObject* item) { PyList_SET_ITEM(list_.ptr(), filled_++, item); }
  const nb::list& list() const { return list_; }

 private:
  nb::list list_;
  Py_ssize_t filled_ = 0;
};

// One for all messages in a row that are of the same topic.
class TopicNames {
 public:
  explicit TopicNames(const Librdkafka& library) : library_(library) {}

  const nb::object& of(const Message* message) {
    if (message->topic != topic_) {
      topic_ = message->topic;
      name_ = nb::str(library_.name_of(topic_));
    }
    return name_;
  }

 private:
  const Librdkafka& library_;
  const Topic* topic_ = nullptr;
  nb::object name_;
};

nb::tuple error_of(const Librdkafka& library, Event* event) {
  const std::unique_ptr<Place, void (*)(Place*)> place(library.place_of(event), library.destroy_place);
  return nb::make_tuple(place ? nb::object(nb::str(place->topic)) : nb::none(), place ? place->partition : 0,
                        place ? place->offset : 0, library.error_of(event), library.words_of_error(event));
}

// Gives back to the client at the end, the interpreter free meanwhile.
class GivingBack {
 public:
  explicit GivingBack(std::function<void()> give) : give_(std::move(give)) {}
  ~GivingBack() {
    const nb::gil_scoped_release free;
    give_();
  }
  GivingBack(const GivingBack&) = delete;
  GivingBack& operator=(const GivingBack&) = delete;

 private:
  std::function<void()> give_;
};

}  // namespace

void Stir::notify() {
  {
    const std::lock_guard lock(mutex_);
    is_due_ = true;
  }
  condition_.notify_one();
}

void Stir::wait(double seconds) {
  std::unique_lock lock(mutex_);
  condition_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return is_due_; });
  is_due_ = false;
}

BatchConsumer::BatchConsumer(nb::object consumer)
    : consumer_(std::move(consumer)), client_(adopt(consumer_.ptr(), ClientKind::consumer).client) {
  if (client_ == nullptr) throw std::invalid_argument("no consumer that was made with this plugin, and not shared yet");
  const Librdkafka& library = librdkafka();
  own_ = library.new_queue(client_);
  callbacks_ = library.consumer_queue(client_);
  for (Queue* const queue : {own_, callbacks_}) library.enable_event(queue, on_event, &stir_);
}

BatchConsumer::~BatchConsumer() { close(); }

void BatchConsumer::divert(const std::string& topic, std::int32_t partition) {
  if (own_ == nullptr) return;
  const Librdkafka& library = librdkafka();
  Diverted& place = diverted_[{topic, partition}];
  last_ = nullptr;
  place.next = 0;
  if (place.queue == nullptr) place.queue = library.partition_queue(client_, topic.c_str(), partition);
  if (place.queue == nullptr) {
    diverted_.erase({topic, partition});
  } else {
    library.forward(place.queue, own_);
  }
}

void BatchConsumer::let_go(const std::string& topic, std::int32_t partition) {
  const auto found = diverted_.find({topic, partition});
  if (found == diverted_.end()) return;
  last_ = nullptr;
  librdkafka().forward(found->second.queue, nullptr);
  librdkafka().destroy_queue(found->second.queue);
  diverted_.erase(found);
}

// Whether it has not been taken before: where the client pauses all partitions for a rebalance in the moment in which a
// message is taken, it reads on from that one.
bool BatchConsumer::is_new(const Message* message) {
  if (last_ == nullptr || message->topic != last_topic_ || message->partition != last_partition_) {
    const auto found = diverted_.find({librdkafka().name_of(message->topic), message->partition});
    if (found == diverted_.end()) return true;
    last_topic_ = message->topic;
    last_partition_ = message->partition;
    last_ = &found->second;
  }
  if (message->offset < last_->next) return false;
  last_->next = message->offset + 1;
  return true;
}

std::size_t BatchConsumer::take(std::size_t limit) {
  const Librdkafka& library = librdkafka();
  // Again each time: the client ends the forwarding, later than it says so, where it stops to read a partition, be it
  // only to begin anew. What it has kept meanwhile comes with it.
  for (const auto& [name, place] : diverted_) library.forward(place.queue, own_);
  taken_.reserve(limit);
  while (taken_.size() < limit) {
    Event* const event = library.poll(own_, 0);
    if (event == nullptr) break;
    const int type = library.type_of(event);
    // At once, for it is what tells the client that the message was taken.
    const Message* const message = type == kFetched ? library.message_of(event) : nullptr;
    if (message != nullptr ? is_new(message) : type == kFailed) {
      taken_.push_back({event, message});
    } else {
      library.destroy_event(event);
    }
  }
  return taken_.size();
}

nb::tuple BatchConsumer::consume(std::size_t limit, double timeout_seconds) {
  const Librdkafka& library = librdkafka();
  const GivingBack giving_back([this, &library] {
    for (const Taken& one : taken_) library.destroy_event(one.event);
    taken_.clear();
  });
  if (own_ != nullptr) {
    const nb::gil_scoped_release free;
    if (take(limit) == 0 && timeout_seconds > 0) {
      stir_.wait(timeout_seconds);
      take(limit);
    }
  }
  nb::list errors;
  for (const Taken& one : taken_) {
    if (one.message == nullptr) errors.append(error_of(library, one.event));
  }
  const std::size_t good = taken_.size() - errors.size();
  Column topics(good), partitions(good), offsets(good), keys(good), values(good), headers(good), timestamps_ms(good),
      headers_unreadable(good);
  TopicNames names(library);
  for (const Taken& one : taken_) {
    const Message* const message = one.message;
    if (message == nullptr) continue;
    topics.add(nb::object(names.of(message)).release().ptr());
    partitions.add(made(PyLong_FromLong(message->partition)));
    offsets.add(made(PyLong_FromLongLong(message->offset)));
    keys.add(bytes_or_none(message->key, message->key_size));
    values.add(bytes_or_none(message->value, message->value_size));
    PyObject* const found = headers_of(library, message);
    headers.add(found != nullptr ? found : made(PyTuple_New(0)));
    headers_unreadable.add(Py_NewRef(found != nullptr ? Py_False : Py_True));
    int kind = kNoTimestamp;
    const std::int64_t timestamp_ms = library.timestamp_of(message, &kind);
    timestamps_ms.add(integer_or_none(timestamp_ms, kind != kNoTimestamp && timestamp_ms >= 0));
  }
  return nb::make_tuple(topics.list(), partitions.list(), offsets.list(), keys.list(), values.list(), headers.list(),
                        timestamps_ms.list(), headers_unreadable.list(), errors);
}

void BatchConsumer::close() {
  if (own_ == nullptr) return;
  const Librdkafka& library = librdkafka();
  for (Queue* const queue : {own_, callbacks_}) library.enable_event(queue, nullptr, nullptr);
  for (const auto& [name, place] : diverted_) {
    library.forward(place.queue, nullptr);
    library.destroy_queue(place.queue);
  }
  last_ = nullptr;
  diverted_.clear();
  library.destroy_queue(callbacks_);
  library.destroy_queue(own_);
  own_ = callbacks_ = nullptr;
  consumer_.reset();
}

}  // namespace kuaixun::kafka
