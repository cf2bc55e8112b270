// The Python module `_batches`: messages from librdkafka, to it, and reports of them, a batch in one call.

#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include "batch_consumer.h"
#include "batch_producer.h"

namespace nb = nanobind;
using kuaixun::kafka::BatchConsumer;
using kuaixun::kafka::BatchProducer;

namespace {

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (nb::inst_ready(self)) Py_VISIT(nb::inst_ptr<BatchConsumer>(self)->consumer().ptr());
  return 0;
}

int clear(PyObject* self) {
  nb::inst_ptr<BatchConsumer>(self)->close();
  return 0;
}

PyType_Slot collected[] = {
    {Py_tp_traverse, reinterpret_cast<void*>(traverse)}, {Py_tp_clear, reinterpret_cast<void*>(clear)}, {0, nullptr}};

}  // namespace

NB_MODULE(_batches, module) {
  nb::set_leak_warnings(false);  // a worker that ends at once leaves its producer as it is
  module.def("find_librdkafka", &kuaixun::kafka::find_librdkafka, nb::arg("binding"),
             "Find the one that this loaded shared object is linked with, before all else; whether it is there and "
             "can take this module as a plugin.");
  nb::class_<BatchConsumer>(module, "BatchConsumer", nb::type_slots(collected),
                            "Shares the client of a consumer that was made with this module as a plugin. For one "
                            "thread at a time; the consumer's own calls serve its callbacks.")
      .def(nb::init<nb::object>(), nb::arg("consumer"))
      .def("divert", &BatchConsumer::divert, nb::arg("topic"), nb::arg("partition"),
           "Have messages of a partition come here, and not to the consumer. Before it is assigned.")
      .def("let_go", &BatchConsumer::let_go, nb::arg("topic"), nb::arg("partition"),
           "The partition is not ours any more.")
      .def("consume", &BatchConsumer::consume, nb::arg("limit"), nb::arg("timeout_seconds"),
           "Up to so many messages that are there; where none is, wait for the first, or for what the consumer has to "
           "serve, the interpreter free meanwhile. The columns of Records, and errors in place of messages: tuples of "
           "topic, partition, offset, the error's code and its words.")
      .def("close", &BatchConsumer::close, "Read nothing from here on. Before the consumer's own `close`.");
  nb::class_<BatchProducer>(module, "BatchProducer",
                            "Shares the client of a producer that was made with this module as a plugin.")
      .def(nb::init<nb::object>(), nb::arg("producer"))
      .def("produce", &BatchProducer::produce, nb::arg("topics"), nb::arg("partitions"), nb::arg("keys"),
           nb::arg("values"), nb::arg("headers"), nb::arg("timestamps_ms"),
           "Hand over messages in order up to the first that is not taken, the interpreter free meanwhile: the batch's "
           "number and how many were.")
      .def("reports", &BatchProducer::reports,
           "What has become of messages since the last time, in tuples: the batch's number, how many more of it are "
           "confirmed, and of each that is refused its row, the error's code and its words.");
}
